"""How people are getting on: what each has done, and how fast; pure questions to the events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from alutils.labelling.store.classes import CHANGES

LONGEST_PAUSE_S = 60.0
"""Between two answers of a person: who takes longer is taken to have been away."""
_ANSWERS = ("label", "relabel", "reject", "second")
_KINDS = (*_ANSWERS, "skip", "undo")


@dataclass(frozen=True)
class Pace:
    """So many answers in so many minutes of work; pauses are left out."""

    answers: int
    minutes: float

    @property
    def per_minute(self) -> float:
        """Answers a minute; 0 where too few are known to tell."""
        return self.answers / self.minutes if self.minutes > 0 else 0.0


@dataclass(frozen=True)
class PersonsWork:
    """What a person has done.

    Attributes
    ----------
    name : of the person
    answers : labels given or changed, pictures rejected, second answers; also those taken back
    skipped, undone : how often
    pace : of the answers
    last : when the person did something last, in seconds since 1970
    """

    name: str
    answers: int
    skipped: int
    undone: int
    pace: Pace
    last: float

    @property
    def share_skipped(self) -> float:
        """Of all pictures that the person answered or skipped; 0 for none."""
        seen = self.answers + self.skipped
        return self.skipped / seen if seen else 0.0


def pace(times: Iterable[float]) -> Pace:
    """Tell how fast answers came.

    Parameters
    ----------
    times : of the answers, in seconds, ascending

    Returns
    -------
    the answers that followed another within `LONGEST_PAUSE_S`, and the time that they took
    """
    gaps = np.diff(np.fromiter(times, float))
    gaps = gaps[(gaps >= 0) & (gaps <= LONGEST_PAUSE_S)]  # below 0: a clock was set back
    return Pace(len(gaps), float(gaps.sum()) / 60)


def people(connection: sqlite3.Connection) -> list[PersonsWork]:
    """Tell what each person has done, those with the most answers first."""
    marks = ", ".join("?" * len(_KINDS))
    rows = connection.execute(
        f"""SELECT person, kind, at, batch FROM events
        WHERE person IS NOT NULL AND kind IN ({marks})
            AND coalesce(batch, 0) NOT IN ({CHANGES}) ORDER BY id""",  # classes, not pictures
        _KINDS,
    )
    of: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        of.setdefault(row["person"], []).append(row)
    found = [_work(name, events) for name, events in of.items()]
    return sorted(found, key=lambda each: (-each.answers, each.name))


def _work(name: str, events: list[sqlite3.Row]) -> PersonsWork:
    answers = [e for e in events if e["kind"] in _ANSWERS]
    # Many pictures that were labelled in one go say nothing about the time that one takes.
    single = [e["at"] for e in answers if e["batch"] is None]
    counts = {kind: sum(e["kind"] == kind for e in events) for kind in ("skip", "undo")}
    last = max(e["at"] for e in events)
    return PersonsWork(name, len(answers), counts["skip"], counts["undo"], pace(single), last)


def together(work: Iterable[PersonsWork]) -> Pace:
    """Return the pace of one person, on average over all people."""
    paces = [each.pace for each in work]
    return Pace(sum(p.answers for p in paces), sum(p.minutes for p in paces))
