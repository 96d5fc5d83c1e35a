"""What people say against each other: pairs of answers to one picture, and labels in dispute."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from alutils.labelling.store.classes import CHANGES
from alutils.labelling.store.database import Database
from alutils.labelling.store.reader import as_arrays

_STANDS = "NOT EXISTS (SELECT 1 FROM events AS later WHERE later.undoes = {}.id)"
# In the grid or among the doubtful a person has looked; where classes were merged, nobody has.
_SETTLED = f"(gave.kind = 'relabel' AND coalesce(gave.batch, 0) NOT IN ({CHANGES}))"
# While an attempt to finish goes on, nobody learns what speaks against its answers.
_OPEN = """items.id IN (SELECT item FROM plan_items JOIN plans ON plans.id = plan
    WHERE state = 'open' AND place IS NOT NULL)"""


@dataclass(frozen=True)
class Given:
    """A label that stands, and how it came.

    Attributes
    ----------
    label : number of the class
    event, since : the event that gave it, and the one from which on the picture has this class: a
        person may have confirmed it later
    is_settled : a person has looked at it on purpose, in the grid or among the doubtful
    predicted : number of the class that the model named, or that spoke against the label, then
    person : who gave it; None for a model
    at : when, in seconds since 1970
    """

    label: int
    event: int
    since: int
    is_settled: bool
    predicted: int | None
    person: str | None
    at: float = 0.0


@dataclass
class Dispute:
    """What other people say of a picture than its label.

    Attributes
    ----------
    against : (person, number of a class, or None for somebody who cannot name it), oldest first
    agree : how many others say what the label says
    """

    against: list[tuple[str, int | None]] = field(default_factory=list)
    agree: int = 0


@dataclass
class Disputes:
    """Questions to the second answers in the project that a database holds; nothing here writes."""

    database: Database

    def pairs(self) -> dict[str, np.ndarray]:
        """Return the pairs of answers of the share that is asked of two people.

        Classes that were merged count as the one that they became; answers of a class that was
        deleted are left out.

        Returns
        -------
        ``item`` (n,) int64; ``first`` and ``second`` (n,) int64, numbers of classes, -1 where the
        person could not name it
        """
        rows = self.database.connection.execute(
            f"""SELECT seconds.item, coalesce(one.label, -1), coalesce(other.label, -1) FROM seconds
            JOIN events AS one ON one.id = first JOIN events AS other ON other.id = seconds.event
            WHERE seconds.why = 'share' AND {_STANDS.format("one")} ORDER BY seconds.id"""
        ).fetchall()
        now = self._now() | {-1: -1}
        there = [
            (item, now[first], now[second])
            for item, first, second in rows
            if first in now and second in now
        ]
        kinds: dict[str, type] = {"item": np.int64, "first": np.int64, "second": np.int64}
        return as_arrays(there, kinds)

    def _now(self) -> dict[int, int]:
        """Return which class of today each class is, by their numbers; without the deleted ones."""
        connection = self.database.connection
        gone = {n for (n,) in connection.execute("SELECT number FROM classes WHERE gone")}
        now = {n: n for (n,) in connection.execute("SELECT number FROM classes WHERE NOT gone")}
        merged = connection.execute(
            """SELECT class, json_extract(detail, '$.into') FROM class_events
            WHERE kind IN ('merge', 'delete') ORDER BY id DESC"""
        )
        # The last first: what a class was merged into may have been merged itself later.
        for number, into in merged:
            if number in gone and number not in now and into in now:
                now[number] = now[into]
            gone.discard(number)
        return now

    def answers(self) -> dict[int, list[tuple[str, str | None]]]:
        """Return what second people said of each picture: who, and the class or None."""
        rows = self.database.connection.execute(
            """SELECT seconds.item, events.person, classes.name FROM seconds
            JOIN events ON events.id = seconds.event
            LEFT JOIN classes ON classes.number = events.label ORDER BY events.id"""
        )
        found: dict[int, list[tuple[str, str | None]]] = {}
        for item, person, name in rows:
            found.setdefault(item, []).append((person, name))
        return found

    def waiting(self) -> int:
        """Return how many pictures wait for another person's answer."""
        query = "SELECT count(DISTINCT item) FROM seconds WHERE event IS NULL"
        return self.database.connection.execute(query).fetchone()[0]

    def all(self) -> dict[int, Dispute]:
        """Return what second people said of each picture, where somebody contradicts its label.

        What was said before a person has settled the label counts no more.
        """
        rows = self.database.connection.execute(
            f"""SELECT items.id, events.person, events.label, items.label AS given FROM seconds
            JOIN events ON events.id = seconds.event JOIN items ON items.id = seconds.item
            JOIN events AS gave ON gave.id = items.event
            WHERE (NOT {_SETTLED} OR events.id > gave.id) AND NOT {_OPEN}
            ORDER BY events.id"""
        )
        now = self._now()
        found: dict[int, Dispute] = {}
        for item, person, label, given in rows:
            dispute = found.setdefault(item, Dispute())
            if label is not None and now.get(label) == given:
                dispute.agree += 1
            elif label is None or label in now:
                dispute.against.append((person, label if label is None else now[label]))
        return {item: dispute for item, dispute in found.items() if dispute.against}

    def given(self, items: Iterable[int]) -> dict[int, Given]:
        """Return how these pictures came to their labels; without those that have none.

        Pictures of an open attempt to finish are left out, too.
        """
        rows = self.database.connection.execute(
            f"""SELECT items.id, items.label, gave.id AS event, {_SETTLED} AS settled,
                gave.predicted, gave.person, gave.replaced, gave.at FROM items
                JOIN events AS gave ON gave.id = items.event
            WHERE items.id IN (SELECT value FROM json_each(?)) AND NOT {_OPEN}""",
            (json.dumps(sorted(items)),),
        )
        return {
            row["id"]: Given(
                row["label"], row["event"], self._since(row), bool(row["settled"]),
                row["predicted"], row["person"], row["at"],
            )
            for row in rows
        }  # fmt: skip

    def unanswered(self, items: Iterable[int]) -> set[int]:
        """Return which of these pictures wait for an answer, but for those of an open attempt."""
        rows = self.database.connection.execute(
            f"""SELECT id FROM items WHERE id IN (SELECT value FROM json_each(?))
                AND label IS NULL AND rejected IS NULL AND NOT unreadable AND NOT {_OPEN}""",
            (json.dumps(sorted(items)),),
        )
        return {row[0] for row in rows}

    def _since(self, row: sqlite3.Row) -> int:
        since, before = row["event"], row["replaced"]
        while before is not None:
            query = "SELECT label, replaced FROM events WHERE id = ?"
            old = self.database.connection.execute(query, (before,)).fetchone()
            if old["label"] != row["label"]:
                break
            since, before = before, old["replaced"]
        return since
