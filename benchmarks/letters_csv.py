"""Speed and memory of reading letters, beside the usual way: ``python -m benchmarks.letters_csv``.

Each step runs in a process of its own, so that the peak of its memory is its own. The usual way is
pandas' `read_csv` of the whole table, then OpenCV's `imwrite` in a loop.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from alutils.base.files import repository_root
from alutils.base.manifest import peak_memory_mib
from benchmarks import made_up_csv

ROWS = made_up_csv.KAGGLE_ROWS // 10  # the speed is that of the whole; --rows 372450 for its memory


def _read(folder: Path) -> int:
    from alutils.data.csv_letters import read_csv

    return len(read_csv(folder / "letters.csv"))


def _usual_read(folder: Path) -> int:
    import pandas as pd

    return len(pd.read_csv(folder / "letters.csv", header=None))


def _to_png(folder: Path) -> int:
    from alutils.data.png import csv_to_png

    return sum(csv_to_png(folder / "letters.csv", folder / "png", progress=False).values())


def _usual_to_png(folder: Path) -> int:
    import cv2
    import pandas as pd

    table = pd.read_csv(folder / "letters.csv", header=None).to_numpy()
    for i, row in enumerate(table):
        place = folder / "usual" / chr(ord("A") + row[0])
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i:06d}.png"), row[1:].reshape(28, 28).astype(np.uint8))
    return len(table)


def _read_png(folder: Path) -> int:
    from alutils.data.folders import read_folder

    return len(read_folder(folder / "png", at_least=0))


STEPS: dict[str, Callable[[Path], int]] = {  # in this order: the last reads what was written
    "read the table": _read,
    "read the table, usual way": _usual_read,
    "table to PNG": _to_png,
    "table to PNG, usual way": _usual_to_png,
    "read the PNG files": _read_png,
}


def measure(n_rows: int = ROWS) -> Iterator[tuple[str, dict[str, float]]]:
    """Run every step on a made-up table.

    Yields
    ------
    str, dict
        The step; ``rows_per_s`` and ``peak_mib``, the process' whole memory.
    """
    with tempfile.TemporaryDirectory(prefix="alutils-letters-") as folder:
        made_up_csv.write(Path(folder) / "letters.csv", n_rows)
        for step in STEPS:
            command = [sys.executable, "-m", "benchmarks.letters_csv", "--step", step, folder]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, cwd=repository_root()
            )
            yield step, json.loads(done.stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        step, folder = options.step
        started = time.perf_counter()
        n = STEPS[step](Path(folder))
        seconds = time.perf_counter() - started  # compiling included, if nothing is cached
        print(json.dumps({"rows_per_s": n / seconds, "peak_mib": peak_memory_mib()}))
        return
    print(f"{f'{options.rows:,} letters':28}{'rows/s':>10}{'peak MiB':>10}")
    for step, result in measure(options.rows):
        line = f"{step:28}{result['rows_per_s']:10,.0f}{result['peak_mib']:10,.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
