"""Oracles: what they promise about chance, cost and bad questions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.active.oracles import ABSTAINED, Abstaining, Costly, Noisy, Perfect, checked

LABELS = np.random.default_rng(5).integers(0, 4, 20_000)
ITEMS = np.arange(len(LABELS))


def within_binomial_limits(count, n, rate):
    """Whether a count is one that this rate gives in all but one of a million draws."""
    return stats.binomtest(int(count), int(n), rate).pvalue > 1e-6


def make(kind, seed):
    rng = np.random.default_rng(seed)
    return {
        "noisy": lambda: Noisy.at_rate(Perfect(LABELS), 0.3, 4, rng),
        "abstaining": lambda: Abstaining(Perfect(LABELS), 0.3, rng),
        "both": lambda: Noisy.at_rate(Abstaining(Perfect(LABELS), 0.3, rng), 0.3, 4, rng),
        "costly": lambda: Costly(Noisy.at_rate(Perfect(LABELS), 0.3, 4, rng), 2.0),
    }[kind]()


KINDS = ["noisy", "abstaining", "both", "costly"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(LABELS) - 1), max_size=50))
def test_a_perfect_oracle_gives_the_labels(items):
    items = np.array(items, np.int64)
    answers = Perfect(LABELS)(items)
    assert answers.dtype == np.int64
    assert np.array_equal(answers, LABELS[items])


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_a_noisy_oracle_errs_at_its_rate_and_evenly_among_the_other_classes(rate):
    answers = Noisy.at_rate(Perfect(LABELS), rate, 4, np.random.default_rng(1))(ITEMS)
    wrong = answers != LABELS
    assert within_binomial_limits(wrong.sum(), len(wrong), rate)
    for truth in range(4):
        others = np.bincount(answers[wrong & (truth == LABELS)], minlength=4)
        assert others[truth] == 0
        n = others.sum()
        assert all(
            within_binomial_limits(others[c], n, 1 / 3) for c in range(4) if c != truth and n
        )


def test_the_confusion_matrix_is_recovered():
    confusion = np.array([[0.7, 0.3, 0, 0], [0, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.5, 0, 0.5, 0]])
    answers = Noisy(Perfect(LABELS), confusion, np.random.default_rng(2))(ITEMS)
    for truth in range(4):
        given_answers = answers[truth == LABELS]
        counts = np.bincount(given_answers, minlength=4)
        for answer in range(4):
            rate = confusion[truth, answer]
            assert within_binomial_limits(counts[answer], len(given_answers), rate)


def test_abstentions_keep_to_their_rate_for_all_or_item_by_item():
    answers = Abstaining(Perfect(LABELS), 0.2, np.random.default_rng(3))(ITEMS)
    silent = answers == ABSTAINED
    assert within_binomial_limits(silent.sum(), len(silent), 0.2)
    assert np.array_equal(answers[~silent], LABELS[~silent])
    probability = np.where(LABELS == 2, 0.9, 0.0)
    silent = Abstaining(Perfect(LABELS), probability, np.random.default_rng(3))(ITEMS) == ABSTAINED
    assert not silent[LABELS != 2].any()
    assert within_binomial_limits(silent[LABELS == 2].sum(), (LABELS == 2).sum(), 0.9)


def test_a_noisy_oracle_leaves_abstentions_as_they_are():
    silent = np.zeros(len(LABELS))
    silent[::3] = 1
    inner = Abstaining(Perfect(LABELS), silent, np.random.default_rng(4))
    answers = Noisy.at_rate(inner, 1.0, 4, np.random.default_rng(5))(ITEMS)
    assert (answers[::3] == ABSTAINED).all()
    rest = silent == 0
    assert (answers[rest] >= 0).all()
    assert (answers[rest] != LABELS[rest]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_answers_and_another_seed_others(kind):
    items = ITEMS[:500]
    first = make(kind, 7)(items)
    assert np.array_equal(first, make(kind, 7)(items))
    assert not np.array_equal(first, make(kind, 8)(items))


@pytest.mark.parametrize("kind", ["noisy", "abstaining", "costly"])
def test_answers_do_not_depend_on_the_batches_they_are_asked_in(kind):
    whole, parts = make(kind, 7), make(kind, 7)
    answers = np.concatenate([parts(part) for part in np.split(ITEMS[:300], [1, 2, 100, 100])])
    assert np.array_equal(answers, whole(ITEMS[:300]))


@pytest.mark.parametrize("kind", ["noisy", "abstaining"])
def test_who_is_asked_again_looks_again(kind):
    oracle = make(kind, 7)
    same = np.zeros(200, np.int64)
    assert len(np.unique(oracle(same))) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_items_and_labels_are_not_changed(kind):
    labels, items = LABELS.copy(), ITEMS[:100].copy()
    oracle = make(kind, 7)
    answers = oracle(items)
    answers[:] = 0
    assert np.array_equal(items, ITEMS[:100])
    assert np.array_equal(LABELS, labels)


@pytest.mark.parametrize("kind", KINDS)
def test_no_items_no_answers(kind):
    assert make(kind, 0)(np.empty(0, np.int64)).shape == (0,)


def test_costs_add_up_for_all_by_item_and_by_class():
    labels = np.array([0, 1, 2, 1])
    flat = Costly(Perfect(labels), 2.5)
    flat(np.array([0, 1]))
    flat(np.array([1]))
    assert (flat.n_asked, flat.spent) == (3, 7.5)
    by_item = Costly(Perfect(labels), np.array([1.0, 2, 4, 8]))
    by_item(np.array([3, 0, 3]))
    assert (by_item.n_asked, by_item.spent) == (3, 17)
    by_class = Costly(Perfect(labels), np.array([1.0, 10, 100]), by_class=True)
    by_class(np.array([1, 2, 3]))
    assert (by_class.n_asked, by_class.spent) == (3, 120)


def test_no_answer_costs_too():
    rng = np.random.default_rng(0)
    oracle = Costly(Abstaining(Perfect(np.array([0, 1])), 1.0, rng), [2.0, 6], by_class=True)
    assert (oracle(np.array([0, 1])) == ABSTAINED).all()
    assert (oracle.n_asked, oracle.spent) == (2, 8)


def test_a_question_that_fails_is_not_counted():
    oracle = Costly(Perfect(np.array([0, 1])), 1.0)
    with pytest.raises(ValueError, match=r"item 2: the oracle knows items 0 to 1"):
        oracle(np.array([0, 2]))
    assert (oracle.n_asked, oracle.spent) == (0, 0)


def test_good_answers_pass_as_int64():
    answers = checked(np.array([0, 2, ABSTAINED], np.int8), np.array([4, 5, 6]), 3)
    assert answers.dtype == np.int64
    assert answers.tolist() == [0, 2, ABSTAINED]
    assert checked([], np.empty(0, np.int64), 3).shape == (0,)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([0, 3, 1], r"answer 3 for item 8; expected a class from 0 to 2, or -1"),
        ([0, 1, -2], r"answer -2 for item 9; expected a class from 0 to 2"),
        ([0, 1], r"shape \(2,\) to \(3,\) items; expected one label for each"),
        ([[0], [1], [2]], r"shape \(3, 1\) to \(3,\) items"),
        ([0.0, 1, 2], r"dtype float64, such as .*0.0.* for item 7; expected whole numbers"),
        (["a", "b", "c"], r"such as .*'a'.* for item 7; expected whole numbers"),
        ([True, False, True], r"dtype bool"),
        ([None, 1, 2], r"dtype object, such as None for item 7"),
    ],
)
def test_an_answer_that_is_no_class_is_named_with_its_item(answers, message):
    with pytest.raises(ValueError, match=message):
        checked(np.array(answers), np.array([7, 8, 9]), 3)


RNG = np.random.default_rng(0)
THREE = Perfect(np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Perfect(np.array([0, -1])), r"labels=-1: expected classes, 0 or higher"),
        (lambda: Perfect(np.array([0.0, 1])), r"labels=float64 \(2,\): expected \(n_items,\)"),
        (lambda: Perfect(np.zeros((2, 2), int)), r"labels=int64 \(2, 2\)"),
        (lambda: Noisy.at_rate(THREE, 1.2, 3, RNG), r"rate=1.2: expected a number from 0 to 1"),
        (lambda: Noisy.at_rate(THREE, np.nan, 3, RNG), r"rate=nan: expected a number from 0 to 1"),
        (lambda: Noisy.at_rate(THREE, 0.1, 1, RNG), r"n_classes=1: a wrong answer needs 2"),
        (lambda: Noisy(THREE, 0.1, RNG), r"shape \(\).*for a rate of errors use Noisy.at_rate"),
        (lambda: Noisy(THREE, np.ones((2, 3)), RNG), r"shape \(2, 3\): expected \(n_classes"),
        (lambda: Noisy(THREE, np.full((3, 3), 0.3), RNG), r"row 0 sums to 0.9"),
        (lambda: Noisy(THREE, [[1, 0], [-0.5, 1.5]], RNG), r"row 1 sums to 1; expected numbers"),
        (lambda: Noisy(THREE, [[1, 0], [np.nan, 1]], RNG), r"row 1 sums to nan"),
        (lambda: Noisy(THREE, np.eye(2), RNG)([2]), r"answer 2 for item 2; expected a class"),
        (lambda: Abstaining(THREE, -0.1, RNG), r"probability=-0.1: expected a number from 0 to 1"),
        (lambda: Abstaining(THREE, [0.5, 2], RNG), r"probability=2.0: expected a number"),
        (lambda: Abstaining(THREE, [0.5, 0.5], RNG)([2]), r"item 2: the oracle knows items 0 to 1"),
        (lambda: Costly(THREE, -1.0), r"seconds=-1.0: expected numbers, 0 or higher"),
        (lambda: Costly(THREE, np.inf), r"seconds=inf"),
        (lambda: Costly(THREE, 1.0, by_class=True), r"shape \(\): expected \(n_classes,\)"),
        (lambda: Costly(THREE, [1.0, 2], by_class=True)([2]), r"answer 2 for item 2"),
        (lambda: THREE([-1]), r"item -1: the oracle knows items 0 to 2"),
        (lambda: THREE([0.5]), r"items: float64 of shape \(1,\); expected \(n,\) whole numbers"),
        (lambda: THREE([[0]]), r"items: int64 of shape \(1, 1\)"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value_and_what_was_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
