"""The committed notebooks: clean, small, and still giving what they say they give."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
named = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in code if "".join(cell["source"]).strip()]


def test_there_are_notebooks():
    assert NOTEBOOKS


@named
def test_a_committed_notebook_is_one_clean_run_in_order(path):
    counts = [cell["execution_count"] for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]


@named
def test_a_committed_notebook_is_small_and_names_no_machine(path):
    text = path.read_text()
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"/(home|root|work|tmp|Users)/\w", text)


@named
def test_a_notebook_has_one_parameters_cell_that_can_be_read(path):
    from alutils.parameters import read_parameters

    assert read_parameters(path)


@named
def test_every_figure_has_its_text_alternative_and_its_finding(path):
    for cell in cells(path):
        for i, output in enumerate(cell["outputs"]):
            if "image/png" in output.get("data", {}):
                assert output["metadata"]["image/png"]["alt"].strip()
                assert "text/markdown" in cell["outputs"][i + 1]["data"]


@pytest.mark.slow
@named
def test_a_notebook_runs_again_and_its_exact_outputs_are_the_same(path, tmp_path):
    environment = {
        **os.environ,
        "ALUTILS_RUN_DIR": str(tmp_path / "run"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    command = [
        sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env",
        "--nbval-cell-timeout=600", "-q", "-p", "no:cacheprovider", "-o", "addopts=", str(path),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "run" / "metrics.csv").is_file()
