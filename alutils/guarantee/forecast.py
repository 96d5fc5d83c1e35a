"""Forecasts of the planner beside what it then took, on real models whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from alutils.base.errors import ParameterError
from alutils.guarantee import planner
from alutils.guarantee.audits import check_audit


def learning_forecast(
    n_human: np.ndarray,
    n_wrong: np.ndarray,
    n_pool: int,
    rng: np.random.Generator,
    *,
    known: int,
    checked: int,
    targets: Sequence[float],
    interval: float = 0.9,
) -> pd.DataFrame:
    """Forecast from the first rounds when the model has a share right; say when it really had.

    Parameters
    ----------
    n_human, n_wrong : (n_rounds,) int, labels trained on after each round, and how many labels of
        the model for what then waits were wrong: the truth, which the forecast does not see
    n_pool : items in the pool, the labelled ones included
    rng : of the labels checked, and of the forecast
    known : rounds that the forecast is made from
    checked : labels of a random audit after each of these rounds, all that the forecast sees
    targets : shares of the waiting items that the model is to have right
    interval : chance that the interval is to hold the truth

    Returns
    -------
    DataFrame, a row a target: target, labels (trained on when the forecast was made), more, low,
    high (infinite for never), took (more labels until the first round that had it; NaN where no
    round did), seen (more labels that were given in all)
    """
    n_human, n_wrong = np.asarray(n_human, int), np.asarray(n_wrong, int)
    if not planner.FEWEST_ROUNDS <= known <= len(n_human):
        raise ParameterError(
            "known", known, f"expected from {planner.FEWEST_ROUNDS} to the {len(n_human)} rounds"
        )
    waiting = n_pool - n_human
    errors = rng.hypergeometric(n_wrong[:known], (waiting - n_wrong)[:known], checked)
    forecasts = planner.more_training_labels(
        n_human[:known], np.full(known, checked), errors, rng, targets=targets, interval=interval,
        most=n_pool,
    )  # fmt: skip
    now, rows = int(n_human[known - 1]), []
    for each in forecasts:
        reached = np.flatnonzero((n_wrong <= (1 - each.target) * waiting) & (n_human >= now))
        took = float(n_human[reached[0]] - now) if len(reached) else math.nan
        rows.append(
            {
                "target": each.target, "labels": now, "more": each.more, "low": each.low,
                "high": each.high, "took": took, "seen": int(n_human[-1]) - now,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def audit_forecasts(
    confidence: np.ndarray,
    right: np.ndarray,
    rng: np.random.Generator,
    *,
    share: float,
    known: int,
    audits: int,
    target: float,
    level: float = 0.95,
    interval: float = 0.9,
) -> pd.DataFrame:
    """Forecast from the first labels of many audits how many more certify a share of the pool.

    Parameters
    ----------
    confidence, right : (n_items,) float and bool, as for `simulate`
    rng : of the audits' orders and the forecasts
    share : of the items, to be labelled automatically
    known : labels of each audit that the forecast is made from
    audits : how many
    target, level : of the certificate, which may be asked for after every label
    interval : chance that the interval is to hold the truth

    Returns
    -------
    DataFrame, a row an audit: more, low, high (forecast), took (in truth; infinite where all labels
    would not do), inside (whether the interval holds what it took)
    """
    confidence, right = check_audit(confidence, right)
    ordered = np.sort(confidence)
    threshold = ordered[len(ordered) - math.ceil(share * len(ordered))]
    needed = planner.boundary(target, level, int((confidence >= threshold).sum()))
    rows = []
    for _ in range(audits):
        order = rng.permutation(len(confidence))
        seen = order[:known]
        (forecast,) = planner.more_audit_labels(
            confidence[seen], right[seen], confidence, rng, shares=[share], target=target,
            level=level, interval=interval,
        )  # fmt: skip
        above = confidence[order] >= threshold
        n, errors = np.cumsum(above), np.cumsum(above & ~right[order])
        # From so many labels above the threshold on, by the errors so far; past the list, never.
        enough = np.append(needed, len(order) + 1)[np.minimum(errors, len(needed))]
        done = np.flatnonzero((n >= enough) & (np.arange(len(order)) >= known - 1))
        took = float(done[0] + 1 - known) if len(done) else math.inf
        rows.append({"more": forecast.more, "low": forecast.low, "high": forecast.high,
                     "took": took})  # fmt: skip
    table = pd.DataFrame(rows)
    inside = (table["took"] >= table["low"]) & (table["took"] <= table["high"])
    return table.assign(inside=inside)
