"""Human labels that are probably wrong, found by confident learning.

Out-of-fold probabilities say of each item what a model thinks that never saw its label. A class's
own threshold is how sure that model is, on average, of the items labelled with it; an item that is
labelled ``i`` and passes the threshold of ``j`` counts as one whose true class is ``j``: a suspect,
to be asked about again.

Source: Northcutt, Jiang and Chuang (2021), "Confident learning".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alutils.base.checks import known_values
from alutils.base.errors import ParameterError
from alutils.guarantee.audit_slice import check_within

ROUNDING = 1e-3
"""By how much a row of probabilities may miss a sum of one."""


@dataclass(frozen=True)
class LabelErrors:
    """What confident learning says of a set of labels.

    ``suspects``, (n_suspects,) int, are the items that count for another class than their label's,
    the most suspicious first, and ``suggested`` the class that each of them was counted for.
    """

    suspects: np.ndarray
    suggested: np.ndarray


def find_label_errors(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
    """Find labels that are probably wrong, those with the lowest `normalised_margin` first.

    Parameters
    ----------
    labels : (n_items,) int from 0 to n_classes - 1
    probabilities : (n_items, n_classes) float, rows summing to one, out of fold
        (`alutils.models.out_of_fold`): a model that was trained on a wrong label has learned to
        agree with it
    """
    labels, probabilities = _checked(labels, probabilities)
    counted = counted_as(labels, probabilities)
    suspects = np.flatnonzero((counted >= 0) & (counted != labels))
    score = normalised_margin(labels, probabilities)[suspects]
    suspects = suspects[np.argsort(score, kind="stable")]
    return LabelErrors(suspects, counted[suspects])


def counted_as(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the class that a model confidently takes each item for.

    (n_items,) int, the likeliest of the classes whose threshold the item passes, -1 for none.
    """
    own = probabilities[np.arange(len(labels)), labels]
    sizes = np.bincount(labels, minlength=probabilities.shape[1])
    with np.errstate(invalid="ignore"):
        thresholds = np.bincount(labels, own, minlength=len(sizes)) / sizes
    # A mean of equal numbers may round to just above them all: their class would then be empty.
    passed = probabilities >= thresholds - 1e-12  # never for NaN: nobody uses that class
    sure = np.where(passed, probabilities, -1.0)
    return np.where(passed.any(axis=1), sure.argmax(axis=1), -1)


def normalised_margin(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return (n_items,) float, the gap between each label's class and the likeliest other one.

    From -1 to 1; the lowest are the most suspicious. 1 with one class only.
    """
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1.0
    best = others.max(axis=1) if probabilities.shape[1] > 1 else np.zeros(len(labels))
    return probabilities[rows, labels] - best


def _checked(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities as int64 and float64, or say what is wrong with them."""
    labels = known_values("labels", labels)
    probabilities = known_values("probabilities", probabilities).astype(float)
    if probabilities.ndim != 2 or not probabilities.size:
        raise ParameterError("probabilities", probabilities.shape, "expected (n_items, n_classes)")
    if labels.shape != probabilities.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ParameterError(
            "labels",
            f"{labels.dtype} of shape {labels.shape}",
            f"expected a class number for each of {len(probabilities)} rows of probabilities",
        )
    check_within("labels", labels, probabilities.shape[1], "classes")
    off = ~(np.abs(probabilities.sum(axis=1) - 1) <= ROUNDING) | (probabilities < 0).any(axis=1)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ParameterError(
            "probabilities", probabilities[row], f"row {row}: expected numbers from 0, sum 1"
        )
    return labels.astype(np.int64), probabilities
