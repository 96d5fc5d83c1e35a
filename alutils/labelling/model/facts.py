"""How good the model at work is on all pictures, and what more labels would gain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from alutils.guarantee import error_chances
from alutils.guarantee.cost import Waiting
from alutils.guarantee.error_chances import Judged, margin_of
from alutils.labelling.model import learner
from alutils.labelling.model.at_work import Labelled
from alutils.labelling.model.contest import BROUGHT, NETWORK, QUICK, parts_of
from alutils.stats import learning_curve
from alutils.stats.intervals import wilson
from alutils.stats.learning_curve import Estimate, LearningCurve

FEWEST_AT_RANDOM = 20
"""Pictures of the random sample below which no accuracy on all pictures is given."""
FEWEST_FOR_ADVICE = 100
"""Labels below which nothing is said about what more of them would gain."""
LITTLE = 0.01
"""Accuracy: more labels are said to buy little only where less than this is to be expected."""
_APART = 1.4  # times as many labels between two points of a curve
_PARTS, _SIZES = 6, (1, 2, 4, 5)
"""Folds of the learning curve, and how many of them its models are trained on."""


@dataclass(frozen=True)
class Share:
    """So many right of so many, with the 95% interval of the share (Wilson 1927)."""

    right: int
    judged: int

    @property
    def value(self) -> float:
        """The share; NaN where nothing was judged."""
        return self.right / self.judged if self.judged else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high; 0 and 1 where nothing was judged."""
        if not self.judged:
            return 0.0, 1.0
        return wilson(self.value, self.judged)


@dataclass(frozen=True)
class Point:
    """What was known after a training.

    Attributes
    ----------
    n_labels : that could be learned from
    pool : on the random sample of all pictures
    labelled : on all that was labelled, mostly the hard ones
    name : who was at work
    """

    n_labels: int
    pool: Share
    labelled: Share
    name: str


@dataclass(frozen=True)
class Said:
    """What a model says of all pictures.

    Attributes
    ----------
    model : its hash
    ids : (n,) int64, numbers of the pictures, rising
    p : (n, n_columns) float32
    classes : names of the columns
    """

    model: str
    ids: np.ndarray
    p: np.ndarray
    classes: tuple[str, ...]


def judgements(
    held_out: np.ndarray,
    labels: np.ndarray,
    position: Mapping[int, int],
    not_by_doubt: Sequence[int],
    name: str,
) -> Judged:
    """Return how sure a model was of each labelled picture out of fold, and whether wrongly.

    Parameters are as in `judged`; ``not_by_doubt`` are the pictures that no model's doubt has
    picked, ``name`` is who is at work.
    """
    unpicked = np.zeros(len(labels), bool)
    unpicked[[position[item] for item in not_by_doubt if item in position]] = True
    # The network at work is the mean of those of the folds.
    of_many = bool(name) and NETWORK in parts_of(name)
    return Judged(margin_of(held_out), learner.says(held_out) != labels, unpicked, of_many)


def judged(
    held_out: np.ndarray, labels: np.ndarray, position: Mapping[int, int], sample: Sequence[int]
) -> tuple[Share, Share]:
    """Count what a model has right, out of fold.

    Parameters
    ----------
    held_out : (n, n_classes) float, its answers for the labelled pictures
    labels : (n,) int
    position : row by the picture's number
    sample : numbers of the labelled pictures of the random sample

    Returns
    -------
    pool : on the random sample, which stands for all pictures
    labelled : on all that was labelled
    """
    right = learner.says(held_out) == labels
    rows = [position[item] for item in sample if item in position]
    return (
        Share(int(right[rows].sum()), len(rows)),
        Share(int(right.sum()), len(right)),
    )


def expected_right(said: Said, judged: Judged) -> Estimate | None:
    """Estimate which share of all pictures a model has right, from labels that are mostly hard.

    How likely it is wrong is learned from its doubts out of fold, and applied to all its doubts: so
    far fewer labels tell than a random sample takes. It is on the low side: what is said out of
    fold comes from models that learned from fewer labels.

    Returns
    -------
    the middle, and where 95% of the curves lie that fit; None below `FEWEST_AT_RANDOM` labels
    """
    if len(judged.margin) < FEWEST_AT_RANDOM or not len(said.p):
        return None
    groups = Waiting.of(said.p)
    right = 1 - error_chances.fitted(judged).of(groups.margin) @ groups.size / len(groups)
    low, middle, high = np.quantile(right, [0.025, 0.5, 0.975])
    return Estimate(float(middle), float(low), float(high))


def to_json(points: Sequence[Point]) -> str:
    """Return points as text."""
    rows = [
        [p.n_labels, p.pool.right, p.pool.judged, p.labelled.right, p.labelled.judged, p.name]
        for p in points
    ]
    return json.dumps(rows)


def from_json(text: str) -> list[Point]:
    """Return the points of `to_json`; none for a text that is something else."""
    try:
        return [Point(r[0], Share(r[1], r[2]), Share(r[3], r[4]), r[5]) for r in json.loads(text)]
    except (ValueError, TypeError, IndexError):
        return []


def curve_of_quick(labelled: Labelled) -> LearningCurve | None:
    """Fit the quick learner's curve to all that is labelled, mostly the hard pictures.

    None below `FEWEST_FOR_ADVICE` labels. It takes longer than a training.
    """
    n = len(labelled.y)
    if n < FEWEST_FOR_ADVICE:
        return None
    fold = learner.fold_of(labelled.sha256, _PARTS)
    with threadpool_limits(1, user_api="blas"):
        wrong = [
            learner.says(
                learner.out_of_fold(labelled.x, labelled.y, fold, len(labelled.names), n_seen)
            )
            != labelled.y
            for n_seen in _SIZES
        ]
    return learning_curve.fitted(np.array(_SIZES) / _PARTS * n, np.array(wrong), fold)


def gain_of_quick(curve: LearningCurve | None, n: int, pool: Share) -> Estimate | None:
    """Estimate what twice as many labels would gain the quick learner.

    Where the random sample is large enough, the gain is on all pictures: the same share of the
    errors goes.

    Parameters
    ----------
    curve : as `curve_of_quick` fits it, to these labels or some fewer
    n : labels that there are now
    pool : what it has right of the random sample
    """
    if curve is None:
        return None
    known = pool.judged >= FEWEST_AT_RANDOM
    return curve.gain(
        n, 2 * n, right=pool.right if known else None, judged=pool.judged if known else None
    )


def gain_of_strong(points: Sequence[Point], n: int) -> Estimate | None:
    """Estimate what twice as many labels would gain the strong learners.

    The curve is fitted to their accuracies on the random sample after earlier trainings.

    Returns
    -------
    the gain in accuracy; None below `FEWEST_FOR_ADVICE` labels, for fewer than two trainings, and
    where the labels have not doubled between the first and the last of them
    """
    known = {p.n_labels: p.pool for p in points if p.pool.judged >= FEWEST_AT_RANDOM}
    sizes: list[int] = []
    for size in sorted(known, reverse=True):  # those that lie close together tell the same
        if not sizes or size * _APART <= sizes[0]:
            sizes.insert(0, size)
    if n < FEWEST_FOR_ADVICE or len(sizes) < 2 or sizes[-1] < 2 * sizes[0]:
        return None
    error = np.array([1 - known[size].value for size in sizes])
    judged = np.array([known[size].judged for size in sizes])
    curve = learning_curve.fitted_to_shares(np.array(sizes, float), error, judged)
    return curve.gain(n, 2 * n)


def advised(n: int, points: Sequence[Point], curve: LearningCurve | None) -> str:
    """Say what more labels would gain the one at work, which the last of the points names.

    Parameters
    ----------
    n : labels that there are now
    points : what was known after each training
    curve : of the quick learner
    """
    last = points[-1]
    if last.name == QUICK:
        gain = gain_of_quick(curve, n, last.pool)
        return advice(n, gain, last.pool.judged >= FEWEST_AT_RANDOM)
    theirs = [p for p in points if p.name not in (QUICK, BROUGHT)]
    return advice(n, gain_of_strong(theirs, n), True)


def advice(n: int, gain: Estimate | None, on_all: bool) -> str:
    """Say in a sentence what more labels would gain; '' where nothing can be said.

    Parameters
    ----------
    n : labels that there are
    gain : of twice as many
    on_all : whether it is on all pictures, or on pictures like the labelled
    """
    if gain is None:
        return ""
    points = f"{100 * gain.middle:.1f} points"
    interval = f"90% interval {100 * gain.low:.1f} to {100 * gain.high:.1f}"
    where = "on all pictures" if on_all else "on pictures like those labelled so far"
    said = (
        f"As many labels again ({n:,}) should raise the accuracy {where} by {points} ({interval})"
    )
    if gain.high < LITTLE:
        return f"{said}: more labels buy little now."
    return f"{said}."
