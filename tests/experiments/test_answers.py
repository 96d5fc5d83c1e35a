"""What notebook 05 says at its beginning and at its end, from results/."""

import pandas as pd
import pytest

from alutils.base import manifest
from alutils.experiments import label_costs
from alutils.experiments.label_costs import noisy_humans

SUMMARY = [
    ("random", "labels_to_certify", 13_000.0), ("random", "labels_expected", 13_200.0),
    ("random_unlabelled", "labels_to_certify", 11_000.0),
    ("active", "labels_to_certify", 2600.0), ("active", "labels_expected", 2700.0),
    ("active_unlabelled", "labels_to_certify", 1200.0),
    ("active_unlabelled", "labels_expected", 1500.0),
    ("active_unlabelled", "accept_chance", 0.9),
]  # fmt: skip


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def test_the_answer_gives_the_mean_over_all_draws_and_tells_the_two_effects_apart(results):
    sizes = [(arm, "n_pool", 60_000.0) for arm, *_ in SUMMARY]
    table = pd.DataFrame([*SUMMARY, *dict.fromkeys(sizes)], columns=["arm", "metric", "mean"])
    table = table.assign(protocol="mnist", seeds=3, of=3, low=0.0, high=0.0)
    table.to_csv(results / "label_costs_summary.csv", index=False)
    rows = [("certified", 0.04), ("fixed 0.6", 1.0)]
    guarantee = pd.DataFrame(rows, columns=["rule", "broken"]).assign(noise="none")
    guarantee.to_csv(results / "guarantee.csv", index=False)
    manifest.write_json(results / "guarantee.manifest.json", {"parameters": {"level": 0.9}})
    lines = label_costs.answer().lines
    assert len(lines) == 3
    assert "**On average 1,500 human labels**" in lines[0] and "2.5% of all" in lines[0]
    assert "(mean over all draws of the audit, 10.0% of them refused)" in lines[0]
    assert lines[1] == (
        "For the same pool it takes on average, with labels chosen at random 13,200; with active "
        "choice alone 2,700 (-80%); with the unlabelled images alone 11,000 (-17%). (13,200 and "
        "2,700 are each the mean over all draws of the audit; 11,000 is the mean of the 3 audits "
        "drawn.)"
    )
    assert "at most 4.0% of the audits (10% allowed)" in lines[2] and "up to 100%" in lines[2]
    assert "_" not in "".join(lines)


def test_arms_that_were_never_certified_are_no_answer(results):
    rows = [("mnist", "active", "labels_to_certify", 0, 3), ("mnist", "active", "n_pool", 3, 3)]
    table = pd.DataFrame(rows, columns=["protocol", "arm", "metric", "seeds", "of"])
    table = table.assign(mean=60_000.0, low=0.0, high=0.0)
    table.to_csv(results / "label_costs_summary.csv", index=False)
    assert label_costs.answer().lines == (
        "No audit of the sweeps was passed: nothing was certified.",
    )  # fmt: skip


def test_without_results_the_notebook_says_what_is_missing(results):
    assert "label_costs_summary.csv is not there" in label_costs.answer().lines[0]
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
