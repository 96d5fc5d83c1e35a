"""Other systems, as far as this one can play them: without what only POSIX has."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import SHARED

from alutils.runs.notebook import runs

ROOT = Path(__file__).parents[2]

EVERY_MODULE = """
import importlib, pkgutil, sys
import alutils
names = [module.name for module in pkgutil.walk_packages(alutils.__path__, "alutils.")]
for name in names:
    importlib.import_module(name)
print(len(names), *(name for name in ("fcntl", "resource") if sys.modules[name] is not None))
"""

CELLS = [
    "from alutils.runs.notebook import runs",
    "seed: int = 0  # of what is drawn",
    """run = runs.start("mnist", globals())
run.record([dict(protocol="published", arm="all", n_human=4000, split="test",
                 metric="n_right", value=369, n_eval=400)])
run.finish()""",
]


@pytest.fixture
def python(tmp_path):
    """Run Python without ``fcntl`` and ``resource``, as on Windows; so do processes it starts."""
    (tmp_path / "blocked").mkdir()
    blocked = 'import sys\nsys.modules["fcntl"] = sys.modules["resource"] = None\n'
    (tmp_path / "blocked" / "sitecustomize.py").write_text(blocked)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "blocked"), str(ROOT)])
    }

    def call(*arguments: object, **more: object) -> str:
        command = [sys.executable, *map(str, arguments)]
        surroundings = environment | {name: str(value) for name, value in more.items()}
        done = subprocess.run(
            command, env=surroundings, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.mark.slow
def test_every_module_imports_without_fcntl_and_resource(python):
    n = len(list((ROOT / "alutils").rglob("*.py"))) - 1  # the package itself is no part of it
    assert python("-c", EVERY_MODULE).split() == [str(n)]


def test_compare_works_without_fcntl_and_resource(python):
    arguments = ["-m", "alutils", "compare", ROOT / "results" / "mnist.csv"]
    told = python(*arguments, ALUTILS_ROOT=ROOT)
    assert len(re.findall(r"\+0  exact$", told, re.MULTILINE)) == 6


def test_a_table_becomes_png_files_without_fcntl_and_resource(python, tmp_path):
    rows = [f"{label}," + ",".join(["9"] * 784) for label in range(26)]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    made = tmp_path / "made"
    python("-m", "alutils", "data", "az_png", made, "--from", tmp_path / "table.csv")
    assert len(list(made.glob("[A-Z]/*.png"))) == 26
    assert {path.name for path in tmp_path.iterdir()} == {"blocked", "made", "table.csv"}


def test_the_articles_digits_are_made_without_fcntl_and_resource(python, tmp_path, all_digits):
    shutil.copy(SHARED / "mnist.npz", tmp_path)
    python(
        "-m", "alutils", "data", "mnist_article", tmp_path / "digits.npz", ALUTILS_CACHE=tmp_path
    )
    committed = ROOT / "data" / "mnist_article.npz"
    assert (tmp_path / "digits.npz").read_bytes() == committed.read_bytes()


@pytest.mark.slow
def test_a_notebook_runs_without_fcntl_and_resource(python, tmp_path):
    project = tmp_path / "project"
    (project / "notebooks" / "profiles").mkdir(parents=True)
    first, tagged, last = map(nbformat.v4.new_code_cell, CELLS)
    tagged.metadata["tags"] = ["parameters"]
    book = nbformat.v4.new_notebook(cells=[first, tagged, last])
    nbformat.write(book, project / "notebooks" / runs.NOTEBOOKS["mnist"])
    (project / "notebooks" / "profiles" / "quick.yaml").write_text("mnist: {}\n")
    told = python("-m", "alutils", "run", "mnist", ALUTILS_ROOT=project)
    about = json.loads((tmp_path / told.splitlines()[-1] / "manifest.json").read_text())
    assert (about["status"], about["peak_memory_mib"]) == ("complete", None)
