"""What notebook 05 says at its beginning and at its end, from results/."""

import pandas as pd
import pytest
from fair_rows import fair_rows

from alutils.base import manifest
from alutils.experiments import label_costs
from alutils.experiments.label_costs import noisy_humans


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def test_the_answer_gives_the_mean_over_all_draws_and_tells_the_two_effects_apart(results):
    fair_rows().to_csv(results / "fair_costs.csv", index=False)
    rows = [("certified", 0.04), ("fixed 0.6", 1.0)]
    guarantee = pd.DataFrame(rows, columns=["rule", "broken"]).assign(noise="none")
    guarantee.to_csv(results / "guarantee.csv", index=False)
    manifest.write_json(results / "guarantee.manifest.json", {"parameters": {"level": 0.9}})
    lines = label_costs.answer().lines
    assert len(lines) == 3
    assert "**On average 1,050 human labels** have 30,000 digits labelled" in lines[0]
    assert "3.5% of all, by active + unlabelled images" in lines[0]
    assert "at random 4,200; with active choice alone 2,100 (-50%)" in lines[1]
    assert "at most 4.0% of the audits (10% allowed)" in lines[2] and "up to 100%" in lines[2]
    assert "_" not in "".join(lines)


def test_without_results_the_notebook_says_what_is_missing(results):
    assert "python -m benchmarks fair_costs" in label_costs.answer().lines[0]
    assert "label_costs_summary.csv is not there" in label_costs.sweeps_table().text
    assert "noisy_humans_summary.csv is not there" in label_costs.noisy_table().text


def test_the_table_of_wrong_answers_has_a_column_for_each_remedy(results):
    rows = [
        (arm, metric, 0.5 if "_9" in metric or metric == "accuracy" else 1234.0)
        for arm in noisy_humans.ARMS
        for metric in noisy_humans.MEASURED
    ]
    table = pd.DataFrame(rows, columns=["arm", "metric", "mean"])
    table.to_csv(results / "noisy_humans_summary.csv", index=False)
    manifest.write_json(
        results / "findings.json", {"noisy_humans_guarantee": {"finding": "So it is."}}
    )
    found = label_costs.noisy_table()
    shown = found.table.data
    assert found.text == "So it is."
    assert list(shown.columns) == list(noisy_humans.ARMS.values())
    assert set(shown.loc["human answers, training and audit"]) == {"1,234"}
    assert set(shown.loc["test accuracy"]) == {"50.0%"}


def test_the_published_tables_are_not_cut_off():
    table = label_costs.sweeps_table().table.data
    assert len(table.columns) + table.index.nlevels <= 8
    pools = table.index.get_level_values(0)
    assert all(pool.split()[0].replace(",", "").isdigit() for pool in pools)
