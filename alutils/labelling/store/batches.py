"""Answers that were written in one go, taken back in one go: imports, classes merged or deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from alutils.labelling.store.database import Database

IMPORTS = "imports"
"""Setting: batch of events and name of each import that was not taken back."""

Answer = tuple[int, str, int | None, str, str | None]
"""Picture, kind of event, class (None: rejected), person, reason of a rejection."""

# An event stands if its picture's state is still due to it.
_STANDING = """SELECT items.id, items.label AS present, events.id AS event, events.replaced,
        coalesce(items.event, items.rejected) AS now, old.label, old.kind
    FROM events JOIN items ON items.id = events.item
    LEFT JOIN events AS old ON old.id = events.replaced
    WHERE events.batch = ? AND NOT EXISTS (SELECT 1 FROM events AS later
            WHERE later.undoes = events.id)
        AND CASE WHEN events.kind = 'reject' THEN items.rejected = events.id
            WHEN events.label IS NULL THEN items.label IS NULL AND items.rejected IS NULL
            ELSE items.event = events.id END
    ORDER BY items.id"""


def write_import(
    database: Database, connection: sqlite3.Connection, name: str, answers: Iterable[Answer]
) -> int:
    """Write answers that came in one go, events and items, so that they can be taken back.

    Within a transaction; class folders follow afterwards.

    Returns
    -------
    the number of the last event before them; the batch is called by the next one
    """
    at = database.clock()
    last = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    imports = json.loads(database.setting(IMPORTS, "[]"))
    database.set_setting(IMPORTS, json.dumps([*imports, [last + 1, name]]))
    connection.executemany(
        """INSERT INTO events (item, kind, label, replaced, batch, person, at, why, predicted,
            confidence, model)
        SELECT id, ?2, ?3, coalesce(event, rejected), ?6, ?4, ?7, ?5, predicted, confidence,
            iif(?2 = 'auto', NULL, model) FROM items WHERE id = ?1""",
        [(*answer, last + 1, at) for answer in answers],
    )
    database.step("events written")
    connection.execute(
        """UPDATE items SET (label, label_source, event, rejected, person, until) = (
            SELECT label, CASE WHEN label IS NULL THEN NULL WHEN kind = 'auto' THEN 'auto'
                ELSE 'human' END, iif(label IS NULL, NULL, id), iif(label IS NULL, id, NULL),
                NULL, NULL
            FROM events WHERE events.id > ?1 AND events.item = items.id)
        WHERE id IN (SELECT item FROM events WHERE id > ?1)""",
        (last,),
    )
    database.step("items written")
    return last


def take_back(
    database: Database, connection: sqlite3.Connection, person: str, batch: int | None
) -> list[tuple[int, int | None]]:
    """Give pictures the answers that they had before a batch, where it still stands.

    Within a transaction; class folders follow afterwards.

    Returns
    -------
    the pictures, and the numbers of the classes that they had until now
    """
    rows = connection.execute(_STANDING, (batch,)).fetchall()
    at = database.clock()
    connection.executemany(
        """INSERT INTO events (item, kind, label, replaced, undoes, person, at)
        VALUES (?, 'undo', ?, ?, ?, ?, ?)""",
        [(r["id"], r["label"], r["now"], r["event"], person, at) for r in rows],
    )
    database.step("events written")
    connection.executemany(
        """UPDATE items SET label = ?, label_source = ?, event = ?, rejected = ?, person = NULL,
            until = NULL WHERE id = ?""",
        [(r["label"], *_before(r), r["id"]) for r in rows],
    )
    database.step("items written")
    return [(r["id"], r["present"]) for r in rows]


def _before(row: sqlite3.Row) -> tuple[str | None, int | None, int | None]:
    """Return whose label it was, the event that gave it, and the one that rejected the picture."""
    if row["kind"] in (None, "reject"):
        return None, None, row["replaced"]
    return ("auto" if row["kind"] == "auto" else "human"), row["replaced"], None
