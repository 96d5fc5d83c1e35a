"""The Makefile: what its commands call is there, and `make check` asks what it promises."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Makefile").read_text()


def recipes() -> dict[str, str]:
    """Return the commands of every target, a continued line as one."""
    text = TEXT.replace("\\\n", " ")
    found = re.findall(r"^([\w$()]+):.*\n((?:\t.*\n?)*)", text, re.MULTILINE)
    return dict(found)


RECIPES = recipes()
MODULES = sorted(set(re.findall(r"\$\(BIN\)/python -m (\w+)", TEXT)))
PROGRAMS = sorted(set(re.findall(r"\$\(BIN\)/(\w+)", TEXT)) - {"python", "pip", "uv"})
COMMANDS = sorted(set(re.findall(r"\$\(BIN\)/python -m alutils (\w+)", TEXT)))


def test_every_target_is_phony_and_says_what_it_is_for():
    phony = set(re.search(r"^\.PHONY: (.*)$", TEXT, re.MULTILINE)[1].split())
    assert phony == set(RECIPES) - {"$(READY)"}
    assert [t for t in phony if not re.search(rf"^{t}:.*## \w", TEXT, re.MULTILINE)] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_that_is_run_is_installed(module):
    assert importlib.util.find_spec(module)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_that_is_run_is_installed(program):
    assert (Path(sys.executable).parent / program).exists()


def test_every_command_of_the_package_is_one_that_it_has():
    assert {"reproduce", "label", "reference", "sweep"} <= set(COMMANDS)
    command = [sys.executable, "-m", "alutils", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert set(COMMANDS) <= set(re.findall(r"^    (\w+)", shown, re.MULTILINE))


def test_every_grid_that_is_swept_is_there():
    costs = re.search(r"^COSTS = ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)[1].replace("\\", "").split()
    named = re.findall(r"for name in \$\(COSTS\) (\w+)", TEXT)
    literal = re.findall(r"notebooks/sweeps/(\w+)\.yaml", TEXT)
    assert costs and named and literal
    grids = {path.stem for path in (ROOT / "notebooks" / "sweeps").glob("*.yaml")}
    assert {*costs, *named, *literal} <= grids


@pytest.mark.parametrize("target", ["check", "test"])
def test_check_and_test_ask_for_format_faults_types_and_tests(target):
    asked = RECIPES[target]
    for part in ("ruff format --check .", "ruff check .", "python -m mypy", "python -m pytest"):
        assert part in asked
    assert ('-m "not slow"' in asked) == (target == "check")
