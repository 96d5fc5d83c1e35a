"""How often Finish gives a certificate that is false, when model and person do their worst.

``python -m benchmarks finish_attacks`` simulates whole projects, 1,000 or more for each row of
results/finish_attacks.csv. Their models have more wrong than the promise allows, by as little as
possible, and where it hurts: only where they are sure, only in one class, or where they say so. The
person tries again and again, begins when the forecast looks best, throws out what is hard, changes
audited answers to what the model said, or brings another model after a refusal. A certificate is
false where more of all labels are wrong than it allows, changed ones included. Of all projects of a
row one in twenty may get one, over all attempts together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.guarantee import cost, error_chances
from alutils.guarantee.audit import CERTIFIED, GO_ON
from alutils.guarantee.cost import Promise, Waiting
from alutils.guarantee.error_chances import Judged
from alutils.guarantee.finishing import CANNOT_TELL, NOTHING, Finishing, Said
from alutils.guarantee.terms import Terms, allowed_errors
from benchmarks.growing import Growing
from benchmarks.timing import Began

PROJECTS, FEW = 1000, 3
"""Simulated for each row; and in a smoke run."""
N, N_BEFORE, N_CLASSES = 400, 100, 5
"""Pictures that wait, those that people labelled before, and classes."""
TARGET, LEVEL, ATTEMPTS = 0.95, 0.95, 3
BY_HAND, EXPECTED = 30, 0.025
"""Of an attempt, where no forecast chooses them."""
ROOM = 3
"""Pictures by hand that need not be named, where the person throws some out."""
LOOKS = 2
"""Models whose forecasts a person looks at before the first attempt; later there is one."""
AT_ONCE = 20


@dataclass(frozen=True)
class Model:
    """What a model says of the pictures that wait, and what is true of them: (n,) arrays."""

    truth: np.ndarray
    predicted: np.ndarray
    margin: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """(n,) bool."""
        return self.predicted != self.truth

    @property
    def said(self) -> Said:
        """As the plan takes it; of two classes, so that confidence and margin are one."""
        return Said(self.predicted, (1 + self.margin) / 2, -self.margin)

    @property
    def probabilities(self) -> np.ndarray:
        """(n, 2) float, for the forecast."""
        return np.column_stack([(1 + self.margin) / 2, (1 - self.margin) / 2])

    def at(self, places: np.ndarray) -> Model:
        """Return what is said of some of them."""
        return Model(self.truth[places], self.predicted[places], self.margin[places])


Errors = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Says how likely the model is to be wrong about each picture, but for a factor, by the margins and
the true classes."""
ERRORS: dict[str, Errors] = {
    "where it says": lambda margin, truth: 1 - margin,
    "where it is sure": lambda margin, truth: (margin > 0.9) + 1e-9,
    "in one class": lambda margin, truth: (truth == 0) + 1e-9,
    "anywhere": lambda margin, truth: np.ones(len(margin)),
}


def model(truth: np.ndarray, n_wrong: int, errors: str, rng: np.random.Generator) -> Model:
    """Return a model with so many wrong, the most unsure ones aside, which a person labels."""
    margin = rng.beta(3, 0.5, len(truth))
    unsure = np.argsort(margin)[:BY_HAND]
    chance = ERRORS[errors](margin, truth).astype(float)
    chance[unsure] = 0
    n_wrong = min(n_wrong, int((chance > 0).sum()))
    wrong = rng.choice(len(truth), n_wrong, replace=False, p=chance / chance.sum())
    predicted = truth.copy()
    predicted[wrong] = (truth[wrong] + rng.integers(1, N_CLASSES, n_wrong)) % N_CLASSES
    return Model(truth, predicted, margin)


@dataclass(frozen=True)
class Person:
    """What a person does beside answering rightly.

    Attributes
    ----------
    throws_out : share of the pictures that the model has wrong that cannot be named, it is said
    mends : share of the audited answers against the model that are changed to what it said
    brings : whether another model comes after each refusal; else the same one is tried again
    chooses : whether the attempt begins when the forecast looks best, as the forecast proposes
    """

    throws_out: float = 0.0
    mends: float = 0.0
    brings: bool = False
    chooses: bool = False


PEOPLE = {
    "tries again": Person(),
    "throws out what is hard": Person(throws_out=0.5),
    "mends answers afterwards": Person(mends=1.0),
    "throws out and mends": Person(throws_out=0.3, mends=0.7),
    "brings another model": Person(brings=True),
    "begins when the forecast looks best": Person(brings=True, chooses=True),
}
CHOOSES = "begins when the forecast looks best"
ROWS = (
    *((errors, "tries again", weighted) for errors in ERRORS for weighted in (False, True)),
    *(
        (errors, person, True)
        for errors in ("where it says", "where it is sure")
        for person in PEOPLE
        if person not in ("tries again", CHOOSES)
    ),
    *((errors, CHOOSES, True) for errors in ("where it says", "where it is sure")),
)
"""Where the errors are, who labels, and whether the audit is weighted."""
MORE = {("where it is sure", "mends answers afterwards"): 4}
"""How many times as many projects a row has: it is the one nearest to the level."""


def project(
    errors: str, person: Person, weighted: bool, rng: np.random.Generator
) -> dict[str, Any]:
    """Simulate a project to its certificate, or to the last attempt; returns what came of it."""
    truth = rng.integers(0, N_CLASSES, N)
    # One more than allowed, and what the person takes out of the count is put in again.
    n_wrong = allowed_errors(N + N_BEFORE, TARGET) + 1
    before, labels, attempt = N_BEFORE, 0, 0
    one = model(truth, n_wrong, errors, rng)
    while True:
        attempt += 1
        room = ROOM if person.throws_out else 0
        terms = Terms(TARGET, LEVEL, BY_HAND, EXPECTED, None, weighted, attempt, room)
        if person.chooses:
            one, terms = _best_looking(one.truth, n_wrong, errors, terms, rng)
        tried = Finishing(terms, one.said, before, rng)
        _answer(tried, one, person, rng)
        labels += tried.n_answered
        if tried.decision == CERTIFIED or attempt == ATTEMPTS:
            return {
                "certified": tried.decision == CERTIFIED,
                "false": tried.decision == CERTIFIED and _is_false(tried, one),
                "attempts": attempt, "labels": labels,
            }  # fmt: skip
        rest, before = np.flatnonzero(tried.now == NOTHING), before + int((tried.now >= 0).sum())
        n_wrong = allowed_errors(before + len(rest), TARGET) + 1
        if len(rest) <= BY_HAND + n_wrong:  # hardly anything is left to the model
            return {"certified": False, "false": False, "attempts": attempt, "labels": labels}
        brings = person.brings
        one = model(one.truth[rest], n_wrong, errors, rng) if brings else one.at(rest)


def _best_looking(
    truth: np.ndarray, n_wrong: int, errors: str, terms: Terms, rng: np.random.Generator
) -> tuple[Model, Terms]:
    """Return the model, of several, whose forecast looks best, and the plan that it proposes."""
    found = []
    for _ in range(LOOKS if terms.attempt == 1 else 1):
        one = model(truth, n_wrong, errors, rng)
        seen = rng.choice(len(truth), min(N_BEFORE, len(truth)), replace=False)
        judged = Judged(one.margin[seen], one.wrong[seen], rng.random(len(seen)) < 0.3)
        waiting = Waiting.of(one.probabilities)
        allowed = allowed_errors(N + N_BEFORE, TARGET) - terms.room
        chances = error_chances.fitted(judged, draws=50).of(waiting.margin)
        choice = cost.chosen(waiting, chances, Promise.at(allowed, LEVEL, terms.attempt or 1))
        found.append((choice.expected, len(found), one, choice))
    _, _, one, choice = min(found)
    return one, replace(
        terms, by_hand=choice.by_hand, expected_wrong=choice.expected_wrong,
        weighted=choice.weighted,
    )  # fmt: skip


def _answer(tried: Finishing, one: Model, person: Person, rng: np.random.Generator) -> None:
    """Answer until it is decided; the person knows the truth and what the model said."""
    while tried.decision == GO_ON:
        places = tried.next(AT_ONCE)
        told = one.truth[places].copy()
        wrong = one.wrong[places]
        told[wrong & (rng.random(len(places)) < person.throws_out)] = CANNOT_TELL
        tried.answer(places, told)
        mends = (told >= 0) & wrong & np.isin(places, tried.left)
        mends &= rng.random(len(places)) < person.mends
        tried.answer(places[mends], one.predicted[places[mends]])


def _is_false(tried: Finishing, one: Model) -> bool:
    """Whether more of all labels are wrong than the certificate allows."""
    label = np.where(tried.now == NOTHING, one.predicted, tried.now)
    given = label >= 0
    n_items = tried.n_items - int((~given).sum())
    return int((label != one.truth)[given].sum()) > allowed_errors(n_items, TARGET)


def row_of(number: int, projects: int, seed: int) -> dict[str, Any]:
    """Simulate the projects of one of `ROWS`."""
    errors, name, weighted = ROWS[number]
    rngs = [np.random.default_rng([seed, number, i]) for i in range(projects)]
    found = pd.DataFrame(
        [project(errors, PEOPLE[name], weighted, rng) for rng in tqdm(rngs, name, leave=False)]
    )
    interval = stats.binomtest(int(found["false"].sum()), projects).proportion_ci(0.95)
    return {
        "errors": errors, "person": name,
        "audit": "chosen" if PEOPLE[name].chooses else ("uniform", "weighted")[weighted],
        "projects": projects, "false": float(found["false"].mean()),
        "false_low": round(float(interval.low), 4), "false_high": round(float(interval.high), 4),
        "certified": float(found["certified"].mean()),
        "attempts": round(float(found["attempts"].mean()), 3),
        "labels": round(float(found["labels"].mean()), 1),
    }  # fmt: skip


def measure(projects: int, seed: int, path: Path | None = None) -> pd.DataFrame:
    """Return the table: a row for each of `ROWS`.

    ``path`` is of a CSV file that grows row by row; the rows that it has are not made again, so
    remove it to begin anew. None keeps nothing.
    """
    table = Growing(path)
    for number in range(len(table.rows), len(ROWS)):
        table.add([row_of(number, projects * MORE.get(ROWS[number][:2], 1), seed)])
    return table.frame


def smoke() -> pd.DataFrame:
    """Simulate a few projects of each row; their numbers mean nothing."""
    return measure(FEW, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, write results/finish_attacks.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks finish_attacks", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--projects", type=int, default=PROJECTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few projects; writes nothing")
    options = parser.parse_args(arguments)
    began = Began.now()
    if options.smoke:
        print(smoke().to_string(index=False))
        return
    path = files.repository_root() / "results" / "finish_attacks.csv"
    print(measure(options.projects, options.seed, path).to_string(index=False))
    about = {
        "status": "complete",
        "command": "python -m benchmarks finish_attacks",
        "made": "row by row, in several goes; the wall time is that of the last",
        "parameters": {
            "projects": options.projects, "seed": options.seed, "pictures": N,
            "labelled_before": N_BEFORE, "target": TARGET, "level": LEVEL, "attempts": ATTEMPTS,
        },
        **began.about(),
    }  # fmt: skip
    manifest.write_json(path.with_name("finish_attacks.manifest.json"), about)


if __name__ == "__main__":
    main()
