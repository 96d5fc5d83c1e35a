"""The images of the experiments on label costs: what may be asked for, and what tests."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from alutils.data import dataset, loading, mnist
from alutils.experiments.held_out import held_out

SETTINGS = ("article", "mnist", "letters")
"""The article's 4,000 digits, all 60,000, capital letters; tested on MNIST's 10,000 test digits and
on a fifth of the letters."""
SIZES = {"article": 4000, "mnist": 60_000}  # of the pools that are always the same


@dataclass(frozen=True)
class Images:
    """The pool, (n_pool, height, width) uint8 and (n_pool,) int64, and test images of the kind."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    n_classes: int
    provenance: str


def source(setting: str, seed: int = 0, n_pool: int = 0, letters: str = "rendered") -> Images:
    """Return pool and test images of one of the `SETTINGS`.

    ``seed`` is that of the letters' test part; the pool is the first ``n_pool`` items, 0 for all.
    """
    if setting == "letters":
        data = loading.load(letters)
        test, pool = map(data.take, held_out(len(data), seed))
    else:
        pool, test = _digits()
        if setting == "article":
            pool = mnist.mnist_article()[0]
    n_pool = n_pool or len(pool)
    return Images(
        np.ascontiguousarray(pool.images[:n_pool]), pool.labels[:n_pool],
        np.ascontiguousarray(test.images), test.labels, len(pool.classes), pool.provenance,
    )  # fmt: skip


@functools.cache  # always the same bytes
def _digits() -> tuple[dataset.Dataset, dataset.Dataset]:
    return mnist.mnist()
