"""Taking answers: what people do with the pictures that they were handed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alutils.guarantee.finishing import CANNOT_TELL
from alutils.labelling.store.classes import CHANGES
from alutils.labelling.store.folders import ClassFolders
from alutils.labelling.store.handing import Handing
from alutils.labelling.store.names import checked_person, checked_text
from alutils.labelling.store.plans import BEFORE_PLAN
from alutils.labelling.store.reader import HIDDEN, OPEN_PLAN
from alutils.labelling.store.records import (
    ConflictError,
    Event,
    Item,
    UnknownError,
    checked_number,
)
from alutils.labelling.store.seconds import IS_SECOND, PUT_OFF, STANDS

_LONGEST_KEY = 200


@dataclass
class Queue(Handing):
    """Gives pictures to people and takes their answers, each request in one transaction."""

    folders: ClassFolders

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
            number = self.reader.classes.number(label)
            if (second := self._second(connection, item, person)) is not None:
                return [self._answer_again(connection, second, person, number, None)]
            row = self._handed_row(item, person)
            event = self._give(connection, row, "label", number, person)
            self._ask_another(connection, row, number)
            return [event]

        return self._events_of_request(person, key, ["label", item, label], act)[0]

    def skip(self, person: str, item: int, key: str | None = None) -> Event:
        """Put a picture off until all that were skipped less often are done; raises as `label`."""

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            if (second := self._second(connection, item, person)) is not None:
                self.seconds.put_off(connection, second)
                row = self.reader.row(item)
                return [self._note(connection, row, "skip", person, why=PUT_OFF, hidden=True)]
            row = self._handed_row(item, person)
            event = self._note(connection, row, "skip", person)
            connection.execute(
                "UPDATE items SET skipped = skipped + 1, person = NULL, until = NULL WHERE id = ?",
                (row["id"],),
            )
            self.database.step("item written")
            return [event]

        return self._events_of_request(person, key, ["skip", item], act)[0]

    def reject(self, person: str, item: int, why: str = "", key: str | None = None) -> Event:
        """Say that a picture is none of the classes, or too bad to tell; raises as `label`.

        It gets no label and is not handed out again. ``why`` is kept.
        """
        why = checked_text(why, "reason") if why else ""

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            if (second := self._second(connection, item, person)) is not None:
                return [self._answer_again(connection, second, person, None, why or None)]
            row = self._handed_row(item, person)
            event = self._note(connection, row, "reject", person, why=why or None)
            connection.execute(
                "UPDATE items SET rejected = ?, person = NULL, until = NULL WHERE id = ?",
                (event, row["id"]),
            )
            self.database.step("item written")
            self._ask_another(connection, row, CANNOT_TELL)
            return [event]

        return self._events_of_request(person, key, ["reject", item, why], act)[0]

    def _ask_another(self, connection: sqlite3.Connection, row: sqlite3.Row, told: int) -> None:
        """Have a picture asked of another person if it is drawn, or its answer is doubtful."""
        if row["hidden"] and self.plans.contradicts(row["plan"], row["id"], told):
            self.seconds.ask(connection, row["id"], "audit", row["plan"])
        elif told != CANNOT_TELL and self.seconds.is_drawn(row):
            self.seconds.ask(connection, row["id"], "share")

    def relabel(
        self,
        person: str,
        items: Sequence[int],
        label: str,
        key: str | None = None,
        *,
        doubted: tuple[int, float] | None = None,
    ) -> list[Event]:
        """Give pictures a class from the grid, whatever they have; all of them or none.

        The same class as before turns an automatic label into one that a person gave.
        Raises as `label`, except that pictures may have labels or be rejected; and `ConflictError`
        for pictures that wait in an open attempt to finish: these are labelled in its order.

        ``doubted`` is what spoke against the label, where a doubt is settled: the number of a class
        and how sure a model was of it. The event keeps it in place of the present prediction.
        """
        items = list(items)

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            number = self.reader.classes.number(label)
            events: list[int] = []
            rows = [self.reader.row(item) for item in items]
            if hidden := [str(r["id"]) for r in rows if r["hidden"]]:
                raise ConflictError(
                    f"picture {', '.join(hidden[:10])}{', ...' if len(hidden) > 10 else ''}: waits "
                    "in the attempt to finish that goes on; such pictures are labelled in the "
                    "queue, where they come in its order, so leave them out here"
                )
            for row in rows:
                self._check_holder(row, person)
                batch = events[0] if events else None
                more: dict[str, Any] = {"batch": batch}
                if doubted is not None:
                    more |= dict(zip(("predicted", "confidence"), doubted, strict=True))
                events.append(self._give(connection, row, "relabel", number, person, **more))
            return events

        return self._events_of_request(person, key, ["relabel", items, label], act)

    def undo(self, person: str, key: str | None = None) -> list[Item]:
        """Take back the last thing that a person did and that still stands; once more for more.

        What another has changed or taken since is passed over, and while an attempt to finish goes
        on, what was done before it stays. The pictures come back to the person, first in the queue.

        Returns
        -------
        the pictures: usually one, several after `relabel` of several, none if nothing is left
        """

        def act(connection: sqlite3.Connection, person: str) -> list[int]:
            # An event stands if its picture's state is still due to it.
            stands = f"""events.person = :person
                AND events.kind IN ('label', 'skip', 'relabel', 'reject', 'second')
                AND coalesce(events.batch, 0) NOT IN ({CHANGES})
                AND NOT EXISTS (SELECT 1 FROM events AS later WHERE later.undoes = events.id)
                AND NOT (events.replaced IS NULL AND {BEFORE_PLAN})
                AND NOT ({HIDDEN} AND events.plan IS NOT {OPEN_PLAN})
                AND CASE WHEN {IS_SECOND} THEN {STANDS}
                WHEN events.kind = 'skip' THEN items.label IS NULL
                    AND items.rejected IS NULL
                    AND (items.person IS NULL OR items.person = :person OR items.until <= :now)
                ELSE events.id IN (items.event, items.rejected) END"""
            values = {"person": person, "now": self.database.steady()}
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
        connection = self.database.connection
        return [self._as_asked(connection, event.item, person) for event in events]

    def _take_back(self, connection: sqlite3.Connection, row: sqlite3.Row, person: str) -> int:
        item = self.reader.row(row["item"])
        if row["kind"] == "second" or (row["kind"] == "skip" and row["why"] == PUT_OFF):
            now = self.database.steady()
            self.seconds.take_back(connection, row, person, now + self.lease_s)
            back = {"undoes": row["id"], "label": item["label"]}
            return self._note(connection, item, "undo", person, **back)
        undone = {"label": row["old_label"], "undoes": row["id"]}
        event = self._note(connection, item, "undo", person, **undone)
        self.seconds.forget(connection, row["id"])
        before = row["old_kind"]
        source = {None: None, "reject": None, "auto": "auto"}.get(before, "human")
        gave, rejected = (None, row["replaced"]) if before == "reject" else (row["replaced"], None)
        connection.execute(
            """UPDATE items SET label = ?, label_source = ?, event = ?, rejected = ?,
                skipped = skipped - ? WHERE id = ?""",
            (row["old_label"], source, gave, rejected, row["kind"] == "skip", item["id"]),
        )
        if before is None:
            now = self.database.steady()
            self._hold(connection, person, item["id"], now + self.lease_s, -now)  # comes first
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
        key = None if key is None else checked_text(key, "request key", _LONGEST_KEY)
        text = json.dumps(request, default=int)
        # The class folder follows before the next one writes: who waits for others waits once.
        with self.database.writing:
            events, are_new = self._written(person, key, text, act)
            if are_new:
                self._show(events)
        return events

    def _written(
        self,
        person: str,
        key: str | None,
        text: str,
        act: Callable[[sqlite3.Connection, str], list[int]],
    ) -> tuple[list[Event], bool]:
        """Write what is asked; return its events, and whether they are new with this request."""
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
                    return [self.reader.event(each) for each in json.loads(before["answer"])], False
            ids = act(connection, person)
            if key is not None:
                connection.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?)", (person, key, text, json.dumps(ids))
                )
                self.database.step("request written")
            return [self.reader.event(event) for event in ids], True

    def _show(self, events: list[Event]) -> None:
        """Let class folders follow what was written."""
        numbers: dict[str, int] = {}
        if any(event.replaced for event in events):
            numbers = {c.name: c.number for c in self.reader.classes.ever()}
        before = [numbers.get(event.replaced or "") for event in events]
        self.folders.show([event.item for event in events], before)

    def _second(self, connection: sqlite3.Connection, item: int, person: str) -> sqlite3.Row | None:
        """Return what this person is asked about a picture that has its answer, None if nothing."""
        number = checked_number(item, "picture", 1, 2**62, UnknownError)
        return self.seconds.of(connection, person, number)

    def _answer_again(
        self,
        connection: sqlite3.Connection,
        second: sqlite3.Row,
        person: str,
        label: int | None,
        why: str | None,
    ) -> int:
        """Write what a second person says; the picture's label stays as it is."""
        row = self.reader.row(second["item"])
        more = {"label": label, "why": why, "plan": second["plan"]}
        event = self._note(
            connection, row, "second", person, replaced=None, hidden=True, **more
        )  # fmt: skip
        self.seconds.answered(connection, second, person, event)
        return event

    def _give(
        self,
        connection: sqlite3.Connection,
        row: sqlite3.Row,
        kind: str,
        label: int,
        person: str,
        **more: Any,
    ) -> int:
        """Write a person's label: event and item."""
        event = self._note(connection, row, kind, person, label=label, **more)
        connection.execute(
            """UPDATE items SET label = ?, label_source = 'human', event = ?, rejected = NULL,
                person = NULL, until = NULL WHERE id = ?""",
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
            "replaced": row["event"] or row["rejected"],
            "model": row["model"],
            "at": self.database.clock(),
            "predicted": row["predicted"],
            "confidence": row["confidence"],
            "hidden": row["label"] is None and self.seconds.is_hidden(connection, row, person),
            "plan": row["plan"],
            **more,
        }
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        query = f"INSERT INTO events ({names}) VALUES ({places})"
        event = connection.execute(query, values).lastrowid
        self.database.step("event written")
        assert event is not None
        return event
