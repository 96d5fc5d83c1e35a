"""Query synthesis: the boundary is found, real items are near it, and blends cannot be read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import moving_clouds

from alutils.active.loops.synthesis import (
    ReadBy,
    nearest_queries,
    nearest_unlabelled,
    synthesis_based,
    synthesise,
    unreadable,
)
from alutils.active.oracles import ABSTAINED


class Centres:
    """Softmax of minus the squared distances to class means: its boundaries are straight."""

    def __init__(self, n_classes, sharp=1.0):
        self.n_classes, self.sharp = n_classes, sharp

    def fit(self, x, y):
        far = np.full(x.shape[1], 1e3)
        self.centres = np.array(
            [x[y == c].mean(axis=0) if (y == c).any() else far for c in range(self.n_classes)]
        )
        return self

    def predict_proba(self, x):
        logits = -self.sharp * ((x[:, None] - self.centres) ** 2).sum(axis=2)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def clouds(n=200, n_classes=3, seed=0, spread=0.3):
    return moving_clouds(np.zeros(n), n_classes, np.random.default_rng(seed), spread)


def fitted(n_classes=3, seed=0, n=40):
    x, y = clouds(n, n_classes, seed)
    return x, Centres(n_classes).fit(x, y)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99), n_classes=st.integers(2, 6), n=st.integers(1, 80),
    steps=st.integers(1, 40), dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_points_lie_between_their_parents_and_the_boundary_is_bracketed(
    seed, n_classes, n, steps, dtype
):
    x, model = fitted(n_classes, seed)
    x = x.astype(dtype)
    made = synthesise(model.predict_proba, x, n, np.random.default_rng(seed), steps)
    assert made.points.dtype == dtype
    assert made.points.shape == (n, 2)
    start, end = x[made.parents[:, 0]].astype(float), x[made.parents[:, 1]].astype(float)
    assert ((made.place > 0) & (made.place < 1)).all()
    assert np.allclose(made.points, start + made.place[:, None] * (end - start), atol=1e-6)
    assert (made.between[:, 0] != made.between[:, 1]).all()
    # The classes on either side, looked up again at both ends of the last bracket.
    half = 0.5 ** (steps + 1)
    for place, column in ((made.place - half, 0), (made.place + half, 1)):
        at = (start + place[:, None] * (end - start)).astype(dtype)
        p = model.predict_proba(at)
        sure = np.ptp(np.sort(p, axis=1)[:, -2:], axis=1) > 1e-5  # rounding decides the others
        assert np.array_equal(p.argmax(axis=1)[sure], made.between[sure, column])


def test_bisection_equals_the_closed_form_for_a_straight_boundary():
    x, model = fitted(2, n=60)
    made = synthesise(model.predict_proba, x, 50, np.random.default_rng(0), steps=40)
    a, b = model.centres
    normal, offset = b - a, (b @ b - a @ a) / 2
    start, end = x[made.parents[:, 0]], x[made.parents[:, 1]]
    place = (offset - start @ normal) / ((end - start) @ normal)
    assert np.allclose(made.place, place, atol=1e-9)
    assert np.allclose(made.points @ normal, offset, atol=1e-9)
    assert (made.gap < 1e-9).all()


@pytest.mark.parametrize("steps", [1, 5, 12])
def test_each_step_halves_what_is_left(steps):
    x, model = fitted(2)
    near = synthesise(model.predict_proba, x, 30, np.random.default_rng(0), steps=45)
    far = synthesise(model.predict_proba, x, 30, np.random.default_rng(0), steps=steps)
    assert np.array_equal(near.parents, far.parents)
    off = np.abs(near.place - far.place)
    assert (off <= 0.5 ** (steps + 1) + 1e-12).all()
    assert off.max() > 0.5 ** (steps + 3)


def test_parents_are_nearest_among_those_predicted_otherwise():
    x, model = fitted(4, n=50)
    predicted = model.predict_proba(x).argmax(axis=1)
    expected = set()
    for i in range(len(x)):
        for c in set(predicted) - {predicted[i]}:
            others = np.flatnonzero(predicted == c)
            nearest = others[((x[others] - x[i]) ** 2).sum(axis=1).argmin()]
            expected.add((min(i, nearest), max(i, nearest)))
    made = synthesise(model.predict_proba, x, len(expected), np.random.default_rng(0))
    assert {tuple(pair) for pair in made.parents} == expected  # all of them before any twice


def test_more_points_than_pairs_use_each_pair_as_often():
    x = np.array([[0.0], [1.0], [5.0]])
    model = Centres(2).fit(x, np.array([0, 0, 1]))
    made = synthesise(model.predict_proba, x, 7, np.random.default_rng(0))
    _, counts = np.unique(made.parents, axis=0, return_counts=True)
    assert sorted(counts) == [3, 4]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(1, 90), ties=st.booleans())
def test_nearest_items_equal_brute_force_each_once(seed, n, ties):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (120, 3)).astype(float) if ties else rng.normal(size=(120, 3))
    points = rng.integers(-3, 4, (n, 3)).astype(float) if ties else rng.normal(size=(n, 3))
    free = rng.random(120) < 0.8
    free[:90] = True
    before = free.copy()
    left, expected = free.copy(), []
    for point in points:
        distances = np.where(left, ((x - point) ** 2).sum(axis=1), np.inf)
        expected.append(distances.argmin())
        left[expected[-1]] = False
    assert np.array_equal(nearest_unlabelled(points, x, free), expected)
    assert np.array_equal(free, before)


def pool(seed=0, n=150, n_labelled=12):
    x, y = clouds(n, 3, seed)
    labelled = np.zeros(n, bool)
    labelled[np.random.default_rng(seed).permutation(n)[:n_labelled]] = True
    return x, y, labelled


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), batch=st.integers(1, 138))
def test_queries_are_unlabelled_and_distinct_and_come_from_the_seed(seed, batch):
    x, y, labelled = pool(seed)
    model = Centres(3).fit(x[labelled], y[labelled])
    before = x.copy(), labelled.copy()
    items = nearest_queries(model.predict_proba, x, labelled, batch, np.random.default_rng(seed))
    again = nearest_queries(model.predict_proba, x, labelled, batch, np.random.default_rng(seed))
    assert np.array_equal(items, again)
    assert items.dtype == np.int64
    assert len(np.unique(items)) == batch
    assert not labelled[items].any()
    assert np.array_equal(before[0], x)
    assert np.array_equal(before[1], labelled)


def test_another_seed_chooses_otherwise():
    x, y, labelled = pool()
    model = Centres(3).fit(x[labelled], y[labelled])
    chosen = [
        nearest_queries(model.predict_proba, x, labelled, 5, np.random.default_rng(seed)).tolist()
        for seed in range(5)
    ]
    assert len({tuple(c) for c in chosen}) > 1


def test_queries_are_near_the_boundary():
    x, y, labelled = pool(n=2000, n_labelled=60)
    model = Centres(3).fit(x[labelled], y[labelled])
    items = nearest_queries(model.predict_proba, x, labelled, 20, np.random.default_rng(0))
    gaps = np.ptp(np.sort(model.predict_proba(x), axis=1)[:, -2:], axis=1)
    assert gaps[items].mean() < 0.5 * gaps.mean()


@pytest.mark.parametrize("n_labelled", [0, 1])
def test_before_two_labels_queries_are_random_and_no_classifier_is_needed(n_labelled):
    x, _, labelled = pool(n_labelled=n_labelled)

    def untrained(x):
        raise AssertionError("there is nothing to predict yet")

    items = [
        nearest_queries(untrained, x, labelled, 30, np.random.default_rng(seed)) for seed in (0, 1)
    ]
    assert all(len(np.unique(i)) == 30 and not labelled[i].any() for i in items)
    assert not np.array_equal(*items)


def test_with_one_class_predicted_queries_are_random():
    x, _, labelled = pool()

    def one_class(x):
        return np.tile([1.0, 0, 0], (len(x), 1))

    items = nearest_queries(one_class, x, labelled, 40, np.random.default_rng(0))
    assert len(np.unique(items)) == 40
    assert not labelled[items].any()


def test_duplicates_and_ties_are_no_trouble():
    x = np.repeat([[0.0, 0], [1, 0], [0.5, 0]], 20, axis=0)
    labelled = np.zeros(60, bool)
    labelled[[0, 1, 20, 21]] = True
    model = Centres(2).fit(x[labelled], np.array([0, 0, 1, 1]))
    items = nearest_queries(model.predict_proba, x, labelled, 25, np.random.default_rng(0))
    assert len(np.unique(items)) == 25
    assert set(range(40, 60)) < set(items.tolist())  # those half-way come first


def test_the_last_items_of_a_pool_can_all_be_asked_for():
    x, y, _ = pool()
    labelled = np.ones(150, bool)
    labelled[[3, 70, 149]] = False
    model = Centres(3).fit(x, y)
    items = nearest_queries(model.predict_proba, x, labelled, 3, np.random.default_rng(0))
    assert sorted(items) == [3, 70, 149]


def start(x, y):
    """Return a few real items of every class."""
    rows = np.concatenate([np.flatnonzero(y == c)[:3] for c in range(3)])
    return x[rows], y[rows]


def test_with_a_reader_who_can_read_everything_synthetic_points_teach():
    x, y = clouds(900, spread=0.5)
    best = Centres(3, sharp=2).fit(x, y)

    def nearest_centre(points):
        return best.predict_proba(points).argmax(axis=1)

    model = Centres(3)
    x0, y0 = start(x, y)
    before = (Centres(3).fit(x0, y0).predict_proba(x).argmax(axis=1) == y).mean()
    rounds = list(
        synthesis_based(
            x0, y0, model, nearest_centre, n_classes=3, batch=10, budget=65,
            rng=np.random.default_rng(0),
        )
    )  # fmt: skip
    assert [r.n_asked for r in rounds] == [10, 20, 30, 40, 50, 60, 65]
    assert [r.n_labels for r in rounds] == [10, 20, 30, 40, 50, 60, 65]
    after = (model.predict_proba(x).argmax(axis=1) == y).mean()
    assert after > before
    assert len(rounds[-1].synthetic.points) == 5


def test_who_reads_only_what_is_clear_says_little_of_what_lies_on_the_boundary():
    x, y = clouds(900)
    reader = ReadBy(Centres(3, sharp=3).fit(x, y).predict_proba, confidence=0.9)
    x0, y0 = start(x, y)
    made = synthesise(Centres(3).fit(x0, y0).predict_proba, x0, 30, np.random.default_rng(0))
    blends = unreadable(made.points, made.between, reader)
    real = unreadable(x, np.column_stack([y, (y + 1) % 3]), reader)
    assert blends.n == 30
    assert blends.share > 0.5
    assert real.share < 0.2
    rounds = list(
        synthesis_based(
            x0, y0, Centres(3), reader, n_classes=3, batch=10, budget=40,
            rng=np.random.default_rng(0),
        )
    )  # fmt: skip
    assert rounds[-1].n_asked == 40
    silent = sum(np.count_nonzero(r.answers == ABSTAINED) for r in rounds)
    assert rounds[-1].n_labels == 40 - silent < 20


def test_a_loop_whose_classifier_names_one_class_ends():
    class OneClass:
        def fit(self, x, y):
            self.n = len(y)

        def predict_proba(self, x):
            return np.tile([1.0, 0, 0], (len(x), 1))

    x0, y0 = start(*clouds())
    rng = np.random.default_rng(0)
    loop = synthesis_based(
        x0, y0, OneClass(), lambda p: None, n_classes=3, batch=1, budget=9, rng=rng
    )
    assert list(loop) == []


def test_unreadable_counts_the_unsure_and_what_is_read_as_something_else():
    between = np.array([[0, 1], [0, 1], [0, 2], [1, 2]])
    answers = np.array([ABSTAINED, 1, 1, 2])
    measured = unreadable(np.zeros((4, 2)), between, lambda points: answers)
    assert (measured.unsure, measured.neither, measured.n) == (0.25, 0.25, 4)
    assert measured.share == 0.5


def test_a_reader_answers_from_its_confidence_on():
    p = np.array([[0.9, 0.1], [0.11, 0.89], [0.05, 0.95]])
    assert ReadBy(lambda x: p)(np.zeros((3, 2))).tolist() == [0, ABSTAINED, 1]
    assert ReadBy(lambda x: p, confidence=0)(np.zeros((3, 2))).tolist() == [0, 1, 1]


def loop(**changes):
    x0, y0 = start(*clouds())
    options = {"n_classes": 3, "batch": 5, "budget": 9, "rng": np.random.default_rng(0)} | changes
    y = options.pop("y", y0)
    reader = options.pop("reader", lambda points: np.zeros(len(points), int))
    return synthesis_based(x0, y, Centres(3), reader, **options)


X, MODEL = fitted()
FREE = np.ones(len(X), bool)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: synthesise(lambda x: np.tile([0.0, 1], (len(x), 1)), X, 3, RNG),
            r"predicts class 1 for all 40 items; expected two classes or more",
        ),
        (lambda: synthesise(MODEL.predict_proba, X, 0, RNG), r"n=0: expected a whole number"),
        (lambda: synthesise(MODEL.predict_proba, X, 3, RNG, 0), r"steps=0: expected a whole"),
        (lambda: synthesise(MODEL.predict_proba, X[0], 3, RNG), r"x: an array of shape \(2,\)"),
        (lambda: synthesise(MODEL.predict_proba, X * np.nan, 3, RNG), r"x: row 0 holds values"),
        (lambda: synthesise(lambda x: np.ones((40, 3)), X, 3, RNG), r"row 0 sums to 3"),
        (lambda: synthesise(lambda x: np.ones((1, 1)), X, 3, RNG), r"1 rows for 40 points"),
        (lambda: nearest_unlabelled(X[:, :1], X, FREE), r"points: 1 features; expected 2"),
        (lambda: nearest_unlabelled(X, X, FREE[:5]), r"free: bool of shape \(5,\); expected \(40,"),
        (lambda: nearest_unlabelled(X, X, FREE * 1), r"free: int64 of shape \(40,\)"),
        (
            lambda: nearest_unlabelled(np.vstack([X, X]), X, FREE),
            r"batch=80: the pool holds 40 unlabelled items; ask for 1 to 40",
        ),
        (
            lambda: nearest_queries(MODEL.predict_proba, X, ~FREE, 41, RNG),
            r"batch=41: the pool holds 40 unlabelled items",
        ),
        (lambda: nearest_queries(MODEL.predict_proba, X, FREE, 1, RNG), r"the pool is empty"),
        (lambda: nearest_queries(MODEL.predict_proba, X, ~FREE, 0, RNG), r"batch=0"),
        (lambda: loop(batch=10), r"budget=9: it does not fill one round of batch=10 labels"),
        (lambda: loop(budget=0), r"budget=0: expected a whole number"),
        (lambda: loop(y=np.zeros(9, int)), r"y=\[0\]: expected classes from 0 to 2, at least two"),
        (lambda: loop(y=np.arange(9) % 4), r"y=\[0 1 2 3\]: expected classes from 0 to 2"),
        (lambda: loop(y=np.arange(9) % 3 - 1), r"y=\[-1  0  1\]: expected classes from 0 to 2"),
        (lambda: loop(y=np.arange(9) % 3 / 1), r"y=\[0. 1. 2.\]: expected classes"),
        (
            lambda: list(loop(reader=lambda points: np.full(len(points), 5))),
            r"answer 5 for item 0; expected a class from 0 to 2",
        ),
        (lambda: ReadBy(MODEL.predict_proba, 90), r"confidence=90: expected a number from 0 to 1"),
        (lambda: unreadable(X, np.zeros((40, 3)), ReadBy(MODEL.predict_proba)), r"\(40, 3\) cl"),
        (lambda: unreadable(X[:0], np.zeros((0, 2)), ReadBy(MODEL.predict_proba)), r"at least one"),
        (lambda: unreadable(X, np.zeros((40, 2)), MODEL.predict_proba), r"reader: an array of sha"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value_and_what_was_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
