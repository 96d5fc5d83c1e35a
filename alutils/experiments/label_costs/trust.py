"""What rules for automatic labels keep of their promise, on the scores of a model that was trained.

``benchmarks/guarantee.py`` asks this of made-up error models. Here the items, the confidences and
the mistakes are a real model's (`scores`), the truth is known, and only the audit is drawn, again
and again (`simulate`). `alutils.guarantee.forecast` does the same with the planner's forecasts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError, nearest
from alutils.experiments.label_costs import fewest_labels
from alutils.guarantee.audits import check_audit, draw_audit, reachable
from alutils.guarantee.plans import CERTIFIED, plan_audit
from alutils.guarantee.pool import allowed_errors
from alutils.guarantee.thresholds import THRESHOLDS, labels_needed
from alutils.guarantee.weighted import plan_weighted_audit
from alutils.stats.intervals import lower_bound

RULES = {
    "fixed 0.6": "everything at or above 0.6, the report's threshold",
    "fixed 0.9": "everything at or above 0.9",
    "best on validation": "the lowest threshold at which the audit looks right",
    "certified": "the lowest threshold that the audit certifies",
    "whole pool": "everything, if a planned audit accepts it",
    "whole pool, weighted": "everything, if an audit accepts it that looks where the model doubts",
}
"""Rules by name, and what each labels automatically."""
FIXED = {"fixed 0.6": 0.6, "fixed 0.9": 0.9}
WHOLE = ("whole pool", "whole pool, weighted")


def rows_and_scores(settings: fewest_labels.Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of `fewest_labels.run` and, of the same training, all its `scores`."""
    both = [
        (fewest_labels.measured(settings, trained), scores(trained))
        for trained in fewest_labels.trainings(settings)
    ]
    rows, said = (pd.concat(frames, ignore_index=True) for frames in zip(*both, strict=True))
    return rows, said


def scores(trained: fewest_labels.Trained) -> pd.DataFrame:
    """Return what a model says of every waiting item, in the order in which they waited.

    Returns
    -------
    a row an item: n_human (labels trained on), confidence (highest probability), margin
    (`uncertainty.margin`; higher is less sure), right (1 where the likeliest class is the true
    one, else 0)
    """
    p = trained.probabilities
    return pd.DataFrame(
        {
            "n_human": trained.state.book.n_human,
            "confidence": p.max(axis=1).astype(float),
            "margin": uncertainty.margin(p).astype(float),
            "right": (p.argmax(axis=1) == trained.data.labels[trained.waiting]).astype(int),
        }
    )


def simulate(
    confidence: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    n_audit: int,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
    rules: Sequence[str] = tuple(RULES),
    thresholds: Sequence[float] = THRESHOLDS,
    margin: np.ndarray | None = None,
    n_human: int = 0,
    by_hand: int = 0,
    expected_wrong: float = 0.002,
    most: int | None = None,
) -> pd.DataFrame:
    """Draw many audits of one model and count, rule by rule, how often its promise was broken.

    Parameters
    ----------
    confidence, right : (n_items,) float and bool or 0 and 1, of the items that wait for a label
    target, level : of the promise
    n_audit : labels an audit
    draws : audits; all rules for thresholds get the same ones
    rng : of the audits
    rules : of `RULES`
    thresholds : strictly descending, the list that both rules choose from that ask the audit
    margin, n_human, by_hand, expected_wrong, most : of the rules for whole pools alone: how unsure
        the model is of each item; human labels that the pool has besides, which are right; items
        labelled by hand first; as in `whole_pool.finish`

    Returns
    -------
    DataFrame, a row a rule: audits, broken with broken_low and broken_high (Clopper and Pearson,
    95%), coverage (share of the waiting items labelled automatically, mean over all audits,
    refusals included), right (share of these labels that is right, mean over the audits that had
    any), refused (share of audits), labels (an audit's, and those by hand, on average)

    The promise of a threshold is broken where less than ``target`` of the model's labels at or
    above it are right, of all items that wait. That of the whole pool is broken where it was given
    and more than `whole_pool.allowed_errors` of all labels are wrong.

    Raises
    ------
    ParameterError
        For an unknown rule, and values that do not fit.
    """
    confidence, right = check_audit(confidence, right)
    for name, value in (("target", target), ("level", level)):
        check_open_fraction(name, value)
    check_count("draws", draws)
    if draws < 1:
        raise ParameterError("draws", draws, "expected at least one")
    for rule in rules:
        if rule not in RULES:
            raise ParameterError("rules", rule, nearest(str(rule), tuple(RULES)))
    by_threshold = [rule for rule in rules if rule not in WHOLE]
    taken = _thresholds_taken(
        confidence, right, by_threshold, target=target, level=level, n_audit=n_audit,
        draws=draws, rng=rng, thresholds=thresholds,
    )  # fmt: skip
    ordered = np.sort(confidence)
    correct = np.cumsum(right[np.argsort(confidence, kind="stable")][::-1])
    rows = []
    for rule in rules:
        if rule in WHOLE:
            doubt = 1 - confidence if rule == WHOLE[1] else None
            values = _whole_pool(
                right, margin, doubt, target=target, level=level, draws=draws, rng=rng,
                n_human=n_human, by_hand=by_hand, expected_wrong=expected_wrong, most=most,
            )  # fmt: skip
        else:
            at = taken[rule]  # NaN, a refusal, is sorted behind everything: nothing is above it
            above = len(ordered) - np.searchsorted(ordered, at)
            share = correct[np.maximum(above, 1) - 1] / np.maximum(above, 1)
            values = {
                "broken": (above > 0) & (share < target),
                "coverage": above / len(ordered),
                "right": np.where(above > 0, share, np.nan),
                "refused": np.isnan(at),
                "labels": np.full(draws, 0 if rule in FIXED else n_audit),
            }
        rows.append({"rule": rule, **_summary(values)})
    return pd.DataFrame(rows)


def _thresholds_taken(
    confidence: np.ndarray, right: np.ndarray, rules: Sequence[str], *, target: float,
    level: float, n_audit: int, draws: int, rng: np.random.Generator,
    thresholds: Sequence[float],
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the threshold that each rule takes after each audit, NaN where it refuses."""
    taken = {rule: np.full(draws, FIXED[rule]) for rule in rules if rule in FIXED}
    asking = [rule for rule in rules if rule not in FIXED]
    if not asking:
        return taken
    n, errors = audit_counts(confidence, right, n_audit, draws, rng, thresholds)
    looks_right = (n > 0) & (n - errors >= target * n)
    # The part of the list that `certify` takes when it is given the pool.
    listed = reachable(thresholds, confidence, n_audit, labels_needed(target, level))
    # The same counts turn up in many audits, and each bound takes a while.
    cells, place = np.unique(np.stack([n, errors]).reshape(2, -1), axis=1, return_inverse=True)
    enough = lower_bound(*cells, level) >= target
    certified = enough[np.ravel(place)].reshape(n.shape)
    certified[:, : len(thresholds) - len(listed)] = True
    passed = {
        # The lowest that passes, whatever lies above it ...
        "best on validation": looks_right[:, ::-1].cumsum(axis=1)[:, ::-1] > 0,
        # ... and the last before the first that fails.
        "certified": np.logical_and.accumulate(certified, axis=1),
    }
    begins = {"best on validation": 0, "certified": len(thresholds) - len(listed)}
    for rule in asking:
        last = passed[rule].sum(axis=1) - 1
        taken[rule] = np.where(last >= begins[rule], np.asarray(thresholds)[last], np.nan)
    return taken


def audit_counts(
    confidence: np.ndarray,
    right: np.ndarray,
    n_audit: int,
    draws: int,
    rng: np.random.Generator,
    thresholds: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw audits and count the items, and the errors among them, at or above each threshold.

    Parameters
    ----------
    confidence, right : (n_items,) float and bool
    n_audit, draws : items an audit, drawn without replacement, and audits
    rng : decides which
    thresholds : (n_thresholds,) float, strictly descending

    Returns
    -------
    n, errors : (draws, n_thresholds) int64 each
    """
    k = len(thresholds)
    # The first threshold on the list that each item reaches; k for none.
    reached = np.searchsorted(-np.asarray(thresholds), -confidence, side="left")
    drawn = np.stack([draw_audit(len(confidence), n_audit, rng) for _ in range(draws)])
    cell = reached[drawn] + (k + 1) * np.arange(draws)[:, None]

    def counts(cells: np.ndarray) -> np.ndarray:
        found = np.bincount(cells, minlength=draws * (k + 1)).reshape(draws, k + 1)
        return found[:, :k].cumsum(axis=1)

    return counts(cell.ravel()), counts(cell[~right[drawn]])


def _whole_pool(
    right: np.ndarray, margin: np.ndarray | None, doubt: np.ndarray | None, *, target: float,
    level: float, draws: int, rng: np.random.Generator, n_human: int, by_hand: int,
    expected_wrong: float, most: int | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return what `whole_pool.finish` comes to in each of many audits, at its first attempt.

    doubt : (n_items,) float for a weighted audit, None for a uniform one.
    """
    check_count("n_human", n_human)
    check_count("by_hand", by_hand)
    if by_hand and margin is None:
        raise ParameterError(
            "margin", None, f"expected one for each item, to find {by_hand} to label by hand"
        )
    rest = np.arange(len(right))
    if margin is not None:
        if np.shape(margin) != right.shape:
            raise ParameterError("margin", np.shape(margin), f"expected {right.shape}")
        rest = np.argsort(-np.asarray(margin), kind="stable")[by_hand:]
    wrong = ~right[rest]
    allowed = allowed_errors(len(right) + n_human, target)
    weighted = None
    if doubt is not None:
        weighted = plan_weighted_audit(
            doubt[rest], allowed, level=level, rate=expected_wrong, most=most
        )
    if weighted is None:
        plan = _plan(len(rest), allowed, level, expected_wrong, most)
        orders = (rng.permutation(len(rest))[: plan.looks[-1]] for _ in range(draws))
        outcomes = [plan.run(~wrong[order]) for order in orders]
    else:
        outcomes = [weighted.run(wrong, rng) for _ in range(draws)]
    certified = np.array([outcome.decision == CERTIFIED for outcome in outcomes])
    used = np.array([outcome.n_used for outcome in outcomes])
    wrong_left = int(wrong.sum()) - np.array([outcome.errors for outcome in outcomes])
    left = len(rest) - used
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(certified, 1 - wrong_left / left, np.nan)
    return {
        "broken": certified & (wrong_left > allowed),
        "coverage": np.where(certified, left / len(right), 0.0),
        "right": share,
        "refused": ~certified,
        "labels": used + by_hand,
    }


@functools.lru_cache(maxsize=32)  # a plan takes a second, and belongs to the sizes alone
def _plan(population: int, allowed: int, level: float, rate: float, most: int | None) -> Any:
    return plan_audit(population, allowed, level=level, rate=rate, most=most)


def _summary(values: dict[str, np.ndarray]) -> dict[str, float]:
    broken, some = values["broken"], ~np.isnan(values["right"])
    interval = stats.binomtest(int(broken.sum()), len(broken)).proportion_ci(0.95)
    return {
        "audits": len(broken),
        "broken": float(broken.mean()),
        "broken_low": float(interval.low),
        "broken_high": float(interval.high),
        "coverage": float(values["coverage"].mean()),
        "right": float(values["right"][some].mean()) if some.any() else math.nan,
        "refused": float(values["refused"].mean()),
        "labels": float(values["labels"].mean()),
    }
