"""Rules for automatic labels on the scores of a model, and forecasts beside what it then took."""

import math

import numpy as np
import pandas as pd
import pytest

from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Perfect
from alutils.base.errors import ParameterError
from alutils.experiments.label_costs import fewest_labels, trust
from alutils.guarantee import forecast
from alutils.guarantee.anytime import log_evidence
from alutils.guarantee.audits import draw_audit
from alutils.guarantee.pool import finish
from alutils.guarantee.thresholds import THRESHOLDS, certify

N = 1200


@pytest.fixture(scope="module")
def model():
    """Confidence, right and margin of a model that is wrong about as often as it says."""
    rng = np.random.default_rng(5)
    confidence = 0.4 + 0.6 * rng.beta(3, 0.15, N)
    right = rng.random(N) < confidence
    return confidence, right, 1 - confidence


def simulated(model, **options):
    confidence, right, margin = model
    given = {"target": 0.98, "n_audit": 300, "draws": 200, "rng": np.random.default_rng(1)}
    given |= {"margin": margin, "n_human": 100, "by_hand": 100, "expected_wrong": 0.005} | options
    return trust.simulate(confidence, right, **given).set_index("rule")


def test_thresholds_taken_are_those_of_certify_audit_by_audit(model):
    confidence, right, _ = model
    target = 0.985
    options = {"target": target, "level": 0.9}
    taken = trust._thresholds_taken(
        confidence, right, ["certified", "best on validation"], n_audit=250, draws=60,
        rng=np.random.default_rng(3), thresholds=THRESHOLDS, **options,
    )  # fmt: skip
    rng, refused = np.random.default_rng(3), 0
    for certified, best in zip(*taken.values(), strict=True):
        drawn = draw_audit(N, 250, rng)
        one = certify(confidence[drawn], right[drawn], pool=confidence, **options)
        assert (math.nan if one.threshold is None else one.threshold) == pytest.approx(
            certified, nan_ok=True
        )
        refused += one.threshold is None
        shares = {t: right[drawn][confidence[drawn] >= t] for t in THRESHOLDS}
        good = [t for t, seen in shares.items() if len(seen) and seen.mean() >= target]
        assert best == pytest.approx(good[-1] if good else math.nan, nan_ok=True)
    assert 0 < refused < 60


@pytest.mark.parametrize("rule", trust.WHOLE)
def test_whole_pool_does_what_finish_does(model, rule):
    _, right, margin = model
    n_human, by_hand, target = 100, 100, 0.98
    order = np.argsort(-margin, kind="stable")
    truth = np.zeros(N + n_human, int)
    # Two classes: probabilities with the model's class and this margin.
    predicted = np.where(right, 0, 1)
    top = 1 - margin / 2
    p = np.where(predicted[:, None] == [0, 1], top[:, None], 1 - top[:, None])
    seen = []
    for number in range(25):
        state = PoolState.start(N + n_human, np.arange(N))
        state.book.add(np.arange(N, N + n_human), truth[:n_human], Source.HUMAN, 0)
        done = finish(
            state, p, Perfect(truth), np.random.default_rng(number), target=target, level=0.96,
            by_hand=by_hand, expected_wrong=0.005, weighted=rule == "whole pool, weighted",
        )  # fmt: skip
        seen.append((done.certified, done.n_human))
    assert set(done.by_hand) == set(order[:by_hand])
    # `finish` holds its first attempt to a higher level than it promises: the same plan here.
    same = top, right, margin
    found = simulated(same, level=done.plan.level, rules=[rule], draws=400).iloc[0]
    certified, labels = np.array(seen).T
    assert certified.mean() == pytest.approx(1 - found["refused"], abs=0.25)
    assert labels.mean() == pytest.approx(found["labels"], rel=0.15)


def test_certified_promises_hold_where_the_usual_rules_break_theirs(model):
    found = simulated(model, draws=1000)
    assert found.loc["certified", "broken"] <= 0.05
    assert (found.loc[list(trust.WHOLE), "broken"] <= 0.05).all()
    assert found.loc["best on validation", "broken"] > 0.2
    confidence, right, _ = model
    for rule, at in trust.FIXED.items():
        above = confidence >= at
        assert found.loc[rule, "broken"] == (right[above].mean() < 0.98)
        assert found.loc[rule, "coverage"] == pytest.approx(above.mean())
        assert found.loc[rule, "right"] == pytest.approx(right[above].mean())
    assert (found["broken_low"] <= found["broken"]).all()
    assert (found["broken_high"] >= found["broken"]).all()


def test_a_model_that_is_always_right_is_certified_whole_and_one_that_is_not_is_refused():
    confidence, margin = np.linspace(0.5, 1, 900), np.linspace(1, 0, 900)
    sure = simulated((confidence, np.ones(900, bool), margin), by_hand=0)
    assert sure.loc["certified", ["refused", "coverage"]].tolist() == [0, 1]
    assert (sure.loc[list(trust.WHOLE), "refused"] == 0).all()
    assert sure.loc["whole pool", "labels"] == sure.loc["whole pool", "labels"].round()
    never = simulated((confidence, np.zeros(900, bool), margin), by_hand=0)
    assert (never.loc[["certified", *trust.WHOLE, "best on validation"], "refused"] == 1).all()
    assert (never.loc[["certified", *trust.WHOLE, "best on validation"], "coverage"] == 0).all()
    assert never["right"].drop(list(trust.FIXED)).isna().all()
    assert (never.loc[list(trust.FIXED), "broken"] == 1).all()


def test_nothing_above_a_threshold_breaks_no_promise():
    found = simulated((np.full(900, 0.5), np.ones(900, bool), np.ones(900)), rules=["fixed 0.9"])
    assert found.loc["fixed 0.9", ["broken", "coverage"]].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rules": ["certifid"]}, "certified"),
        ({"draws": 0}, "draws=0"),
        ({"target": 1.0}, "target=1.0"),
        ({"margin": None}, "margin=None"),
        ({"margin": np.zeros(3)}, "margin="),
    ],
)
def test_what_cannot_be_simulated_is_refused(model, options, said):
    with pytest.raises(ParameterError, match=said):
        simulated(model, **options)


@pytest.mark.slow
def test_scores_are_those_of_the_runs():
    options = {"setting": "article", "seed": 3, "first": 30, "batch": 30, "budget": 60}
    options |= {"members": 1, "steps": 6, "n_pool": 400}
    for arm in ("random", "active"):
        rows = fewest_labels.run(arm=arm, audit=0, most=200, target=0.9, by_hand=0, **options)
        wrong = rows[rows["metric"] == "n_wrong"].set_index("n_human")["value"]
        found = trust.scores(arm=arm, **options)
        by_round = found.groupby("n_human")["right"]
        assert (by_round.size() == [370, 340]).all()
        assert (by_round.size() - by_round.sum()).to_dict() == wrong.to_dict()
        assert found["confidence"].between(0, 1).all()


# --- forecasts ------------------------------------------------------------------------------------


def test_a_power_law_is_forecast_and_reached_where_the_truth_says():
    labels = np.arange(100, 1001, 100)
    wrong = np.round(10 / labels * (20_000 - labels)).astype(int)
    found = forecast.learning_forecast(
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
        forecast.learning_forecast(
            [10, 20, 30, 40], [9, 8, 7, 6], 100, np.random.default_rng(0), known=2, checked=10,
            targets=[0.9],
        )  # fmt: skip


def test_audit_forecasts_hold_what_it_took_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    confidence = rng.random(4000)
    right = rng.random(4000) < np.where(confidence > 0.3, 0.99, 0.7)
    found = forecast.audit_forecasts(
        confidence, right, rng, share=0.6, known=100, audits=80, target=0.96, interval=0.9
    )
    assert found["inside"].mean() >= 0.75
    assert (found["took"] > 0).all()
    assert ((found["low"] <= found["more"]) & (found["more"] <= found["high"])).all()


def test_what_an_audit_took_is_when_the_sequential_bound_first_holds():
    confidence, right = np.full(800, 0.9), np.ones(800, bool)
    right[::97] = False
    seen = np.random.default_rng(4)
    found = forecast.audit_forecasts(
        confidence, right, np.random.default_rng(4), share=1.0, known=50, audits=1, target=0.95
    )
    order = seen.permutation(800)
    errors = np.cumsum(~right[order])
    n = np.arange(50, 801)
    enough = log_evidence(n, errors[n - 1], 0.95) >= math.log(20)
    assert found["took"].tolist() == [enough.argmax()]
    assert isinstance(found, pd.DataFrame)
