"""Out-of-fold predictions: no item is predicted by a model that saw its label."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from alutils.base.errors import ParameterError
from alutils.models.out_of_fold import dealt, out_of_fold

Y = np.array([0, 1, 0, 1])


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
    fold = dealt(labels, 4, np.random.default_rng(0))
    probabilities = out_of_fold(Spy, features, labels, fold, n_classes=5)
    assert len(Spy.trained) == 4 and set.union(*Spy.trained) == set(range(23))
    assert probabilities.shape == (23, 5)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(23))
    assert (probabilities[:, [2, 4]] == 0).all()
    assert probabilities[22, 3] == 0  # its only item: the model that predicts it never saw class 3


def test_folds_hold_classes_evenly_and_the_same_seed_gives_the_same():
    labels = np.random.default_rng(0).integers(0, 6, 120)
    first, again, other = (dealt(labels, 3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    for number in range(6):
        counts = np.bincount(first[labels == number], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert (first == again).all() and (first != other).any()


def test_a_model_may_be_trained_on_some_of_the_other_folds_only():
    Spy.trained = []
    features, labels, fold = np.arange(30)[:, None], np.arange(30) % 2, np.arange(30) // 10
    out_of_fold(Spy, features, labels, fold, n_classes=2, n_seen=1)
    assert [min(seen) for seen in Spy.trained] == [10, 20, 0]
    assert [len(seen) for seen in Spy.trained] == [10] * 3


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
        "n_classes": 2,
    } | change
    folds = options.pop("folds", 2)
    with pytest.raises(ParameterError, match=message):
        out_of_fold(fold=dealt(Y, folds, np.random.default_rng(0)), **options)
