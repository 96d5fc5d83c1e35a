"""Streams whose concept changes: labels that change their meaning.

A change is a `ramp`: 0 before it, 1 after it, in between rising where it is gradual. `new_concept`
makes of it which arrivals belong to the new concept.
"""

from __future__ import annotations

import numpy as np

from alutils.base.errors import ParameterError


def ramp(n: int, at: int, width: int = 0) -> np.ndarray:
    """Return how far a change has come at each of n arrivals, (n,) float64.

    0 before ``at`` (0 to n), 1 from ``at + width`` on, a straight line in between; with width 0 the
    change is abrupt.
    """
    if not 0 <= at <= n:
        raise ParameterError("at", at, f"expected an arrival, 0 to {n}")
    if width < 0:
        raise ParameterError("width", width, "expected a number of arrivals, 0 or more")
    since = np.arange(n) - at
    return np.clip(since / width, 0, 1) if width else (since >= 0).astype(np.float64)


def new_concept(n: int, at: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return which arrivals belong to the new concept, (n,) bool: each by chance, as `ramp` has it.

    Source: the gradual drift of Bifet, Holmes, Pfahringer, Kirkby and Gavalda (2009), with a
    straight line for their sigmoid.
    """
    return rng.random(n) < ramp(n, at, width)


def relabelled(y: np.ndarray, new: np.ndarray, meaning: np.ndarray) -> np.ndarray:
    """Let classes change their meaning: label drift of ``y`` (n,) int, whose dtype is kept.

    ``new`` (n,) bool says which arrivals belong to the new concept; what was class c is called
    ``meaning[c]`` there, a permutation of the classes.
    """
    y, meaning = np.asarray(y), np.asarray(meaning)
    if not np.array_equal(np.sort(meaning), np.arange(len(meaning))):
        raise ParameterError(
            "meaning", meaning, f"expected the classes 0 to {len(meaning) - 1}, each once"
        )
    if y.size and not (y.min() >= 0 and y.max() < len(meaning)):
        raise ParameterError(
            "meaning", meaning, f"the labels go from {y.min()} to {y.max()}", "give one for each"
        )
    return np.where(new, meaning[y], y).astype(y.dtype)
