"""The two softmax engines against float64 arithmetic, and against each other."""

import numpy as np
import pytest

from alutils.models.softmax_exact import BETA1, BETA2, EPSILON, Rows, SoftmaxRegression, Weights
from alutils.models.softmax_fast import SparseImages, SparseSoftmax


def data(n=60, d=30, k=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, d)).astype(np.float32) * (rng.random((n, d)) < 0.4)
    y = rng.integers(0, k, n)
    return x.astype(np.float32), y


def one_step_in_float64(x, y, weights, k):
    """Adam's first step from `weights`, in float64 and by the textbook."""
    logits = x.astype(float) @ weights.w + weights.b
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    g = (p - np.eye(k)[y]) / len(y)
    new = []
    for parameter, gradient in ((weights.w, x.T @ g), (weights.b, g.sum(axis=0))):
        m, v = (1 - BETA1) * gradient, (1 - BETA2) * gradient**2
        rate = 0.1 * np.sqrt(1 - BETA2) / (1 - BETA1)
        new.append(parameter - rate * m / (np.sqrt(v) + EPSILON))
    return Weights(*new)


def make(engine, x_stop, y_stop, **options):
    if engine is SparseSoftmax:
        x_stop = SparseImages.from_dense(x_stop)
    return engine(x_stop, y_stop, **options)


def rows(engine, x):
    return SparseImages.from_dense(x) if engine is SparseSoftmax else Rows.of(x)


ENGINES = pytest.mark.parametrize("engine", [SoftmaxRegression, SparseSoftmax])


@ENGINES
@pytest.mark.parametrize("k", [2, 4, 10, 16])
def test_a_step_is_the_textbooks(engine, k):
    x, y = data(k=k)
    rng = np.random.default_rng(1)
    start = Weights(
        rng.normal(size=(30, k)).astype(np.float32), rng.normal(size=k).astype(np.float32)
    )
    expected = one_step_in_float64(x, y, start, k)
    # A stop set that only the step's own weights get right: the first step is kept.
    probe = np.eye(30, dtype=np.float32)
    before, after = start.logits(probe).argmax(axis=1), expected.w + expected.b
    changed = np.flatnonzero(before != after.argmax(axis=1))
    assert len(changed)
    classifier = make(
        engine,
        probe[changed],
        after.argmax(axis=1)[changed],
        n_classes=k,
        weights=start,
        patience=1,
    )
    n_right, steps = classifier.fit(rows(engine, x), y)
    assert n_right == len(changed) and steps == 2
    np.testing.assert_allclose(classifier.weights.w, expected.w, rtol=0, atol=2e-5)
    np.testing.assert_allclose(classifier.weights.b, expected.b, rtol=0, atol=2e-5)


@ENGINES
def test_probabilities_are_the_softmax_of_the_logits(engine):
    x, y = data()
    classifier = make(engine, x, y, n_classes=4)
    classifier.fit(rows(engine, x), y)
    logits = classifier.weights.logits(x).astype(float)
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    got = classifier.predict_proba(rows(engine, x))
    assert got.dtype == np.float32 and got.shape == (len(x), 4)
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-30)


@ENGINES
def test_a_fit_stops_after_patience_steps_without_a_gain_and_keeps_the_best(engine):
    x, y = data()
    classifier = make(engine, x, y, n_classes=4, patience=3)
    n_right, _ = classifier.fit(rows(engine, x), y)
    predicted = classifier.weights.logits(x).argmax(axis=1)
    assert n_right == (predicted == y).sum()
    weights = classifier.weights
    again, more = classifier.fit(rows(engine, x), y)
    assert more >= 3 and again >= n_right
    if again == n_right:
        assert more == 3
        np.testing.assert_array_equal(classifier.weights.w, weights.w)


@ENGINES
def test_adams_moments_live_on_and_a_state_restores_them(engine):
    x, y = data()
    half = np.arange(30)
    classifier = make(engine, x, y, n_classes=4)
    classifier.fit(rows(engine, x[half]), y[half])
    state = classifier.state()
    first = classifier.fit(rows(engine, x), y), classifier.weights
    classifier.restore(state)
    second = classifier.fit(rows(engine, x), y), classifier.weights
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1].w, second[1].w)
    fresh = make(
        engine,
        x,
        y,
        n_classes=4,
        weights=Weights(*state[:2]) if engine is SoftmaxRegression else None,
    )
    fresh.fit(rows(engine, x), y)
    assert not np.array_equal(fresh.weights.w, first[1].w)


@ENGINES
def test_training_changes_none_of_its_inputs(engine):
    x, y = data()
    before = x.copy(), y.copy()
    classifier = make(engine, x, y, n_classes=4)
    classifier.fit(rows(engine, x), y)
    classifier.predict_proba(rows(engine, x))
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])


def test_huge_logits_give_probabilities_and_no_nan():
    x = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    weights = Weights(np.array([[3e4, -3e4], [-500.0, 500.0]], np.float32), np.zeros(2, np.float32))
    sparse = make(SparseSoftmax, x, np.array([0, 1]), n_classes=2, weights=weights)
    np.testing.assert_array_equal(
        sparse.predict_proba(SparseImages.from_dense(x)), np.eye(2, dtype=np.float32)
    )


def test_rows_of_sparse_images_are_the_rows_of_the_matrix():
    x, y = data()
    images = SparseImages.from_dense(x)
    order = np.random.default_rng(0).permutation(len(x))[:20]
    classifier = make(SparseSoftmax, x, y, n_classes=4)
    classifier.fit(images, y)
    np.testing.assert_array_equal(
        classifier.predict_proba(images[order]), classifier.predict_proba(images)[order]
    )
    nested = images[order][np.array([3, 1])]
    np.testing.assert_array_equal(nested.rows, order[[3, 1]])


def test_blank_images_are_images():
    x, y = data()
    x[5] = 0
    classifier = make(SparseSoftmax, x, y, n_classes=4)
    classifier.fit(SparseImages.from_dense(x), y)
    assert np.isfinite(classifier.predict_proba(SparseImages.from_dense(x))).all()


@pytest.mark.parametrize("k", [1, 17])
def test_more_classes_than_the_engine_has_lanes_are_refused(k):
    x, y = data()
    with pytest.raises(ValueError, match=f"n_classes={k}.*SoftmaxRegression"):
        make(SparseSoftmax, x, y, n_classes=k)


def test_too_many_pixels_are_refused():
    with pytest.raises(ValueError, match="65537 features"):
        SparseImages.from_dense(np.zeros((1, 65537), np.float32))
