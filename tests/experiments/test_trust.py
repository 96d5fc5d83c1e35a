"""Rules for automatic labels on the scores of a model."""

import math

import numpy as np
import pandas as pd
import pytest

from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Perfect
from alutils.base.errors import ParameterError
from alutils.experiments.label_costs import fewest_labels, trust
from alutils.guarantee.audit_slice import draw_audit
from alutils.guarantee.pool import finish
from alutils.guarantee.simulation import Audits
from alutils.guarantee.terms import Terms
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
    how = {"target": 0.98, "by_hand": 100, "expected_wrong": 0.005, "attempt": None} | {
        name: options.pop(name) for name in ("target", "level", "by_hand") if name in options
    }
    given = {"n_audit": 300, "draws": 200, "rng": np.random.default_rng(1)}
    given |= {"margin": margin, "n_human": 100} | options
    return trust.simulate(confidence, right, Terms(**how), **given).set_index("rule")


def test_thresholds_taken_are_those_of_certify_audit_by_audit(model):
    confidence, right, _ = model
    target = 0.985
    options = {"target": target, "level": 0.9}
    audits = Audits.drawn(confidence, right, 250, 60, np.random.default_rng(3))
    rules = trust.threshold_rules(confidence, Terms(**options), 250)
    taken = [rules[name](audits) for name in ("certified", "best on validation")]
    rng, refused = np.random.default_rng(3), 0
    for certified, best in zip(*taken, strict=True):
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
        terms = Terms(
            target, 0.96, by_hand, expected_wrong=0.005, weighted=rule == "whole pool, weighted"
        )
        done = finish(state, p, Perfect(truth), np.random.default_rng(number), terms)
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
    options |= {"audit": 0, "most": 200, "target": 0.9, "by_hand": 0}
    for arm in ("random", "active"):
        settings = fewest_labels.Settings(arm=arm, **options)
        rows, found = trust.rows_and_scores(settings)
        pd.testing.assert_frame_equal(rows, fewest_labels.run(settings))
        wrong = rows[rows["metric"] == "n_wrong"].set_index("n_human")["value"]
        by_round = found.groupby("n_human")["right"]
        assert (by_round.size() == [370, 340]).all()
        assert (by_round.size() - by_round.sum()).to_dict() == wrong.to_dict()
        assert found["confidence"].between(0, 1).all()
