"""What finishing was forecast to take, and what it then took, on real labelling runs.

``python -m benchmarks finish_forecast`` takes recorded runs of the tool (`benchmarks.finish_runs`),
forecasts after some of their trainings what a certificate costs if one stops training there, and
then finishes, with true labels, until there is one: many times, since the audit is drawn anew. It
writes results/finish_forecast.csv: a row for each run, number of labels and target.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.guarantee.cost import INTERVAL
from alutils.guarantee.cost_forecasts import TARGETS
from benchmarks.finish_runs import RUNS, TINY, Run, State, chosen, finished, grown
from benchmarks.timing import Began

STATES, DRAWS, LEVEL = 5, 3, 0.95
"""Trainings of a run that are looked at, and how often each is then finished."""
FROM = 60
"""Labels from which it is asked: below there is hardly a model."""
COLUMNS = (
    "run", "seed", "labels", "at_work", "wrong_waiting", "target", "by_hand", "audit", "chance",
    "expected", "low", "high", "took", "took_least", "took_most", "inside", "attempts", "untrue",
)  # fmt: skip


def rows_of(state: State, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what was forecast after one training and what it took, a row for each target."""
    for target in TARGETS:
        told = chosen(state.p, state.judged, len(state.truth), target, LEVEL, 1)
        low, high = told.interval
        rngs = [np.random.default_rng([seed, len(state.labelled), i]) for i in range(draws)]
        took = [finished(state, target, rng, LEVEL) for rng in rngs]
        labels = np.array([each.labels for each in took])
        allowed = (1 - target) * len(state.truth) + 1e-9
        yield {
            "labels": len(state.labelled), "at_work": state.name,
            "wrong_waiting": state.n_wrong, "target": target, "by_hand": told.by_hand,
            "audit": round(told.audit), "chance": round(told.chance, 3),
            "expected": round(told.expected), "low": low, "high": high,
            "took": round(float(labels.mean()), 1), "took_least": int(labels.min()),
            "took_most": int(labels.max()),
            "inside": float(((labels >= low) & (labels <= high)).mean()),
            "attempts": round(float(np.mean([each.attempts for each in took])), 2),
            "untrue": float(np.mean([each.wrong > allowed for each in took])),
        }  # fmt: skip


def measure(
    runs: Sequence[Run], seeds: Sequence[int], draws: int = DRAWS, table: Path | None = None
) -> pd.DataFrame:
    """Return the table; ``table`` is of a CSV file that grows, as in `benchmarks.finish_runs`."""

    def rows(run: Run, seed: int, all_states: Iterator[State]) -> Iterator[dict[str, Any]]:
        found = [each for each in all_states if len(each.labelled) >= FROM]
        places = np.unique(np.linspace(0, len(found) - 1, STATES).round().astype(int))
        for place in tqdm(places, run.name, leave=False):
            for row in rows_of(found[place], draws, seed):
                yield {"run": run.name, "seed": seed} | row

    return grown(runs, seeds, rows, table, list(COLUMNS))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return by run how often the interval held what it took, and how far the mean was off."""
    ratio = table.assign(ratio=table["took"] / table["expected"])
    return ratio.groupby("run").agg(
        forecasts=("inside", "size"), inside=("inside", "mean"), took_by_expected=("ratio", "mean"),
        attempts=("attempts", "mean"), untrue=("untrue", "mean"),
    )  # fmt: skip


def smoke() -> pd.DataFrame:
    """Make a tiny run and forecast it; nothing is kept but the run."""
    TINY.path(0).unlink(missing_ok=True)
    return measure([TINY], [0], 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write results/finish_forecast.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks finish_forecast", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = [run.name for run in RUNS]
    parser.add_argument("--run", action="append", choices=names, help="all if not given")
    parser.add_argument("--seeds", type=int, default=1, help="of each run")
    parser.add_argument("--draws", type=int, default=DRAWS, help="audits after each training")
    parser.add_argument("--smoke", action="store_true", help="tiny; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        print(summary(smoke()))
        return
    began = Began.now()
    runs = [run for run in RUNS if not options.run or run.name in options.run]
    path = files.repository_root() / "results" / "finish_forecast.csv"
    table = measure(runs, range(options.seeds), options.draws, path)
    print(summary(table).round(3))
    print(f"inside: {table['inside'].mean():.1%} of {len(table)} forecasts")
    about = {
        "status": "complete",
        "command": "python -m benchmarks finish_forecast",
        "made": "row by row, in several goes; the wall time is that of the last",
        "parameters": {
            "seeds": table.groupby("run")["seed"].nunique().to_dict(), "draws": options.draws,
            "states": STATES, "level": LEVEL, "interval": list(INTERVAL),
        },
        **began.about(),
    }  # fmt: skip
    manifest.write_json(path.with_name("finish_forecast.manifest.json"), about)


if __name__ == "__main__":
    main()
