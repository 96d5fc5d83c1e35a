"""Bounds that hold at every look, and what peeking does to those that do not."""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.guarantee import anytime as sequential
from alutils.guarantee.anytime import (
    anytime_labels_needed,
    anytime_lower_bound,
    certify_anytime,
    log_evidence,
    spent_level,
)
from alutils.guarantee.thresholds import THRESHOLDS, certify, labels_needed
from alutils.stats.intervals import lower_bound

LOOKS = 800
listed = functools.partial(certify_anytime, thresholds=THRESHOLDS)


def chance_of_ever(crossed, wrong_rate, looks=LOOKS):
    """Return the exact probability that a run of labels ever meets a crossed (n, errors).

    crossed : (looks + 1, looks + 1) bool, by labels checked and errors among them
    """
    alive, stopped = np.zeros(looks + 2), 0.0
    alive[0] = 1.0
    for n in range(1, looks + 1):
        alive[1:] = alive[1:] * (1 - wrong_rate) + alive[:-1] * wrong_rate
        alive[0] *= 1 - wrong_rate
        here = crossed[n, : looks + 1]
        stopped += alive[:-1][here].sum()
        alive[:-1][here] = 0
    return stopped


def test_the_capital_is_what_betting_label_by_label_wins():
    rng = np.random.default_rng(0)
    wrong = rng.random(200) < 0.03
    wealth, target = np.array(sequential.WEIGHTS, float), 0.95
    for each in wrong:
        rivals = sequential.RATIOS * (1 - target)
        wealth *= rivals / (1 - target) if each else (1 - rivals) / target
    assert wealth.sum() == pytest.approx(math.exp(log_evidence(200, wrong.sum(), target)))


@pytest.mark.parametrize("rate", [0.1, 0.15, 0.4])
def test_the_bet_is_fair_at_the_target_and_loses_below_it(rate):
    counts = np.arange(13)
    expected = np.sum(stats.binom.pmf(counts, 12, rate) * np.exp(log_evidence(12, counts, 0.9)))
    assert expected == pytest.approx(1) if rate == 0.1 else expected < 1


@given(st.integers(1, 3000), st.floats(0, 0.2), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_holding_at_all_looks_never_gives_more_than_holding_at_one(n, share, level):
    errors = int(n * share)
    assert anytime_lower_bound(n, errors, level) <= lower_bound(n, errors, level) + 1e-12


@pytest.mark.parametrize("n", [100, 300, 1000, 3000])
@pytest.mark.parametrize("share", [0, 0.005, 0.02])
def test_the_price_of_many_looks_is_small(n, share):
    errors = int(n * share)
    once, anytime = 1 - lower_bound(n, errors), 1 - anytime_lower_bound(n, errors)
    assert once <= anytime <= 1.6 * once


@pytest.mark.parametrize("target", [0.95, 0.99, 0.995])
def test_without_an_error_few_labels_more_are_needed_than_for_one_look(target):
    needed = anytime_labels_needed(target)
    assert labels_needed(target) < needed < 1.2 * labels_needed(target)
    assert anytime_lower_bound(needed, 0) >= target > anytime_lower_bound(needed - 1, 0)
    assert anytime_labels_needed(target, errors=2) > needed


@given(st.integers(2, 500), st.data())
@settings(max_examples=30, deadline=None)
def test_the_bound_falls_with_errors_and_rises_with_right_labels(n, data):
    errors = data.draw(st.integers(1, n - 1))
    here = anytime_lower_bound(n, errors)
    assert anytime_lower_bound(n + 1, errors) >= here >= anytime_lower_bound(n, errors + 1)
    assert anytime_lower_bound(n, errors - 1) >= here
    assert anytime_lower_bound(n, n) == 0


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_peeking_breaks_the_bound_for_one_look_and_not_the_one_for_all(rate):
    """Exact: every look from the first to the 800th, at errors just as frequent as promised."""
    n, errors = np.mgrid[: LOOKS + 1, : LOOKS + 1]
    possible = errors <= n
    evidence = log_evidence(n, np.minimum(n, errors), 1 - rate)
    anytime = chance_of_ever(possible & (evidence >= math.log(20)), rate)
    once = np.zeros_like(possible)
    # Clopper and Pearson's bound is above the target where so few errors have a chance below 5%.
    most = stats.binom.ppf(0.05, np.arange(LOOKS + 1), rate) - 1
    most += stats.binom.cdf(most + 1, np.arange(LOOKS + 1), rate) <= 0.05
    once[possible & (errors <= most[:, None])] = True
    assert 0.01 < anytime <= 0.05
    assert chance_of_ever(once, rate) > 0.14


def test_looking_after_every_hundred_labels_keeps_the_promise_over_the_whole_list():
    """Clean from .95 on, too many errors below: only .9 and lower would be false."""
    rng, broken, late = np.random.default_rng(2), 0, 0
    for _ in range(60):
        confidence = rng.uniform(0.8, 1, 800)
        right = rng.random(800) >= np.where(confidence >= 0.95, 0.004, 0.15)
        looks = [
            certify_anytime(confidence[:n], right[:n], target=0.95, thresholds=(0.97, 0.95, 0.9))
            for n in range(100, 801, 100)
        ]
        broken += any(look.threshold == 0.9 for look in looks)
        late += looks[-1].threshold in (0.97, 0.95)
    assert stats.binomtest(broken, 60, 0.05, alternative="greater").pvalue > 0.01
    assert late > 30


def test_an_anytime_certificate_says_so_and_is_no_easier_than_one_for_one_look():
    confidence, right = np.ones(320), np.ones(320, bool)
    refused = listed(confidence, right, target=0.99, model="m", data="d")
    assert certify(confidence, right, target=0.99, thresholds=(0.99,)).threshold is not None
    assert refused.threshold is None and refused.rule == "anytime"
    assert refused.missing == anytime_labels_needed(0.99) - 320
    passed = listed(np.ones(400), np.ones(400, bool), target=0.99, model="m", data="d")
    assert passed.valid_for("m", "d") and passed.bound == anytime_lower_bound(400, 0)


def test_the_risk_of_all_models_together_is_the_risk_promised():
    spent = [1 - spent_level(0.95, number) for number in range(1, 5000)]
    assert sum(spent) == pytest.approx(0.05, rel=1e-3) and sum(spent) < 0.05
    assert all(second < first for first, second in itertools.pairwise(spent))
    later = listed(np.ones(400), np.ones(400, bool), target=0.99, model_number=3)
    assert later.bound == anytime_lower_bound(400, 0, spent_level(0.95, 3))


def test_with_a_pool_the_list_begins_at_the_same_place_at_every_look():
    pool = np.repeat([0.995, 0.96], [100, 900])
    rng = np.random.default_rng(0)
    confidence = rng.permutation(pool)
    options = {"target": 0.95, "thresholds": (0.99, 0.95), "pool": pool}
    for n in (100, 500):
        certificate = certify_anytime(confidence[:n], np.ones(n, bool), planned=500, **options)
        assert certificate.tested[0].threshold == 0.95
    with pytest.raises(ParameterError, match="planned=None"):
        certify_anytime(confidence, np.ones(1000, bool), **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: anytime_lower_bound(2, 3), "errors=3"),
        (lambda: anytime_lower_bound(2, 1, 1.0), "level=1.0"),
        (lambda: spent_level(0.95, 0), "number=0"),
        (lambda: anytime_labels_needed(1.0), "target=1.0"),
        (lambda: certify_anytime(np.ones(2), np.ones(3, bool), target=0.9), "right="),
        (lambda: certify_anytime(np.full(2, np.nan), np.ones(2, bool), target=0.9), "nan"),
    ],
)
def test_what_is_no_count_or_share_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
