"""Certified thresholds: what they promise, when they refuse, and what they will not read."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.active.attempts import Attempts
from alutils.base.errors import ParameterError
from alutils.guarantee import thresholds
from alutils.guarantee.anytime import certify_anytime
from alutils.guarantee.audit_slice import check_thresholds, draw_audit, reachable
from alutils.guarantee.certificates import Certificate
from alutils.guarantee.thresholds import certify, certify_pool, labels_needed
from alutils.stats.intervals import lower_bound

MODEL = {"model": "m1", "data": "d1"}
listed = functools.partial(certify, thresholds=thresholds.THRESHOLDS)


def an_audit(n=1000, seed=0, wrong_above=0.0, share_above=0.5):
    """Return confidences of .999 or .6 and which are right; below, two of three are."""
    rng = np.random.default_rng(seed)
    above = rng.random(n) < share_above
    right = np.where(above, rng.random(n) >= wrong_above, rng.random(n) < 2 / 3)
    return np.where(above, 0.999, 0.6), right


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_the_bound_is_that_of_scipy(n, share, level):
    errors = int(share * n)
    test = stats.binomtest(n - errors, n, alternative="greater")
    assert lower_bound(n, errors, level) == pytest.approx(
        test.proportion_ci(level, method="exact").low, abs=1e-9
    )


@given(st.integers(1, 500), st.integers(0, 500), st.sampled_from([0.8, 0.95]))
@settings(max_examples=60, deadline=None)
def test_the_bound_is_where_so_few_errors_become_too_rare(n, errors, level):
    errors = min(errors, n - 1)
    bound = lower_bound(n, errors, level)
    assert stats.binom.cdf(errors, n, 1 - bound) == pytest.approx(1 - level, abs=1e-6)


def test_the_bound_takes_arrays_and_knows_nothing_from_nothing():
    assert lower_bound(np.array([0, 10, 10]), np.array([0, 10, 0])) == pytest.approx(
        [0, 0, 0.05**0.1]
    )
    assert lower_bound(0, 0) == 0


@pytest.mark.parametrize(("target", "labels"), [(0.99, 299), (0.995, 598), (0.95, 59)])
def test_no_error_certifies_from_so_many_labels_on(target, labels):
    assert labels_needed(target) == labels
    for n, certified in ((labels, True), (labels - 1, False)):
        certificate = certify(np.ones(n), np.ones(n, bool), target=target, thresholds=(0.99,))
        assert (certificate.threshold is not None) == certified


@given(st.integers(0, 20), st.sampled_from([0.9, 0.98]), st.sampled_from([0.8, 0.95]))
@settings(max_examples=30, deadline=None)
def test_the_labels_needed_are_the_fewest(errors, target, level):
    n = labels_needed(target, level, errors)
    assert lower_bound(n, errors, level) >= target > lower_bound(n - 1, errors, level)


def test_testing_goes_down_the_list_and_stops_at_the_first_failure():
    confidence = np.repeat([0.995, 0.96, 0.92, 0.85], 400)
    right = np.ones(1600, bool)
    right[800:900] = False  # 100 wrong between .9 and .95
    certificate = certify(confidence, right, target=0.99, thresholds=(0.99, 0.95, 0.9, 0.8))
    assert certificate.threshold == 0.95
    assert [(row.threshold, row.n, row.errors) for row in certificate.tested] == [
        (0.99, 400, 0), (0.95, 800, 0), (0.9, 1200, 100)
    ]  # fmt: skip
    assert (certificate.n, certificate.errors, certificate.coverage) == (800, 0, 0.5)
    assert certificate.bound == lower_bound(800, 0)
    assert certificate.missing is None


def test_a_failure_at_the_top_refuses_even_where_a_lower_threshold_would_pass():
    confidence = np.repeat([0.995, 0.92], [100, 5000])
    right = np.ones(5100, bool)
    right[:50] = False
    certificate = certify(confidence, right, target=0.95, thresholds=(0.99, 0.9))
    assert lower_bound(5100, 50) > 0.95
    assert certificate.threshold is None and len(certificate.tested) == 1
    assert certificate.coverage == 0
    assert not certificate.covers(np.ones(3)).any()


def test_a_refusal_says_how_many_labels_are_missing():
    confidence, right = an_audit(400, share_above=0.5)
    refused = listed(confidence, right, target=0.99)
    share = refused.n / 400
    assert refused.threshold is None
    for extra, certified in ((refused.missing, True), (refused.missing - 2 / share, False)):
        n = refused.n + int(np.floor(extra * share + 1e-9))
        assert (lower_bound(n, 0) >= 0.99) == certified
    assert f"{refused.missing} more audit labels" in refused.sentence()


def test_nothing_above_the_threshold_is_a_refusal_without_a_forecast():
    refused = listed(np.full(50, 0.4), np.ones(50, bool), target=0.9)
    assert (refused.threshold, refused.n, refused.missing) == (None, 0, None)
    assert "no audited item reached it" in refused.sentence()


def test_with_the_pool_the_list_begins_where_the_audit_can_decide():
    pool = np.repeat([0.995, 0.96, 0.7], [100, 7000, 2900])
    confidence = np.repeat([0.995, 0.96, 0.7], [10, 700, 290])
    right = confidence > 0.9
    assert listed(confidence, right, target=0.99).threshold is None
    assert certify(confidence, right, target=0.99, pool=pool).threshold == 0.705
    assert reachable((0.99, 0.95, 0.5), pool, 1000, 199) == (0.95, 0.5)
    assert reachable((0.99, 0.95, 0.5), pool, 10, 299) == (0.5,)


@pytest.mark.parametrize("how", [certify, functools.partial(certify_anytime, planned=1000)])
def test_a_flawless_model_is_certified_however_its_confidence_is_spread(how):
    """From the top of the list the first threshold would have hardly a label to decide."""
    rng = np.random.default_rng(0)
    for low in (0.3, 0.6, 0.98):
        pool = rng.uniform(low, 1, 20_000)
        confidence = rng.permutation(pool)[:1000]
        found = how(confidence, np.ones(1000, bool), target=0.99, pool=pool)
        assert found.threshold is not None and found.tested[0].n > 299


@pytest.mark.parametrize("how", [certify, certify_anytime])
def test_without_pool_and_list_it_says_what_is_missing_whatever_was_drawn(how):
    for confidence in (np.full(1000, 0.999), np.linspace(0.3, 1, 1000)):
        with pytest.raises(ParameterError, match=r"pool=None: .*give pool=.*or thresholds="):
            how(confidence, np.ones(1000, bool), target=0.99)


@pytest.mark.parametrize("kind", ["slice", "above", "auto"])
def test_each_further_attempt_on_a_pool_is_held_to_a_stricter_level(kind):
    attempts, pool, audited = Attempts(), np.full(5000, 0.95), np.arange(330)
    right = np.ones(330, bool)

    def attempt():
        how = {"target": 0.99, "attempts": attempts}
        if kind == "slice":
            return certify(pool[audited], right, pool=pool, **how)
        return certify_pool(pool, audited, right, promise=kind, **how)

    first, second = attempt(), attempt()
    assert first.threshold is not None and second.threshold is None
    assert (first.attempt, second.attempt, attempts.begun) == (1, 2, 2)
    assert second.bound < first.bound and second.level == first.level == 0.95
    assert Certificate.from_dict(json.loads(json.dumps(second.to_dict()))) == second


def test_a_certificate_that_was_written_before_attempts_were_counted_is_read():
    written = listed(*an_audit(), target=0.97).to_dict()
    del written["attempt"]
    assert Certificate.from_dict(written).attempt is None


def test_what_cannot_be_used_is_not_counted():
    attempts = Attempts()
    with pytest.raises(ParameterError, match="right=2"):
        certify(np.ones(9), np.full(9, 2), target=0.9, thresholds=(0.9,), attempts=attempts)
    with pytest.raises(ParameterError, match="audited=9"):
        certify_pool(np.ones(9), np.array([9]), np.ones(1), target=0.9, attempts=attempts)
    assert attempts.begun == 0


def test_what_the_certificate_covers_is_what_it_tested():
    confidence, right = an_audit()
    certificate = listed(confidence, right, target=0.98)
    assert certificate.covers(confidence).sum() == certificate.n
    assert certificate.sentence().startswith("Certified from confidence")


def test_a_certificate_is_valid_for_its_model_and_data_only():
    confidence, right = an_audit()
    certificate = listed(confidence, right, target=0.95, **MODEL)
    assert certificate.valid_for("m1", "d1")
    assert not certificate.valid_for("m2", "d1") and not certificate.valid_for("m1", "d2")
    assert not listed(confidence, right, target=0.95).valid_for("", "")
    refused = listed(confidence, ~right, target=0.95, **MODEL)
    assert refused.threshold is None and not refused.valid_for("m1", "d1")


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_certificates_go_through_json(wrong):
    certificate = listed(*an_audit(wrong_above=wrong), target=0.97, **MODEL)
    text = json.dumps(certificate.to_dict())
    assert Certificate.from_dict(json.loads(text)) == certificate


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", 0.5), ("threshold", None), ("target", 1.5), ("level", 0), ("n_audit", 3),
        ("n_audit", "x"), ("tested", []), ("tested", 3), ("model", 7), ("unknown", 1),
        ("tested", [{"threshold": 0.9}]), ("tested", ["x"]),
    ],
)  # fmt: skip
def test_a_damaged_certificate_is_not_believed(key, value):
    written = certify(*an_audit(), target=0.97, thresholds=(0.99, 0.95), **MODEL).to_dict()
    with pytest.raises(ParameterError):
        Certificate.from_dict(written | {key: value})
    del written["level"]
    with pytest.raises(ParameterError, match="level"):
        Certificate.from_dict(written)


def test_a_certificate_that_passed_less_than_it_claims_is_not_believed():
    certificate = listed(*an_audit(wrong_above=0.2), target=0.97)
    with pytest.raises(ParameterError, match="certify again"):
        Certificate.from_dict(replace(certificate, threshold=0.99).to_dict())


GOOD = {"confidence": np.full(10, 0.9), "right": np.ones(10, bool), "target": 0.9}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": np.array([0.9] * 9 + [np.nan])}, "confidence=nan: item 9"),
        ({"confidence": np.array([0.9] * 9 + [1.2])}, r"confidence=1.2: item 9"),
        ({"confidence": np.array([0.9] * 9 + [-0.1])}, r"confidence=-0.1: item 9"),
        ({"confidence": np.ones((10, 2))}, "shape"),
        ({"confidence": np.full(9, 0.9)}, r"right=\(10,\)"),
        ({"confidence": np.empty(0), "right": np.empty(0, bool)}, "label an audit first"),
        ({"right": np.full(10, 2)}, "right=2"),
        ({"right": np.full(10, np.nan)}, "right=nan"),
        ({"target": 0}, "target=0"),
        ({"target": 1.0}, "target=1.0"),
        ({"target": np.nan}, "target=nan"),
        ({"target": "high"}, "target=high"),
        ({"level": 1}, "level=1"),
        ({"level": 95}, "level=95"),
        ({"thresholds": (0.9, 0.9)}, "strictly descending"),
        ({"thresholds": (0.8, 0.9)}, r"try \(0.9, 0.8\)"),
        ({"thresholds": ()}, "at least one"),
        ({"thresholds": (1.1, 0.9)}, "thresholds=1.1"),
        ({"pool": np.array([np.nan])}, "pool=nan"),
    ],
)
def test_what_is_no_audit_is_refused_by_name_and_value(change, message):
    with pytest.raises(ParameterError, match=message):
        listed(**(GOOD | change))


def test_more_errors_than_labels_and_too_high_a_target_are_refused():
    with pytest.raises(ParameterError, match="errors=3"):
        lower_bound(2, 3)
    with pytest.raises(ParameterError, match="over 1,000,000,000 labels"):
        labels_needed(1 - 1e-12)


def test_a_softmax_in_single_precision_may_round_past_one():
    confidence = np.full(400, np.nextafter(np.float32(1), np.float32(2)))
    assert listed(confidence, np.ones(400, bool), target=0.99).threshold is not None


def test_the_audit_is_a_sample_without_replacement_and_any_beginning_of_it_is_one():
    drawn = np.array([draw_audit(10, 4, np.random.default_rng(seed)) for seed in range(4000)])
    assert all(len(set(row)) == 4 for row in drawn)
    for place in range(4):  # each place holds each item equally often
        assert stats.chisquare(np.bincount(drawn[:, place], minlength=10)).pvalue > 1e-4
    pairs = np.bincount(10 * drawn[:, 0] + drawn[:, 1], minlength=100).reshape(10, 10)
    assert stats.chisquare(pairs[~np.eye(10, dtype=bool)]).pvalue > 1e-4


def test_the_audit_leaves_out_what_people_labelled():
    taken = np.array([0, 3, 4])
    drawn = draw_audit(10, 7, np.random.default_rng(1), exclude=taken)
    assert sorted(drawn) == [1, 2, 5, 6, 7, 8, 9]
    with pytest.raises(ParameterError, match=r"n=8: .* the 7 items"):
        draw_audit(10, 8, np.random.default_rng(1), exclude=taken)
    with pytest.raises(ParameterError, match="exclude=10"):
        draw_audit(10, 2, np.random.default_rng(1), exclude=np.array([10]))
    with pytest.raises(ParameterError, match="n=0"):
        draw_audit(10, 0, np.random.default_rng(1))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20, unique=True))
@settings(max_examples=30, deadline=None)
def test_thresholds_are_taken_in_falling_order_only(values):
    falling = sorted(values, reverse=True)
    assert check_thresholds(falling) == tuple(falling)
    if len(values) > 1:
        with pytest.raises(ParameterError):
            check_thresholds(falling[::-1])


def test_the_promise_is_broken_no_more_often_than_it_says():
    """The worst case: the model just misses the target at every threshold."""
    rng, broken = np.random.default_rng(0), 0
    for _ in range(500):
        confidence = rng.uniform(0.98, 1, 500)
        right = rng.random(500) < 0.9499
        broken += listed(confidence, right, target=0.95).threshold is not None
    assert stats.binomtest(broken, 500, 0.05, alternative="greater").pvalue > 0.01
    assert broken > 0  # it is not safe by refusing always


def test_the_list_of_thresholds_is_in_order():
    assert check_thresholds(thresholds.THRESHOLDS) == thresholds.THRESHOLDS
