"""The comparison: intervals against independent ones, verdicts, exit status, speed."""

import csv
import json
import os
import re
import resource
import subprocess
import sys

import pytest
from compare_helpers import ARTICLE, COUNTS, PUBLISHED, REPORT, ROOT, rows_of, run_of, table_of
from scipy import stats

from alutils.__main__ import main
from alutils.stats import compare, tables


@pytest.fixture
def exact(tmp_path):
    return run_of(tmp_path / "exact", rows_of(COUNTS))


def verdicts(frame):
    return dict(zip(frame["arm"], frame["verdict"], strict=True))


def test_the_article_is_published_with_its_six_counts_and_their_shares():
    rows = compare.read_published(PUBLISHED)
    shares = {r["arm"]: r["value"] for r in rows if r["experiment"] == "mnist"} | {}
    assert len(COUNTS) == 6
    assert {arm: count / 400 for arm, count in COUNTS.items()} == shares
    assert {r["claim"] for r in rows if r["metric"] == "n_right"} == {"exact"}
    assert {r["claim"] for r in rows if r["metric"] != "n_right"} == {"context"}


def test_the_reports_shares_are_whole_numbers_of_images():
    rows = [r for r in compare.read_published(PUBLISHED) if r["experiment"] == "az"]
    assert len(rows) == 6
    for row in rows:
        if row["metric"] in ("accuracy", "share_unsure"):
            assert round(row["value"] * row["n_eval"]) / row["n_eval"] == row["value"]


def test_equal_counts_are_exact_and_the_exit_status_is_0(exact, capsys):
    assert set(compare.compare([exact], PUBLISHED)["verdict"]) == {"exact"}
    assert main(["compare", str(exact)]) == 0
    assert "missed" not in capsys.readouterr().out


@pytest.mark.parametrize("arm", list(COUNTS))
def test_one_image_off_is_missed_and_the_exit_status_is_1(tmp_path, arm, capsys):
    off = run_of(tmp_path / "off", rows_of(COUNTS | {arm: COUNTS[arm] - 1}))
    found = verdicts(compare.compare([off], PUBLISHED))
    assert found.pop(arm) == "missed"
    assert set(found.values()) == {"exact"}
    assert main(["compare", str(off)]) == 1
    assert "x86 of a test" in capsys.readouterr().err


def test_a_claimed_number_that_is_not_there_is_missed(tmp_path):
    counts = {arm: count for arm, count in COUNTS.items() if arm != "active"}
    short = run_of(tmp_path / "short", rows_of(counts))
    frame = compare.compare([short], PUBLISHED)
    assert verdicts(frame)["active"] == "missed"
    assert compare.missed(frame)
    assert "missed" in compare.render(frame)


@pytest.mark.parametrize("changed", [{"n_train": 3000}, {"test_start": 400}, {"batch": 20}])
def test_what_was_made_under_other_parameters_is_not_comparable_and_nothing_is_missed(
    tmp_path, changed
):
    other = run_of(tmp_path / "other", rows_of({"active": 300}), ARTICLE | changed)
    frame = compare.compare([other], PUBLISHED)
    assert list(frame["verdict"]) == ["not comparable"]
    name, value = next(iter(changed.items()))
    assert frame["reason"][0] == f"{name}={value}, published for {ARTICLE[name]}"
    assert not compare.missed(frame)


def test_a_table_is_judged_by_the_manifest_beside_it(tmp_path):
    file = tmp_path / "mnist.csv"
    file.write_text(tables.as_csv(table_of(rows_of(COUNTS))))
    assert set(compare.compare([file], PUBLISHED)["verdict"]) == {"not comparable"}
    (tmp_path / "mnist.manifest.json").write_text(json.dumps({"parameters": ARTICLE}))
    assert set(compare.compare([file], PUBLISHED)["verdict"]) == {"exact"}


def test_one_share_has_wilsons_interval(tmp_path):
    accuracy = rows_of({"active": 359 / 400}, metric="accuracy")
    frame = compare.compare([run_of(tmp_path / "r", accuracy)], PUBLISHED)
    row = frame[frame["metric"] == "accuracy"].iloc[0]
    oracle = stats.binomtest(359, 400).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert row["verdict"] == "agrees"


def test_several_seeds_have_students_interval(tmp_path):
    values = [0.83, 0.85, 0.81, 0.835]
    kind = {"protocol": "as_logged", "split": "pool", "metric": "share_unsure", "n_human": 3640}
    rows = [r for seed, v in enumerate(values) for r in rows_of({"as_published": v}, seed=seed)]
    run = run_of(tmp_path / "r", [row | kind for row in rows], REPORT, experiment="az")
    row = compare.compare([run], PUBLISHED).iloc[0]
    oracle = stats.t.interval(0.95, 3, stats.tmean(values), stats.sem(values))
    assert (row["low"], row["high"]) == pytest.approx(oracle, rel=1e-12)
    assert (row["n"], row["mean"]) == (4, pytest.approx(stats.tmean(values)))
    assert row["published"] == 2347 / 25480
    assert row["difference"] == row["mean"] - row["published"]
    assert row["verdict"] == "differs"


REPORTED = {"protocol": "as_logged", "metric": "accuracy", "n_eval": 1000, "n_human": 3640}


def test_one_number_that_is_no_proportion_has_no_interval(tmp_path):
    rows = rows_of({"as_published": 0.8}, split="pool", **REPORTED | {"metric": "f1_macro"})
    run = run_of(tmp_path / "r", rows, REPORT, experiment="az")
    assert list(compare.compare([run], PUBLISHED)["verdict"]) == ["no interval"]


def test_what_rendered_letters_give_is_judged_and_said_to_be_rendered(tmp_path, capsys):
    rows = [
        row
        for split, value in (("pool", 0.835), ("test", 0.7))
        for row in rows_of({"as_published": value}, split=split, **REPORTED)
    ]
    run = run_of(tmp_path / "r", rows, REPORT, provenance="rendered", experiment="az")
    frame = compare.compare([run], PUBLISHED).set_index("split")
    assert frame["verdict"].to_dict() == {
        "pool": "agrees (rendered)", "test": "differs (rendered)",
    }  # fmt: skip
    assert main(["compare", "--only-published", str(run)]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "as_published" in line]
    assert len(shown) == 2 and all("(rendered)" in line for line in shown)
    real = run_of(tmp_path / "real", rows, REPORT, provenance="kaggle", experiment="az")
    assert set(compare.compare([real], PUBLISHED)["verdict"]) == {"agrees", "differs"}


@pytest.mark.parametrize("changed", [{"threshold": 0.9}, {"epochs": 3}, {"preprocessing": "vgg"}])
def test_the_reports_values_are_for_its_own_setting(tmp_path, changed):
    rows = rows_of({"as_published": 0.83}, split="pool", **REPORTED)
    run = run_of(tmp_path / "r", rows, REPORT | changed, experiment="az")
    assert list(compare.compare([run], PUBLISHED)["verdict"]) == ["not comparable"]


def test_only_each_seeds_last_round_counts_unless_curves_are_asked_for(tmp_path):
    rows = [
        row
        for seed, rounds in ((0, 3), (1, 2))
        for at in range(rounds)
        for row in rows_of({"a": at / 10 + seed}, round=at, seed=seed, protocol="sound")
    ]
    run = run_of(tmp_path / "r", rows)
    last = compare.compare([run])
    assert (len(last), last["mean"][0], last["n"][0]) == (1, pytest.approx((0.2 + 1.1) / 2), 2)
    curves = compare.compare([run], curves=True)
    assert list(curves["round"]) == [0, 1, 2]
    assert list(curves["n"]) == [2, 2, 1]
    assert "round" in compare.render(curves).splitlines()[1]


def test_undefined_values_are_left_out_and_counted_out(tmp_path):
    rows = [
        row
        for seed, value in enumerate([0.5, float("nan"), 0.7])
        for row in rows_of({"a": value}, seed=seed, metric="auto_precision", protocol="sound")
    ]
    row = compare.compare([run_of(tmp_path / "r", rows)]).iloc[0]
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.6))


def test_runs_stand_side_by_side_with_their_difference(tmp_path, exact):
    other = run_of(tmp_path / "other", rows_of(COUNTS | {"active": 342}), ARTICLE | {"batch": 9})
    frame = compare.compare([exact, other], PUBLISHED)
    active = frame[frame["arm"] == "active"].set_index("run")
    assert active["mean"].to_dict() == {"exact": 359, "other": 342}
    assert active["verdict"].to_dict() == {"exact": "exact", "other": "not comparable"}
    assert active["minus_first"]["other"] == -17
    lines = compare.render(frame).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("active "))
    assert [line.split()[-2:] for line in lines[at : at + 4]] == [
        ["published", "359"], ["1", "exact"], ["not", "comparable"], ["[1]", "-17"],
    ]  # fmt: skip
    assert "[1]  exact" in lines and "[2]  other" in lines
    assert "[2] not comparable: batch=9, published for 10 (6 values)" in lines


def test_runs_of_one_name_are_told_apart(tmp_path, exact):
    assert [s.label for s in compare.load([exact, exact, exact])] == ["exact", "exact#2", "exact#3"]


def test_csv_holds_every_digit(tmp_path):
    value = 0.1 + 0.2
    run = run_of(tmp_path / "r", rows_of({"a": value}, metric="accuracy", protocol="sound"))
    text = compare.render(compare.compare([run]), "csv")
    (row,) = csv.DictReader(text.splitlines())
    assert float(row["mean"]) == value
    assert row["verdict"] == "not published"


def test_rows_follow_the_published_order(exact):
    assert list(compare.compare([exact], PUBLISHED)["arm"]) == list(COUNTS)


def test_only_published_leaves_out_all_other_rows(tmp_path, capsys):
    run = run_of(tmp_path / "r", rows_of(COUNTS) + rows_of({"mine": 1}, protocol="better"))
    assert main(["compare", "--only-published", str(run)]) == 0
    out = capsys.readouterr().out
    assert "mine" not in out
    assert len(re.findall(r" exact$", out, re.MULTILINE)) == 6


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "not a table"),
        (b"\x89PNG\r\n\xff\x00", "not a table"),
        (b"a,b\n1,2\n", "not a results table, it lacks run_id"),
        (
            b",".join(c.encode() for c in tables.COLUMNS) + b"\nr,mnist,p,a,0,0,1,0,t,m,x,9\n",
            "valu",
        ),
    ],
)
def test_what_is_no_table_is_said_in_one_line(tmp_path, capsys, content, complaint):
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    assert main(["compare", str(tmp_path / "table.csv")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert complaint in captured.err
    assert "table.csv" in captured.err


def test_a_run_that_did_not_end_well_is_refused(tmp_path, capsys):
    failed = run_of(tmp_path / "failed", rows_of(COUNTS), status="failed")
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(failed)]) == 2
    assert "status is failed" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "empty")]) == 2
    assert "no metrics.csv" in capsys.readouterr().err


def test_a_table_of_published_values_is_checked(tmp_path, exact, capsys):
    wrong = tmp_path / "published.csv"
    wrong.write_text("experiment,value\nmnist,3\n")
    assert main(["compare", str(exact), "--published", str(wrong)]) == 2
    assert "lacks protocol" in capsys.readouterr().err


def test_the_command_takes_two_seconds_of_a_processor_at_most_and_no_tensorflow(tmp_path):
    runs = []
    for number in range(2):
        rows = [r for s in range(5) for r in rows_of({"a": 300 + s, "b": 320 - s}, seed=s)]
        runs.append(run_of(tmp_path / f"run{number}", rows))
    command = [sys.executable, "-X", "importtime", "-m", "alutils", "compare", *map(str, runs)]
    seconds = []
    for _ in range(3):  # the best of three: the first may find nothing in the disk's cache
        before = processor_time_of_children()
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ)
        seconds.append(processor_time_of_children() - before)
        if seconds[-1] < 2:
            break
    assert done.returncode == 1, done.stderr[-2000:]  # arms of the article are not there
    assert "[1]  run0" in done.stdout and "[2]  run1" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pandas" in imported
    assert not imported & {"tensorflow", "keras", "papermill", "sklearn", "matplotlib", "nbformat"}
    assert 0 < min(seconds) < 2


def processor_time_of_children() -> float:
    """Return seconds that say the same however busy the machine is."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
