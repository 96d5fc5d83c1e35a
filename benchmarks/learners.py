"""The quick learners on features: softmax regression and label spreading beside scikit-learn's."""

from __future__ import annotations

import functools
import statistics

import numpy as np

from benchmarks.timing import Row, alternately, seconds

N, N_POOL, N_FEATURES, N_CLASSES = 1000, 10_000, 768, 26
TINY = 60, 200, 8, 3
"""As above, for a smoke run."""


def _features(n: int, n_features: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features that are like VGG16's, never negative, and (n,) classes."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    centres = np.maximum(rng.normal(0, 1, (n_classes, n_features)), 0)
    x = np.maximum(centres[y] + rng.normal(0, 4, (n, n_features)), 0) + 0.01
    return x.astype(np.float32), y


def _softmax(sizes: tuple[int, ...]) -> float:
    from alutils.models.softmax_penalised import PenalisedSoftmax

    n, _, d, k = sizes
    x, y = _features(n, d, k)
    PenalisedSoftmax().fit(x[: 2 * k], y[: 2 * k])  # imports
    return seconds(lambda: PenalisedSoftmax().fit(x, y))


def _sklearn_softmax(sizes: tuple[int, ...]) -> float:
    """Return the seconds of scikit-learn's as one calls it, all threads, on the same scale."""
    from sklearn.linear_model import LogisticRegression

    from alutils.models.softmax_penalised import PENALTY

    n, _, d, k = sizes
    x, y = _features(n, d, k)
    x = (x - x.mean(axis=0)) / (x - x.mean(axis=0)).std()
    model = LogisticRegression(C=1 / PENALTY, max_iter=300)
    model.fit(x[: 2 * k], y[: 2 * k])
    return seconds(lambda: model.fit(x, y))


def _spreading(sizes: tuple[int, ...]) -> float:
    from alutils.models.label_spreading import LabelSpreading

    n, n_pool, d, k = sizes
    x, y = _features(n_pool, d, k)
    return seconds(lambda: LabelSpreading(k, x[n // 10 :]).fit(x[: n // 10], y[: n // 10]))


def _sklearn_spreading(sizes: tuple[int, ...]) -> float:
    """Return the seconds of scikit-learn's on rows of length one, whose neighbours are the same."""
    from sklearn.semi_supervised import LabelSpreading

    n, n_pool, d, k = sizes
    x, y = _features(n_pool, d, k)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    known = np.where(np.arange(n_pool) < n // 10, y, -1)
    model = LabelSpreading(kernel="knn", n_neighbors=10, alpha=0.9, max_iter=100)
    return seconds(lambda: model.fit(x, known))


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Time each beside its rival, in turns."""
    sizes = TINY if smoke else (N, N_POOL, N_FEATURES, N_CLASSES)
    works = (_softmax, _sklearn_softmax, _spreading, _sklearn_spreading)
    found = alternately(repeats, *(functools.partial(w, sizes) for w in works), smoke=smoke)
    softmax, its_rival, spreading, other_rival = map(statistics.median, found)
    n, n_pool, d, k = sizes
    return [
        Row(
            "learners", f"softmax regression on {n:,} x {d} features, {k} classes, beside "
            "scikit-learn's LogisticRegression with all threads", its_rival, softmax, 1.0, 0.0, 0.0,
            "scikit-learn's, on one thread: products this small wait for each other on several",
        ),
        Row(
            "learners", f"labels of {n // 10} pictures spread to {n_pool:,}, {d} features, beside "
            "scikit-learn's LabelSpreading", other_rival, spreading, 1.0, 0.0, 0.0,
            f"{2 * n_pool**2 * d / 1e9:.0f} GFLOP of cosines bound it",
        ),
    ]  # fmt: skip
