"""The README and the reference results say the same, and what the README names is there."""

import re
from pathlib import Path

import pandas as pd
import pytest

from alutils import compare, manifest, reference, runs, tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_tables_are_what_the_results_say():
    assert reference.refreshed(README) == README
    assert "<!-- table: mnist -->" in README


def test_an_unknown_table_in_the_readme_is_refused():
    with pytest.raises(runs.RunError, match="table nmist"):
        reference.refreshed("<!-- table: nmist -->\n<!-- end -->")


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_that_the_readme_names_is_in_the_makefile():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", README)) <= targets


def test_every_reference_table_is_read_and_has_a_complete_manifest():
    there = sorted((ROOT / "results").glob("*.manifest.json"))
    assert there
    for path in there:
        about = manifest.read_json(path)
        assert about["status"] == "complete"
        assert about["git"]["commit"] and about["packages"] and about["machine"]["cpu"]
        table = path.with_name(path.name.replace(".manifest.json", ".csv"))
        assert table.is_file()
        if "run_id" in about:
            assert len(tables.read(table))


def test_the_reference_results_hold_the_published_counts():
    results = ROOT / "results"
    frame = compare.compare([results / "mnist.csv"], results / "published.csv")
    exact = frame[(frame["protocol"] == "published") & (frame["metric"] == "n_right")]
    assert len(exact) == 6
    assert set(exact["verdict"]) == {"exact"}


def test_the_reference_replicates_are_as_many_as_promised():
    table = tables.read(ROOT / "results" / "mnist_replicates.csv")
    assert table.groupby("protocol")["seed"].nunique().min() >= 200
    sound = tables.read(ROOT / "results" / "mnist.csv").query("protocol == 'sound'")
    assert sound["seed"].nunique() >= 30
    assert (sound.query("split == 'test'")["n_eval"] == 10_000).all()


def test_a_run_that_did_not_end_is_not_published(tmp_path):
    manifest.write_json(tmp_path / "manifest.json", {"status": "failed", "experiment": "mnist"})
    with pytest.raises(runs.RunError, match="not a finished run"):
        reference.publish(tmp_path)


def test_publishing_copies_tables_figures_and_their_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    run = tmp_path / "results" / "runs" / "mnist-full-0"
    for name in ("figures", "tables"):
        (run / name).mkdir(parents=True)
    about = {"status": "complete", "experiment": "mnist"}
    manifest.write_json(run / "manifest.json", about)
    row = {
        "run_id": "r", "experiment": "mnist", "arm": "all", "seed": 0, "round": 0, "n_human": 1,
        "n_auto": 0, "split": "test", "metric": "accuracy", "value": 0.5, "n_eval": 2,
    }  # fmt: skip
    rows = [row | {"protocol": protocol} for protocol in ("published", "noise")]
    (run / "metrics.csv").write_text(tables.as_csv(tables.tidy(pd.DataFrame(rows))))
    (run / "tables" / "own.csv").write_text("a\n1\n")
    (run / "figures" / "one.png").write_bytes(b"png")
    manifest.write_json(run / "figures" / "figures.json", {"one": {"alt": "a", "finding": "b"}})
    reference.publish(run)
    results = tmp_path / "results"
    assert list(tables.read(results / "mnist.csv")["protocol"]) == ["published"]
    assert list(tables.read(results / "mnist_replicates.csv")["protocol"]) == ["noise"]
    assert (results / "mnist_own.csv").read_text() == "a\n1\n"
    assert (results / "figures" / "mnist_one.png").read_bytes() == b"png"
    assert manifest.read_json(results / "figures" / "figures.json")["mnist_one"]["alt"] == "a"
