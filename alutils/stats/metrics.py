"""How well predicted labels match the true ones, where classes may be of very different sizes."""

from __future__ import annotations

import numpy as np

CLASSIFICATION = (
    "accuracy", "balanced_accuracy", "precision_macro", "recall_macro", "f1_macro", "mcc",
)  # fmt: skip
"""What `classification_metrics` measures."""


def confusion(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Count how often each class was taken for each other.

    Parameters
    ----------
    y_true, y_pred : (n,) int, 0 to ``n_classes - 1``, at least one
    n_classes : how many classes there are, whether they occur or not

    Returns
    -------
    (n_classes, n_classes) int64; the row is the true class, the column the predicted one

    Raises
    ------
    TypeError, ValueError
        If the labels are no whole numbers, not as many as predictions, none, or out of range.
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    both = {"y_true": y_true, "y_pred": y_pred}
    for name, labels in both.items():
        if labels.dtype.kind not in "iu":
            raise TypeError(
                f"{name} is {labels.dtype}, expected whole numbers; of probabilities take argmax"
            )
    if y_true.shape != y_pred.shape or y_true.ndim != 1:
        raise ValueError(
            f"y_true {y_true.shape} and y_pred {y_pred.shape}: expected two vectors as long as "
            "each other"
        )
    if not len(y_true):
        raise ValueError("y_true is empty: there is nothing to measure; give at least one label")
    for name, labels in both.items():
        wrong = labels[(labels < 0) | (labels >= n_classes)]
        if len(wrong):
            raise ValueError(
                f"{name} holds {wrong[0]}: expected 0 to {n_classes - 1} (n_classes={n_classes})"
            )
    pairs = y_true.astype(np.int64) * n_classes + y_pred.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def classification_metrics(
    y_true: np.ndarray, y_pred: np.ndarray, n_classes: int
) -> dict[str, float]:
    """Measure predicted labels with scikit-learn's definitions.

    A ratio that is 0/0 counts as 0 (``zero_division=0``): the precision of a class never predicted,
    the recall of a class that is not there. What classes an average runs over:

    - ``balanced_accuracy``: those in the truth. A class missing from it has no recall.
    - ``precision_macro``, ``recall_macro``, ``f1_macro``: those in the truth *or* predicted. A
      class missing from the truth that is predicted all the same counts as 0; one in neither is
      left out.

    So ``recall_macro`` is ``balanced_accuracy`` unless a class is predicted that is not there.

    Takes and raises what `confusion` does.

    Returns
    -------
    dict with the keys `CLASSIFICATION`, each 0 to 1, but for Matthews' correlation coefficient, mcc
    (-1 to 1; 0 where truth or prediction is one class only)

    Source: Gorodkin (2004) for the coefficient of more than two classes.
    """
    table = confusion(y_true, y_pred, n_classes).astype(float)  # exact up to 2^53 items
    right, true, predicted = np.diag(table), table.sum(1), table.sum(0)
    n = table.sum()
    occurs = true + predicted > 0
    recall = _ratio(right, true)
    covariance = right.sum() * n - true @ predicted
    spread = np.sqrt((n**2 - true @ true) * (n**2 - predicted @ predicted))
    values = (
        right.sum() / n,
        recall[true > 0].mean(),
        _ratio(right, predicted)[occurs].mean(),
        recall[occurs].mean(),
        _ratio(2 * right, true + predicted)[occurs].mean(),
        covariance / spread if spread else 0.0,
    )
    return dict(zip(CLASSIFICATION, map(float, values), strict=True))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
