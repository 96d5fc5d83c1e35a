"""Handing out pictures and taking labels: what people do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.labelling.store.database import Database
from alutils.labelling.store.folders import ClassFolders
from alutils.labelling.store.names import checked_name, checked_person
from alutils.labelling.store.reader import MOST, Reader
from alutils.labelling.store.records import ConflictError, Event, Filter, Item, checked_number

LEASE_S = 600.0
_LONGEST_KEY = 200


@dataclass
class Queue:
    """Gives pictures to people and takes their answers, each request in one transaction."""

    database: Database
    reader: Reader
    folders: ClassFolders
    rng: np.random.Generator  # draws what comes from the audit slice
    lease_s: float = LEASE_S  # for so long a person may hold a picture

    def hand_out(self, person: str, n: int = 1, where: Filter | None = None) -> list[Item]:
        """Give a person pictures to label; no other gets them while the person holds them.

        What the person holds already comes first and is held for longer, so asking again after a
        reload gives the same pictures. Then the least confident of those never skipped, with a
        random share from the audit slice (in random order, its prediction hidden); without scores
        all in random order.

        Parameters
        ----------
        n : how many pictures the person is to hold, 1 to `MOST`
        where : only such pictures; where it is by prediction, none come from the audit slice

        Returns
        -------
        ``n`` items in the order to show them, fewer where no more are left for this person
        """
        person = checked_person(person)
        n = checked_number(n, "n", 1, MOST)
        now = self.database.clock()
        with self.database.transaction() as connection:
            condition, values = self.reader.condition(where)
            rows = connection.execute(
                f"""SELECT id FROM items WHERE person = ? AND until > ? AND label IS NULL
                    AND NOT unreadable AND {condition} ORDER BY handed LIMIT ?""",
                (person, now, *values, n),
            )
            held = [row["id"] for row in rows]
            new = self._draw(connection, n - len(held), condition, values, now)
            connection.executemany(
                "UPDATE items SET until = ? WHERE id = ?", [(now + self.lease_s, i) for i in held]
            )
            for k, item in enumerate(new):
                self._hold(connection, person, item, now, now + 1e-6 * k)
            self.database.step("handed out")
            return [self.reader.item(item) for item in held + new]

    def _draw(
        self, connection: sqlite3.Connection, n: int, condition: str, values: list[Any], now: float
    ) -> list[int]:
        """Choose what is handed out next, in the order to show it."""
        if n < 1:
            return []
        rows = [
            connection.execute(
                f"""SELECT id, skipped FROM items WHERE label IS NULL AND unreadable = 0
                    AND audit = ? AND (until IS NULL OR until <= ?) AND {condition}
                ORDER BY skipped, rank LIMIT ?""",
                (audit, now, *values, n),
            ).fetchall()
            for audit in (0, 1)
        ]
        queue, audit = ([tuple(row) for row in part] for part in rows)
        share = float(self.database.setting("audit_rate", "0"))
        chosen: list[int] = []
        while len(chosen) < n and (queue or audit):
            from_audit = not queue or (audit and self.rng.random() < share)
            # What was skipped waits until all others are done, on either side.
            if queue and audit and queue[0][1] != audit[0][1]:
                from_audit = audit[0][1] < queue[0][1]
            chosen.append((audit if from_audit else queue).pop(0)[0])
        return chosen

    def claim(self, person: str, item: int) -> Item:
        """Give a person this very picture, as after an upload; raises as `label`."""
        person = checked_person(person)
        with self.database.transaction() as connection:
            row, now = self._free_row(item, person), self.database.clock()
            self._hold(connection, person, row["id"], now, now)
            return self.reader.item(row["id"])

    def _hold(
        self, connection: sqlite3.Connection, person: str, item: int, now: float, handed: float
    ) -> None:
        connection.execute(
            "UPDATE items SET person = ?, until = ?, handed = ? WHERE id = ?",
            (person, now + self.lease_s, handed, item),
        )

    def release(self, person: str, items: Sequence[int] | None = None) -> int:
        """Give back what a person holds, all of it or these; returns how many."""
        person = checked_person(person)
        with self.database.transaction() as connection:
            query = "SELECT id FROM items WHERE person = ? AND label IS NULL"
            held = {row["id"] for row in connection.execute(query, (person,))}
            ids = held if items is None else held & set(items)
            connection.executemany(
                "UPDATE items SET person = NULL, until = NULL WHERE id = ?", [(i,) for i in ids]
            )
        return len(ids)

    def label(self, person: str, item: int, label: str, key: str | None = None) -> Event:
        """Write down what a person sees in a picture.

        To accept a prediction, send the class that was shown: the model may have changed since.

        Parameters
        ----------
        item, label : the picture's number, the class's name
        key : of the request, any text that the client makes up; the same request with the same key
            gives the same answer and is not done again

        Raises
        ------
        UnknownError
            There is no such picture.
        ConflictError
            It has a label, another person holds it, or the key was used for something else.
        LabellingError
            There is no such class.
        """

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            row = self._free_row(item, person)
            number = self.reader.classes.number(label)
            return [self._give(connection, row, "label", number, person)]

        return self._events_of_request(person, key, ["label", item, label], act)[0]

    def skip(self, person: str, item: int, key: str | None = None) -> Event:
        """Put a picture off until all that were skipped less often are done; raises as `label`."""

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            row = self._free_row(item, person)
            event = self._note(connection, row, "skip", person)
            connection.execute(
                "UPDATE items SET skipped = skipped + 1, person = NULL, until = NULL WHERE id = ?",
                (row["id"],),
            )
            self.database.step("item written")
            return [event]

        return self._events_of_request(person, key, ["skip", item], act)[0]

    def relabel(
        self, person: str, items: Sequence[int], label: str, key: str | None = None
    ) -> list[Event]:
        """Give pictures a class from the grid, whatever they have; all of them or none.

        The same class as before turns an automatic label into one that a person gave.
        Raises as `label`, except that pictures may have labels; and `ConflictError` for pictures
        of the audit slice that nobody has labelled: whoever chooses among them spoils the sample.
        """
        items = list(items)

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            number = self.reader.classes.number(label)
            events: list[int] = []
            rows = [self.reader.row(item) for item in items]
            if audit := [str(r["id"]) for r in rows if r["audit"] and r["label"] is None]:
                raise ConflictError(
                    f"picture {', '.join(audit[:10])}{', ...' if len(audit) > 10 else ''}: of the "
                    "audit slice and without a label; these are labelled in the queue, where they "
                    "come in random order, so leave them out here"
                )
            for row in rows:
                self._check_holder(row, person)
                batch = events[0] if events else None
                events.append(self._give(connection, row, "relabel", number, person, batch))
            return events

        return self._events_of_request(person, key, ["relabel", items, label], act)

    def undo(self, person: str, key: str | None = None) -> list[Item]:
        """Take back the last thing that a person did and that still stands; once more for more.

        What another has changed or taken since is passed over. The pictures come back to the
        person, first in the queue.

        Returns
        -------
        the pictures: usually one, several after `relabel` of several, none if nothing is left
        """

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            # An event stands if its picture's state is still due to it.
            stands = """events.person = :person AND events.kind IN ('label', 'skip', 'relabel')
                AND NOT EXISTS (SELECT 1 FROM events AS later WHERE later.undoes = events.id)
                AND CASE events.kind WHEN 'skip' THEN items.label IS NULL AND
                    (items.person IS NULL OR items.person = :person OR items.until <= :now)
                ELSE items.event = events.id END"""
            values = {"person": person, "now": self.database.clock()}
            last = f"""SELECT coalesce(events.batch, events.id) FROM events
                JOIN items ON items.id = events.item WHERE {stands}
                ORDER BY events.id DESC LIMIT 1"""
            rows = connection.execute(
                f"""WITH last (id) AS ({last})
                SELECT events.*, old.label AS old_label, old.kind AS old_kind FROM events
                JOIN items ON items.id = events.item JOIN last
                LEFT JOIN events AS old ON old.id = events.replaced
                WHERE last.id IN (events.id, events.batch) AND {stands} ORDER BY events.id""",
                values,
            ).fetchall()
            return [self._take_back(connection, row, person) for row in rows]

        events = self._events_of_request(person, key, ["undo"], act)
        return [self.reader.item(event.item) for event in events]

    def _take_back(self, connection: sqlite3.Connection, row: sqlite3.Row, person: str) -> int:
        item = self.reader.row(row["item"])
        undone = {"label": row["old_label"], "undoes": row["id"]}
        event = self._note(connection, item, "undo", person, **undone)
        source = {None: None, "auto": "auto"}.get(row["old_kind"], "human")
        connection.execute(
            """UPDATE items SET label = ?, label_source = ?, event = ?, skipped = skipped - ?
            WHERE id = ?""",
            (row["old_label"], source, row["replaced"], row["kind"] == "skip", item["id"]),
        )
        if source is None:
            now = self.database.clock()
            self._hold(connection, person, item["id"], now, -now)  # comes first
        self.database.step("item written")
        return event

    # --- one request, one transaction ---------------------------------------------------------

    def _events_of_request(
        self,
        person: str,
        key: str | None,
        request: list[Any],
        act: Callable[[sqlite3.Connection, str], list[int]],
    ) -> list[Event]:
        """Do what is asked, once, however often it is asked with the same key."""
        person = checked_person(person)
        key = None if key is None else checked_name(key, "request key", _LONGEST_KEY)
        text = json.dumps(request, default=int)
        with self.database.transaction() as connection:
            if key is not None:
                query = "SELECT request, answer FROM requests WHERE person = ? AND key = ?"
                before = connection.execute(query, (person, key)).fetchone()
                if before is not None and before["request"] != text:
                    raise ConflictError(
                        f"request key {key!r}: it was used for something else; make up a new one "
                        "for each request"
                    )
                if before is not None:
                    return [self.reader.event(event) for event in json.loads(before["answer"])]
            ids = act(connection, person)
            if key is not None:
                connection.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?)", (person, key, text, json.dumps(ids))
                )
                self.database.step("request written")
            events = [self.reader.event(event) for event in ids]
        numbers = {c.name: c.number for c in self.reader.classes.all()}
        before = [numbers.get(event.replaced or "") for event in events]
        self.folders.show([event.item for event in events], before)
        return events

    def _free_row(self, item: int, person: str) -> sqlite3.Row:
        """Return a picture that this person may label."""
        row = self.reader.row(item)
        if row["label"] is not None:
            raise ConflictError(
                f"picture {row['id']} ({row['name']!r}): has label {row['label_name']!r} already; "
                "change it in the grid"
            )
        self._check_holder(row, person)
        return row

    def _check_holder(self, row: sqlite3.Row, person: str) -> None:
        other = row["person"] not in (None, person) and row["until"] > self.database.clock()
        if row["label"] is None and other:
            raise ConflictError(
                f"picture {row['id']} ({row['name']!r}): {row['person']!r} has it; take the next"
            )

    def _give(
        self,
        connection: sqlite3.Connection,
        row: sqlite3.Row,
        kind: str,
        label: int,
        person: str,
        batch: int | None = None,
    ) -> int:
        """Write a person's label: event and item."""
        event = self._note(connection, row, kind, person, label=label, batch=batch)
        connection.execute(
            """UPDATE items SET label = ?, label_source = 'human', event = ?, person = NULL,
                until = NULL WHERE id = ?""",
            (label, event, row["id"]),
        )
        self.database.step("item written")
        return event

    def _note(
        self, connection: sqlite3.Connection, row: sqlite3.Row, kind: str, person: str, **more: Any
    ) -> int:
        """Add an event; the first of a batch has no batch number but is named by the others'."""
        values = {
            "item": row["id"],
            "kind": kind,
            "person": person,
            "replaced": row["event"],
            "model": row["model"],
            "at": self.database.clock(),
            "predicted": row["predicted"],
            "confidence": row["confidence"],
            "hidden": bool(row["audit"]) and row["label"] is None,
            **more,
        }
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        query = f"INSERT INTO events ({names}) VALUES ({places})"
        connection.execute(query, values)
        self.database.step("event written")
        return connection.execute("SELECT last_insert_rowid()").fetchone()[0]
