"""The benchmark of label costs: one rule for all, and no picture of the trials is published."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alutils.data.rendering import rendered_dataset
from alutils.guarantee.terms import allowed_errors
from benchmarks import fair_costs, fair_costs_runs
from benchmarks.fair_costs import Numbers, Part, Table, costs, settled
from benchmarks.fair_costs_runs import Networks, Pools, State


@pytest.fixture
def state():
    """Give a state of 3,000 items: 200 are trained on, 1% of the rest is wrong, and unsure."""
    rng, n = np.random.default_rng(0), 3000
    labels = rng.integers(0, 5, n)
    order = rng.permutation(n)[:200]
    waits = np.setdiff1d(np.arange(n), order)
    p = np.full((len(waits), 5), 0.01, np.float32)
    p[np.arange(len(waits)), labels[waits]] = 0.96
    for i in rng.permutation(len(waits))[:28]:
        p[i] = 0.125
        p[i, (labels[waits[i]] + 1) % 5] = 0.5
    return State(labels, order, p, 1.0)


def test_costs_count_all_labels_and_every_refusal(state):
    came = costs(state, Numbers(200, 20, 0.004), 0.98, seed=1, draws=6)
    again = costs(state, Numbers(200, 20, 0.004), 0.98, seed=1, draws=6)
    assert np.array_equal(came.labels, again.labels)
    assert (came.labels > 220).all() and (came.labels < 3000).all()
    assert (came.attempts == 1).all() and not came.untrue.any()
    assert (1 - came.right <= allowed_errors(3000, 0.98) / 3000).all()
    hopeless = replace(state, p=np.roll(state.p, 1, axis=1))  # all wrong
    came = costs(hopeless, Numbers(200, 20, 0.004), 0.98, seed=1, draws=2)
    assert (came.attempts > 1).all() and not came.untrue.any()


def trials(*rows):
    columns = ["set", "way", "target", "seed", "trained", "by_hand", "expected", "labels"]
    return pd.DataFrame([("digits", "active", 0.99, *row) for row in rows], columns=columns)


def test_the_rule_takes_the_rung_with_the_fewest_labels_on_average():
    table = trials(
        (100, 300, 0, 0.003, 900), (100, 300, 100, 0.003, 800), (101, 300, 100, 0.003, 1200),
        (100, 500, 50, 0.002, 950), (101, 500, 150, 0.008, 970),
    )  # fmt: skip
    assert settled(table, "digits", "active", 0.99) == Numbers(500, 100, 0.004)
    assert settled(table, "digits", "random", 0.99) is None
    assert settled(pd.DataFrame(), "digits", "active", 0.99) is None


def test_a_rung_where_a_seed_has_nothing_that_fits_is_not_taken():
    table = trials((100, 300, 0, 0.003, 500), (101, 300, np.nan, np.nan, np.nan),
                   (100, 500, 0, 0.003, 900), (101, 500, 0, 0.003, 900))  # fmt: skip
    assert settled(table, "digits", "active", 0.99).trained == 500


@pytest.mark.slow
def test_each_part_grows_row_by_row_and_is_not_made_again(tmp_path, monkeypatch):
    letters = rendered_dataset(600, 0)
    pools = Pools((0.5,), lambda: letters, lambda: letters)
    part = Part("letters", "random", pools, Networks(2, 1, 3, 2, 0), tmp_path / "kept")
    trial_table, table = Table(tmp_path / "trials.csv"), Table(tmp_path / "table.csv")
    fair_costs.climb(trial_table, part, [100])
    fair_costs.publish(table, trial_table.frame, part, [0], 2)
    assert set(table.frame["way"]) == {"random"} and len(table.frame) == 1
    monkeypatch.setattr(fair_costs, "states", lambda *_: pytest.fail("trained again"))
    trial_table, again = Table(tmp_path / "trials.csv"), Table(tmp_path / "table.csv")
    fair_costs.climb(trial_table, part, [100])
    fair_costs.publish(again, trial_table.frame, part, [0], 2)
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_trials_and_what_is_published_share_no_picture():
    digits = fair_costs_runs.SETS["digits"]
    both = [{image.tobytes() for image in part().images} for part in
            (digits.trials, digits.published)]  # fmt: skip
    assert min(map(len, both)) > 29_000 and len(both[0] & both[1]) == 0
