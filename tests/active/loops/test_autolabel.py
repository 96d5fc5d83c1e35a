"""Label books, the pool-based loop and auto-labelling: promises that hold for any data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.active.labels import LabelBook, Source
from alutils.active.loops import autolabel
from alutils.active.loops.pool import PoolState, by_score, pool_based
from alutils.active.strategies import uncertainty


class Nearest:
    """A classifier that can be checked by hand: one feature, probabilities from distances."""

    def __init__(self, n_classes=3):
        self.n_classes = n_classes
        self.seen = []

    def fit(self, x, y):
        self.seen.append((x.copy(), y.copy()))
        self.centres = np.array(
            [x[y == c].mean() if (y == c).any() else 1e6 for c in range(self.n_classes)]
        )
        return len(y), 1

    def predict_proba(self, x):
        closeness = np.exp(-np.abs(x.reshape(-1, 1) - self.centres).clip(max=500))
        return closeness / closeness.sum(axis=1, keepdims=True)


def pool(n, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    labels[:3] = [0, 1, 2]
    return (labels * 5 + rng.normal(size=n)).reshape(-1, 1), labels


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(4, 60), batch=st.integers(1, 20), share=st.floats(0.1, 1), seed=st.integers(0, 99)
)
def test_the_loop_spends_its_budget_exactly_and_asks_for_no_item_twice(n, batch, share, seed):
    x, labels = pool(n, seed)
    budget = max(1, round(share * n))
    batch = min(batch, budget)
    state = PoolState.start(n)
    asked = []

    def oracle(items):
        asked.extend(items)
        return labels[items]

    rounds = list(
        pool_based(
            x,
            oracle,
            Nearest(),
            by_score(uncertainty.least_confident),
            state,
            batch=batch,
            budget=budget,
        )
    )
    assert len(asked) == len(set(asked)) == budget == state.book.n_human
    assert [r.n_human for r in rounds] == [min(budget, batch * (i + 1)) for i in range(len(rounds))]
    assert sorted([*asked, *state.pool]) == list(range(n))
    assert np.array_equal(state.book.label[asked], labels[asked])
    assert np.all(np.diff(rounds[-1].utility) <= 0)


def test_the_next_batch_is_what_the_classifier_is_least_sure_of():
    x, labels = pool(50)
    classifier, state = Nearest(), PoolState.start(50)
    loop = pool_based(
        x,
        labels.__getitem__,
        classifier,
        by_score(uncertainty.least_confident),
        state,
        batch=5,
        budget=15,
    )
    next(loop)
    rest = np.setdiff1d(np.arange(50), np.arange(5))
    confidence = classifier.predict_proba(x[rest]).max(axis=1)
    expected = rest[np.argsort(confidence, kind="stable")][:5]
    assert np.array_equal(next(loop).items, expected)


def test_items_of_equal_utility_keep_their_order():
    x, labels = pool(30)
    state = PoolState.start(30)
    flat = lambda probabilities: np.zeros(len(probabilities))  # noqa: E731
    rounds = pool_based(x, labels.__getitem__, Nearest(), by_score(flat), state, batch=7, budget=30)
    assert np.array_equal(np.concatenate([r.items for r in rounds]), np.arange(30))


def test_training_sees_the_labels_in_the_order_in_which_they_came():
    x, labels = pool(40)
    classifier, state = Nearest(), PoolState.start(40)
    for done in pool_based(
        x,
        labels.__getitem__,
        classifier,
        by_score(uncertainty.least_confident),
        state,
        batch=4,
        budget=12,
    ):
        seen, y = classifier.seen[-1]
        assert np.array_equal(seen[-len(done.items) :], x[done.items])
        assert np.array_equal(y, labels[state.book.order])


@settings(max_examples=30, deadline=None)
@given(n=st.integers(5, 50), batch=st.integers(1, 60), seed=st.integers(0, 99))
def test_confident_first_labels_everything_once_and_leaves_human_labels_alone(n, batch, seed):
    x, labels = pool(n, seed)
    classifier, state = Nearest(), PoolState.start(n)
    list(pool_based(x, labels.__getitem__, classifier, None, state, batch=4, budget=4))
    human = state.book.order.copy()
    rounds = list(autolabel.confident_first(x, classifier, state, batch=batch, number=1))
    assert sum(len(r.items) for r in rounds) == n - 4
    assert state.book.n_auto == n - 4 and state.book.n_human == 4
    assert np.array_equal(state.book.label[human], labels[human])
    assert np.array_equal(np.sort(state.book.order), np.arange(n))


def test_confident_first_takes_the_most_confident():
    x, labels = pool(40)
    classifier, state = Nearest(), PoolState.start(40)
    list(pool_based(x, labels.__getitem__, classifier, None, state, batch=6, budget=6))
    before = classifier.predict_proba(x[6:]).max(axis=1)
    done = next(autolabel.confident_first(x, classifier, state, batch=3, number=1))
    assert np.array_equal(done.items, 6 + np.argsort(before, kind="stable")[-3:])
    after = classifier.predict_proba(x[state.pool]).max(axis=1)
    assert np.array_equal(done.utility, after)
    assert after[:3].min() >= after[3:].max()  # the next to be labelled wait in front


def test_at_once_gives_every_item_its_likeliest_class():
    x, labels = pool(40)
    classifier, state = Nearest(), PoolState.start(40)
    list(pool_based(x, labels.__getitem__, classifier, None, state, batch=6, budget=6))
    likeliest = classifier.predict_proba(x[6:]).argmax(axis=1)
    autolabel.at_once(x, classifier, state, number=1)
    assert np.array_equal(state.book.label[6:], likeliest)
    assert len(state.pool) == 0


def test_a_batch_of_zero_automatic_labels_is_refused():
    x, _ = pool(10)
    with pytest.raises(ValueError, match="batch=0"):
        next(autolabel.confident_first(x, Nearest(), PoolState.start(10), batch=0, number=0))


@pytest.mark.parametrize(
    ("items", "labels", "message"),
    [
        ([1, 1], [0, 0], "item 1 is named twice"),
        ([0], [2], "item 0 already has label 1, given in round 0"),
        ([9], [0], "item 9: the book holds items 0 to 4"),
        ([-1], [0], "item -1"),
        ([1], [-2], "label -2"),
        ([1, 2], [0], "one label for each item"),
    ],
)
def test_a_label_that_cannot_be_is_refused_and_the_book_stays_as_it_was(items, labels, message):
    book = LabelBook.empty(5)
    book.add(np.array([0]), np.array([1]), Source.HUMAN, 0)
    before = book.copy()
    with pytest.raises(ValueError, match=message):
        book.add(np.array(items), np.array(labels), Source.AUTO, 1)
    for name in ("label", "source", "round", "order"):
        assert np.array_equal(getattr(book, name), getattr(before, name))


def test_a_label_without_a_source_is_refused():
    with pytest.raises(ValueError, match="NONE"):
        LabelBook.empty(3).add(np.array([0]), np.array([0]), Source.NONE, 0)


def test_a_copy_of_a_book_is_a_book_of_its_own():
    book = LabelBook.empty(3)
    copy = book.copy()
    copy.add(np.array([2]), np.array([1]), Source.AUTO, 0)
    assert book.n_auto == 0 and copy.n_auto == 1


@given(st.integers(0, 10**6))
def test_least_confident_orders_float32_probabilities_exactly(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(10, 0.3), 50).astype(np.float32)
    utility = uncertainty.least_confident(p)
    assert utility.dtype == np.float64
    assert np.array_equal(
        np.argsort(-utility, kind="stable"), np.argsort(p.max(axis=1), kind="stable")
    )
