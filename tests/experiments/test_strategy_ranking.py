"""Ranks over settings, against published numbers and by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.experiments import strategies
from alutils.experiments.strategies import reference
from alutils.experiments.strategies.ranking import critical_difference, ranking


@pytest.mark.parametrize(
    ("n_arms", "n_settings", "level", "published"),
    [
        (4, 14, 0.95, 1.25),  # Demšar (2006): 2.569 and 2.291 times the root of 4·5 / (6·14)
        (4, 14, 0.90, 1.12),
        (10, 30, 0.95, 2.47),  # the table's 3.164 times the root of 10·11 / (6·30)
    ],
)
def test_the_critical_difference_is_the_published_one(n_arms, n_settings, level, published):
    assert critical_difference(n_arms, n_settings, level) == pytest.approx(published, abs=0.01)


def summary(areas):
    """Return a summary of {setting: {arm: area}}."""
    rows = [(setting, arm, area) for setting, own in areas.items() for arm, area in own.items()]
    return pd.DataFrame(rows, columns=["protocol", "arm", "area"])


def test_ranks_are_means_where_areas_are_equal_and_the_best_comes_first():
    found = ranking(
        summary(
            {
                "x": {"a": 0.5, "b": 0.9, "c": 0.9, "only here": 1.0},
                "y": {"a": 0.1, "b": 0.8, "c": 0.7},
            }
        )
    )
    assert found.mean.to_dict() == {"b": 1.25, "c": 1.75, "a": 3.0}
    assert list(found.mean.index) == ["b", "c", "a"]
    assert found.tied == ["b", "c", "a"]  # two settings tell nothing


@given(st.integers(3, 6), st.integers(2, 6), st.randoms(use_true_random=False))
def test_ranks_add_up_and_do_not_depend_on_the_order_of_rows(n_arms, n_settings, chance):
    areas = {f"s{s}": {f"a{a}": chance.random() for a in range(n_arms)} for s in range(n_settings)}
    table = summary(areas)
    found = ranking(table)
    assert (found.ranks.sum() == n_arms * (n_arms + 1) / 2).all()
    again = ranking(table.sample(frac=1, random_state=0))
    assert again.mean.sort_index().equals(found.mean.sort_index())


def test_many_settings_that_agree_leave_one_alone_at_the_top():
    rng = np.random.default_rng(0)
    areas = {
        f"s{s}": {"a": 0.9, "b": 0.5, "c": 0.2, "d": 0.1 + rng.normal(0, 1e-3)} for s in range(30)
    }
    found = ranking(summary(areas))
    assert found.tied == ["a"] and found.p < 1e-6


@pytest.mark.parametrize(
    "areas", [{"x": {"a": 1, "b": 2, "c": 3}}, {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 2}}]
)
def test_too_few_to_rank_are_refused(areas):
    with pytest.raises(ValueError, match="ranks need 3 on 2 settings"):
        ranking(summary(areas))


def test_the_finding_names_the_first_of_each_setting_and_those_that_are_worse(monkeypatch):
    areas = {f"s{s}": {"margin": 0.9, "badge": 0.8, "random": 0.3, "bald": 0.2} for s in range(12)}
    monkeypatch.setattr(reference, "_all_settings", lambda: summary(areas))
    found = strategies.ranks()
    assert "Over 12 settings margin has the best mean rank, 1.0 of 4" in found.text
    assert "1 of the others are statistically tied with it" in found.text
    assert "significantly worse: random, BALD" in found.text
    assert "margin on s0; margin on s1" in found.text
    assert found.figure.axes[0].get_xlabel() and found.alt
