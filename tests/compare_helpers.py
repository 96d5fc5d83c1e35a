"""Made-up runs and tables, for the tests of the comparison."""

import json
from pathlib import Path

from alutils.stats import compare, tables

NAMES = tables.Vocabulary(protocols=("noise", "as_logged", "as_stated"))
ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "results" / "published.csv"
ARTICLE = {"train_start": 0, "test_start": 0, "n_train": 4000, "n_test": 400}
ARTICLE |= {"batch": 10, "budget": 400}
REPORT = {"threshold": 0.6, "epochs": 10, "preprocessing": "raw"}
COUNTS = {
    row["arm"]: int(row["value"])
    for row in compare.read_published(PUBLISHED)
    if row["metric"] == "n_right"
}


def rows_of(counts, **changes):
    row = {"protocol": "published", "split": "test", "metric": "n_right", "n_human": 400}
    row |= {"n_eval": 400, **changes}
    return [row | {"arm": arm, "value": value} for arm, value in counts.items()]


def table_of(rows, experiment="mnist", run_id="r"):
    return tables.tidy(rows, NAMES, run_id=run_id, experiment=experiment, seed=0, round=0, n_auto=0)


def run_of(folder, rows, parameters=ARTICLE, status="complete", provenance="mnist", **kinds):
    """Make a run's folder as `runs` leaves it."""
    folder.mkdir()
    about = {"status": status, "parameters": parameters, "machine": {"cpu": "x86 of a test"}}
    about["inputs"] = {"letters": {"sha256": "0", "provenance": provenance}}
    (folder / "manifest.json").write_text(json.dumps(about))
    (folder / "metrics.csv").write_text(tables.as_csv(table_of(rows, **kinds)))
    return folder
