"""Predictions for each item by a model that was not trained on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from alutils.base.errors import ParameterError
from alutils.base.rows import as_rows, number_of
from alutils.models.classifier import Classifier


def dealt(labels: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deal items into 2 or more folds that hold each class as evenly as can be.

    ``labels`` is (n_items,) int, and so is what is returned, the fold of each item.
    """
    if not 2 <= folds <= len(labels):
        raise ParameterError("folds", folds, f"expected from 2 to the {len(labels)} items")
    # Dealt out class by class in random order: no fold has two of a class more than another.
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(np.asarray(labels)[shuffled], kind="stable")]
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % folds
    return fold


def out_of_fold(
    make: Callable[[], Classifier],
    features: Any,
    labels: np.ndarray,
    fold: np.ndarray,
    *,
    n_classes: int,
    n_seen: int | None = None,
) -> np.ndarray:
    """Predict each item by a model that was not trained on it.

    Parameters
    ----------
    make : gives a new classifier; if it has ``classes_``, its columns are those classes only
    features : (n_items, ...) array, or other rows as `alutils.base.rows.as_rows` takes them
    labels : (n_items,) int from 0 to n_classes - 1
    fold : (n_items,) int from 0, the fold of each item, such as `dealt` gives
    n_classes : columns to return
    n_seen : the following folds, in a circle, that a model is trained on; all others if None

    Returns
    -------
    (n_items, n_classes) float64; 0 for a class that a fold's training part lacked, and for items
    whose training part is empty

    Raises
    ------
    ParameterError
        For labels that do not fit, and a classifier whose columns are not the classes.
    """
    kept = hasattr(features, "iloc") or hasattr(features, "tocsr")
    labels, features = np.asarray(labels), as_rows(features if kept else np.asanyarray(features))
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ParameterError(
            "labels", f"{labels.dtype} of shape {labels.shape}", "expected a class for each item"
        )
    if (n := number_of(features)) != len(labels):
        raise ParameterError("labels", len(labels), f"expected one for each of {n}")
    if labels.min() < 0 or labels.max() >= n_classes:
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise ParameterError("labels", worst, f"expected classes from 0 to {n_classes - 1}")
    folds = int(fold.max()) + 1
    probabilities = np.zeros((len(labels), n_classes))
    for number in range(folds):
        after = (fold - number) % folds
        held_out, seen = after == 0, (after > 0) & (after <= (n_seen or folds - 1))
        if not seen.any() or not held_out.any():
            continue
        model = make()
        model.fit(features[seen], labels[seen])
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
