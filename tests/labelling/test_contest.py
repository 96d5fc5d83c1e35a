"""Who is at work: by out-of-fold accuracy, and not by a hair."""

import numpy as np
import pytest

from alutils.base.errors import ParameterError
from alutils.labelling.model import contest
from alutils.labelling.model.contest import BROUGHT, NETWORK, QUICK, SPREAD


def answers(y, right, rng, n_classes=5):
    """Return probabilities that have a share of the items right, drawn anew each time."""
    wrong = rng.permutation(len(y)) >= round(right * len(y))
    said = np.where(wrong, (y + 1) % n_classes, y)
    return np.eye(n_classes)[said] * 0.8 + 0.04


def test_the_clearly_better_learner_takes_the_place():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 100)
    each = {QUICK: answers(y, 0.7, rng), NETWORK: answers(y, 0.9, rng)}
    name, accuracy = contest.choose(each, y, QUICK)
    assert name == NETWORK
    assert accuracy == pytest.approx({QUICK: 0.7, NETWORK: 0.9})
    assert contest.choose(each, y, NETWORK)[0] == NETWORK


def test_a_hair_changes_nothing_in_either_direction():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 5, 100)
    each = {QUICK: answers(y, 0.80, rng), NETWORK: answers(y, 0.83, rng)}
    assert contest.choose(each, y, QUICK)[0] == QUICK
    assert contest.choose(each, y, NETWORK)[0] == NETWORK


def test_learners_that_are_equally_good_seldom_change_places():
    rng = np.random.default_rng(2)
    changed = 0
    for _ in range(200):
        y = rng.integers(0, 5, 150)
        each = {QUICK: answers(y, 0.8, rng), SPREAD: answers(y, 0.8, rng)}
        changed += contest.choose(each, y, QUICK)[0] != QUICK
    assert changed / 200 < 0.2


def test_an_average_is_taken_where_it_is_as_good_and_not_where_it_is_worse():
    y = np.arange(40) % 2
    half = np.arange(40) < 20
    # Each learner is sure where it is right and unsure where it is wrong: together they are right.
    one = np.where(half[:, None], np.eye(2)[y], np.eye(2)[1 - y] * 0.2 + 0.4)
    other = np.where(~half[:, None], np.eye(2)[y], np.eye(2)[1 - y] * 0.2 + 0.4)
    both = contest.with_averages({QUICK: one, NETWORK: other})
    assert set(both) == {QUICK, NETWORK, "quick + network"}
    assert contest.choose(both, y, QUICK)[0] == "quick + network"
    assert contest.parts_of("quick + network") == [QUICK, NETWORK]
    # The average with a bad one is clearly worse than the good one alone.
    bad = contest.with_averages({QUICK: 1 - np.eye(2)[y], NETWORK: np.eye(2)[y] * 0.6 + 0.2})
    assert contest.choose(bad, y, QUICK)[0] == NETWORK


def test_only_what_is_there_is_averaged_and_all_names_are_known():
    p = np.full((3, 2), 0.5)
    assert set(contest.with_averages({QUICK: p, BROUGHT: p})) == {QUICK, BROUGHT}
    everything = contest.with_averages({QUICK: p, SPREAD: p, NETWORK: p})
    assert set(everything) <= set(contest.known())
    with pytest.raises(ParameterError, match="current=spread"):
        contest.choose({QUICK: p}, np.zeros(3, int), SPREAD)


def test_rows_of_zeros_are_wrong():
    y = np.zeros(30, int)
    none = np.zeros((30, 2))
    assert contest.choose({QUICK: none, NETWORK: np.eye(2)[y]}, y, QUICK) == (
        NETWORK,
        {QUICK: 0.0, NETWORK: 1.0},
    )


@pytest.mark.parametrize("n_worse", [0, 1, 2, 9])
def test_an_average_is_given_up_only_for_what_is_clearly_better_than_it(n_worse):
    y = np.zeros(50, int)
    right, wrong = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    good = np.tile(right, (50, 1))
    poor = np.tile(right, (50, 1))
    poor[:20] = wrong
    average = np.tile(right, (50, 1))
    average[:n_worse] = wrong
    each = {QUICK: poor, SPREAD: good, "spread + network": average}
    name, _ = contest.choose(each, y, QUICK)
    assert name == (SPREAD if n_worse == 9 else "spread + network")
