"""What labelled pools cost, compared fairly: sums over seeds, the table, the figure, the words."""

import numpy as np
import pandas as pd
import pytest
from fair_rows import fair_rows
from matplotlib import pyplot as plt

from alutils.experiments.label_costs import fair
from alutils.experiments.label_costs.fewest_labels import ARMS


def test_a_cost_is_the_mean_over_seeds_and_its_parts_sum_up_to_it():
    found = fair.costs(fair_rows(), "digits", 0.99)
    assert list(found) == ["active_unlabelled", "active", "random_unlabelled", "random"]
    cost = found["active_unlabelled"]
    assert (cost.mean, cost.seeds, cost.audits) == (1050, 2, 80)
    assert cost.trained + cost.by_hand + cost.audited == cost.mean
    assert cost.high - cost.mean == pytest.approx(12.7062 * np.std([1000, 1100], ddof=1) / 2**0.5)
    assert (cost.refused, cost.untrue) == (0.1, 0.025)


def test_only_rows_of_these_pictures_and_this_promise_count():
    table = pd.concat([fair_rows(), fair_rows("letters", 0.98, 5284), fair_rows(target=0.95)])
    assert fair.costs(table, "digits", 0.99) == fair.costs(fair_rows(), "digits", 0.99)
    assert fair.costs(table, "clothes", 0.9) == {}
    assert fair.all_of(table) == [("digits", 0.95), ("digits", 0.99), ("letters", 0.98)]


def test_the_table_has_a_row_a_way_and_says_where_people_label_most_of_it():
    table = pd.concat([fair_rows(), fair_rows("letters", 0.98, 5284)])
    shown = fair.as_table(table)
    assert len(shown) == 8 and len(shown.columns) <= 8
    assert shown.iloc[0, 0] == "30,000 digits, 99%"
    assert shown.iloc[0, 2].startswith("1,050 (") and shown.iloc[0, 2].endswith("3.5% of the pool")
    assert shown.iloc[0, 3] == "400 + 100 + 550"
    much = shown[shown.iloc[:, 2].str.endswith("most of it by people")]
    assert list(much.iloc[:, 1]) == ["random + unlabelled images", "random"]
    assert not shown.map(lambda text: "_" in text).any(axis=None)


def test_the_bars_are_the_means_and_the_finding_says_what_they_are():
    drawn, alt, finding = fair.figure(fair_rows())
    panel = drawn.axes[0]
    assert panel.get_xscale() == "linear"
    shown = [way for way in ARMS if way in set(fair_rows()["way"])]
    means = [fair.costs(fair_rows(), *fair.FIRST)[way].mean for way in shown]
    assert [bar.get_width() for bar in panel.patches] == [30_000, *means]
    assert "active + unlabelled images 1,050 (3.5%)" in finding and "30,000 digits" in alt
    assert "_" not in alt + finding
    plt.close(drawn)


def test_one_seed_has_no_interval_and_still_a_figure():
    one = fair_rows(labels={"active": (900.0,)})
    assert np.isnan(fair.costs(one, *fair.FIRST)["active"].low)
    drawn, _, finding = fair.figure(one)
    assert "active 900 (3.0%)" in finding
    plt.close(drawn)


def test_effects_stand_beside_labels_chosen_at_random():
    said = fair.effects(fair.costs(fair_rows(), *fair.FIRST))
    assert said == (
        "For the same pool it takes on average, with labels chosen at random 4,200; with active "
        "choice alone 2,100 (-50%); with the unlabelled images alone 3,000 (-29%)."
    )
    assert fair.effects({}) == ""
