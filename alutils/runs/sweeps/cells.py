"""One cell of a sweep, computed where a worker is: in this process, in another, on another machine.

What a cell leaves comes back as the bytes of small files, so that workers need no shared disk.
"""

import functools
import importlib.metadata
import inspect
import os
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
from alutils.base import manifest
from alutils.runs.notebook import folders, headless
from alutils.runs.sweeps import grids
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
    """What a worker is told.

    Attributes
    ----------
    experiment, module, profile, code : see `alutils.runs.sweeps.grids.Experiment`
    cell, parameters : see `alutils.runs.sweeps.grids.Cell`
    folder : where a notebook's run is kept, so that a killed one goes on; None: nowhere
    """

    experiment: str
    module: str | None
    profile: str
    code: str
    cell: str
    parameters: dict[str, Any]
    folder: str | None


@dataclass(frozen=True)
class Outcome:
    """What a worker gives back.

    Attributes
    ----------
    files : content by path relative to the cell's folder; ``metrics.csv`` among them if all is well
    about : for the manifest: times, memory, packages, machine
    error : name, message and the end of the traceback; None if all is well
    """

    files: dict[str, bytes]
    about: dict[str, Any]
    error: dict[str, str] | None


def compute(order: Order) -> Outcome:
    """Run one cell on one thread; what it raises is told in the outcome.

    Raises
    ------
    CodeDiffers
        Before any work: this process has other code than the sweep was started with.
    """
    here = grids.code(order.module) if order.module else grids.notebook_code(order.experiment)
    if here != order.code:
        raise CodeDiffers(
            f"the code of {order.experiment} here ({here[:12]}) is not the code that the sweep was "
            f"started with ({order.code[:12]}): it was edited meanwhile, or a worker has another "
            "version; finished cells are kept, give the command again"
        )
    started, began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
    files: dict[str, bytes] = {}
    error = None
    try:
        with one_thread():
            content = _function(order) if order.module else _notebook(order, files)
        files["metrics.csv"] = content
    except (Exception, SystemExit) as raised:  # told in the manifest and at the sweep's end
        error = _told(raised, order)
    about = {
        "started": started,
        "wall_s": round(time.perf_counter() - began, 4),
        "peak_memory_mib": manifest.peak_memory_mib(),
        **environment(),
    }
    return Outcome(files, about, error)


def needs(order: Order) -> dict[str, Any]:
    """Return those of a cell's parameters that its experiment's ``prepare`` takes, or none."""
    prepare = getattr(grids.load(order.module), "prepare", None) if order.module else None
    named = inspect.signature(prepare).parameters if prepare else ()
    return {name: value for name, value in order.parameters.items() if name in named}


def prepare(module: str, needed: dict[str, Any]) -> Any:
    """Get ready what all cells that need the same have in common; return what it tells of it."""
    return grids.load(module).prepare(**needed)


@functools.cache
def environment() -> dict[str, Any]:
    """Return package versions and machine of this process."""
    return {"packages": manifest.packages(), "machine": manifest.machine()}


def version(module: str | None, experiment: str) -> dict[str, str]:
    """Return what must be the same for all workers of a sweep."""
    here = grids.code(module) if module else grids.notebook_code(experiment)
    return {"alutils": importlib.metadata.version("alutils"), "code": here}


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold NumPy, numba and TensorFlow to one thread.

    Several cells on several cores do not fight then, and sums are taken in the same order however
    many cells run at once.
    """
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    numba = sys.modules.get("numba")
    threads = numba.get_num_threads() if numba else None
    try:
        if numba:
            numba.set_num_threads(1)
        with threadpool_limits(1):
            yield
    finally:
        if numba:
            numba.set_num_threads(threads)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _function(order: Order) -> bytes:
    """Call the experiment's function; return its rows as a results table."""
    module = grids.load(order.module)
    values = grids.check(grids.parameters_of(module.run), order.parameters)
    rows = pd.DataFrame(module.run(**values)).drop(
        columns=["run_id", "experiment"], errors="ignore"
    )
    frame = tables.tidy(
        rows,
        run_id=f"{order.experiment}-{order.cell}",
        experiment=order.experiment,
        seed=order.parameters["seed"],
        round=0,
        n_auto=0,
    )
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
    if order.folder is not None:
        place = Path(order.folder)
        for folder in place.glob("*"):
            if folders.is_complete(folder):  # of other code, or the cell would not be run
                shutil.rmtree(folder)
        run = headless.execute(order.experiment, order.profile, order.parameters, place)
        return (run / "metrics.csv").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        try:
            run = headless.execute(order.experiment, order.profile, order.parameters, place)
            return (run / "metrics.csv").read_bytes()
        finally:
            for file in place.rglob("*"):
                if file.is_file() and file.name != ".lock" and "parts" not in file.parts:
                    files[f"run/{file.relative_to(place)}"] = file.read_bytes()


def _told(raised: BaseException, order: Order) -> dict[str, str]:
    lines = "".join(traceback.format_exception(raised)).rstrip().splitlines()
    told = {
        "name": type(raised).__name__,
        "message": str(raised).strip(),
        "traceback": "\n".join(lines[-TRACEBACK_LINES:]),
    }
    root = paths.repository_root()
    return manifest.without_paths(told, root, order.parameters.values())
