"""Timing for the benchmarks: fresh processes side by side, ratios, what the machine could do.

A baseline is a rival, somebody else's way to the same result, or a floor, what the machine must do
at the least; never a number of seconds that somebody wished for.

A smoke run measures nothing: it shows in seconds that a benchmark still runs. Its sizes are tiny,
and all happens in one process, so that TensorFlow is imported once.
"""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alutils.base import files, manifest


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    benchmark : which
    what : what was done
    baseline_s, ours_s : wall seconds of the baseline and of ours for the same work, medians
    bar, aim : the ratio baseline / ours that the project asks for, and hopes for
    floor_s : seconds that the arithmetic or the traffic alone would take on this machine
    note : what bounds it
    """

    benchmark: str
    what: str
    baseline_s: float
    ours_s: float
    bar: float
    aim: float
    floor_s: float
    note: str

    @property
    def ratio(self) -> float:
        return self.baseline_s / self.ours_s


def in_fresh_process(work: Callable[..., Any], *arguments: Any, smoke: bool = False) -> Any:
    """Return ``work(*arguments)``, computed in a process that has done nothing else.

    A smoke run computes it here, from what such a process would be sent.
    """
    if smoke:
        work, arguments = pickle.loads(pickle.dumps((work, arguments)))
        return work(*arguments)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def alternately(repeats: int, *works: Callable[[], Any], smoke: bool = False) -> list[list[Any]]:
    """Run each work ``repeats`` times, in turns, so that a noisy minute hits all of them."""
    results: list[list[Any]] = [[] for _ in works]
    for _ in range(repeats):
        for work, kept in zip(works, results, strict=True):
            kept.append(in_fresh_process(work, smoke=smoke))
    return results


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@functools.cache
def machine_rates(smoke: bool = False) -> tuple[float, float]:
    """Measure float32 operations a second (a large matrix product) and bytes a second (a copy)."""
    side, words = (64, 1 << 10) if smoke else (2048, 1 << 26)
    a = np.random.default_rng(0).random((side, side), np.float32)
    flops = 2 * side**3 / min(seconds(lambda: a @ a) for _ in range(5))
    source = np.zeros(words, np.float32)
    target = np.ones_like(source)
    traffic = 2 * source.nbytes / min(seconds(lambda: np.copyto(target, source)) for _ in range(5))
    return flops, traffic


def report(rows: list[Row]) -> str:
    """Return the comparisons as a text table."""
    lines = [
        {
            "benchmark": row.benchmark,
            "baseline (s)": f"{row.baseline_s:.3g}",
            "ours (s)": f"{row.ours_s:.3g}",
            "ratio": f"{row.ratio:.1f}",
            "bar": f"{row.bar:g}" if row.bar else "",
            "aim": f"{row.aim:g}" if row.aim else "",
            "times its floor": f"{row.ours_s / row.floor_s:.1f}" if row.floor_s else "",
            "what": row.what,
        }
        for row in rows
    ]
    return pd.DataFrame(lines).to_string(index=False)


@dataclass(frozen=True)
class Began:
    """The state in which measuring began, before results/ was written to."""

    git: dict[str, Any]
    at: float

    @classmethod
    def now(cls) -> Began:
        return cls(manifest.git_state(files.repository_root()), time.perf_counter())

    def about(self) -> dict[str, Any]:
        """Return what a manifest holds of the code, the environment and the time taken."""
        return {
            "git": self.git,
            "packages": manifest.packages(),
            "machine": manifest.machine(),
            "wall_s": round(time.perf_counter() - self.at, 2),
        }


def save(rows: list[Row], folder: Path, parameters: dict[str, Any], began: Began) -> Path:
    """Write benchmarks.csv and its manifest; benchmarks that did not run keep their rows."""
    path = folder / "benchmarks.csv"
    new = pd.DataFrame([asdict(row) | {"ratio": round(row.ratio, 2)} for row in rows])
    for column in ("baseline_s", "ours_s", "floor_s"):
        new[column] = new[column].map("{:.4g}".format)
    if path.is_file():
        old = pd.read_csv(path, dtype=str)
        new = pd.concat([old[~old["benchmark"].isin(new["benchmark"])], new.astype(str)])
    text = new.sort_values("benchmark", kind="stable").to_csv(index=False, lineterminator="\n")
    files.write_atomically(path, text)
    about = {
        "status": "complete",
        "command": "make bench",
        "parameters": parameters,
        **began.about(),
    }
    manifest.write_json(folder / "benchmarks.manifest.json", about)
    return path
