"""Certificates that may be asked for again and again while the audit grows.

Clopper and Pearson's bound holds for one look. Whoever looks after every label and stops when the
bound is high enough is wrong far more often than promised. The bounds here hold at all looks at
once: a test that bets against "too many are wrong" cannot, if that is true, win twentyfold with
more than one chance in twenty, however often one looks (Ville 1939).

The bet: with the most errors that the target allows as its null hypothesis, the likelihood ratio
of a model with ``RATIOS`` times as few errors, mixed over ``RATIOS``. It depends on the counts so
far only, so nothing but the counts need be kept; the order of the labels has to be random, which
`draw_audit` sees to. Each ratio falls with every error more and rises with the errors that the null
allows, so "as many as allowed" is the hardest case of "too many".

Source: mixtures, Robbins (1970); betting, Waudby-Smith and Ramdas (2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import xlogy

from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.audit_slice import check_audit, reachable
from alutils.guarantee.certificates import Certificate, needed
from alutils.guarantee.thresholds import by_bound, thresholds_to_test

RATIOS = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
"""The share of the allowed errors that the bets are on."""

WEIGHTS = np.array([6, 2, 2, 2, 2, 2, 1, 1, 1, 1]) / 20
"""What is put on each: most on no error, since that is how few labels can be enough."""

HALVINGS = 50


def log_evidence(
    n: float | np.ndarray, errors: float | np.ndarray, target: float | np.ndarray
) -> float | np.ndarray:
    """Log of the capital won by betting against "fewer than ``target`` are right".

    While that is so, it ever reaches ``log(1 / risk)``, at any of all looks, with probability
    ``risk`` at most. Parameters broadcast, as in `anytime_lower_bound`.
    """
    n, errors, target = (np.asarray(each, float)[..., None] for each in (n, errors, target))
    allowed = 1 - target
    won = xlogy(errors, RATIOS) + (n - errors) * np.log((1 - RATIOS * allowed) / target)
    evidence = _log_mixture(won)
    return float(evidence) if evidence.ndim == 0 else evidence


def anytime_lower_bound(
    n: float | np.ndarray, errors: float | np.ndarray, level: float = 0.95
) -> float | np.ndarray:
    """Lower bound on a share of right labels that holds at every look.

    Parameters
    ----------
    n, errors : labels checked so far and the wrong ones among them; shapes that broadcast
    level : probability, at least, that no look, early or late, gives a bound above the true share

    It is from 0 to 1, and never above `stats.intervals.lower_bound`.
    """
    check_open_fraction("level", level)
    n, errors = np.broadcast_arrays(np.asarray(n, float), np.asarray(errors, float))
    if np.any(errors < 0) or np.any(errors > n):
        raise ParameterError("errors", errors, f"expected from 0 to n={n}")
    enough = math.log(1 / (1 - level))
    low, high = np.zeros(n.shape), np.ones(n.shape)  # won against `low`, not against `high`
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        won = log_evidence(n, errors, middle) >= enough
        low, high = np.where(won, middle, low), np.where(won, high, middle)
    return float(low) if low.ndim == 0 else low


def spent_level(level: float, number: int) -> float:
    """Return the level for the ``number``-th model asked about with one audit, from 1 on.

    It gets the risk ``1 - level`` divided by ``number * (number + 1)``; all of these, for ever, add
    up to the whole, so that the promises about all models together have the level.
    """
    check_open_fraction("level", level)
    check_count("number", number, 1)
    return 1 - (1 - level) / (number * (number + 1))


def certify_anytime(
    confidence: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    level: float = 0.95,
    thresholds: Sequence[float] | None = None,
    pool: np.ndarray | None = None,
    planned: int | None = None,
    model_number: int | None = None,
    model: str = "",
    data: str = "",
) -> Certificate:
    """Certify the lowest threshold that the audit so far supports, at any look.

    The risk that any look at all gives a false certificate is ``1 - level`` at most: the first
    false threshold on the list would have to pass.

    Parameters
    ----------
    confidence, right, target, level, thresholds, model, data : as in `thresholds.certify`; the
        audit is the beginning of a random order, as long as it is by now
    pool : as in `thresholds.certify`, where it or ``thresholds`` has to be given; needs ``planned``
    planned : audit labels at the last look. The list of thresholds begins where these can decide,
        at all looks alike: a start that moved with the looks would not hold the level
    model_number : which model this is of those asked about with this audit, from 1 on; each gets
        part of the risk (`spent_level`), so that retraining and asking again keeps the promise
        too. None: there is one model only, which gets all of it
    """
    confidence, right = check_audit(confidence, right)
    check_open_fraction("target", target)
    spent = level if model_number is None else spent_level(level, model_number)
    listed = thresholds_to_test(thresholds, pool)
    if pool is not None:
        if planned is None:
            raise ParameterError("planned", None, "expected the audit labels at the last look")
        check_count("planned", planned)
        listed = reachable(listed, pool, planned, anytime_labels_needed(target, spent))
    return by_bound(
        confidence, right, listed, lambda n, errors: anytime_lower_bound(n, errors, spent),
        _wins(target, spent), target=target, level=level, rule="anytime", model=model, data=data,
    )  # fmt: skip


def anytime_labels_needed(target: float, level: float = 0.95, errors: int = 0) -> int:
    """Return how many checked labels, ``errors`` of them wrong, certify the target at any look."""
    check_open_fraction("level", level)
    return needed(_wins(target, level), target, errors)


def _wins(target: float, level: float) -> Callable[[int, int], bool]:
    """Return whether so many labels and errors certify: quicker than the bound."""
    return lambda n, errors: bool(log_evidence(n, errors, target) >= math.log(1 / (1 - level)))


def _log_mixture(logs: np.ndarray) -> np.ndarray:
    """Return the log of the weighted sum over the last axis; SciPy's is ten times slower here."""
    top = logs.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):  # nothing won at all: log of zero
        return np.log(np.exp(logs - top) @ WEIGHTS) + top[..., 0]
