"""Which items of a data set without test images of its own are held out to test."""

from __future__ import annotations

import numpy as np

TEST_SHARE = 0.2


def held_out(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the items that test, ``TEST_SHARE`` of them, and the others.

    Both are int64 in a random order, the same for a seed in every experiment.
    """
    order = np.random.default_rng([seed, 9]).permutation(n)
    n_test = round(TEST_SHARE * n)
    return order[:n_test], order[n_test:]
