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
from alutils.base.rows import as_rows, number_of

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

    ``rng``: one draw for each arrival, whether there is budget or not.
    """

    rng: np.random.Generator

    def __call__(self, utility: float) -> bool:
        return super().__call__(1 - self.rng.random())  # exact: draws are whole multiples of 2^-53

    def _wants(self, confidence: float) -> bool:
        return confidence <= self.share


@dataclass
class FixedThreshold(_Sparing):
    """Asks where the highest probability is at most a threshold, which `fixed_threshold` chooses.

    Once the classifier is sure of itself it asks no more, wrong or not: drift goes unnoticed.
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

    So the share is spent whether the classifier is sure or not. ``threshold``: of the highest
    probability, at the start; ``step``: by which fraction it moves, over 0 and at most 1.
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
        asked = confidence < self.threshold * self._factor()
        self.threshold *= 1 - self.step if asked else 1 + self.step
        return asked

    def _factor(self) -> float:
        return 1.0


@dataclass
class RandomisedThreshold(VariableThreshold):
    """As `VariableThreshold`, times a normal draw: at times it asks what it is sure of.

    So it finds drift far from the boundary, too. ``rng``: one draw for each arrival while there is
    budget; ``deviation``: the standard deviation of the draws, whose mean is 1.
    """

    rng: np.random.Generator = field(kw_only=True)
    deviation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.deviation) and self.deviation >= 0):
            raise ParameterError("deviation", self.deviation, "expected a number, 0 or higher")

    def _factor(self) -> float:
        return self.rng.normal(1, self.deviation)


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
    features : one row an item, in the order of arrival, as `alutils.active.loops.pool.pool_based`
        takes them
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
    iterator of Step. Numbers that do not fit each other raise ParameterError at once; answers and
    probabilities of the wrong kind ValueError, during the stream.

    Notes
    -----
    Questions before the first training are not ``decide``'s: they count for the budget, not for its
    share. Predictions are made ahead for the rest of a step and made anew after a training, so that
    each arrival is predicted by the classifier of its time without one call for each.

    Source: Atlas, Cohn and Ladner (1990); prequential evaluation, Gama, Sebastiao and Rodrigues
    (2013).
    """
    features = as_rows(features)
    n = number_of(features)
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
    return _steps(
        features, oracle, classifier, decide, n_classes, budget, first, train_every, window, truth,
        report_every,
    )  # fmt: skip


def _steps(
    features, oracle, classifier, decide, n_classes, budget, first, train_every, window, truth,
    every,
):  # fmt: skip
    n = number_of(features)
    book = LabelBook.empty(n)
    n_asked = n_new = n_fits = 0  # n_new: labels since the last training
    for start in range(0, n, every):
        arrivals = np.arange(start, min(start + every, n))
        predicted, utility, asked = np.full(len(arrivals), ABSTAINED), None, []
        for place, item in enumerate(arrivals):
            if n_fits and utility is None:
                p = _probabilities(classifier, features[arrivals[place:]], n_classes)
                predicted[place:] = p.argmax(axis=1)
                utility = np.concatenate([np.empty(place), uncertainty.least_confident(p)])
            wanted = utility is None or decide(float(utility[place]))
            if not wanted or n_asked >= budget:
                continue
            asked.append(item)
            n_asked += 1
            question = arrivals[[place]]
            answer = checked_answers(oracle(question), question, n_classes)
            if answer[0] != ABSTAINED:
                book.add(question, answer, Source.HUMAN, n_fits)
                n_new += 1
            enough = n_new >= (train_every if n_fits else first) or (n_asked >= budget and n_new)
            latest = book.order[-(window or 0) :]
            if enough and len(np.unique(book.label[latest])) > 1:
                classifier.fit(features[latest], book.label[latest])
                n_new, utility = 0, None
                n_fits += 1
        tested = predicted != ABSTAINED
        right = tested & (predicted == truth[arrivals]) if truth is not None else tested[:0]
        yield Step(
            min(start + every, n), n_asked, len(book.order), n_fits, np.array(asked, np.int64),
            int(tested.sum()) if truth is not None else 0, int(right.sum()),
        )  # fmt: skip


def _probabilities(classifier: Any, x: Any, n_classes: int) -> np.ndarray:
    p = uncertainty.checked(classifier.predict_proba(x))
    if p.shape != (number_of(x), n_classes):
        raise ValueError(
            f"predict_proba: an array of shape {p.shape}; expected ({len(x)}, {n_classes}), a "
            "column for every class, also for those not seen yet."
        )
    return p
