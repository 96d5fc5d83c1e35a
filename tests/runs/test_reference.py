"""A notebook whose experiment shares its name with a sweep is published beside it, not over it."""

import pandas as pd
import pytest

from alutils.base import manifest
from alutils.runs.notebook import headless, runs, shown
from alutils.runs.publish import reference
from alutils.stats import tables


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Return the results/ of a repository in which the sweep of strategies is published."""
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    results = tmp_path / "results"
    results.mkdir()
    manifest.write_json(results / "strategies.manifest.json", {"experiment": "curve"})
    manifest.write_json(
        results / "findings.json", {"strategies_gains": {"finding": "Swept.", "of": "strategies"}}
    )
    for name in ("strategies.csv", "strategies_summary.csv"):
        (results / name).write_text("of the sweep\n")
    return results


@pytest.fixture
def finished(tmp_path):
    """Return the folder of a full run of the notebook."""
    run = tmp_path / "run"
    (run / "tables").mkdir(parents=True)
    about = {"status": "complete", "profile": "full", "experiment": "strategies", "run_id": "r"}
    manifest.write_json(run / "manifest.json", about)
    row = {
        "run_id": "r", "experiment": "strategies", "protocol": "sound", "arm": "digits_margin",
        "seed": 0, "round": 0, "n_human": 10, "n_auto": 0, "split": "test", "metric": "accuracy",
        "value": 0.5, "n_eval": 9,
    }  # fmt: skip
    (run / "metrics.csv").write_text(tables.as_csv(tables.tidy(pd.DataFrame([row]))))
    (run / "tables" / "strategies_advice.csv").write_text("a\n1\n")
    manifest.write_json(run / "findings.json", {"gains": {"finding": "Of the notebook."}})
    return run


def test_a_full_run_of_notebook_04_leaves_the_sweeps_tables_alone(published, finished):
    reference.publish(finished)
    assert sorted(path.name for path in published.glob("*.csv")) == [
        "strategies.csv", "strategies_notebook.csv", "strategies_notebook_advice.csv",
        "strategies_summary.csv",
    ]  # fmt: skip
    assert (published / "strategies.csv").read_text() == "of the sweep\n"
    texts = manifest.read_json(published / "findings.json")
    assert {name: text["finding"] for name, text in texts.items()} == {
        "strategies_gains": "Swept.", "strategies_notebook_gains": "Of the notebook.",
    }  # fmt: skip


def test_a_full_run_is_not_refused_for_the_sweeps_name_before_it_begins(published, monkeypatch):
    begun = []
    monkeypatch.setattr(headless, "parameters_of", lambda *_: {})
    monkeypatch.setattr(headless, "execute", lambda *given: begun.append(given) or _stop())
    with pytest.raises(runs.RunError, match="enough"):
        reference.run(["strategies"], [])
    assert begun == [("strategies", "full")]
    with pytest.raises(runs.RunError, match="of the experiment curve"):
        reference.run(["strategies"], [], "strategies")


def _stop():
    raise runs.RunError("enough")


def test_only_a_notebook_goes_by_another_name():
    assert set(shown.PUBLISHED_AS) <= set(runs.NOTEBOOKS)
    assert not set(shown.PUBLISHED_AS.values()) & set(runs.NOTEBOOKS)
