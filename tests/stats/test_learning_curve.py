"""Learning curves fitted to out-of-fold predictions: what twice as many labels would gain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.base.errors import ParameterError
from alutils.data.mnist import mnist_article
from alutils.models.out_of_fold import out_of_fold
from alutils.models.softmax_penalised import PenalisedSoftmax
from alutils.stats.learning_curve import fitted, fitted_to_shares

FOLDS, SEEN = 6, (1, 2, 4, 5)


def simulated(rng, n, floor, drop, exponent):
    """Return sizes, what is wrong and folds, for error ``floor + drop * n ** -exponent``."""
    fold = rng.permutation(n) % FOLDS
    sizes = np.array(SEEN) / FOLDS * n
    hardness = rng.random(n)
    wrong = []
    for size in sizes:
        error = floor + drop * size**-exponent
        of_fold = error * np.exp(rng.normal(0, 0.05, FOLDS))  # which labels were drawn matters
        here = np.where(rng.random(n) < 0.7, hardness, rng.random(n))
        wrong.append(here < of_fold[fold])
    return sizes, np.array(wrong), fold


def drawn(rng, n):
    """Draw a curve by its error at n labels, the share of it that stays, and its exponent."""
    error, stays, exponent = rng.uniform(0.03, 0.2), rng.uniform(0, 0.7), rng.uniform(0.2, 0.8)
    return stays * error, (1 - stays) * error * n**exponent, exponent


@pytest.mark.parametrize("n", [100, 400])
def test_the_interval_holds_the_true_gain_about_as_often_as_it_says(n):
    rng = np.random.default_rng(1)
    held, missed_above = 0, 0
    for _ in range(150):
        floor, drop, exponent = drawn(rng, n)
        gain = fitted(*simulated(rng, n, floor, drop, exponent)).gain(n, 2 * n)
        true = drop * (n**-exponent - (2 * n) ** -exponent)
        held += gain.low <= true <= gain.high
        missed_above += true > gain.high
    assert held / 150 > 0.8
    # What matters for "stop" is that a large gain is not overlooked.
    assert missed_above / 150 < 0.15


def test_a_curve_that_has_ended_gains_little_and_a_steep_one_much():
    rng = np.random.default_rng(0)
    flat = fitted(*simulated(rng, 2000, 0.1, 0.0, 0.5)).gain(2000, 4000)
    steep = fitted(*simulated(rng, 400, 0.0, 0.2 * 400**0.7, 0.7)).gain(400, 800)
    assert flat.high < 0.01
    assert steep.low > 0.04
    assert steep.low < 0.2 * (1 - 2**-0.7) < steep.high


def test_more_items_narrow_the_interval():
    widths = []
    for n in (100, 400, 1600):
        rng = np.random.default_rng(3)
        gain = fitted(*simulated(rng, n, 0.02, 0.2 * n**0.5, 0.5)).gain(n, 2 * n)
        widths.append(gain.high - gain.low)
    assert widths[0] > widths[1] > widths[2]


def test_with_a_random_sample_the_gain_is_on_what_that_stands_for():
    rng = np.random.default_rng(0)
    curve = fitted(*simulated(rng, 400, 0.0, 0.3 * 400**0.7, 0.7))
    hard = curve.gain(400, 800)
    easy = curve.gain(400, 800, right=95, judged=100)  # a sixth of the error
    assert easy.high < hard.high / 2
    assert easy.low < 0.05 * (1 - 2**-0.7) < easy.high


def test_on_digits_the_gain_that_comes_is_foreseen():
    digits, _ = mnist_article()
    x = digits.images.reshape(len(digits), -1).astype(np.float32) / 255
    held = 0
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(x))
        now, more, rest = order[:120], order[:240], order[240:]

        def accuracy(items, rest=rest):
            model = PenalisedSoftmax().fit(x[items], digits.labels[items])
            said = model.classes_[model.predict_proba(x[rest]).argmax(axis=1)]
            return np.mean(said == digits.labels[rest])

        fold = np.arange(120) % FOLDS
        y = digits.labels[now]
        wrong = [
            out_of_fold(PenalisedSoftmax, x[now], y, fold, n_classes=10, n_seen=k).argmax(axis=1)
            != y
            for k in SEEN
        ]
        gain = fitted(np.array(SEEN) * 20, np.array(wrong), fold).gain(120, 240)
        held += gain.low <= accuracy(more) - accuracy(now) <= gain.high
        assert gain.high > 0.02  # six to eight points come: nobody is told to stop
    assert held >= 4


@given(
    n=st.integers(60, 300),
    errors=st.lists(st.floats(0, 1), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_whatever_is_measured_gains_are_shares_in_order(n, errors, seed):
    rng = np.random.default_rng(seed)
    wrong = rng.random((2, n)) < np.array(errors)[:, None]
    gain = fitted(np.array([n / 3, 2 * n / 3]), wrong, np.arange(n) % 3).gain(n, 2 * n)
    assert 0 <= gain.low <= gain.middle <= gain.high <= 1


def test_shares_of_several_trainings_make_a_curve_too():
    n = np.array([50, 100, 200, 400])
    curve = fitted_to_shares(n, 0.4 * (n / 50) ** -0.8, np.full(4, 3000))
    gain = curve.gain(400, 800)
    true = 0.4 * (8**-0.8 - 16**-0.8)
    assert gain.low < true < gain.high
    assert gain.high < 0.05


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"n_labels": [10]}, "n_labels=.*two or more rising"),
        ({"n_labels": [20, 10]}, "n_labels=.*two or more rising"),
        ({"wrong": np.zeros((3, 9), bool)}, "wrong=.*expected 2 rows"),
        ({"fold": np.zeros(8, int)}, "wrong=.*a fold for each column"),
    ],
)
def test_what_does_not_fit_is_refused(change, error):
    whole = {"n_labels": [10, 20], "wrong": np.zeros((2, 9), bool), "fold": np.arange(9) % 3}
    with pytest.raises(ParameterError, match=error):
        fitted(**whole | change)


def test_shares_and_questions_that_do_not_fit_are_refused():
    with pytest.raises(ParameterError, match="errors="):
        fitted_to_shares(np.array([1, 2]), np.array([0.1]), np.array([5, 5]))
    curve = fitted_to_shares(np.array([10, 20]), np.array([0.2, 0.1]), np.array([50, 50]))
    with pytest.raises(ParameterError, match="n=0"):
        curve.error(0)
    with pytest.raises(ParameterError, match="right=6"):
        curve.gain(20, 40, right=6, judged=5)
