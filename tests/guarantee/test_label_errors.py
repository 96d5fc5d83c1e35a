"""Suspicious human labels: the confident joint, the ranking, and models that saw no label."""

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from alutils.base.errors import ParameterError
from alutils.guarantee.label_errors import (
    calibrated_joint,
    confident_joint,
    find_label_errors,
    normalised_margin,
    out_of_fold,
    self_confidence,
)


def random_labels(n_items, n_classes, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_classes, n_items), rng.dirichlet(np.full(n_classes, 0.5), n_items)


def joint_by_definition(labels, probabilities):
    """Count as the paper's equations 1 and 2 do, one item after the other."""
    n_classes = probabilities.shape[1]
    thresholds = {
        j: np.mean([p[j] for p, label in zip(probabilities, labels, strict=True) if label == j])
        for j in set(labels.tolist())
    }
    counts = np.zeros((n_classes, n_classes), int)
    for p, label in zip(probabilities, labels, strict=True):
        passed = [j for j, threshold in thresholds.items() if p[j] >= threshold - 1e-12]
        if passed:
            counts[label, max(passed, key=lambda j: (p[j], -j))] += 1
    return counts


@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_confident_joint_is_what_its_definition_says(n_items, n_classes, seed):
    labels, probabilities = random_labels(n_items, n_classes, seed)
    counts, _, counted_as = confident_joint(labels, probabilities)
    assert (counts == joint_by_definition(labels, probabilities)).all()
    assert counts.sum() == (counted_as >= 0).sum()
    # The mean of a class is passed by one of its items at least.
    assert (counts.sum(axis=1) > 0)[np.unique(labels)].all()


@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_calibrated_joint_keeps_the_share_of_each_label(n_items, n_classes, seed):
    labels, probabilities = random_labels(n_items, n_classes, seed)
    joint = calibrated_joint(confident_joint(labels, probabilities)[0], labels)
    shares = np.bincount(labels, minlength=n_classes) / n_items
    assert joint.sum() == pytest.approx(1)
    assert joint.sum(axis=1) == pytest.approx(shares)
    assert (joint >= 0).all()


@given(st.integers(2, 40), st.integers(2, 5), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_findings_follow_their_items_when_these_are_shuffled(n_items, n_classes, seed):
    labels, probabilities = random_labels(n_items, n_classes, seed)
    order = np.random.default_rng(seed).permutation(n_items)
    found = find_label_errors(labels, probabilities)
    shuffled = find_label_errors(labels[order], probabilities[order])
    assert set(order[shuffled.suspects]) == set(found.suspects)
    assert shuffled.score == pytest.approx(found.score[order])
    assert shuffled.joint == pytest.approx(found.joint)


def test_scores_are_what_their_definitions_say():
    labels = np.array([0, 1, 2])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4]])
    assert normalised_margin(labels, probabilities) == pytest.approx([0.5, -0.1, 0.1])
    assert self_confidence(labels, probabilities) == pytest.approx([0.7, 0.4, 0.4])


@pytest.mark.parametrize("ranking", ["margin", "self_confidence"])
def test_suspects_come_the_most_suspicious_first(ranking):
    found = find_label_errors(*random_labels(300, 4, 3), ranking=ranking)
    assert len(found.suspects) > 10
    assert (np.diff(found.score[found.suspects]) >= 0).all()


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


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.15])
def test_planted_errors_are_found(noise):
    features, labels, true, wrong = blobs(noise)
    rng = np.random.default_rng(1)
    found = find_label_errors(labels, out_of_fold(features, labels, neighbours, rng))
    caught = wrong[found.suspects]
    assert caught.sum() / wrong.sum() >= 0.7
    assert caught.mean() >= 0.75
    # Whoever asks on down the ranking, past the suspects, finds nearly all.
    lowest = np.argsort(found.score)[: round(1.2 * wrong.sum())]
    assert wrong[lowest].sum() / wrong.sum() >= 0.9
    right_class = found.suggested[caught] == true[found.suspects[caught]]
    assert right_class.mean() >= 0.95
    assert found.noise_rate == pytest.approx(wrong.mean(), abs=0.03)
    assert found.n_wrong == round(found.noise_rate * len(labels))
    # Asking again in this order finds them sooner than any other would by chance.
    first = found.suspects[: wrong.sum() // 2]
    assert wrong[first].mean() >= 0.95


def test_where_no_label_is_wrong_next_to_none_is_suspected():
    features, labels, _, _ = blobs(0.0)
    rng = np.random.default_rng(1)
    found = find_label_errors(labels, out_of_fold(features, labels, neighbours, rng))
    assert len(found.suspects) <= 0.02 * len(labels)
    assert found.noise_rate <= 0.02


def test_certain_and_right_probabilities_leave_no_suspect():
    labels = np.array([0, 1, 2, 1])
    found = find_label_errors(labels, np.eye(3)[labels])
    assert len(found.suspects) == 0 and found.noise_rate == 0 and found.n_wrong == 0


def test_one_class_only_has_no_errors():
    found = find_label_errors(np.zeros(5, int), np.ones((5, 1)))
    assert len(found.suspects) == 0 and found.joint.tolist() == [[1.0]]
    assert normalised_margin(np.zeros(5, int), np.ones((5, 1))).tolist() == [1.0] * 5
    wide = find_label_errors(np.zeros(4, int), np.full((4, 3), 1 / 3))  # two classes nobody used
    assert len(wide.suspects) == 0 and np.isnan(wide.thresholds[1:]).all()


def test_a_class_that_is_never_confident_draws_no_suspects():
    labels = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.7, 0.1, 0.2],
         [0.1, 0.8, 0.1], [0.1, 0.7, 0.2], [0.2, 0.3, 0.5]]
    )  # fmt: skip
    found = find_label_errors(labels, probabilities)
    assert 2 not in found.suggested and len(found.suspects) == 0


class Spy:
    """Knows what it was trained on, and says nothing of classes it has not seen."""

    trained: ClassVar[list[set[int]]] = []

    def fit(self, features, labels):
        self.classes_ = np.unique(labels)
        self.seen = set(features[:, 0].astype(int).tolist())
        Spy.trained.append(self.seen)
        return self

    def predict_proba(self, features):
        assert not self.seen & set(features[:, 0].astype(int).tolist())
        return np.full((len(features), len(self.classes_)), 1 / len(self.classes_))


def test_no_item_is_predicted_by_a_model_that_was_trained_on_it():
    Spy.trained = []
    features = np.arange(23)[:, None]
    labels = np.repeat([0, 1, 3], [12, 10, 1])
    probabilities = out_of_fold(
        features, labels, Spy, np.random.default_rng(0), folds=4, n_classes=5
    )
    assert len(Spy.trained) == 4 and set.union(*Spy.trained) == set(range(23))
    assert probabilities.shape == (23, 5)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(23))
    assert (probabilities[:, [2, 4]] == 0).all()
    assert probabilities[22, 3] == 0  # its only item: the model that predicts it never saw class 3


def test_folds_hold_classes_evenly_and_the_same_seed_gives_the_same():
    features, labels, _, _ = blobs(0.05, n_items=120)
    first = out_of_fold(features, labels, neighbours, np.random.default_rng(5), folds=3)
    again = out_of_fold(features, labels, neighbours, np.random.default_rng(5), folds=3)
    other = out_of_fold(features, labels, neighbours, np.random.default_rng(6), folds=3)
    assert (first == again).all() and (first != other).any()


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


class NoClasses:
    def fit(self, features, labels):
        return self

    def predict_proba(self, features):
        return np.full((len(features), 3), 1 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds=1"),
        ({"folds": 5}, "folds=5"),
        ({"labels": np.array([0, 1, 0])}, "labels=3"),
        ({"labels": np.array([0.0, 1, 0, 1])}, "labels=float64"),
        ({"labels": np.array([0, 1, 0, -1])}, "labels=-1"),
        ({"n_classes": 1}, "labels=1"),
        ({"make": NoClasses}, "predict_proba="),
    ],
)
def test_folds_that_cannot_be_are_refused(change, message):
    options = {
        "features": np.eye(4),
        "labels": Y,
        "make": lambda: KNeighborsClassifier(1),
        "folds": 2,
    } | change
    with pytest.raises(ParameterError, match=message):
        out_of_fold(rng=np.random.default_rng(0), **options)


def test_an_unknown_ranking_is_refused():
    with pytest.raises(ParameterError, match="ranking=luck"):
        find_label_errors(Y, P, ranking="luck")
