"""Who answers: perfectly, wrongly at times, not at all at times, and at a price.

An oracle is a callable: (n,) int64 items of the pool -> (n,) int64 labels, `ABSTAINED` where it
will not say. These wrap each other: ``Costly(Noisy.at_rate(Perfect(labels), 0.05, 10, rng), 3.2)``.
Chance is drawn once an item asked for, in the order of asking: the same questions and seed give the
same answers, however they are cut into batches, if each oracle has a generator of its own
(``rng.spawn``). Asked again, `Noisy` and `Abstaining` draw again,
as a person looks again, and `Costly` is paid again; `Perfect` says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from alutils.base.checks import check_fraction, known_values
from alutils.base.errors import ParameterError

ABSTAINED = -1
"""The answer "I will not say"."""

SUM_TOLERANCE = 1e-6
"""How far a row of a confusion matrix may be from summing to one."""

Oracle = Callable[[np.ndarray], np.ndarray]
"""Takes (n,) items of the pool, gives their (n,) labels, `ABSTAINED` where it will not say."""


def checked(answers: np.ndarray, items: np.ndarray, n_classes: int) -> np.ndarray:
    """Return an oracle's answers to (n,) items as (n,) int64: classes, or `ABSTAINED`.

    ValueError for another shape, numbers that are not whole, and the first that is no class.
    """
    answers, items = known_values("answers", answers), np.asarray(items)
    if answers.shape != items.shape:
        raise ValueError(
            f"the oracle: an answer of shape {answers.shape} to {items.shape} items; expected one "
            f"label for each item, {ABSTAINED} where there is none to give."
        )
    if answers.size == 0:
        return np.empty(answers.shape, np.int64)
    if answers.dtype.kind not in "iu":
        raise ValueError(
            f"the oracle: answers of dtype {answers.dtype}, such as {answers.flat[0]!r} for item "
            f"{items.flat[0]}; expected whole numbers: give class numbers, not names or scores."
        )
    wrong = (answers < ABSTAINED) | (answers >= n_classes)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"the oracle: answer {answers[first]} for item {items[first]}; expected a class from 0 "
            f"to {n_classes - 1}, or {ABSTAINED} for none. Map the answers to class numbers, or "
            "raise n_classes."
        )
    return answers.astype(np.int64)


@dataclass(frozen=True)
class Perfect:
    """Knows every label; ``labels`` (n_items,) int, at least 0."""

    labels: np.ndarray

    def __post_init__(self) -> None:
        labels = known_values("labels", self.labels)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ParameterError(
                "labels", f"{labels.dtype} {labels.shape}", "expected (n_items,) whole numbers"
            )
        if labels.min(initial=0) < 0:
            raise ParameterError(
                "labels", labels.min(), "expected classes, 0 or higher", "leave the item out"
            )

    def __call__(self, items: np.ndarray) -> np.ndarray:
        """Return the (n,) int64 labels of (n,) items."""
        return _of_items(self.labels, np.asarray(items)).astype(np.int64)


@dataclass(frozen=True)
class Noisy:
    """Gives wrong answers at times, by the class that the oracle behind it says.

    Where that abstains, so does this one. ``confusion`` (n_classes, n_classes) float: row t holds
    the probabilities of each answer where t is right, and sums to one.
    """

    oracle: Oracle
    confusion: np.ndarray
    rng: np.random.Generator

    def __post_init__(self) -> None:
        matrix = np.asarray(self.confusion, np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise ParameterError(
                "confusion",
                f"an array of shape {matrix.shape}",
                "expected (n_classes, n_classes)",
                "for a rate of errors use Noisy.at_rate",
            )
        sums = matrix.sum(axis=1)
        wrong = ~((np.abs(sums - 1) <= SUM_TOLERANCE) & (matrix >= 0).all(axis=1))
        if wrong.any():
            row = int(wrong.argmax())
            raise ParameterError(
                "confusion",
                matrix[row],
                f"row {row} sums to {sums[row]:.6g}; expected numbers from 0 to 1 that sum to 1",
                "divide each row by its sum",
            )

    @classmethod
    def at_rate(
        cls, oracle: Oracle, rate: float, n_classes: int, rng: np.random.Generator
    ) -> Noisy:
        """Return one that is wrong at a rate (0 to 1), each other class as likely as another."""
        check_fraction("rate", rate)
        if n_classes < 2 and rate > 0:
            raise ParameterError("n_classes", n_classes, "a wrong answer needs 2 classes or more")
        confusion = np.full((n_classes, n_classes), rate / max(n_classes - 1, 1))
        np.fill_diagonal(confusion, 1 - rate)
        return cls(oracle, confusion, rng)

    def __call__(self, items: np.ndarray) -> np.ndarray:
        """Return (n,) int64 answers to (n,) items, `ABSTAINED` where the oracle behind it does."""
        right = checked(self.oracle(items), items, len(self.confusion))
        draws = self.rng.random(len(right))  # for abstentions, too: the others' stay as they are
        said = right != ABSTAINED
        steps = np.cumsum(self.confusion, axis=1)[right[said]]
        steps /= steps[:, -1:]  # the last class with any probability ends at exactly one
        answers = right.copy()
        answers[said] = (draws[said, None] >= steps).sum(axis=1)
        return answers


@dataclass(frozen=True)
class Abstaining:
    """Will not say, at times.

    ``probability`` of no answer: a number, or (n_items,) float, one for each item of the pool.
    """

    oracle: Oracle
    probability: float | np.ndarray
    rng: np.random.Generator

    def __post_init__(self) -> None:
        if np.ndim(self.probability) > 1:
            raise ParameterError(
                "probability",
                f"an array of shape {np.shape(self.probability)}",
                "expected a number or (n_items,)",
            )
        for value in np.atleast_1d(self.probability):
            check_fraction("probability", value)

    def __call__(self, items: np.ndarray) -> np.ndarray:
        """Return (n,) int64 answers to (n,) items, `ABSTAINED` where there is none."""
        items = np.asarray(items)
        probability = _of_items(self.probability, items)
        answers = np.asarray(self.oracle(items))
        return np.where(self.rng.random(len(items)) < probability, ABSTAINED, answers)


@dataclass
class Costly:
    """Counts what it is asked and the seconds that the answers take.

    Put it outermost: then it counts abstentions and wrong answers, too, as they cost as much.

    Attributes
    ----------
    oracle : who answers
    seconds : a label; float, or (n_items,) float, one for each item of the pool; with ``by_class``
        (n_classes,) float, one for each class answered, and their mean where there is no answer
    by_class : whether ``seconds`` goes by classes
    n_asked : items asked for so far, each as often as it was asked for
    spent : seconds so far
    """

    oracle: Oracle
    seconds: float | np.ndarray
    by_class: bool = False
    n_asked: int = field(default=0, init=False)
    spent: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        seconds = np.asarray(self.seconds, np.float64)
        ndims = (1,) if self.by_class else (0, 1)
        if seconds.ndim not in ndims or not seconds.size:
            raise ParameterError(
                "seconds",
                f"an array of shape {seconds.shape}",
                "expected (n_classes,)" if self.by_class else "expected a number or (n_items,)",
            )
        if not (np.isfinite(seconds) & (seconds >= 0)).all():
            raise ParameterError("seconds", self.seconds, "expected numbers, 0 or higher")

    def __call__(self, items: np.ndarray) -> np.ndarray:
        """Return (n,) int64 answers to (n,) items, and count them."""
        items = np.asarray(items)
        seconds = np.asarray(self.seconds, np.float64)
        if self.by_class:
            answers = checked(self.oracle(items), items, len(seconds))
            cost = np.where(answers == ABSTAINED, seconds.mean(), seconds[answers])
        else:
            cost = _of_items(seconds, items)  # before the question: nobody is asked in vain
            answers = np.asarray(self.oracle(items))
        self.n_asked += len(items)
        self.spent += float(cost.sum())
        return answers


def _of_items(values: float | np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return each item's own value, (n,); there is one for all or one for each item."""
    values = np.asarray(values)
    if values.ndim == 0:
        return np.full(len(items), values)
    if items.ndim != 1 or (items.size and items.dtype.kind not in "iu"):
        raise ValueError(
            f"items: {items.dtype} of shape {items.shape}; expected (n,) whole numbers."
        )
    outside = items[(items < 0) | (items >= len(values))]
    if len(outside):
        raise ValueError(
            f"item {outside[0]}: the oracle knows items 0 to {len(values) - 1}; ask for these."
        )
    return values[items.astype(np.int64)]
