"""The model behind the queue: it learns from the labels in the background and orders what is left.

One thread of its own does what is due (`alutils.labelling.model.training`); beside it a process of
its own trains the strong learners. Labelling never waits for either, and what goes wrong in them is
said in `LabellingLoop.status` while the queue goes on without them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from alutils.labelling.model.facts import Share
from alutils.labelling.model.settings import Learning
from alutils.labelling.model.status import Status
from alutils.labelling.model.training import Training
from alutils.labelling.store.records import LabellingError, UnavailableError
from alutils.labelling.store.store import Store
from alutils.models import saved
from alutils.models.model_files import SavedModelError
from alutils.models.picture_models import PictureModel

log = logging.getLogger(__name__)
_REST_S, _POLL_S, _BACK_OFF_S = 0.3, 1.0, 20.0


class LabellingLoop:
    """Trains and scores for one project.

    Parameters
    ----------
    store : the project
    learning : how models learn
    model_folder : of a saved model to begin with
    load : loads the model that is brought; for tests
    """

    def __init__(
        self,
        store: Store,
        learning: Learning | None = None,
        model_folder: Path | str | None = None,
        *,
        load: Callable[[Path | str], PictureModel] = saved.load_model,
    ) -> None:
        self.store, self.learning = store, learning or Learning()
        self._stop, self._wake = threading.Event(), threading.Event()
        self.training = Training(store, self.learning, model_folder, load, self._stop.is_set)
        self._thread: threading.Thread | None = None
        self._is_asked = False  # somebody wants it to learn from all labels now
        self.also: Callable[[], object] = lambda: None  # is called in the background now and then

    # --- the thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work in the background; once is enough."""
        if self._thread is None:
            self._stop.clear()
            self.training.state = "waiting"
            self._thread = threading.Thread(target=self._run, name="labelling model", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 30.0) -> bool:
        """End the work, here and beside; returns whether it has ended within the time."""
        self._stop.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout)
            self.training.state = "off"
        self.training.stronger.beside.stop()
        return thread is None or not thread.is_alive()

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def poke(self) -> None:
        """Say that there is something new: pictures, labels."""
        self._wake.set()

    def learn(self) -> None:
        """Learn from all labels that there are, without waiting for more; done when it is polled.

        In the background where that works, else at once.
        """
        if self.is_running:
            self._is_asked = True
            self.poke()
        else:
            self.work(train=True)

    @property
    def is_learning(self) -> bool:
        """Whether it was asked to `learn` and has not done it yet, or is at it."""
        return self._is_asked

    def _run(self) -> None:
        done = None
        while not self._stop.is_set():
            rest = _REST_S
            try:
                position = self.store.reader.position()
                # A look at all pictures costs tens of milliseconds: only if something has happened,
                # or what had happened is still waiting for its pause.
                waits = self.training.n_new >= self.learning.retrain_after
                decided = self.training.reading.is_due
                ended = self.training.stronger.beside.has_ended
                if position != done or waits or decided or ended or self._is_asked:
                    asked = self._is_asked
                    self.training.work(train=asked)
                    self._is_asked = self._is_asked and not asked
                    self.also()
                    done = position
            except UnavailableError as error:  # the keeper says it in the terminal
                self.training.problem = f"The model waits: {error}"
                rest, done = _BACK_OFF_S, None
            except Exception as error:
                # Whatever it is, people label on, and it is tried again: the thread must not die.
                log.exception("the labelling model")
                self.training.problem = f"The model could not be used: {error}"
                rest, done = _BACK_OFF_S, None
            self.training.state = "waiting"
            self._stop.wait(rest)  # however often somebody pokes
            self._wake.wait(_POLL_S)
            self._wake.clear()

    def work(self, *, train: bool = False) -> bool:
        """Do once what is due, ``train`` whatever is new; returns whether scores were written."""
        return self.training.work(train=train)

    def status(self) -> Status:
        """Say what is going on; quick enough to be asked every second."""
        present, training = self.store.models.present(), self.training
        last = training.points[-1] if training.points else None
        problems = (
            training.bringing.refusal,
            training.refusal,
            training.problem,
            training.stronger.problem,
        )
        return Status(
            state=training.state,
            problem=" ".join(filter(None, problems)),
            model=present.sha256 if present else "",
            brought=bool(present and not present.path),
            name=training.at_work.name,
            n_trained=present.n_trained if present else 0,
            n_new=training.n_new,
            features_done=training.features[0],
            features_total=training.features[1],
            backbone=training.backbone.why,
            beside=training.stronger.doing,
            right=training.right if present else None,
            pool=last.pool if last else Share(0, 0),
            labelled=last.labelled if last else Share(0, 0),
            points=tuple(training.points),
            advice=training.advice,
        )


def classes_of(model: Path | str) -> tuple[str, ...]:
    """Read the names of a saved model's classes; LabellingError where there is none."""
    try:
        return saved.classes_of(model)
    except SavedModelError as error:
        raise LabellingError(str(error)) from error
