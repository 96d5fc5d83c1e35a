"""Informativeness scores: pure functions on arrays, higher = more informative."""

from __future__ import annotations

import numpy as np


def least_confident(probabilities: np.ndarray) -> np.ndarray:
    """Uncertainty as what the likeliest class lacks to certainty.

    Parameters
    ----------
    probabilities : (n_samples, n_classes) float, rows summing to one

    Returns
    -------
    (n_samples,) float64 in [0, 1 - 1/n_classes]; the highest is the most informative

    Notes
    -----
    The difference is taken in float64, where it is exact for float32 probabilities: in float32 it
    would round, make ties, and so change the order that the article's procedure depends on.

    Source: Lewis and Gale (1994); Settles (2009), section 3.1.
    """
    return 1.0 - probabilities.max(axis=1).astype(np.float64)
