"""The attempt of notebook 00 to have everything labelled: what is asked for, and what it proves.

Which pictures it is about, and how it goes about it, is written down before the first question. So
nothing that is seen later can have chosen it, and an attempt that was broken off goes on with the
same pictures. A person's answers are kept by the oracle, so they are not asked for again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from alutils.active.loops.pool import PoolState
from alutils.active.oracles import ABSTAINED, Oracle
from alutils.base.content import content_digest
from alutils.base.files import repository_root, write_atomically
from alutils.experiments.start.person import Person
from alutils.experiments.start.pictures import Pictures
from alutils.guarantee import cost, error_chances
from alutils.guarantee.audit import CERTIFIED
from alutils.guarantee.cost import Choice, Promise, Waiting
from alutils.guarantee.error_chances import Judged
from alutils.guarantee.finishing import NOTHING, Finishing
from alutils.guarantee.terms import Terms, allowed_errors

LEVEL = 0.95
"""The chance, at least, that no promise about these pictures is given where it is false."""
ATTEMPTS = "attempts.jsonl"
ROOM = 3
"""Pictures by hand that a person need not be able to name."""
STREAM = 200
"""Of chance: of the audits."""


def folder(out: str | Path) -> Path:
    """Return where results go: beside a headless run's others, else from the repository root."""
    beside = os.environ.get("ALUTILS_RUN_DIR")
    return (Path(beside) if beside else repository_root()) / Path(out).expanduser()


@dataclass(frozen=True)
class Begun:
    """An attempt, as it is written down before its first question.

    Attributes
    ----------
    about : digest of the pool, of what the model says of it, and of the promise
    pictures : digests of the pictures' contents that waited for a label
    by_hand, expected_wrong, weighted : as in `alutils.guarantee.terms.Terms`
    """

    about: str
    pictures: tuple[str, ...]
    by_hand: int
    expected_wrong: float
    weighted: bool


@dataclass(frozen=True, eq=False)
class Attempt:
    """An attempt to have all pictures labelled with a promise, driven answer by answer.

    Attributes
    ----------
    pictures, state : all pictures; the loop after its last training
    rows : (n_waiting,) int, places in ``state.pool`` of those that the attempt is about
    before : what a person said of other pictures of the pool, label by number of the picture
    number : which attempt on these pictures this is, from 1 on. Each is held to a higher level than
        the one before, so that all of them together keep `LEVEL`
    finishing : what decides
    out : folder of the results
    """

    pictures: Pictures
    state: PoolState
    rows: np.ndarray
    before: dict[int, int]
    number: int
    finishing: Finishing
    out: str | Path

    @property
    def decision(self) -> str:
        """``go on``, ``certified`` or ``refused``."""
        return self.finishing.decision

    @property
    def items(self) -> np.ndarray:
        """(n_waiting,) int64, the numbers of the pictures that it is about."""
        return self.state.pool[self.rows]

    def next(self, n: int = 20) -> np.ndarray:
        """Return the numbers of the next ``n`` pictures to ask about; none once it is decided."""
        return self.items[self.finishing.next(n)]

    def answer(self, items: np.ndarray, told: np.ndarray) -> None:
        """Take the answers to pictures, in the order of ``items``; -1 for one nobody can name."""
        place = np.empty(len(self.pictures), np.int64)
        place[self.items] = np.arange(len(self.rows))
        self.finishing.answer(place[items], told)

    @property
    def said(self) -> tuple[np.ndarray, np.ndarray]:
        """What people said: (n,) int64 labels of all pictures, and (n,) bool, who was asked."""
        label = self.state.book.label.copy()
        asked = label != ABSTAINED
        asked[self.state.declined] = True
        now = self.finishing.now
        there = now != NOTHING
        told = dict(zip(self.items[there].tolist(), now[there].tolist(), strict=True))
        for item, answer in (self.before | told).items():
            label[item], asked[item] = answer, True
        return label, asked

    @property
    def by_model(self) -> tuple[np.ndarray, np.ndarray]:
        """The pictures that the model labels, (n_auto,) int64, and their labels: if certified."""
        rest = self.finishing.rest if self.decision == CERTIFIED else np.empty(0, np.int64)
        return self.items[rest], self.finishing.said.predicted[rest]


def attempt(
    pictures: Pictures,
    state: PoolState,
    probabilities: np.ndarray,
    judged: Judged,
    oracle: Oracle,
    promise: float,
    *,
    seed: int,
    out: str | Path,
) -> Attempt:
    """Begin an attempt at everything that has no label, or go on with the one that was begun.

    Parameters
    ----------
    probabilities : (n_left, n_classes) of ``state.pool``, in its order
    judged : what is known of such models: what each round asked for, and whether it was right
    oracle : who answers; what a `Person` has answered before is not asked again
    promise : share of all labels that is to be right
    seed : of the audit
    out : folder of the results, where attempts are written down
    """
    path, keys = folder(out) / ATTEMPTS, np.array(pictures.keys)[state.pool]
    earlier = _earlier(path, set(pictures.keys))
    about = content_digest(keys, probabilities, np.array([promise]))
    begun = next((each for each in earlier if each.about == about), None)
    answered = oracle.answered() if isinstance(oracle, Person) else {}
    if begun is None:
        rows = np.flatnonzero(~np.isin(state.pool, list(answered)))
        n_before = state.book.n_human + _named(answered, state, rows)
        choice = proposed(probabilities[rows], judged, n_before, promise, len(earlier) + 1)
        begun = Begun(
            about, tuple(keys[rows].tolist()), choice.by_hand, choice.expected_wrong,
            choice.weighted,
        )  # fmt: skip
        earlier.append(begun)
        _note(path, begun)
    rows, number = np.flatnonzero(np.isin(keys, begun.pictures)), earlier.index(begun) + 1
    others = np.setdiff1d(state.pool, state.pool[rows])
    before = {item: answered[item] for item in others.tolist() if item in answered}
    terms = Terms(
        promise, LEVEL, begun.by_hand, begun.expected_wrong, None, begun.weighted, number,
        min(ROOM, begun.by_hand),
    )  # fmt: skip
    finishing = Finishing(
        terms, probabilities[rows], state.book.n_human + _named(answered, state, rows),
        np.random.default_rng([seed, STREAM, number]),
    )  # fmt: skip
    return Attempt(pictures, state, rows, before, number, finishing, out)


def proposed(
    probabilities: np.ndarray, judged: Judged, n_before: int, promise: float, number: int
) -> Choice:
    """Return how many pictures by hand, and which audit, are expected to take the fewest labels."""
    waiting = Waiting.of(probabilities)
    allowed = allowed_errors(max(n_before + len(waiting) - ROOM, 0), promise)
    chances = error_chances.fitted(judged).of(waiting.margin)
    return cost.chosen(waiting, chances, Promise.at(allowed, LEVEL, number))


def n_attempts(pictures: Pictures, out: str | Path) -> int:
    """Return how many attempts on any of these pictures were begun."""
    return len(_earlier(folder(out) / ATTEMPTS, set(pictures.keys)))


def _named(answered: dict[int, int], state: PoolState, rows: np.ndarray) -> int:
    """Return how many pictures of the pool outside of these rows a person has named."""
    others = np.setdiff1d(state.pool, state.pool[rows])
    return sum(answered.get(item, ABSTAINED) != ABSTAINED for item in others.tolist())


def _earlier(path: Path, keys: set[str]) -> list[Begun]:
    """Return the attempts so far on any of these pictures, the first one first."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    begun = [Begun(**line | {"pictures": tuple(line["pictures"])}) for line in lines]
    return [each for each in begun if not keys.isdisjoint(each.pictures)]


def _note(path: Path, begun: Begun) -> None:
    """Write an attempt down behind the earlier ones."""
    noted = path.read_text(encoding="utf-8") if path.is_file() else ""
    write_atomically(path, noted + json.dumps(asdict(begun)) + "\n")
