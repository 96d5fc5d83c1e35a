"""``make bench``: speed beside the published procedures and other rivals, as ratios in one run.

A benchmark is a module of this folder with ``measure(repeats, smoke)``, which returns rows.
Others count broken promises, right labels, or labels that it took instead of seconds, in tables of
their own; they take long, and run only where they are named. ``--smoke`` shows in seconds that each
still runs; its times mean nothing and are not kept.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import time
from collections.abc import Callable

from alutils.base.files import repository_root
from benchmarks.timing import Began, report, save

NAMES = (
    "mnist",
    "az",
    "queries",
    "pool_stream",
    "letters_csv",
    "labelling",
    "convnet",
    "learners",
    "backbones",
)
OWN = (
    "tool_learning", "finish", "finish_forecast", "finish_attacks", "attempts", "resplits",
    "fair_costs",
)  # fmt: skip
"""These have options of their own: ``python -m benchmarks finish --help``."""
ALL = (*NAMES, "guarantee", *OWN)
AUDITS, FEW = 1000, 3
"""Simulated by ``guarantee``; and in a smoke run."""


def promises(smoke: bool) -> None:
    """Write results/guarantee.csv; in a smoke run, only make so much of it."""
    from benchmarks import guarantee

    began = Began.now()
    table = guarantee.measure(FEW if smoke else AUDITS, 0)
    if not smoke:
        guarantee.save(table, repository_root() / "results", AUDITS, 0, began)


def own(name: str, smoke: bool) -> None:
    """Run a benchmark that writes its own table; in a smoke run, a tiny one that writes nothing."""
    module = importlib.import_module(f"benchmarks.{name}")
    if smoke:
        module.smoke()
    else:
        module.main([])


APART: dict[str, Callable[[bool], None]] = {
    "guarantee": promises,
    **{name: functools.partial(own, name) for name in OWN},
}
"""What counts something else than seconds, and writes tables of its own."""


def main() -> None:
    """Run the benchmarks that are named, or all, and write results/benchmarks.csv."""
    if sys.argv[1:2] and sys.argv[1] in OWN:
        return importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}")
    parser.add_argument("--repeats", type=int, metavar="N", help="3 if not given, 1 with --smoke")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, nothing is written")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(ALL))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such benchmark; there are {', '.join(ALL)}")
    repeats = (1 if options.smoke else 3) if options.repeats is None else options.repeats
    if repeats < 1:
        parser.error(f"--repeats {repeats}: expected 1 or more")
    rows, began = [], Began.now()
    names = options.names or list(ALL if options.smoke else NAMES)
    for name in names:
        start = time.perf_counter()
        print(f"{name} ...", end=" ", flush=True)
        if name in NAMES:
            rows += importlib.import_module(f"benchmarks.{name}").measure(repeats, options.smoke)
        else:
            APART[name](options.smoke)
        print(f"{time.perf_counter() - start:.1f} s", flush=True)
    if rows:
        print(report(rows))
    for row in rows:
        print(f"{row.benchmark}: {row.note}")
    if rows and not options.smoke:
        parameters = {"names": [name for name in names if name in NAMES], "repeats": repeats}
        save(rows, repository_root() / "results", parameters, began)


if __name__ == "__main__":
    main()
