"""The comparison as it is read: every table in results/, the width, what differs, pairs."""

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from compare_helpers import ARTICLE, COUNTS, PUBLISHED, ROOT, rows_of, run_of, table_of
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.stats import compare, tables

RESULTS = ROOT / "results"
TABLES = sorted(RESULTS.glob("*.csv"))
LONG = [path for path in TABLES if "run_id" in path.read_text()[:200]]


@functools.cache
def blocks():
    return compare.overview(RESULTS, PUBLISHED)


@functools.cache
def compared(*names):
    return compare.compare([RESULTS / f"{name}.csv" for name in names], PUBLISHED)


def widest(text):
    return max(map(len, text.splitlines()))


def test_there_are_tables_of_both_kinds():
    assert len(LONG) >= 5
    assert len(TABLES) > len(LONG)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_table_is_compared_or_refused_with_what_can_be_compared(path):
    (block,) = [b for b in blocks() if b.path == path]
    assert bool(len(block.rows)) != bool(block.reason)
    if len(block.rows):
        assert block.rows["published"].notna().all()
    elif path in LONG:
        assert f"compare {path.stem} YOURS" in block.reason
        assert len(compared(path.stem)) > 0
    else:
        with pytest.raises(tables.TableError, match=r"shape of its own|published values"):
            compare.load([path])
        named = [p for p in LONG if f"{p.name}, of the same results" in block.reason]
        assert named or "made by `" in block.reason or path.stem.startswith("published")
    assert widest(block.text()) <= 80


def test_what_was_published_is_compared_and_nothing_else():
    assert [b.path.stem for b in blocks() if len(b.rows)] == ["az", "mnist"]


@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [80, 130])
def test_no_table_is_wider_than_the_terminal(path, width):
    frame = compared(path.stem)
    assert widest(compare.render(frame, width=width)) <= width
    sources = compare.load([path, path])
    assert widest(compare.render_differences(compare.differences(sources), width=width)) <= width


@pytest.mark.parametrize("name", ["az", "mnist"])
def test_two_runs_side_by_side_fit_the_terminal(name):
    frame = compared(name, name)
    assert widest(compare.render(frame, width=80)) <= 80


def test_replicates_miss_nothing_because_they_hold_no_published_arm():
    frame = compared("mnist_replicates")
    assert not compare.missed(frame)
    assert frame["published"].isna().all()


def test_a_table_that_holds_some_of_the_published_arms_misses_the_others(tmp_path):
    file = tmp_path / "part.csv"
    file.write_text(tables.as_csv(table_of(rows_of({"active": COUNTS["active"]}))))
    (tmp_path / "part.manifest.json").write_text(json.dumps({"parameters": ARTICLE}))
    frame = compare.compare([file], PUBLISHED)
    assert (frame["verdict"] == "missed").sum() == len(COUNTS) - 1


def test_cells_of_a_sweep_that_differ_in_a_further_column_are_told_apart():
    frame = compared("vgg16_blocks")
    few, many = (frame[frame["arm"] == f"block3 n_labels={n}"] for n in (400, 3640))
    table = pd.read_csv(RESULTS / "vgg16_blocks.csv").query("arm == 'block3'")
    for row, n in ((few, 400), (many, 3640)):
        values = table[table["n_labels"] == n]["value"]
        assert (row["n"].item(), row["n_human"].item()) == (len(values), n)
        assert row["mean"].item() == pytest.approx(values.mean())


# Values that do not compare as they stand


def test_counts_out_of_different_numbers_are_compared_as_shares(tmp_path):
    kind = {"protocol": "sound"}
    one = run_of(tmp_path / "one", rows_of({"active": 359}, **kind))
    two = run_of(tmp_path / "two", rows_of({"active": 8559}, **kind, n_eval=10_000))
    frame = compare.compare([one, two]).set_index("run")
    assert frame["as_share"].all()
    assert frame["mean"].to_dict() == {"one": 0.8975, "two": 0.8559}
    assert frame["minus_first"]["two"] == pytest.approx(0.8559 - 0.8975)
    assert "as shares: out of 400 and 10000" in compare.render(frame.reset_index())
    low, high = stats.binomtest(8559, 10_000).proportion_ci(method="wilson")
    assert (frame["low"]["two"], frame["high"]["two"]) == pytest.approx((low, high))


def test_a_count_out_of_another_number_than_the_published_one_is_given_as_a_share(tmp_path):
    rows = rows_of({"active": 8559}, n_eval=10_000)
    run = run_of(tmp_path / "r", rows, ARTICLE | {"n_test": 10_000})
    frame = compare.compare([run], PUBLISHED)
    row = frame.iloc[0]
    assert (row["published"], row["difference"]) == (0.8975, pytest.approx(0.8559 - 0.8975))
    assert row["verdict"] == "not comparable"
    assert row["reason"] == "n_test=10000, published for 400"
    assert not compare.missed(frame)


def test_a_count_whose_seeds_have_different_numbers_is_a_mean_of_shares(tmp_path):
    rows = [
        row
        for seed, (right, n) in enumerate([(50, 100), (150, 200)])
        for row in rows_of({"a": right}, seed=seed, n_eval=n, protocol="sound")
    ]
    row = compare.compare([run_of(tmp_path / "r", rows)]).iloc[0]
    assert (bool(row["as_share"]), row["mean"]) == (True, 0.625)


@pytest.mark.parametrize(
    ("metric", "values", "ends"),
    [
        ("accuracy", (0.99, 1.0, 1.0, 1.0), (None, 1.0)),
        ("auto_precision", (0.0, 0.01), (0.0, None)),
        ("f1_macro", (0.5, 1.0), (0.0, 1.0)),
        ("mcc", (-1.0, -0.9), (-1.0, None)),
        ("mcc", (0.0, 1.0), (-1.0, 1.0)),
        ("n_right", (399, 400, 400), (None, 400)),
        ("n_moved", (0, 5), (0, None)),
    ],
)
def test_no_interval_leaves_what_is_possible(tmp_path, metric, values, ends):
    rows = [
        row
        for seed, value in enumerate(values)
        for row in rows_of({"a": value}, metric=metric, seed=seed, protocol="sound")
    ]
    row = compare.compare([run_of(tmp_path / "r", rows)]).iloc[0]
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert row["low"] == pytest.approx(low if ends[0] is None else ends[0])
    assert row["high"] == pytest.approx(high if ends[1] is None else ends[1])


@pytest.mark.parametrize(("labels", "comparable"), [(55, False), (3300, True), (4100, False)])
def test_another_number_of_labels_is_not_comparable(tmp_path, labels, comparable):
    kind = {"protocol": "as_logged", "split": "pool", "metric": "accuracy", "n_eval": 1000}
    rows = rows_of({"as_published": 0.5}, **kind, n_human=labels)
    report = {"threshold": 0.6, "epochs": 10, "preprocessing": "raw"}
    row = compare.compare([run_of(tmp_path / "r", rows, report, experiment="az")], PUBLISHED).iloc[
        0
    ]
    if comparable:
        assert (row["verdict"], row["reason"]) == ("differs", "")
    else:
        assert row["verdict"] == "not comparable"
        assert row["reason"] == f"{labels:,} labels, published for 3,640"


# Runs beside each other


def with_inputs(run, sha256="a" * 64, **changes):
    about = json.loads((run / "manifest.json").read_text()) | changes
    about["inputs"] = {"letters": {"sha256": sha256, "provenance": "mnist"}}
    (run / "manifest.json").write_text(json.dumps(about))
    return run


def seeded(values, **changes):
    kind = {"protocol": "sound", "metric": "accuracy"} | changes
    return [r for s, v in enumerate(values) for r in rows_of({"a": v}, seed=s, **kind)]


OURS, BASE = [0.81, 0.84, 0.80, 0.86], [0.79, 0.83, 0.80, 0.83]


def test_the_same_seeds_on_the_same_data_are_compared_in_pairs(tmp_path):
    base = with_inputs(run_of(tmp_path / "base", seeded(BASE)))
    ours = with_inputs(run_of(tmp_path / "ours", seeded(OURS), ARTICLE | {"batch": 20}))
    row = compare.compare([base, ours]).set_index("run").loc["ours"]
    oracle = stats.ttest_rel(OURS, BASE).confidence_interval(0.95)
    assert (row["minus_low"], row["minus_high"]) == pytest.approx((oracle.low, oracle.high))
    assert (row["pairs"], row["minus_first"]) == (4, pytest.approx(np.mean(OURS) - np.mean(BASE)))
    text = compare.render(compare.compare([base, ours]))
    assert "[2] - [1]" in text and "paired" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: with_inputs(run_of(folder, seeded(OURS)), sha256="b" * 64),
        lambda folder: with_inputs(run_of(folder, seeded(OURS[:3]))),
        lambda folder: with_inputs(run_of(folder, seeded(OURS, n_eval=500))),
        lambda folder: run_of(folder, seeded(OURS)),
    ],
    ids=["other data", "other seeds", "other test images", "data not noted"],
)
def test_no_pairs_are_made_where_seeds_do_not_mean_the_same(tmp_path, change):
    base = with_inputs(run_of(tmp_path / "base", seeded(BASE)))
    row = compare.compare([base, change(tmp_path / "ours")]).set_index("run").loc["ours"]
    assert np.isnan(row["minus_low"]) and np.isnan(row["pairs"])
    assert np.isfinite(row["minus_first"])


def test_it_is_said_first_in_which_parameters_data_and_versions_runs_differ(tmp_path):
    one = with_inputs(
        run_of(tmp_path / "one", seeded(OURS)),
        git={"commit": "1" * 40, "dirty": False}, packages={"numpy": "2.4", "python": "3.11"},
    )  # fmt: skip
    two = with_inputs(
        run_of(tmp_path / "two", seeded(OURS), ARTICLE | {"budget": 800}), sha256="b" * 64,
        git={"commit": "1" * 40, "dirty": True}, packages={"numpy": "2.5", "python": "3.11"},
    )  # fmt: skip
    found = compare.differences(compare.load([one, two]))
    assert found.to_numpy().tolist() == [
        ["parameter", "budget", "400", "800"],
        ["data", "letters", "mnist aaaaaaaa", "mnist bbbbbbbb"],
        ["version", "commit", "11111111", "11111111 with changes"],
        ["version", "numpy", "2.4", "2.5"],
    ]
    text = compare.render_differences(found)
    assert text.splitlines()[:2] == ["[1]  one", "[2]  two"]
    same = compare.differences(compare.load([one, one]))
    assert "no difference is noted" in compare.render_differences(same)


def test_the_numbers_of_runs_follow_the_order_in_which_they_were_given(tmp_path):
    alone = rows_of({"a": 0.5}, metric="accuracy", protocol="published", seed=0)
    first = run_of(tmp_path / "first", seeded(OURS))
    second = run_of(tmp_path / "second", alone + seeded(BASE))
    frame = compare.compare([first, second])
    lines = compare.render(frame, runs=["first", "second"]).splitlines()
    (mine,) = [line for line in lines if "0.5000" in line]
    assert mine.startswith("a    [2]")  # the first row of the frame is of the second run
    assert frame.set_index(["run", "protocol"])["minus_first"]["second", "sound"] < 0


# What is shown


def test_rows_are_chosen_by_metric_arm_protocol_and_split():
    frame = compared("mnist")
    chosen = compare.select(frame, metric=["accuracy"], arm=["active", "all"], split=["test"])
    assert set(chosen["metric"]) == {"accuracy"}
    assert set(chosen["arm"]) == {"active", "all"}
    assert len(chosen) == 4  # two arms under two protocols
    with pytest.raises(ParameterError, match=r"--metric=acuracy: .* did you mean accuracy"):
        compare.select(frame, metric=["acuracy"])


def test_what_is_left_out_is_counted_in_one_line_that_says_how_to_see_it():
    frame = compared("az")
    main = compare.main(frame)
    left_out = compare.count(frame) - compare.count(main)
    text = " ".join(compare.render(main, left_out=left_out).split())
    assert f"See the {left_out} others with --all" in text
    for value in ("0.8347", "0.8432", "0.8357", "0.0921"):
        assert value in text
    assert "--all" not in compare.render(frame)


def test_every_verdict_that_is_shown_is_explained_in_a_line():
    frame = compared("mnist")
    text = compare.render(frame)
    for verdict in ("exact", "agrees"):
        assert f"{verdict}: {compare.VERDICTS[verdict]}" in text
    assert compare.VERDICTS["missed"] not in text


def test_long_names_of_arms_are_broken_and_none_of_their_letters_is_lost(tmp_path):
    arm = "a_classifier_with_a_very_long_name_on_pixels_of_several_kinds_and_sizes"
    run = run_of(tmp_path / "r", rows_of({arm: 0.5}, metric="accuracy", protocol="sound"))
    lines = compare.render(compare.compare([run, run])).splitlines()
    assert max(map(len, lines)) <= 80
    start = next(i for i, line in enumerate(lines) if line.startswith("a_classifier"))
    parts = [line.split("  ")[0] or line.strip().split("  ")[0] for line in lines[start:]]
    shown = "".join(part.strip() for part in parts)
    assert all(word in shown for word in arm.split("_"))


def test_published_against_ours_fits_one_screen_in_the_order_of_the_notebooks():
    paths = [RESULTS / f"{name}.csv" for name in ("strategies", "az", "mnist")]
    text = compare.published_tables(paths, PUBLISHED)
    assert widest(text) <= 80
    mnist, az, last = text.strip().split("\n\n")
    assert mnist.startswith("Published against ours: mnist")
    assert az.startswith("Published against ours: az")
    assert max(mnist.count("\n"), az.count("\n")) < 24
    assert mnist.splitlines()[3].split() == [
        "all", "4000", "369", "of", "400", "369", "of", "400", "exact",
    ]  # fmt: skip
    assert last == "Nothing was published to compare with: strategies."


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(tables.TableError, match="no CSV table in it"):
        compare.overview(tmp_path, PUBLISHED)


def test_a_folder_of_runs_is_refused_with_the_name_of_one(tmp_path):
    run_of(tmp_path / "mine", seeded(OURS))
    with pytest.raises(tables.TableError, match=r"name the runs in it, such as .*mine"):
        compare.load([tmp_path])


def test_a_sweeps_folder_is_read_like_a_table(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    text = Path(RESULTS / "vgg16_blocks.csv").read_text()
    (folder / "table.csv").write_text(text)
    about = (RESULTS / "vgg16_blocks.manifest.json").read_text()
    (folder / "manifest.json").write_text(about)
    of_sweep, of_table = (compare.compare([p]) for p in (folder, RESULTS / "vgg16_blocks.csv"))
    pd.testing.assert_frame_equal(of_sweep.drop(columns="run"), of_table.drop(columns="run"))


def test_a_notebook_is_not_taken_for_a_table(tmp_path):
    (tmp_path / "out.ipynb").write_text("{}")
    with pytest.raises(tables.TableError, match="a notebook, not a table; give its run's folder"):
        tables.read(tmp_path / "out.ipynb")
