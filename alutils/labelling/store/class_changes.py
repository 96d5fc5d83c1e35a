"""Classes renamed, merged, deleted, put in another order, given other keys; and that taken back.

Each change is one transaction and is written into ``class_events``. Numbers of classes stay for
ever, so what happened before keeps its meaning. Models know classes by their names: what a model
said of a class that was renamed, merged or deleted is forgotten, and it is trained again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from alutils.base.names import folder_name
from alutils.labelling.store.batches import take_back
from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.folders import ClassFolders
from alutils.labelling.store.keys import is_key
from alutils.labelling.store.models import Models
from alutils.labelling.store.names import checked_name, checked_person
from alutils.labelling.store.records import ConflictError, LabelClass, LabellingError


@dataclass
class ClassChanges:
    """Changes the classes of a project; not while an attempt to finish goes on."""

    database: Database
    classes: Classes
    folders: ClassFolders
    models: Models

    def rename(self, person: str, name: str, new: str) -> None:
        """Give a class another name; its pictures, key and place stay.

        Raises
        ------
        LabellingError
            If there is no such class, or one that has the new name.
        ConflictError
            While an attempt to finish goes on.
        """
        person, new = checked_person(person), checked_name(new)
        with self.database.transaction():
            number = self._changed(name)
            folders = self._rename(person, number, new)
        self.folders.rename(*folders)

    def _rename(self, person: str, number: int, new: str, **more: Any) -> tuple[str, str]:
        """Write another name; return the folder's name before and now."""
        ever = {c.number: c for c in self.classes.ever()}
        before = ever.pop(number)
        if new == before.name:
            return before.folder, before.folder
        present = {c.number for c in self.classes.all()}
        for other in ever.values():
            if other.name == new and other.number in present:
                raise LabellingError(
                    f"class {new!r}: there is one of this name; merge {before.name!r} into it, or "
                    "take another name"
                )
            if other.name == new:
                self._move_aside(other, ever.values())
        taken = [c.folder for c in self.classes.ever() if c.number != number]
        folder = folder_name(new, taken)
        self.database.connection.execute(
            "UPDATE classes SET name = ?, folder = ? WHERE number = ?", (new, folder, number)
        )
        was = {"before": before.name, "folder": before.folder, "now": new}
        self.classes.note(person, "rename", number, **was, **more)
        self.models.forget_scores()
        self.database.step("class written")
        return before.folder, folder

    def _move_aside(self, gone: LabelClass, others: Iterable[LabelClass]) -> None:
        """Free the name and the folder of a class that is there no more."""
        names, name, number = {c.name for c in others}, f"{gone.name} (gone)", 2
        while name in names:
            name, number = f"{gone.name} (gone {number})", number + 1
        folder = folder_name(name, [c.folder for c in others])
        self.database.connection.execute(
            "UPDATE classes SET name = ?, folder = ? WHERE number = ?", (name, folder, gone.number)
        )

    def merge(self, person: str, name: str, into: str) -> int:
        """Give all pictures of a class another class, and end it; returns how many there were.

        Labels stay with who gave them: people's remain people's, automatic ones automatic. Raises
        as `rename`.
        """
        person = checked_person(person)
        with self.database.transaction() as connection:
            number, target = self._changed(name), self.classes.number(into)
            if number == target:
                raise LabellingError(
                    f"class {name!r}: cannot be merged into itself; choose another"
                )
            self.database.back_up("before-classes-merged")
            batch, items = self._give_events(connection, number, target, person)
            self._end(person, "merge", number, into=target, batch=batch, pictures=len(items))
        self.folders.show(items, [number] * len(items))
        return len(items)

    def delete(self, person: str, name: str, *, take_back: bool = False) -> int:
        """End a class; returns how many pictures lost their label.

        Raises as `rename`, and ConflictError if pictures have it, unless their labels may be taken
        back.
        """
        person = checked_person(person)
        with self.database.transaction() as connection:
            number = self._changed(name)
            query = "SELECT count(*) FROM items WHERE label = ?"
            n = connection.execute(query, (number,)).fetchone()[0]
            if n and not take_back:
                raise ConflictError(
                    f"class {name!r}: {n:,} pictures have it; merge it into another class, or take "
                    "their labels back (take_back)"
                )
            if n:
                self.database.back_up("before-class-deleted")
            batch, items = self._give_events(connection, number, None, person)
            self._end(person, "delete", number, batch=batch, pictures=n)
        self.folders.show(items, [number] * n)
        return n

    def _changed(self, name: str) -> int:
        """Return the number of a class that may be changed now."""
        self._check_no_attempt()
        return self.classes.number(name)

    def _check_no_attempt(self) -> None:
        query = "SELECT 1 FROM plans WHERE state = 'open'"
        if self.database.connection.execute(query).fetchone():
            raise ConflictError(
                "an attempt to finish goes on, and its classes must stay as they are; end it first"
            )

    def _give_events(
        self, connection: sqlite3.Connection, number: int, target: int | None, person: str
    ) -> tuple[int | None, list[int]]:
        """Move the pictures of a class to another one or to none; return batch and pictures."""
        last = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
        kind = "'revoke'" if target is None else "iif(label_source = 'auto', 'auto', 'relabel')"
        connection.execute(
            f"""INSERT INTO events (item, kind, label, replaced, batch, person, model, at,
                predicted, confidence, threshold)
            SELECT items.id, {kind}, ?1, items.event, ?2, iif(?1 IS NULL, ?3, old.person),
                iif(label_source = 'auto', old.model, NULL), ?4, old.predicted, old.confidence,
                old.threshold
            FROM items JOIN events AS old ON old.id = items.event WHERE items.label = ?5
            ORDER BY items.id""",
            (target, last + 1, person, self.database.clock(), number),
        )
        self.database.step("events written")
        query = "SELECT id, item FROM events WHERE id > ? ORDER BY id"
        written = [tuple(row) for row in connection.execute(query, (last,))]
        source = "NULL" if target is None else "label_source"
        connection.executemany(
            f"UPDATE items SET label = ?, event = ?, label_source = {source} WHERE id = ?",
            [(target, None if target is None else event, item) for event, item in written],
        )
        self.database.step("items written")
        return (written[0][0] if written else None), [item for _, item in written]

    def _end(self, person: str, kind: str, number: int, **detail: Any) -> None:
        """Mark a class as gone, and write down what is needed to bring it back."""
        row = self.database.connection.execute(
            "SELECT name, key, position FROM classes WHERE number = ?", (number,)
        ).fetchone()
        self.database.connection.execute(
            "UPDATE classes SET gone = 1, key = NULL WHERE number = ?", (number,)
        )
        self.classes.note(person, kind, number, **dict(row), **detail)
        self.models.forget_scores()
        self.database.step("class written")

    def order(self, person: str, names: Sequence[str]) -> None:
        """Put the classes in another order; all of them must be named, each once."""
        person = checked_person(person)
        with self.database.transaction():
            numbers = {c.name: c.number for c in self.classes.all()}
            if not isinstance(names, list | tuple) or sorted(map(str, names)) != sorted(numbers):
                raise LabellingError(
                    f"names: expected each of the {len(numbers)} classes once; reload the page"
                )
            self._order(person, [numbers[name] for name in names])

    def _order(self, person: str, numbers: list[int], **more: Any) -> None:
        before = [c.number for c in self.classes.all()]
        self.database.connection.executemany(
            "UPDATE classes SET position = ? WHERE number = ?", list(enumerate(numbers))
        )
        self.classes.note(person, "order", None, before=before, now=numbers, **more)

    def key(self, person: str, name: str, key: str | None) -> None:
        """Give a class another key, a letter or a digit, or none.

        A class that had this key gets the other's in exchange. A capital stands for its small
        letter, but for the class that is this capital.
        """
        person = checked_person(person)
        if isinstance(key, str) and key != name and len(key.lower()) == 1:
            key = key.lower()
        if key is not None and not is_key(key):
            raise LabellingError(
                f"key={key!r}: expected one letter or digit that a single key types, or none"
            )
        with self.database.transaction():
            number, now = self.classes.number(name), {c.number: c.key for c in self.classes.all()}
            other = next((n for n, k in now.items() if k == key and n != number), None)
            wanted = {number: key}
            if key is not None and other is not None:
                wanted[other] = now[number]
            self._keys(person, number, wanted)

    def _keys(self, person: str, number: int, wanted: dict[int, str | None], **more: Any) -> None:
        now = {c.number: c.key for c in self.classes.ever()}
        before = [[n, now[n]] for n in wanted]
        for values in (dict.fromkeys(wanted), wanted):  # no two have one key at any moment
            self.database.connection.executemany(
                "UPDATE classes SET key = ? WHERE number = ?", [(k, n) for n, k in values.items()]
            )
        self.classes.note(
            person, "key", number, before=before, now=[list(w) for w in wanted.items()], **more
        )

    # --- taking back --------------------------------------------------------------------------

    def undo(self, person: str) -> str:
        """Take the last change of classes back, whoever made it; once more for the one before.

        Labels that somebody has changed since stay as they are. Added classes stay: delete them.

        Returns
        -------
        what was taken back, in words; '' if there is nothing

        Raises
        ------
        LabellingError
            If the name is another class's now.
        ConflictError
            While an attempt to finish goes on.
        """
        person = checked_person(person)
        shown: list[tuple[int, int | None]] = []
        renamed: tuple[str, str] | None = None
        with self.database.transaction() as connection:
            row = connection.execute(
                """SELECT id, kind, class, detail FROM class_events WHERE kind <> 'add'
                    AND json_extract(detail, '$.undoes') IS NULL AND id NOT IN (SELECT
                        json_extract(detail, '$.undoes') FROM class_events
                        WHERE json_extract(detail, '$.undoes') IS NOT NULL)
                ORDER BY id DESC LIMIT 1"""
            ).fetchone()
            if row is None:
                return ""
            number, detail, undoes = row["class"], json.loads(row["detail"]), row["id"]
            if row["kind"] == "order":
                there = [c.number for c in self.classes.all()]
                back = [n for n in detail["before"] if n in there]
                self._order(person, back + [n for n in there if n not in back], undoes=undoes)
                text = "The classes are in the order before."
            elif row["kind"] == "key":
                self._take_keys_back(person, number, detail, undoes)
                text = "The keys are as before."
            elif row["kind"] == "rename":
                self._check_no_attempt()
                renamed = self._rename(person, number, detail["before"], undoes=undoes)
                text = f"{detail['now']} is {detail['before']} again."
            else:
                self._check_no_attempt()
                shown = self._bring_back(connection, person, number, detail, undoes)
                text = f"{detail['name']} is there again, with {len(shown):,} labels."
        if renamed:
            self.folders.rename(*renamed)
        self.folders.show([item for item, _ in shown], [before for _, before in shown])
        return text

    def _take_keys_back(
        self, person: str, number: int, detail: dict[str, Any], undoes: int
    ) -> None:
        """Give classes the keys that they had, where these are free or among them."""
        back = {n: key for n, key in detail["before"]}
        others = {c.key for c in self.classes.all() if c.number not in back}
        wanted = {n: None if key in others else key for n, key in back.items()}
        self._keys(person, number, wanted, undoes=undoes)

    def _bring_back(
        self,
        connection: sqlite3.Connection,
        person: str,
        number: int,
        detail: dict[str, Any],
        undoes: int,
    ) -> list[tuple[int, int | None]]:
        """Bring back a class that was merged or deleted; return pictures and their class before."""
        name = detail["name"]
        present = {c.number: c for c in self.classes.all()}
        if any(c.name == name and c.number != number for c in present.values()):
            raise LabellingError(
                f"class {name!r}: there is another of this name now; rename that one first"
            )
        for other in self.classes.ever():
            if other.name == name and other.number != number:
                self._move_aside(other, self.classes.ever())
        free = detail["key"] not in {c.key for c in present.values()}
        folders = [c.folder for c in self.classes.ever() if c.number != number]
        connection.execute(
            """UPDATE classes SET gone = 0, name = ?, folder = ?, position = ?,
                key = coalesce(key, ?) WHERE number = ?""",
            (name, folder_name(name, folders), detail["position"],
             detail["key"] if free else None, number),
        )  # fmt: skip
        self.classes.note(person, "add", number, name=name, undoes=undoes)
        self.models.forget_scores()
        self.database.step("class written")
        return take_back(self.database, connection, person, detail["batch"])
