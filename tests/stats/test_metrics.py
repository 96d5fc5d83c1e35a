"""Metrics: scikit-learn's numbers, closed forms, and what happens to classes that are not there."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from alutils.stats.metrics import classification_metrics, confusion
from alutils.stats.tables import METRICS


def scikit_learn(y_true, y_pred):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a class that is predicted but not there
        macro = {"average": "macro", "zero_division": 0}
        return {
            "accuracy": sk.accuracy_score(y_true, y_pred),
            "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
            "precision_macro": sk.precision_score(y_true, y_pred, **macro),
            "recall_macro": sk.recall_score(y_true, y_pred, **macro),
            "f1_macro": sk.f1_score(y_true, y_pred, **macro),
            "mcc": sk.matthews_corrcoef(y_true, y_pred),
        }


def drawn(case, rng):
    """Return true and predicted labels of ten classes."""
    y_true = rng.choice(10, 300, p=rng.dirichlet(np.full(10, 0.5)))
    guess = rng.integers(0, 10, 300)
    y_pred = np.where(rng.random(300) < 0.7, y_true, guess)
    if case == "a class missing from the truth":
        y_true = np.where(y_true == 3, 4, y_true)
        y_pred[:5] = 3
    elif case == "a class never predicted":
        y_pred = np.where(y_pred == 0, 1, y_pred)
    elif case == "a class in neither":
        y_true, y_pred = (np.where(y == 7, 8, y) for y in (y_true, y_pred))
    elif case == "one class in the truth":
        y_true = np.full(300, 2)
    elif case == "one class predicted":
        y_pred = np.full(300, 2)
    return y_true, y_pred


CASES = (
    "all classes there",
    "a class missing from the truth",
    "a class never predicted",
    "a class in neither",
    "one class in the truth",
    "one class predicted",
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(case, seed):
    y_true, y_pred = drawn(case, np.random.default_rng(seed))
    ours = classification_metrics(y_true, y_pred, 10)
    assert ours == pytest.approx(scikit_learn(y_true, y_pred), abs=1e-12)


def test_the_confusion_matrix_is_that_of_scikit_learn():
    y_true, y_pred = drawn("a class in neither", np.random.default_rng(1))
    expected = sk.confusion_matrix(y_true, y_pred, labels=range(10))
    assert np.array_equal(confusion(y_true, y_pred, 10), expected)


def test_guessing_the_largest_class_gets_its_share_and_nothing_else():
    y_true = np.repeat([0, 1, 2, 3], [70, 10, 10, 10])
    ours = classification_metrics(y_true, np.zeros(100, int), 4)
    assert ours["accuracy"] == pytest.approx(0.7)
    assert ours["balanced_accuracy"] == ours["recall_macro"] == pytest.approx(1 / 4)
    assert ours["precision_macro"] == pytest.approx(0.7 / 4)
    assert ours["f1_macro"] == pytest.approx(2 * 70 / 170 / 4)
    assert ours["mcc"] == 0


def test_two_classes_have_matthews_own_formula():
    # 40 true positives, 10 false negatives, 5 false positives, 45 true negatives
    y_true = np.repeat([1, 1, 0, 0], [40, 10, 5, 45])
    y_pred = np.repeat([1, 0, 1, 0], [40, 10, 5, 45])
    expected = (40 * 45 - 5 * 10) / np.sqrt(45 * 50 * 50 * 55)
    assert classification_metrics(y_true, y_pred, 2)["mcc"] == pytest.approx(expected)


def test_perfect_predictions_score_one_in_everything():
    y = np.array([0, 2, 2, 5])
    assert set(classification_metrics(y, y, 26).values()) == {1.0}


def test_a_class_predicted_but_not_there_lowers_macro_recall_and_not_balanced_accuracy():
    ours = classification_metrics(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), 3)
    assert ours["balanced_accuracy"] == pytest.approx(3 / 4)
    assert ours["recall_macro"] == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_class_sizes_of_the_real_data_do_not_overflow():
    y = np.repeat(np.arange(26, dtype=np.uint8), 14_325)  # 372,450 labels, squared beyond 32 bits
    assert classification_metrics(y, np.roll(y, 5), 26) == pytest.approx(
        scikit_learn(y, np.roll(y, 5)), abs=1e-12
    )


def test_a_results_table_takes_every_metric():
    assert set(classification_metrics(np.array([0]), np.array([0]), 1)) <= set(METRICS)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "message"),
    [
        ([0, 1], [0, 26], ValueError, "y_pred holds 26: expected 0 to 25"),
        ([-1, 1], [0, 1], ValueError, "y_true holds -1"),
        ([0, 1], [0], ValueError, "as long as"),
        ([[0, 1]], [[0, 1]], ValueError, "expected two vectors"),
        (np.zeros(0, int), np.zeros(0, int), ValueError, "nothing to measure"),
        ([0, 1], [0.2, 0.8], TypeError, "argmax"),
    ],
)
def test_what_is_not_labels_is_refused_by_name(y_true, y_pred, error, message):
    with pytest.raises(error, match=message):
        classification_metrics(y_true, y_pred, 26)
