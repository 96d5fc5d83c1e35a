"""Suspicious human labels: who counts as one, and the order in which they come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from alutils.base.errors import ParameterError
from alutils.guarantee.label_errors import counted_as, find_label_errors, normalised_margin
from alutils.models.out_of_fold import dealt, out_of_fold


def random_labels(n_items, n_classes, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_classes, n_items), rng.dirichlet(np.full(n_classes, 0.5), n_items)


def counted_by_definition(labels, probabilities):
    """Count as the paper's equations 1 and 2 do, one item after the other."""
    thresholds = {
        j: np.mean([p[j] for p, label in zip(probabilities, labels, strict=True) if label == j])
        for j in set(labels.tolist())
    }
    counted = []
    for p in probabilities:
        passed = [j for j, threshold in thresholds.items() if p[j] >= threshold - 1e-12]
        counted.append(max(passed, key=lambda j: (p[j], -j)) if passed else -1)
    return np.array(counted)


@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_items_are_counted_as_the_confident_joint_defines_it(n_items, n_classes, seed):
    labels, probabilities = random_labels(n_items, n_classes, seed)
    counted = counted_as(labels, probabilities)
    assert (counted == counted_by_definition(labels, probabilities)).all()
    # The mean of a class is passed by one of its items at least.
    assert set(labels[counted >= 0]) == set(labels)


@given(st.integers(2, 40), st.integers(2, 5), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_findings_follow_their_items_when_these_are_shuffled(n_items, n_classes, seed):
    labels, probabilities = random_labels(n_items, n_classes, seed)
    order = np.random.default_rng(seed).permutation(n_items)
    found = find_label_errors(labels, probabilities)
    shuffled = find_label_errors(labels[order], probabilities[order])
    assert set(order[shuffled.suspects]) == set(found.suspects)
    suggested = dict(zip(found.suspects, found.suggested, strict=True))
    assert dict(zip(order[shuffled.suspects], shuffled.suggested, strict=True)) == suggested


def test_scores_are_what_their_definitions_say():
    labels = np.array([0, 1, 2])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4]])
    assert normalised_margin(labels, probabilities) == pytest.approx([0.5, -0.1, 0.1])


def test_suspects_come_the_most_suspicious_first():
    labels, probabilities = random_labels(300, 4, 3)
    suspects = find_label_errors(labels, probabilities).suspects
    assert len(suspects) > 10
    assert (np.diff(normalised_margin(labels, probabilities)[suspects]) >= 0).all()


def blobs(noise, seed=0, n_items=900, n_classes=6):
    """Return separable features, labels of which a share is wrong, and which those are."""
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(n_classes) / n_classes
    true = rng.integers(0, n_classes, n_items)
    centres = 6 * np.column_stack([np.cos(angles), np.sin(angles)])
    features = centres[true] + 0.9 * rng.standard_normal((n_items, 2))
    wrong = rng.random(n_items) < noise
    shifted = (true + rng.integers(1, n_classes, n_items)) % n_classes
    return features, np.where(wrong, shifted, true), true, wrong


def neighbours():
    return KNeighborsClassifier(25)


def unseen(features, labels, seed=1, make=neighbours, folds=5):
    fold = dealt(labels, folds, np.random.default_rng(seed))
    return out_of_fold(make, features, labels, fold, n_classes=int(labels.max()) + 1)


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.15])
def test_planted_errors_are_found(noise):
    features, labels, true, wrong = blobs(noise)
    p = unseen(features, labels)
    found = find_label_errors(labels, p)
    caught = wrong[found.suspects]
    assert caught.sum() / wrong.sum() >= 0.7
    assert caught.mean() >= 0.75
    # Whoever asks on down the ranking, past the suspects, finds nearly all.
    lowest = np.argsort(normalised_margin(labels, p))[: round(1.2 * wrong.sum())]
    assert wrong[lowest].sum() / wrong.sum() >= 0.9
    right_class = found.suggested[caught] == true[found.suspects[caught]]
    assert right_class.mean() >= 0.95
    # Asking again in this order finds them sooner than any other would by chance.
    first = found.suspects[: wrong.sum() // 2]
    assert wrong[first].mean() >= 0.95


def test_where_no_label_is_wrong_next_to_none_is_suspected():
    features, labels, _, _ = blobs(0.0)
    p = unseen(features, labels)
    found = find_label_errors(labels, p)
    assert len(found.suspects) <= 0.02 * len(labels)


def test_certain_and_right_probabilities_leave_no_suspect():
    labels = np.array([0, 1, 2, 1])
    found = find_label_errors(labels, np.eye(3)[labels])
    assert len(found.suspects) == 0


def test_one_class_only_has_no_errors():
    found = find_label_errors(np.zeros(5, int), np.ones((5, 1)))
    assert len(found.suspects) == 0
    assert normalised_margin(np.zeros(5, int), np.ones((5, 1))).tolist() == [1.0] * 5
    wide = find_label_errors(np.zeros(4, int), np.full((4, 3), 1 / 3))  # two classes nobody used
    assert len(wide.suspects) == 0


def test_a_class_that_is_never_confident_draws_no_suspects():
    labels = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.7, 0.1, 0.2],
         [0.1, 0.8, 0.1], [0.1, 0.7, 0.2], [0.2, 0.3, 0.5]]
    )  # fmt: skip
    found = find_label_errors(labels, probabilities)
    assert 2 not in found.suggested and len(found.suspects) == 0


P = np.full((4, 2), 0.5)
Y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (Y[:3], P, "labels=int64"),
        (Y.astype(float), P, "labels=float64"),
        (np.array([0, 1, 2, 0]), P, "labels=2"),
        (np.array([0, -1, 1, 0]), P, "labels=-1"),
        (Y, np.where(np.eye(4, 2) == 1, np.nan, P), "row 0"),
        (Y, P * 2, "row 0"),
        (Y, np.array([[0.5, 0.5]] * 3 + [[-0.5, 1.5]]), "row 3"),
        (Y, P[:, 0], "probabilities="),
        (Y[:0], P[:0], "probabilities="),
    ],
)
def test_labels_and_probabilities_that_do_not_fit_are_refused(labels, probabilities, message):
    with pytest.raises(ParameterError, match=message):
        find_label_errors(labels, probabilities)
