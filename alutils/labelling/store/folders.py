"""Class folders that follow the labels, and are mended after a crash or a stranger's hand."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import struct
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.files import Files, sha256_of
from alutils.labelling.store.names import file_name
from alutils.labelling.store.pictures import Pictures

log = logging.getLogger(__name__)
_PICTURE = re.compile(r"([0-9a-f]{64})\.png")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Mended:
    """What `reconcile` found and did; paths are relative to the labelling folder."""

    partial: int = 0  # files of unfinished writes that were removed
    # Pictures without a row that got one (their original name is lost); whose file was gone and
    # came back from their class folder; whose file is gone, which keep their label and are not
    # handed out.
    recovered: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    links: int = 0  # that were made or removed
    # What is not ours and was moved to ``aside/``: from where, to where.
    aside: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self != Mended()


@dataclass
class ClassFolders:
    """Links to pictures in the folders of their classes, made and removed label by label."""

    database: Database
    files: Files
    classes: Classes
    pictures: Pictures
    # Pictures whose link could not be made or removed yet, and their class before.
    _unshown: list[tuple[int, int | None]] = field(default_factory=list)

    def show(self, items: Iterable[int], before: Iterable[int | None] = ()) -> None:
        """Make class folders follow the database.

        Parameters
        ----------
        items : numbers of pictures whose label has changed
        before : class numbers that they had; by default they had none
        """
        # What is true is read under the lock that writers take: who comes last sees the last state.
        with self.database.writing:
            folders = self.classes.folders()
            todo, self._unshown = [*self._unshown, *zip_longest(items, before)], []
            for item, old in todo:
                try:
                    self._show(item, old, folders)
                except OSError as error:  # the label is on the disk and must not look as if not
                    log.warning("picture %d is not in its class folder yet: %s", item, error)
                    self._unshown.append((item, old))

    def _show(self, item: int, old: int | None, folders: dict[int, str]) -> None:
        row = self.database.connection.execute(
            "SELECT sha256, name, label FROM items WHERE id = ?", (item,)
        ).fetchone()
        name = file_name(row["name"], item)
        if old is not None and old != row["label"]:
            self.files.unlink(row["sha256"], folders[old], name)
        if row["label"] is not None and self.files.picture(row["sha256"]).is_file():
            self.files.link(row["sha256"], folders[row["label"]], name)

    def reconcile(self, check_content: bool = False) -> Mended:
        """Do what `alutils.labelling.store.store.Store.reconcile` says."""
        mended = Mended()
        with self.database.writing:
            for path in list(self.files.partials()):
                path.unlink(missing_ok=True)
                mended.partial += 1
            self._mend_pictures(mended, check_content)
            self._mend_links(mended)
        return mended

    def _move_aside(self, mended: Mended, path: Path) -> None:
        paths = path, self.files.move_aside(path)
        source, target = (str(each.relative_to(self.files.root)) for each in paths)
        mended.aside.append((source, target))

    def _links(self, rows: Iterable[sqlite3.Row]) -> dict[str, Path]:
        """Where the links to the labelled pictures among these belong, by their hashes."""
        root, folders = self.files.classes, self.classes.folders()
        return {
            r["sha256"]: root / folders[r["label"]] / file_name(r["name"], r["id"])
            for r in rows
            if r["label"] is not None
        }

    def _mend_pictures(self, mended: Mended, check_content: bool) -> None:
        """Give every picture file a row, and find the rows that have no file."""
        query = "SELECT id, sha256, name, label, unreadable FROM items"
        rows = {r["sha256"]: r for r in self.database.connection.execute(query)}
        found = set()
        for path in _files(self.files.images):
            if sha256 := self._checked(path, rows, mended, check_content):
                found.add(sha256)
            else:
                self._move_aside(mended, path)
        links = self._links(rows.values())
        for sha256, row in rows.items():
            if sha256 in found:
                continue
            link = links.get(sha256)
            if link is not None and link.is_file() and sha256_of(link) == sha256:
                self.files.write_picture(link.read_bytes(), sha256)
                mended.restored.append(row["name"])
                found.add(sha256)
            else:
                mended.missing.append(row["name"])
        lost = set(rows) - found
        changed = [(s in lost, s) for s, r in rows.items() if (s in lost) != r["unreadable"]]
        with self.database.transaction() as connection:
            connection.executemany("UPDATE items SET unreadable = ? WHERE sha256 = ?", changed)

    def _checked(
        self, path: Path, known: Container[str], mended: Mended, check_content: bool
    ) -> str | None:
        """Return the hash of a file of ours, None for others; a picture without a row gets one."""
        match = _PICTURE.fullmatch(path.name)
        if match is None or path != self.files.picture(match[1]) or path.is_symlink():
            return None
        sha256 = match[1]
        if (check_content or sha256 not in known) and sha256_of(path) != sha256:
            return None
        if sha256 not in known:
            size = _size(path)
            if size is None:
                return None
            # Its bytes were synced before it got this name, so it is whole.
            self.pictures.add(path.read_bytes(), sha256, path.name, *size, "recovered")
            mended.recovered.append(path.name)
        return sha256

    def _mend_links(self, mended: Mended) -> None:
        """Make the class folders hold the labelled pictures and nothing else."""
        query = "SELECT id, sha256, name, label FROM items WHERE NOT unreadable"
        rows = self.database.connection.execute(query).fetchall()
        wanted = {link: sha256 for sha256, link in self._links(rows).items()}
        ours = {_inode(self.files.picture(r["sha256"]).stat()) for r in rows}
        there = set()
        for path in _files(self.files.classes):
            if path in wanted and self.files.linked(self.files.picture(wanted[path]), path):
                there.add(path)
            elif _inode(path.lstat()) in ours or self._is_copy(path):
                path.unlink()
                self.database.step("unlinked")
                mended.links += 1
            else:
                self._move_aside(mended, path)
        for path, sha256 in wanted.items():
            if path not in there:
                self.files.link(sha256, path.parent.name, path.name)
                mended.links += 1
        # Empty folders, of classes too: a data set's class has pictures.
        for folder in sorted(self.files.classes.glob("**/*"), reverse=True):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()

    def _is_copy(self, path: Path) -> bool:
        """Tell whether a file has the content of one of the pictures."""
        is_file = path.is_file() and not path.is_symlink()
        return is_file and self.pictures.known(sha256_of(path)) is not None


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _files(folder: Path) -> list[Path]:
    """All that is no folder, hidden files too, sorted."""
    found = []
    for place, folders, names in os.walk(folder):
        found += [Path(place, name) for name in names]
        found += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
    return sorted(found)


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height from a PNG file's header."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or not head.startswith(_PNG) or head[12:16] != b"IHDR":
        return None
    return struct.unpack(">II", head[16:24])
