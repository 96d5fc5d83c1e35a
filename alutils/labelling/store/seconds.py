"""Pictures that are asked of a second person: which, of whom, and what was answered.

A share of the pictures is drawn, so that one learns how far people agree. Such a picture comes to
another person like any other. Where there is more than one person, its prediction is hidden at both
times: neither answer is led by the model, and nobody can tell a first question from a second.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, replace

from alutils.labelling.store.database import Database
from alutils.labelling.store.records import Item

WHYS = ("share", "audit", "doubt")
"""``share``: drawn, to learn how far people agree; ``audit``: an answer in an attempt to finish
contradicts the model; ``doubt``: something else speaks against the label."""
SHARE = 0.05
"""The share of the pictures that is asked of two people, where nothing else was chosen."""
MIXED = 0.2
"""The share of what is handed out to a person that such pictures take, while some wait for them."""
BETWEEN = 10
"""What a person does, at least, before a picture comes back to the same person."""
PUT_OFF = "second"  # the reason in the event of a second question that was skipped
IS_SECOND = f"(events.kind = 'second' OR (events.kind = 'skip' AND events.why = '{PUT_OFF}'))"
"""The condition of events by which a person dealt with a second question."""
STANDS = """EXISTS (SELECT 1 FROM seconds WHERE seconds.item = events.item AND iif(
    events.kind = 'second', seconds.event = events.id, seconds.event IS NULL
    AND (asked_of IS NULL OR asked_of = :person OR seconds.until <= :now)))"""
"""The condition under which such an event can be taken back."""
_SHARE = "twice"
_SEEN = "EXISTS (SELECT 1 FROM events WHERE events.item = seconds.item AND person = :person)"
_BACK = """why = 'audit' AND NOT EXISTS (SELECT 1 FROM events WHERE events.item = seconds.item
    AND person = :person AND events.id > coalesce(first, 0))
    AND (SELECT count(*) FROM events WHERE person = :person AND events.id > first) >= :between"""


@dataclass
class Seconds:
    """What is asked of a second person in the project that a database holds."""

    database: Database
    _share: float | None = None

    def set_up(self, share: float | None) -> None:
        """Keep the share that is given, and `SHARE` where none was before; in a transaction."""
        self._share = None
        if share is not None or not self.database.setting(_SHARE):
            self.database.set_setting(_SHARE, str(SHARE if share is None else share))

    def share(self) -> float:
        """Return the share of the pictures that is asked of two people, from 0 to 1."""
        if self._share is None:  # asked with every label, and set with the start alone
            self._share = float(self.database.setting(_SHARE, "0"))
        return self._share

    # --- which --------------------------------------------------------------------------------

    def ask(
        self, connection: sqlite3.Connection, item: int, why: str, plan: int | None = None
    ) -> bool:
        """Note that a picture is to be asked again, within a transaction.

        The answer that it has now is the first. Asking for the same answer once more does nothing;
        returns whether it was noted.
        """
        row = connection.execute(
            "SELECT coalesce(event, rejected) FROM items WHERE id = ?", (item,)
        ).fetchone()
        return self._ask(connection, item, why, row[0], plan)

    def _ask(
        self,
        connection: sqlite3.Connection,
        item: int,
        why: str,
        first: int | None,
        plan: int | None = None,
    ) -> bool:
        query = "SELECT 1 FROM seconds WHERE item = ? AND first IS ?"
        if connection.execute(query, (item, first)).fetchone():
            return False
        if why == "share":  # what was asked of an answer that stands no more, as of a deleted class
            query = "DELETE FROM seconds WHERE item = ? AND event IS NULL AND why = 'share'"
            connection.execute(query, (item,))
        connection.execute(
            "INSERT INTO seconds (item, why, plan, first) VALUES (?, ?, ?, ?)",
            (item, why, plan, first),
        )
        self.database.step("second asked")
        return True

    def is_drawn(self, row: sqlite3.Row) -> bool:
        """Tell whether a picture belongs to the share that is asked of two people.

        By a hash of its content: that needs no row before the first answer, and is the same for
        everybody.
        """
        text = f"asked of two people: {row['sha256']}"
        drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) < 2**32 * self.share()
        return drawn and row["source"] != "single" and row["plan"] is None

    def is_hidden(self, connection: sqlite3.Connection, row: sqlite3.Row, person: str) -> bool:
        """Tell whether this person labels a picture without seeing its prediction."""
        return bool(row["hidden"]) or (self.is_drawn(row) and self.others(connection, person))

    def others(self, connection: sqlite3.Connection, person: str) -> bool:
        """Tell whether anybody else has answered anything in this project."""
        query = "SELECT 1 FROM events WHERE person {} ? AND kind IN ('label', 'skip', 'second')"
        query += " AND batch IS NULL"  # what a file says is nobody's answer here
        return any(
            connection.execute(query.format(sign) + " LIMIT 1", (person,)).fetchone()
            for sign in "<>"
        )

    # --- of whom ------------------------------------------------------------------------------

    def held(self, connection: sqlite3.Connection, person: str, now: float) -> dict[int, float]:
        """Return the pictures that a person holds as a second, and when they were handed out."""
        query = """SELECT item, handed FROM seconds
            WHERE asked_of = ? AND until > ? AND event IS NULL"""
        return dict(map(tuple, connection.execute(query, (person, now))))

    def waiting(
        self,
        connection: sqlite3.Connection,
        person: str,
        n: int,
        now: float,
        *,
        nothing_else: bool = False,
    ) -> list[int]:
        """Return up to n pictures that this person may be asked as the second.

        Those that the person had nothing to do with. Where there is nobody else, the contradicting
        answers of an attempt to finish come back to the same person, each once, and not at once:
        after `BETWEEN` other answers, or when there is ``nothing_else``.
        """
        if n < 1:
            return []
        may = f"NOT {_SEEN}" if self.others(connection, person) else _BACK
        values = {"person": person, "now": now, "n": n, "between": 0 if nothing_else else BETWEEN}
        rows = connection.execute(
            f"""SELECT DISTINCT item FROM seconds JOIN items ON items.id = item
            WHERE seconds.event IS NULL AND (seconds.until IS NULL OR seconds.until <= :now)
                AND (label IS NOT NULL OR rejected IS NOT NULL) AND NOT unreadable AND {may}
            ORDER BY seconds.id LIMIT :n""",
            values,
        )
        return [row[0] for row in rows]

    def hold(
        self, connection: sqlite3.Connection, person: str, item: int, until: float, handed: float
    ) -> None:
        """Let a person hold a picture as the second, or hold it for longer."""
        connection.execute(
            """UPDATE seconds SET asked_of = ?, until = ?, handed = ? WHERE id =
                (SELECT min(id) FROM seconds WHERE item = ? AND event IS NULL)""",
            (person, until, handed, item),
        )

    def release(self, connection: sqlite3.Connection, person: str, items: set[int] | None) -> int:
        """Give back what a person holds, all of it or these; returns how many."""
        query = "SELECT item FROM seconds WHERE asked_of = ? AND event IS NULL"
        held = {row[0] for row in connection.execute(query, (person,))}
        ids = held if items is None else held & items
        connection.executemany(
            """UPDATE seconds SET asked_of = NULL, until = NULL
            WHERE item = ? AND asked_of = ? AND event IS NULL""",
            [(item, person) for item in ids],
        )
        return len(ids)

    def of(self, connection: sqlite3.Connection, person: str, item: int) -> sqlite3.Row | None:
        """Return what this person is asked about a picture as the second, None if nothing."""
        query = "SELECT * FROM seconds WHERE item = ? AND asked_of = ? AND event IS NULL"
        return connection.execute(query, (item, person)).fetchone()

    # --- what was answered --------------------------------------------------------------------

    def answered(
        self, connection: sqlite3.Connection, second: sqlite3.Row, person: str, event: int
    ) -> None:
        """Note the answer; where it contradicts the label, a third person is asked."""
        connection.execute(
            "UPDATE seconds SET person = ?, event = ?, until = NULL WHERE id = ?",
            (person, event, second["id"]),
        )
        self.database.step("second answered")
        query = """SELECT items.label IS NOT events.label FROM items JOIN events
            ON events.id = ? AND events.item = items.id"""
        if second["why"] == "share" and connection.execute(query, (event,)).fetchone()[0]:
            self._ask(connection, second["item"], "doubt", event)

    def contradict(
        self, connection: sqlite3.Connection, item: int, label: int, person: str, batch: int
    ) -> None:
        """Keep what a file says against a picture's label, within a transaction."""
        event = connection.execute(
            """INSERT INTO events (item, kind, label, replaced, batch, person, at)
            SELECT id, 'second', ?, event, ?, ?, ? FROM items WHERE id = ? RETURNING id""",
            (label, batch, person, self.database.clock(), item),
        ).fetchone()[0]
        self.database.step("event written")
        connection.execute(
            """INSERT INTO seconds (item, why, first, person, event)
            SELECT id, 'doubt', event, ?, ? FROM items WHERE id = ?""",
            (person, event, item),
        )
        self.database.step("second answered")

    def has_said(self, connection: sqlite3.Connection, item: int, label: int, person: str) -> bool:
        """Tell whether a person, or a file, has said this of a picture as the second."""
        query = """SELECT 1 FROM seconds JOIN events ON events.id = seconds.event
            WHERE seconds.item = ? AND events.person = ? AND events.label = ?"""
        return connection.execute(query, (item, person, label)).fetchone() is not None

    def take_back_batch(self, connection: sqlite3.Connection, batch: int) -> None:
        """Forget what a file said against labels, within a transaction."""
        query = "DELETE FROM seconds WHERE event IN (SELECT id FROM events WHERE batch = ?)"
        connection.execute(query, (batch,))

    def put_off(self, connection: sqlite3.Connection, second: sqlite3.Row) -> None:
        """Leave a question to others: the person has skipped it."""
        connection.execute(
            "UPDATE seconds SET asked_of = NULL, until = NULL WHERE id = ?", (second["id"],)
        )
        self.database.step("second put off")

    def take_back(
        self, connection: sqlite3.Connection, row: sqlite3.Row, person: str, until: float
    ) -> None:
        """Ask once more what a person answered or skipped as the second; it comes first."""
        connection.execute("DELETE FROM seconds WHERE first = ? AND event IS NULL", (row["id"],))
        connection.execute(
            """UPDATE seconds SET asked_of = ?, until = ?, handed = ?, person = NULL, event = NULL
            WHERE id = (SELECT min(id) FROM seconds WHERE item = ? AND event IS ?)""",
            (person, until, -until, row["item"], row["id"] if row["kind"] == "second" else None),
        )

    def forget(self, connection: sqlite3.Connection, first: int) -> None:
        """Ask nobody about an answer that was taken back."""
        query = "DELETE FROM seconds WHERE first = ? AND event IS NULL AND why <> 'audit'"
        connection.execute(query, (first,))


def as_new(item: Item) -> Item:
    """Return a picture as one that nobody has answered, without its prediction."""
    return replace(
        item, label=None, label_source=None, rejected=False, predicted=None, confidence=None,
        hidden=True, skipped=0,
    )  # fmt: skip
