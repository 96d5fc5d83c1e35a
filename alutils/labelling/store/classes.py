"""The classes of a project: names, keys, folders. None is ever removed, and numbers stay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alutils.labelling.store.database import Database
from alutils.labelling.store.names import checked_name, choose_keys, folder_name
from alutils.labelling.store.records import LabelClass, LabellingError


@dataclass
class Classes:
    """The classes of the project that a database holds."""

    database: Database

    def all(self) -> list[LabelClass]:
        """All classes, by their numbers."""
        rows = self.database.connection.execute("SELECT * FROM classes ORDER BY number")
        return [LabelClass(r["number"], r["name"], r["key"], r["folder"]) for r in rows]

    def folders(self) -> dict[int, str]:
        """Names of folders, by the classes' numbers."""
        return {c.number: c.folder for c in self.all()}

    def number(self, name: object) -> int:
        """Return a class's number; `LabellingError` if there is none of this name."""
        name = checked_name(name)
        numbers = {c.name: c.number for c in self.all()}
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
        wanted = list(dict.fromkeys(checked_name(name) for name in names))
        with self.database.transaction() as connection:
            there = {c.name: c for c in self.all()}
            new = [name for name in wanted if name not in there]
            keys = choose_keys(new, [c.key for c in there.values() if c.key])
            folders = [c.folder for c in there.values()]
            for number, (name, key) in enumerate(zip(new, keys, strict=True), len(there)):
                folders.append(folder_name(name, folders))
                connection.execute(
                    "INSERT INTO classes (number, name, folder, key) VALUES (?, ?, ?, ?)",
                    (number, name, folders[-1], key),
                )
                self.database.step("class written")
        there = {c.name: c for c in self.all()}
        return [there[name] for name in wanted]
