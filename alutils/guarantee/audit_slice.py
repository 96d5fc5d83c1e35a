"""The random audit slice that certificates rest on: drawing it, and refusing what is none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from alutils.base.checks import check_count, check_fraction, known_values
from alutils.base.errors import ParameterError

ROUNDING = 1e-6
"""By how much a softmax in float32 may pass one."""

AMPLE = 2
"""Times as many items as enough, at the first threshold tested."""


def draw_audit(
    n_items: int, n: int, rng: np.random.Generator, *, exclude: np.ndarray | None = None
) -> np.ndarray:
    """Draw the audit slice: a simple random sample of ``n_items``, without replacement.

    (n,) int64, in random order: the first k of them are a random sample of k, so that the audit can
    be labelled bit by bit. Left out are those to ``exclude``, (n_labelled,) int, as people have
    labelled them already.
    """
    check_count("n_items", n_items)
    left = np.ones(n_items, bool)
    if exclude is not None and len(exclude):
        exclude = np.asarray(exclude, np.int64)
        check_within("exclude", exclude, n_items)
        left[exclude] = False
    candidates = np.flatnonzero(left)
    if not 1 <= n <= len(candidates):
        raise ParameterError(
            "n", n, f"expected from 1 to the {len(candidates)} items that are left", "ask for fewer"
        )
    return rng.permutation(candidates)[:n]


def reachable(
    thresholds: Sequence[float], pool: np.ndarray, n_audit: int, needed: int
) -> tuple[float, ...]:
    """Return the list from the first threshold above which an audit should hold ample items.

    Ample is `AMPLE` times what would do without an error, since a first threshold that is tested on
    hardly enough fails at the first error; in a small audit, half-way from enough to all of it.

    Parameters
    ----------
    thresholds : strictly descending; the last of them stays on the list in any case
    pool : (n_pool,) float, confidences of the items that the audit is drawn from
    n_audit : size of the audit
    needed : items that must be above it for a certificate without an error
    """
    thresholds = check_thresholds(thresholds)
    pool = np.sort(check_confidences("pool", pool))
    share = 1 - np.searchsorted(pool, thresholds, side="left") / len(pool)
    ample = np.flatnonzero(share * n_audit >= min(AMPLE * needed, (needed + n_audit) / 2))
    return thresholds[ample[0] if len(ample) else -1 :]


def counts_above(
    confidence: np.ndarray, right: np.ndarray, thresholds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return (..., n_thresholds) int64 twice: audited items at or above each, errors among them.

    confidence, right : (..., n_audit) float and bool; one audit, or many of one size
    thresholds : (n_thresholds,) float, strictly descending
    """
    *many, n_audit = confidence.shape
    rows, k = int(np.prod(many)), len(thresholds)
    # The first threshold on the list that each item reaches; k for none.
    reached = np.searchsorted(-np.asarray(thresholds), -confidence, side="left")
    cells = reached.reshape(rows, n_audit) + (k + 1) * np.arange(rows)[:, None]

    def counts(cells: np.ndarray) -> np.ndarray:
        found = np.bincount(cells, minlength=rows * (k + 1)).reshape(*many, k + 1)
        return found[..., :k].cumsum(axis=-1)

    return counts(cells.ravel()), counts(cells[~right.reshape(rows, n_audit)])


def check_audit(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an audit as (n,) float64 and (n,) bool, or say what is wrong with it."""
    confidence, right = check_confidences("confidence", confidence), known_values("right", right)
    if right.shape != confidence.shape:
        raise ParameterError(
            "right", right.shape, f"expected one value for each confidence, {confidence.shape}"
        )
    if len(odd := right[~np.isin(right, (0, 1))]):
        raise ParameterError("right", odd[0], "expected true or false for each item")
    return confidence, right.astype(bool)


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return thresholds as floats, or say what is wrong with them."""
    values = tuple(thresholds) if np.ndim(thresholds) == 1 else ()
    if not values:
        raise ParameterError("thresholds", thresholds, "expected a list of at least one")
    for value in values:
        check_fraction("thresholds", value)
    if any(second >= first for first, second in itertools.pairwise(values)):
        raise ParameterError(
            "thresholds",
            values,
            "expected strictly descending values: they are tested in this order",
            f"try {tuple(sorted(set(values), reverse=True))}",
        )
    return tuple(map(float, values))


def check_within(name: str, numbers: np.ndarray, n: int, what: str = "items") -> None:
    if numbers.min() < 0 or numbers.max() >= n:
        worst = numbers.min() if numbers.min() < 0 else numbers.max()
        raise ParameterError(name, worst, f"expected {what} from 0 to {n - 1}")


def check_confidences(name: str, values: np.ndarray) -> np.ndarray:
    values = known_values(name, values)
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise ParameterError(
            name,
            f"{values.dtype} of shape {values.shape}",
            "expected one number an item",
            "give the highest probability of each row",
        )
    if len(values) == 0:
        raise ParameterError(name, "[]", "expected at least one item", "label an audit first")
    values = values.astype(float)
    bad = ~((values >= 0) & (values <= 1 + ROUNDING))
    if bad.any():
        item = int(np.flatnonzero(bad)[0])
        raise ParameterError(
            name,
            values[item],
            f"item {item}: expected a probability from 0 to 1",
            "check what the model puts out",
        )
    return np.minimum(values, 1.0)
