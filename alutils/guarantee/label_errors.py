"""Human labels that are probably wrong, found by confident learning.

Out-of-fold probabilities say of each item what a model thinks that never saw its label. A class's
own threshold is how sure that model is, on average, of the items labelled with it; an item that is
labelled ``i`` and passes the threshold of ``j`` counts as one whose true class is ``j``. These
counts, the *confident joint*, give the rate of wrong labels; suspects are ranked for asking again.

Source: Northcutt, Jiang and Chuang (2021), "Confident learning".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alutils.active.loops.pool import Classifier
from alutils.base.errors import ParameterError

RANKINGS = ("margin", "self_confidence")

ROUNDING = 1e-3
"""By how much a row of probabilities may miss a sum of one."""


@dataclass(frozen=True)
class LabelErrors:
    """What confident learning says of a set of labels.

    Attributes
    ----------
    joint : (n_classes, n_classes) float, estimated share of items labelled i whose class is j; all
        shares add up to one
    counts : (n_classes, n_classes) int, the confident joint that it was estimated from
    thresholds : (n_classes,) float, mean probability of each class over the items labelled with it;
        NaN for a class that no item is labelled with
    suspects : (n_suspects,) int, items that count off the diagonal, the most suspicious first
    suggested : (n_suspects,) int, the class that each of them was counted for
    score : (n_items,) float, how well each label fits; low is suspicious
    """

    joint: np.ndarray
    counts: np.ndarray
    thresholds: np.ndarray
    suspects: np.ndarray
    suggested: np.ndarray
    score: np.ndarray

    @property
    def noise_rate(self) -> float:
        """Estimated share of wrong labels."""
        return float(1 - np.trace(self.joint))

    @property
    def n_wrong(self) -> int:
        """Estimated number of wrong labels."""
        return round(self.noise_rate * len(self.score))


def confident_joint(
    labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the items labelled i that a model confidently takes for j.

    Parameters
    ----------
    labels : (n_items,) int from 0 to n_classes - 1
    probabilities : (n_items, n_classes) float, out of fold, rows summing to one

    Returns
    -------
    counts : (n_classes, n_classes) int
    thresholds : (n_classes,) float, NaN for a class that no item is labelled with
    counted_as : (n_items,) int, the likeliest of the classes whose threshold the item passes, -1
        where it passes none

    Raises
    ------
    ParameterError
        For labels and probabilities that do not fit each other, NaN, rows that are no
        probabilities.
    """
    labels, probabilities = _checked(labels, probabilities)
    n_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    sizes = np.bincount(labels, minlength=n_classes)
    with np.errstate(invalid="ignore"):
        thresholds = np.bincount(labels, own, minlength=n_classes) / sizes
    # A mean of equal numbers may round to just above them all: their class would then be empty.
    passed = probabilities >= thresholds - 1e-12  # never for NaN: nobody uses that class
    sure = np.where(passed, probabilities, -1.0)
    counted_as = np.where(passed.any(axis=1), sure.argmax(axis=1), -1)
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (labels[counted_as >= 0], counted_as[counted_as >= 0]), 1)
    return counts, thresholds, counted_as


def calibrated_joint(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scale the confident joint to the number of items with each label, and to one in all.

    Parameters
    ----------
    counts : (n_classes, n_classes) int, from `confident_joint`
    labels : (n_items,) int

    Returns
    -------
    (n_classes, n_classes) float. A label of which no item passed any threshold is taken to be right
    """
    sizes = np.bincount(labels, minlength=len(counts)).astype(float)
    of_label = counts.sum(axis=1, keepdims=True)
    shares = np.where(of_label > 0, counts / np.maximum(of_label, 1), np.eye(len(counts)))
    return shares * sizes[:, None] / sizes.sum()


def normalised_margin(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Score labels by the gap between their class and the likeliest other one.

    Parameters
    ----------
    labels : (n_items,) int
    probabilities : (n_items, n_classes) float

    Returns
    -------
    (n_items,) float in [-1, 1]; the lowest are the most suspicious. 1 with one class only
    """
    labels, probabilities = _checked(labels, probabilities)
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1.0
    best = others.max(axis=1) if probabilities.shape[1] > 1 else np.zeros(len(labels))
    return probabilities[rows, labels] - best


def self_confidence(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Score labels by the probability of their class: (n_items,) float, suspicious where low."""
    labels, probabilities = _checked(labels, probabilities)
    return probabilities[np.arange(len(labels)), labels]


def find_label_errors(
    labels: np.ndarray, probabilities: np.ndarray, *, ranking: str = "margin"
) -> LabelErrors:
    """Find labels that are probably wrong, the most suspicious first.

    Parameters
    ----------
    labels : (n_items,) int from 0 to n_classes - 1
    probabilities : (n_items, n_classes) float, out of fold (`out_of_fold`): a model that was
        trained on a wrong label has learned to agree with it
    ranking : ``margin`` (`normalised_margin`) or ``self_confidence``

    Returns
    -------
    LabelErrors; its suspects are those off the diagonal of the confident joint

    Raises
    ------
    ParameterError
        As `confident_joint` does, and for an unknown ranking.
    """
    if ranking not in RANKINGS:
        raise ParameterError("ranking", ranking, f"expected one of {', '.join(RANKINGS)}")
    labels, probabilities = _checked(labels, probabilities)
    counts, thresholds, counted_as = confident_joint(labels, probabilities)
    scores = normalised_margin if ranking == "margin" else self_confidence
    score = scores(labels, probabilities)
    suspects = np.flatnonzero((counted_as >= 0) & (counted_as != labels))
    suspects = suspects[np.argsort(score[suspects], kind="stable")]
    return LabelErrors(
        joint=calibrated_joint(counts, labels),
        counts=counts,
        thresholds=thresholds,
        suspects=suspects,
        suggested=counted_as[suspects],
        score=score,
    )


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    make: Callable[[], Classifier],
    rng: np.random.Generator,
    *,
    folds: int = 5,
    n_classes: int | None = None,
) -> np.ndarray:
    """Predict each item by a model that was not trained on it.

    Parameters
    ----------
    features : (n_items, ...) array
    labels : (n_items,) int from 0 to n_classes - 1
    make : gives a new classifier with ``fit(features, labels)`` and ``predict_proba(features)``;
        if it has ``classes_``, its columns are those classes only
    rng : decides the folds, which hold each class as evenly as can be
    folds : how many
    n_classes : columns to return; the highest label and one by default

    Returns
    -------
    (n_items, n_classes) float64; 0 for a class that a fold's training part lacked

    Raises
    ------
    ParameterError
        For fewer than 2 folds or more than items, labels that do not fit, and a classifier whose
        columns are not the classes.
    """
    labels, features = np.asarray(labels), np.asarray(features)
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ParameterError(
            "labels", f"{labels.dtype} of shape {labels.shape}", "expected a class for each item"
        )
    if len(features) != len(labels):
        raise ParameterError("labels", len(labels), f"expected one for each of {len(features)}")
    if not 2 <= folds <= len(labels):
        raise ParameterError("folds", folds, f"expected from 2 to the {len(labels)} items")
    n_classes = int(labels.max()) + 1 if n_classes is None else n_classes
    if labels.min() < 0 or labels.max() >= n_classes:
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise ParameterError("labels", worst, f"expected classes from 0 to {n_classes - 1}")
    # Dealt out class by class in random order: no fold has two of a class more than another.
    shuffled = rng.permutation(len(labels))
    dealt = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), int)
    fold[dealt] = np.arange(len(labels)) % folds
    probabilities = np.zeros((len(labels), n_classes))
    for number in range(folds):
        held_out = fold == number
        model = make()
        model.fit(features[~held_out], labels[~held_out])
        predicted = np.asarray(model.predict_proba(features[held_out]), float)
        columns = np.asarray(getattr(model, "classes_", np.arange(n_classes)))
        if predicted.shape != (held_out.sum(), len(columns)):
            raise ParameterError(
                "predict_proba",
                predicted.shape,
                f"expected {(int(held_out.sum()), len(columns))}, a column for each class",
                "give n_classes, or a classifier with classes_",
            )
        probabilities[np.ix_(held_out, columns)] = predicted
    return probabilities


def _checked(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities as int64 and float64, or say what is wrong with them."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, float)
    if probabilities.ndim != 2 or not probabilities.size:
        raise ParameterError("probabilities", probabilities.shape, "expected (n_items, n_classes)")
    if labels.shape != probabilities.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ParameterError(
            "labels",
            f"{labels.dtype} of shape {labels.shape}",
            f"expected a class number for each of {len(probabilities)} rows of probabilities",
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise ParameterError(
            "labels", worst, f"expected classes from 0 to {probabilities.shape[1] - 1}"
        )
    off = ~(np.abs(probabilities.sum(axis=1) - 1) <= ROUNDING) | (probabilities < 0).any(axis=1)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ParameterError(
            "probabilities", probabilities[row], f"row {row}: expected numbers from 0, sum 1"
        )
    return labels.astype(np.int64), probabilities
