"""``run`` and ``sweep`` on the command line: notebooks by name, number and path, parameters."""

import pytest
from tiny_notebook import project_in

from alutils.__main__ import main
from alutils.runs.commands import joined
from alutils.runs.notebook import headless
from alutils.runs.notebook.names import NOTEBOOKS, RunError, experiment_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return project_in(tmp_path)


@pytest.fixture
def executed(project, monkeypatch):
    """Note what would be run, and run nothing."""
    calls = []

    def execute(name, profile, overrides):
        calls.append((name, profile, overrides))
        return project / "results"

    monkeypatch.setattr(headless, "execute", execute)
    return calls


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (["-p", "seed", "3"], ["-p", "seed=3"]),
        (["-p", "seed=3"], ["-p", "seed=3"]),
        (["-p", "seed", "-1", "mnist"], ["-p", "seed=-1", "mnist"]),
        (["-p", "data", "a=b.npz"], ["-p", "data=a=b.npz"]),
        (["-p", "a=1", "-p", "b", "2"], ["-p", "a=1", "-p", "b=2"]),
        (["--parameter", "a", "1"], ["--parameter", "a=1"]),
        (["x", "-p"], ["x", "-p"]),
        (["-p", "seed"], ["-p", "seed"]),
    ],
)
def test_a_parameter_is_given_with_an_equal_sign_or_a_space(given, used):
    assert joined(given) == used


@pytest.mark.parametrize("name", ["mnist", "01", "1", f"notebooks/{NOTEBOOKS['mnist']}"])
def test_a_notebook_goes_by_name_number_or_path(executed, name):
    assert main(["run", name, "-p", "seed=3", "-p", "flag", "false", "-p=rate=0.5"]) == 0
    assert executed == [("mnist", "quick", {"seed": "3", "flag": "false", "rate": "0.5"})]


@pytest.mark.parametrize("name", ["mnst", "7", "notebooks", "elsewhere/01_mnist.ipynb", "-0"])
def test_what_is_no_notebook_is_refused_with_all_names_and_numbers(project, name):
    with pytest.raises(RunError, match=r"known, by name or number: 00 start, 01 mnist") as error:
        experiment_of(name)
    assert str(error.value).startswith(f"{name}: no such experiment")


@pytest.mark.parametrize("text", ["seed", "=3"])
def test_a_parameter_without_a_value_is_refused(executed, text, capsys):
    assert main(["run", "mnist", "-p", text]) == 2
    assert f"-p={text}: expected NAME=VALUE; such as -p seed=3." in capsys.readouterr().err
    assert executed == []


def test_help_with_a_name_lists_the_parameters_with_type_default_limit_and_help(
    project, executed, capsys
):
    assert main(["run", "mnist", "--help", "--profile", "full"]) == 0
    out = capsys.readouterr().out
    assert "usage: python -m alutils run" in out
    assert "seed: int = 0\n      of all randomness [0..]\n" in out
    assert "rate: float = 0.001 (default 0.1)\n      step [> 0, <= 1]\n" in out
    assert "end: str = 'well'\n      what happens [one of: well, error, kill, unfinished]\n" in out
    assert "flag: bool = True\n" in out
    assert executed == []


def test_help_without_a_name_shows_how_a_notebook_is_named(project, executed, capsys):
    assert main(["run", "-h"]) == 0
    assert "03 az" in " ".join(capsys.readouterr().out.split())
    assert main(["run"]) == 2
    assert "expected a notebook; python -m alutils run --help" in capsys.readouterr().err
    assert main(["run", "nothing", "--help"]) == 2


def test_a_sweep_takes_parameters_in_both_forms(project, monkeypatch, tmp_path):
    from alutils.runs.sweeps import grids
    from alutils.runs.sweeps import sweep as sweeps

    fixed = []
    monkeypatch.setattr(grids, "read", lambda path, values: fixed.append(values))
    done = sweeps.Sweep(tmp_path, 1, 1, ())
    monkeypatch.setattr(sweeps, "run", lambda grid, **options: done)
    assert main(["sweep", "grid.yaml", "-p", "budget=40", "-p", "batch", "10"]) == 0
    assert fixed == [{"budget": "40", "batch": "10"}]
