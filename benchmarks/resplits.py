"""How often intervals for re-splits of one data set hold the truth, and how wide they are.

``python -m benchmarks resplits`` draws data sets of 1,000 items from worlds whose truth is known,
splits each many times, trains two arms on each split and compares them on its test items, as the
notebooks do. Of 95% intervals one in twenty may miss the difference that is true of other data sets
of the kind. It writes results/resplits.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.stats.intervals import paired
from alutils.stats.resplits import paired_items
from benchmarks.growing import Growing
from benchmarks.timing import Began

N, N_TEST = 1000, 300
"""Items of a data set, and those of them that a split tests."""
SETS, FEW = 1000, 3
"""Data sets of each row; and in a smoke run."""
N_INPUTS, APART, BENT = 10, 1.2, 0.5
"""Inputs of an item; how far apart its two classes lie in the first, and how they are bent."""
WEAK, STRONG = 1.0, 30.0
"""Penalties of the linear classifiers."""
DISAGREE = 0.1
"""Share of the items about which two fixed readers disagree."""
INTERVALS = ("seeds only", "Nadeau and Bengio", "seeds and items")

Labelled = tuple[np.ndarray, np.ndarray]
"""Inputs and classes of items."""


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.ones(len(x))])


def fitted(x: np.ndarray, y: np.ndarray, penalty: float = WEAK) -> np.ndarray:
    """Return the weights of a linear classifier of two classes."""
    ones = _with_one(x)
    return np.linalg.solve(ones.T @ ones + penalty * np.eye(ones.shape[1]), ones.T @ (2 * y - 1))


def drawn(rng: np.random.Generator) -> Labelled:
    """Return a data set of the kind."""
    y = rng.integers(0, 2, N)
    x = rng.normal(size=(N, N_INPUTS))
    x[:, 0] += APART * (2 * y - 1)
    x[:, 1] += BENT * (2 * y - 1) * x[:, 2]
    return x, y


def two_learners(x: np.ndarray, y: np.ndarray, pool: np.ndarray, n: int) -> np.ndarray:
    """Train a strongly and a weakly penalised classifier on the same labels; compare all items."""
    at = pool[:n]
    return _less(x, y, fitted(x[at], y[at], STRONG), fitted(x[at], y[at]))


def two_choices(x: np.ndarray, y: np.ndarray, pool: np.ndarray, n: int) -> np.ndarray:
    """Train on random labels, and on as many of which half were asked for as the most unsure."""
    first, rest = pool[: n // 2], pool[n // 2 :]
    unsure = np.abs(_with_one(x[rest]) @ fitted(x[first], y[first]))
    asked = np.concatenate([first, rest[np.argsort(unsure)[: n - n // 2]]])
    return _less(x, y, fitted(x[asked], y[asked]), fitted(x[pool[:n]], y[pool[:n]]))


def fixed_readers(x: np.ndarray, y: np.ndarray, pool: np.ndarray, n: int) -> np.ndarray:
    """Compare two readers that learn nothing: they are equally good, and differ on some items."""
    share = stats.norm.cdf(x[:, -1])
    return (share < DISAGREE / 2).astype(float) - (share > 1 - DISAGREE / 2)


def _less(x: np.ndarray, y: np.ndarray, ours: np.ndarray, base: np.ndarray) -> np.ndarray:
    ones = _with_one(x)
    right, before = ((ones @ weights > 0) == y for weights in (ours, base))
    return right.astype(float) - before


@dataclass(frozen=True)
class World:
    """A row: which two arms are compared, with how many labels, on how many splits of a set."""

    name: str
    arms: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
    labels: int
    splits: int


WORLDS = (
    *(World("two learners", two_learners, n, 20) for n in (20, 60, 300, 600)),
    *(World("unsure or random labels", two_choices, n, 20) for n in (20, 60, 300, 600)),
    World("two learners", two_learners, 60, 5),
    World("unsure or random labels", two_choices, 60, 5),
    World("two fixed readers", fixed_readers, 0, 20),
)


def differences(world: World, rng: np.random.Generator) -> np.ndarray:
    """Return (splits, N) float: what one arm has right less what the other has, where tested."""
    x, y = drawn(rng)
    of = np.full((world.splits, N), np.nan)
    for row in of:
        order = rng.permutation(N)
        test, pool = order[:N_TEST], order[N_TEST:]
        row[test] = world.arms(x, y, pool, world.labels)[test]
    return of


def row_of(number: int, sets: int, seed: int) -> list[dict[str, Any]]:
    """Hold the intervals of one of `WORLDS` against the truth: a row for each of `INTERVALS`."""
    world, found = WORLDS[number], []
    rngs = (np.random.default_rng([seed, number, i]) for i in range(sets))
    for rng in tqdm(rngs, world.name, sets, leave=False):
        of = differences(world, rng)
        means = np.nanmean(of, axis=1)
        pairs = (
            paired(means, np.zeros(len(means))),
            paired(means, np.zeros(len(means)), N_TEST / (N - N_TEST)),
            paired_items(of),
        )
        found.append([(pair.mean, pair.low, pair.high) for pair in pairs])
    mean, low, high = np.moveaxis(np.array(found), 2, 0)
    truth = mean[:, 0].mean()  # over all data sets, which misses it by far less than one of them
    best = 2 * stats.norm.ppf(0.975) * mean[:, 0].std(ddof=1)
    rows = []
    for i, name in enumerate(INTERVALS):
        holds = int(((low[:, i] <= truth) & (truth <= high[:, i])).sum())
        interval = stats.binomtest(holds, sets).proportion_ci(0.95)
        rows.append({
            "compared": world.name, "labels": world.labels, "splits": world.splits,
            "interval": name, "data_sets": sets, "holds": round(holds / sets, 4),
            "holds_low": round(float(interval.low), 4),
            "holds_high": round(float(interval.high), 4),
            "width": round(float((high - low)[:, i].mean()) / best, 3),
        })  # fmt: skip
    return rows


def measure(sets: int, seed: int, path: Path | None = None) -> pd.DataFrame:
    """Return the table: three rows for each of `WORLDS`.

    ``width`` is the interval's mean width over that of the best one, which knows the variance.
    ``path`` is of a CSV file that grows world by world; those that it has are not made again, so
    remove it to begin anew. None keeps nothing.
    """
    table = Growing(path)
    with threadpool_limits(limits=1, user_api="blas"):
        for number in range(len(table.rows) // len(INTERVALS), len(WORLDS)):
            table.add(row_of(number, sets, seed))
    return table.frame


def smoke() -> pd.DataFrame:
    """Hold the intervals of a few data sets against each other; their numbers mean nothing."""
    return measure(FEW, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, write results/resplits.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks resplits", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--sets", type=int, default=SETS, help="data sets of each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few data sets; writes nothing")
    options = parser.parse_args(arguments)
    if options.sets < 2:
        parser.error(f"--sets {options.sets}: at least 2 are needed for an interval")
    began = Began.now()
    if options.smoke:
        print(smoke().to_string(index=False))
        return
    path = files.repository_root() / "results" / "resplits.csv"
    print(measure(options.sets, options.seed, path).to_string(index=False))
    about = {
        "status": "complete",
        "command": f"python -m benchmarks resplits --sets {options.sets} --seed {options.seed}",
        "made": "world by world, perhaps in several goes; the wall time is that of the last",
        "parameters": {
            "data_sets": options.sets, "seed": options.seed, "items": N, "tested": N_TEST,
        },
        **began.about(),
    }  # fmt: skip
    manifest.write_json(path.with_name("resplits.manifest.json"), about)


if __name__ == "__main__":
    main()
