"""The classes of a project: names, keys, folders, order. Rows and numbers stay for ever."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from alutils.base.names import folder_name
from alutils.labelling.store.database import Database
from alutils.labelling.store.keys import also, choose_keys
from alutils.labelling.store.names import checked_name
from alutils.labelling.store.records import LabelClass, LabellingError

CHANGES = """SELECT json_extract(detail, '$.batch') FROM class_events
    WHERE json_extract(detail, '$.batch') IS NOT NULL"""
"""The batches of events that merged or deleted a class: who takes these back, does so there."""


@dataclass
class Classes:
    """The classes of the project that a database holds."""

    database: Database

    def all(self) -> list[LabelClass]:
        """All classes that there are, in the order to show them."""
        return self._of("NOT gone ORDER BY position, number")

    def ever(self) -> list[LabelClass]:
        """All classes by their numbers, those too that were deleted or merged into others."""
        return self._of("1 ORDER BY number")

    def _of(self, condition: str) -> list[LabelClass]:
        rows = self.database.connection.execute(f"SELECT * FROM classes WHERE {condition}")
        found = [LabelClass(r["number"], r["name"], r["key"], r["folder"]) for r in rows]
        by_number = sorted(found, key=lambda each: each.number)
        second = also((each.name, each.key) for each in by_number)
        return [replace(each, also=second.get(each.name)) for each in found]

    def folders(self) -> dict[int, str]:
        """Names of folders, by the numbers of all classes that ever were."""
        return {c.number: c.folder for c in self.ever()}

    def number(self, name: object) -> int:
        """Return a class's number; `LabellingError` if there is none of this name."""
        numbers = {c.name: c.number for c in self.all()}
        if isinstance(name, str) and name in numbers:  # of an older version, whatever is in it
            return numbers[name]
        name = checked_name(name)
        if name not in numbers:
            shown = ", ".join(list(numbers)[:40]) + (", ..." if len(numbers) > 40 else "")
            raise LabellingError(
                f"label {name!r}: no such class; expected one of {shown or '(none yet)'}, or add "
                "the class first"
            )
        return numbers[name]

    def add(self, names: Iterable[str]) -> list[LabelClass]:
        """Add classes, all or none, and choose their keys; returns them in the order of the names.

        One that is there already stays as it is.
        """
        if isinstance(names, str):
            raise LabellingError(f"classes={names!r}: expected a list of names, not one text")
        with self.database.transaction():
            return self.add_within(names)

    def add_within(self, names: Iterable[str]) -> list[LabelClass]:
        """Do what `add` does, within a transaction."""
        connection = self.database.connection
        ever = self.ever()
        there = {c.name: c.key for c in self.all()}
        wanted = list(
            dict.fromkeys(
                n if isinstance(n, str) and n in there else checked_name(n) for n in names
            )
        )
        gone = {c.name: c.number for c in ever if c.name not in there}
        new = [name for name in wanted if name not in there]
        keys = choose_keys(new, there, [c.key for c in ever if c.key and c.name not in there])
        for name in keys.keys() & there.keys():  # a capital whose small letter comes
            number = next(c.number for c in ever if c.name == name)
            connection.execute("UPDATE classes SET key = ? WHERE number = ?", (keys[name], number))
        folders = [c.folder for c in ever]
        last = connection.execute("SELECT coalesce(max(position), -1) FROM classes").fetchone()
        for i, name in enumerate(new):
            key = keys[name]
            number = gone.get(name, len(folders))  # one that comes back has its number again
            if name not in gone:
                folders.append(folder_name(name, folders))
            connection.execute(
                """INSERT INTO classes (number, name, folder, key, position)
                VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE
                SET gone = 0, key = excluded.key, position = excluded.position""",
                (number, name, folders[number], key, last[0] + 1 + i),
            )
            capital = name.swapcase()  # which may have given the key up
            more = {"gave_key": capital} if keys.get(capital) and capital in there else {}
            self.note(None, "add", number, name=name, key=key, **more)
            self.database.step("class written")
        by_name = {c.name: c for c in self.all()}
        return [by_name[name] for name in wanted]

    def note(self, person: str | None, kind: str, number: int | None, **detail: object) -> None:
        """Write down what was done to a class, within a transaction; ``detail`` as JSON's types."""
        self.database.connection.execute(
            "INSERT INTO class_events (at, person, kind, class, detail) VALUES (?, ?, ?, ?, ?)",
            (self.database.clock(), person, kind, number, json.dumps(detail, ensure_ascii=False)),
        )
