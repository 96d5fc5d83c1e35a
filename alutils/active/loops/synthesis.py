"""Membership query synthesis: ask about points that nobody ever drew.

Two labelled items that the classifier puts in different classes have its boundary between them;
halving the segment again and again finds it. The point there is what the classifier knows least
about, and for images it is a blend of two of them, which people often cannot read: so it is asked
for as it is (`synthesis_based`), or as the nearest real item instead (`nearest_queries`).

Source: Angluin (1988), membership queries; Baum (1991), the search between opposite pairs; Lang
and Baum (1992), people asked about synthetic digits; Wang, Hu, Yuan and Lu (2015), the nearest real
item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from alutils.active.loops.pool import Query, Ranking, View, check_within
from alutils.active.oracles import ABSTAINED
from alutils.active.oracles import checked as checked_answers
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction
from alutils.base.errors import ParameterError
from alutils.models.classifier import Classifier

STEPS = 20
"""Halvings: the boundary is known to a millionth of the distance between the parents."""
_POINTS = 64  # whose distances to the whole pool are held at a time

PredictProba = Callable[[np.ndarray], np.ndarray]
"""Takes (n, n_features) points, gives (n, n_classes) probabilities."""

Reader = Callable[[np.ndarray], np.ndarray]
"""Takes (n, n_features) points, gives (n,) int labels, `ABSTAINED` where it cannot read them."""


@dataclass(frozen=True)
class Synthetic:
    """Points on a classifier's boundary.

    Attributes
    ----------
    points : (n, n_features) of the features' dtype, each between its parents
    parents : (n, 2) int64, rows of the features that it lies between
    place : (n,) float64, how far from the first parent to the second, 0 to 1
    between : (n, 2) int64, the classes that the classifier predicts on either side, which differ;
        the first is that of the first parent
    gap : (n,) float, how far apart the two highest probabilities are; 0 on the boundary
    """

    points: np.ndarray
    parents: np.ndarray
    place: np.ndarray
    between: np.ndarray
    gap: np.ndarray


def synthesise(
    predict_proba: PredictProba,
    x: np.ndarray,
    n: int,
    rng: np.random.Generator,
    steps: int = STEPS,
) -> Synthetic:
    """Find ``n`` points on a classifier's boundary, by bisection between items on either side.

    Parameters
    ----------
    predict_proba : the classifier's
    x : (n_labelled, n_features) float, the items to search between
    rng : draws the pairs: an item and its nearest among those predicted as another class, for every
        such class; none is drawn twice before all have been
    steps : halvings; the boundary lies within 2 ** -(steps + 1) of the way between the parents

    Raises
    ------
    ValueError
        where all items are predicted as one class (there is no boundary between them), and for
        features and probabilities that are none
    """
    x = uncertainty.checked_features(x, name="x")
    check_count("n", n, 1)
    check_count("steps", steps, 1)
    predicted = _predicted(predict_proba, x)
    if np.ptp(predicted) == 0:
        raise ValueError(
            f"synthesise: the classifier predicts class {predicted[0]} for all {len(x)} items; "
            "expected two classes or more: label more items, or train on more classes, first."
        )
    pairs = _opposite_pairs(x, predicted)
    rounds = -(-n // len(pairs))
    parents = pairs[np.concatenate([rng.permutation(len(pairs)) for _ in range(rounds)])[:n]]
    start, way = x[parents[:, 0]], x[parents[:, 1]].astype(np.float64) - x[parents[:, 0]]

    def at(place: np.ndarray) -> np.ndarray:
        return (start + place[:, None] * way).astype(x.dtype)

    low, high = np.zeros(n), np.ones(n)
    between = predicted[parents]
    for _ in range(steps):
        middle = (low + high) / 2
        now = _predicted(predict_proba, at(middle))
        same = now == between[:, 0]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
        between[:, 1] = np.where(same, between[:, 1], now)
    place = (low + high) / 2
    points = at(place)
    return Synthetic(points, parents, place, between, -uncertainty.margin(predict_proba(points)))


def nearest_unlabelled(points: np.ndarray, x: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return the (n,) int64 real items nearest to (n, n_features) points, each item once.

    The first point gets its nearest item (by Euclidean distance, the lower number where they tie)
    in the pool ``x`` (n_items, n_features), of those that ``free`` (n_items,) bool allows; the next
    the nearest that is left, and so on. ValueError where fewer than n are free, and for arrays that
    do not fit each other.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    points = uncertainty.checked_features(points, name="points")
    x = uncertainty.checked_features(x, name="x")
    free = np.array(free)
    if free.dtype != bool or free.shape != (len(x),):
        raise ValueError(f"free: {free.dtype} of shape {free.shape}; expected ({len(x)},) bool.")
    if points.shape[1] != x.shape[1]:
        raise ValueError(
            f"points: {points.shape[1]} features; expected {x.shape[1]}, as the pool has."
        )
    uncertainty.check_batch(len(points), int(free.sum()))
    chosen = np.empty(len(points), np.int64)
    for start in range(0, len(points), _POINTS):
        block = slice(start, start + _POINTS)
        distances = euclidean_distances(points[block], x, squared=True)
        for i, row in enumerate(distances, start):
            row[~free] = np.inf
            chosen[i] = row.argmin()
            free[chosen[i]] = False
    return chosen


def nearest_queries(
    predict_proba: PredictProba,
    x: np.ndarray,
    labelled: np.ndarray,
    batch: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose what to ask for: the real items nearest to synthetic points.

    Returns (batch,) int64 items of ``x`` (n_items, n_features) that are not ``labelled``
    (n_items,) bool, none twice. Drawn at random as long as the classifier puts all labelled items
    in one class: there is no boundary to search for then.

    Source: Wang, Hu, Yuan and Lu (2015); here the classifier, not a person, says on which side of
    the boundary each point of the search lies, so that the search costs no labels.
    """
    uncertainty.check_batch(batch, int((~labelled).sum()))
    known = uncertainty.checked_features(x, name="x")[labelled]
    if len(known) < 2 or np.ptp(_predicted(predict_proba, known)) == 0:
        return rng.permutation(np.flatnonzero(~labelled))[:batch]
    return nearest_unlabelled(synthesise(predict_proba, known, batch, rng).points, x, ~labelled)


def nearest_real(rng: np.random.Generator) -> Query:
    """Return the query that asks the pool-based loop's pool as `nearest_queries` does."""

    def query(view: View) -> Ranking:
        labelled, n = view.state.book.label >= 0, min(view.batch, len(view.state.pool))
        items = nearest_queries(view.classifier.predict_proba, view.features, labelled, n, rng)
        return Ranking.items_first(items, view.state)

    return query


@dataclass(frozen=True)
class SynthesisRound:
    """What one round of `synthesis_based` did.

    Attributes
    ----------
    number : rounds before this one
    n_asked, n_labels : questions, and answers with a label, so far; the labels at the start are not
        counted
    synthetic : what was asked for
    answers : (n,) int64 the answers, `ABSTAINED` where there was none
    """

    number: int
    n_asked: int
    n_labels: int
    synthetic: Synthetic
    answers: np.ndarray


def synthesis_based(
    x: np.ndarray,
    y: np.ndarray,
    classifier: Classifier,
    reader: Reader,
    *,
    n_classes: int,
    batch: int,
    budget: int,
    rng: np.random.Generator,
) -> Iterator[SynthesisRound]:
    """Ask about synthetic points as they are, and train on the answers.

    Parameters
    ----------
    x, y : (n, n_features) float and (n,) int, real items and their labels, to begin with
    classifier : trained before the first question, and after each round
    reader : who is shown the points, such as `ReadBy`
    n_classes : of the labels
    batch, budget : questions a round, and in all
    rng : as in `synthesise`

    Returns
    -------
    iterator of SynthesisRound, each after its training. It ends before the budget where the
    classifier puts everything in one class.

    Raises
    ------
    ValueError
        at once for a start without two classes, a batch and a budget that do not fit; during the
        loop for an answer that is no class

    Source: Angluin (1988); Lang and Baum (1992).
    """
    x = uncertainty.checked_features(x, len(y), name="x")
    y = np.asarray(y)
    for name, value in {"n_classes": n_classes, "batch": batch, "budget": budget}.items():
        check_count(name, value, 1)
    check_within(budget, batch=batch)
    fits = y.ndim == 1 and y.dtype.kind in "iu" and np.isin(y, np.arange(n_classes)).all()
    if not fits or len(np.unique(y)) < 2:
        raise ParameterError(
            "y",
            np.unique(y),
            f"expected classes from 0 to {n_classes - 1}, at least two of them",
            "there is no boundary to search for otherwise: label real items first",
        )
    return _synthesis_rounds(x, y, classifier, reader, n_classes, batch, budget, rng)


def _synthesis_rounds(x, y, classifier, reader, n_classes, batch, budget, rng):
    n_start, n_asked, number = len(y), 0, 0
    classifier.fit(x, y)
    while n_asked < budget and np.ptp(_predicted(classifier.predict_proba, x)):
        n = min(batch, budget - n_asked)
        synthetic = synthesise(classifier.predict_proba, x, n, rng)
        answers = checked_answers(reader(synthetic.points), np.arange(n), n_classes)
        said = answers != ABSTAINED
        n_asked += n
        if said.any():
            x = np.concatenate([x, synthetic.points[said]])
            y = np.concatenate([y, answers[said]])
            classifier.fit(x, y)
        yield SynthesisRound(number, n_asked, len(y) - n_start, synthetic, answers)
        number += 1


@dataclass(frozen=True)
class ReadBy:
    """Stands in for a person who looks at points: a strong classifier, trained on real items.

    Where the highest probability of ``reference`` is under ``confidence``, it abstains: as for any
    predictor, low confidence is a sign of what people cannot read, not the thing.
    """

    reference: PredictProba
    confidence: float = 0.9

    def __post_init__(self) -> None:
        check_fraction("confidence", self.confidence)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the (n,) int64 labels of (n, n_features) points, or `ABSTAINED`."""
        p = uncertainty.checked(self.reference(points))
        return np.where(p.max(axis=1) >= self.confidence, p.argmax(axis=1), ABSTAINED)


@dataclass(frozen=True)
class Unreadable:
    """How little of ``n`` points can be read.

    Attributes
    ----------
    unsure : share of points for which the reader abstains
    neither : share of points read as a class that is neither of the two that they lie between: the
        blend looks like something else
    share : of points that bring no label of the two classes in question
    """

    unsure: float
    neither: float
    n: int

    @property
    def share(self) -> float:
        return self.unsure + self.neither


def unreadable(points: np.ndarray, between: np.ndarray, reader: Reader) -> Unreadable:
    """Measure how little of (n, n_features) points a reader can read.

    ``between`` (n, 2) int: the two classes that each lies between, as in `Synthetic`.
    """
    points, between = np.asarray(points), np.asarray(between)
    if between.shape != (len(points), 2) or not len(points):
        raise ValueError(
            f"{points.shape} points between {between.shape} classes; expected at least one point, "
            "and two classes for each."
        )
    answers = np.asarray(reader(points))
    if answers.shape != (len(points),):
        raise ValueError(
            f"reader: an array of shape {answers.shape}; expected ({len(points)},), a label each."
        )
    said = answers != ABSTAINED
    neither = said & (answers != between[:, 0]) & (answers != between[:, 1])
    return Unreadable(float(np.mean(~said)), float(np.mean(neither)), len(points))


def _opposite_pairs(x: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return each item with its nearest in every other class, (n_pairs, 2), none twice."""
    from sklearn.metrics.pairwise import euclidean_distances

    pairs = []
    members = {c: np.flatnonzero(predicted == c) for c in np.unique(predicted)}
    for start in range(0, len(x), _POINTS):
        rows = np.arange(start, min(start + _POINTS, len(x)))
        # One product for all classes: a search for each is slow where cores are shared.
        distances = euclidean_distances(x[rows], x, squared=True)
        for c, inside in members.items():
            outside = predicted[rows] != c
            nearest = inside[distances[np.ix_(outside, inside)].argmin(axis=1)]
            pairs.append(np.column_stack([rows[outside], nearest]))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def _predicted(predict_proba: PredictProba, x: np.ndarray) -> np.ndarray:
    p = uncertainty.checked(predict_proba(x))
    if len(p) != len(x):
        raise ValueError(
            f"predict_proba: {len(p)} rows for {len(x)} points; expected one for each."
        )
    return p.argmax(axis=1)
