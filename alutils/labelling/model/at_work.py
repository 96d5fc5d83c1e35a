"""The model at work: which learners it is made of, what it says, and how it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from alutils.labelling.model import contest, learner
from alutils.labelling.model.contest import BROUGHT, NETWORK, QUICK, SPREAD
from alutils.labelling.model.strong import Strong
from alutils.models.backbones.extractors import Extractor
from alutils.models.heads import Head
from alutils.models.picture_models import AverageModel, FeatureModel, PictureModel
from alutils.models.seen import Seen


@dataclass(frozen=True)
class Labelled:
    """What can be learned from: the pictures that people labelled.

    Attributes
    ----------
    ids : (n,) int64, their numbers
    sha256 : (n,) their hashes
    x : (n, n_features) float32
    y : (n,) int, class numbers
    names : of all classes of the project, by number
    """

    ids: np.ndarray
    sha256: list[str]
    x: np.ndarray
    y: np.ndarray
    names: list[str]

    @property
    def fold(self) -> np.ndarray:
        """(n,) int."""
        return learner.fold_of(self.sha256)


@dataclass(frozen=True)
class Brought:
    """A model that was brought along, and what it says of all pictures.

    Attributes
    ----------
    model : as it was saved
    p : (n, n_columns) float32
    row : position in ``p`` by the picture's hash
    """

    model: PictureModel
    p: np.ndarray
    row: dict[str, int]

    def pool(self, sha256: Sequence[str]) -> np.ndarray:
        """(n, n_columns) float32; KeyError for a picture that it has not read."""
        return self.p[[self.row[each] for each in sha256]]


@dataclass
class AtWork:
    """The learners of a project, and which of them is at work.

    Attributes
    ----------
    name : who is at work, one of `alutils.labelling.model.contest.known`; '' for nobody
    head, columns : the quick learner and the class numbers of its columns
    names : of all classes, by number, when it was trained
    seen, n_trained : of the quick learner's training pictures
    strong : what the strong learners found; None before
    brought : the model that was brought; None without one
    accuracy : out of fold on what is labelled, by name, when it was chosen last
    held_out : (n, n_classes) float, what the one at work says of the labelled, out of fold
    labelled : position in ``held_out`` by the picture's number
    """

    name: str = ""
    head: Head | None = None
    columns: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    names: list[str] = field(default_factory=list)
    seen: Seen | None = None
    n_trained: int = 0
    strong: Strong | None = None
    brought: Brought | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    held_out: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    labelled: dict[int, int] = field(default_factory=dict)

    def train(self, labelled: Labelled, seen: Seen | None) -> None:
        """Train the quick learner; LabellingError and ParameterError as `learner.train`."""
        with threadpool_limits(1, user_api="blas"):  # the other cores are for people
            self.head, self.columns = learner.train(labelled.x, labelled.y)
        self.n_trained, self.seen, self.names = len(labelled.y), seen, labelled.names

    def choose(self, labelled: Labelled) -> None:
        """Choose who is at work, out of fold on what is labelled."""
        if self.head is None and self.brought is None:
            return
        n_classes = len(labelled.names)
        answers: dict[str, np.ndarray] = {}
        with threadpool_limits(1, user_api="blas"):
            if self.head is not None:
                answers[QUICK] = learner.out_of_fold(
                    labelled.x, labelled.y, labelled.fold, n_classes
                )
            if self.strong is not None:
                for name, p in self.strong.unseen(labelled.sha256, labelled.x).items():
                    answers[name] = np.zeros((len(p), n_classes), np.float32)
                    answers[name][:, : p.shape[1]] = p  # classes that were added since come last
        if self.brought is not None:
            known = np.array([each in self.brought.row for each in labelled.sha256], bool)
            p = np.zeros((len(known), n_classes), np.float32)
            classes = self.brought.model.classes
            columns = np.array([labelled.names.index(name) for name in classes])
            some = [each for each in labelled.sha256 if each in self.brought.row]
            p[np.ix_(known, columns)] = self.brought.pool(some)
            answers[BROUGHT] = p
        if self._same_columns():
            answers = contest.with_averages(answers)
        if self.name not in answers:
            self.name = BROUGHT if BROUGHT in answers else QUICK
        self.name, self.accuracy = contest.choose(answers, labelled.y, self.name)
        self.held_out = answers[self.name]
        self.labelled = {int(item): i for i, item in enumerate(labelled.ids)}

    def _same_columns(self) -> bool:
        """Whether quick and strong learners know the same classes, so that they can be averaged."""
        return self.strong is not None and np.array_equal(self.strong.columns, self.columns)

    @property
    def parts(self) -> list[str]:
        """The learners whose mean is at work."""
        return contest.parts_of(self.name) if self.name else []

    def model(self, extractor: Extractor) -> PictureModel:
        """Return the model at work as it is saved and applied."""
        made = [self._part(name, extractor) for name in self.parts]
        return made[0] if len(made) == 1 else AverageModel(made)

    def _part(self, name: str, extractor: Extractor) -> PictureModel:
        if name == BROUGHT and self.brought is not None:
            return self.brought.model
        if name == QUICK and self.head is not None:
            classes = [self.names[i] for i in self.columns]
            return FeatureModel(extractor, self.head, classes, self.n_trained, self.seen)
        assert self.strong is not None
        if name == NETWORK and self.strong.network is not None:
            return self.strong.network
        n = self.strong.n_trained
        return FeatureModel(extractor, self.strong.head, self.strong.classes, n, self.seen)

    def knows(self, sha256: Sequence[str]) -> np.ndarray:
        """(n,) bool, which pictures the one at work can say something of now."""
        known = np.ones(len(sha256), bool)
        if self.strong is not None and NETWORK in self.parts:
            known &= self.strong.knows(sha256)
        if self.brought is not None and BROUGHT in self.parts:
            known &= np.array([each in self.brought.row for each in sha256], bool)
        return known

    def probabilities(
        self, sha256: Sequence[str], features: np.ndarray
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Say what the one at work says of pictures that it `knows`.

        Returns
        -------
        (n, n_columns) float32, and the names of the columns
        """
        with threadpool_limits(1, user_api="blas"):
            p = [self._says(name, sha256, features) for name in self.parts]
        return np.mean(p, axis=0), self.classes

    def _says(self, name: str, sha256: Sequence[str], features: np.ndarray) -> np.ndarray:
        if name == QUICK and self.head is not None:
            return self.head.predict_proba(features)
        if name == BROUGHT and self.brought is not None:
            return self.brought.pool(sha256)
        assert self.strong is not None
        return self.strong.pool(name, sha256, features)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of the one at work."""
        first = self.parts[0]
        if first == BROUGHT and self.brought is not None:
            return self.brought.model.classes
        if first == QUICK:
            return tuple(self.names[i] for i in self.columns)
        assert self.strong is not None
        return self.strong.classes

    def trained_classes(self) -> set[tuple[int, str]]:
        """Return number and name of each class that a learner here was trained on."""
        known = set()
        if self.head is not None:
            known |= {(int(i), self.names[i]) for i in self.columns}
        if self.strong is not None:
            known |= {(int(i), self.strong.names[i]) for i in self.strong.columns}
        return known

    def forget_trained(self) -> None:
        """Drop the learners that were trained here; one that was brought stays."""
        self.name = BROUGHT if self.brought is not None else ""
        self.head, self.strong, self.n_trained = None, None, 0

    def restore(self, name: str, model: PictureModel, names: list[str]) -> bool:
        """Take over what was at work before a restart; returns whether all its parts are there."""
        if name not in contest.known():
            return False
        parts = contest.parts_of(name)
        models = model.models if isinstance(model, AverageModel) else (model,)
        if len(models) != len(parts):
            return False
        for part, one in zip(parts, models, strict=True):
            if part == QUICK and isinstance(one, FeatureModel) and set(one.classes) <= set(names):
                self.head, self.names = one.head, names
                self.columns = np.array([names.index(each) for each in one.classes])
                self.n_trained, self.seen = one.n_trained, one.seen
            elif part in (QUICK, BROUGHT) or self.strong is None:
                return False
            elif part == SPREAD:  # it was saved with what the quick learner had seen
                self.seen = one.seen
        self.name = name
        return True
