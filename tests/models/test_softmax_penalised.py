"""Penalised softmax regression: the optimum that it promises, for any features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from alutils.base.errors import ParameterError
from alutils.models.heads import Head
from alutils.models.softmax_penalised import PENALTY, PenalisedSoftmax


def groups(n=120, n_classes=4, n_features=6, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    x = rng.normal(0, 1, (n, n_features)) + 2 * np.eye(n_classes, n_features)[y]
    return (3 * x + 7).astype(np.float32), y


def optimum(x, y, penalty):
    """Return the probabilities of the minimum, by a general optimiser in float64."""
    x = x.astype(float) - x.mean(axis=0)
    x /= np.sqrt(np.square(x).mean())
    n, d = y.max() + 1, x.shape[1]

    def loss(flat):
        w, b = flat[: d * n].reshape(d, n), flat[d * n :]
        log_p = log_softmax(x @ w + b, axis=1)
        error = np.exp(log_p) - np.eye(n)[y]
        gradient = np.concatenate([(x.T @ error + penalty * w).ravel(), error.sum(axis=0)])
        value = -log_p[np.arange(len(y)), y].sum() + penalty / 2 * np.square(w).sum()
        return value, gradient

    flat = minimize(loss, np.zeros(d * n + n), jac=True, options={"gtol": 1e-8}).x
    return np.exp(log_softmax(x @ flat[: d * n].reshape(d, n) + flat[d * n :], axis=1))


@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("penalty", [0.3, PENALTY])
def test_probabilities_are_those_of_the_minimum_that_another_optimiser_finds(n_classes, penalty):
    x, y = groups(n_classes=n_classes)
    found = PenalisedSoftmax(penalty).fit(x, y).predict_proba(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, optimum(x, y, penalty), atol=0.01)


@settings(max_examples=20)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_scale_and_origin_of_the_features_change_nothing(scale, shift):
    x, y = groups()
    plain = PenalisedSoftmax().fit(x, y).predict_proba(x)
    moved = (x * scale + shift * scale).astype(np.float32)
    found = PenalisedSoftmax().fit(moved, y).predict_proba(moved)
    np.testing.assert_allclose(found, plain, atol=0.02)


def test_an_item_that_counts_twice_is_the_item_given_twice():
    x, y = groups()
    weight = np.where(np.arange(len(y)) < 10, 2.0, 1.0)
    # The mean and the spread are those of the items, not of their weights: close, not equal.
    twice = PenalisedSoftmax().fit(np.concatenate([x, x[:10]]), np.concatenate([y, y[:10]]))
    weighted = PenalisedSoftmax().fit(x, y, weight)
    np.testing.assert_allclose(weighted.predict_proba(x), twice.predict_proba(x), atol=0.02)


def test_columns_are_the_classes_among_the_labels_and_one_class_is_certain():
    x, y = groups()
    model = PenalisedSoftmax().fit(x, 10 * y + 3)
    assert model.classes_.tolist() == [3, 13, 23, 33]
    assert model.predict_proba(x).shape == (120, 4)
    one = PenalisedSoftmax().fit(x, np.full(120, 5))
    assert one.classes_.tolist() == [5]
    assert np.array_equal(one.predict_proba(x), np.ones((120, 1), np.float32))


def test_equal_features_and_a_single_item_of_each_class_are_learned_from():
    assert np.isfinite(PenalisedSoftmax().fit(np.ones((4, 3)), np.arange(4)).head.weights[0]).all()
    model = PenalisedSoftmax().fit(np.eye(3), np.arange(3))
    assert model.predict_proba(np.eye(3)).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.zeros((3, 2)), np.zeros(2, int), r"\(3, 2\), y \(2,\)"),
        (np.zeros(3), np.zeros(3, int), "expected"),
        (np.zeros((0, 2)), np.zeros(0, int), "n 1 or more"),
        (np.array([[0.0], [np.nan]]), np.arange(2), "not finite"),
        (np.array([[0.0], [np.inf]]), np.arange(2), "not finite"),
    ],
)
def test_what_cannot_be_learned_from_is_named(x, y, says):
    with pytest.raises(ParameterError, match=says):
        PenalisedSoftmax().fit(x, y)


@pytest.mark.parametrize("penalty", [0, -1, np.nan, True])
def test_a_penalty_that_is_none_is_refused(penalty):
    with pytest.raises(ParameterError, match="penalty="):
        PenalisedSoftmax(penalty)


def test_an_untrained_classifier_says_so():
    with pytest.raises(RuntimeError, match="not trained"):
        PenalisedSoftmax().predict_proba(np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([(3, 2)], "one or two layers"),
        ([(3, 2), (3,)], "one or two layers"),
        ([(3, 2), (2,), (5, 4), (4,)], "one or two layers"),
        ([(3, 2), (2,), (2, 4)], "one or two layers"),
    ],
)
def test_weights_that_do_not_fit_together_are_no_head(weights, says):
    with pytest.raises(ParameterError, match=says):
        Head(tuple(np.zeros(shape, np.float32) for shape in weights))


def test_weights_of_another_type_or_not_finite_are_no_head():
    w, b = np.zeros((3, 2), np.float32), np.zeros(2, np.float32)
    with pytest.raises(ParameterError, match="float64"):
        Head((w.astype(float), b))
    with pytest.raises(ParameterError, match="not finite"):
        Head((w, np.array([0, np.nan], np.float32)))
    with pytest.raises(ParameterError, match=r"\(n, 3\)"):
        Head((w, b)).predict_proba(np.zeros((5, 4), np.float32))
