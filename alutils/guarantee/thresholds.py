"""The right to believe automatic labels: thresholds certified on a random audit slice.

A model's own confidence promises nothing, and the items that active learning asked for cannot check
it: they were chosen because the model was unsure. So a slice of the pool is drawn at random,
labelled without showing the prediction, and never trained on. Of the thresholds on a preset,
falling list, each is tested in turn until the first fails, and the last that passed is certified:
*of the items at or above it, at least ``target`` are right*, wrong about this in at most
``1 - level`` of all audits.

What makes it valid, and what would break it:

* The list and the target are fixed before the audit is labelled. Then testing in a fixed order
  needs no correction: a false certificate means that the first false threshold on the list passed.
* The audit is a random sample of the very items to be labelled. It is, exactly, when it is drawn
  from what is left after the last query (`draw_audit`'s ``exclude``). One drawn at the start and
  kept aside is a sample of new items of the same kind instead; queries take the hard items from
  the others and not from it, so it errs on the careful side unless they do the contrary.
* One look. Whoever labels on and asks again needs `alutils.guarantee.anytime`; whoever draws a new
  audit after a refusal gives ``attempts``, which counts.
* The audit's human labels are right. Wrong at random, they make the model look worse than it is,
  and little is certified until whoever disagrees with the model is asked once more. Wrong wherever
  the model is, they hide its errors and break the promise: ``benchmarks/guarantee.py`` shows both.

`certify_pool` makes the promise about the very items of one pool, which an audit of some hundreds
knows better than a bound for items without end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from alutils.active.attempts import Attempts
from alutils.base.checks import check_count, check_known, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.audit_slice import (
    check_audit,
    check_confidences,
    check_thresholds,
    check_within,
    counts_above,
    reachable,
)
from alutils.guarantee.certificates import Certificate, certificate, fixed_sequence, needed
from alutils.guarantee.terms import counted_level
from alutils.stats.intervals import lower_bound

THRESHOLDS = tuple(round(0.99 - 0.005 * step, 3) for step in range(99))
"""Tested in this order where none are given, from .99 to .5. Fine steps cost no certainty."""

PROMISES = ("auto", "above")

FAR = 4.0
"""Standard deviations by which an audit may hold more items above a threshold than expected."""


def labels_needed(target: float, level: float = 0.95, errors: int = 0) -> int:
    """Return how many checked labels, ``errors`` of them wrong, certify the target."""
    return needed(lambda n, errors: bool(lower_bound(n, errors, level) >= target), target, errors)


def certify(
    confidence: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    level: float = 0.95,
    thresholds: Sequence[float] | None = None,
    pool: np.ndarray | None = None,
    attempts: Attempts | None = None,
    model: str = "",
    data: str = "",
) -> Certificate:
    """Certify the lowest threshold that the audit supports; none where the first one fails.

    Either ``pool`` or ``thresholds`` has to be given: a list that begins where hardly an audited
    item lies refuses the best of models, and where they lie must not choose its beginning.

    Parameters
    ----------
    confidence : (n_audit,) float, highest probability of each audited item, by the model to certify
    right : (n_audit,) bool, whether that model's class is the human one
    target : share of right labels to promise for items at or above the threshold
    level : confidence of the promise
    thresholds : strictly descending, fixed before the audit was looked at; `THRESHOLDS` if None
    pool : (n_pool,) float, confidences of all items that the audit was drawn from. With it, the
        list begins at the first threshold that so large an audit can be expected to decide. Which
        items were drawn plays no part in it, so the promise stands
    attempts : counts this look at an audit of the pool, which is then held to a stricter level than
        the ones before (`alutils.guarantee.terms.attempt_level`), such as ``state.attempts`` of a
        `alutils.active.loops.pool.PoolState`. None: it is the only one there will be
    model, data : hashes that the certificate is to bear

    Source: fixed-sequence testing, Maurer, Hothorn and Lehmacher (1995); learn then test,
    Angelopoulos et al. (2021).
    """
    confidence, right = check_audit(confidence, right)
    check_open_fraction("target", target)
    listed = thresholds_to_test(thresholds, pool)
    spent, attempt = counted_level(level, attempts)
    if pool is not None:
        listed = reachable(listed, pool, len(confidence), labels_needed(target, spent))
    return by_bound(
        confidence, right, listed, lambda n, errors: lower_bound(n, errors, spent),
        lambda n, errors: bool(lower_bound(n, errors, spent) >= target),
        target=target, level=level, attempt=attempt, model=model, data=data,
    )  # fmt: skip


def thresholds_to_test(
    thresholds: Sequence[float] | None, pool: np.ndarray | None
) -> tuple[float, ...]:
    """Return the list to test, the whole of it; ParameterError where nothing says its beginning."""
    if pool is not None:
        check_confidences("pool", pool)
    elif thresholds is None:
        raise ParameterError(
            "pool", None, "expected the confidences of all items that the audit was drawn from: "
            "they tell from which threshold on so many labels can decide",
            "give pool=, the highest probability of each of them, or thresholds= of your own",
        )  # fmt: skip
    return check_thresholds(THRESHOLDS if thresholds is None else thresholds)


def by_bound(
    confidence: np.ndarray,
    right: np.ndarray,
    thresholds: Sequence[float],
    bound: Callable[[np.ndarray, np.ndarray], float | np.ndarray],
    passes: Callable[[int, int], bool],
    *,
    target: float,
    level: float,
    **about: Any,
) -> Certificate:
    """Certify by any ``bound`` on the share of right labels, from those checked and the errors.

    passes : whether the bound for so many labels and errors reaches the target
    """
    confidence, right = check_audit(confidence, right)
    check_open_fraction("target", target)
    check_open_fraction("level", level)
    thresholds = check_thresholds(thresholds)
    n, errors = counts_above(confidence, right, thresholds)
    return certificate(
        thresholds, n, errors, np.asarray(bound(n, errors)), target=target, level=level,
        n_audit=len(confidence), passes=passes, **about,
    )  # fmt: skip


def wrong_at_most(population: int, n: int, errors: int, level: float = 0.95) -> int:
    """Return an upper bound on the wrong labels in a finite population, from a sample of it.

    Parameters
    ----------
    population : items in all, the sample included
    n, errors : size of the sample, drawn without replacement, and the wrong ones in it
    level : probability, at least, that no more are wrong in all

    Source: Wright (1991), Buonaccorsi (1987): the exact hypergeometric bound.
    """
    for name, value in (("population", population), ("n", n), ("errors", errors)):
        check_count(name, value)
    check_open_fraction("level", level)
    if not errors <= n <= population:
        raise ParameterError(
            "n", n, f"expected at least errors={errors} and at most population={population}"
        )
    low, high = errors, population - (n - errors) + 1  # `low` wrong in all is possible, `high` not
    while high - low > 1:
        middle = (low + high) // 2
        rare = stats.hypergeom.cdf(errors, population, middle, n) <= 1 - level
        low, high = (low, middle) if rare else (middle, high)
    return low


def most_audited(population: int, above: np.ndarray, n_audit: int) -> np.ndarray:
    """Return how many of an audit lie above a threshold, at most, but for a freak draw.

    That is the expectation and `FAR` standard deviations, rounded up, or all there can be, (...,)
    int, by ``above``: how many of the population are at or above the threshold.
    """
    share = np.asarray(above) / population
    left = (population - n_audit) / max(1, population - 1)  # a draw of everything has no spread
    spread = np.sqrt(n_audit * share * (1 - share) * left)
    most = np.ceil(n_audit * share + FAR * spread).astype(int)
    return np.minimum(np.minimum(above, n_audit), most)


def passes_in_pool(
    population: int,
    above: np.ndarray,
    n_audit: int,
    n: np.ndarray,
    errors: np.ndarray,
    *,
    target: float,
    level: float,
    promise: str = "auto",
) -> np.ndarray:
    """Return (...,) bool, which thresholds an audit certifies for the pool that it was drawn from.

    Parameters
    ----------
    population, above, n_audit : as in `most_audited`
    n, errors : (...,) int, audited items at or above each threshold, and the errors among them
    target, level, promise : as in `certify_pool`

    The test of a threshold asks whether so few errors would be rare if one more item were wrong
    than the promise allows. What the promise allows must not depend on the draw, or testing in a
    fixed order would not hold the level; it is therefore computed for the most audited items that
    a draw can be expected to put above the threshold, and a draw with more is refused.
    """
    most = most_audited(population, above, n_audit)
    total = above - most * (promise == "auto")  # labels that the target is a share of
    allowed = np.floor((1 - target) * total + 1e-9).astype(int)  # a little for what floats lose
    false = np.minimum(allowed + 1, above)
    rare = stats.hypergeom.cdf(errors, above, false, n) <= 1 - level
    return rare & (n <= most) & (total > 0)


def certify_pool(
    pool: np.ndarray,
    audited: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    level: float = 0.95,
    thresholds: Sequence[float] = THRESHOLDS,
    promise: str = "above",
    attempts: Attempts | None = None,
    model: str = "",
    data: str = "",
) -> Certificate:
    """Certify a threshold for the items of this very pool; the rule is `passes_in_pool`.

    Parameters
    ----------
    pool : (n_pool,) float, confidences of all items that the audit was drawn from, the audited
        ones included
    audited : (n_audit,) int, which of them were audited
    right : (n_audit,) bool, whether the model's class is the human one
    target, level, thresholds, attempts, model, data : as in `certify`
    promise : ``above``: of the model's labels for all items of this pool at or above the threshold,
        audited ones included, a share of at least ``target`` is right. ``auto``: of those that are
        not audited. This takes more labels and uses hardly any of the risk that the level grants:
        what it allows must hold for every draw, and is computed as if the audit found no error.
        The certificate's bound is one on the promised share
    """
    pool = check_confidences("pool", pool)
    audited = _check_places(audited, len(pool))
    confidence, right = check_audit(pool[audited], right)
    check_open_fraction("target", target)
    check_open_fraction("level", level)
    check_known("promise", promise, PROMISES)
    whole, (level, attempt) = level, counted_level(level, attempts)
    thresholds = reachable(thresholds, pool, len(audited), labels_needed(target, level))
    above, _ = counts_above(pool, np.ones(len(pool), bool), thresholds)
    n, errors = counts_above(confidence, right, thresholds)
    most = most_audited(len(pool), above, len(audited))
    total = above - most * (promise == "auto")
    passed = passes_in_pool(
        len(pool), above, len(audited), n, errors, target=target, level=level, promise=promise
    )
    k = int(fixed_sequence(passed)) + 1  # a bound takes a while, and none beyond is asked for
    rows = zip(above[:k], n[:k], errors[:k], most[:k], total[:k], strict=True)
    bound = [
        (total - wrong_at_most(above, n, errors, level)) / total if n <= most and total > 0 else 0.0
        for above, n, errors, most, total in rows
    ]
    allowed = (1 - target) * total[0] / above[0]
    return certificate(
        thresholds[:k], n[:k], errors[:k], np.maximum(bound, 0), target=target, level=whole,
        n_audit=len(audited), attempt=attempt,
        # Forecast as for an endless pool: a little careful, and it needs no draw.
        passes=lambda n, errors: bool(lower_bound(n, errors, level) >= 1 - allowed),
        promise=promise, model=model, data=data,
    )  # fmt: skip


def _check_places(audited: np.ndarray, n_pool: int) -> np.ndarray:
    """Return which items of a pool were audited, or say what is wrong with them."""
    audited = np.asarray(audited)
    if not np.issubdtype(audited.dtype, np.integer) or audited.ndim != 1 or not len(audited):
        raise ParameterError("audited", audited, "expected indices into the pool", "label an audit")
    check_within("audited", audited, n_pool)
    if len(np.unique(audited)) != len(audited):
        raise ParameterError("audited", len(audited), "expected each item once", "drop repeats")
    return audited
