"""The quick learner: softmax regression on frozen features, trained within seconds.

On the features of real letters it beat the report's dense head at every number of labels tried,
from 25 to 3,000, however long the head was trained: a project without a model starts from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alutils.labelling.store.records import LabellingError
from alutils.models import out_of_fold as folds
from alutils.models.heads import Head
from alutils.models.softmax_penalised import PenalisedSoftmax

FOLDS = 3


def train(features: np.ndarray, labels: np.ndarray) -> tuple[Head, np.ndarray]:
    """Train softmax regression on the classes that occur.

    Parameters
    ----------
    features : (n, n_features) float, finite
    labels : (n,) int, class numbers

    Returns
    -------
    head
    classes : (n_seen,) int, the class numbers of its columns

    Raises
    ------
    LabellingError
        For fewer than two classes among the labels.
    ParameterError
        For features that are not finite.
    """
    n = len(np.unique(labels))
    if n < 2:
        raise LabellingError(
            f"labels of {n} class{'es' * (n != 1)}: a model needs two or more; label on"
        )
    model = PenalisedSoftmax().fit(features, labels)
    return model.head, model.classes_


def fold_of(sha256: Sequence[str], n_folds: int = FOLDS) -> np.ndarray:
    """Return (n,) int: the fold of each picture, by its content.

    So a picture stays in its fold whatever else is labelled, and learners that are trained at
    different times can be compared on the same folds.
    """
    return np.array([int(each[-8:], 16) % n_folds for each in sha256], np.int64)


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    n_classes: int,
    n_seen: int | None = None,
) -> np.ndarray:
    """Return (n, n_classes) float: what learners that have not seen an item say of it.

    ``n_seen`` is as in `alutils.models.out_of_fold.out_of_fold`. A row is zero where nothing was
    left to learn from.
    """
    return folds.out_of_fold(
        PenalisedSoftmax, features, labels, fold, n_classes=n_classes, n_seen=n_seen
    )


def says(p: np.ndarray) -> np.ndarray:
    """Return (n,) int64: the likeliest class of each row of probabilities, -1 for a row of zeros.

    A class that only the held-out part has cannot be found: it counts as wrong, as it would be.
    """
    return np.where(p.any(axis=1), p.argmax(axis=1), -1)
