"""Label spreading, beside scikit-learn's graph and the closed form of its fixed point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from alutils.base.errors import ParameterError
from alutils.models.label_spreading import (
    LabelSpreading,
    SpreadSoftmax,
    graph,
    neighbours,
    spread,
    unit_rows,
)


def rings(n=300, n_classes=3, seed=0):
    """Return directions around as many centres as there are classes, of any length."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    x = 3 * np.eye(n_classes, 8)[y] + rng.normal(0, 0.8, (n, 8))
    return (x * rng.uniform(0.5, 2, (n, 1))).astype(np.float32), y


def dense_graph(x, k):
    """Return the normalised graph by scikit-learn's neighbours, all in float64."""
    found = NearestNeighbors(n_neighbors=k, metric="cosine").fit(x)
    distance = found.kneighbors_graph(mode="distance")  # without the item itself
    lines = distance.copy()
    lines.data = np.maximum(1 - lines.data, 0)
    lines = lines.toarray()
    lines = np.maximum(lines, lines.T)
    root = np.sqrt(lines.sum(axis=1))
    return lines / root[:, None] / root[None, :]


def test_the_graph_is_that_of_scikit_learns_neighbours():
    x, _ = rings()
    np.testing.assert_allclose(graph(x, 5).toarray(), dense_graph(x, 5), atol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
def test_spread_labels_are_the_fixed_point_by_a_dense_solve(alpha):
    x, y = rings()
    items = np.array([0, 1, 2, 30, 61])
    given_labels = np.zeros((300, 3))
    given_labels[items, y[items]] = 1
    fixed = np.linalg.solve(np.eye(300) - alpha * dense_graph(x, 10), given_labels)
    expected = fixed / fixed.sum(axis=1, keepdims=True)
    found = spread(graph(x), items, y[items], 3, alpha)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_few_labels_reach_all_of_their_group():
    x, y = rings()
    items = np.array([0, 1, 2])
    found = spread(graph(x), items, y[items], 3)
    assert (found.argmax(axis=1) == y).mean() > 0.95
    assert (found[items].argmax(axis=1) == y[items]).all()


def test_new_pictures_get_what_their_neighbours_were_given():
    x, y = rings(400)
    model = LabelSpreading(3, x[100:300]).fit(x[:12], y[:12])
    p = model.predict_proba(x[300:])
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p.argmax(axis=1) == y[300:]).mean() > 0.95
    pool = unit_rows(np.concatenate([x[:12], x[100:300]]))
    near = pool @ unit_rows(x[300:301])[0]
    nearest = np.argsort(-near)[:10]
    expected = near[nearest] @ model.answers[nearest]
    np.testing.assert_allclose(p[0], expected / expected.sum(), atol=1e-5)


def test_softmax_regression_on_spread_labels_reads_more_than_on_the_few_alone():
    from alutils.models.softmax_penalised import PenalisedSoftmax

    x, y = rings(900)
    few = np.arange(3)
    alone = PenalisedSoftmax().fit(x[few], y[few])
    spread_first = SpreadSoftmax(3, x[3:600]).fit(x[few], y[few])
    right = [
        (model.classes_[model.predict_proba(x[600:]).argmax(axis=1)] == y[600:]).mean()
        for model in (alone, spread_first)
    ]
    assert right[1] > max(right[0], 0.95)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), k=st.integers(1, 12))
def test_probabilities_are_such_for_any_number_of_pictures_and_neighbours(seed, n, k):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (n, 3)).astype(np.float32)
    x[0] = 0  # a picture without any feature has no direction
    labels = rng.integers(0, 3, min(n, 4))
    model = LabelSpreading(3, x[len(labels) :], k=k).fit(x[: len(labels)], labels)
    for p in (model.answers, model.predict_proba(rng.normal(0, 1, (5, 3)))):
        assert np.isfinite(p).all() and p.min() >= 0
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-4)


def test_order_of_the_pictures_changes_nothing():
    x, y = rings()
    order = np.random.default_rng(1).permutation(np.arange(10, 300))
    one = LabelSpreading(3, x[10:]).fit(x[:10], y[:10]).predict_proba(x)
    other = LabelSpreading(3, x[order]).fit(x[:10], y[:10]).predict_proba(x)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_nearest_by_blocks_are_the_nearest():
    rng = np.random.default_rng(0)
    pool, x = (unit_rows(rng.normal(0, 1, (n, 5))) for n in (50, 2100))
    found, near = neighbours(x, pool, 7)
    cosine = x @ pool.T
    assert np.array_equal(np.sort(found), np.sort(np.argsort(-cosine, axis=1)[:, :7]))
    np.testing.assert_allclose(np.sort(near), np.maximum(np.sort(cosine)[:, -7:], 0), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_classes": 1}, "n_classes=1"),
        ({"k": 0}, "k=0"),
        ({"alpha": 1.0}, "alpha=1"),
        ({"unlabelled": np.zeros(3)}, "unlabelled="),
        ({"unlabelled": np.full((3, 2), np.nan)}, "unlabelled="),
    ],
)
def test_values_that_cannot_be_used_are_named(change, says):
    with pytest.raises(ParameterError, match=says):
        LabelSpreading(**({"n_classes": 3, "unlabelled": np.zeros((4, 2))} | change))


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.zeros((2, 3)), np.zeros(2, int), r"expected \(n, 2\)"),
        (np.zeros((2, 2)), np.zeros(3, int), "y"),
        (np.zeros((2, 2)), np.array([0, 3]), "classes from 0 to 2"),
        (np.zeros((0, 2)), np.zeros(0, int), "classes from 0 to 2"),
    ],
)
def test_labels_that_do_not_fit_are_named(x, y, says):
    with pytest.raises(ParameterError, match=says):
        LabelSpreading(3, np.zeros((4, 2))).fit(x, y)
