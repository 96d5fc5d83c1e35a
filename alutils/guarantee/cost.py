"""What a certificate will cost, told beforehand: labels by hand, audit, and after a refusal.

A model labels the rest of a pool if an audit says that it may. Before that the most unsure pictures
are labelled by hand. Few of these leave many errors to the model, and the audit is long or refuses;
many cost more than they save. `chosen` weighs that for every number by hand, from none to all, with
many curves of how likely the model is wrong about each (`alutils.guarantee.error_chances`), and
takes the number with the fewest labels expected in all. Where a model is poor that is to label
nearly everything, which needs no audit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import xlogy

from alutils.base.errors import ParameterError
from alutils.guarantee import audit_luck
from alutils.guarantee.error_chances import margin_of
from alutils.guarantee.plans import MOST, AuditPlan, plan_audit
from alutils.guarantee.terms import attempt_level
from alutils.guarantee.weighted import UNSEEN, WeightedPlan, plan_weighted_audit

ONE_BY_ONE, GROUPS = 40, 160
"""The most unsure pictures are groups of their own, the others share as many groups."""
TRIES = 40
"""Numbers by hand that are weighed, at most."""
BETS = (0.35, 0.5, 0.65, 0.8, 0.9, 0.96)
FINALISTS = 2
"""Numbers by hand whose audits are simulated."""
UNIFORM_GAIN = 1.03
"""How many times the labels of a uniform audit a weighted one may take."""
SIMULATED = 400
STANDS_FOR = 3000
"""Pictures that stand for a larger pool while its weighted audit is planned."""
RELEARN = 1.2
"""How many times what it would take if the errors were known the next attempt takes."""
INTERVAL = (0.01, 0.95)
"""Of what is simulated, where the interval that is told begins and ends."""
SLACK = 0.03
"""By what share the fewest labels of a plan may differ from those of the one that is simulated, in
which pictures are grouped and some stand for others."""
LEAST_CHANCE = 0.6
"""Of acceptance; a plan that is likelier to refuse is not proposed."""


@dataclass(frozen=True)
class Waiting:
    """Pictures that wait, the most unsure first, in groups.

    Attributes
    ----------
    size : (n_groups,) int
    doubt : (n_groups,) float, one minus the confidence, mean of the group
    margin : (n_groups,) float, between the two likeliest classes, mean of the group
    """

    size: np.ndarray
    doubt: np.ndarray
    margin: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray) -> Waiting:
        """Group what a model says of n pictures, (n, n_classes) float."""
        n = len(probabilities)
        margin, confidence = margin_of(probabilities), probabilities.max(axis=1, initial=0)
        order = np.argsort(margin, kind="stable")
        edges = _edges(n)
        size = np.diff(edges)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.add.reduceat(values[order], edges[:-1]) / size if n else np.empty(0)

        return cls(size, mean(np.maximum(1 - confidence.astype(float), 0)), mean(margin))

    def __len__(self) -> int:
        return int(self.size.sum())

    def after(self, n: int) -> Waiting:
        """Return those that are left when about the ``n`` most unsure have a label."""
        first = int(np.searchsorted(np.cumsum(self.size), n, side="right"))
        return Waiting(self.size[first:], self.doubt[first:], self.margin[first:])


def _edges(n: int) -> np.ndarray:
    if n <= ONE_BY_ONE:
        return np.arange(n + 1)
    few = np.geomspace(ONE_BY_ONE, n, GROUPS).round().astype(int)
    return np.unique(np.concatenate([np.arange(ONE_BY_ONE), few]))


@dataclass(frozen=True)
class Promise:
    """What is to be proved of a pool.

    Attributes
    ----------
    allowed : errors among all its labels, at most
    level : that this attempt is held to
    next_level : that the attempt after it would be held to
    """

    allowed: int
    level: float
    next_level: float

    @classmethod
    def at(cls, allowed: int, level: float, attempt: int) -> Promise:
        """Return the promise of the ``attempt``-th attempt on a pool."""
        if allowed < 0:
            raise ParameterError("allowed", allowed, "expected 0 or more errors")
        return cls(allowed, attempt_level(level, attempt), attempt_level(level, attempt + 1))


@dataclass(frozen=True, eq=False)
class Choice:
    """A number by hand, and what finishing with it comes to.

    Attributes
    ----------
    by_hand : pictures labelled by hand
    weighted : whether the audit looks oftener where the model is less sure
    expected_wrong : share of the model's labels that is expected to be wrong
    audit : labels of the audit, on average
    chance : that it accepts
    labels : (n_simulated,) float, labels in all, with those after a refusal
    """

    by_hand: int
    weighted: bool
    expected_wrong: float
    audit: float
    chance: float
    labels: np.ndarray

    @property
    def expected(self) -> float:
        """Labels in all, on average."""
        return float(self.labels.mean())

    @property
    def interval(self) -> tuple[int, int]:
        """From and to how many labels it should take, with a chance of 90% at the least.

        There is a fewest that any audit by the plan takes, and many take about that; so nearly all
        of the chance to miss is left above.
        """
        low, high = np.quantile(self.labels, INTERVAL)
        return int(low * (1 - SLACK) if self.audit else low), int(np.ceil(high))


def chosen(
    waiting: Waiting,
    chances: np.ndarray,
    promise: Promise,
    *,
    by_hand: int | None = None,
    seed: int = 0,
) -> Choice:
    """Choose how many pictures are labelled by hand, by the fewest labels expected in all.

    Parameters
    ----------
    waiting : the pictures
    chances : (n_draws, n_groups) float, how likely a picture of each group is wrong, by many curves
    promise : what is to be proved
    by_hand : a number that is settled already; None: it is chosen
    seed : of the simulation; the same values give the same choice

    Raises
    ------
    ParameterError
        For a number by hand after which the promise is expected to be false.
    """
    n = len(waiting)
    if n == 0:
        return Choice(0, False, 0.0, 0.0, 1.0, np.zeros(1))
    tail = _Tail.of(waiting, chances, promise, by_hand)
    after = _after_refusal(tail, promise)
    rough = {
        False: _rough_uniform(tail, promise, after),
        True: _rough_weighted(tail, waiting, chances, promise, after),
    }
    draw = np.random.default_rng(seed).integers(len(chances), size=SIMULATED)
    # A uniform audit takes long to plan, and saves little where it saves anything.
    weighted = float(rough[True].min()) <= UNIFORM_GAIN * float(rough[False].min())
    places = np.argsort(rough[weighted], kind="stable")[:FINALISTS].tolist()
    found = [
        _simulated(tail, place, weighted, waiting, chances, promise, after, draw)
        for place in places
    ]
    possible = [each for each in found if each is not None]
    if by_hand is not None:
        if not possible:
            raise ParameterError(
                "by_hand", by_hand,
                f"of the {n - by_hand} others more than {promise.allowed} are expected to be wrong",
                "label more by hand, or train on more labels first",
            )  # fmt: skip
        return replace(possible[0], by_hand=min(by_hand, n))
    likely = [each for each in possible if each.chance >= LEAST_CHANCE]
    # To label all but what may be wrong is always possible, and needs no audit.
    all_but = max(n - promise.allowed, 0)
    everything = Choice(all_but, False, 0.0, 0.0, 1.0, np.full(SIMULATED, float(all_but)))
    return min([*likely, everything], key=lambda each: each.expected)


@dataclass(frozen=True, eq=False)
class _Tail:
    """What is left to the model after each number by hand that is weighed.

    ``by_hand``, ``first`` (the group that it begins with) and ``left`` are (n_tries,) int,
    ``wrong`` is (n_draws, n_tries) float, the share of the model's labels that is wrong, ``broken``
    (n_tries,) float the least share that breaks the promise; 1 or more for none.
    """

    by_hand: np.ndarray
    first: np.ndarray
    left: np.ndarray
    wrong: np.ndarray
    broken: np.ndarray

    @classmethod
    def of(
        cls, waiting: Waiting, chances: np.ndarray, promise: Promise, by_hand: int | None
    ) -> _Tail:
        n, size = len(waiting), waiting.size
        before = np.concatenate([[0], np.cumsum(size)])
        if by_hand is None:
            # The last ones leave just what may be wrong: then there is nothing to prove.
            spare = np.searchsorted(before, n - promise.allowed)
            places = np.linspace(0, len(size), TRIES).round().astype(int)
            first = np.unique([*places.tolist(), min(int(spare), len(size))])
        else:
            first = np.array([np.abs(before - min(by_hand, n)).argmin()])
        left = n - before[first]
        errors = np.concatenate([np.zeros((len(chances), 1)), np.cumsum(chances * size, axis=1)], 1)
        some = np.maximum(left, 1)
        wrong = (errors[:, -1:] - errors[:, first]) / some
        return cls(before[first], first, left, wrong, (promise.allowed + 1) / some)


def _growth(wrong: np.ndarray, broken: np.ndarray) -> np.ndarray:
    """Return the log of what the best bet wins a draw, where so many are wrong: a divergence."""
    with np.errstate(divide="ignore", invalid="ignore"):
        won = xlogy(wrong, wrong / broken) + xlogy(1 - wrong, (1 - wrong) / (1 - broken))
    return np.where((wrong < broken) & (broken < 1), won, 0.0)


def _after_refusal(tail: _Tail, promise: Promise) -> np.ndarray:
    """Return (n_draws, n_tries) float: labels that another attempt takes after a refusal.

    It is made in the best way for what is true then, as the refused audit tells much of that.
    """
    with np.errstate(divide="ignore"):
        draws = -np.log1p(-promise.next_level) / _growth(tail.wrong, tail.broken)
    audit = np.where(tail.broken > 1, 0.0, RELEARN * _without_return(draws, tail.left))
    audit = np.minimum(audit, tail.left)
    return np.stack(
        [
            (np.maximum(tail.by_hand - by_hand, 0) + audit).min(axis=1)
            for by_hand in tail.by_hand.tolist()
        ],
        axis=1,
    )


def _without_return(draws: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Return the labels that are worth so many draws where no picture is drawn twice."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(np.isfinite(draws), draws / (1 + draws / left), left))


def _mean_cost(
    tail: _Tail, growth: np.ndarray, promise: Promise, after: np.ndarray, sure: np.ndarray
) -> np.ndarray:
    """Return (n_tries,) float, labels in all, by what a draw wins by each curve.

    growth : (n_draws, n_tries) float, 0 or less for an audit that never certifies
    sure : (n_tries,) float, draws that certify without an error
    """
    with np.errstate(divide="ignore"):
        draws = -np.log1p(-promise.level) / np.maximum(growth, 0)
    most = np.minimum(MOST * sure, tail.left)
    audit = _without_return(draws, tail.left)
    refused = (growth <= 0) | (audit > most)
    cost = np.where(refused, most / 2 + after, audit)
    cost = np.minimum(cost, tail.left)
    cost = np.where(tail.broken > 1, 0.0, cost)  # so many may be wrong: nothing is audited
    return np.asarray(tail.by_hand + cost.mean(axis=0))


def _rough_uniform(tail: _Tail, promise: Promise, after: np.ndarray) -> np.ndarray:
    """Return about what each number by hand costs in all, with a uniform audit; (n_tries,)."""
    expected, broken = tail.wrong.mean(axis=0), np.minimum(tail.broken, 0.999)
    bet = np.clip((broken - expected) / (broken * (1 - expected)), 0, 0.999)
    growth = tail.wrong * np.log1p(-bet) - np.log1p(-bet * broken)
    with np.errstate(divide="ignore"):
        sure = np.log1p(-promise.level) / np.log1p(-broken)
    cost = _mean_cost(tail, growth, promise, after, sure)
    return np.where((expected < broken) | (tail.broken > 1), cost, np.inf)


def _rough_weighted(
    tail: _Tail, waiting: Waiting, chances: np.ndarray, promise: Promise, after: np.ndarray
) -> np.ndarray:
    """Return the same with an audit weighted by doubt; infinite where there is no such plan."""
    costs = []
    for bet in BETS:
        growth = np.full(tail.wrong.shape, -1.0)
        for i, first in enumerate(tail.first.tolist()):
            if tail.broken[i] >= 1:
                continue
            size, doubt = waiting.size[first:], waiting.doubt[first:]
            share = size / size.sum()
            spread = doubt / max(float((doubt * share).sum()), 1e-12)
            rates = np.sqrt(UNSEEN + (1 - UNSEEN) * spread)
            least = bet / 0.98
            rates = least + (1 - least) * rates / (rates * share).sum()
            lost = (chances[:, first:] * share * rates) @ np.log1p(-bet / rates)
            growth[:, i] = lost - np.log1p(-bet * tail.broken[i])
        with np.errstate(divide="ignore", invalid="ignore"):
            sure = -np.log1p(-promise.level) / -np.log1p(-bet * np.minimum(tail.broken, 0.999))
        cost = _mean_cost(tail, growth, promise, after, sure)
        possible = (tail.broken < 1) & (growth.mean(axis=0) > 0) & (sure <= tail.left)
        costs.append(np.where(possible, cost, np.inf))
    return np.asarray(np.min(costs, axis=0))


def _simulated(
    tail: _Tail,
    place: int,
    weighted: bool,
    waiting: Waiting,
    chances: np.ndarray,
    promise: Promise,
    after: np.ndarray,
    draw: np.ndarray,
) -> Choice | None:
    """Plan an audit and run it many times; None where there is no such plan."""
    first, by_hand = int(tail.first[place]), int(tail.by_hand[place])
    left, expected = int(tail.left[place]), float(tail.wrong[:, place].mean())
    if not left:
        return Choice(by_hand, False, 0.0, 0.0, 1.0, np.full(len(draw), float(by_hand)))
    size = waiting.size[first:]
    plan = _plan(waiting.after(by_hand), left, expected, promise, weighted)
    if plan is None:
        return None
    rng = np.random.default_rng([by_hand, int(weighted)])
    wrong = rng.binomial(size, chances[draw, first:])
    luck = audit_luck.audits(plan, size, wrong, rng)
    again = np.minimum(after[draw, place], left - luck.labels)
    labels = by_hand + luck.labels + np.where(luck.accepted, 0.0, np.maximum(again, 0))
    chance = float(luck.accepted.mean())
    return Choice(by_hand, weighted, expected, float(luck.labels.mean()), chance, labels)


def _plan(
    waiting: Waiting, left: int, expected: float, promise: Promise, weighted: bool
) -> AuditPlan | WeightedPlan | None:
    """Return the plan of an audit of all these pictures; None where there is none."""
    if expected * left >= promise.allowed + 1 and promise.allowed < left:
        return None
    if not weighted:
        return plan_audit(left, promise.allowed, level=promise.level, rate=expected)
    stand = min(left, STANDS_FOR)
    place = (np.arange(stand) + 0.5) / stand * left
    doubt = waiting.doubt[np.searchsorted(np.cumsum(waiting.size), place)]
    allowed = int((promise.allowed + 1) * stand / left) - 1
    if allowed < 0 or allowed >= stand or expected * stand >= allowed + 1:
        return None
    return plan_weighted_audit(doubt, allowed, level=promise.level, rate=expected)
