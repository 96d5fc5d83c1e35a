"""Compiled functions work where numba finds no place for its cache."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import alutils
from alutils.base.compiled import compiled

PACKAGE = Path(alutils.__file__).parent

USES = """
import numpy as np
import numba.core.caching as caching
from alutils.active.strategies import diversity, uncertainty
from alutils.data import augmentation, csv_letters
from alutils.models import dense_head, softmax_fast

rng = np.random.default_rng(0)
x = rng.random((6, 4), np.float32)
assert len(diversity.k_center_greedy(x, np.array([0]), np.arange(1, 6), 2, rng)) == 2
try:
    uncertainty.margin(np.array([[0.9, 0.9]]))
except ValueError as error:
    assert "1 of 1 rows" in str(error)
images = rng.integers(0, 256, (2, 9, 9), np.uint8)
assert augmentation.distort(images, np.arange(2), rng).shape == (2, 9, 9)
row = ",".join(["3"] + ["200"] * 784)
open("a.csv", "w").write(f"{row}\\n{row}\\n")
assert csv_letters.read_csv("a.csv").labels.tolist() == [3, 3]
head = dense_head.DenseHead(2, epochs=1)
head.fit(x, np.arange(6) % 2)
pixels = softmax_fast.SparseImages.from_dense(x)
softmax_fast.SparseSoftmax(pixels, np.arange(6) % 2, n_classes=2).fit(pixels, np.arange(6) % 2)
modules = (diversity, uncertainty, augmentation, csv_letters, dense_head, softmax_fast)
functions = [f for module in modules for f in vars(module).values() if hasattr(f, "py_func")]
assert len(functions) > 8 and {type(f._cache) for f in functions} == {caching.NullCache}
print("all without a cache")
"""


@pytest.mark.slow
def test_a_read_only_installation_without_a_home_compiles_all_the_same(tmp_path):
    copy = tmp_path / "site" / "alutils"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "static"))
    # For root no folder is read-only: a file in the place of each cache cannot become a folder.
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG"))}
    environment |= {
        "HOME": os.devnull,
        "XDG_CACHE_HOME": os.devnull,
        "PYTHONPATH": str(copy.parent),
    }
    ran = subprocess.run(
        [sys.executable, "-c", USES], env=environment, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.stdout == "all without a cache\n", ran.stderr


def test_no_other_module_compiles_by_itself():
    for path in PACKAGE.rglob("*.py"):
        if path.name != "compiled.py":
            names = {n.attr for n in ast.walk(ast.parse(path.read_text()))
                     if isinstance(n, ast.Attribute)}  # fmt: skip
            assert not names & {"njit", "jit"}, path


def test_other_errors_of_the_compiler_are_not_hidden(monkeypatch):
    def fail(**options):
        raise RuntimeError("the compiler is out of order")

    monkeypatch.setattr("numba.njit", fail)
    with pytest.raises(RuntimeError, match="out of order"):
        compiled()(lambda x: x)
