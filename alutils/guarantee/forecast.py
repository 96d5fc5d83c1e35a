"""How many more labels it will take: forecasts with intervals, from the labels there are.

Two questions, two forecasts. *If the model stays as it is*, how many more audit labels certify a
share of the pool (`more_audit_labels`)? The errors to come are drawn from what the errors so far
say of their rate. *If the model goes on learning as it did*, how many more labels to train on
until so few errors are left that the whole pool can be certified (`more_training_labels`)? That
extends a power law fitted to the rounds so far. `audit_forecasts` and `learning_forecast` put both
beside what it then took, where the truth is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.anytime import log_evidence
from alutils.guarantee.audit_slice import check_audit, check_confidences, counts_above

SHARES = (0.95, 0.99, 0.995)
"""Of the pool, to be certified: what is asked where nothing else is."""

DRAWS = 2000

FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Forecast:
    """How many labels ``more``, the median, and the interval from ``low`` to ``high``.

    ``target`` is the share of right labels to be certified, ``share`` that of the pool to be
    labelled automatically. Infinite where that many labels would not do, or not before the pool
    ends.
    """

    target: float
    share: float
    more: float
    low: float
    high: float


def more_audit_labels(
    confidence: np.ndarray,
    right: np.ndarray,
    pool: np.ndarray,
    rng: np.random.Generator,
    *,
    shares: Sequence[float] = SHARES,
    target: float = 0.99,
    level: float = 0.95,
    interval: float = 0.9,
    draws: int = DRAWS,
) -> list[Forecast]:
    """Forecast the audit labels still needed to certify shares of the pool.

    The model is taken to stay as it is. The audit goes on label by label, and
    `anytime.certify_anytime` is asked after each, with the one threshold that the share needs.
    The rate of errors above the threshold is drawn from its posterior under Jeffreys' prior, then
    the labels one by one (a beta-binomial prediction): so the interval holds both what is not known
    of the rate and the luck of the labels.

    Parameters
    ----------
    confidence, right : (n_audit,) float and bool, the audit so far
    pool : (n_pool,) float, confidences of all items that the audit is drawn from
    shares : of the pool, each to be labelled automatically, above 0 and at most 1
    target, level : of the certificates
    interval : chance that the interval is to hold the truth
    draws : futures simulated for each share
    """
    confidence, right = check_audit(confidence, right)
    pool = check_confidences("pool", pool)
    if len(pool) < len(confidence):
        raise ParameterError("pool", len(pool), f"expected the {len(confidence)} audited ones too")
    for name, value in (("target", target), ("level", level), ("interval", interval)):
        check_open_fraction(name, value)
    check_count("draws", draws, 1)
    ordered, forecasts = np.sort(pool), []
    for share in shares:
        if not 0 < share <= 1:
            raise ParameterError("shares", share, "expected above 0 and at most 1", "such as 0.95")
        threshold = ordered[len(pool) - math.ceil(share * len(pool))]
        above = len(pool) - int(np.searchsorted(ordered, threshold))
        (n,), (errors,) = counts_above(confidence, right, [threshold])
        in_all = _first_passage(int(n), int(errors), above, target, level, draws, rng)
        more = np.where(np.isfinite(in_all), in_all - n, np.inf)
        waiting = np.isfinite(more) & (more > 0)
        # Of the audit labels to come, only some lie above the threshold.
        more[waiting] += rng.negative_binomial(more[waiting].astype(int), above / len(pool))
        more[more > len(pool) - len(confidence)] = np.inf
        forecasts.append(_forecast(more, interval, target, above / len(pool)))
    return forecasts


def boundary(target: float, level: float, most: int) -> np.ndarray:
    """Return how many labels certify the target at any look, by the errors among them.

    (n_errors,) int64: entry e is the least number of labels that does with e errors; entries over
    ``most`` are left out.
    """
    errors = np.arange(int((1 - target) * most) + 2)
    enough = math.log(1 / (1 - level))
    low, high = errors.astype(np.int64), np.full(len(errors), most + 1, np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        done = log_evidence(middle, errors, target) >= enough
        low, high = np.where(done, low, middle), np.where(done, middle, high)
    return high[high <= most]


def _first_passage(
    n: int, errors: int, above: int, target: float, level: float, draws: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return (draws,) float: labels above the threshold when they certify it, inf for never."""
    needed = boundary(target, level, above)[errors:]
    if not len(needed):
        return np.full(draws, np.inf)
    if n >= needed[0]:
        return np.full(draws, float(n))
    rate = rng.beta(errors + 0.5, n - errors + 0.5, draws)
    gaps = rng.geometric(np.maximum(rate, 1e-12)[:, None], (draws, len(needed)))
    next_error = n + np.cumsum(np.minimum(gaps, above + 1), axis=1)
    # With e errors the end is `needed[e]`, unless the next error comes first.
    ended = next_error > needed
    return np.where(ended.any(axis=1), needed[ended.argmax(axis=1)], np.inf)


def _forecast(more: np.ndarray, interval: float, target: float, share: float) -> Forecast:
    tail = (1 - interval) / 2
    # Each is one of the draws: between a number and infinity there is no mean.
    low, middle, high = np.quantile(more, [tail, 0.5, 1 - tail], method="inverted_cdf")
    return Forecast(target, share, float(middle), float(low), float(high))


@dataclass(frozen=True)
class PowerLaw:
    """A learning curve: log of the error rate is ``intercept - slope * log(labels)``.

    ``covariance``, (2, 2) float, is that of both; by ``dispersion``, at least 1, the rounds scatter
    more than by chance.
    """

    intercept: float
    slope: float
    covariance: np.ndarray
    dispersion: float


def fit_power_law(labels: np.ndarray, checked: np.ndarray, errors: np.ndarray) -> PowerLaw:
    """Fit error rates that fall as a power of the number of labels.

    By maximum likelihood with Poisson errors, which copes with rounds without any. ParameterError
    for counts that cannot be, and for rounds without a single error.

    Parameters
    ----------
    labels : (n_rounds,) int, labels that each round's model was trained on, at least 3 numbers
    checked : (n_rounds,) int, items on which it was checked: the audit
    errors : (n_rounds,) int, how many of these it had wrong
    """
    labels, checked, errors = (np.asarray(each, float) for each in (labels, checked, errors))
    if not labels.shape == checked.shape == errors.shape or labels.ndim != 1:
        raise ParameterError(
            "errors", errors.shape, f"expected one for each round, {labels.shape}, {checked.shape}"
        )
    if len(np.unique(labels)) < FEWEST_ROUNDS:
        raise ParameterError(
            "labels", labels, f"expected at least {FEWEST_ROUNDS} different numbers", "label on"
        )
    if not (np.all(labels >= 1) and np.all(checked >= 1)):
        raise ParameterError("labels", labels, "expected at least 1 label and 1 checked a round")
    if not (np.all(errors >= 0) and np.all(errors <= checked)):
        raise ParameterError("errors", errors, "expected from 0 to the number checked")
    if not errors.sum():
        raise ParameterError(
            "errors", errors, "a curve without an error has no slope", "nothing is left to forecast"
        )
    design = np.column_stack([np.ones(len(labels)), -np.log(labels)])
    centre = design[:, 1].mean()
    design[:, 1] -= centre  # nearly uncorrelated columns: Newton's steps are then safe
    found = np.array([math.log(errors.sum() / checked.sum()), 0.0])
    for _ in range(100):
        expected = checked * np.exp(design @ found)
        information = design.T @ (design * expected[:, None])
        step = np.linalg.solve(information, design.T @ (errors - expected))
        found = found + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    expected = checked * np.exp(design @ found)
    scatter = float(np.sum((errors - expected) ** 2 / expected) / (len(labels) - 2))
    dispersion = max(1.0, scatter)
    inverse = np.linalg.inv(design.T @ (design * expected[:, None])) * dispersion
    back = np.array([[1.0, -centre], [0.0, 1.0]])  # undo the centring
    return PowerLaw(float((back @ found)[0]), float(found[1]), back @ inverse @ back.T, dispersion)


def more_training_labels(
    labels: np.ndarray,
    checked: np.ndarray,
    errors: np.ndarray,
    rng: np.random.Generator,
    *,
    targets: Sequence[float] = SHARES,
    interval: float = 0.9,
    draws: int = DRAWS,
    most: int | None = None,
) -> list[Forecast]:
    """Forecast the labels to train on until the model has a share of the pool right by itself.

    The learning curve is taken to go on as a power law. Certifying it then takes an audit besides:
    see `more_audit_labels`.

    Parameters
    ----------
    labels, checked, errors : the rounds so far, as in `fit_power_law`; ``more`` counts from the
        last on
    targets : shares of the pool that the model is to have right
    interval : chance that the interval is to hold the truth
    draws : curves drawn
    most : labels that there are; forecasts beyond are infinite
    """
    check_open_fraction("interval", interval)
    law = fit_power_law(labels, checked, errors)
    now = float(np.max(labels))
    forecasts = []
    for target in targets:
        check_open_fraction("targets", target)
        drawn = rng.multivariate_normal([law.intercept, law.slope], law.covariance, draws)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            in_all = np.exp((drawn[:, 0] - math.log(1 - target)) / drawn[:, 1])
        reached = np.exp(drawn[:, 0] - drawn[:, 1] * math.log(now)) <= 1 - target
        more = np.where(reached, 0.0, np.where(drawn[:, 1] > 0, np.ceil(in_all - now), np.inf))
        more[more > (math.inf if most is None else most - now)] = np.inf
        forecasts.append(_forecast(more, interval, target, 1.0))
    return forecasts


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

    A row a target: target, labels (trained on when the forecast was made), more, low, high
    (infinite for never), took (more labels until the first round that had it; NaN where no round
    did), seen (more labels that were given in all).

    Parameters
    ----------
    n_human, n_wrong : (n_rounds,) int, labels trained on after each round, and how many labels of
        the model for what then waits were wrong: the truth, which the forecast does not see
    n_pool : items in the pool, the labelled ones included
    known : rounds that the forecast is made from
    checked : labels of a random audit after each of these rounds, all that the forecast sees
    targets : shares of the waiting items that the model is to have right
    """
    n_human, n_wrong = np.asarray(n_human, int), np.asarray(n_wrong, int)
    if not FEWEST_ROUNDS <= known <= len(n_human):
        raise ParameterError(
            "known", known, f"expected from {FEWEST_ROUNDS} to the {len(n_human)} rounds"
        )
    waiting = n_pool - n_human
    errors = rng.hypergeometric(n_wrong[:known], (waiting - n_wrong)[:known], checked)
    forecasts = more_training_labels(
        n_human[:known], np.full(known, checked), errors, rng, targets=targets, interval=interval,
        most=n_pool,
    )  # fmt: skip
    now, rows = int(n_human[known - 1]), []
    for each in forecasts:
        reached = np.flatnonzero((n_wrong <= (1 - each.target) * waiting) & (n_human >= now))
        took = float(n_human[reached[0]] - now) if len(reached) else math.nan
        rows.append((each.target, now, each.more, each.low, each.high, took))
    table = pd.DataFrame(rows, columns=["target", "labels", "more", "low", "high", "took"])
    return table.assign(seen=int(n_human[-1]) - now)


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

    A row an audit: more, low, high (forecast), took (in truth; infinite where all labels would not
    do), inside (whether the interval holds what it took).

    Parameters
    ----------
    confidence, right : (n_items,) float and bool, of all items, the truth
    share, target, level, interval : as in `more_audit_labels`
    known : labels of each audit that the forecast is made from
    audits : how many
    """
    confidence, right = check_audit(confidence, right)
    ordered = np.sort(confidence)
    threshold = ordered[len(ordered) - math.ceil(share * len(ordered))]
    needed = boundary(target, level, int((confidence >= threshold).sum()))
    rows = []
    for _ in range(audits):
        order = rng.permutation(len(confidence))
        seen = order[:known]
        (forecast,) = more_audit_labels(
            confidence[seen], right[seen], confidence, rng, shares=[share], target=target,
            level=level, interval=interval,
        )  # fmt: skip
        above = confidence[order] >= threshold
        n, errors = np.cumsum(above), np.cumsum(above & ~right[order])
        # From so many labels above the threshold on, by the errors so far; past the list, never.
        enough = np.append(needed, len(order) + 1)[np.minimum(errors, len(needed))]
        done = np.flatnonzero((n >= enough) & (np.arange(len(order)) >= known - 1))
        took = float(done[0] + 1 - known) if len(done) else math.inf
        rows.append((forecast.more, forecast.low, forecast.high, took))
    table = pd.DataFrame(rows, columns=["more", "low", "high", "took"])
    return table.assign(inside=table["took"].between(table["low"], table["high"]))
