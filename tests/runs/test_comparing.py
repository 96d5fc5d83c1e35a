"""``compare`` on the command line: names, numbers and paths, filters, the exit status."""

import pytest
from compare_helpers import COUNTS, ROOT, rows_of, run_of

from alutils.__main__ import main
from alutils.runs import comparing

RESULTS = ROOT / "results"


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.setenv("ALUTILS_ROOT", str(ROOT))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("text", ["mnist", "01", "1", "results/mnist.csv"])
def test_a_notebook_stands_for_its_reference_table(text):
    assert comparing.place_of(text) == RESULTS / "mnist.csv"


def test_any_table_of_results_goes_by_its_name_and_a_path_by_its_dot(tmp_path):
    assert comparing.place_of("label_costs") == RESULTS / "label_costs.csv"
    run = run_of(tmp_path / "mnist", rows_of(COUNTS))
    assert comparing.place_of("mnist") == RESULTS / "mnist.csv"
    assert comparing.place_of("./mnist").resolve() == run


def test_a_notebook_without_a_reference_table_is_refused_with_those_that_have_one(capsys):
    assert main(["compare", "00"]) == 2
    error = capsys.readouterr().err
    assert "00_start_here.ipynb has no reference table" in error
    assert "mnist, az_explore, az, strategies" in error


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("strategis", "did you mean strategies?"),
        ("mnsit", "did you mean mnist?"),
        ("results/nowhere", "name a run's folder or a results table"),
    ],
)
def test_what_is_not_there_is_said_with_the_nearest_name(name, hint, capsys):
    assert main(["compare", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {name}: no such file or folder")
    assert hint in error


def test_a_number_beside_a_run_compares_the_two(tmp_path, capsys):
    run_of(tmp_path / "mine", rows_of(COUNTS))
    assert main(["compare", "01", "mine", "--arm", "active", "--only-published"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("[1]  mnist\n[2]  mine\n")
    assert out.index("what differs") < out.index("mnist: n_right")
    assert "[2] - [1]" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_folder_of_results_is_gone_through_table_by_table(capsys):
    assert main(["compare", "results"]) == 0
    out = capsys.readouterr().out
    for path in RESULTS.glob("*.csv"):
        assert f"{path.name}: " in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", ["strategies", "label_costs", "noisy_humans", "vgg16_blocks"])
@pytest.mark.parametrize("form", ["text", "markdown", "csv"])
def test_the_tables_of_sweeps_are_compared_without_a_fault(name, form, capsys):
    assert main(["compare", f"results/{name}.csv", "--format", form]) == 0
    out = capsys.readouterr().out
    assert "accuracy" in out or "labels_to_certify" in out
    assert "missed" not in out


def test_a_filter_changes_what_is_shown_and_not_what_is_missed(tmp_path, capsys):
    run_of(tmp_path / "off", rows_of(COUNTS | {"all": 1}))
    assert main(["compare", "off", "--arm", "active"]) == 1
    captured = capsys.readouterr()
    assert "active" in captured.out and "all " not in captured.out
    assert "missed: a number that is claimed as exact" in captured.err


def test_only_missed_exact_claims_make_the_status_1(tmp_path, capsys):
    run_of(tmp_path / "differs", rows_of({"active": 0.1}, metric="accuracy") + rows_of(COUNTS))
    assert main(["compare", "differs"]) == 0
    assert "differs" in capsys.readouterr().out


def test_the_default_fits_a_screen_or_two_and_all_shows_every_result(capsys):
    lines = {}
    for options in ([], ["--all"], ["--metric", "accuracy"]):
        assert main(["compare", "az", *options]) == 0
        lines[" ".join(options)] = len(capsys.readouterr().out.splitlines())
    assert lines[""] <= 50 < lines["--metric accuracy"] < lines["--all"]


def test_unrelated_tables_end_with_one_line_and_no_table(capsys):
    assert main(["compare", "mnist", "az"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: mnist and az have nothing in common")
    assert captured.err.count("\n") == 1


def test_a_filter_that_no_row_meets_is_refused_with_the_nearest(capsys):
    assert main(["compare", "mnist", "--metric", "accuracy,n_rihgt"]) == 2
    assert "--metric=n_rihgt: no row has it; did you mean n_right?" in capsys.readouterr().err


def test_the_width_is_the_terminals(monkeypatch, capsys):
    widths = {}
    for columns in ("60", "80", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["compare", "az", "--metric", "accuracy"]) == 0
        widths[columns] = max(map(len, capsys.readouterr().out.splitlines()))
    assert widths["60"] == widths["80"] <= 80 < widths["120"] <= 120


def test_the_end_of_reproduce_shows_every_run_in_the_order_of_the_notebooks(tmp_path, capsys):
    report = {"threshold": 0.6, "epochs": 10, "preprocessing": "raw"}
    kind = {"protocol": "as_logged", "split": "pool", "metric": "accuracy", "n_human": 3640}
    az = run_of(tmp_path / "b", rows_of({"as_published": 0.8}, **kind), report, experiment="az")
    mnist = run_of(tmp_path / "c", rows_of(COUNTS))
    other = run_of(tmp_path / "a", rows_of({"x": 1}, protocol="sound"), experiment="other")
    assert comparing.print_published([other, az, mnist]) == 0
    out = capsys.readouterr().out
    assert out.index("ours: c (") < out.index("ours: b (") < out.index("compare with: a.")
    missed = run_of(tmp_path / "d", rows_of(COUNTS | {"all": 0}))
    assert comparing.print_published([missed]) == 1


@pytest.mark.parametrize(
    "choice", [["--arm", "nosuch"], ["--format", "csv"], ["--curves"], ["--only-published"]]
)
def test_choices_within_a_table_are_refused_for_a_folder_of_tables(choice, capsys):
    assert main(["compare", "results", *choice]) == 2
    captured = capsys.readouterr()
    assert f"error: {choice[0]}=" in captured.err
    assert "name one of its tables" in captured.err
    assert captured.out == ""
