"""The model behind the queue: it learns from the labels in the background and orders what is left.

One thread of its own computes features of new pictures, trains when enough has been labelled,
scores all pictures and writes the scores in one transaction. Labelling never waits for it, and what
goes wrong in it is said in `LabellingLoop.status` while the queue goes on without it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from alutils.labelling.model import learner
from alutils.labelling.model.auditing import LEVEL, TARGET, Auditor, Permission
from alutils.labelling.model.features import Extractor, FeatureCache
from alutils.labelling.model.learner import Head
from alutils.labelling.store.records import LabellingError, Model
from alutils.labelling.store.store import Store
from alutils.models import embeddings

log = logging.getLogger(__name__)
RETRAIN_AFTER, PAUSE_S = 20, 5.0
_REST_S, _POLL_S, _BACK_OFF_S = 0.3, 1.0, 20.0
_KEPT = 3  # models of this project that stay on the disk


@dataclass(frozen=True)
class Status(Permission):
    """What the model is doing and what it may do."""

    state: str  # ``off``, ``waiting``, ``loading``, ``features``, ``training``, ``scoring``
    problem: str  # what went wrong, '' if nothing
    model: str  # SHA-256 of the model whose scores are in the queue, '' without one
    brought: bool  # it was brought along, not trained here
    n_trained: int  # labels it was trained on here
    n_new: int  # labels that people gave, took back or changed since
    features_done: int  # pictures
    features_total: int
    # The next four are about the present model. They are so only once it was asked for a
    # certificate: a model picked by its accuracy there would make a certificate worthless. Until
    # then each label is held against the model of the moment it was given.
    audit_is_present: bool
    audit_labelled: int  # pictures of the audit slice with a label and a prediction
    audit_right: int  # those of them where the prediction was right
    audit_low: float  # 95% interval of this share (Clopper, Pearson); 0 and 1 without labels
    audit_high: float
    advice: str  # what more labels would buy


class LabellingLoop:
    """Trains, scores and certifies for one project.

    Parameters
    ----------
    store : the project
    extractor : of features; VGG16 at 32 x 32 by default, or as the model that is brought needs it
    model_folder : of a model that notebook 03 saved, to begin with
    retrain_after : labels after which a model is trained again, 1 or more
    pause_s : seconds between two trainings, at least
    target, level : of certificates, as for `alutils.labelling.model.auditing.Auditor`
    bring : loads the model that is brought; for tests
    """

    _cache: FeatureCache  # there from the first `work` on

    def __init__(
        self,
        store: Store,
        extractor: Extractor | None = None,
        *,
        model_folder: Path | str | None = None,
        retrain_after: int = RETRAIN_AFTER,
        pause_s: float = PAUSE_S,
        target: float = TARGET,
        level: float = LEVEL,
        bring: Callable[[Path | str], tuple[Head, Extractor]] = learner.bring,
    ) -> None:
        if retrain_after < 1:
            raise LabellingError(f"retrain_after={retrain_after}: expected 1 or more labels")
        self.store, self._given_extractor, self._model_folder = store, extractor, model_folder
        self.retrain_after, self.pause_s = retrain_after, pause_s
        self.auditor, self._bring = Auditor(store, target, level), bring
        self._brought: Head | None = None
        self._head: Head | None = None
        self._trained_on: dict[int, int] = {}  # label by picture, of the last training
        self._trained_at = -1e9
        self._scored: tuple[str, frozenset[str]] = ("", frozenset())
        self._state, self._advice, self._n_new = "off", "", 0
        self._problem = self._refusal = ""  # of the moment; why a model was given up
        self._features = (0, 0)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._at_work = threading.Lock()
        self._thread: threading.Thread | None = None

    # --- the thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work in the background; once is enough."""
        if self._thread is None:
            self._stop.clear()
            self._state = "waiting"
            self._thread = threading.Thread(target=self._run, name="labelling model", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 30.0) -> bool:
        """End the work; returns whether it has ended within the time."""
        self._stop.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        thread.join(timeout)
        self._state = "off"
        return not thread.is_alive()

    def poke(self) -> None:
        """Say that there is something new: pictures, labels."""
        self._wake.set()

    def _run(self) -> None:
        done = None
        while not self._stop.is_set():
            rest = _REST_S
            try:
                position = self.store.reader.position()
                # A look at all pictures costs tens of milliseconds: only if something has happened,
                # or what had happened is still waiting for its pause.
                if position != done or self._n_new >= self.retrain_after:
                    self.work()
                    done = position
            except Exception as error:
                # Whatever it is, people label on, and it is tried again: the thread must not die.
                log.exception("the labelling model")
                self._problem = f"The model could not be used: {error}"
                rest, done = _BACK_OFF_S, None
            self._state = "waiting"
            self._stop.wait(rest)  # however often somebody pokes
            self._wake.wait(_POLL_S)
            self._wake.clear()

    def work(self, *, train: bool = False) -> bool:
        """Do once what is due, ``train`` whatever is new; returns whether scores were written."""
        with self._at_work:
            if not hasattr(self, "_cache"):
                self._load()
            everything = self.store.reader.snapshot()
            self._compute_features(everything)
            missing = set(self._cache.missing(everything["sha256"].tolist()))
            have = np.array([sha not in missing for sha in everything["sha256"]], bool)
            now = {name: column[have] for name, column in everything.items()}
            if self._due(now, train):
                self._train(now)
            elif self._trained_on and not self._advice:  # after a restart
                self._advice = self._advise(*self._training_set(now))
            if self._head is None or not len(now["id"]):
                return False
            scored = (self._head.sha256, frozenset(now["sha256"].tolist()))
            if scored == self._scored:
                return False
            self._score(self._head, now)
            self._scored = scored
            return True

    def _load(self) -> None:
        """Load the model that was brought, or the last one of this project."""
        self._state = "loading"
        extractor = self._given_extractor
        if self._model_folder is not None:
            try:
                self._brought, made = self._bring(self._model_folder)
                extractor = extractor or made
                self._take_classes(self._brought)
            except LabellingError as error:
                self._brought, self._refusal = None, f"The model cannot be used: {error}"
        extractor = extractor or embeddings.network()
        self._cache = FeatureCache(self.store.files.model, extractor)
        self._head, present = self._brought, self.store.models.present()
        if present is not None and present.path:
            path = self.store.files.root / present.path
            try:
                self._head = learner.load(path, extractor.identity)
                self._take_classes(self._head)
                labels = self._labels(self.store.reader.snapshot())
                # Otherwise nobody knows which are new since: then all are.
                self._trained_on = labels if len(labels) == self._head.n_trained else {}
                self._scored = (self._head.sha256, frozenset())
            except LabellingError as error:
                self._head, self._refusal = self._brought, f"The model cannot be used: {error}"

    def _take_classes(self, head: Head) -> None:
        """Check a model's classes against the project's; an empty project takes them over."""
        names = [c.name for c in self.store.classes.all()]
        if not names:
            self.store.classes.add(head.classes)
            return
        strange = [name for name in head.classes if name not in names]
        if strange:
            raise LabellingError(
                f"it has {len(strange)} classes that the project has not ({', '.join(strange[:5])}"
                f"{', ...' if len(strange) > 5 else ''}); add them, or begin another project"
            )

    def _compute_features(self, now: dict[str, np.ndarray]) -> None:
        sha256 = now["sha256"].tolist()
        total, missing = len(sha256), len(self._cache.missing(sha256))
        self._features = (total - missing, total)
        if not missing:
            return
        self._state = "features"

        def done(n: int) -> None:
            self._features = (total - missing + n, total)

        unreadable = self._cache.compute(sha256, self.store.files.picture, self._stop.is_set, done)
        if unreadable:
            self._problem = f"{len(unreadable)} pictures cannot be read; they have no prediction."

    @staticmethod
    def _labels(now: dict[str, np.ndarray]) -> dict[int, int]:
        """Labels to train on: people's, outside the audit slice."""
        chosen = (now["label"] >= 0) & ~now["audit"]
        return dict(zip(now["id"][chosen].tolist(), now["label"][chosen].tolist(), strict=True))

    def _due(self, now: dict[str, np.ndarray], train: bool) -> bool:
        labels = self._labels(now)
        before = self._trained_on
        self._n_new = sum(labels.get(item) != before.get(item) for item in labels | before)
        if len(set(labels.values())) < 2:
            return False
        waited = self.store.database.clock() - self._trained_at >= self.pause_s
        return train or (self._n_new >= self.retrain_after and waited)

    def _train(self, now: dict[str, np.ndarray]) -> None:
        """Train on what there is; keep the model that was brought while it is the better one."""
        self._state = "training"
        x, y, names = self._training_set(now)
        identity = self._cache.extractor.identity
        with threadpool_limits(1, user_api="blas"):  # the other cores are for people
            head = learner.train(x, y, names, identity)
            if self._brought is not None:
                # Neither has seen the labels that it is judged by here.
                ours = np.count_nonzero(learner.out_of_fold(x, y, names) == y)
                columns = np.array([names.index(name) for name in self._brought.classes])
                theirs = columns[self._brought.predict_proba(x).argmax(axis=1)]
                if np.count_nonzero(theirs == y) >= ours:
                    head = self._brought
        brought = "The model is the one that was brought along; labels have not bettered it yet."
        self._advice = brought if head is self._brought else self._advise(x, y, names)
        if head is not self._brought:
            learner.save(head, self.store.files.model)
        self._head = head
        self._trained_on, self._n_new = self._labels(now), 0
        self._trained_at = self.store.database.clock()

    def _training_set(self, now: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Features and class numbers of what can be learnt from, and the names of the classes."""
        labels = self._labels(now)
        sha_of = dict(zip(now["id"].tolist(), now["sha256"].tolist(), strict=True))
        x = self._cache.get([sha_of[item] for item in labels])
        return x, np.array(list(labels.values())), [c.name for c in self.store.classes.all()]

    @staticmethod
    def _advise(x: np.ndarray, y: np.ndarray, names: list[str]) -> str:
        with threadpool_limits(1, user_api="blas"):
            right = [learner.out_of_fold(x, y, names, n_seen) == y for n_seen in (1, 2)]
        return learner.advice(*right)

    def _score(self, head: Head, now: dict[str, np.ndarray]) -> None:
        """Score every picture and put the queue in order."""
        self._state, brought = "scoring", head is self._brought
        numbers = {c.name: c.number for c in self.store.classes.all()}
        with threadpool_limits(1, user_api="blas"):
            probabilities = head.predict_proba(self._cache.get(now["sha256"].tolist()))
        columns = np.array([numbers[name] for name in head.classes])
        path = "" if brought else f"{self.store.files.model.name}/{head.sha256}.npz"
        model = Model(head.sha256, head.classes, head.n_trained, "", path)
        try:
            self.store.models.set_scores(
                model,
                now["id"],
                columns[probabilities.argmax(axis=1)],
                np.minimum(probabilities.max(axis=1).astype(float), 1.0),
            )
        except LabellingError as error:
            if not brought:
                raise
            # It will not get better by trying again: begin from features instead.
            self._brought = self._head = None
            self._refusal = f"The model cannot be used: {error}"
            self.store.models.clear_scores()
            return
        self._problem = ""
        kept = {model.sha256, *(m.sha256 for m in self.store.models.all()[-_KEPT:])}
        for file in self.store.files.model.glob("*.npz"):
            if file.stem not in kept:
                file.unlink(missing_ok=True)

    def status(self) -> Status:
        """Say what is going on; quick enough to be asked every second."""
        present = self.store.models.present()
        was_asked = present is not None and self.store.audit.was_asked(present.sha256)
        if was_asked:
            audit = self.store.audit.answers()
            labelled = audit["asked"] & (audit["label"] >= 0)
            n = int(labelled.sum())
            right = int((audit["label"] == audit["predicted"])[labelled].sum())
        else:
            progress = self.store.reader.progress()
            n, right = progress.audit_judged, progress.audit_right
        interval = stats.binomtest(right, n).proportion_ci(0.95) if n else None
        return Status(
            **vars(self.auditor.permission()),
            state=self._state,
            problem=" ".join(filter(None, (self._refusal, self._problem))),
            model=present.sha256 if present else "",
            brought=bool(present and not present.path),
            n_trained=present.n_trained if present else 0,
            n_new=self._n_new,
            features_done=self._features[0],
            features_total=self._features[1],
            audit_is_present=was_asked,
            audit_labelled=n,
            audit_right=right,
            audit_low=float(interval.low) if interval else 0.0,
            audit_high=float(interval.high) if interval else 1.0,
            advice=self._advice or "Nothing can be said yet about what more labels would buy.",
        )
