"""The strong learners of a project: when they are trained, and what they found last."""

from __future__ import annotations

import numpy as np

from alutils.labelling.model import strong
from alutils.labelling.model.beside import Beside
from alutils.labelling.model.features import FeatureCache, some_pictures
from alutils.labelling.model.learner import fold_of
from alutils.labelling.model.settings import Learning
from alutils.labelling.model.strong import Strong
from alutils.labelling.store.store import Store
from alutils.models.backbones.choice import SMALL
from alutils.models.conversion import Conversion
from alutils.models.seen import Seen

_IN_COLOUR = 0.02  # share of colour pictures from which all are read in colour
_SMALLEST = 8  # pixels a side that the network takes


class Stronger:
    """Trains strong learners beside the queue.

    Parameters
    ----------
    store : the project
    learning : how models learn

    Attributes
    ----------
    beside : the process
    found : what was found last; None for nothing
    problem : why the last training ended early, '' if it did not
    """

    def __init__(self, store: Store, learning: Learning) -> None:
        self.store, self.learning = store, learning
        self.beside = Beside(store.files.root)
        self.found: Strong | None = None
        self.problem = ""
        self._n_trained = 0  # labels of the last training that was begun
        self._colour: bool | None = None

    @property
    def doing(self) -> str:
        """What is being trained, in a sentence; '' for nothing."""
        if not self.beside.is_running:
            return ""
        return f"Beside the queue, stronger learners train on {self._n_trained:,} labels."

    def open(self, identity: str, conversion: Conversion) -> str:
        """Take over what was found before a restart; returns what is wrong with it, '' if nothing.

        Parameters
        ----------
        identity : of the features
        conversion : of pictures before they are read; what was found by another is dropped
        """
        if not self.beside.found.is_dir():
            return ""
        try:
            self.found = strong.read(self.beside.found, identity)
            self._n_trained = self.found.n_trained
        except strong.StrongError as error:
            strong.clear(self.beside.found)
            return f"{error}; it is trained again."
        if self.found.conversion != conversion:
            self.forget()
        return ""

    def forget(self) -> None:
        """End what runs, and drop what was found."""
        self.beside.stop()
        strong.clear(self.beside.found)
        self.found, self._n_trained, self._colour = None, 0, None

    def take_in(self, identity: str) -> bool:
        """Take in what the process has found; returns whether something was trained.

        ``identity`` is that of the features.
        """
        try:
            folder = self.beside.poll()
            if folder is None:
                return False
            if strong.Job.read(folder).settings.score_only:
                if self.found is not None:
                    self.found = self.found.with_more(*strong.read_scores(folder))
                return False
            self.found = strong.read(self.beside.keep(), identity)
        except (strong.StrongError, OSError) as error:
            self.problem = f"{error}. It is tried again when there are more labels."
            return False
        self.problem = ""
        return True

    def start(
        self, now: dict[str, np.ndarray], features: FeatureCache, conversion: Conversion
    ) -> None:
        """Begin a training where one is due, or let the network read pictures that are new.

        Parameters
        ----------
        now : as `alutils.labelling.store.reader.Reader.snapshot` gives it, of pictures that have
            features
        features : of these pictures
        conversion : of pictures before they are read
        """
        if not self.learning.beside or self.beside.is_running:
            return
        sha256 = now["sha256"].tolist()
        chosen = np.flatnonzero(now["label"] >= 0)
        labels = now["label"][chosen]
        known = None if self.found is None else self.found.knows(sha256)
        if len(np.unique(labels)) > 1 and strong.due(len(labels), self._n_trained):
            self._n_trained = len(labels)
            self.beside.start(self._job(now, chosen, features, conversion))
        elif known is not None and not known.all():
            new = [each for each, is_old in zip(sha256, known, strict=True) if not is_old]
            self.beside.start(self._to_read(new, conversion))

    def _to_read(self, sha256: list[str], conversion: Conversion) -> strong.Job:
        """Return the job of reading new pictures with the network that is there."""
        none = np.empty(0, np.int64)
        settings = strong.Settings(
            self.learning.steps, None, False, polite=self.learning.polite, score_only=True,
            conversion=conversion,
        )  # fmt: skip
        files = [str(self.store.files.picture(each)) for each in sha256]
        return strong.Job(settings, files, sha256, np.empty((0, 0)), none, none, none, [])

    def _job(
        self, now: dict[str, np.ndarray], chosen: np.ndarray, features: FeatureCache,
        conversion: Conversion,
    ) -> strong.Job:  # fmt: skip
        sha256 = now["sha256"].tolist()
        size = np.median(np.stack([now["height"], now["width"]], axis=1), axis=0).astype(int)
        small = max(size) <= SMALL and min(size) >= _SMALLEST
        if self._colour is None:
            seen = Seen.of(some_pictures(self.store.files, sha256, conversion))
            self._colour = seen.colour > _IN_COLOUR
        settings = strong.Settings(
            self.learning.steps_for(len(chosen)),
            (int(size[0]), int(size[1])) if small else None,
            self._colour,
            self.learning.seed,
            self.learning.polite,
            conversion=conversion,
        )
        return strong.Job(
            settings,
            [str(self.store.files.picture(each)) for each in sha256],
            sha256,
            features.get(sha256),
            chosen,
            now["label"][chosen],
            fold_of([sha256[i] for i in chosen]),
            [c.name for c in self.store.classes.ever()],
        )
