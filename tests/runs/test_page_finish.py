"""The tables of what finishing takes say what the results say."""

import pandas as pd
import pytest

from alutils.runs.publish import page_finish

TABLES = {
    "finish": pd.DataFrame(
        {
            "run": ["letters_tool"], "target": [0.98], "trained": [600], "by_hand": [20.4],
            "audited": [290.0], "labels": [910.4], "accuracy": [0.99569], "attempts": [1.0],
            "notebook_labels": [941.2], "ratio": [0.967],
        }
    ),
    "finish_forecast": pd.DataFrame(
        {
            "run": ["mnist4k_tool"] * 2 + ["lower_quick"] * 2, "took": [50.0, 100, 150, 200],
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


def test_what_it_takes():
    row = page_finish.finish().splitlines()[-1]
    assert "5,284 real capital letters" in row and "the tool as it is" in row
    assert "| 98% | 910 | 600 + 20 + 290 | 99.57% | 1.0 | 941 | 0.97 |" in row


def test_how_often_forecasts_were_right():
    lines = page_finish.finish_forecast().splitlines()
    assert "| 2 | 75% | 0.75 |" in lines[-3] and "| 2 | 100% | 1.75 |" in lines[-2]
    assert lines[-1].startswith("| all |") and "| 4 | 88% | 1.25 |" in lines[-1]


def test_what_attacks_come_to():
    row = page_finish.finish_attacks().splitlines()[-1]
    assert row == "| anywhere | tries again | weighted | 1,000 | 0.8% (0.4% to 1.6%) | 91% |"
