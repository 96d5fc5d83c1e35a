"""Sweeps in results/: what is kept of them, and what their experiment makes of them."""

import importlib
import textwrap

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alutils.__main__ import main
from alutils.base import manifest
from alutils.experiments.base import Experiment
from alutils.experiments.registry import EXPERIMENTS
from alutils.runs.notebook import runs
from alutils.runs.publish import from_sweeps
from alutils.runs.sweeps import grids
from alutils.runs.sweeps import sweep as sweeps
from alutils.stats import tables

RUN = """
    from dataclasses import dataclass

    PROTOCOL = "better"

    @dataclass(frozen=True)
    class Settings:
        way: str = "a"
        size: int = 1
        seed: int = 0

    def run(settings):
        # Two arms a cell, two rounds with the same human labels; a tenth has no exact float.
        way, size, seed = settings.way, settings.size, settings.seed
        return [
            dict(protocol=PROTOCOL, arm=f"{way}{copy}", round=i, n_human=10 * (i // 2 + 1),
                 split="test", metric="accuracy", n_eval=100,
                 value=((ord(way) - 97) + 10 * copy + 100 * i + 1000 * size + seed ** 2) / 1e5 / 3)
            for copy in (1, 2) for i in range(4)
        ]
"""
HOOKS = """
    from matplotlib.figure import Figure

    def publish(table, timings):
        took = timings.merge(table[["run_id", "arm"]].drop_duplicates(), on="run_id")
        return {
            "cells": took.groupby("arm", as_index=False).agg(n=("wall_s", "size")),
            "thirds": table[["arm", "way", "seed", "value"]].head(1),
        }

    def figures(table):
        figure = Figure()
        figure.subplots().plot(table["n_human"], table["value"])
        return {"all": (figure, "A line.", f"Highest: {table['value'].max():.2f}.")}
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Return a maker of experiments, ``made_up`` or another name, in a repository of their own."""
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "results").mkdir()

    def make(*parts, experiment="made_up", shows=None):
        name = f"{experiment}_{tmp_path.name}"  # modules and their hashes are kept by name
        (tmp_path / f"{name}.py").write_text("".join(map(textwrap.dedent, parts)))
        module = importlib.reload(importlib.import_module(name))
        if hasattr(module, "run"):
            shows = shows or module
            summarise, figures = getattr(shows, "publish", None), getattr(shows, "figures", None)
            made = Experiment(
                experiment, module.Settings, module.run, summarise=summarise, figures=figures
            )
            monkeypatch.setitem(EXPERIMENTS, experiment, made)
        return module

    return make


@pytest.fixture
def sweep(tmp_path):
    """Return a maker of finished sweeps: a folder's name, and what its grid file says."""

    def make(folder="first", grid=None, seeds=3, experiment="made_up", **content):
        content |= {"name": "few", "experiment": experiment, "seeds": seeds}
        content["grid"] = grid or {"way": ["a", "b"]}
        done = sweeps.run(grids.parse(content), jobs=1, folder=tmp_path / folder)
        assert not done.failures
        return done.folder

    return make


def names(written):
    return sorted(path.name for path in written)


def files(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in sorted((root / "results").rglob("*"))
        if path.is_file()
    }


def test_an_experiment_that_says_nothing_is_published_with_means_over_seeds(
    made_up, sweep, tmp_path
):
    made_up(RUN)
    folder = sweep(seeds=4)
    written = from_sweeps.publish(folder)
    assert names(written) == ["few.csv", "few.manifest.json", "few_summary.csv"]
    rows = tables.read(tmp_path / "results" / "few.csv")
    whole = tables.read(folder / "table.csv")
    pd.testing.assert_frame_equal(rows, whole, check_exact=True)
    out = pd.read_csv(tmp_path / "results" / "few_summary.csv")
    assert list(out.columns) == [
        "protocol", "arm", "split", "metric", "n_human", "seeds", "mean", "low", "high",
    ]  # fmt: skip
    assert len(out) == 4 * 2 and (out["seeds"] == 4).all()  # after 10 and after 20 labels
    one = out.query("arm == 'b2' and n_human == 20").iloc[0]
    values = whole.query("arm == 'b2' and round == 3")["value"]
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert one[["mean", "low", "high"]].tolist() == pytest.approx([values.mean(), low, high], 1e-5)


def test_each_seed_counts_once_with_its_last_round_and_undefined_values_do_not():
    def row(seed, number, value):
        return {
            "protocol": "better", "arm": "a", "seed": seed, "round": number, "n_human": 10,
            "split": "pool", "metric": "auto_precision", "value": value,
        }  # fmt: skip

    rows = [row(0, 2, 0.5), row(0, 1, 0.9), row(1, 1, 0.7), row(2, 1, np.nan)]
    out = from_sweeps.summary(pd.DataFrame(rows)).iloc[0]
    low, high = stats.t.interval(0.95, 1, 0.6, stats.sem([0.5, 0.7]))
    assert out["seeds"] == 2 and out["mean"] == pytest.approx(0.6)
    assert low < 0 and high > 1  # what no share can be
    assert [out["low"], out["high"]] == [0, 1]
    alone = from_sweeps.summary(pd.DataFrame(rows[:2])).iloc[0]
    assert alone["mean"] == 0.5 and np.isnan(alone["low"]) and np.isnan(alone["high"])
    assert np.isnan(from_sweeps.summary(pd.DataFrame(rows[3:])).iloc[0]["mean"])


def test_an_experiments_own_tables_and_figures_are_published(made_up, sweep, tmp_path):
    made_up(RUN, HOOKS)
    folder = sweep()
    written = from_sweeps.publish(folder, "mine")
    assert names(written) == [
        "mine.csv", "mine.manifest.json", "mine_all.png", "mine_cells.csv", "mine_thirds.csv",
    ]  # fmt: skip
    results = tmp_path / "results"
    assert pd.read_csv(results / "mine_cells.csv")["n"].tolist() == [3] * 4
    thirds = (results / "mine_thirds.csv").read_text().splitlines()
    assert thirds == ["arm,way,seed,value", "a1,a,0,0.00336667"]
    assert (results / "figures" / "mine_all.png").read_bytes().startswith(b"\x89PNG")
    highest = tables.read(folder / "table.csv")["value"].max()
    assert manifest.read_json(results / "findings.json") == {
        "mine_all": {"alt": "A line.", "finding": f"Highest: {highest:.2f}.", "of": "mine"}
    }
    about = manifest.read_json(results / "mine.manifest.json")
    assert about == manifest.read_json(folder / "manifest.json")


def test_what_another_module_publishes_does_not_make_cells_due_again(made_up, sweep, tmp_path):
    shows = made_up(HOOKS, experiment="shows")
    module = made_up(RUN, shows=shows)
    folder = sweep()
    assert "few_thirds.csv" in names(from_sweeps.publish(folder))
    code = manifest.read_json(folder / "manifest.json")["code"]
    grids.code.cache_clear()
    (tmp_path / f"{shows.__name__}.py").write_text("# other colours\n")
    assert grids.code(module.__name__) == code
    grids.code.cache_clear()
    (tmp_path / f"{module.__name__}.py").write_text("# other rows\n")
    assert grids.code(module.__name__) != code


def test_what_is_published_no_more_goes_and_what_is_anothers_stays(made_up, sweep, tmp_path):
    made_up(RUN, HOOKS)
    folder = sweep()
    for name in (None, "few_rendered"):
        from_sweeps.publish(folder, name)
    made_up(RUN, experiment="silent")
    results = tmp_path / "results"
    for file in ("few.manifest.json", "few_rendered.manifest.json"):
        manifest.write_json(
            results / file, manifest.read_json(results / file) | {"experiment": "silent"}
        )
    from_sweeps.publish(sweep("second", experiment="silent"), "few")
    assert names(results.glob("*.csv")) == [
        "few.csv", "few_rendered.csv", "few_rendered_cells.csv", "few_rendered_thirds.csv",
        "few_summary.csv",
    ]  # fmt: skip
    assert names(results.glob("figures/*.png")) == ["few_rendered_all.png"]
    assert list(manifest.read_json(results / "findings.json")) == ["few_rendered_all"]


def test_the_arms_of_a_later_sweep_stand_in_the_place_of_the_first_ones(made_up, sweep, tmp_path):
    made_up(RUN, HOOKS)
    first = sweep()
    later = sweep("later", grid={"way": ["b", "c"]}, seeds=2)
    table = pd.read_csv(later / "table.csv").query("arm != 'b2'").assign(value=0.5)
    table.to_csv(later / "table.csv", index=False)
    from_sweeps.publish(first, "both", [later])
    results = tmp_path / "results"
    old, both = tables.read(first / "table.csv"), tables.read(results / "both.csv")
    seeds = both.groupby("arm")["seed"].nunique().to_dict()
    assert seeds == {"a1": 3, "a2": 3, "b1": 2, "b2": 3, "c1": 2, "c2": 2}
    is_new = both["arm"].isin(["b1", "c1", "c2"])
    assert (both[is_new]["value"] == 0.5).all()
    pd.testing.assert_frame_equal(
        both[~is_new].reset_index(drop=True),
        old[old["arm"] != "b1"].reset_index(drop=True),
        check_exact=True,
    )
    # One time for each cell: three of a, three of b (two of them the later ones), two of c.
    counted = pd.read_csv(results / "both_cells.csv").set_index("arm")["n"].to_dict()
    assert counted == seeds
    about = manifest.read_json(results / "both.manifest.json")
    assert [one["n_cells"] for one in about["mended_by"]] == [4] and about["n_cells"] == 6


def test_a_sweep_onto_what_is_published_gives_what_both_sweeps_give_together(
    made_up, sweep, tmp_path
):
    made_up(RUN)
    results = tmp_path / "results"
    first, later = sweep(), sweep("later", grid={"way": ["b", "c"]}, seeds=2)
    from_sweeps.publish(first, "both", [later])
    at_once = {name: (results / name).read_bytes() for name in ("both.csv", "both_summary.csv")}
    from_sweeps.publish(first, "both")
    assert (results / "both.csv").read_bytes() != at_once["both.csv"]
    from_sweeps.publish(later, "both", onto=True)
    assert {name: (results / name).read_bytes() for name in at_once} == at_once
    about = manifest.read_json(results / "both.manifest.json")
    assert [one["n_cells"] for one in about["mended_by"]] == [4] and about["n_cells"] == 6
    from_sweeps.publish(later, "both", onto=True)
    assert len(manifest.read_json(results / "both.manifest.json")["mended_by"]) == 2


def test_times_of_arms_that_no_later_sweep_has_stay_when_it_is_published_onto_them(
    made_up, sweep, tmp_path
):
    hooks = """
        import pandas as pd

        def publish(table, timings):
            took = timings.merge(table[["run_id", "arm"]].drop_duplicates(), on="run_id")
            means = took.groupby("arm", as_index=False)["wall_s"].mean()
            return {"summary": means.rename(columns={"wall_s": "mean"}).assign(metric="wall_s")}
    """
    made_up(RUN, hooks)
    path = tmp_path / "results" / "both_summary.csv"
    from_sweeps.publish(sweep(), "both")
    before = pd.read_csv(path).set_index("arm")["mean"]
    from_sweeps.publish(sweep("later", grid={"way": ["b", "c"]}), "both", onto=True)
    after = pd.read_csv(path).set_index("arm")["mean"]
    assert sorted(after.index) == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert after[["a1", "a2"]].equals(before[["a1", "a2"]])


def test_what_is_published_is_made_again_from_its_long_table(made_up, sweep, tmp_path):
    made_up(RUN)
    from_sweeps.publish(sweep(), "both")
    before, path = files(tmp_path), tmp_path / "results" / "both_summary.csv"
    path.write_text("an older one")
    from_sweeps.again("both")
    assert files(tmp_path) == before


def test_a_sweep_onto_a_name_that_nothing_bears_is_refused(made_up, sweep, tmp_path):
    made_up(RUN)
    with pytest.raises(runs.RunError, match=r"results/none\.csv is not there: publish without"):
        from_sweeps.publish(sweep(), "none", onto=True)
    assert not files(tmp_path)


def test_times_are_of_the_cells_whose_rows_are_published(made_up, sweep, tmp_path):
    made_up(RUN, '\ndef publish(table, timings):\n    return {"cells": timings[["run_id"]]}\n')
    later = sweep("later", grid={"way": ["b"]}, fixed={"size": 2})  # cells by other names
    from_sweeps.publish(sweep(), None, [later])
    results = tmp_path / "results"
    runs_published = tables.read(results / "few.csv")["run_id"].unique()
    assert sorted(pd.read_csv(results / "few_cells.csv")["run_id"]) == sorted(runs_published)
    assert len(runs_published) == 6


def test_the_same_arm_of_another_protocol_is_not_replaced(made_up, sweep, tmp_path):
    made_up(RUN)
    first = sweep()
    later = sweep("later")
    table = pd.read_csv(later / "table.csv").assign(protocol="sound")
    table.to_csv(later / "table.csv", index=False)
    from_sweeps.publish(first, None, [later])
    both = tables.read(tmp_path / "results" / "few.csv")
    assert both.groupby("protocol").size().to_dict() == {"better": 48, "sound": 48}


def test_parameters_that_no_arm_tells_stay_beside_the_rows(made_up, sweep, tmp_path):
    made_up(RUN)
    folder = sweep(grid={"way": ["a", "b"], "size": [10, 2]})
    from_sweeps.publish(folder)
    header = (tmp_path / "results" / "few.csv").read_text().splitlines()[0]
    assert header == ",".join([*tables.COLUMNS, "size"])
    out = pd.read_csv(tmp_path / "results" / "few_summary.csv")
    gap = out.query("size == 10")["mean"].to_numpy() - out.query("size == 2")["mean"].to_numpy()
    assert gap == pytest.approx([8000 / 1e5 / 3] * 8, 1e-4) and (out["seeds"] == 3).all()
    before = files(tmp_path)
    with pytest.raises(runs.RunError, match="size: it tells rows of an arm apart"):
        from_sweeps.publish(folder, None, [sweep("later", grid={"way": ["b"]})])
    assert files(tmp_path) == before


def test_names_that_look_like_nothing_or_a_number_are_kept_as_texts(made_up, sweep, tmp_path):
    made_up(RUN)
    folder = sweep(grid={"way": ["a"]})
    table = pd.read_csv(folder / "table.csv")
    table["arm"] = table["arm"].map({"a1": "None", "a2": "010"})
    table.to_csv(folder / "table.csv", index=False)
    from_sweeps.publish(folder)
    for file in ("few.csv", "few_summary.csv"):
        published = pd.read_csv(tmp_path / "results" / file, dtype=str, keep_default_na=False)
        assert set(published["arm"]) == {"None", "010"}


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"status": "incomplete"}, None, "first: not a finished sweep"),
        ({"experiment": "mnist"}, None, "first: mnist swept; expected a sweep of"),
        ({}, "strategies", "strategies: results/strategies. are of the experiment curve"),
    ],
)
def test_a_sweep_that_cannot_be_published_changes_nothing(
    made_up, sweep, tmp_path, change, name, says
):
    made_up(RUN)
    folder = sweep()
    about = manifest.read_json(folder / "manifest.json")
    manifest.write_json(folder / "manifest.json", about | change)
    manifest.write_json(tmp_path / "results" / "strategies.manifest.json", {"experiment": "curve"})
    before = files(tmp_path)
    with pytest.raises(runs.RunError, match=says):
        from_sweeps.publish(folder, name)
    assert files(tmp_path) == before


def test_later_sweeps_are_of_the_same_experiment(made_up, sweep, tmp_path):
    made_up(RUN)
    made_up(RUN, experiment="other")
    with pytest.raises(runs.RunError, match="later: other swept; expected made_up"):
        from_sweeps.publish(sweep(), None, [sweep("later", experiment="other")])
    assert files(tmp_path) == {}


def test_a_figure_that_fails_leaves_what_was_published(made_up, sweep, tmp_path):
    made_up(RUN, HOOKS, '\ndef figures(table):\n    raise ValueError("no colours")\n')
    with pytest.raises(ValueError, match="no colours"):
        from_sweeps.publish(sweep())
    assert files(tmp_path) == {}


def test_the_command_publishes_sweeps_and_renews_the_readme(made_up, sweep, tmp_path, capsys):
    made_up(RUN)
    first, later = sweep(), sweep("later", grid={"way": ["c"]})
    capsys.readouterr()
    (tmp_path / "README.md").write_text("Nothing to fill in.\n")
    command = ["reference", "--sweep", str(first), "--sweep", str(later), "--as", "mine"]
    assert main(command) == 0
    written = capsys.readouterr().out.splitlines()
    assert [line.rpartition("/")[2] for line in written] == [
        "mine.csv", "mine_summary.csv", "mine.manifest.json", "README.md",
    ]  # fmt: skip
    assert set(tables.read(tmp_path / "results" / "mine.csv")["arm"]) == {
        "a1", "a2", "b1", "b2", "c1", "c2",
    }  # fmt: skip


def test_rendered_letters_are_published_under_a_name_that_says_so(made_up, sweep, tmp_path):
    made_up(RUN)
    folder = sweep()
    about = manifest.read_json(folder / "manifest.json")
    manifest.write_json(folder / "manifest.json", about | {"inputs": [{"images": "rendered"}]})
    with pytest.raises(runs.RunError, match=r"few: these letters are rendered.*--as few_rendered"):
        from_sweeps.publish(folder)
    assert not list((tmp_path / "results").rglob("few*"))
    assert names(from_sweeps.publish(folder, "few_rendered"))[0] == "few_rendered.csv"
