"""How many human labels the way from the first picture to the certificate takes.

``python -m benchmarks finish`` takes labelling runs of the tool (`benchmarks.finish_runs`): a
scripted person with the true labels works the real queue and looks at the forecast after every
training. Where it says that training on saves little, the person finishes, again after a refusal,
many times over, since the audit is drawn anew. Beside it stands the procedure of notebook 05 on the
same pictures with the same models: numbers that are settled once for all, as by trials: labels to
train on, by hand, what the plan expects, the best of many in hindsight. The table is
results/finish.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alutils.base import files, manifest
from alutils.guarantee import audit_luck
from alutils.guarantee.cost import Waiting
from alutils.guarantee.cost_forecasts import MORE, Pool, forecasts
from alutils.guarantee.error_chances import fitted
from alutils.guarantee.finishing import Said
from alutils.guarantee.terms import Terms, allowed_errors, unsure_first
from benchmarks.finish_runs import RUNS, TINY, Run, State, finished, grown
from benchmarks.timing import Began

SEEDS, DRAWS, LEVEL = 1, 8, 0.95
FROM = 40
"""Labels from which the person looks at the forecast."""
TARGETS = {
    "mnist4k_tool": (0.99,), "mnist10k_tool": (0.99,), "mnist60k_tool": (0.99,),
    "letters_tool": (0.95, 0.98),
    "rendered_tool": (0.95,), "rendered_quick": (0.95,),
}  # fmt: skip
TRIED = (0, 25, 50, 100, 150, 250, 400, 700)
"""Numbers by hand that notebook 05's procedure is tried with."""
EXPECTED = (1.2,)
"""What its plan expects, times the share that is really wrong."""
SAFE = 0.9
"""Share of its audits that must accept."""


@dataclass(frozen=True)
class Fixed:
    """Notebook 05's procedure with the best numbers: labels in all, and what they are."""

    labels: float
    trained: int
    by_hand: int


def advised(found: list[State], target: float) -> State:
    """Return the state at which the forecast says that training on saves little; else the last."""
    for state in found:
        n = len(state.labelled)
        pool = Pool(n, len(state.waiting), 1, LEVEL)
        told = forecasts(
            pool, Waiting.of(state.p), fitted(state.judged), n_judged=len(state.judged.margin),
            targets=[target], more=MORE,
        )  # fmt: skip
        if told.of(target).best == 0:
            return state
    return found[-1]


def fixed(found: list[State], target: float) -> Fixed:
    """Return what notebook 05's procedure takes with the best of many numbers, in hindsight."""
    best = []
    for state in found:
        for by_hand in TRIED:
            best += [
                Fixed(len(state.labelled) + by_hand + labels, len(state.labelled), by_hand)
                for labels in _audits(state, target, by_hand)
            ]
    return min(best, key=lambda each: each.labels)


def _audits(state: State, target: float, by_hand: int) -> Iterator[float]:
    """Yield the mean labels of audits that are safe, for each kind and expectation."""
    n = len(state.waiting)
    if by_hand >= n:
        return
    said, rng = Said.of(state.p), np.random.default_rng(by_hand)
    _, left = unsure_first(said.margin, by_hand)
    wrong = said.predicted[left] != state.truth[state.waiting[left]]
    allowed = allowed_errors(len(state.truth), target)
    for factor in EXPECTED:
        rate = max(factor * wrong.mean(), 1e-4)
        if rate * len(left) >= allowed + 1:
            continue
        for weighted in (False, True):
            terms = Terms(target, LEVEL, by_hand, rate, None, weighted)
            plan = terms.plan(len(state.truth), len(left), 1 - said.confidence[left])
            luck = audit_luck.audits(
                plan, np.ones(len(left), int), np.tile(wrong.astype(int), (200, 1)), rng
            )
            if luck.accepted.mean() >= SAFE:
                yield float(luck.labels.mean())


def row_of(run: Run, seed: int, found: list[State], target: float, draws: int) -> dict[str, Any]:
    """Return what both ways take on a run."""
    state = advised(found, target)
    trained, n = len(state.labelled), len(state.truth)
    rngs = [np.random.default_rng([seed, i]) for i in range(draws)]
    took = [finished(state, target, rng, LEVEL) for rng in rngs]
    labels = trained + np.array([each.labels for each in took])
    rival = fixed(found[:: max(1, len(found) // 8)], target)
    return {
        "run": run.name, "seed": seed, "pictures": n, "target": target, "at_work": state.name,
        "trained": trained, "by_hand": round(float(np.mean([each.by_hand for each in took])), 1),
        "audited": round(float(np.mean([each.audited for each in took])), 1),
        "labels": round(float(labels.mean()), 1),
        "share_by_hand": round(float(labels.mean()) / n, 4),
        "accuracy": round(float(np.mean([1 - each.wrong / n for each in took])), 5),
        "attempts": round(float(np.mean([each.attempts for each in took])), 2),
        "notebook_labels": round(rival.labels, 1), "notebook_trained": rival.trained,
        "notebook_by_hand": rival.by_hand, "ratio": round(float(labels.mean()) / rival.labels, 3),
    }  # fmt: skip


def measure(
    runs: Sequence[Run], seeds: Sequence[int], draws: int = DRAWS, table: Path | None = None
) -> pd.DataFrame:
    """Return the table; ``table`` is of a CSV file that grows, as in `benchmarks.finish_runs`."""

    def rows_of(run: Run, seed: int, all_states: Iterator[State]) -> list[dict[str, Any]]:
        found = [each for each in all_states if len(each.labelled) >= FROM]
        targets = TARGETS.get(run.name, (0.95,))
        return [row_of(run, seed, found, target, draws) for target in targets]

    return grown(runs, seeds, rows_of, table)


def smoke() -> pd.DataFrame:
    """Make a tiny run and finish it; nothing is kept but the run."""
    TINY.path(0).unlink(missing_ok=True)
    return measure([TINY], [0], 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write results/finish.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks finish", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--run", action="append", choices=list(TARGETS), help="all if not given")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--draws", type=int, default=DRAWS, help="audits of each run")
    parser.add_argument("--smoke", action="store_true", help="tiny; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        print(smoke().to_string(index=False))
        return
    began = Began.now()
    runs = [run for run in RUNS if run.name in (options.run or TARGETS)]
    path = files.repository_root() / "results" / "finish.csv"
    table = measure(runs, range(options.seeds), options.draws, path)
    print(table.to_string(index=False))
    about = {
        "status": "complete",
        "command": "python -m benchmarks finish",
        "made": "row by row, in several goes; the wall time is that of the last",
        "parameters": {
            "seeds": table.groupby("run")["seed"].nunique().to_dict(), "draws": options.draws,
            "level": LEVEL,
        },
        **began.about(),
    }  # fmt: skip
    manifest.write_json(path.with_name("finish.manifest.json"), about)


if __name__ == "__main__":
    main()
