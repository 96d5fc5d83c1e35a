"""The chance of an error by margin: it finds the curve that is true, and knows what it cannot."""

import numpy as np
import pytest
from scipy.special import expit

from alutils.base.errors import ParameterError
from alutils.guarantee.error_chances import Judged, doubt_of, fitted, margin_of


def judged(rng, n, queued=0.0, a=0.0, b=1.2):
    """Return labelled pictures of a model whose curve is known; queued ones are harder."""
    margin = rng.beta(2, 1, n)
    at_random = rng.random(n) >= queued
    wrong = rng.random(n) < expit(a + b * doubt_of(margin) + 0.8 * ~at_random)
    return Judged(margin, wrong, at_random)


def test_margin_is_between_the_two_likeliest():
    p = np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(margin_of(p), [0.2, 1.0])


def test_intervals_hold_the_number_of_errors_among_others():
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        known, others = judged(rng, 150, queued=0.8), judged(rng, 2000)
        expected = fitted(known, seed=seed).of(others.margin).sum(axis=1)
        drawn = rng.poisson(expected)
        low, high = np.quantile(drawn, [0.05, 0.95])
        inside += low <= others.wrong.sum() <= high
    assert inside >= 32  # of 40; fewer have a chance below 1% at 90% each


def test_more_labels_narrow_it():
    def width(n):
        rng = np.random.default_rng(0)
        expected = fitted(judged(rng, n)).of(np.linspace(0, 1, 200)).sum(axis=1)
        return np.ptp(np.quantile(expected, [0.05, 0.95]))

    assert width(2000) < width(200) < width(20) < width(0)


def test_random_picks_count_for_what_waits():
    margin, right = np.full(300, 0.5), np.zeros(300, bool)
    queued_wrong = np.arange(300) < 150
    at_random = np.arange(300) >= 200
    found = fitted(Judged(margin, queued_wrong & ~at_random | right, at_random))
    assert found.of(np.array([0.5])).mean() < 0.5  # three in four of the queued ones are wrong


def test_same_labels_same_curves():
    known = judged(np.random.default_rng(1), 60)
    np.testing.assert_array_equal(fitted(known).parameters, fitted(known).parameters)


@pytest.mark.parametrize("wrong", [True, False])
def test_all_alike_is_no_certainty(wrong):
    n = 50
    found = fitted(Judged(np.full(n, 0.9), np.full(n, wrong), np.ones(n, bool)))
    p = found.of(np.array([0.0, 0.9, 1.0]))
    assert np.isfinite(p).all() and (p > 0).all() and (p < 1).all()


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ParameterError, match="wrong"):
        Judged(np.zeros(3), np.zeros(2, bool), np.zeros(3, bool))
