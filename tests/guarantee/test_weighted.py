"""Audits that look where the model is unsure: what they promise, whatever is wrong."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from alutils.base.errors import ParameterError
from alutils.guarantee.audit import Audit, run_audit
from alutils.guarantee.plans import plan_audit
from alutils.guarantee.weighted import WeightedPlan, _rates, expected_errors, plan_weighted_audit

N, ALLOWED, LEVEL = 300, 14, 0.9


def doubts(n=N, seed=0):
    """Return doubts as models have them: next to none of most items, much of a few."""
    return np.random.default_rng(seed).beta(0.05, 2, n)


def plan(rate=0.02, **changes):
    return plan_weighted_audit(doubts(), ALLOWED, level=LEVEL, rate=rate, **changes)


def drawn(plan, n, rng):
    """Return the places of the first n draws."""
    found = np.empty(0, int)
    while len(found) < n:
        found = np.concatenate([found, plan.draw(rng)])
    return found[:n]


def certified(plan, wrong, rng, draws=3000):
    """Return whether the capital, multiplied up draw by draw, ever reaches what the level asks."""
    found = drawn(plan, draws, rng)
    least = (plan.allowed + 1) / plan.population
    factors = (1 - plan.bet * wrong[found] / plan.rates[found]) / (1 - plan.bet * least)
    return np.cumprod(factors).max() >= 1 / (1 - plan.level)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.data())
@settings(max_examples=60)
def test_a_broken_promise_cannot_be_bet_on_with_profit(seed, n, data):
    rng = np.random.default_rng(seed)
    allowed, bet = data.draw(st.integers(0, n - 1)), data.draw(st.floats(0.01, 0.98))
    chances = expected_errors(rng.random(n) ** 8, data.draw(st.floats(1e-6, 0.5)))
    made = WeightedPlan(_rates(chances, bet), allowed, 0.9, bet, n)
    for n_wrong in range(allowed + 1, n + 1):
        wrong = np.zeros(n)
        wrong[rng.permutation(n)[:n_wrong]] = 1
        factors = (1 - made.bet * wrong / made.rates) / (1 - made.bet * (allowed + 1) / n)
        assert factors.min() > 0
        expected = (made.rates / n * factors).sum()
        assert expected <= 1 + 1e-9
        if n_wrong == allowed + 1:  # the bet is fair there, wherever the errors are
            assert expected == pytest.approx(1)


@pytest.mark.parametrize("where", ["sure", "doubted", "anywhere"])
def test_a_false_promise_is_rarer_than_the_level_says(where):
    made, rng = plan(), np.random.default_rng(1)
    order = {
        "sure": np.argsort(doubts()),
        "doubted": np.argsort(-doubts()),
        "anywhere": rng.permutation(N),
    }[where]
    wrong = np.zeros(N)
    wrong[order[: ALLOWED + 1]] = 1
    broken = np.mean([certified(made, wrong, rng) for _ in range(1500)])
    given = [run_audit(made, wrong == 1, rng).decision == "certified" for _ in range(1500)]
    assert np.mean(given) < 1 - LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / 1500)
    assert 0.3 * (1 - LEVEL) < broken < 1 - LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / 1500)


def test_draws_and_delays_say_the_same_as_the_capital():
    made, rng = plan(), np.random.default_rng(2)
    wrong = rng.random(N) < 0.03
    for _ in range(20):
        found = drawn(made, 400, rng)
        least = (ALLOWED + 1) / N
        capital = np.cumsum(
            np.log1p(-made.bet * wrong[found] / made.rates[found]) - np.log1p(-made.bet * least)
        )
        left = np.ceil(made.needed(found, wrong[found])[1:] - np.arange(1, 401))
        is_over = capital >= -math.log(1 - LEVEL) - 1e-9
        first = is_over.argmax() if is_over.any() else 400
        assert np.array_equal(left[: first + 1] <= 0, is_over[: first + 1])


def test_an_error_counts_the_less_the_more_the_item_was_doubted():
    made = plan()
    order = np.argsort(doubts())
    assert (np.diff(made.rates[order]) >= -1e-9).all() and made.rates.max() > 3 * made.rates.min()
    assert (np.diff(made.delays[order]) <= 1e-6).all()
    assert made.rates.mean() == pytest.approx(1)


def test_an_audit_ends_at_the_first_draw_that_decides():
    made, wrong = plan(), np.random.default_rng(6).random(N) < 0.04
    decisions = set()
    for seed in range(30):
        outcome = run_audit(made, wrong, np.random.default_rng(seed))
        found = made.draw(np.random.default_rng(seed))
        for n in range(len(found) + 1):
            hits = found[:n][wrong[found[:n]]]
            n_labels = len(np.unique(found[:n]))
            left = math.ceil(made.without_error + made.delays[hits].sum() - n)
            decision = "certified" if left <= 0 else "refused"
            if left <= 0 or left > made.most - n_labels:
                break
        assert outcome.decision == decision
        assert (outcome.n_used, outcome.errors) == (n_labels, len(np.unique(hits)))
        decisions.add(decision)
    assert decisions == {"certified", "refused"}


def test_items_are_drawn_as_often_as_their_rates_say():
    made = plan()
    n = 400_000
    counts = np.bincount(drawn(made, n, np.random.default_rng(3)), minlength=N)
    expected = made.rates * n / N
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("bet", [0.3, 0.7])
def test_no_other_rates_lose_less(bet):
    chances = np.array([0.3, 0.1, 0.02, 0.004, 0.004, 0.001])

    def lost(rates):
        return -(chances * rates * np.log1p(-bet / rates)).sum()

    ours = _rates(chances, bet)
    assert ours.sum() == pytest.approx(6)
    best = optimize.minimize(
        lost, np.ones(6), method="SLSQP", bounds=[(bet * 1.0001, 6)] * 6, options={"ftol": 1e-12},
        constraints={"type": "eq", "fun": lambda rates: rates.sum() - 6},
    )  # fmt: skip
    assert best.success
    assert lost(ours) == pytest.approx(best.fun, rel=1e-4)


def test_the_expected_labels_are_what_audits_take():
    made, rng = plan(most=N), np.random.default_rng(4)
    chances = expected_errors(doubts(), 0.02)
    taken = []
    for _ in range(400):
        found = drawn(made, 4000, rng)
        hits = (rng.random(N) < chances)[found]
        needed = made.without_error + np.cumsum(np.where(hits, made.delays[found], 0))
        ends = np.flatnonzero(np.arange(1, 4001) >= needed)
        if len(ends):
            taken.append(len(np.unique(found[: ends[0] + 1])))
    assert len(taken) > 380
    assert np.mean(taken) == pytest.approx(made.expected_labels(chances), rel=0.15)


def test_where_the_model_knows_its_errors_it_takes_fewer_labels_than_a_uniform_audit():
    n, allowed, rng = 20_000, 200, np.random.default_rng(5)
    doubt = doubts(n)
    chances = np.minimum(0.004 * (0.2 + 0.8 * doubt / doubt.mean()), 1)
    made = plan_weighted_audit(doubt, allowed, level=0.96, rate=0.004, most=1500)
    n_wrong, taken = [], []
    for _ in range(100):
        wrong = rng.random(n) < chances
        found = drawn(made, 4000, rng)
        needed = made.without_error + np.cumsum(np.where(wrong[found], made.delays[found], 0))
        end = np.argmax(np.arange(1, 4001) >= needed)
        taken.append(min(len(np.unique(found[: end + 1])), 1500) if end else 1500)
        n_wrong.append(int(wrong.sum()))
    uniform = plan_audit(n, allowed, level=0.96, rate=0.004, most=1500)
    assert np.mean(taken) < 0.95 * np.mean([uniform.expected_labels(w) for w in n_wrong])


def test_without_doubts_all_items_are_alike():
    made = plan_weighted_audit(np.zeros(50), 4, rate=0.01)
    assert made.rates == pytest.approx(np.ones(50))


@pytest.mark.parametrize(
    ("n", "allowed", "rate", "most"),
    [
        (5, 5, 0.5, None),  # nothing to prove
        (15, 100, 0.5, None),
        (50, 0, 0.001, None),  # more draws than items
        (300, 14, 0.02, 3),
        (300, 14, 0.049, None),  # so many errors that there is no end
    ],
)
def test_where_weighing_does_not_pay_there_is_no_plan(n, allowed, rate, most):
    assert plan_weighted_audit(np.ones(n), allowed, level=LEVEL, rate=rate, most=most) is None


def test_doubts_of_any_size_do():
    doubt = np.zeros(N)
    doubt[0] = 5e-324
    huge = np.full(N, 1e308)
    for each in (doubt, huge):
        assert plan_weighted_audit(each, ALLOWED, rate=0.01).rates.mean() == pytest.approx(1)


def test_a_plan_stays_as_it_is():
    rates = np.ones(5)
    made = WeightedPlan(rates, 0, LEVEL, 0.5, 5)
    rates[:] = 7
    assert made.rates.tolist() == [1] * 5
    with pytest.raises(ValueError, match="read-only"):
        made.rates[0] = 2


def test_it_ends_where_the_labels_cannot_suffice():
    made = plan(most=120)
    sure, rng = np.argsort(doubts())[:3], np.random.default_rng(0)
    audit = Audit(made, rng)
    audit.answer(np.unique(audit.next(10)), np.zeros(len(np.unique(audit.next(10))), bool))
    assert audit.decision == "go on"
    wrong = np.zeros(N, bool)
    wrong[sure] = True
    outcomes = [run_audit(made, wrong, np.random.default_rng(seed)) for seed in range(40)]
    assert {outcome.decision for outcome in outcomes if outcome.errors} == {"refused"}
    assert {outcome.decision for outcome in outcomes if not outcome.errors} == {"certified"}
    # One label is too few for so many draws.
    none = run_audit(WeightedPlan(np.ones(5), 0, LEVEL, 0.5, 0), np.zeros(5, bool), rng)
    assert (none.decision, none.n_used) == ("refused", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doubt": np.ones((2, 2))}, r"doubt=\(2, 2\)"),
        ({"doubt": np.array([0.1, -1.0])}, r"doubt=-1.0.*0 or more"),
        ({"doubt": np.array([0.1, np.nan])}, r"doubt=nan"),
        ({"allowed": -1}, "allowed=-1"),
        ({"level": 1.0}, "level=1.0"),
        ({"rate": 0.5}, r"rate=0.5.*150 are then wrong.*below 0.05"),
        ({"rate": -0.1}, "rate=-0.1"),
    ],
)
def test_values_that_make_no_plan_are_named(change, message):
    values = {"doubt": doubts(), "allowed": ALLOWED, "level": LEVEL, "rate": 0.01} | change
    with pytest.raises(ParameterError, match=message):
        plan_weighted_audit(values.pop("doubt"), values.pop("allowed"), **values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": np.ones((2, 2))}, "rates"),
        ({"rates": np.array([1.0, np.inf])}, "rates=inf"),
        ({"rates": np.array([1.0, np.nan])}, "rates=nan"),
        ({"allowed": 2}, "allowed=2.*at most 1"),
        ({"rates": np.array([1.0, 2.0])}, r"rates=1.5.*mean is 1"),
        ({"bet": 0.0}, "bet=0.0"),
        ({"bet": 1.0}, "bet=1.0"),
        ({"most": 3}, "most=3"),
    ],
)
def test_a_plan_that_would_not_hold_cannot_be_made(change, message):
    values = {"rates": np.ones(2), "allowed": 0, "level": 0.9, "bet": 0.5, "most": 2} | change
    with pytest.raises(ParameterError, match=message):
        WeightedPlan(**values)
