"""Stream-based selective sampling: each item is seen once, and asked for then or never.

Who decides is a callable: the utility of an arrival (`uncertainty.least_confident`) -> ask or not.
Those here keep the share of arrivals that they ask for under a limit, and remember what they spent:
one object for each stream. `drift` has streams whose concept changes.

Source: Atlas, Cohn and Ladner (1990), selective sampling; Zliobaite, Bifet, Pfahringer and Holmes
(2014), "Active learning with drifting streaming data", the strategies and their budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from alutils.active.labels import LabelBook, Source
from alutils.active.loops.pool import check_within
from alutils.active.oracles import ABSTAINED, Oracle
from alutils.active.oracles import checked as checked_answers
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction
from alutils.base.errors import ParameterError

Decide = Callable[[float], bool]
"""Takes the utility of an arrival, 0 (sure) to 1, and says whether to ask for its label."""


@dataclass
class _Sparing:
    """What the strategies share: an estimate of what was spent lately, and a limit to it.

    The estimate is the paper's: u_t = u_(t-1) (w - 1) / w + asked_t, where u_t / w stands for the
    share asked for among the last w arrivals. It is one number, where an exact count would keep the
    last w decisions. It starts at nothing spent, so that -w log(1 - share) arrivals in a row may be
    asked for at the start; of n arrivals, at most (n + w) (share + 1 / w) are.

    Attributes
    ----------
    share : of the arrivals that may be asked for, 0 to 1
    window : w, in arrivals
    spent : u, the estimate of the questions among the last w arrivals
    """

    share: float
    window: int = field(default=100, kw_only=True)
    spent: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        check_fraction("share", self.share)
        check_count("window", self.window, 1)

    def __call__(self, utility: float) -> bool:
        """Say whether to ask for the next arrival, and count it."""
        asked = self.spent / self.window < self.share and self._wants(1 - utility)
        self.spent = self.spent * ((self.window - 1) / self.window) + asked
        return bool(asked)

    def _wants(self, confidence: float) -> bool:
        raise NotImplementedError


@dataclass
class Random(_Sparing):
    """Asks by chance, whatever the classifier says: the base line, which meets drift anywhere.

    Attributes
    ----------
    rng : one draw for each arrival
    """

    rng: np.random.Generator
    _draw: float = field(default=1.0, init=False, repr=False)

    def __call__(self, utility: float) -> bool:
        """Say whether to ask for the next arrival, and count it."""
        self._draw = self.rng.random()  # whether there is budget or not
        return super().__call__(utility)

    def _wants(self, confidence: float) -> bool:
        return self._draw <= self.share


@dataclass
class FixedThreshold(_Sparing):
    """Asks where the highest probability is at most a threshold, which `fixed_threshold` chooses.

    Once the classifier is sure of itself it asks no more, wrong or not: drift goes unnoticed.

    Attributes
    ----------
    threshold : of the highest probability, 0 to 1
    """

    threshold: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("threshold", self.threshold)

    def _wants(self, confidence: float) -> bool:
        return confidence <= self.threshold


def fixed_threshold(share: float, n_classes: int) -> float:
    """Return the confidence as far above chance (1 / ``n_classes``) as ``share`` is above 0."""
    check_fraction("share", share)
    check_count("n_classes", n_classes, 1)
    return 1 / n_classes + share * (1 - 1 / n_classes)


@dataclass
class VariableThreshold(_Sparing):
    """Asks under a threshold that each question lowers and each arrival passed over raises.

    So the share is spent whether the classifier is sure or not.

    Attributes
    ----------
    threshold : of the highest probability, at the start; it moves
    step : by which fraction it moves, over 0 and at most 1
    """

    threshold: float = 1.0
    step: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.threshold) and self.threshold > 0):
            raise ParameterError("threshold", self.threshold, "expected a number over 0")
        if not 0 < self.step <= 1:
            raise ParameterError("step", self.step, "expected a fraction over 0, at most 1")

    def _wants(self, confidence: float) -> bool:
        asked = confidence < self._threshold_now()
        self.threshold *= 1 - self.step if asked else 1 + self.step
        return asked

    def _threshold_now(self) -> float:
        return self.threshold


@dataclass
class RandomisedThreshold(VariableThreshold):
    """As `VariableThreshold`, times a normal draw: at times it asks what it is sure of.

    So it finds drift far from the boundary, too.

    Attributes
    ----------
    rng : one draw for each arrival while there is budget
    deviation : standard deviation of the draws, whose mean is 1
    """

    rng: np.random.Generator = field(kw_only=True)
    deviation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.deviation) and self.deviation >= 0):
            raise ParameterError("deviation", self.deviation, "expected a number, 0 or higher")

    def _threshold_now(self) -> float:
        return self.threshold * self.rng.normal(1, self.deviation)


@dataclass(frozen=True)
class Step:
    """What happened to some arrivals in a row.

    Attributes
    ----------
    n_seen, n_asked, n_labels, n_fits : arrivals, questions, answers with a label, and trainings so
        far, this step's included
    items : (n,) int64, which of this step's arrivals were asked for
    n_tested : this step's arrivals that were predicted before anything else was done with them, and
        whose truth is known
    n_right : of these
    """

    n_seen: int
    n_asked: int
    n_labels: int
    n_fits: int
    items: np.ndarray
    n_tested: int
    n_right: int

    @property
    def accuracy(self) -> float:
        """Prequential: each arrival tests the classifier before it may train it; NaN for none."""
        return self.n_right / self.n_tested if self.n_tested else float("nan")


def stream_based(
    features: Any,
    oracle: Oracle,
    classifier: Any,
    decide: Decide,
    *,
    n_classes: int,
    budget: int,
    first: int = 10,
    train_every: int = 10,
    window: int | None = None,
    truth: np.ndarray | None = None,
    report_every: int = 100,
) -> Iterator[Step]:
    """Let items arrive one by one; predict each, decide whether to ask, train now and then.

    Parameters
    ----------
    features : one row an item, in the order of arrival; anything that has a length and takes an
        array of items as index
    oracle : gives the labels of items, -1 where it abstains, which costs a question and gives none
    classifier : ``fit(x, y)`` trains it, ``predict_proba(x)`` gives (n, n_classes) probabilities
    decide : asked once an arrival, in order, from the first training on
    n_classes : of the labels
    budget : questions in all; never exceeded. Afterwards the rest of the stream is only predicted.
    first : labels with which training begins. Until then every arrival is asked for, on as long as
        all answers are of one class.
    train_every : new labels between trainings; the last ones train, too, when the budget ends
    window : train on the latest so many labels only; None: on all. While these are all of one class
        the classifier stays as it is.
    truth : (n_items,) int, the right labels, to measure with; the classifier never sees them
    report_every : arrivals a step

    Returns
    -------
    iterator of Step

    Raises
    ------
    ParameterError
        for numbers that do not fit each other, at once
    ValueError
        during the stream, for answers and probabilities of the wrong kind

    Notes
    -----
    Questions before the first training are not ``decide``'s: they count for the budget, not for its
    share. Predictions are made ahead for the rest of a step and made anew after a training, so that
    each arrival is predicted by the classifier of its time without one call for each.

    Source: Atlas, Cohn and Ladner (1990); prequential evaluation, Gama, Sebastiao and Rodrigues
    (2013).
    """
    n = len(features)
    counts = {"n_classes": n_classes, "budget": budget, "first": first, "train_every": train_every}
    counts |= {"report_every": report_every} | ({} if window is None else {"window": window})
    for name, value in counts.items():
        check_count(name, value, 1)
    check_within(budget, first=first)
    if window is not None and window < 2:
        raise ParameterError("window", window, "one label is one class", "ask for 2 or more")
    if truth is not None and np.shape(truth) != (n,):
        raise ParameterError(
            "truth", f"an array of shape {np.shape(truth)}", f"expected a label for each of {n}"
        )
    run = _Run(
        features, oracle, classifier, decide, n_classes, budget, first, train_every, window or 0,
        LabelBook.empty(n),
    )  # fmt: skip
    return run.steps(n, report_every, truth)


@dataclass
class _Run:
    """A stream under way."""

    features: Any
    oracle: Oracle
    classifier: Any
    decide: Decide
    n_classes: int
    budget: int
    first: int
    train_every: int
    window: int  # 0 for all labels
    book: LabelBook
    n_asked: int = 0
    n_new: int = 0  # labels since the last training
    n_fits: int = 0

    def steps(self, n: int, every: int, truth: np.ndarray | None) -> Iterator[Step]:
        for start in range(0, n, every):
            stop = min(start + every, n)
            predicted, asked = np.full(stop - start, ABSTAINED), []
            position = start
            while position < stop:
                position = self._until_trained(position, stop, predicted[position - start :], asked)
            tested = predicted != ABSTAINED
            known = np.count_nonzero(tested) if truth is not None else 0
            right = np.count_nonzero(predicted[tested] == truth[start:stop][tested]) if known else 0
            yield Step(
                stop, self.n_asked, len(self.book.order), self.n_fits,
                np.array(asked, np.int64), int(known), int(right),
            )  # fmt: skip

    def _until_trained(self, start: int, stop: int, predicted: np.ndarray, asked: list) -> int:
        """Let items arrive until the classifier changes or ``stop``; return who is next.

        What is predicted goes into ``predicted`` (those after the change are predicted again), who
        was asked for into ``asked``.
        """
        utility = None
        if self.n_fits:
            utility = self._predict(np.arange(start, stop), predicted)
        for item in range(start, stop):
            wanted = utility is None or self.decide(float(utility[item - start]))
            if not wanted or self.n_asked >= self.budget:
                continue
            asked.append(item)
            self._ask(item)
            if self._due():
                self._train()
                return item + 1
        return stop

    def _predict(self, items: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        p = uncertainty.checked(self.classifier.predict_proba(self.features[items]))
        if p.shape != (len(items), self.n_classes):
            raise ValueError(
                f"predict_proba: an array of shape {p.shape}; expected ({len(items)}, "
                f"{self.n_classes}), a column for every class, also for those not seen yet."
            )
        predicted[:] = p.argmax(axis=1)
        return uncertainty.least_confident(p)

    def _ask(self, item: int) -> None:
        question = np.array([item], np.int64)
        answer = checked_answers(self.oracle(question), question, self.n_classes)
        self.n_asked += 1
        if answer[0] != ABSTAINED:
            self.book.add(question, answer, Source.HUMAN, self.n_fits)
            self.n_new += 1

    def _due(self) -> bool:
        enough = self.n_new >= (self.train_every if self.n_fits else self.first)
        last = self.n_asked >= self.budget and self.n_new > 0
        return (enough or last) and len(np.unique(self.book.labels[-self.window :])) > 1

    def _train(self) -> None:
        latest = self.book.order[-self.window :]
        self.classifier.fit(self.features[latest], self.book.label[latest])
        self.n_new = 0
        self.n_fits += 1
