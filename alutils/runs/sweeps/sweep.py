"""Sweeps: every cell of a grid run once, on this machine or on a Dask cluster, into one table.

``results/sweeps/<name>-<hash of the cells>/`` holds

- ``cells/<id>/``: ``metrics.csv`` and, written last, ``manifest.json`` of every cell;
- ``table.csv``: the rows of all cells, with a column for each parameter of the grid; the same bytes
  however and however often the sweep was run;
- ``timings.csv``: seconds of every complete cell, and the largest memory that its process had had;
- ``manifest.json``: written last.

A cell that is complete, with the same parameters and the same code, is not run again. One that
failed is listed and left as it is, until ``retry_failed`` or a change of the code.
"""

import contextlib
import functools
import json
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from filelock import FileLock
from tqdm import tqdm

from alutils.base import files, locks, manifest
from alutils.runs.sweeps import one_cell, workers
from alutils.runs.sweeps.grids import Cell, Grid
from alutils.runs.sweeps.one_cell import Order, Outcome
from alutils.stats import tables

TABLE, TIMINGS, MANIFEST = "table.csv", "timings.csv", "manifest.json"


class SweepError(RuntimeError):
    """A sweep that cannot start."""


@dataclass(frozen=True)
class Failure:
    """A cell that failed: which, with what of the grid, and why."""

    cell: str
    parameters: dict[str, Any]
    reason: str

    def __str__(self) -> str:
        varied = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.cell} ({varied}): {self.reason}"


@dataclass(frozen=True)
class Sweep:
    """What a sweep came to."""

    folder: Path
    n_cells: int  # of the grid
    n_run: int  # of them, now
    failures: tuple[Failure, ...]  # of all cells that are not complete, in the order of the grid


def run(
    grid: Grid,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    n_workers: int | None = None,
    folder: Path | None = None,
    retry_failed: bool = False,
) -> Sweep:
    """Run the cells of a grid that are not done yet, and put all into one table.

    Parameters
    ----------
    grid : from `alutils.runs.sweeps.grids.read`
    jobs : processes on this machine; 1 runs in this process; None takes a process a physical core
    scheduler : address of a Dask scheduler, ``tcp://host:port``, instead
    n_workers : start a Dask cluster of so many processes on this machine, instead
    folder : where to; results/sweeps/<grid.id> by default. One folder may take a grid that grows:
        cells are known by their parameters.

    Raises
    ------
    SweepError
        Less than one job or worker; more than one of the three ways to compute; another process
        runs a sweep in this folder.
    WorkerError, CodeDiffers
        See `alutils.runs.sweeps.workers`. Finished cells are kept.
    """
    _check_choice(jobs, scheduler, n_workers)
    folder = folder or files.repository_root() / "results" / "sweeps" / grid.id
    with contextlib.ExitStack() as stack:
        client = None
        if scheduler or n_workers:  # before a folder is made: it may not be there
            client = stack.enter_context(workers.connect(scheduler, n_workers))
            workers.check(client, grid.swept)
        stack.callback(_hold(folder).release)  # which ends with this process however that ends
        due = [cell for cell in grid.cells if _is_due(folder, grid, cell, retry_failed)]
        # Only workers on this machine may use a cell's folder.
        place = "" if client else str((folder / "cells").resolve())
        orders = [Order(grid.swept, c, f"{place}/{c.id}/run" if place else None) for c in due]
        if orders:
            for name in (MANIFEST, TABLE, TIMINGS):  # of another code, or without these cells
                (folder / name).unlink(missing_ok=True)
            inputs = _prepare(orders, client)
            if client is not None:
                ended = workers.cluster(orders, client)
            else:
                jobs = jobs or joblib.cpu_count(only_physical_cores=True)
                ended = workers.serial(orders) if jobs == 1 else workers.pool(orders, jobs)
            _write_all(ended, len(orders), folder, len(grid.cells), inputs)
        return _collect(grid, folder, len(orders))


def _check_choice(jobs: int | None, scheduler: str | None, n_workers: int | None) -> None:
    for name, value in (("jobs", jobs), ("workers", n_workers)):
        if value is not None and value < 1:
            raise SweepError(f"{name}={value}: expected 1 or more.")
    given = {"jobs": jobs, "scheduler": scheduler, "workers": n_workers}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise SweepError(f"{' and '.join(named)}: give one of the three; each says who computes.")


def _hold(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return locks.hold(folder / ".lock")
    except locks.HeldError as error:
        raise SweepError(
            f"{folder.name}: {error.holder} runs a sweep in this folder already; wait until it "
            "ends, or name another folder with --out"
        ) from None


def _cell_folder(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / cell.id


def _is_due(folder: Path, grid: Grid, cell: Cell, retry_failed: bool) -> bool:
    """Whether a cell has to be run: it was not, not to its end, or not with this very code."""
    place = _cell_folder(folder, cell)
    about = manifest.read_json(place / MANIFEST)
    if (about.get("parameters"), about.get("code")) != (cell.parameters, grid.swept.code):
        return True
    if about["status"] == "failed":
        return retry_failed
    try:
        content = (place / "metrics.csv").read_bytes()
    except FileNotFoundError:
        return True
    return manifest.digest(content) != about.get("metrics_sha256")


def _prepare(orders: Sequence[Order], client: Any) -> dict[str, Any]:
    """Get ready what these cells need, before several of them want the same at once.

    Returns
    -------
    what the experiment says of it, for manifests, by the cell's name
    """
    of_cell = {order.cell.id: one_cell.needs(order) for order in orders}
    needed = {json.dumps(names): names for names in of_cell.values() if names}
    experiment = orders[0].swept.experiment
    said: list[Any] = []
    if needed and experiment and experiment.prepare:
        calls = [functools.partial(experiment.prepare, **names) for names in needed.values()]
        said = workers.prepare(client, calls) if client else [call() for call in calls]
    by_key = dict(zip(needed, said, strict=True))
    return {cell: by_key.get(json.dumps(names)) for cell, names in of_cell.items()}


def _write_all(
    ended: Generator[workers.Ended],
    n_due: int,
    folder: Path,
    n_cells: int,
    inputs: dict[str, Any],
) -> None:
    """Write what each cell gave as soon as it is there, and show how far it all is."""
    git = manifest.git_state(files.repository_root())
    n_failed = 0
    bar = tqdm(
        total=n_cells,
        initial=n_cells - n_due,
        desc=folder.name,
        unit="cell",
        mininterval=0.1 if sys.stderr.isatty() else 60,  # not a log of a thousand lines
    )
    with bar, contextlib.closing(ended):
        for order, outcome in ended:
            about = {"git": git, "inputs": inputs[order.cell.id]}
            n_failed += _write(_cell_folder(folder, order.cell), order, outcome, about)
            bar.set_postfix(failed=n_failed, refresh=False)
            bar.update()


def _write(
    place: Path, order: Order, outcome: Outcome | workers.Lost, about: dict[str, Any]
) -> bool:
    """Write a cell's files, its manifest last; return whether it failed."""
    (place / MANIFEST).unlink(missing_ok=True)
    if isinstance(outcome, workers.Lost):
        outcome = Outcome({}, {}, {"name": "Lost", "message": outcome.reason, "traceback": ""})
    failed = outcome.error is not None
    if failed:
        (place / "metrics.csv").unlink(missing_ok=True)
    for name, data in outcome.files.items():
        files.write_atomically(place / name, data)
    content = {
        "run_id": f"{order.swept.name}-{order.cell.id}",
        "experiment": order.swept.name,
        "parameters": order.cell.parameters,
        "seeds": [order.cell.parameters["seed"]],
        "code": order.swept.code,
        **about,
        **outcome.about,
        "status": "failed" if failed else "complete",
    }
    if failed:
        content["error"] = outcome.error
    else:
        content["metrics_sha256"] = manifest.digest(outcome.files["metrics.csv"])
    manifest.write_json(place / MANIFEST, content)
    return failed


def _collect(grid: Grid, folder: Path, n_run: int) -> Sweep:
    """Write the sweep's tables and manifest from its cells."""
    complete, timings, failures, inputs = [], [], [], []
    for cell in grid.cells:
        about = manifest.read_json(_cell_folder(folder, cell) / MANIFEST)
        swept = {name: cell.parameters[name] for name in (*grid.varied, "seed")}
        if about["status"] == "failed":
            error = about["error"]
            message = (error["message"].splitlines() or [""])[0]
            failures.append(Failure(cell.id, swept, f"{error['name']}: {message}"))
            continue
        if about["inputs"] is not None and about["inputs"] not in inputs:
            inputs.append(about["inputs"])
        complete.append((cell, tables.read(_cell_folder(folder, cell) / "metrics.csv")))
        took = {name: about[name] for name in ("wall_s", "peak_memory_mib")}
        timings.append({"cell": cell.id, **swept, **took})
    about = {
        "sweep": grid.id,
        "status": "incomplete" if failures else "complete",
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "experiment": grid.swept.name,
        "varied": list(grid.varied),
        "n_cells": len(grid.cells),
        "failed": [failure.cell for failure in failures],
        "inputs": inputs,
        "code": grid.swept.code,
        "git": manifest.git_state(files.repository_root()),
        **one_cell.environment(),
    }
    if complete:
        text = table(grid, complete)
        files.write_atomically(folder / TABLE, text)
        about["table_sha256"] = manifest.digest(text)
        frame = pd.DataFrame(timings).to_csv(index=False, lineterminator="\n")
        files.write_atomically(folder / TIMINGS, frame)
    manifest.write_json(folder / MANIFEST, about)
    return Sweep(folder, len(grid.cells), n_run, tuple(failures))


def table(grid: Grid, complete: Sequence[tuple[Cell, pd.DataFrame]]) -> str:
    """Return the rows of all cells as CSV, sorted by their key and then by the cell.

    Behind the columns of `alutils.stats.tables.COLUMNS` there is one for each parameter of the
    grid, called ``parameter_<name>`` where a column has its name. Nothing depends on the order in
    which the grid file has its parameters and values.
    """
    names = {n: f"parameter_{n}" if n in tables.COLUMNS else n for n in sorted(grid.varied)}
    # Text, so that 1 does not become 1.0 in a column that holds None, too; lists as they are.
    frames = [
        frame.assign(**{column: str(cell.parameters[n]) for n, column in names.items()})
        for cell, frame in complete
    ]
    together = pd.concat(frames, ignore_index=True)
    order = [*tables.KEY, "run_id"]
    return together.sort_values(order, kind="stable").to_csv(
        index=False, lineterminator="\n", na_rep="nan"
    )
