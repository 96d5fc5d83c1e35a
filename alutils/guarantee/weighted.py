"""Audits that look where the model is unsure, and still prove something about all items.

A uniform audit spends most of its labels on items that nobody doubts, and each error in it costs it
dear: it stands for as many others as the pool is larger than the audit. Here an item is drawn the
more often the likelier the model is to be wrong about it, and an error found there counts the less.
What is believed of the model decides only what the audit costs. The promise holds whatever is
wrong, and however many.

The proof is a bet against "more than ``allowed`` of these n items are wrong". Each draw, with
replacement, finds item i with chance ``rates[i] / n``; the capital is then multiplied by
``(1 - bet * e / rates[i]) / (1 - bet * m)``, where e is 1 if the item is wrong, else 0, and m is
``(allowed + 1) / n``. If a share of m or more is wrong, the capital does not grow on average, so it
ever reaches 1 / risk with probability ``risk`` at most (Ville 1939). In draws: without an error so
many are needed, and every error adds its own number of them (`WeightedPlan.delays`).

Source: weighted sampling and betting, Shekhar, Xu, Lipton, Liang and Ramdas (2023), who put no item
back; bets, Waudby-Smith and Ramdas (2024); chances by what might be wrong, Aslam, Popa and Rivest
(2008).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from alutils.base.checks import check_count, check_fraction, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.plans import MOST, check_rate

UNSEEN = 0.05
"""The share of the errors that a plan expects anywhere, however sure the model is."""

BETS = np.linspace(0.2, 0.98, 40)
"""Among which a plan chooses; one must be below the least rate, so that the capital stays above 0.
"""

GROUPS = 300
"""Of items with about the same doubt, which stand for all while the bet is chosen."""

STEPS = 60
"""Halvings, when the rates are made to sum to what they must."""


@dataclass(frozen=True, eq=False)
class WeightedPlan:
    """How often an audit draws which item, and what it bets; fixed before its first label.

    Attributes
    ----------
    rates : (n,) float64, how many times as often as in a uniform audit each item is drawn; their
        mean is 1
    allowed : the certificate says that at most so many of the n items are wrong; less than n
    level : if more are wrong, the chance of a certificate is ``1 - level`` at most
    bet : above 0, below the least rate
    most : labels after which the audit ends; an item that is drawn again needs none
    """

    rates: np.ndarray
    allowed: int
    level: float
    bet: float
    most: int

    def __post_init__(self) -> None:
        rates = np.array(self.rates, float)
        rates.setflags(write=False)
        object.__setattr__(self, "rates", rates)
        check_count("allowed", self.allowed)
        check_count("most", self.most)
        check_open_fraction("level", self.level)
        make = "make a plan with plan_weighted_audit"
        if rates.ndim != 1 or not len(rates):
            raise ParameterError("rates", rates.shape, "expected a number for each item", make)
        if not math.isclose(rates.mean(), 1, rel_tol=1e-9):  # nor is NaN
            raise ParameterError("rates", rates.mean(), "expected numbers whose mean is 1", make)
        if not 0 < self.bet < rates.min():
            raise ParameterError(
                "bet", self.bet, f"expected above 0, below the least rate, {rates.min()}", make
            )
        for name in ("allowed", "most"):
            end = len(rates) - (name == "allowed")
            if getattr(self, name) > end:
                raise ParameterError(name, getattr(self, name), f"expected at most {end}", make)

    @property
    def population(self) -> int:
        """Items that the certificate is about."""
        return len(self.rates)

    @property
    def without_error(self) -> float:
        """Draws that certify if none of them finds an error."""
        return _draws_without_error(self.bet, self.allowed, self.population, self.level)

    @functools.cached_property
    def delays(self) -> np.ndarray:
        """(n,) float64, the draws that are needed more if a draw finds this item wrong."""
        return -np.log1p(-self.bet / self.rates) / _growth(self.bet, self.allowed, self.population)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return (2 * most + 1,) int64, the places of the items in so many further draws."""
        ends = np.cumsum(self.rates)
        return np.searchsorted(ends, rng.random(2 * self.most + 1) * ends[-1], side="right")

    def needed(self, drawn: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        """Return how many draws certify if none of the further ones finds an error.

        Shapes as in `alutils.guarantee.plans.AuditPlan.needed`.
        """
        delays = np.where(wrong, self.delays[drawn], 0.0)
        return self.without_error + np.concatenate([[0.0], np.cumsum(delays)])

    def expected_labels(self, chances: np.ndarray) -> float:
        """Return about how many labels it takes to certify, by how likely each item is wrong.

        Those are the different items in as many draws as are needed with the average delay (Wald's
        equation); infinite where errors delay the certificate for ever.
        """
        return _labels(self.rates, chances, self.bet, self.allowed, self.population, self.level)


def plan_weighted_audit(
    doubt: np.ndarray,
    allowed: int,
    *,
    level: float = 0.95,
    rate: float,
    most: int | None = None,
) -> WeightedPlan | None:
    """Plan the audit that proves with few labels that at most ``allowed`` items are wrong.

    Parameters
    ----------
    doubt : (n,) float, 0 or more, how likely the model is to be wrong about each item; only the
        ratios count, one minus its confidence will do
    allowed, level : as in `WeightedPlan`
    rate : share of the items that is expected to be wrong: `UNSEEN` of it anywhere, the rest in
        proportion to ``doubt``. The plan is good if that is about so, and valid whatever is so
    most : labels after which the audit ends; `MOST` times the draws that would do without an error
        if None

    Returns
    -------
    WeightedPlan with about the fewest labels of those that can certify with ``most`` draws without
    an error; what a refusal costs is not counted. None where there is no such plan, or none
    that would ever end if so many are wrong as expected: then audit uniformly
    (`alutils.guarantee.plans.plan_audit`), as where there are few items or nothing to prove.
    """
    doubt = np.asarray(doubt, float)
    if doubt.ndim != 1 or not len(doubt):
        raise ParameterError("doubt", doubt.shape, "expected a number for each item")
    if len(odd := doubt[~(np.isfinite(doubt) & (doubt >= 0))]):
        raise ParameterError("doubt", odd[0], "expected finite numbers, 0 or more")
    check_count("allowed", allowed)
    check_open_fraction("level", level)
    check_fraction("rate", rate)
    n = len(doubt)
    if allowed >= n:
        return None
    check_rate(rate, n, allowed)
    draws = np.ceil([_draws_without_error(bet, allowed, n, level) for bet in BETS]).astype(int)
    bets = BETS[draws <= (n if most is None else min(most, n))]
    chances = expected_errors(doubt, rate)
    # Items as good as alike in doubt stand for each other while the bet is chosen.
    few = np.array([group.mean() for group in np.array_split(np.sort(chances), min(n, GROUPS))])
    tried = zip(bets.tolist(), _rates(few, bets[:, None]), strict=True)
    cost = {bet: _labels(rates, few, bet, allowed, n, level) for bet, rates in tried}
    bet = min(cost, key=cost.__getitem__, default=None)
    if bet is None or math.isinf(cost[bet]):
        return None
    if most is None:
        most = MOST * math.ceil(_draws_without_error(bet, allowed, n, level))
    return WeightedPlan(_rates(chances, bet), allowed, level, bet, min(most, n))


def expected_errors(doubt: np.ndarray, rate: float) -> np.ndarray:
    """Return (n,) float, how likely each item is taken to be wrong; see `plan_weighted_audit`."""
    spread = np.ones(len(doubt))
    if doubt.any():
        spread = doubt / doubt.max()  # whatever the unit, neither the sum nor the mean overflows
        spread = spread / spread.mean()
    return np.minimum(max(rate, 1e-9) * (UNSEEN + (1 - UNSEEN) * spread), 1)


def _growth(bet: float, allowed: int, n: int) -> float:
    """Log of what the capital is multiplied by in a draw that finds no error."""
    return -math.log1p(-bet * (allowed + 1) / n)


def _draws_without_error(bet: float, allowed: int, n: int, level: float) -> float:
    """Return `WeightedPlan.without_error`."""
    return -math.log1p(-level) / _growth(bet, allowed, n)


def _labels(
    rates: np.ndarray, chances: np.ndarray, bet: float, allowed: int, n: int, level: float
) -> float:
    """Return `WeightedPlan.expected_labels` of n items of which these are representative."""
    lost = -(rates * chances * np.log1p(-bet / rates)).mean() / _growth(bet, allowed, n)
    if lost >= 1:
        return math.inf
    draws = _draws_without_error(bet, allowed, n, level) / (1 - lost)
    return float(-np.expm1(-rates * draws / n).mean() * n)


_SHARES = np.concatenate([np.geomspace(1e-9, 0.5, 4000), 1 - np.geomspace(0.5, 1e-9, 4000)[1:]])
"""Bet by rate: what `_rates` looks for, and the slope there of what an item's errors cost."""
_SLOPES = np.log(np.log1p(-_SHARES) + _SHARES / (1 - _SHARES))


def _rates(chances: np.ndarray, bet: float | np.ndarray) -> np.ndarray:
    """Return the rates, of mean 1, with which expected errors delay a certificate least.

    That is with the least sum of ``-chance * rate * log(1 - bet / rate)``. At the best rates
    another draw of any item would save as much (Lagrange): ``chance * slope(bet / rate)`` is the
    same for all. ``chances`` are above 0, ``bet`` is below 1; for many bets, (n_bets, 1), there is
    a row for each.
    """
    logs = np.log(chances)
    low = np.full(np.shape(bet), logs.min() + _SLOPES[0])
    high = np.full(np.shape(bet), logs.max() + _SLOPES[-1])
    for _ in range(STEPS):
        price = (low + high) / 2
        rates = bet / np.interp(price - logs, _SLOPES, _SHARES)
        above = rates.mean(axis=-1, keepdims=bool(np.ndim(bet))) > 1
        low, high = np.where(above, price, low), np.where(above, high, price)
    return np.asarray(rates / rates.mean(axis=-1, keepdims=True))
