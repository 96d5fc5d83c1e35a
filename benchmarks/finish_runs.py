"""Real labelling runs, kept: what the tool's model said after each training, and the truth.

A scripted person with the true labels works the real queue (`benchmarks.tool_learning`). After
every training is kept what a forecast of a certificate's cost sees, and what decides what it then
takes. A run lasts minutes to hours, so each is made once and lies in a file of its own in the
cache; what is asked of it afterwards takes seconds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Perfect
from alutils.base import artefacts, files
from alutils.data import mnist
from alutils.data.dataset import Dataset
from alutils.data.rendering import rendered_dataset
from alutils.guarantee import cost, error_chances
from alutils.guarantee.cost import Choice, Promise, Waiting
from alutils.guarantee.error_chances import Judged, margin_of
from alutils.guarantee.pool import Finished, finish
from alutils.guarantee.terms import Terms, allowed_errors
from alutils.labelling.model import learner
from alutils.labelling.model.contest import NETWORK, parts_of
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from benchmarks.growing import Growing
from benchmarks.real_letters import capitals, small_letters
from benchmarks.tool_learning import Person, begin, open_copy, settle

AT_ONCE = 5
"""Pictures that the scripted person takes from the queue at a time."""
QUICK = {"beside": False, "features": "vgg16-block3"}
"""The quick learner alone, which is trained in seconds."""


@dataclass(frozen=True)
class Run:
    """A labelling run.

    Attributes
    ----------
    name : of its file
    data : which pictures, as `pictures` takes it
    n : how many of them, 0 for all
    labels : after which it ends
    learning : how the tool learns, beside what all runs have
    """

    name: str
    data: str
    n: int
    labels: int
    learning: dict[str, Any] = field(default_factory=dict)

    def path(self, seed: int) -> Path:
        """Where its states are kept."""
        return artefacts.cache_folder() / "finish_runs" / f"{self.name}_{seed}.npz"


RUNS = (
    Run("rendered_tool", "rendered", 2000, 400),
    Run("mnist4k_tool", "mnist_article", 0, 300),
    Run("letters_tool", "letters", 0, 500),
    Run("mnist10k_tool", "mnist", 10_000, 500),
    Run("mnist60k_tool", "mnist", 0, 800),
    Run("mnist10k_quick", "mnist", 10_000, 600, QUICK),
    Run("rendered_quick", "rendered", 2000, 600, QUICK),
    Run("letters_quick", "letters", 0, 1000, QUICK),
    Run("lower_quick", "lower", 4000, 900, QUICK),
)
TINY = Run("tiny", "rendered", 150, 60, {"beside": False, "features": "pixels"})


def pictures(name: str, n: int = 0) -> Dataset | None:
    """Return a set of pictures, ``n`` of them at random; None for real ones that are not here.

    ``mnist`` are the 60,000 digits, ``mnist_article`` the article's 4,000, ``letters`` real
    capitals, ``lower`` real small letters, ``rendered`` rendered capitals.
    """
    if name == "rendered":
        return rendered_dataset(n, 0)
    if name == "mnist_article":
        found = mnist.mnist_article()[0]
    elif name == "mnist":
        found = mnist.mnist()[0]
    else:
        made = {"letters": capitals, "lower": small_letters}[name]()
        if made is None:
            return None
        found = made
    drawn = np.random.default_rng(0).permutation(len(found))[: n or len(found)]
    return found.take(drawn) if n else found


def record(run: Run, seed: int) -> Path | None:
    """Make a run and keep it, unless it is kept; None where its pictures are not here."""
    path = run.path(seed)
    if path.is_file():
        return path
    data = pictures(run.data, run.n)
    if data is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_file(path) as file:
        np.savez(file, **_recorded(run, seed, data))  # type: ignore[arg-type]
    return path


def _recorded(run: Run, seed: int, data: Dataset) -> dict[str, np.ndarray]:
    memory = Path("/dev/shm")
    kept: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        base = Path(temporary) / "base"
        truth = begin(base, data)
        store = open_copy(base, Path(temporary) / "project", seed)
        loop = LabellingLoop(store, Learning(pause_s=0, seed=seed, polite=False, **run.learning))
        person, labelled, number, last = Person(store, truth), 0, 0, ""
        column = {name: i for i, name in enumerate(data.classes)}
        try:
            while labelled < run.labels:
                person.label(AT_ONCE)
                labelled += AT_ONCE
                settle(loop)
                said = loop.training.said
                if said is None or said.model == last:
                    continue
                last = said.model
                if not number:
                    sha256 = store.reader.snapshot()["sha256"].tolist()
                    kept["ids"], kept["truth"] = (
                        said.ids,
                        np.array([column[truth[s]] for s in sha256]),
                    )
                kept |= {f"{number}_{key}": value for key, value in _state(loop, column).items()}
                number += 1
        finally:
            loop.stop()
            store.close()
    return kept | {"n_states": np.array(number)}


def _state(loop: LabellingLoop, column: dict[str, int]) -> dict[str, np.ndarray]:
    """Return what the model at work says, in the columns of the data's classes."""
    store, training = loop.store, loop.training
    said, at_work = training.said, training.at_work
    assert said is not None
    p = np.zeros((len(said.ids), len(column)), np.float32)
    p[:, [column[name] for name in said.classes]] = said.p
    ids = np.array(list(at_work.labelled), np.int64)
    held_out = np.zeros((len(ids), len(column)), np.float32)
    names = [each.name for each in store.classes.ever()]
    held_out[:, [column[name] for name in names]] = at_work.held_out[
        list(at_work.labelled.values())
    ]
    now = store.reader.snapshot()
    return {
        "p": p, "held_ids": ids, "held_out": held_out, "sample": store.sample.not_by_doubt(),
        "labelled_ids": now["id"][now["label"] >= 0], "name": np.array(at_work.name),
    }  # fmt: skip


@dataclass(frozen=True)
class State:
    """What was there after one training.

    Attributes
    ----------
    name : who was at work
    truth : (n,) int, of all pictures
    labelled : (n_labelled,) int, places of those with a label
    waiting : (n_waiting,) int, places of the others
    p : (n_waiting, n_classes) float32
    judged : out of fold
    """

    name: str
    truth: np.ndarray
    labelled: np.ndarray
    waiting: np.ndarray
    p: np.ndarray
    judged: Judged

    @property
    def n_wrong(self) -> int:
        """How many of the waiting ones the model has wrong."""
        return int((self.p.argmax(axis=1) != self.truth[self.waiting]).sum())


def states(path: Path) -> Iterator[State]:
    """Read the states of a run, in their order."""
    with np.load(path) as kept:
        ids, truth = kept["ids"], kept["truth"]
        for k in range(int(kept["n_states"])):
            labelled = np.searchsorted(ids, kept[f"{k}_labelled_ids"])
            waits = np.ones(len(ids), bool)
            waits[labelled] = False
            held_ids, held_out = kept[f"{k}_held_ids"], kept[f"{k}_held_out"]
            wrong = learner.says(held_out) != truth[np.searchsorted(ids, held_ids)]
            at_random = np.isin(held_ids, kept[f"{k}_sample"])
            name = str(kept[f"{k}_name"])
            judged = Judged(margin_of(held_out), wrong, at_random, NETWORK in parts_of(name))
            p = kept[f"{k}_p"][waits]
            yield State(name, truth, labelled, np.flatnonzero(waits), p, judged)


def grown(
    runs: Sequence[Run],
    seeds: Sequence[int],
    rows_of: Callable[[Run, int, Iterator[State]], Iterable[dict[str, Any]]],
    table: Path | None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return a table of recorded runs; a run whose pictures are not here is left out.

    ``rows_of`` makes a run's rows from its seed and its states. ``table`` is of a CSV file that
    grows run by run; the runs that it has are not made again.
    """
    growing = Growing(table, columns)
    for run in runs:
        for seed in tqdm(seeds, run.name, leave=False):
            known = any(row["run"] == run.name and row["seed"] == seed for row in growing.rows)
            path = None if known else record(run, seed)
            if path is not None:
                growing.add(rows_of(run, seed, states(path)))
    return growing.frame


@dataclass(frozen=True)
class Took:
    """What finishing took: human labels by hand and audited, attempts, wrong labels left."""

    by_hand: int
    audited: int
    attempts: int
    wrong: int

    @property
    def labels(self) -> int:
        return self.by_hand + self.audited


def finished(state: State, target: float, rng: np.random.Generator, level: float = 0.95) -> Took:
    """Finish as the forecast proposes, again after each refusal, without further training.

    What was labelled in a refused attempt tells how likely the model is wrong about the rest.
    """
    pool = PoolState.start(len(state.truth), state.waiting)
    pool.book.add(state.labelled, state.truth[state.labelled], Source.HUMAN, 0)
    judged, by_hand, audited, attempt = state.judged, 0, 0, 0
    while True:
        attempt += 1
        p = state.p[np.searchsorted(state.waiting, pool.pool)]
        choice = chosen(p, judged, len(state.truth), target, level, attempt)
        done = _attempt(pool, p, state.truth, choice, target, level, attempt, rng)
        by_hand, audited = by_hand + len(done.by_hand), audited + len(done.audited)
        if done.certified:
            wrong = int((pool.book.label != state.truth).sum())
            return Took(by_hand, audited, attempt, wrong)
        judged = learned(judged, state, np.concatenate([done.by_hand, done.audited]))


def chosen(
    p: np.ndarray, judged: Judged, n_items: int, target: float, level: float, attempt: int
) -> Choice:
    """Return what the forecast proposes."""
    waiting = Waiting.of(p)
    chances = error_chances.fitted(judged).of(waiting.margin)
    promise = Promise.at(allowed_errors(n_items, target), level, attempt)
    return cost.chosen(waiting, chances, promise)


def _attempt(
    pool: PoolState, p: np.ndarray, truth: np.ndarray, choice: Choice, target: float, level: float,
    attempt: int, rng: np.random.Generator,
) -> Finished:  # fmt: skip
    terms = Terms(
        target, level, choice.by_hand, choice.expected_wrong, None, choice.weighted, attempt
    )
    return finish(pool, p, Perfect(truth), rng, terms)


def learned(judged: Judged, state: State, items: np.ndarray) -> Judged:
    """Add what the labels of a refused attempt say of the model, which has not seen them.

    At the same margin they are as hard as those that still wait: nothing else chose them.
    """
    p = state.p[np.searchsorted(state.waiting, items)]
    return replace(
        judged,
        margin=np.concatenate([judged.margin, margin_of(p)]),
        wrong=np.concatenate([judged.wrong, p.argmax(axis=1) != state.truth[items]]),
        at_random=np.concatenate([judged.at_random, np.ones(len(items), bool)]),
    )
