"""The people's own files that pictures came from: where each lies, and what was in it.

A picture is kept once, however many files hold it; to find a person's files again by the labels,
each of them is remembered. What is no longer in a file stays known, with the time since when.
"""

from __future__ import annotations

import os
import sqlite3
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.names import display_name


@dataclass(frozen=True)
class Source:
    r"""A file that a picture came from.

    Attributes
    ----------
    item : number of the picture
    path : below the folder of pictures, with ``/`` between its parts; None for one that was sent.
        A byte that is no text is written as ``\xff``
    name : the last part of the path, or what the file was called when it was sent; text to show
    sha256 : of the file's bytes as they came, 64 hexadecimal digits; '' where nobody noted it
    found : when, in seconds since 1970
    gone : since when it is no longer there or holds something else, ISO 8601 in UTC; '' if it is
        there, as far as is known
    """

    item: int
    path: str | None
    name: str
    sha256: str = ""
    found: float = 0.0
    gone: str = ""


@dataclass
class Sources:
    """Remembers files: those of the watched folder, and those that were sent."""

    database: Database

    def note(
        self,
        path: str,
        size: int,
        modified: int,
        problem: str | None = None,
        item: int | None = None,
        sha256: str | None = None,
    ) -> None:
        """Remember a file of the watched folder, so that it is read once.

        Parameters
        ----------
        path : relative to the folder
        size, modified : bytes, and nanoseconds since 1970; another value makes it a new file
        problem : why it was refused, None if it was taken in
        item : the picture that is in it
        sha256 : of the file as it lies there
        """
        name, now = os.fsencode(path), self.database.clock()
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", (name, size, modified, problem)
            )
            row = connection.execute(
                "SELECT id, item, sha256 FROM sources WHERE path = ? AND gone IS NULL", (name,)
            ).fetchone()
            if row is not None and (row["item"], row["sha256"]) == (item, sha256):
                return  # it was touched, and holds what it held
            if row is not None:
                connection.execute("UPDATE sources SET gone = ? WHERE id = ?", (now, row["id"]))
            if item is not None:
                self._add(connection, item, name, "", sha256)

    def sent(self, connection: sqlite3.Connection, item: int, name: str, sha256: str) -> None:
        """Remember a file that was sent, once, within a transaction."""
        query = "SELECT 1 FROM sources WHERE item = ? AND path IS NULL AND (name, sha256) IS (?, ?)"
        if connection.execute(query, (item, name, sha256 or None)).fetchone() is None:
            self._add(connection, item, None, name, sha256 or None)

    def _add(
        self,
        connection: sqlite3.Connection,
        item: int,
        path: bytes | None,
        name: str,
        sha256: str | None,
    ) -> None:
        connection.execute(
            "INSERT INTO sources (item, path, name, sha256, found) VALUES (?, ?, ?, ?, ?)",
            (item, path, name, sha256, self.database.clock()),
        )
        self.database.step("source written")

    def set_gone(self, paths: Iterable[str], is_gone: bool) -> None:
        """Note that files are no longer there, or came back as they were when they were read."""
        names = [os.fsencode(path) for path in paths]
        if not names:
            return
        with self.database.transaction() as connection:
            if is_gone:
                connection.executemany(
                    "UPDATE sources SET gone = ? WHERE path = ? AND gone IS NULL",
                    [(self.database.clock(), name) for name in names],
                )
            else:
                connection.executemany(
                    """UPDATE sources SET gone = NULL WHERE id = (SELECT max(id) FROM sources
                        WHERE path = ?1 AND NOT EXISTS (SELECT 1 FROM sources
                            WHERE path = ?1 AND gone IS NULL))""",
                    [(name,) for name in names],
                )
            self.database.step("sources compared")

    def there(self) -> tuple[set[str], set[str]]:
        """Return the paths of files that are there, as far as is known, and of those that were."""
        rows = self.database.connection.execute(
            "SELECT path, max(gone IS NULL) FROM sources WHERE path IS NOT NULL GROUP BY path"
        ).fetchall()
        there = {os.fsdecode(path) for path, is_there in rows if is_there}
        return there, {os.fsdecode(path) for path, is_there in rows if not is_there}

    def of(self) -> dict[int, list[Source]]:
        """Return the files of each picture, by its number, sorted by their paths.

        Those that are there; where none is, those that were there, and since when they are not.
        """
        rows = self.database.connection.execute("SELECT * FROM sources ORDER BY path, name, id")
        found: dict[int, list[Source]] = defaultdict(list)
        for row in rows:
            found[row["item"]].append(_source(row))
        return {item: _there_or_last(files) for item, files in found.items()}

    def paths(self) -> dict[str, int]:
        """Return the pictures that files of the watched folder hold, by their paths below it.

        Of a path at which there is nothing any more, what was there last.
        """
        rows = self.database.connection.execute(
            """SELECT path, item FROM sources WHERE path IS NOT NULL
            ORDER BY path, gone IS NULL, gone, id"""
        )
        return {shown_path(path): item for path, item in rows}

    def originals(self) -> dict[str, int]:
        """Return the pictures that people's files hold or held, by the files' hashes."""
        rows = self.database.connection.execute(
            "SELECT sha256, item FROM sources WHERE sha256 IS NOT NULL ORDER BY id"
        )
        return dict(map(tuple, rows))

    def in_class_folders(self, folders: Mapping[str, int]) -> dict[int, list[tuple[int, Source]]]:
        """Find pictures whose files lie in the folders of more than one class.

        Parameters
        ----------
        folders : numbers of the classes, by the names that their folders may have

        Returns
        -------
        classes and the files that lie there, by the numbers of the pictures
        """
        rows = self.database.connection.execute(
            """SELECT * FROM sources WHERE path IS NOT NULL AND gone IS NULL AND item IN (
                SELECT item FROM sources WHERE path IS NOT NULL AND gone IS NULL
                GROUP BY item HAVING count(*) > 1) ORDER BY path"""
        )
        found: dict[int, list[tuple[int, Source]]] = defaultdict(list)
        for file in map(_source, rows):
            above = unicodedata.normalize("NFC", file.path or "").split("/")[:-1]
            numbers = [folders[name] for name in above if name in folders]
            if numbers:
                found[file.item].append((numbers[0], file))
        return {
            item: files for item, files in found.items() if len({number for number, _ in files}) > 1
        }

    def unmatched(self) -> set[str]:
        """Return files that an older version took in without noting which picture is in them."""
        rows = self.database.connection.execute(
            """SELECT path FROM seen WHERE problem IS NULL
                AND NOT EXISTS (SELECT 1 FROM sources WHERE sources.path = seen.path)"""
        )
        return {os.fsdecode(row[0]) for row in rows}

    def without_copy(self) -> set[str]:
        """Return files that hold pictures of which the tool's own copy is missing."""
        rows = self.database.connection.execute(
            """SELECT path FROM sources JOIN items ON items.id = item
            WHERE unreadable <> 0 AND path IS NOT NULL AND gone IS NULL"""
        )
        return {os.fsdecode(row[0]) for row in rows}

    def refused(self) -> dict[str, str]:
        """Return why files of the watched folder could not be read, by their paths below it."""
        query = "SELECT path, problem FROM seen WHERE problem IS NOT NULL"
        return {shown_path(path): why for path, why in self.database.connection.execute(query)}

    def changed(self, since: float) -> set[str]:
        """Return paths of files that hold another picture than at some time since.

        ``since`` is in seconds since 1970.
        """
        rows = self.database.connection.execute(
            """SELECT DISTINCT path FROM sources AS before WHERE path IS NOT NULL AND gone >= ?
                AND EXISTS (SELECT 1 FROM sources AS now WHERE now.path = before.path
                    AND now.gone IS NULL AND now.item <> before.item)""",
            (since,),
        )
        return {shown_path(row[0]) for row in rows}

    def seen(self) -> dict[str, tuple[int, int, str | None]]:
        """Return size, time of change and problem of each file that `note` remembers."""
        rows = self.database.connection.execute("SELECT path, size, modified, problem FROM seen")
        return {os.fsdecode(r["path"]): (r["size"], r["modified"], r["problem"]) for r in rows}


def _source(row: sqlite3.Row) -> Source:
    path = None if row["path"] is None else shown_path(row["path"])
    return Source(
        row["item"],
        path,
        row["name"] if path is None else display_name(path),
        row["sha256"] or "",
        row["found"],
        "" if row["gone"] is None else shown_time(row["gone"]),
    )


def _there_or_last(files: list[Source]) -> list[Source]:
    there = [file for file in files if not file.gone]
    return there or list({file.path: file for file in files}.values())


def shown_path(path: bytes) -> str:
    r"""Return a path as text with ``/`` between its parts, whatever the system.

    A byte that is no text is written as ``\xff``.
    """
    text = os.fsdecode(path).replace(os.sep, "/")
    return os.fsencode(text).decode("utf-8", "backslashreplace")
