"""Stopping rules: when they stop, when they do not, and what they refuse."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from alutils.active.stopping import (
    FewUnsure,
    Look,
    Plateau,
    StablePredictions,
    TargetAccuracy,
    kappa,
    none_unsure,
)
from alutils.stats.intervals import lower_bound

Y = np.random.default_rng(0).integers(0, 3, 1000)
X = np.arange(1000)


def look(number=0, predicted=Y, confidence=()):
    """Return a round whose model predicts these classes and is this sure of the unlabelled."""
    confidence = np.asarray(confidence, float)
    return Look(
        number,
        n_human=10 * (number + 1),
        n_auto=0,
        n_unlabelled=len(confidence),
        probabilities=lambda: np.column_stack([confidence, 1 - confidence]),
        predict=lambda x: predicted[x],
    )


def wrong_in(n):
    """Return predictions with this many errors."""
    predicted = Y.copy()
    predicted[:n] = (predicted[:n] + 1) % 3
    return predicted


def stops_at(rule, predictions):
    """Return the first round at which the rule stops, or None."""
    for number, predicted in enumerate(predictions):
        if rule(look(number, predicted)):
            return number
    return None


def test_probabilities_are_computed_only_when_asked_for_and_only_once():
    calls = []

    def probabilities():
        calls.append(1)
        return np.full((4, 2), 0.5)

    seen = Look(0, 1, 0, 4, probabilities, lambda x: x)
    TargetAccuracy(X, Y, 0.5)(Look(0, 1, 0, 4, probabilities, lambda x: Y[x]))
    assert calls == []
    assert FewUnsure()(seen) is None
    assert none_unsure(0.9)(seen) is None
    assert calls == [1]


def test_the_target_is_reached_at_it_not_just_under_it():
    rule = TargetAccuracy(X, Y, 0.95)
    assert rule(look(predicted=wrong_in(51))) is None
    assert "accuracy 0.9500 on 1000 validation items" in rule(look(predicted=wrong_in(50)))


def test_with_a_level_the_lower_bound_has_to_reach_the_target():
    rule = TargetAccuracy(X, Y, 0.95, level=0.95)
    stopped = [n for n in range(60) if rule(look(predicted=wrong_in(n)))]
    # The definition: stop where so few errors are too rare (5%) were the accuracy at the target.
    expected = [n for n in range(60) if stats.binom.cdf(n, 1000, 0.05) <= 0.05]
    assert stopped == expected
    assert 0 < len(stopped) < 50


@pytest.mark.parametrize(("n_right", "n"), [(0, 5), (5, 5), (299, 299), (90, 100)])
def test_the_lower_bound_is_clopper_and_pearsons(n_right, n):
    # SciPy's two-sided interval at 90% has the one-sided 95% bound as its lower end.
    interval = stats.binomtest(n_right, n).proportion_ci(0.9, method="exact")
    assert lower_bound(n, n - n_right, 0.95) == pytest.approx(interval.low, abs=1e-12)


def test_a_validation_set_that_can_never_show_the_target_is_refused():
    with pytest.raises(
        ValueError, match=r"298 validation items, all right, show 0.98999\d.*give more"
    ):
        TargetAccuracy(X[:298], Y[:298], 0.99, level=0.95)
    assert TargetAccuracy(X[:299], Y[:299], 0.99, level=0.95)(look()) is not None


def test_a_plateau_is_so_many_rounds_without_a_rise_over_the_best():
    errors = [500, 400, 300, 310, 305, 300, 299, 299, 350, 299]
    predictions = [wrong_in(n) for n in errors]
    # Rises at rounds 1, 2 and 6 (299 errors beat 300); rounds 7, 8, 9 do not.
    assert stops_at(Plateau(X, Y, patience=3), predictions) == 5
    assert stops_at(Plateau(X, Y, patience=4), predictions) is None
    assert stops_at(Plateau(X, Y, patience=4), [*predictions, wrong_in(299)]) == 10
    # 0.5 to 0.7 is a rise by 0.2, not by more.
    assert stops_at(Plateau(X, Y, patience=3, gain=0.2), predictions) == 3
    assert stops_at(Plateau(X, Y, patience=1, gain=0.0), predictions) == 3


def test_small_rises_in_a_row_are_a_plateau_only_together():
    slow = [wrong_in(n) for n in range(500, 400, -4)]  # by 0.004 each round
    assert stops_at(Plateau(X, Y, patience=4, gain=0.01), slow) is None
    assert stops_at(Plateau(X, Y, patience=4, gain=0.05), slow) == 4


def test_stable_predictions_stop_when_kappa_averages_so_much_over_so_many_rounds():
    rng = np.random.default_rng(1)
    predictions = [Y]
    for n_changed in [300, 100, 30, 10, 5, 5, 5, 0]:
        changed = predictions[-1].copy()
        at = rng.permutation(len(Y))[:n_changed]
        changed[at] = (changed[at] + 1) % 3
        predictions.append(changed)
    kappas = [cohen_kappa_score(a, b) for a, b in itertools.pairwise(predictions)]
    expected = next(i for i in range(3, 9) if np.mean(kappas[i - 3 : i]) >= 0.99)
    assert 3 < expected < 8
    assert stops_at(StablePredictions(X), predictions) == expected
    assert stops_at(StablePredictions(X, agreement=1.0, over=1), predictions) == 8


def test_identical_models_need_as_many_rounds_as_the_rule_averages():
    assert stops_at(StablePredictions(X, over=3), [Y] * 10) == 3


def test_models_that_name_one_class_throughout_are_not_stable():
    assert stops_at(StablePredictions(X), [np.zeros_like(Y)] * 10) is None


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_cohens(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.choice([0, 3, 7], (2, 60))
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    assert kappa(a, a) == pytest.approx(1)


@pytest.mark.parametrize("rule", [Plateau(X, Y, patience=9), StablePredictions(X)])
def test_a_rule_with_a_memory_refuses_a_second_loop(rule):
    for number in range(3):
        assert rule(look(number, wrong_in(100 * number))) is None
    with pytest.raises(ValueError, match=r"shown round 0 after round 2.*make a new one"):
        rule(look(0))


def test_at_most_the_share_of_the_unlabelled_may_be_unsure():
    rule = FewUnsure()
    assert rule(look(confidence=[0.59] * 3 + [0.9] * 27)) is not None
    assert rule(look(confidence=[0.59] * 4 + [0.9] * 26)) is None
    assert "3 of 30 unlabelled items (10.00%) have a confidence under 0.6" in rule(
        look(confidence=[0.59] * 3 + [0.9] * 27)
    )
    assert rule(look(confidence=[0.6] * 5)) is not None  # at the threshold is not under it


@pytest.mark.parametrize("n_unsure", range(1, 100))
def test_a_share_that_is_met_exactly_stops(n_unsure):
    rule = FewUnsure(0.8, share=n_unsure / 100)
    assert rule(look(confidence=[0.7] * n_unsure + [0.9] * (100 - n_unsure))) is not None
    assert rule(look(confidence=[0.7] * (n_unsure + 1) + [0.9] * (99 - n_unsure))) is None


def test_none_unsure_waits_for_the_last_one():
    assert none_unsure(0.8)(look(confidence=[0.79] + [0.99] * 999)) is None
    assert none_unsure(0.8)(look(confidence=[0.8] + [0.99] * 999)) is not None


def test_an_empty_pool_has_nothing_unsure():
    assert FewUnsure()(look()) == "every item of the pool has a label"


def test_rules_leave_what_they_are_shown_as_it_is():
    predicted, y = wrong_in(10), Y.copy()
    before = predicted.copy()
    for rule in (TargetAccuracy(X, y, 0.5), Plateau(X, y, 2), StablePredictions(X)):
        rule(look(0, predicted))
        rule(look(1, predicted))
    assert np.array_equal(predicted, before)
    assert np.array_equal(y, Y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: TargetAccuracy(X, Y, 1.5), r"target=1.5: expected an accuracy from 0 to 1"),
        (lambda: TargetAccuracy(X, Y, np.nan), r"target=nan"),
        (lambda: TargetAccuracy(X, Y, 0.9, level=1.0), r"level=1.0: expected a confidence"),
        (lambda: TargetAccuracy(X, Y[:9], 0.9), r"y=\(9,\) labels for 1000 items"),
        (lambda: TargetAccuracy(X[:0], Y[:0], 0.9), r"y=\(0,\) labels for 0 items"),
        (lambda: Plateau(X, Y, patience=0), r"patience=0: expected a whole number, 1 or more"),
        (lambda: Plateau(X, Y, patience=2.5), r"patience=2.5"),
        (lambda: Plateau(X, Y, patience=True), r"patience=True"),
        (lambda: Plateau(X, Y, 2, gain=-0.1), r"gain=-0.1: expected a number from 0 to 1"),
        (lambda: StablePredictions(X[:0]), r"x=empty: the stop set holds no items"),
        (lambda: StablePredictions(X, over=0), r"over=0: expected a whole number"),
        (lambda: StablePredictions(X, agreement=2), r"agreement=2"),
        (lambda: FewUnsure(threshold=60), r"threshold=60: expected a number from 0 to 1"),
        (lambda: FewUnsure(share=10), r"share=10"),
        (
            lambda: TargetAccuracy(X, Y, 0.9)(look(predicted=np.zeros((1000, 3)))),
            r"predict: an array of shape \(1000, 3\) for 1000 items",
        ),
        (lambda: FewUnsure()(look(confidence=[0.9, np.nan])), r"row 1 holds NaN"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value_and_what_was_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
