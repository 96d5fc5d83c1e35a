"""What is done for a project's model, once: features, training, who is at work, scores.

`alutils.labelling.model.loop` calls it again and again in the background.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from alutils.guarantee.error_chances import Judged, margin_of
from alutils.labelling.model import facts
from alutils.labelling.model.at_work import AtWork, Labelled
from alutils.labelling.model.backbone import BackboneChoice
from alutils.labelling.model.bringing import Bringing
from alutils.labelling.model.by_class import HeldOut
from alutils.labelling.model.contest import BROUGHT, QUICK
from alutils.labelling.model.doubts import Doubts
from alutils.labelling.model.features import Converted, FeatureCache, some_pictures
from alutils.labelling.model.first_pictures import put_typical_first
from alutils.labelling.model.reading import Reading
from alutils.labelling.model.settings import Learning
from alutils.labelling.model.stronger import Stronger
from alutils.labelling.store.records import LabellingError, Model
from alutils.labelling.store.store import Store
from alutils.models import saved
from alutils.models.backbones.extractors import Extractor
from alutils.models.model_files import SavedModelError
from alutils.models.picture_models import PictureModel
from alutils.models.seen import Seen
from alutils.stats.learning_curve import Estimate, LearningCurve

log = logging.getLogger(__name__)
_AT_WORK, _POINTS = "at_work", "learning_curve"
_AGAIN = 1.1  # growth of the labels until it is computed again what more of them would gain


class Training:
    """Features, learners and scores of one project.

    Parameters
    ----------
    store : the project
    learning : how models learn
    model_folder : of a saved model to begin with; None for none
    load : loads it
    stop : is asked, in long work, whether to end

    Attributes
    ----------
    state : what it is doing, as in `alutils.labelling.model.status.Status`
    at_work : the learners, and who of them is at work
    points : what was known after each training
    n_new : labels that people gave, took back or changed since the last training
    features : pictures whose features are there, and all
    said : what the one at work says of all pictures; None before
    judged : what was found out of fold about the one at work; None before
    problem, refusal : what is wrong at the moment; why a model was given up
    bringing : the model that was brought along
    reading : how models see the pictures, and what has to be decided about that
    stronger : the strong learners beside the queue
    doubts : what speaks against labels that people gave
    right : share of all pictures that it has right, as that tells; None where little is known
    advice : what more labels would gain, '' where nothing can be said
    held_out : what is said of the labelled pictures out of fold; None before the first training
    """

    _cache: FeatureCache  # there from the first `work` with pictures on
    _extractor: Extractor

    def __init__(
        self,
        store: Store,
        learning: Learning,
        model_folder: Path | str | None,
        load: Callable[[Path | str], PictureModel],
        stop: Callable[[], bool],
    ) -> None:
        self.store, self.learning, self._stop = store, learning, stop
        self.bringing = Bringing(store, model_folder, load)
        self.reading = Reading(store)
        self.stronger = Stronger(store, learning)
        self.backbone = BackboneChoice(store, learning.features)
        self.at_work = AtWork()
        self.doubts = Doubts(store)
        self.points = facts.from_json(store.database.setting(_POINTS, "[]"))
        self.state, self.n_new, self.features = "off", 0, (0, 0)
        self.problem = self.refusal = self.advice = ""
        self.held_out: HeldOut | None = None
        self.said: facts.Said | None = None
        self.judged: Judged | None = None
        self.right: Estimate | None = None
        self._estimated: tuple[facts.Said | None, Judged | None] = (None, None)
        self._trained_on: dict[int, int] = {}  # label by picture, of the last training
        self._trained_at, self._n_advised = -1e9, 0
        self._curve: LearningCurve | None = None
        self._scored: tuple[str, frozenset[str]] = ("", frozenset())
        self._made: tuple[tuple[object, ...], PictureModel] | None = None
        self._one = threading.Lock()  # who holds it is at work

    def work(self, *, train: bool = False) -> bool:
        """Do once what is due, ``train`` whatever is new; returns whether scores were written."""
        with self._one:
            everything = self.store.reader.snapshot()
            if not hasattr(self, "_cache"):
                self.state = "loading"
                self.bringing.begin()
                if not len(everything["id"]):
                    return False
                self._open(everything)
            self._follow_decisions()
            self._compute_features(everything)
            now = _some(everything, self._cache.has(everything["sha256"].tolist()))
            if self.store.plans.open() is not None:
                return False  # the model is frozen while an attempt to finish goes on
            self._follow_classes()
            self._look(now)
            if self.learning.typical and not self.bringing.is_coming:
                put_typical_first(self.store, now, self._cache.get)
            if not self.reading.state.holds:
                self.bringing.read(
                    self.at_work, now["sha256"].tolist(), self.reading.conversion, self._stop
                )
            found = self.stronger.take_in(self._extractor.identity)
            self.at_work.strong = self.stronger.found
            labelled = None
            if self._due(now, train):
                labelled = self._train(self._labelled(now))
                self._look(now)  # it has seen more now
            elif found:
                labelled = self._labelled(now)
                self._choose(labelled)
            if not self._stop():
                self.stronger.start(now, self._cache, self.reading.conversion)
            scored = self._score(now)
            self._estimate()
            if labelled is not None:
                self.doubts.look(labelled, self.at_work.held_out, self._stop)
                self._advise(labelled)
            return scored

    def _follow_classes(self) -> None:
        """Drop what knows a class that was renamed, merged or deleted: it is trained again."""
        present = {(c.number, c.name) for c in self.store.classes.all()}
        names = {name for _, name in present}
        brought = self.at_work.brought
        if brought is not None and (lost := set(brought.model.classes) - names):
            gone = f"its class {min(lost)!r} was renamed, merged or deleted here"
            self.bringing.give_up(self.at_work, LabellingError(gone))
        if not self.at_work.trained_classes() <= present:
            self._forget()

    def _follow_decisions(self) -> None:
        """Begin anew where it was decided that pictures are read in another way."""
        if self.reading.is_due:
            self._scored = ("", frozenset())  # a decision forgets scores
            if self.reading.renew():
                self._cache = self._features_of(self._extractor)
                self.at_work.brought = None
                self._forget()

    def _look(self, now: dict[str, np.ndarray]) -> None:
        """Find out what has to be decided before a model may label anything."""
        brought = self.bringing.model
        learned = [] if self.at_work.name == BROUGHT else list(self._trained_on)
        self.reading.look(now, None if brought is None else brought.seen, learned, self._stop)

    def _forget(self) -> None:
        """Drop all that was trained here; it is trained again."""
        self.stronger.forget()
        self.at_work.forget_trained()
        self.said = self.judged = self.right = self.held_out = None
        self.doubts = Doubts(self.store)
        self._trained_on, self._trained_at, self._n_advised, self._curve = {}, -1e9, 0, None
        self._scored = ("", frozenset())
        self.store.models.clear_scores()

    # --- the beginning ------------------------------------------------------------------------

    def _open(self, everything: dict[str, np.ndarray]) -> None:
        """Open the features, and take over what was at work before a restart."""
        extractor = self.backbone.first(everything["sha256"].tolist())
        self._extractor = extractor
        self._cache = self._features_of(extractor)
        opened = self.stronger.open(extractor.identity, self.reading.conversion)
        self.refusal = opened or self.refusal
        self.at_work.strong = self.stronger.found
        present = self.store.models.present()
        if present is None or not present.path:
            return
        try:
            model = saved.load_model(self.store.files.model, own=extractor)
            name = self.store.database.setting(_AT_WORK, QUICK)
            names = [c.name for c in self.store.classes.ever()]
            whole = self.at_work.restore(name, model, names)
            if not whole or self.at_work.model(extractor).sha256 != present.sha256:
                raise SavedModelError("it is not the one whose scores are in the queue")
        except SavedModelError as error:
            self.at_work.name = ""
            self.refusal = f"The model cannot be used: {error}; it is trained again."
            return
        labels = self._labels(everything)
        # Otherwise nobody knows which are new since: then all are.
        known = len(labels) == self.at_work.n_trained
        self._trained_on = labels if known else {}
        self._scored = (present.sha256, frozenset())
        if known and labels:
            self._compute_features(everything)
            now = _some(everything, self._cache.has(everything["sha256"].tolist()))
            labelled = self._labelled(now)
            self._choose(labelled)
            self.doubts.look(labelled, self.at_work.held_out, self._stop)
            self._advise(labelled)

    # --- features and training ----------------------------------------------------------------

    def _features_of(self, extractor: Extractor) -> FeatureCache:
        reads = Converted(extractor, self.reading.conversion)
        return FeatureCache(self.store.files.model, reads)

    def _compute_features(self, now: dict[str, np.ndarray]) -> None:
        sha256 = now["sha256"].tolist()
        total, missing = len(sha256), len(self._cache.missing(sha256))
        self.features = (total - missing, total)
        if not missing:
            return
        self.state = "features"

        def done(n: int) -> None:
            self.features = (total - missing + n, total)

        unreadable = self._cache.compute(sha256, self.store.files.picture, self._stop, done)
        if unreadable:
            self.problem = f"{len(unreadable)} pictures cannot be read; they have no prediction."

    @staticmethod
    def _labels(now: dict[str, np.ndarray]) -> dict[int, int]:
        """Labels to train on: people's."""
        chosen = now["label"] >= 0
        return dict(zip(now["id"][chosen].tolist(), now["label"][chosen].tolist(), strict=True))

    def _labelled(self, now: dict[str, np.ndarray]) -> Labelled:
        chosen = now["label"] >= 0
        sha256 = now["sha256"][chosen].tolist()
        names = [c.name for c in self.store.classes.ever()]
        return Labelled(
            now["id"][chosen], sha256, self._cache.get(sha256), now["label"][chosen], names
        )

    def _due(self, now: dict[str, np.ndarray], train: bool) -> bool:
        labels = self._labels(now)
        before = self._trained_on
        self.n_new = sum(labels.get(item) != before.get(item) for item in labels | before)
        if len(set(labels.values())) < 2:
            return False
        waited = self.store.database.steady() - self._trained_at >= self.learning.pause_s
        return train or (self.n_new >= self.learning.retrain_after and waited)

    def _train(self, labelled: Labelled) -> Labelled:
        """Train the quick learner on what there is, and choose who is at work; return that."""
        other = self._reviewed_backbone(labelled)
        if other is not None:
            labelled = other
        self.state = "training"
        pictures = some_pictures(self.store.files, labelled.sha256, self.reading.conversion)
        self.at_work.train(labelled, Seen.of(pictures) if pictures else None)
        self._trained_at = self.store.database.steady()
        self._trained_on = dict(zip(labelled.ids.tolist(), labelled.y.tolist(), strict=True))
        self.n_new = 0
        self._choose(labelled)
        return labelled

    def _reviewed_backbone(self, labelled: Labelled) -> Labelled | None:
        """Look at the choice of the backbone; return the labelled with other features, if any."""
        other = self.backbone.review(labelled, self._extractor, self.reading.conversion)
        if other is None:
            return None
        self._extractor = other
        self._cache = self._features_of(other)
        self.stronger.forget()  # they stand on the other features
        self.at_work.strong = None
        self.at_work.name = BROUGHT if self.at_work.brought else ""
        everything = self.store.reader.snapshot()
        self._compute_features(everything)
        there = self._cache.has(labelled.sha256)
        return Labelled(
            labelled.ids[there],
            [each for each, has in zip(labelled.sha256, there, strict=True) if has],
            self._cache.get([e for e, has in zip(labelled.sha256, there, strict=True) if has]),
            labelled.y[there],
            labelled.names,
        )

    def _choose(self, labelled: Labelled) -> None:
        """Choose who is at work, and note what is known of the choice."""
        if not len(labelled.y):
            return
        self.at_work.choose(labelled)
        self.held_out = HeldOut(labelled.ids, labelled.y, self.at_work.held_out)
        n, name = len(labelled.y), self.at_work.name
        found = self.at_work.held_out, labelled.y, self.at_work.labelled
        sample = self.store.sample.labelled().tolist()
        pool, hard = facts.judged(*found, sample)
        self.judged = facts.judgements(*found, self.store.sample.not_by_doubt().tolist(), name)
        self.points = [p for p in self.points if p.n_labels < n]
        self.points.append(facts.Point(n, pool, hard, name))
        with self.store.database.transaction():
            self.store.database.set_setting(_POINTS, facts.to_json(self.points))

    def _advise(self, labelled: Labelled) -> None:
        """Compute what more labels than these would gain; the curve for it only now and then."""
        n = len(labelled.y)
        if not self.points:
            return
        if self.points[-1].name == QUICK and n >= _AGAIN * self._n_advised:
            self._n_advised, self._curve = n, facts.curve_of_quick(labelled)
        self.advice = facts.advised(n, self.points, self._curve)

    def _estimate(self) -> None:
        """Estimate how good the one at work is on all pictures, where something new is known."""
        if self.said is None or self.judged is None:
            return
        before = self._estimated
        if before[0] is not self.said or before[1] is not self.judged:
            self._estimated = self.said, self.judged
            self.right = facts.expected_right(self.said, self.judged)

    # --- scores -------------------------------------------------------------------------------

    def _made_now(self) -> PictureModel:
        """Return the model at work, made once: its hash is asked for whenever there is a label."""
        at_work = self.at_work
        of = (at_work.name, at_work.head, at_work.strong, at_work.brought)
        if self._made is None or any(a is not b for a, b in zip(of, self._made[0], strict=True)):
            self._made = of, at_work.model(self._extractor)
        return self._made[1]

    def _hold(self) -> None:
        """Offer nothing that a model says while a person has to decide how pictures are read."""
        self.said, self.right, self._scored = None, None, ("", frozenset())
        if self.store.models.present() is not None:
            self.store.models.clear_scores()

    def _score(self, now: dict[str, np.ndarray]) -> bool:
        """Score every picture and put the queue in order; returns whether anything was new."""
        if not self.at_work.name:
            return False
        if self.reading.state.holds:
            self._hold()
            return False
        known = self.at_work.knows(now["sha256"].tolist()) & self.reading.may_be_read(now["id"])
        now = _some(now, known)
        sha256 = now["sha256"].tolist()
        made = self._made_now()
        scored = (made.sha256, frozenset(sha256))
        if scored == self._scored or not sha256:
            return False
        self.state, brought = "scoring", self.at_work.name == BROUGHT
        p, classes = self.at_work.probabilities(sha256, self._cache.get(sha256))
        self.said = facts.Said(made.sha256, now["id"], p, classes)
        numbers = {c.name: c.number for c in self.store.classes.ever()}
        columns = np.array([numbers[name] for name in classes])
        if not brought and made.sha256 != self._scored[0]:
            made.save(self.store.files.model)
        path = "" if brought else self.store.files.model.name
        try:
            is_written = self.store.models.set_scores(
                Model(made.sha256, classes, 0 if brought else made.n_trained, "", path),
                now["id"],
                columns[p.argmax(axis=1)],
                np.minimum(p.max(axis=1).astype(float), 1.0),
                {_AT_WORK: self.at_work.name},
                unless=lambda: self.reading.is_due,  # else it was decided meanwhile how they read
                margin=margin_of(p),
            )
        except LabellingError as error:
            if not brought:
                raise
            self.bringing.give_up(self.at_work, error)
            return False
        if is_written:
            self.problem, self._scored = "", scored
        return is_written


def _some(now: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[which] for name, column in now.items()}
