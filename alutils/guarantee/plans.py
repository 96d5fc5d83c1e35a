"""Acceptance plans: how many audit labels certify one finite pool, fixed before the first of them.

`alutils.guarantee.anytime` may be asked after every label, for any target, and pays for it. A plan
knows beforehand what it wants to prove, "at most ``allowed`` of these items are wrong", and when it
will look: at ``looks[0]`` labels it accepts without an error, at ``looks[1]`` with one, and so on.
What all looks together risk is computed exactly and is what the level grants, no more.

The errors that an audit finds are corrected. So where ``withheld`` is a number, a plan counts what
is left: it may accept with k errors where ``allowed + k`` of all items are wrong, and ``allowed``
of the labels that stand. The chance of a false certificate is then largest at some number of wrong
items between ``allowed + 1`` and ``allowed + 1 + k``: each of them is computed.

Looking only at these numbers of labels loses nothing: whoever has at most k errors between
``looks[k]`` and ``looks[k + 1]`` labels had no more at ``looks[k]`` and stopped there.

Source: multiple sampling, Dodge and Romig (1929); backward induction for the best boundary, Wald
and Wolfowitz (1948).
"""

from __future__ import annotations

import functools
import itertools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from alutils.base.checks import check_count, check_fraction, check_keys, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.orders import (
    chance_of,
    expected_labels_of,
    labels_without_error,
    log_orders,
    log_weights_at,
    log_weights_of,
    weighed,
)

MOST = 5
"""Default end of a plan: times the labels that certify without an error."""

REFUSAL = 2
"""What a refused audit costs in the choice of a plan, times the labels of its end: another one."""

TIE, ROUNDING = 1e-12, 1e-9
"""By what share a risk may pass its limit: in making a plan, where it may equal it, and in checking
one, perhaps made by another machine."""

CHEAPEST, DEAREST, HALVINGS = 1e-3, 1e8, 15
"""Prices of risk, in plans' ends, between which the right one is looked for, and how finely."""

ERRORS, SHORTLIST = 100, 5
"""Errors that a plan may be made for, which bounds the time it takes; plans compared to the end."""

CORRECTED_MORE = 5
"""Errors more that a plan is tried for where those that are corrected let more pass."""

UNPAYABLE = 1e200
"""Stands for an infinite likelihood ratio where infinity times zero would not be zero."""


@dataclass(frozen=True)
class AuditPlan:
    """When to accept a pool, fixed before its audit. None can be made that breaks its level.

    Attributes
    ----------
    population : items in the pool, of which the audit is a uniformly random order
    allowed : the certificate says that at most so many of them are wrong
    level : if more are wrong, the chance of a certificate is ``1 - level`` at most
    looks : at ``looks[k]`` labels, k errors or fewer are accepted; strictly rising
    most : labels that the plan might have used; none is asked for after ``looks[-1]``
    withheld : None: ``allowed`` is about all items, as the model has them. A number: it is about
        the labels that stand after the audit. All errors found but so many count as corrected;
        those withheld may be of items that nobody could name, which have no label then
    """

    population: int
    allowed: int
    level: float
    looks: tuple[int, ...]
    most: int
    withheld: int | None = None

    def __post_init__(self) -> None:
        for name in ("population", "allowed", "most"):
            check_count(name, getattr(self, name))
        if self.withheld is not None:
            check_count("withheld", self.withheld)
        check_open_fraction("level", self.level)
        if not isinstance(self.looks, tuple) or not self.looks:
            raise ParameterError("looks", self.looks, "expected a tuple of one number or more")
        for look in self.looks:
            check_count("looks", look)
        if any(second <= first for first, second in itertools.pairwise(self.looks)):
            raise ParameterError("looks", self.looks, "expected strictly rising numbers of labels")
        if not self.looks[-1] <= self.most <= self.population:
            raise ParameterError(
                "most",
                self.most,
                f"expected from the last look, {self.looks[-1]}, to population={self.population}",
            )
        granted = 1 - self.level
        risk, wrong = self.risk()
        if risk > granted * (1 + ROUNDING):
            raise ParameterError(
                "looks",
                self.looks,
                f"they accept {wrong} wrong with a chance of {risk:.4g}, more than the "
                f"{granted:.4g} of level={self.level}",
                "make a plan with plan_audit",
            )

    def risk(self) -> tuple[float, int]:
        """Return the largest chance of a false certificate, and with how many wrong items it is.

        It is enough to look at the numbers that break the promise for some number of errors found
        and not for all smaller ones. Turn one more item of the pool wrong: in every order of its
        items the errors at each look stay or grow, so an order that is accepted now with up to so
        many errors was accepted before, and the chance cannot rise.
        """
        last = len(self.looks) - 1
        cases = _hardest(self.population, self.allowed, last, self.withheld)
        weights = (
            log_weights_of(self.population, wrong, self.looks[-1], last + 1) for wrong, _ in cases
        )
        orders = log_orders(self.looks)
        risks = [
            (weighed(orders[: k + 1], self.looks, of), wrong)
            for (wrong, k), of in zip(cases, weights, strict=True)
        ]
        return max(risks, default=(0.0, self.allowed + 1))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return (looks[-1],) int64, the places of the items that the audit may ask about."""
        return rng.permutation(self.population)[: self.looks[-1]]

    def needed(self, drawn: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        """Return how many labels certify if no further error turns up, infinite where none do.

        (n + 1,) float: before the first of the places ``drawn`` so far, (n,) int, and after each;
        ``wrong`` says which of them are, (n,) bool.
        """
        errors = np.concatenate([[0], np.cumsum(wrong)])
        return np.append(self.looks, np.inf)[np.minimum(errors, len(self.looks))]

    def chance(self, wrong: int) -> float:
        """Return the probability of a certificate when ``wrong`` of the population are wrong."""
        self._check_wrong(wrong)
        log_weights = log_weights_of(self.population, wrong, self.looks[-1], len(self.looks))
        return chance_of(self.looks, log_weights)

    def expected_labels(self, wrong: int) -> float:
        """Return how many labels the audit uses on average when ``wrong`` are wrong."""
        self._check_wrong(wrong)
        errors = np.arange(len(self.looks))
        return expected_labels_of(
            self.looks, lambda n: np.maximum(wrong - errors, 0) / (self.population - n)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON's types."""
        return asdict(self) | {"looks": list(self.looks)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AuditPlan:
        """Read what `to_dict` wrote; a plan that does not hold its level is refused."""
        values = {"withheld": None} | values  # in those written before errors were counted so
        check_keys("plan", values, cls)
        if not isinstance(values["looks"], (list, tuple)):
            raise ParameterError("looks", values["looks"], "expected a list of numbers of labels")
        return cls(**(values | {"looks": tuple(values["looks"])}))

    def _check_wrong(self, wrong: int) -> None:
        check_count("wrong", wrong)
        if wrong > self.population:
            raise ParameterError("wrong", wrong, f"expected at most population={self.population}")


def corrected(errors: int, withheld: int | None) -> int:
    """Return how many of the errors that an audit found count for what may be wrong in all."""
    return 0 if withheld is None else max(0, errors - withheld)


def _hardest(
    population: int, allowed: int, last: int, withheld: int | None
) -> list[tuple[int, int]]:
    """Return the numbers of wrong items at which a plan's risk is largest, as `AuditPlan.risk`.

    Each with the most errors found, ``last`` at most, with which so many wrong break the promise.
    """
    found: dict[int, int] = {}
    for k in range(last + 1):
        found[allowed + 1 + corrected(k, withheld)] = k
    return [(wrong, k) for wrong, k in found.items() if wrong <= population]


def plan_audit(
    population: int,
    allowed: int,
    *,
    level: float = 0.95,
    rate: float,
    most: int | None = None,
    withheld: int | None = None,
) -> AuditPlan:
    """Plan the audit that proves with few labels that at most ``allowed`` items are wrong.

    Parameters
    ----------
    population, allowed, level, withheld : as in `AuditPlan`
    rate : share of the items that is expected to be wrong; the plan is good if it is about that,
        and valid whatever it is. It must be known before the audit, from other labels
    most : labels after which the audit ends; `MOST` times what would do without an error if None

    Returns
    -------
    AuditPlan with about the fewest labels on average, a refused audit counted as `REFUSAL` times
    ``most`` more. For each number of errors at the end, backward induction finds the best plan at a
    price of risk, which is the best of all with the risk that it takes; the price is the lowest
    that keeps to the level. Risk left over, as labels come whole, then moves looks forward, the
    first ones first: always a gain, but not proved the largest, which matters in pools of dozens.

    Raises
    ------
    ParameterError
        For a rate at which the promise is expected to be false, and ``most`` so large that more
        than `ERRORS` errors might pass, or too small to certify without an error.
    """
    check_count("population", population)
    check_count("allowed", allowed)
    check_open_fraction("level", level)
    check_fraction("rate", rate)
    if most is not None:
        check_count("most", most)
    population, allowed, level = int(population), int(allowed), float(level)
    if allowed >= population:  # nothing to prove
        most = min(most or 0, population)
        return AuditPlan(population, allowed, level, looks=(0,), most=most, withheld=withheld)
    check_rate(rate, population, allowed)
    granted = (1 - level) * (1 + TIE)
    needed = labels_without_error(population, allowed + 1, granted)
    most = min(population, MOST * needed if most is None else int(most))
    if most < needed:
        raise ParameterError(
            "most",
            most,
            f"to certify at most {allowed} wrong of {population} takes {needed} labels even if all "
            "of them are right",
            f"allow {needed} labels, or more wrong items",
        )

    def cost(looks: tuple[int, ...]) -> tuple[float, int]:
        accepted = chance_of(looks, log_weights_at(rate, most, len(looks)))
        labels = expected_labels_of(looks, lambda n: rate) + REFUSAL * most * (1 - accepted)
        return labels, -len(looks)  # where it costs nothing more, accept more errors

    hardest = functools.partial(_hardest, population, allowed, withheld=withheld)
    looks = _best_looks(population, hardest, granted, rate, needed, most, cost)
    return AuditPlan(population, allowed, level, looks, most, withheld)


def check_rate(rate: float, population: int, allowed: int) -> None:
    if rate * population >= allowed + 1:
        raise ParameterError(
            "rate",
            rate,
            f"of {population} items {rate * population:.6g} are then wrong, and allowed={allowed}: "
            "expected a rate at which the promise is true",
            f"give a share below {(allowed + 1) / population:.3g}, or allow more",
        )


def _best_looks(
    population: int,
    hardest: Callable[[int], list[tuple[int, int]]],
    granted: float,
    rate: float,
    needed: int,
    most: int,
    cost: Callable,
) -> tuple[int, ...]:
    """Return the looks of the best plan, of one for each number of errors accepted at the end.

    ``hardest`` says which numbers of wrong items to hold it against, as `_hardest`.
    """
    wrong = hardest(0)[0][0]
    # Whoever accepts k errors at the end risks as much as one look at the end would, or more.
    enough = min(wrong, 1 + int(stats.hypergeom.ppf(min(granted, 1.0), population, wrong, most)))
    if enough > ERRORS:
        raise ParameterError("most", most, f"over {ERRORS} errors may then pass", "end it earlier")
    if len(hardest(enough)) > 1:
        enough = min(enough + CORRECTED_MORE, ERRORS)
    cases = hardest(enough - 1)
    weights = {each: log_weights_of(population, each, most, enough) for each, _ in cases}
    # Beside each number of errors the least number of wrong items that it must not accept.
    log_weights = np.full((most + 1, enough), -np.inf)
    for each, k in reversed(cases):
        log_weights[:, : k + 1] = weights[each][:, : k + 1]

    def valid(looks: Sequence[int]) -> bool:
        if looks[0] < needed:
            return False
        orders = log_orders(looks)
        return all(
            weighed(orders[: k + 1], looks, weights[each]) <= granted
            for each, k in hardest(len(looks) - 1)
        )

    # One look at the end; those one label apart before it accept the same orders.
    plans = [tuple(range(most - last, most + 1)) for last in range(enough)]
    n_errors = len(plans := [looks for looks in plans if valid(looks)])
    # What accepting risks, for one unit of the chance to come so far.
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.exp(log_weights[:, :n_errors] - log_weights_at(rate, most, n_errors))
    ratio = np.minimum(np.nan_to_num(ratio, nan=UNPAYABLE), UNPAYABLE)
    low, high = np.log(np.full((n_errors, 2), [CHEAPEST, DEAREST]) * most).T
    for _ in range(HALVINGS):
        price = (low + high) / 2
        found = _cheapest(np.exp(price), ratio, rate, needed, most)
        for last, looks in enumerate(found):
            if valid(looks):
                plans[last], high[last] = looks, price[last]
            else:
                low[last] = price[last]
    best = sorted(plans, key=cost)[:SHORTLIST]
    return min((_with_rest(looks, needed, valid) for looks in best), key=cost)


def _cheapest(
    price: np.ndarray, ratio: np.ndarray, rate: float, needed: int, most: int
) -> list[tuple[int, ...]]:
    """Return the plans with the fewest expected labels and price times risk, by backward induction.

    price : (n_plans,) float, of the risk, in labels; plan i accepts up to i errors at the end.
    ratio : (most + 1, n_plans) float, the risk of accepting there, by labels and errors.
    """
    plan, errors = np.indices((len(price), len(price)))
    refused = errors > plan
    first = np.full(refused.shape, most)
    cost = np.full((len(price), len(price) + 1), REFUSAL * float(most))
    cost[:, :-1] = np.where(refused, REFUSAL * most, price[:, None] * ratio[most])
    for n in range(most - 1, needed - 1, -1):
        accept = price[:, None] * ratio[n]
        on = 1 + (1 - rate) * cost[:, :-1] + rate * cost[:, 1:]
        better = accept <= on
        first[better] = n
        cost[:, :-1] = np.where(refused, REFUSAL * most, np.where(better, accept, on))
    # One label less and one error less accepts nothing that is not accepted next.
    for k in range(len(price) - 2, -1, -1):
        first[k + 1 :, k] = np.minimum(first[k + 1 :, k], first[k + 1 :, k + 1] - 1)
    return [tuple(looks[: last + 1].tolist()) for last, looks in enumerate(first)]


def _with_rest(
    looks: tuple[int, ...], needed: int, valid: Callable[[Sequence[int]], bool]
) -> tuple[int, ...]:
    """Return the plan with each look, from the first on, as early as the risk left over allows."""
    moved = list(looks)
    for k, look in enumerate(looks):
        earliest = moved[k - 1] + 1 if k else needed
        before, after, tried = moved[:k], moved[k + 1 :], range(earliest, look)
        moved[k] = earliest + bisect_left(tried, True, key=lambda n: valid([*before, n, *after]))
    return tuple(moved)
