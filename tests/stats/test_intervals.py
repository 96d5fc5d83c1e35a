"""Means over seeds, and the one interval of Student's t."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alutils.stats.intervals import Reached, clearly_better, over_seeds, t_interval, wilson


def test_the_interval_is_students_and_wider_for_seeds_that_share_their_data():
    values = np.array([0.91, 0.88, 0.94, 0.9])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    wider = stats.t.interval(0.95, 3, values.mean(), values.std(ddof=1) * np.sqrt(1 / 4 + 0.25))
    assert t_interval(values, 0.25) == pytest.approx(wider)
    assert np.isnan(t_interval(values[:1])).all() and np.isnan(t_interval([])).all()


def test_seeds_without_a_value_are_counted_apart():
    table = pd.DataFrame(
        {"arm": list("bbbaa"), "seed": [2, 0, 1, 0, 1], "value": [3.0, np.nan, 1.0, np.nan, np.nan]}
    )
    b, a = over_seeds(table, ["arm"]).to_dict("records")
    assert (b["arm"], b["seeds"], b["of"], b["mean"], b["least"], b["most"]) == ("b", 2, 3, 2, 1, 3)
    assert (b["low"], b["high"]) == pytest.approx(t_interval([1.0, 3.0]))
    assert (a["arm"], a["seeds"], a["of"]) == ("a", 0, 2)
    assert np.isnan([a["mean"], a["low"], a["high"], a["least"], a["most"]]).all()


def test_an_interval_over_seeds_stays_within_what_its_metric_can_be():
    rows = [
        {"metric": metric, "seed": seed, "value": value}
        for metric, values in {
            "auto_coverage": (0.0, 0.6, 0.75), "labels_expected": (3.0, 40.0, 900.0),
            "saved_by_weighting": (-80.0, 5.0, 90.0),
        }.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    out = over_seeds(pd.DataFrame(rows), ["metric"]).set_index("metric")
    assert out.loc["auto_coverage", ["low", "high"]].tolist() == [0, 1]
    assert out.loc["labels_expected", "low"] == 0 < out.loc["labels_expected", "high"]
    assert out.loc["saved_by_weighting", "low"] < -80  # a difference may be anything


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 3), (92736, 111735)])
def test_wilsons_interval_is_scipys(right, n):
    oracle = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right / n, n) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def test_clearly_better_is_a_gain_of_so_many_standard_errors_on_the_same_items():
    before = np.arange(100) < 80
    right = before | (np.arange(100) >= 96)  # four more, none lost: a gain of .04, error .0196
    assert clearly_better(right, before, errors=2) and not clearly_better(right, before, errors=2.1)
    assert not clearly_better(right, before, errors=1, least=0.04)
    assert not clearly_better(before, right, errors=0)
    assert not clearly_better(right, right, errors=1)


@pytest.mark.parametrize(("n", "of"), [(0, 7), (2, 200), (100, 200), (7, 7), (1, 1)])
def test_how_many_replicates_reach_a_value_has_its_exact_interval(n, of):
    draws = np.array([30.0] * (of - n) + [34.0, 36.0] * n)[:of]
    found = Reached.by(34, draws)
    exact = stats.binomtest(n, of).proportion_ci(0.95, method="exact")
    assert (found.n, found.of) == (n, of)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_two_of_two_hundred_are_a_few_in_a_thousand_or_in_thirty():
    assert Reached.by(359, np.array([359, 360] + [340] * 198)).share == "0.1% to 3.6%"
