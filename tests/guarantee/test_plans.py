"""Acceptance plans: their risk held against enumeration, their cost against the other ways."""

import dataclasses
import itertools
import json
import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.guarantee import orders, plans
from alutils.guarantee.anytime import RATIOS, WEIGHTS
from alutils.guarantee.audit import GO_ON, Audit, AuditOutcome
from alutils.guarantee.plans import AuditPlan, plan_audit
from alutils.guarantee.simulation import simulate_pool
from alutils.guarantee.thresholds import wrong_at_most

POOL, ALLOWED, END = 60_000, 600, 1500
SMALL = [(9, 1, 0.8, 0.05), (10, 2, 0.9, 0.1), (11, 3, 0.6, 0.02), (12, 2, 0.7, 0.0)]


@pytest.fixture(scope="module")
def plan():
    return plan_audit(POOL, ALLOWED, rate=0.002, most=END)


class InOrder:
    """A generator whose permutations are the order of the pool."""

    def permutation(self, n):
        return np.arange(n)


def run(plan, right):
    """Return what an audit comes to whose first labels are right or wrong in this order."""
    audit, n = Audit(plan, InOrder()), 0
    while audit.decision == GO_ON and n < len(right):
        places = audit.next(len(right) - n)
        assert places.tolist() == list(range(n, n + len(places)))
        audit.answer(places, ~right[places])
        n += len(places)
    return audit.outcome


def enumerated(plan, wrong):
    """Return the exact chance of a certificate and the labels on average, from every order.

    Step by step, as the definition has it, with nothing of the arithmetic under test.
    """
    certified = labels = orders = 0
    for places in itertools.combinations(range(plan.population), wrong):
        n = errors = 0
        while not (
            any(n == look and errors <= k for k, look in enumerate(plan.looks))
            or errors == len(plan.looks)
        ):
            errors += n in places
            n += 1
        orders, labels, certified = orders + 1, labels + n, certified + (errors < len(plan.looks))
    return Fraction(certified, orders), Fraction(labels, orders)


@pytest.mark.parametrize(("population", "allowed", "level", "rate"), SMALL)
def test_chance_and_labels_are_those_of_all_orders_and_no_number_breaks_the_level(
    population, allowed, level, rate
):
    plan = plan_audit(population, allowed, level=level, rate=rate)
    chances = []
    for wrong in range(population + 1):
        chance, labels = enumerated(plan, wrong)
        assert plan.chance(wrong) == pytest.approx(float(chance), abs=1e-12)
        assert plan.expected_labels(wrong) == pytest.approx(float(labels))
        chances.append(chance)
    assert all(second <= first for first, second in itertools.pairwise(chances))
    assert max(chances[allowed + 1 :]) <= (1 - level) * (1 + 1e-9)
    assert chances[0] == 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_plan_of_a_small_pool_holds_its_level_for_every_number_of_wrong_items(data):
    population = data.draw(st.integers(1, 9))
    allowed = data.draw(st.integers(0, population - 1))
    level = data.draw(st.sampled_from([0.3, 0.5, 0.8, 0.9, 0.95]))
    rate = data.draw(st.floats(0, (allowed + 0.99) / population))
    plan = plan_audit(population, allowed, level=level, rate=rate)
    for wrong in range(allowed + 1, population + 1):
        assert enumerated(plan, wrong)[0] <= (1 - level) * (1 + 1e-9)


@given(
    st.integers(50, 5000),
    st.floats(0.01, 0.2),
    st.floats(0, 0.9),
    st.sampled_from([0.5, 0.9, 0.99]),
)
@settings(max_examples=25, deadline=None)
def test_plans_of_all_sizes_hold_their_level(population, share, part, level):
    allowed = int(share * population)
    plan = plan_audit(population, allowed, level=level, rate=part * share)
    granted = (1 - level) * (1 + 1e-9)
    above = np.unique(np.geomspace(allowed + 1, population, 12).astype(int))
    chances = [plan.chance(int(wrong)) for wrong in above]
    assert chances[0] <= granted and np.all(np.diff(chances) <= 1e-12)
    for k, look in enumerate(plan.looks):
        assert wrong_at_most(population, look, k, level) <= allowed


def test_audits_of_a_pool_just_worse_than_promised_are_certified_as_rarely_as_computed(plan):
    rng, certified, used = np.random.default_rng(0), 0, []
    audits = 4000
    for _ in range(audits):
        # Whether each of the first labels is right, in a random order of the pool.
        places = rng.choice(POOL, ALLOWED + 1, replace=False)
        right = np.ones(END, bool)
        right[places[places < END]] = False
        outcome = run(plan, right)
        certified += outcome.decision == "certified"
        used.append(outcome.n_used)
    low, high = stats.binom.interval(0.9999, audits, plan.chance(ALLOWED + 1))
    assert low <= certified <= high
    error = np.std(used) / math.sqrt(audits)
    assert np.mean(used) == pytest.approx(plan.expected_labels(ALLOWED + 1), abs=4 * error)


def in_whole_numbers(plan, wrong):
    """Return the chance of a certificate as a fraction: the orders are counted, not weighed."""
    ways, before, accepted = [1] + [0] * (len(plan.looks) - 1), 0, 0
    for k, look in enumerate(plan.looks):
        ways = [
            sum(ways[i] * math.comb(look - before, e - i) for i in range(e + 1))
            for e in range(len(ways))
        ]
        # k errors before this look, and the other wrong items behind it.
        accepted += ways[k] * math.comb(plan.population - look, wrong - k)
        ways[k], before = 0, look
    return Fraction(accepted, math.comb(plan.population, wrong))


def false_in_whole_numbers(plan, wrong):
    """Return the chance, as a fraction, that more stand wrong after the audit than is allowed."""
    accepted, ways, before = Fraction(0), [1] + [0] * (len(plan.looks) - 1), 0
    for k, look in enumerate(plan.looks):
        ways = [
            sum(ways[i] * math.comb(look - before, e - i) for i in range(e + 1))
            for e in range(len(ways))
        ]
        # At worst those withheld were of items without a label, for which less is granted.
        stand = wrong - (0 if plan.withheld is None else max(0, k - plan.withheld))
        if stand > plan.allowed:
            accepted += ways[k] * math.comb(plan.population - look, wrong - k)
        ways[k], before = 0, look
    return accepted / math.comb(plan.population, wrong)


@pytest.mark.parametrize("withheld", [None, 0, 1, 3])
@pytest.mark.parametrize(
    ("population", "allowed", "rate"), [(40, 2, 0.01), (300, 15, 0.02), (900, 9, 0.004), (7, 3, 0)]
)
def test_no_number_of_wrong_items_makes_a_certificate_false_too_often(
    population, allowed, rate, withheld
):
    """Exactly, and for every number: errors that the audit finds are corrected."""
    plan = plan_audit(population, allowed, rate=rate, withheld=withheld)
    risks = [false_in_whole_numbers(plan, wrong) for wrong in range(population + 1)]
    assert max(risks) <= Fraction(1, 20) * (1 + Fraction(1, 10**9))
    risk, wrong = plan.risk()
    if wrong <= population:
        assert risk == pytest.approx(float(max(risks)), rel=1e-9)
        assert risk == pytest.approx(float(risks[wrong]), rel=1e-9)
    assert all(risk == 0 for risk in risks[: allowed + 1])


def test_corrected_errors_save_labels_and_the_more_the_larger_the_share_that_is_audited():
    """3,600 items of which 1% may be wrong: an eighth of them is audited."""
    saved = []
    for population in (3600, 60_000):
        allowed, wrong = population // 100, population // 200
        plain, counted = (
            plan_audit(population, allowed, rate=0.005, withheld=withheld) for withheld in (None, 1)
        )
        assert counted.chance(wrong) > plain.chance(wrong)
        saved.append(1 - counted.expected_labels(wrong) / plain.expected_labels(wrong))
    assert saved[0] > 0.12 > 0.03 > saved[1] > 0


def test_a_plan_that_counts_more_as_corrected_than_there_is_level_for_is_refused():
    counted = plan_audit(3600, 36, rate=0.005, withheld=0)
    for withheld in (1, None):
        with pytest.raises(ParameterError, match=r"looks=.*they accept"):
            dataclasses.replace(counted, withheld=withheld)
    with pytest.raises(ParameterError, match="withheld=-1"):
        dataclasses.replace(counted, withheld=-1)


@pytest.mark.slow
def test_labels_that_stand_are_wrong_as_rarely_as_computed():
    """The audit itself, item by item, at the number of wrong items that is hardest."""
    plan = plan_audit(600, 30, level=0.8, rate=0.02, withheld=0)
    risk, wrong = plan.risk()
    told = simulate_pool(plan, np.arange(600) < wrong, 3000, np.random.default_rng(0))
    low, high = stats.binom.interval(0.9999, 3000, risk)
    assert low <= told.broken.sum() <= high and risk == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize("rate", [0.001, 0.002, 0.003, 0.005])
def test_the_risk_is_spent_and_not_overspent(rate):
    plan = plan_audit(POOL, ALLOWED, rate=rate, most=END)
    risk = in_whole_numbers(plan, ALLOWED + 1)
    assert Fraction(499, 10_000) < risk <= Fraction(1, 20)
    assert plan.chance(ALLOWED + 1) == pytest.approx(float(risk), rel=1e-11)
    assert plan.looks[-1] <= plan.most == END


def test_the_first_look_is_not_before_one_look_alone_could_certify(plan):
    needed = next(n for n in range(290, 300) if wrong_at_most(POOL, n, 0) <= ALLOWED)
    assert 290 < needed < 299 <= plan.looks[0]
    at_rate_zero = plan_audit(POOL, ALLOWED, rate=0.0)
    assert at_rate_zero.looks[0] == needed
    assert at_rate_zero.most == plans.MOST * needed


def anytime_accepts(n, errors):
    """Say whether a bet that may be looked at after every label is won against too many errors."""
    rivals = stats.hypergeom.pmf(errors, POOL, np.floor(RATIOS * (ALLOWED + 1)).astype(int), n)
    return WEIGHTS @ rivals >= 20 * stats.hypergeom.pmf(errors, POOL, ALLOWED + 1, n)


def first_anytime(errors):
    """Return the fewest labels at which the anytime bound accepts so many errors."""
    low, high = 300 + 150 * errors, 500 + 350 * errors
    assert not anytime_accepts(low, errors) and anytime_accepts(high, errors)
    while high - low > 1:
        middle = (low + high) // 2
        if anytime_accepts(middle, errors):
            high = middle
        else:
            low = middle
    return high


@pytest.mark.slow
def test_a_plan_takes_fewer_labels_than_the_anytime_bound():
    """With as many errors acceptable at the end, and at the rate that it was made for."""
    plan = plan_audit(POOL, ALLOWED, rate=0.002, most=1000)
    looks = tuple(first_anytime(errors) for errors in range(len(plan.looks)))
    anytime = AuditPlan(POOL, ALLOWED, 0.95, looks, looks[-1])
    expected = round(0.002 * POOL)
    assert anytime.chance(ALLOWED + 1) < plan.chance(ALLOWED + 1)
    assert plan.expected_labels(expected) < 0.95 * anytime.expected_labels(expected)
    assert plan.looks[1] < looks[1] and plan.looks[2] < looks[2]


def cost(looks, most, rate):
    """Return the labels that a plan takes on average and what its refusals count for."""
    weights = orders.log_weights_at(rate, most, len(looks))
    refused = 1 - orders.chance_of(looks, weights)
    labels = orders.expected_labels_of(looks, lambda n: rate)
    return labels + plans.REFUSAL * most * refused


@pytest.mark.parametrize(
    ("population", "allowed", "most", "rate", "near"),
    [(300, 30, 55, 0.01, 0.01), (300, 30, 55, 0.03, 0.01), (24, 2, 24, 0.02, 0.02)],
)
def test_no_other_plan_is_much_cheaper(population, allowed, most, rate, near):
    """Against every plan there is: none of these may accept three errors."""
    plan = plan_audit(population, allowed, rate=rate, most=most)
    assert stats.hypergeom.cdf(3, population, allowed + 1, most) > 0.05
    weights = orders.log_weights_of(population, allowed + 1, most, 3)
    best = math.inf
    for count in (1, 2, 3):
        for looks in itertools.combinations(range(1, most + 1), count - 1):
            # Risk falls with a later last look: the earliest valid one is the cheapest.
            start = looks[-1] + 1 if looks else 1
            last = next(
                (n for n in range(start, most + 1)
                 if orders.chance_of((*looks, n), weights) <= 0.05 * (1 + 1e-12)),
                None,
            )  # fmt: skip
            if last is not None:
                best = min(best, cost((*looks, last), most, rate))
    assert cost(plan.looks, most, rate) <= best * (1 + near)


def test_a_pool_without_end_is_the_binomial_case():
    plan = plan_audit(POOL, ALLOWED, rate=0.002, most=END)
    endless = AuditPlan(10**8, 10**6 + 10**4, 0.95, plan.looks, END)
    for rate in (0.0005, 0.002, 0.01, 0.03):
        weights = orders.log_weights_at(rate, END, len(plan.looks))
        assert endless.chance(round(rate * 10**8)) == pytest.approx(
            orders.chance_of(plan.looks, weights), rel=1e-4
        )
        assert endless.expected_labels(round(rate * 10**8)) == pytest.approx(
            orders.expected_labels_of(plan.looks, lambda n, rate=rate: rate), rel=1e-4
        )


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_an_audit_answered_in_portions_ends_as_one_decided_label_by_label(seed, rate, length):
    looks = (8, 20, 30)
    plan = AuditPlan(60, 9, 0.6, looks, 60)
    right = np.random.default_rng(seed).random(length) >= rate
    n = errors = 0
    decision = "go on"
    while decision == "go on" and n < length:
        errors += not right[n]
        n += 1
        if errors >= len(looks):
            decision = "refused"
        elif n >= looks[errors]:
            decision = "certified"
    assert run(plan, right) == AuditOutcome(decision, n, errors)


def test_decisions_and_next_items_by_example():
    plan = AuditPlan(60, 9, 0.6, (8, 20, 30), 60)
    needed = plan.needed(np.arange(8), np.array([0, 0, 0, 1, 0, 0, 1, 1], bool))
    assert needed.tolist() == [8, 8, 8, 8, 20, 20, 20, 30, np.inf]
    right = np.ones(60, bool)
    right[[3, 20, 50]] = False
    assert run(plan, right) == AuditOutcome("certified", 20, 1)
    right[[4, 5]] = False
    assert run(plan, right) == AuditOutcome("refused", 6, 3)
    assert run(plan, right[:5]) == AuditOutcome("go on", 5, 2)
    audit = Audit(plan, InOrder())
    assert len(audit.next(60)) == 8 and len(audit.next(5)) == 5 and len(audit.next()) == 1


def test_where_nothing_is_to_be_proved_no_label_is_asked_for():
    plan = plan_audit(40, 40, rate=0.5)
    assert plan.looks == (0,)
    assert run(plan, np.zeros(0, bool)) == AuditOutcome("certified", 0, 0)
    assert (plan.chance(40), plan.expected_labels(40)) == (1, 0)


@pytest.mark.parametrize(("population", "allowed"), [(1, 0), (7, 3), (20, 0), (20, 1)])
def test_a_tiny_pool_is_audited_to_its_end_if_need_be_and_then_certain(population, allowed):
    plan = plan_audit(population, allowed, rate=0.02)
    assert all(plan.chance(wrong) == pytest.approx(1) for wrong in range(allowed + 1))
    assert plan.looks[-1] >= population - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"most": 296}, "most=296: .* takes 297 labels even if all of them are right"),
        ({"allowed": 20, "most": 1500}, r"most=1500: .* takes \d{4} labels"),
        ({"allowed": -1}, "allowed=-1"),
        ({"population": 2.5}, "population=2.5"),
        ({"level": 1}, "level=1: expected a number between 0 and 1"),
        ({"rate": 1.5}, "rate=1.5"),
        ({"rate": 0.02}, r"rate=0.02: of 60000 items 1200 are then wrong, .* below 0.01"),
        ({"most": True}, "most=True"),
        ({"most": 30_000}, "most=30000: over 100 errors may then pass"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(change, message):
    values = {"population": POOL, "allowed": ALLOWED, "rate": 0.0001} | change
    with pytest.raises(ParameterError, match=message):
        plan_audit(values.pop("population"), values.pop("allowed"), **values)


def test_the_labels_named_as_needed_are_enough_and_one_less_is_not():
    assert plan_audit(POOL, ALLOWED, rate=0.001, most=297).looks == (297,)
    with pytest.raises(ParameterError, match="takes 297"):
        plan_audit(POOL, ALLOWED, rate=0.001, most=296)


def test_a_plan_is_kept_as_json_and_a_changed_one_is_refused(plan):
    kept = json.loads(json.dumps(plan.to_dict()))
    assert AuditPlan.from_dict(kept) == plan
    del kept["withheld"]  # as before errors were counted as corrected
    assert AuditPlan.from_dict(kept) == plan
    with pytest.raises(ParameterError, match=r"looks=.*more than the 0.05 of level=0.95"):
        AuditPlan.from_dict(kept | {"looks": [plan.looks[0] - 5, *plan.looks[1:]]})
    with pytest.raises(ParameterError, match="strictly rising"):
        AuditPlan.from_dict(kept | {"looks": [500, 500]})
    with pytest.raises(ParameterError, match="most=100: expected from the last look"):
        AuditPlan.from_dict(kept | {"most": 100})
    with pytest.raises(ParameterError, match="expected the keys"):
        AuditPlan.from_dict({"looks": [500]})
    with pytest.raises(ParameterError, match="looks=500"):
        AuditPlan.from_dict(kept | {"looks": 500})


def test_counts_that_cannot_be_are_refused(plan):
    with pytest.raises(ParameterError, match="wrong=60001"):
        plan.chance(POOL + 1)


def test_a_plan_is_made_in_about_a_second_of_one_processor():
    started = time.process_time()
    plan_audit(POOL, ALLOWED, rate=0.002, most=END)
    assert time.process_time() - started < 3
