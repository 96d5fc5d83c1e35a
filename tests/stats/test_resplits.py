"""Intervals for re-splits of one data set, from what each item did in each seed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.base.files import repository_root
from alutils.stats.intervals import paired
from alutils.stats.resplits import item_variance, paired_items

N, N_TEST, SEEDS = 400, 120, 15


def where_tested(values, rng, n_seeds=SEEDS):
    """Return values of items, (n_items,) or (n_seeds, n_items), with NaN where not tested."""
    of = np.array(np.broadcast_to(values, (n_seeds, N)), float)
    for row in of:
        row[rng.permutation(N)[N_TEST:]] = np.nan
    return of


def test_the_variance_over_items_is_what_they_do_on_average_over_trainings():
    """Half of the items are always worse by one, and luck of each training is added to all."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        persistent = rng.permutation(np.repeat([0.0, -1.0], N // 2))
        luck = rng.normal(size=(SEEDS, N))
        found.append(item_variance(where_tested(persistent + luck, rng)))
    assert np.mean(found) == pytest.approx(0.25, abs=0.02)
    # Luck alone is none, though it is most of what one seed shows.
    none = [item_variance(where_tested(rng.normal(size=(SEEDS, N)), rng)) for _ in range(200)]
    assert np.mean(none) < 0.03


@pytest.mark.parametrize(
    ("persistent", "training"), [(1.0, 0.0), (0.0, 0.05), (0.5, 0.05), (0.2, 0.0)]
)
def test_nineteen_of_twenty_intervals_hold_the_truth_whatever_varies(persistent, training):
    """Of other data sets: items and trainings are drawn anew."""
    rng, holds, n = np.random.default_rng(1), 0, 400
    for _ in range(n):
        items = persistent * rng.choice([-1.0, 1.0], N)
        shift = training * rng.normal(size=(SEEDS, 1))
        pair = paired_items(where_tested(items + shift + rng.normal(size=(SEEDS, N)), rng))
        holds += pair.low <= 0 <= pair.high
    low, _ = stats.binom.interval(0.9999, n, 0.95)
    assert low <= holds < 0.995 * n  # nor is it far too wide


def test_where_training_varies_it_is_far_narrower_than_nadeau_and_bengios():
    rng = np.random.default_rng(2)
    of = where_tested(0.05 * rng.normal(size=(SEEDS, 1)) + 0.1 * rng.normal(size=(SEEDS, N)), rng)
    means = np.nanmean(of, axis=1)
    careful = paired(means, np.zeros(SEEDS), N_TEST / (N - N_TEST))
    ours = paired_items(of)
    assert ours.mean == pytest.approx(careful.mean)
    assert 2 * (ours.high - ours.low) < careful.high - careful.low
    assert (ours.n, ours.items, ours.test_to_train) == (SEEDS, N, 0.0)
    assert np.isnan(ours.p_signed_rank)


def test_interval_p_and_verdict_agree():
    rng = np.random.default_rng(3)
    for shift in (-0.3, 0.0, 0.02, 0.3):
        pair = paired_items(where_tested(shift + rng.normal(size=(SEEDS, N)), rng))
        assert (pair.p < 0.05) == (pair.low > 0 or pair.high < 0)
        assert pair.low < pair.mean < pair.high
    same = paired_items(where_tested(np.zeros(N), rng))
    assert (same.low, same.high, same.p, same.verdict) == (0, 0, 1.0, "inconclusive")


def test_the_sentence_says_what_it_is_for():
    rng = np.random.default_rng(4)
    said = paired_items(where_tested(rng.normal(size=(SEEDS, N)), rng)).sentence(
        "a beats b", N_TEST
    )
    assert "other images of this kind: 15 splits of 400 images, 120 of them to test" in said


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        (np.zeros(5), r"difference=\(5,\)"),
        (np.zeros((1, 5)), r"difference=\(1, 5\)"),
        (np.array([[0.0, 1.0], [np.nan, np.nan]]), "in every seed, not 1"),
        (np.array([[0.0, np.nan], [np.nan, 1.0]]), "no item in two seeds"),
    ],
)
def test_what_cannot_be_compared_is_named(difference, message):
    with pytest.raises(ParameterError, match=message):
        paired_items(difference)


def test_in_worlds_whose_truth_is_known_it_holds_it_as_often_as_it_says():
    """results/resplits.csv, by ``python -m benchmarks resplits``."""
    table = pd.read_csv(repository_root() / "results" / "resplits.csv")
    holds = table.pivot(index=["compared", "labels", "splits"], columns="interval", values="holds")
    width = table.pivot(index=["compared", "labels", "splits"], columns="interval", values="width")
    assert (holds["seeds and items"] >= 0.935).all()
    assert 0.945 <= holds["seeds and items"].mean() <= 0.965
    few = width.query("labels in (20, 60) and splits == 20")
    assert len(few) and (few["Nadeau and Bengio"] > 2.5 * few["seeds and items"]).all()
    # Where only the items vary, seeds alone do not know it.
    assert holds.loc["two fixed readers", "seeds only"].max() < 0.8
