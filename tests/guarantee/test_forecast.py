"""Forecasts of labels: they are intervals, so they are asked how often they hold."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.base.errors import ParameterError
from alutils.guarantee.anytime import anytime_labels_needed, anytime_lower_bound, log_evidence
from alutils.guarantee.forecast import (
    audit_forecasts,
    boundary,
    fit_power_law,
    learning_forecast,
    more_audit_labels,
    more_training_labels,
)


@given(st.sampled_from([0.9, 0.98, 0.99]), st.sampled_from([0.8, 0.95]), st.integers(200, 4000))
@settings(max_examples=15, deadline=None)
def test_the_boundary_is_the_fewest_labels_for_each_number_of_errors(target, level, most):
    found = boundary(target, level, most)
    for errors in {0, 1, len(found) // 2, len(found) - 1}:
        if 0 <= errors < len(found):
            assert found[errors] == anytime_labels_needed(target, level, errors)
    assert (found <= most).all() and (np.diff(found) > 0).all()
    assert anytime_labels_needed(target, level, len(found)) > most


def a_pool(rng, wrong, n=6000):
    """Return confidences and which predictions are right: ``wrong`` of them from .8 on are not."""
    pool = 1 - 0.4 * rng.random(n) ** 3
    return pool, rng.random(n) >= np.where(pool >= 0.8, wrong, 0.4)


def labels_it_took(pool, right, order, threshold, target, start):
    """Return the audit labels, after ``start``, that certified the threshold; inf for never."""
    above = pool[order] >= threshold
    n, errors = np.cumsum(above), np.cumsum(above & ~right[order])
    certified = log_evidence(n, errors, target) >= math.log(20)
    certified[: start - 1] = False
    return np.argmax(certified) + 1 - start if certified.any() else math.inf


def backtest(n_pools, share, interval):
    """Return which of many forecasts held the number of labels that it then took, and these."""
    held, took = [], []
    for seed in range(n_pools):
        rng = np.random.default_rng(seed)
        pool, right = a_pool(rng, rng.uniform(0.0, 0.03))
        order = rng.permutation(len(pool))
        audit = order[:200]
        (forecast,) = more_audit_labels(
            pool[audit], right[audit], pool, rng,
            shares=(share,), target=0.97, interval=interval, draws=400,
        )  # fmt: skip
        threshold = np.sort(pool)[len(pool) - math.ceil(share * len(pool))]
        took.append(labels_it_took(pool, right, order, threshold, 0.97, len(audit)))
        held.append(forecast.low <= took[-1] <= forecast.high)
    return np.array(held), np.array(took)


@pytest.mark.parametrize("interval", [0.8, 0.9])
def test_the_interval_holds_what_it_then_takes_as_often_as_it_says(interval):
    held, took = backtest(150, 0.7, interval)
    assert held.mean() >= interval
    assert len(np.unique(took)) > 20  # there was something to forecast


def test_a_pool_without_errors_takes_the_fewest_labels_there_can_be():
    pool = np.ones(5000)
    (forecast,) = more_audit_labels(
        pool[:100], np.ones(100, bool), pool, np.random.default_rng(0), shares=(1,), target=0.97
    )
    least = anytime_labels_needed(0.97) - 100
    assert forecast.low == least and forecast.high > least
    assert forecast.share == 1


def test_what_is_certified_already_takes_no_more():
    pool, audit = np.linspace(0.5, 1, 8000), slice(None, None, 4)
    (forecast,) = more_audit_labels(
        pool[audit], np.ones(2000, bool), pool, np.random.default_rng(0), shares=(0.5,)
    )
    assert anytime_lower_bound(1000, 0) > 0.99
    assert (forecast.more, forecast.low, forecast.high) == (0, 0, 0)


def test_a_model_worse_than_the_target_is_never_certified():
    pool, right = np.ones(20_000), np.arange(1000) % 10 > 0
    (forecast,) = more_audit_labels(
        pool[:1000], right, pool, np.random.default_rng(0), shares=(0.9,), target=0.99
    )
    assert (forecast.more, forecast.low, forecast.high) == (math.inf,) * 3


def test_a_pool_too_small_for_any_certificate_is_said_to_be():
    pool = np.ones(150)
    (forecast,) = more_audit_labels(
        pool[:50], np.ones(50, bool), pool, np.random.default_rng(0), target=0.99, shares=(1,)
    )
    assert (forecast.more, forecast.low, forecast.high) == (math.inf,) * 3


def test_larger_shares_and_higher_targets_take_more():
    rng = np.random.default_rng(3)
    pool, right = a_pool(rng, 0.002, 40_000)
    audit = rng.permutation(40_000)[:300]
    options = {"confidence": pool[audit], "right": right[audit], "pool": pool}
    targets = [
        more_audit_labels(**options, rng=rng, shares=(0.6,), target=target)[0].more
        for target in (0.95, 0.98, 0.99)
    ]
    assert targets == sorted(targets) and targets[0] < targets[-1]


def test_the_same_seed_gives_the_same_forecast():
    pool, right = a_pool(np.random.default_rng(1), 0.01)
    first, again = (
        more_audit_labels(pool[:200], right[:200], pool, np.random.default_rng(5), target=0.97)
        for _ in range(2)
    )
    assert first == again


def rounds(rng, slope=0.8, n_rounds=6, checked=600):
    labels = np.round(np.geomspace(100, 800, n_rounds))
    rate = 0.3 * (labels / 100) ** -slope
    return labels, np.full(n_rounds, checked), rng.binomial(checked, rate)


def test_a_power_law_is_found_again():
    labels = np.array([100, 200, 400, 800])
    checked = np.full(4, 10**7)
    law = fit_power_law(labels, checked, np.round(checked * 0.2 * (labels / 100) ** -0.7))
    assert law.slope == pytest.approx(0.7, abs=1e-3)
    assert np.exp(law.intercept - law.slope * np.log(100)) == pytest.approx(0.2, rel=1e-3)
    assert law.dispersion == 1


def test_the_fit_is_where_the_likelihood_is_highest():
    from scipy.optimize import minimize

    labels, checked, errors = rounds(np.random.default_rng(4))

    def loss(x):
        expected = checked * np.exp(x[0] - x[1] * np.log(labels))
        return np.sum(expected - errors * np.log(expected))

    law = fit_power_law(labels, checked, errors)
    best = minimize(loss, [law.intercept + 0.3, law.slope + 0.2], method="Nelder-Mead",
                    options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000})  # fmt: skip
    assert [law.intercept, law.slope] == pytest.approx(best.x, abs=1e-4)


@pytest.mark.parametrize("n_rounds", [4, 6, 10])
def test_the_interval_of_the_learning_curve_holds_the_truth_as_often_as_it_says(n_rounds):
    true = 100 * (0.3 / 0.02) ** (1 / 0.8) - 800
    held = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        (forecast,) = more_training_labels(
            *rounds(rng, n_rounds=n_rounds), rng, targets=(0.98,), interval=0.8, draws=300
        )
        held += forecast.low <= true <= forecast.high
    assert held / 500 >= 0.8


def test_a_curve_that_has_arrived_takes_none_and_one_that_is_flat_takes_for_ever():
    rng = np.random.default_rng(0)
    labels, checked = np.array([100, 200, 400]), np.full(3, 5000)
    arrived = more_training_labels(labels, checked, np.array([200, 60, 20]), rng, targets=(0.95,))
    assert (arrived[0].more, arrived[0].high) == (0, 0)
    rising = more_training_labels(labels, checked, np.array([200, 300, 400]), rng, targets=(0.99,))
    assert rising[0].more == math.inf == rising[0].low
    few = more_training_labels(
        labels, checked, np.array([900, 800, 700]), rng, targets=(0.99,), most=1000
    )
    assert few[0].low == math.inf


AUDIT = {
    "confidence": np.full(10, 0.9), "right": np.ones(10, bool), "pool": np.full(100, 0.9)
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": (0.0,)}, "shares=0.0"),
        ({"shares": (1.5,)}, "shares=1.5"),
        ({"target": 1.0}, "target=1.0"),
        ({"interval": 0}, "interval=0"),
        ({"level": 2}, "level=2"),
        ({"draws": 0}, "draws=0"),
        ({"pool": np.full(5, 0.9)}, "pool=5"),
        ({"pool": np.full(50, np.nan)}, "pool=nan"),
        ({"right": np.ones(9, bool)}, "right="),
    ],
)
def test_what_cannot_be_forecast_from_is_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        more_audit_labels(rng=np.random.default_rng(0), **(AUDIT | change))


@pytest.mark.parametrize(
    ("labels", "checked", "errors", "message"),
    [
        ([100, 200], [50, 50], [5, 4], "labels="),
        ([100, 100, 200], [50] * 3, [5, 4, 3], "3 different numbers"),
        ([100, 200, 300], [50] * 3, [5, 4], "errors="),
        ([100, 200, 300], [50] * 3, [5, 4, 51], "errors="),
        ([100, 200, 300], [50] * 3, [0, 0, 0], "without an error"),
        ([0, 200, 300], [50] * 3, [5, 4, 3], "at least 1 label"),
    ],
)
def test_rounds_that_make_no_curve_are_refused(labels, checked, errors, message):
    with pytest.raises(ParameterError, match=message):
        fit_power_law(labels, checked, errors)


# --- forecasts beside what it took ----------------------------------------------------------------


def test_a_power_law_is_forecast_and_reached_where_the_truth_says():
    labels = np.arange(100, 1001, 100)
    wrong = np.round(10 / labels * (20_000 - labels)).astype(int)
    found = learning_forecast(
        labels, wrong, 20_000, np.random.default_rng(0), known=4, checked=4000,
        targets=(0.8, 0.98, 0.999),
    ).set_index("target")  # fmt: skip
    assert found.loc[0.8, ["more", "took"]].tolist() == [0, 0]
    assert found.loc[0.98, "took"] == 100  # 10 / 500
    assert found.loc[0.98, "low"] <= 100 <= found.loc[0.98, "high"]
    assert math.isnan(found.loc[0.999, "took"])
    assert (found["labels"] == 400).all() and (found["seen"] == 600).all()


def test_a_forecast_needs_three_rounds():
    with pytest.raises(ParameterError, match="known=2: expected from 3 to the 4 rounds"):
        learning_forecast(
            [10, 20, 30, 40], [9, 8, 7, 6], 100, np.random.default_rng(0), known=2, checked=10,
            targets=[0.9],
        )  # fmt: skip


def test_audit_forecasts_hold_what_it_took_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    confidence = rng.random(4000)
    right = rng.random(4000) < np.where(confidence > 0.3, 0.99, 0.7)
    found = audit_forecasts(
        confidence, right, rng, share=0.6, known=100, audits=80, target=0.96, interval=0.9
    )
    assert found["inside"].mean() >= 0.75
    assert (found["took"] > 0).all()
    assert ((found["low"] <= found["more"]) & (found["more"] <= found["high"])).all()


def test_what_an_audit_took_is_when_the_sequential_bound_first_holds():
    confidence, right = np.full(800, 0.9), np.ones(800, bool)
    right[::97] = False
    seen = np.random.default_rng(4)
    found = audit_forecasts(
        confidence, right, np.random.default_rng(4), share=1.0, known=50, audits=1, target=0.95
    )
    order = seen.permutation(800)
    errors = np.cumsum(~right[order])
    n = np.arange(50, 801)
    enough = log_evidence(n, errors[n - 1], 0.95) >= math.log(20)
    assert found["took"].tolist() == [enough.argmax()]
    assert isinstance(found, pd.DataFrame)
