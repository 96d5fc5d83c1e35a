"""Promises about the items of one finite pool."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.guarantee.certificates import Certificate
from alutils.guarantee.thresholds import (
    certify,
    certify_pool,
    labels_needed,
    most_audited,
    wrong_at_most,
)
from alutils.stats.intervals import lower_bound


def chance_of_at_most(errors, population, wrong, n):
    """Count draws, in whole numbers."""
    ways = sum(
        math.comb(wrong, k) * math.comb(population - wrong, n - k) for k in range(errors + 1)
    )
    return ways / math.comb(population, n)


@given(st.data(), st.integers(1, 30), st.sampled_from([0.8, 0.95]))
@settings(max_examples=60, deadline=None)
def test_the_finite_bound_is_the_most_that_is_not_too_rare(data, population, level):
    n = data.draw(st.integers(1, population))
    errors = data.draw(st.integers(0, n))
    possible = [
        wrong
        for wrong in range(errors, population - (n - errors) + 1)
        if chance_of_at_most(errors, population, wrong, n) > 1 - level
    ]
    assert wrong_at_most(population, n, errors, level) == max(possible)


@given(st.integers(2, 60), st.data())
@settings(max_examples=30, deadline=None)
def test_the_finite_bound_covers_at_its_level_whatever_is_wrong(population, data):
    n = data.draw(st.integers(1, population))
    wrong = data.draw(st.integers(0, population))
    missed = sum(
        stats.hypergeom.pmf(errors, population, wrong, n)
        for errors in range(max(0, n - (population - wrong)), min(n, wrong) + 1)
        if wrong_at_most(population, n, errors) < wrong
    )
    assert missed <= 0.05 + 1e-9


@pytest.mark.parametrize("errors", [0, 1, 5])
@pytest.mark.parametrize("n", [100, 299, 900])
def test_the_finite_bound_is_the_tighter_the_smaller_the_pool(n, errors):
    bounds = [wrong_at_most(size, n, errors) / size for size in (1000, 3000, 60_000)]
    assert bounds == sorted(bounds)
    assert bounds[-1] <= 1 - lower_bound(n, errors) + 1 / 60_000
    assert wrong_at_most(n, n, errors) == errors


def test_a_small_pool_is_certified_with_fewer_labels_than_an_endless_one():
    pool, audited = np.ones(1000), np.arange(290)
    right = np.ones(290, bool)
    assert certify(pool[audited], right, target=0.99, thresholds=(0.9,)).threshold is None
    above = certify_pool(pool, audited, right, target=0.99, thresholds=(0.9,), promise="above")
    assert above.threshold == 0.9
    assert above.bound == (1000 - wrong_at_most(1000, 290, 0)) / 1000
    assert (above.promise, above.coverage) == ("above", 1.0)


def test_the_bound_on_automatic_labels_is_computed_over_those_not_audited():
    pool = np.repeat([0.99, 0.3], [4000, 2000])
    audited = np.random.default_rng(0).permutation(6000)[:900]
    right = pool[audited] > 0.5
    auto = certify_pool(pool, audited, right, target=0.98, thresholds=(0.9, 0.5), promise="auto")
    most = most_audited(6000, 4000, 900)
    wrong = wrong_at_most(4000, auto.n, 0)
    assert auto.n <= most < 700
    assert auto.bound == pytest.approx(1 - wrong / (4000 - most))
    assert Certificate.from_dict(json.loads(json.dumps(auto.to_dict()))) == auto


def test_all_items_above_are_certified_with_fewer_labels_than_those_not_audited():
    pool, audited, right = np.ones(2000), np.arange(500), np.ones(500, bool)
    right[:1] = False
    options = {"target": 0.99, "thresholds": (0.9,)}
    above = certify_pool(pool, audited, right, **options, promise="above")
    auto = certify_pool(pool, audited, right, **options, promise="auto")
    assert above.bound == (2000 - wrong_at_most(2000, 500, 1)) / 2000
    assert above.threshold == 0.9 and auto.threshold is None
    assert above.bound > lower_bound(500, 1) and certify(pool[:500], right, **options).n == 500


def test_a_refused_pool_says_what_is_missing():
    pool = np.ones(10_000)
    refused = certify_pool(pool, np.arange(100), np.ones(100, bool), target=0.99)
    assert refused.threshold is None
    assert refused.missing == labels_needed(0.99) - 100 or refused.missing > 199


@pytest.mark.parametrize("promise", ["auto", "above"])
def test_the_promise_about_a_pool_is_kept_where_errors_hide_under_high_confidence(promise):
    """Two populations: clean above .85, and 6% wrong below."""
    rng, broken, certified = np.random.default_rng(5), 0, 0
    target = 0.98
    for _ in range(150):
        pool = rng.uniform(0.7, 1, 3000)
        right = rng.random(3000) >= np.where(pool > 0.85, 0.003, 0.06)
        audited = rng.permutation(3000)[:900]
        certificate = certify_pool(
            pool,
            audited,
            right[audited],
            target=target,
            promise=promise,
            thresholds=np.arange(19, 13, -1) / 20,
        )
        if certificate.threshold is None:
            continue
        auto = certificate.covers(pool)
        if promise == "auto":
            auto[audited] = False
        wrong = np.count_nonzero(~right[auto])
        certified += 1
        broken += wrong > (1 - target) * auto.sum()
    assert certified > 30
    assert stats.binomtest(broken, 150, 0.05, alternative="greater").pvalue > 0.01


def test_hardly_any_draw_has_more_above_a_threshold_than_is_allowed_for():
    most = most_audited(1000, 400, 100)
    assert stats.hypergeom.sf(most, 1000, 400, 100) < 1e-4
    assert most_audited(10, 10, 5) == 5 and most_audited(1, 1, 1) == 1


POOL = {"pool": np.full(100, 0.9), "audited": np.arange(10), "right": np.ones(10, bool)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audited": np.array([0, 100])}, "audited=100"),
        ({"audited": np.array([-1])}, "audited=-1"),
        ({"audited": np.array([1, 1])}, "each item once"),
        ({"audited": np.empty(0, int)}, "label an audit"),
        ({"audited": np.array([0.5])}, "indices into the pool"),
        ({"right": np.ones(9, bool)}, "right="),
        ({"pool": np.full(100, np.nan)}, "pool=nan"),
        ({"promise": "luck"}, "promise=luck"),
    ],
)
def test_what_is_no_pool_is_refused_by_name_and_value(change, message):
    with pytest.raises(ParameterError, match=message):
        certify_pool(**(POOL | change), target=0.9)


def test_more_in_the_sample_than_there_is_is_refused():
    with pytest.raises(ParameterError, match="n=11"):
        wrong_at_most(10, 11, 0)
