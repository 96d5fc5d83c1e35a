"""Informativeness scores on probabilities, and the choice of the best: pure functions on arrays.

Higher = more informative. Scores and choice are separate: a score knows one sample, `top` only
numbers. All scores take (n_samples, n_classes) float probabilities, rows summing to one, and raise
ValueError as `checked` does.
"""

from __future__ import annotations

import numpy as np

from alutils.base.checks import known_values
from alutils.base.compiled import compiled

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from summing to one: far above float32's rounding."""
_ROWS = 4096  # handled at a time, so that what is computed in between stays in the cache


def checked(probabilities: np.ndarray, name: str = "probabilities") -> np.ndarray:
    """Return probabilities as an array, or say what is wrong with them.

    Parameters
    ----------
    probabilities : (n_samples, n_classes), at least one of each, rows summing to one
    name : what the error calls them

    Returns
    -------
    the same memory where it holds float32 or float64; float16 as float32, integers as float64

    Raises
    ------
    ValueError
        for another shape, no samples, and the first row that holds NaN or a negative number or does
        not sum to one within ``SUM_TOLERANCE``
    """
    p = _as_floats(probabilities, name)
    wrong = _wrong_rows(np.ascontiguousarray(p))
    if wrong.any():
        row = int(wrong.argmax())
        kind = "holds NaN" if np.isnan(p[row]).any() else f"sums to {p[row].sum():.6g}"
        if p[row].min() < 0:
            kind = f"holds {p[row].min():.6g}"
        raise ValueError(
            f"{name}: row {row} {kind} ({np.count_nonzero(wrong)} of {len(p)} rows are wrong); "
            "expected numbers from 0 to 1 that sum to 1. Give probabilities (after the softmax), "
            "not logits, and look for a training that diverged."
        )
    return p


@compiled(error_model="numpy")
def _wrong_rows(p):
    """Return which rows are no probabilities, (n_samples,) bool; NaN fails every comparison."""
    wrong = np.empty(p.shape[0], np.bool_)
    for i in range(p.shape[0]):
        lowest = total = p[i, 0]
        for c in range(1, p.shape[1]):
            total += p[i, c]
            lowest = min(lowest, p[i, c])
        wrong[i] = not (abs(total - 1) <= SUM_TOLERANCE and lowest >= 0)
    return wrong


def _as_floats(probabilities: np.ndarray, name: str) -> np.ndarray:
    """Return an array of the right shape and type; the numbers in it are not looked at."""
    p = known_values(name, probabilities)
    if p.ndim != 2 or not p.shape[1]:
        raise ValueError(
            f"{name}: an array of shape {p.shape}; expected (n_samples, n_classes), a row of class "
            "probabilities for each sample."
        )
    if not len(p):
        raise ValueError(f"{name}: 0 samples, the pool is empty; there is nothing left to ask for.")
    if p.dtype.kind not in "fiub":
        raise ValueError(f"{name}: dtype {p.dtype}; expected float32 or float64.")
    if p.dtype not in (np.float32, np.float64):
        p = p.astype(np.float32 if p.dtype == np.float16 else np.float64)
    return p


def _two_highest(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's highest and second highest (0 for one class), (n_samples,) each.

    One pass, in which the rows are checked, too: NumPy's own maximum over short rows takes longer.
    """
    p = np.ascontiguousarray(_as_floats(probabilities, "probabilities"))
    first, second = np.empty((2, len(p)), p.dtype)
    if _rows(p, first, second):
        checked(probabilities)  # says what is wrong
    return first, second


@compiled(error_model="numpy")
def _rows(p, first, second):
    """Fill ``first`` and ``second``; return how many rows are no probabilities."""
    n_wrong = 0
    for i in range(p.shape[0]):
        highest = lowest = total = p[i, 0]
        next_highest = p[i, 0] * 0
        for c in range(1, p.shape[1]):
            value = p[i, c]
            total += value
            lowest = min(lowest, value)
            next_highest = max(next_highest, min(highest, value))
            highest = max(highest, value)
        first[i], second[i] = highest, next_highest
        n_wrong += not (abs(total - 1) <= SUM_TOLERANCE and lowest >= 0)
    return n_wrong


def checked_features(
    features: np.ndarray, n: int | None = None, name: str = "features"
) -> np.ndarray:
    """Return features as a float array, or raise ValueError that says what is wrong with them.

    ``features`` (n, n_features); ``n``: how many rows there have to be, where that is known.
    float32 and float64 are not copied.
    """
    x = np.asarray(features)
    if x.ndim != 2 or (n is not None and len(x) != n):
        expected = "n_samples" if n is None else n
        raise ValueError(
            f"{name}: an array of shape {x.shape}; expected ({expected}, n_features), a row for "
            "each sample. Flatten images first."
        )
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32)
    with np.errstate(invalid="ignore"):  # of infinities with both signs
        total = x.sum(dtype=np.float64)
    if not np.isfinite(total):
        raise ValueError(
            f"{name}: row {int((~np.isfinite(x)).any(axis=1).argmax())} holds values that are not "
            "finite; compute the features again."
        )
    return x


def least_confident(probabilities: np.ndarray) -> np.ndarray:
    """Uncertainty as what the likeliest class lacks to certainty.

    Returns
    -------
    (n_samples,) float64 in [0, 1 - 1/n_classes]; the highest is the most informative

    Notes
    -----
    The difference is taken in float64, where it is exact for float32 probabilities: in float32 it
    would round, make ties, and so change the order that the article's procedure depends on.

    Source: Lewis and Gale (1994); Settles (2009), section 3.1.
    """
    return 1.0 - _two_highest(probabilities)[0].astype(np.float64)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """Uncertainty as the gap between the two likeliest classes, negated.

    Parameters
    ----------
    probabilities : (n_samples, n_classes) float, rows summing to one

    Returns
    -------
    (n_samples,) of the probabilities' dtype, in [-1, 0]; 0 where two classes tie, the most
    informative. Where there is one class only, -1: it is certain.

    Source: Scheffer, Decomain and Wrobel (2001); Settles (2009), section 3.1.
    """
    first, second = _two_highest(probabilities)
    return second - first


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Uncertainty as Shannon's entropy.

    Returns
    -------
    (n_samples,) of the probabilities' dtype, in nats, in [0, log(n_classes)]; 0 log 0 is 0

    Source: Shannon (1948), section 6; Settles (2009), section 3.1.
    """
    p = checked(probabilities)
    out = np.empty(len(p), p.dtype)
    nothing = np.finfo(p.dtype).tiny
    work = np.empty((min(_ROWS, len(p)), p.shape[1]), p.dtype)
    for start in range(0, len(p), _ROWS):
        block = np.ascontiguousarray(p[start : start + _ROWS])
        logs = np.maximum(block, nothing, out=work[: len(block)])
        np.log(logs, out=logs)
        # Not a product of matrices: its rounding depends on where a row lies, and equals would
        # differ.
        np.einsum("nc,nc->n", logs, block, out=out[start : start + _ROWS])
    return np.maximum(-out, 0, out=out)  # a probability that rounding took over 1 is certain


def top(scores: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the (k,) int64 places of the highest of (n_samples,) float scores, highest first.

    Who wins among equals is drawn, each as likely as another. -inf is for what must not be chosen
    before all else is. ValueError for NaN, an empty pool, or a ``k`` that is not 1 to n_samples.
    """
    scores = np.asarray(scores)
    if scores.ndim != 1:
        raise ValueError(f"scores: an array of shape {scores.shape}; expected (n_samples,).")
    check_batch(k, len(scores))
    if np.isnan(scores).any():
        raise ValueError(
            f"scores: {np.count_nonzero(np.isnan(scores))} of {len(scores)} are NaN, the first at "
            f"{int(np.isnan(scores).argmax())}; expected numbers: look at what they are made from."
        )
    lowest = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > lowest)
    level = rng.permutation(np.flatnonzero(scores == lowest))[: k - len(above)]
    chosen = np.concatenate([rng.permutation(above), level])
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def check_batch(batch: int, n_pool: int) -> None:
    """Raise ValueError unless ``batch`` items can be chosen out of ``n_pool``."""
    if n_pool == 0:
        raise ValueError("the pool is empty: every item is labelled, nothing is left to ask for.")
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer):
        raise ValueError(f"batch={batch!r}: expected a whole number of items.")
    if not 1 <= batch <= n_pool:
        raise ValueError(
            f"batch={batch}: the pool holds {n_pool} unlabelled items; ask for 1 to {n_pool}."
        )
