"""Label spreading: labels flow along the nearest neighbours of all pictures, labelled or not.

Each picture is joined to its nearest neighbours by the cosine of their features. Labels start at
the labelled pictures and flow along these lines until they no longer change; a share of every
round's answer is kept back for what people said. A new picture gets one step of the same flow: the
mean of what its nearest neighbours were given, weighted by cosine.

Sources: Zhou, Bousquet, Lal, Weston and Schölkopf (2004), "Learning with Local and Global
Consistency"; for new pictures Delalleau, Bengio and Le Roux (2005), equation 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.models.heads import Head
from alutils.models.softmax_penalised import PenalisedSoftmax

NEIGHBOURS, ALPHA = 10, 0.9
_ROUNDS, _SMALL = 200, 1e-5
"""Rounds at most, and the change, as a share of the largest answer, at which they end."""
_BLOCK = 1024  # pictures whose cosines with all others are held at a time


def neighbours(x: np.ndarray, pool: np.ndarray, k: int, skip: bool = False) -> tuple:
    """Find the nearest of a pool by cosine.

    Parameters
    ----------
    x, pool : (n, d) and (m, d) float32, rows of length one
    k : neighbours of each, at most ``m - skip``
    skip : whether ``x`` is the pool, where no picture is its own neighbour

    Returns
    -------
    (n, k) int positions in the pool, and (n, k) float32 cosines, none below zero
    """
    k = min(k, len(pool) - skip)
    found, near = np.empty((len(x), k), np.int64), np.empty((len(x), k), np.float32)
    for start in range(0, len(x), _BLOCK):
        cosine = x[start : start + _BLOCK] @ pool.T
        rows = np.arange(len(cosine))
        if skip:
            cosine[rows, start + rows] = -np.inf
        first = np.argpartition(cosine, len(pool) - k, axis=1)[:, len(pool) - k :]
        found[start : start + _BLOCK] = first
        near[start : start + _BLOCK] = cosine[rows[:, None], first]
    return found, np.maximum(near, 0)


def graph(features: np.ndarray, k: int = NEIGHBOURS) -> Any:
    """Join pictures to their nearest neighbours.

    Parameters
    ----------
    features : (n, d) float, 2 pictures or more
    k : neighbours by cosine

    Returns
    -------
    (n, n) sparse float32: symmetric, each line weighted by the cosine and divided by the square
    roots of what its two ends have in all; rows without any line are zero
    """
    from scipy import sparse

    x = unit_rows(features)
    found, near = neighbours(x, x, k, skip=True)
    n, k = found.shape
    lines = sparse.csr_matrix((near.ravel(), found.ravel(), np.arange(0, n * k + 1, k)), (n, n))
    lines = lines.maximum(lines.T)
    degree = np.asarray(lines.sum(axis=1)).ravel()
    scale = sparse.diags_array(
        np.divide(1, np.sqrt(degree), where=degree > 0, out=np.zeros_like(degree))
    )
    return (scale @ lines @ scale).tocsr().astype(np.float32)


def spread(
    lines: Any, items: np.ndarray, labels: np.ndarray, n_classes: int, alpha: float = ALPHA
) -> np.ndarray:
    """Let labels flow along a graph.

    Parameters
    ----------
    lines : (n, n) as `graph` gives it
    items, labels : (m,) int, the labelled pictures and their classes
    n_classes : in all
    alpha : the share of an answer that comes from neighbours

    Returns
    -------
    (n, n_classes) float32 probabilities: the fixed point of F = alpha S F + (1 - alpha) Y, each row
    divided by its sum; a row that no label reaches has the classes' shares among the labels
    """
    given = np.zeros((lines.shape[0], n_classes), np.float32)
    given[items, labels] = 1
    answer = given.copy()
    for _ in range(_ROUNDS):
        new = alpha * (lines @ answer) + (1 - alpha) * given
        change, answer = np.abs(new - answer).max(), new
        if change <= _SMALL * answer.max():
            break
    return _shares(answer, labels, n_classes)


class LabelSpreading:
    """Label spreading as a classifier on features.

    Parameters
    ----------
    n_classes : in all
    unlabelled : (n, n_features) float, features of pictures without labels; the labelled ones may
        be among them
    k : neighbours
    alpha : the share of an answer that comes from neighbours, between 0 and 1

    Raises
    ------
    ParameterError
        For values that cannot be used.
    """

    def __init__(
        self, n_classes: int, unlabelled: np.ndarray, *, k: int = NEIGHBOURS, alpha: float = ALPHA
    ) -> None:
        check_count("n_classes", n_classes, 2)
        check_count("k", k, 1)
        check_open_fraction("alpha", alpha)
        if unlabelled.ndim != 2 or not np.isfinite(unlabelled).all():
            raise ParameterError(
                "unlabelled", unlabelled.shape, "expected finite features, (n, n_features)"
            )
        self.n_classes, self.unlabelled, self.k, self.alpha = n_classes, unlabelled, k, alpha
        self._pool: np.ndarray | None = None

    def fit(self, x: np.ndarray, y: np.ndarray) -> LabelSpreading:
        """Let the labels ``y`` (n,) int of ``x`` (n, n_features) flow to the unlabelled."""
        x, y = np.asarray(x), np.asarray(y)
        if x.ndim != 2 or x.shape[1] != self.unlabelled.shape[1] or y.shape != (len(x),):
            raise ParameterError(
                "x", f"{x.shape}, y {y.shape}",
                f"expected (n, {self.unlabelled.shape[1]}) and (n,)",
            )  # fmt: skip
        if not len(y) or y.min() < 0 or y.max() >= self.n_classes:
            raise ParameterError("y", y, f"expected classes from 0 to {self.n_classes - 1}")
        pool = np.concatenate([x, self.unlabelled]).astype(np.float32)
        self.answers = spread(graph(pool, self.k), np.arange(len(x)), y, self.n_classes, self.alpha)
        """(n + n_unlabelled, n_classes) float32, of the labelled and then of the unlabelled."""
        self._pool, self._labels = unit_rows(pool), y
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of new pictures, (n, n_features)."""
        if self._pool is None:
            raise RuntimeError("the classifier is not trained yet: call fit(x, y) first")
        found, near = neighbours(unit_rows(x), self._pool, self.k)
        answer = np.einsum("nk,nkc->nc", near, self.answers[found])
        return _shares(answer, self._labels, self.n_classes)


class SpreadSoftmax:
    """Softmax regression that learns from spread labels: small to keep, quick to ask.

    `LabelSpreading` has to keep the features of all pictures. This learns what it says of them: the
    labelled ones count once each, the unlabelled ones with the probability of their likeliest
    class.

    Parameters
    ----------
    n_classes, unlabelled : as in `LabelSpreading`
    """

    def __init__(self, n_classes: int, unlabelled: np.ndarray) -> None:
        self._spreading = LabelSpreading(n_classes, unlabelled)
        self._softmax = PenalisedSoftmax()

    @property
    def classes_(self) -> np.ndarray:
        """(n_seen,) int64, the classes among the labels: the columns of the probabilities."""
        return self._softmax.classes_

    @property
    def head(self) -> Head:
        """The trained weights."""
        return self._softmax.head

    def fit(self, x: np.ndarray, y: np.ndarray) -> SpreadSoftmax:
        """Train anew on ``x`` (n, n_features) and ``y`` (n,) int, as `LabelSpreading.fit`."""
        answers = self._spreading.fit(x, y).answers[len(x) :]
        labels = np.concatenate([y, answers.argmax(axis=1)])
        weight = np.concatenate([np.ones(len(y)), answers.max(axis=1)])
        self._softmax.fit(np.concatenate([x, self._spreading.unlabelled]), labels, weight)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_seen) float32 probabilities of `classes_`, for (n, n_features)."""
        return self._softmax.predict_proba(x)


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Return rows divided by their lengths, float32; rows of zeros stay zero."""
    x = np.asarray(x, np.float32)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def _shares(answer: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Divide rows by their sums; where that is zero, give the classes' shares of the labels."""
    total = answer.sum(axis=1, keepdims=True)
    usual = np.bincount(labels, minlength=n_classes) / len(labels)
    return np.where(total > 0, answer / np.where(total > 0, total, 1), usual).astype(np.float32)
