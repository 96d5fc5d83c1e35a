"""Reading letters and making PNG files of them, beside the usual ways: speed and memory.

The usual ways: pandas' `read_csv` of the whole table, OpenCV's `imwrite` and `imread` in a loop.
Each step runs in a process of its own, so that the peak of its memory is its own.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from alutils.base.manifest import peak_memory_mib
from benchmarks import made_up_csv
from benchmarks.timing import Row, alternately, seconds

N, TINY = made_up_csv.KAGGLE_ROWS // 10, 100  # the speed is that of the whole table


def _read(folder: Path) -> int:
    from alutils.data.csv_letters import read_csv

    return len(read_csv(folder / "letters.csv"))


def _usual_read(folder: Path) -> int:
    import pandas as pd

    return len(pd.read_csv(folder / "letters.csv", header=None))


def _to_png(folder: Path) -> int:
    from alutils.data.png import csv_to_png

    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "png"
        return sum(csv_to_png(folder / "letters.csv", path, progress=False).values())


def _usual_to_png(folder: Path) -> int:
    import cv2
    import pandas as pd

    table = pd.read_csv(folder / "letters.csv", header=None).to_numpy()
    with tempfile.TemporaryDirectory(dir=folder) as usual:
        for i, row in enumerate(table):
            place = Path(usual) / chr(ord("A") + row[0])
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{i:06d}.png"), row[1:].reshape(28, 28).astype(np.uint8))
    return len(table)


def _read_png(folder: Path) -> int:
    from alutils.data.folders import read_folder

    return len(read_folder(folder / "png", at_least=0))


def _usual_read_png(folder: Path) -> int:
    import cv2

    paths = sorted((folder / "png").rglob("*.png"))
    return len(np.stack([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]))


STEPS = {
    "read": ("{n:,} letters read from a table, beside pandas", _usual_read, _read),
    "to_png": ("{n:,} letters from a table to PNG files, beside OpenCV", _usual_to_png, _to_png),
    "read_png": ("{n:,} PNG files of letters read, beside OpenCV", _usual_read_png, _read_png),
}


def _timed(work: Callable[[Path], int], folder: Path, n: int) -> dict[str, float]:
    """Return the seconds of a step, compiling included if nothing is cached, and its memory."""
    start = time.perf_counter()
    done = work(folder)
    took = time.perf_counter() - start
    if done != n:
        raise AssertionError(f"{work.__name__}: {done} letters, expected {n}")
    return {"s": took, "peak_mib": peak_memory_mib()}


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Run every step on a made-up table, ours and the usual way in turns."""
    from alutils.data.png import csv_to_png

    n, rows = TINY if smoke else N, []
    with tempfile.TemporaryDirectory(prefix="alutils-letters-") as temporary:
        folder = Path(temporary)
        table = made_up_csv.write(
            folder / "letters.csv", n, stock=2 if smoke else made_up_csv.STOCK
        )
        csv_to_png(table, folder / "png", progress=False)
        floor = seconds(table.read_bytes)
        for step, (what, *works) in STEPS.items():
            timed = (functools.partial(_timed, work, folder, n) for work in works)
            theirs, ours = alternately(repeats, *timed, smoke=smoke)
            peaks = [max(run["peak_mib"] for run in runs) for runs in (ours, theirs)]
            rows.append(
                Row(
                    f"letters_{step}",
                    what.format(n=n),
                    statistics.median(run["s"] for run in theirs),
                    statistics.median(run["s"] for run in ours),
                    0,
                    0,
                    floor if step == "read" else 0,
                    f"peak memory {peaks[0]:.0f} MiB ours, {peaks[1]:.0f} theirs; what is bad in a "
                    "table or a file is looked for, too; the floor reads the table's bytes",
                )
            )
    return rows
