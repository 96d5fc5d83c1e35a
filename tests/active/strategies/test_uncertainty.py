"""Scores on probabilities, and the choice of the best."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pools import DTYPES, PROBABILITIES, probabilities, tolerance
from skactiveml.pool import uncertainty_scores

from alutils.active.strategies import uncertainty

SCORES = {
    "least_confident": uncertainty.least_confident,
    "margin": uncertainty.margin,
    "entropy": uncertainty.entropy,
}


def by_definition(name, row):
    """Return a score of one row, in Python's own numbers."""
    ranked = sorted(map(float, row), reverse=True)
    if name == "least_confident":
        return 1 - ranked[0]
    if name == "margin":
        return ranked[1] - ranked[0] if len(ranked) > 1 else -1.0
    return -math.fsum(value * math.log(value) for value in ranked if value > 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", PROBABILITIES)
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_what_their_definitions_say(name, kind, dtype):
    p = probabilities(kind, dtype)
    score = SCORES[name](p)
    assert score.shape == (len(p),)
    assert score == pytest.approx([by_definition(name, row) for row in p], abs=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [kind for kind in PROBABILITIES if kind != "one class"])
@pytest.mark.parametrize(
    ("name", "method", "offset"),
    [
        ("least_confident", "least_confident", 0),
        ("margin", "margin_sampling", -1),  # theirs is 1 - gap
        ("entropy", "entropy", 0),
    ],
)
def test_scores_are_those_of_scikit_activeml(name, method, offset, kind, dtype):
    p = probabilities(kind, dtype)
    theirs = uncertainty_scores(p, method=method) + offset
    assert SCORES[name](p) == pytest.approx(theirs, abs=tolerance(dtype))


@pytest.mark.parametrize("name", SCORES)
def test_a_sure_sample_has_the_lowest_score_and_an_even_one_the_highest(name):
    p = np.vstack([np.full(5, 0.2), np.eye(5)[2], np.random.default_rng(0).dirichlet(np.ones(5))])
    even, sure, between = SCORES[name](p)
    assert sure < between < even
    highest = {"least_confident": 0.8, "margin": 0, "entropy": math.log(5)}
    assert even == pytest.approx(highest[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCORES)
def test_scores_stay_in_their_range_where_a_row_is_rounded_over_one(name, dtype):
    p = np.array([[1.0005, 0, 0], [1, 0, 0]], DTYPES[dtype])
    score = SCORES[name](p)
    assert np.isfinite(score).all() and score.max() <= (0 if name == "entropy" else 1)
    if name == "entropy":
        assert score.min() == 0 and not np.signbit(score).any()


@settings(max_examples=60, deadline=None)
@given(
    weights=arrays.arrays(
        np.float64, st.tuples(st.integers(1, 30), st.integers(2, 9)), elements=st.floats(0, 1)
    ),
    dtype=st.sampled_from(sorted(DTYPES)),
    name=st.sampled_from(sorted(SCORES)),
    seed=st.integers(0, 99),
)
def test_scores_follow_their_samples_and_ignore_the_names_of_classes(weights, dtype, name, seed):
    weights[weights.sum(axis=1) == 0] = 1
    p = (weights / weights.sum(axis=1, keepdims=True)).astype(DTYPES[dtype])
    rng, before = np.random.default_rng(seed), p.copy()
    rows, columns = rng.permutation(len(p)), rng.permutation(p.shape[1])
    score = SCORES[name](p)
    assert np.array_equal(SCORES[name](p[rows]), score[rows])
    assert SCORES[name](p[:, columns]) == pytest.approx(score, abs=tolerance(dtype))
    assert np.array_equal(p, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_the_same_to_the_bit_wherever_the_sample_lies(name, dtype, monkeypatch):
    """So that a pool scored in parts, on several machines, gives the top of the whole."""
    rng = np.random.default_rng(0)
    for n_classes in (1, 2, 3, 7, 8, 15, 16, 17, 26, 64, 101):
        p = rng.dirichlet(np.ones(n_classes), 67).astype(DTYPES[dtype])
        whole = SCORES[name](p)
        for part in (1, 2, 5, 16, 33):
            parts = [SCORES[name](p[i : i + part]) for i in range(0, len(p), part)]
            assert np.array_equal(np.concatenate(parts), whole)
        with monkeypatch.context() as patch:
            patch.setattr(uncertainty, "_ROWS", 10)
            assert np.array_equal(SCORES[name](p), whole)


@pytest.mark.parametrize("name", SCORES)
def test_scores_take_slices_columns_first_read_only_and_memory_maps(name, tmp_path):
    p = probabilities("sharp", "float32")
    expected = SCORES[name](p)
    assert np.array_equal(SCORES[name](np.asfortranarray(p)), expected)
    assert np.array_equal(SCORES[name](p[::3]), expected[::3])
    frozen = p.copy()
    frozen.flags.writeable = False
    assert np.array_equal(SCORES[name](frozen), expected)
    np.save(tmp_path / "p.npy", p)
    assert np.array_equal(SCORES[name](np.load(tmp_path / "p.npy", mmap_mode="r")), expected)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("least_confident", "float64"), ("margin", "float32"), ("entropy", "float32")],
)
def test_float32_probabilities_are_not_copied_to_float64(name, dtype):
    p = probabilities("sharp", "float32")
    assert uncertainty.checked(p) is p
    assert SCORES[name](p).dtype == dtype
    assert uncertainty.checked(p.astype(np.float16)).dtype == np.float32


def _with(value, row=3, column=1):
    p = np.full((6, 4), 0.25)
    p[row, column] = value
    return p


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (_with(np.nan), r"row 3 holds NaN \(1 of 6 rows"),
        (_with(np.inf), "row 3 sums to inf"),
        (_with(0.5), r"row 3 sums to 1\.25"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), r"row 1 holds -0\.5"),
        (np.random.default_rng(0).normal(size=(5, 3)), "logits"),
        (np.empty((0, 4)), "the pool is empty"),
        (np.empty((4, 0)), r"shape \(4, 0\); expected \(n_samples, n_classes\)"),
        (np.full(4, 0.25), r"shape \(4,\); expected \(n_samples, n_classes\)"),
        (np.full((2, 2, 2), 0.5), r"shape \(2, 2, 2\)"),
        (np.array([["a", "b"]]), "dtype <U1; expected float32 or float64"),
        (np.array([[0.5 + 0j, 0.5]]), "dtype complex128"),
    ],
)
@pytest.mark.parametrize("name", SCORES)
def test_probabilities_that_are_none_are_refused_with_the_row_and_the_reason(name, p, message):
    with pytest.raises(ValueError, match=message):
        SCORES[name](p)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(4), r"shape \(4,\); expected \(4, n_features\)"),
        (np.ones((4, 2, 2)), r"shape \(4, 2, 2\).*Flatten images"),
        (np.ones((5, 2)), r"shape \(5, 2\); expected \(4, n_features\)"),
        (np.array([[0.0], [1], [np.nan], [2]]), "row 2 holds values that are not finite"),
        (np.array([[0.0], [np.inf], [-np.inf], [2]]), "row 1 holds values that are not finite"),
    ],
)
def test_features_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        uncertainty.checked_features(x, 4)


def test_features_are_not_copied_and_whole_numbers_become_float32():
    x = np.ones((3, 2), np.float32)
    assert uncertainty.checked_features(x, 3) is x
    assert uncertainty.checked_features(np.ones((3, 2), np.uint8)).dtype == np.float32


@settings(max_examples=100, deadline=None)
@given(
    scores=arrays.arrays(
        np.float32, st.integers(1, 60), elements=st.sampled_from([-np.inf, -1, 0, 0.5, 2])
    ),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_the_top_are_the_highest_in_order_and_nobody_twice(scores, share, seed):
    k = max(1, round(share * len(scores)))
    before = scores.copy()
    chosen = uncertainty.top(scores, k, np.random.default_rng(seed))
    assert len(set(chosen)) == k
    assert np.array_equal(scores[chosen], np.sort(scores)[::-1][:k])
    assert np.array_equal(chosen, uncertainty.top(scores, k, np.random.default_rng(seed)))
    assert np.array_equal(scores, before)


def test_who_wins_among_equals_is_drawn_evenly_and_so_is_their_order():
    scores, rng, n = np.array([5, 1, 1, 1, 0, 5]), np.random.default_rng(0), 6000
    draws = np.array([uncertainty.top(scores, 3, rng) for _ in range(n)])
    assert set(draws[:, 0]) == set(draws[:, 1]) == {0, 5}
    counts = np.bincount(draws[:, 2], minlength=6)
    assert counts[[0, 4, 5]].sum() == 0
    five_sigma = 5 * math.sqrt(n * 2 / 9)
    assert counts[1:4] == pytest.approx(np.full(3, n / 3), abs=five_sigma)
    assert np.count_nonzero(draws[:, 0] == 0) == pytest.approx(n / 2, abs=5 * math.sqrt(n / 4))


@pytest.mark.parametrize(
    ("scores", "k", "message"),
    [
        (np.empty(0), 1, "the pool is empty"),
        (np.zeros(3), 4, "batch=4: the pool holds 3 unlabelled items; ask for 1 to 3"),
        (np.zeros(3), 0, "batch=0"),
        (np.zeros(3), -1, "batch=-1"),
        (np.zeros(3), 1.5, "batch=1.5: expected a whole number"),
        (np.zeros(3), True, "batch=True"),
        (np.array([0, np.nan, 1]), 1, "1 of 3 are NaN, the first at 1"),
        (np.zeros((3, 2)), 1, r"shape \(3, 2\); expected \(n_samples,\)"),
    ],
)
def test_a_top_that_cannot_be_is_refused(scores, k, message):
    with pytest.raises(ValueError, match=message):
        uncertainty.top(scores, k, np.random.default_rng(0))
