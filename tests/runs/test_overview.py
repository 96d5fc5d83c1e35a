"""What the README says first follows the results: its three sentences and its table of claims."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from fair_rows import fair_rows

from alutils.runs.publish import overview, page_costs, page_tables

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def change(tmp_path, monkeypatch):
    """Return a function that sets values in a table of a copy of results/."""
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (tmp_path / "results").mkdir()
    for path in [*(ROOT / "results").glob("*.csv"), *(ROOT / "results").glob("*.json")]:
        shutil.copy(path, tmp_path / "results")

    def set_values(name, where, **values):
        path = tmp_path / "results" / f"{name}.csv"
        table = pd.read_csv(path)
        rows = table.query(where).index
        assert len(rows)
        for column, value in values.items():
            table.loc[rows, column] = value
        table.to_csv(path, index=False)

    return set_values


def cells(of: int) -> list[str]:
    """Return a row of the table of claims."""
    return [cell.strip() for cell in overview.overview().splitlines()[2 + of].split("|")[1:-1]]


def test_the_claim_is_three_sentences_with_the_numbers_of_the_results(change):
    change("mnist_percentiles", "arm == 'active'", mean=301.2, sd=7.6, published=377)
    change("mnist_sound_differences", "claim.str.contains('random')", mean=0.021, low=0.01)
    change("published", "arm == 'active' and metric == 'accuracy'", value=0.8475)
    change("label_costs_summary", "metric == 'labels_expected'", mean=1111.4)
    change("fair_costs", "way == 'active_unlabelled'", labels=2222.4)
    first, second, third = overview.claim().splitlines()
    assert (
        "377 of 400 test digits right" in first
        and "gives 301 on average (standard deviation 8)." in first
    )
    assert "+2.1 points of test accuracy (95% interval +1.0 to " in second
    assert "table has +1.0." in second
    assert "2,222 from those and unlabelled images" in third
    assert "To have 30,000 digits labelled" in third
    assert "For 4,227 capital letters, 98% of the labels right, it takes 1,111: 26%" in third


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.01, 0.02, "statistically tied with a random choice"),
        (0.001, 0.02, "better than a random choice"),
        (-0.02, -0.001, "worse than a random choice"),
    ],
)
def test_the_reports_loop_is_called_what_its_interval_says(change, low, high, says):
    change("az_differences", "claim.str.contains('loop beats')", low=low, high=high)
    assert says in overview.claim()


def test_a_way_is_told_of_where_it_was_measured(change, tmp_path):
    way = "from random ones and unlabelled images"
    path = tmp_path / "results" / "fair_costs.csv"
    fair_rows().to_csv(path, index=False)
    assert f"3,000 {way}" in overview.claim()
    assert "1,050 labels on average" in cells(2)[4]
    fair_rows(labels={"active": (900.0,)}).to_csv(path, index=False)
    assert way not in overview.claim() and "900 from those that it asks for" in overview.claim()


def test_letters_stand_beside_the_digits_only_where_their_audits_accept(change):
    assert "capital letters" in overview.claim()
    change("label_costs_summary", "protocol == 'letters' and metric == 'accept_chance'", mean=0.2)
    assert "capital letters" not in overview.claim()


@pytest.mark.parametrize(
    ("percentile", "says"),
    [(99.5, "It is a lucky draw"), (50.0, "an ordinary draw"), (1.0, "an unlucky draw")],
)
def test_a_draw_is_called_lucky_by_its_percentile(change, percentile, says):
    change("mnist_percentiles", "arm == 'active'", percentile=percentile)
    assert says in overview.claim()


def test_what_the_results_do_not_show_is_not_claimed(change):
    exact = "protocol == 'published' and metric == 'n_right' and arm == 'active'"
    change("mnist", exact, value=358.0)
    change("mnist_sound_differences", "claim.str.contains('random')", low=-0.01, high=0.02)
    change("strategies_summary", "arm == 'margin'", low=-0.01)
    assert "does not come out exactly" in overview.claim()
    assert "active learning is statistically tied with a random choice" in overview.claim()
    assert "margin sampling is statistically tied with" in cells(4)[4]


def test_a_classifier_with_fewer_draws_says_so(change):
    change("az_classifiers", "classifier.str.contains('small network')", draws=2)
    change("az_classifiers", "not classifier.str.contains('small network')", draws=5)
    lines = page_tables.classifiers().splitlines()
    assert "mean of 5 draws" in lines[0]
    assert [line for line in lines if "(draws: 2)" in line] == [
        line for line in lines if "small network" in line
    ]


def test_what_the_page_on_guarantees_says_of_its_tables_is_so():
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    table = pd.read_csv(ROOT / "results" / "guarantee.csv").query("noise == 'none'")
    broken = table.groupby("rule")["broken"]
    assert "a fixed threshold of 0.6, always breaks" in text
    assert broken.min()["fixed 0.6"] == 1
    assert "breaks it about every second time" in text
    guess = "lowest that looks right"
    assert 0.4 <= broken.min()[guess] <= broken.max()[guess] <= 0.6
    # An audit is weighted where a uniform one of the same model was tried beside it.
    assert "The audits are weighted where the table *weighted and uniform audits*" in text


def test_a_percentile_counts_equal_runs_half_wherever_it_is_explained():
    (said,) = [
        line
        for line in (ROOT / "results/README.md").read_text("utf-8").splitlines()
        if "percentile is the share" in line.lower()
    ]
    assert "half" in said


def test_how_many_repeated_runs_reach_the_published_count_is_said_with_its_interval(change):
    said = cells(0)[2]
    assert "reached by 2 of 200 runs with numerical noise (0.1% to 3.6% of such runs)" in said
    change("mnist_percentiles", "arm == 'active'", published=340)
    assert "reached by 18" in cells(0)[2]


def test_that_auto_labelling_adds_nothing_is_contradicted_only_by_a_whole_interval(change):
    change("mnist_sound_differences", "claim.str.contains('at once')", mean=0.002, low=-0.001)
    assert cells(1)[3].endswith(": inconclusive")
    change("mnist_sound_differences", "claim.str.contains('at once')", low=0.001)
    assert cells(1)[3].endswith(": contradicted")


def test_a_missed_count_is_not_called_exact(change):
    exact = "protocol == 'published' and metric == 'n_right' and arm == 'first'"
    change("mnist", exact, value=153.0)
    assert cells(0)[2].startswith("5 of 6 counts exact")


def test_a_setting_in_which_the_loop_moved_nothing_is_left_out(change):
    change("az_rounds", "setting == 'as_stated' and round == 0", moved_unsure=0.25)
    assert cells(4)[2].startswith("25.0% of the letters it moves are unsure")
    change("az_rounds", "setting == 'as_logged' and round == 0", moved_unsure=float("nan"))
    assert "logged" not in page_tables.moved()
    assert "In the stated setting, 25.0% of what" in page_tables.moved()


def test_trust_in_the_reports_threshold_is_measured_at_that_threshold(change):
    change("az_procedure", "threshold == 0.6", auto_precision=0.5)
    assert cells(5)[3] == "50.0% of such labels are right"


def test_the_mean_over_all_draws_of_an_audit_goes_before_that_of_those_that_happened(change):
    arm = "protocol == 'mnist' and arm == 'active_unlabelled'"
    change("label_costs_summary", f"{arm} and metric == 'labels_to_certify'", mean=900.0)
    change("label_costs_summary", f"{arm} and metric == 'labels_expected'", mean=1000.0)
    assert page_costs.labels_in_all("mnist")["active_unlabelled"].mean == 1000
    change("label_costs_summary", f"{arm} and metric == 'labels_expected'", seeds=0)
    assert page_costs.labels_in_all("mnist")["active_unlabelled"].mean == 900


def test_margin_is_best_or_tied_in_all_settings_as_the_readme_says():
    assert "Margin: it is best or statistically tied" in (ROOT / "README.md").read_text("utf-8")
    best = pd.read_csv(ROOT / "results" / "strategies_best.csv")
    tied = best[best["arm"] == "margin"]
    assert set(tied["protocol"]) == set(best["protocol"])


def test_no_code_names_stand_in_what_pages_show():
    texts = [overview.claim(), overview.overview(), page_tables.claims("az_differences")]
    texts += [page_tables.strategies(), page_tables.no_better(), page_tables.moved()]
    texts += [page_tables.published_against_ours(name) for name in ("mnist", "az")]
    texts += [page_costs.label_costs(), page_costs.reached(), page_costs.audits()]
    assert [text for text in texts if "_" in text] == []
