"""Notes that people write on pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.names import checked_person, checked_text
from alutils.labelling.store.reader import Reader

LONGEST = 1000  # characters


@dataclass(frozen=True)
class Note:
    """What somebody wrote on a picture."""

    item: int
    person: str
    when: str  # ISO 8601 in UTC
    text: str


@dataclass
class Notes:
    """The notes of the project that a database holds; they are only ever added."""

    database: Database
    reader: Reader

    def add(self, person: str, item: int, text: str) -> None:
        """Write a note on a picture; the same text of the same person once more changes nothing.

        Raises
        ------
        LabellingError
            For no text, or one longer than `LONGEST`; `UnknownError` for a picture that is none.
        """
        person, text = checked_person(person), checked_text(text, "note", LONGEST)
        with self.database.transaction() as connection:
            number = self.reader.row(item)["id"]
            query = "SELECT 1 FROM notes WHERE item = ? AND person = ? AND text = ?"
            if connection.execute(query, (number, person, text)).fetchone() is None:
                connection.execute(
                    "INSERT INTO notes (item, person, at, text) VALUES (?, ?, ?, ?)",
                    (number, person, self.database.clock(), text),
                )
                self.database.step("note written")

    def of(self, items: Iterable[int] | None = None) -> dict[int, list[Note]]:
        """Return notes by picture, oldest first: of these pictures, or all that there are."""
        query, values = "SELECT * FROM notes ORDER BY id", tuple[str, ...]()
        if items is not None:
            query = query.replace("ORDER", "WHERE item IN (SELECT value FROM json_each(?)) ORDER")
            values = (json.dumps(sorted(items)),)
        found: dict[int, list[Note]] = {}
        for row in self.database.connection.execute(query, values):
            note = Note(row["item"], row["person"], shown_time(row["at"]), row["text"])
            found.setdefault(row["item"], []).append(note)
        return found
