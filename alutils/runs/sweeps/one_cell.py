"""One cell of a sweep, computed where a worker is: in this process, in another, on another machine.

What a cell leaves comes back as the bytes of small files, so that workers need no shared disk.
"""

import functools
import importlib.metadata
import inspect
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from alutils.base import files as paths
from alutils.base import manifest, surfaces
from alutils.base.environment import variables
from alutils.experiments.base import Experiment
from alutils.runs.notebook import folders, headless
from alutils.runs.sweeps import grids
from alutils.runs.sweeps.grids import Cell, Swept
from alutils.stats import tables

TRACEBACK_LINES = 12
# Read by libraries that load later; those that are there already are held by threadpoolctl.
ONE_THREAD = dict.fromkeys(
    (*manifest.THREAD_VARIABLES, "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)


class CodeDiffers(RuntimeError):
    """A worker has another version of the code than the one that the sweep was started with."""


@dataclass(frozen=True)
class Order:
    """What a worker is to do."""

    swept: Swept
    cell: Cell
    folder: (
        str | None
    )  # where a notebook's run is kept, so that a killed one goes on; None: nowhere


@dataclass(frozen=True)
class Outcome:
    """What a worker gives back."""

    files: dict[str, bytes]  # by path in the cell's folder; ``metrics.csv`` if all is well
    about: dict[str, Any]  # for the manifest: times, memory, packages, machine
    error: dict[str, str] | None  # name, message and the end of the traceback


def compute(order: Order) -> Outcome:
    """Run one cell on one thread; what it raises is described in the outcome.

    Raises
    ------
    CodeDiffers
        Before any work: this process has other code than the sweep was started with.
    """
    swept = order.swept
    here = grids.code_of(swept.name, swept.experiment)
    if here != swept.code:
        raise CodeDiffers(
            f"the code of {swept.name} here ({here[:12]}) is not the code that the sweep was "
            f"started with ({swept.code[:12]}): it was edited meanwhile, or a worker has another "
            "version; finished cells are kept, give the command again"
        )
    started, began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
    files: dict[str, bytes] = {}
    error = None
    with surfaces.speaking(surfaces.run(order.cell.parameters)):
        try:
            with one_thread():
                if swept.experiment is None:
                    files["metrics.csv"] = _notebook(order, files)
                else:
                    files["metrics.csv"] = _function(order, swept.experiment)
        except (Exception, SystemExit) as raised:  # for the manifest and the sweep's end
            error = _described(raised, order)
    about = {
        "started": started,
        "wall_s": round(time.perf_counter() - began, 4),
        "peak_memory_mib": manifest.peak_memory_mib(),
        **environment(),
    }
    return Outcome(files, about, error)


def needs(order: Order) -> dict[str, Any]:
    """Return those of a cell's parameters that its experiment's ``prepare`` takes, or none."""
    experiment = order.swept.experiment
    if experiment is None or experiment.prepare is None:
        return {}
    named = inspect.signature(experiment.prepare).parameters
    return {name: value for name, value in order.cell.parameters.items() if name in named}


@functools.cache
def environment() -> dict[str, Any]:
    """Return package versions and machine of this process."""
    return {"packages": manifest.packages(), "machine": manifest.machine()}


def version(swept: Swept) -> dict[str, str]:
    """Return what must be the same for all workers of a sweep."""
    code = grids.code_of(swept.name, swept.experiment)
    return {"alutils": importlib.metadata.version("alutils"), "code": code}


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold NumPy, numba and TensorFlow to one thread.

    Several cells on several cores do not fight then, and sums are taken in the same order however
    many cells run at once.
    """
    numba = sys.modules.get("numba")
    threads = numba.get_num_threads() if numba else None
    with variables(ONE_THREAD):
        try:
            if numba:
                numba.set_num_threads(1)
            with threadpool_limits(1):
                yield
        finally:
            if numba:
                numba.set_num_threads(threads)


def _function(order: Order, experiment: Experiment) -> bytes:
    """Call the experiment's function; return its rows as a results table."""
    swept, cell = order.swept, order.cell
    settings = experiment.settings(**grids.check(swept.parameters, cell.parameters))
    rows = pd.DataFrame(experiment.run(settings))
    rows = rows.drop(columns=["run_id", "experiment"], errors="ignore")
    frame = tables.tidy(
        rows, experiment.vocabulary, run_id=f"{swept.name}-{cell.id}", experiment=swept.name,
        seed=cell.parameters["seed"], round=0, n_auto=0,
    )  # fmt: skip
    if frame.empty:
        raise tables.TableError("the experiment gave no rows")
    if (frame["metric"] == "wall_s").any():
        raise tables.TableError("metric=wall_s: times differ from run to run; the sweep takes them")
    return tables.as_csv(frame).encode()


def _notebook(order: Order, files: dict[str, bytes]) -> bytes:
    """Run a notebook; return its results table.

    It runs in the cell's folder, or in a temporary one whose content is added to ``files``, as it
    is even after an error.
    """

    def run(place: Path) -> bytes:
        swept = order.swept
        folder = headless.execute(swept.name, swept.profile, order.cell.parameters, place)
        return (folder / "metrics.csv").read_bytes()

    if order.folder is not None:
        for folder in Path(order.folder).glob("*"):
            if folders.is_complete(folder):  # of other code, or the cell would not be run
                shutil.rmtree(folder)
        return run(Path(order.folder))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        try:
            return run(place)
        finally:
            for file in place.rglob("*"):
                if file.is_file() and file.name != ".lock" and "parts" not in file.parts:
                    files[f"run/{file.relative_to(place)}"] = file.read_bytes()


def _described(raised: BaseException, order: Order) -> dict[str, str]:
    lines = "".join(traceback.format_exception(raised)).rstrip().splitlines()
    error = {
        "name": type(raised).__name__,
        "message": str(raised).strip(),
        "traceback": "\n".join(lines[-TRACEBACK_LINES:]),
    }
    root = paths.repository_root()
    return manifest.without_paths(error, root, order.cell.parameters.values())
