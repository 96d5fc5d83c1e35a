"""Pictures that people reject in the grid, many at once and whatever they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alutils.labelling.store.database import Database
from alutils.labelling.store.folders import ClassFolders
from alutils.labelling.store.names import checked_person, checked_text
from alutils.labelling.store.reader import Reader
from alutils.labelling.store.records import ConflictError


@dataclass
class Grid:
    """Takes the answers of people who look at many pictures; `Queue.undo` takes them back."""

    database: Database
    reader: Reader
    folders: ClassFolders

    def reject(self, person: str, items: Sequence[int], why: str = "") -> int:
        """Say that pictures are none of the classes, or too bad to tell; all of them or none.

        They lose the label that they have. Those that were rejected before stay as they are, so
        that it can be said twice. Returns how many were new.

        Raises
        ------
        UnknownError
            There is no such picture.
        ConflictError
            For pictures that wait in an open attempt to finish, or that another person holds.
        """
        person, why = checked_person(person), checked_text(why, "reason") if why else ""
        before: dict[int, int | None] = {}
        with self.database.transaction() as connection:
            batch = None
            for item in items:
                row, now = self.reader.row(item), self.database.clock()
                if row["hidden"]:
                    raise ConflictError(
                        f"picture {row['id']} ({row['name']!r}): waits in the attempt to finish "
                        "that goes on; answer it in the queue, where it comes in its order"
                    )
                until = row["until"] or 0
                is_held = row["person"] not in (None, person) and until > self.database.steady()
                if row["label"] is None and is_held:
                    raise ConflictError(
                        f"picture {row['id']} ({row['name']!r}): {row['person']!r} has it; leave "
                        "it out"
                    )
                if row["rejected"] is not None:
                    continue
                event = connection.execute(
                    """INSERT INTO events (item, kind, replaced, batch, person, model, at,
                        predicted, confidence, plan, why)
                    VALUES (?, 'reject', ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
                    (row["id"], row["event"], batch, person, row["model"], now, row["predicted"],
                     row["confidence"], row["plan"], why or None),
                ).fetchone()[0]  # fmt: skip
                self.database.step("event written")
                connection.execute(
                    """UPDATE items SET label = NULL, label_source = NULL, event = NULL,
                        rejected = ?, person = NULL, until = NULL WHERE id = ?""",
                    (event, row["id"]),
                )
                self.database.step("item written")
                before[row["id"]], batch = row["label"], batch or event
        self.folders.show(before, before.values())
        return len(before)
