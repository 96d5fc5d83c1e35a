"""Pictures that come in: each once, its file on the disk before its row."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.files import Files
from alutils.labelling.store.reader import Reader
from alutils.labelling.store.records import (
    SENT,
    SOURCES,
    LabellingError,
    UnavailableError,
    UnknownError,
    checked_number,
)
from alutils.labelling.store.sources import Sources

log = logging.getLogger(__name__)


@dataclass
class Pictures:
    """Takes pictures in, and knows which have come."""

    database: Database
    files: Files
    reader: Reader
    sources: Sources
    rng: np.random.Generator  # draws their order

    def add(
        self,
        png: bytes,
        sha256: str,
        name: str,
        width: int,
        height: int,
        source: str = "upload",
        file_sha256: str = "",
    ) -> int:
        """Take in a picture; one that is there already stays as it is. Returns its number.

        Parameters
        ----------
        png, sha256 : the re-encoded file's bytes, and their hash, 64 hexadecimal digits
        name : as it was called; any text
        width, height : pixels
        source : one of `alutils.labelling.store.records.SOURCES`
        file_sha256 : of the file that it came in, where it was sent; '' if that is not known. What
            lies in the folder, `alutils.labelling.store.sources.Sources.note` remembers
        """
        if source not in SOURCES:
            raise LabellingError(f"source={source!r}: expected one of {', '.join(SOURCES)}")
        width = checked_number(width, "width", 1, 2**31)
        height = checked_number(height, "height", 1, 2**31)
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise LabellingError(f"sha256={sha256!r}: expected 64 hexadecimal digits")
        name = str(name).encode(errors="replace").decode()[:1000] or "picture"
        self.database.check()  # else folders would be made where the project is not any more
        written = self.files.write_picture(png, sha256)
        try:
            with self.database.transaction() as connection:
                # Whoever wrote it first may have failed since, and taken it away again.
                written |= self.files.write_picture(png, sha256)
                shuffle, added = float(self.rng.random()), shown_time(self.database.clock())
                connection.execute(
                    """INSERT INTO items (sha256, name, width, height, source, added, shuffle,
                        rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (sha256) DO UPDATE SET unreadable = 0""",
                    (sha256, name, width, height, source, added, shuffle, 2 + shuffle),
                )
                self.database.step("picture row")
                query = "SELECT id FROM items WHERE sha256 = ?"
                item = connection.execute(query, (sha256,)).fetchone()[0]
                if source in SENT:
                    self.sources.sent(connection, item, name, file_sha256)
                return item
        except Exception:
            if written:
                self._take_away(sha256)
            raise

    def _take_away(self, sha256: str) -> None:
        """Remove a picture's file unless somebody else has brought the same picture meanwhile."""
        try:
            with self.database.transaction() as connection:
                query = "SELECT 1 FROM items WHERE sha256 = ?"
                if connection.execute(query, (sha256,)).fetchone() is None:
                    self.files.picture(sha256).unlink(missing_ok=True)
        except (UnavailableError, OSError) as error:
            # `Store.reconcile` takes it in.
            log.warning("%s.png: is left without an entry: %s", sha256, error)

    def known(self, sha256: str) -> int | None:
        """Return the number of the picture with this content, None if it has not come yet."""
        query = "SELECT id FROM items WHERE sha256 = ? AND NOT unreadable"
        row = self.database.connection.execute(query, (sha256,)).fetchone()
        return None if row is None else row[0]

    def path(self, item: int) -> Path:
        """Where a picture's file lies; `UnknownError` for a picture that does not exist."""
        path = self.files.picture(self.reader.row(item)["sha256"])
        if not path.is_file():
            raise UnknownError(f"picture {item}: its file is missing; bring the picture again")
        return path
