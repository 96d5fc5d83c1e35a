"""The tables of what finishing takes say what the results say."""

import pandas as pd
import pytest

from alutils.runs.publish import page_finish

TABLES = {
    "finish": pd.DataFrame(
        {
            "run": ["mnist4k_tool", "letters_tool", "letters_tool"], "target": [0.99, 0.98, 0.98],
            "trained": [300, 600, 620], "by_hand": [0.0, 20.4, 10.0],
            "audited": [400.0, 290.0, 270.0], "labels": [700.0, 910.4, 900.0],
            "accuracy": [0.999, 0.99569, 0.99571], "attempts": [1.0, 1.0, 1.4],
            "notebook_labels": [680.0, 941.2, 920.0], "ratio": [1.03, 0.967, 0.98],
        }
    ),
    "finish_forecast": pd.DataFrame(
        {
            "run": ["mnist4k_tool"] * 2 + ["lower_quick"] * 2, "seed": [0, 0, 0, 1],
            "took": [50.0, 100, 150, 200],
            "expected": [100, 100, 100, 100], "inside": [1.0, 0.5, 1.0, 1.0],
        }
    ),
    "finish_attacks": pd.DataFrame(
        {
            "errors": ["anywhere"], "person": ["tries again"], "audit": ["weighted"],
            "projects": [1000], "false": [0.008], "false_low": [0.0035], "false_high": [0.0157],
            "certified": [0.908],
        }
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _results(monkeypatch):
    monkeypatch.setattr(page_finish, "results", TABLES.__getitem__)


def test_what_it_takes_on_average_over_the_runs():
    digits, letters = page_finish.finish().splitlines()[-2:]
    assert "| 99% | 1 | 700 | 300 + 0 + 400 | 99.90% | 1.0 | 680 | 1.03 |" in digits
    assert "5,284 real capital letters" in letters and "the tool as it is" in letters
    told = "| 98% | 2 | 905 (900 to 910) | 610 + 15 + 280 | 99.57% | 1.2 | 931 | 0.97 |"
    assert told in letters


def test_how_often_forecasts_were_right():
    lines = page_finish.finish_forecast().splitlines()
    assert "| 1 | 2 | 75% | 0.75 |" in lines[-3] and "| 2 | 2 | 100% | 1.75 |" in lines[-2]
    assert lines[-1].startswith("| all |") and "| 3 | 4 | 88% | 1.25 |" in lines[-1]


def test_what_attacks_come_to():
    row = page_finish.finish_attacks().splitlines()[-1]
    assert row == "| anywhere | tries again | weighted | 1,000 | 0.8% (0.4% to 1.6%) | 91% |"
