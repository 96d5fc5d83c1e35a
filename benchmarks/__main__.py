"""``make bench``: speed beside the published procedures, as ratios taken in one run."""

from __future__ import annotations

import argparse
import importlib

from alutils.base.files import repository_root
from benchmarks.timing import Began, report, save

NAMES = ("mnist", "az", "queries", "pool_stream", "labelling", "convnet")


def main() -> None:
    """Run the benchmarks that are named, or all, and write results/benchmarks.csv."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such benchmark; there are {', '.join(NAMES)}")
    rows, began = [], Began.now()
    names = options.names or list(NAMES)
    for name in names:
        print(f"{name} ...", flush=True)
        rows += importlib.import_module(f"benchmarks.{name}").measure(options.repeats)
    print(report(rows))
    for row in rows:
        print(f"{row.benchmark}: {row.note}")
    parameters = {"names": names, "repeats": options.repeats}
    save(rows, repository_root() / "results", parameters, began)


if __name__ == "__main__":
    main()
