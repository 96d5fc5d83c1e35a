"""Means over seeds, and the one interval of Student's t."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alutils.stats.intervals import over_seeds, t_interval


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
