"""What each way of asking and learning costs, with the same freedom for all, settled elsewhere.

``python -m benchmarks fair_costs`` has two parts, and no picture is in both. **Trials**: on pools
of their own each way climbs a ladder of labels to train on, until the labels that a certificate
takes in all have risen twice; labels by hand and what the audit's plan expects are tried, too. The
rule is the same for all ways: the numbers with the fewest labels, on average over the trial seeds.
**Published**: with these numbers, on other pools and other seeds. Labels are counted over many
draws of the audit; a refused audit is paid for, and followed by another attempt at a stricter
level. Every refusal and every untrue certificate is counted.

The tables are results/fair_costs_trials.csv and results/fair_costs.csv. They grow row by row; the
same command goes on where one ended.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Perfect
from alutils.base import files
from alutils.data.rendering import rendered_dataset
from alutils.experiments.label_costs import fair
from alutils.guarantee import audit_luck
from alutils.guarantee.finishing import Said
from alutils.guarantee.pool import finish
from alutils.guarantee.terms import Terms, allowed_errors, unsure_first
from alutils.plots.fonts import png_of
from alutils.runs.publish.files import publish as publish_files
from benchmarks.fair_costs_runs import RUNGS, SETS, Networks, Pools, State, kept_in, states
from benchmarks.growing import Growing
from benchmarks.timing import Began

WAYS = ("random", "active", "random_unlabelled", "active_unlabelled")
TRIAL_SEEDS, SEEDS = range(100, 102), {"digits": 10}
"""Seeds of the trials; how many are published, 5 where nothing is said."""
DRAWS, TRIAL_DRAWS = 40, 10
"""Audits of each trained model, second attempts included."""
BY_HAND = (0, 50, 100, 150, 250, 400, 700, 1200)
EXPECTED = (0.15, 0.3, 0.5, 0.7)
"""What a plan expects to be wrong, times what may be."""
SHORTLIST, LUCK = 4, 200
"""Pairs of these that are tried with second attempts, of those that seem best in so many audits."""
AFTER_REFUSAL = 100
"""Labelled by hand after a refusal, at least, before the next audit."""
LEVEL, MOST_ATTEMPTS = 0.95, 12


@dataclass(frozen=True)
class Numbers:
    """What is settled by trials: labels to train on, by hand, and the share expected wrong."""

    trained: int
    by_hand: int
    expected: float


@dataclass(frozen=True)
class Costs:
    """Many draws of the audits of one state: (n_draws,) each.

    Attributes
    ----------
    labels : in all, those trained on and those of refused attempts included
    attempts : until one was accepted
    untrue : certificates that promise more than is so
    right : share of right labels in the end
    """

    labels: np.ndarray
    attempts: np.ndarray
    untrue: np.ndarray
    right: np.ndarray


def costs(state: State, numbers: Numbers, target: float, seed: int, draws: int) -> Costs:
    """Finish a state many times over, after each refusal with as many more by hand."""
    found = [
        _finished(state, numbers, target, np.random.default_rng([seed, 3, draw]))
        for draw in range(draws)
    ]
    return Costs(*map(np.array, zip(*found, strict=True)))


def _finished(
    state: State, numbers: Numbers, target: float, rng: np.random.Generator
) -> tuple[int, int, bool, float]:
    pool = PoolState.start(len(state.labels), state.waiting)
    pool.book.add(state.order, state.labels[state.order], Source.HUMAN, 0)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        p = state.p[np.searchsorted(state.waiting, pool.pool)]
        more = numbers.by_hand if attempt == 1 else max(numbers.by_hand, AFTER_REFUSAL)
        by_hand = min(more, len(p))
        terms = Terms(target, LEVEL, by_hand, numbers.expected, None, weighted=True)
        done = finish(pool, p, Perfect(state.labels), rng, terms)
        if done.certified:
            wrong = int((pool.book.label != state.labels).sum())
            untrue = wrong > allowed_errors(len(state.labels), target)
            return pool.book.n_human, attempt, untrue, 1 - wrong / len(state.labels)
    return len(state.labels), MOST_ATTEMPTS, False, 1.0  # the rest by hand


def best_numbers(state: State, target: float, seed: int, draws: int) -> list[dict[str, Any]]:
    """Return what the likeliest numbers cost on a state, rows of the trials' table."""
    n, wrong, said = len(state.labels), state.wrong, Said.of(state.p)
    allowed = allowed_errors(n, target)
    found: list[tuple[float, Numbers]] = []
    for by_hand in (each for each in BY_HAND if each < len(wrong)):
        _, left = unsure_first(said.margin, by_hand)
        for factor in EXPECTED:
            numbers = Numbers(len(state.order), by_hand, round(factor * (1 - target), 6))
            if numbers.expected * len(left) >= allowed + 1:
                continue
            terms = Terms(target, LEVEL, by_hand, numbers.expected, None, weighted=True)
            plan = terms.plan(n, len(left), 1 - said.confidence[left], answered_once=True)
            truths = np.tile(wrong[left].astype(int), (LUCK, 1))
            rng = np.random.default_rng([seed, 4])
            luck = audit_luck.audits(plan, np.ones(len(left), int), truths, rng)
            # Refused audits are paid for until one accepts.
            audits = 1 / max(luck.accepted.mean(), 1 / LUCK)
            found.append((by_hand + luck.labels.mean() * audits, numbers))
    found.sort(key=lambda pair: pair[0])
    return [
        _row(state, numbers, target, costs(state, numbers, target, seed, draws))
        for _, numbers in found[:SHORTLIST]
    ]


def _row(state: State, numbers: Numbers, target: float, came: Costs) -> dict[str, Any]:
    return {
        "pictures": len(state.labels), "target": target, "trained": numbers.trained,
        "by_hand": numbers.by_hand, "expected": numbers.expected, "draws": len(came.labels),
        "labels": round(float(came.labels.mean()), 1),
        "sd": round(float(came.labels.std(ddof=1)), 1) if len(came.labels) > 1 else 0.0,
        "attempts": round(float(came.attempts.mean()), 3),
        "refused": int((came.attempts > 1).sum()), "untrue": int(came.untrue.sum()),
        "right": round(float(came.right.mean()), 5), "n_wrong": int(state.wrong.sum()),
        "train_s": round(state.seconds, 1),
    }  # fmt: skip


class Table(Growing):
    """A growing table that can be asked for rows."""

    def has(self, **key: Any) -> bool:
        """Whether there is a row with these values."""
        return not self.of(**key).empty

    def of(self, **key: Any) -> pd.DataFrame:
        """Return the rows with these values."""
        rows = self.frame
        for name, value in key.items():
            rows = rows[rows[name] == value] if len(rows) else rows
        return rows


@dataclass(frozen=True)
class Part:
    """One set and way: what they are called in the tables, and what is trained, kept where."""

    name: str
    way: str
    pools: Pools
    nets: Networks
    kept: Path


def climb(table: Table, part: Part, seeds: Sequence[int]) -> None:
    """Add the trials: up the ladder, until the mean cost has risen twice, or to its end.

    What is there is not made again.
    """
    data = part.pools.trials()
    if data is None:
        return
    name, way, kept = part.name, part.way, part.kept / "trials"
    rungs = [n for n in RUNGS if n <= len(data) // 3]
    for target in part.pools.targets:
        means: list[float] = []
        for n in rungs:
            for seed in seeds:
                key = {"set": name, "way": way, "seed": seed, "target": target, "trained": n}
                if not table.has(**key):
                    (state,) = states(data, way, seed, [n], part.nets, kept)
                    rows = best_numbers(state, target, seed, TRIAL_DRAWS)
                    table.add([key | row for row in rows] or [key])
            means.append(_mean_cost(table.of(set=name, way=way, target=target, trained=n)))
            if len(means) > 2 and means[-1] >= means[-2] >= means[-3]:
                break


def _mean_cost(rows: pd.DataFrame) -> float:
    """Return the mean over seeds of the least that a rung takes; infinite where nothing fits."""
    if "labels" not in rows:
        return np.inf
    least = rows.groupby("seed")["labels"].min()
    return float(least.mean()) if least.notna().all() else np.inf


def settled(trials: pd.DataFrame, name: str, way: str, target: float) -> Numbers | None:
    """Return the numbers with the fewest labels on average over the trial seeds."""
    if trials.empty:
        return None
    rows = trials[(trials["set"] == name) & (trials["way"] == way) & (trials["target"] == target)]
    at = {n: _mean_cost(rung) for n, rung in rows.groupby("trained")}
    if min(at.values(), default=np.inf) == np.inf:
        return None
    trained = min(at, key=lambda n: at[n])
    own = rows[rows["trained"] == trained]
    best = own.loc[own.groupby("seed")["labels"].idxmin()]
    expected = float(np.exp(np.log(best["expected"]).mean()))
    by_hand = min(BY_HAND, key=lambda n: abs(n - best["by_hand"].mean()))
    return Numbers(int(trained), by_hand, round(expected, 6))


def publish(
    table: Table, trials: pd.DataFrame, part: Part, seeds: Sequence[int], draws: int
) -> None:
    """Add a row for each target and seed, with the numbers that the trials settled."""
    data = part.pools.published()
    if data is None:
        return
    name, way, kept = part.name, part.way, part.kept / "published"
    for target in part.pools.targets:
        numbers = settled(trials, name, way, target)
        for seed in seeds if numbers else ():
            key = {"set": name, "way": way, "seed": seed, "target": target}
            if numbers is None or table.has(**key):
                continue
            trained = min(numbers.trained, len(data) - 1)
            (state,) = states(data, way, seed, [trained], part.nets, kept)
            came = costs(state, replace(numbers, trained=trained), target, seed, draws)
            table.add([key | _row(state, numbers, target, came)])


def measure(
    parts: Sequence[Part], trials: Table, table: Table, seeds: int | None = None, draws: int = DRAWS
) -> pd.DataFrame:
    """Make the trials of all parts, then what is published; return the latter."""
    for part in tqdm(parts, "ways"):
        climb(trials, part, TRIAL_SEEDS)
        n = seeds or SEEDS.get(part.name, 5)
        publish(table, trials.frame, part, range(n), draws)
    return table.frame


def smoke() -> pd.DataFrame:
    """Go both parts once with tiny networks; nothing is kept."""
    trials, table, letters = Table(None), Table(None), rendered_dataset(600, 0)
    pools = Pools((0.5,), lambda: letters, lambda: letters)
    with tempfile.TemporaryDirectory() as kept:
        part = Part("letters", "active", pools, Networks(2, 1, 4, 2, 0), Path(kept))
        climb(trials, part, [0])
        publish(table, trials.frame, part, [1], 2)
    return table.frame


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write results/fair_costs*.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks fair_costs", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--set", action="append", choices=list(SETS), help="all if not given")
    parser.add_argument("--way", action="append", choices=WAYS, help="all if not given")
    parser.add_argument("--seeds", type=int, help="published ones: 10 of digits, else 5")
    parser.add_argument("--draws", type=int, default=DRAWS, help="audits of each model")
    parser.add_argument("--smoke", action="store_true", help="tiny; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        print(smoke().to_string(index=False))
        return
    began, nets = Began.now(), Networks()
    folder = files.repository_root() / "results"
    trials = Table(folder / "fair_costs_trials.csv")
    table = Table(folder / "fair_costs.csv")
    parts = [
        Part(name, way, SETS[name], replace(nets, distortion=SETS[name].distortion), kept_in(name))
        for name in options.set or SETS
        for way in options.way or WAYS
    ]
    print(measure(parts, trials, table, options.seeds, options.draws).to_string(index=False))
    about = {
        "status": "complete",
        "command": "python -m benchmarks fair_costs",
        "made": "row by row, in several goes; the wall time is that of the last",
        "parameters": {"networks": vars(nets), "draws": options.draws, "level": LEVEL},
        **began.about(),
    }
    _publish(folder, table.frame, about)


def _publish(folder: Path, table: pd.DataFrame, about: dict[str, Any]) -> None:
    """Write manifest and figure beside the tables; the figure once its ways are there."""
    there = {f"{name}.csv" for name in (fair.NAME, f"{fair.NAME}_trials")}
    contents = {name: (folder / name).read_bytes() for name in there if (folder / name).is_file()}
    texts = {}
    if fair.costs(table, *fair.FIRST):
        figure, alt, finding = fair.figure(table)
        contents[f"figures/{fair.FIGURE}.png"] = png_of(figure)
        texts[fair.FIGURE.removeprefix(f"{fair.NAME}_")] = {"alt": alt, "finding": finding}
    publish_files(fair.NAME, contents, {fair.NAME: about}, texts)


if __name__ == "__main__":
    main()
