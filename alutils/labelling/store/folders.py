"""Class folders that follow the labels, and are mended after a crash or a stranger's hand."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import struct
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from alutils.base.errors import BadInput
from alutils.data.class_names import NAMES, read_names, write_names
from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.files import Files, sha256_of
from alutils.labelling.store.names import file_name
from alutils.labelling.store.pictures import Pictures
from alutils.labelling.store.read_back import History, class_folder, read_back

log = logging.getLogger(__name__)
_PICTURE = re.compile(r"([0-9a-f]{64})\.png")
_NUMBERED = re.compile(r"(.+)-\d+\.png")
_PNG = b"\x89PNG\r\n\x1a\n"
_AT_ONCE = 100  # links that are made or removed before other writers have their turn


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
    read_back: list[str] = field(default_factory=list)  # pictures whose label a class folder told
    waiting: int = 0  # of those, how many wait for the end of an attempt to finish
    # What is not ours and was moved to ``aside/``: from where, to where.
    aside: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self != Mended()

    def lines(self) -> list[str]:
        """Say what a person should know of."""
        told = {
            f"{len(self.read_back):,} labels that the database did not know were read back from "
            "the class folders, as imported ones; `import --undo` takes them back.":
                self.read_back,
            f"{self.waiting:,} labels in the class folders that the database does not know are "
            "read back after the attempt to finish.": self.waiting,
            f"{len(self.recovered):,} pictures in images/ had no entry and have one now.":
                self.recovered,
            f"{len(self.restored):,} lost pictures came back from their class folders.":
                self.restored,
            f"{len(self.missing):,} pictures are missing, their labels are kept; bring them "
            f"again: {_few(self.missing)}.": self.missing,
            f"{len(self.aside):,} files in the tool's folders are not as the labels say and were "
            f"moved aside: {_few([to for _, to in self.aside])}.": self.aside,
        }  # fmt: skip
        return [line for line, found in told.items() if found]


@dataclass
class ClassFolders:
    """Links to pictures in the folders of their classes, made and removed label by label."""

    database: Database
    files: Files
    classes: Classes
    pictures: Pictures
    # Pictures whose link could not be made or removed yet, and their class before.
    _unshown: list[tuple[int, int | None]] = field(default_factory=list)
    _called: dict[tuple[int, int], str] | None = None  # names of links, while `reconcile` asks
    # Names of classes by folders, as they are kept beside these.
    _told: dict[str, str] = field(default_factory=dict)

    def show(self, items: Iterable[int], before: Iterable[int | None] = ()) -> None:
        """Make class folders follow the database.

        Parameters
        ----------
        items : numbers of pictures whose label has changed
        before : class numbers that they had; by default they had none
        """
        todo = [*zip_longest(items, before)]
        for start in range(0, max(1, len(todo)), _AT_ONCE):
            self._show_some(todo[start : start + _AT_ONCE])

    def _show_some(self, todo: list[tuple[int, int | None]]) -> None:
        # What is true is read under the lock that writers take: who comes last sees the last state.
        with self.database.writing:
            self.tell_names()
            folders = self.classes.folders()
            todo, self._unshown = [*self._unshown, *todo], []
            for item, old in todo:
                try:
                    self._show(item, old, folders)
                except OSError as error:  # the label is on the disk and must not look as if not
                    log.warning("picture %d is not in its class folder yet: %s", item, error)
                    self._unshown.append((item, old))

    def rename(self, old: str, new: str) -> None:
        """Let the folder of a class follow its name; what goes wrong is mended by `reconcile`."""
        with self.database.writing:
            source, target = self.files.classes / old, self.files.classes / new
            try:
                if old != new and source.is_dir():
                    if target.is_dir() and not any(target.iterdir()):
                        target.rmdir()
                    source.rename(target)
                    self.database.step("class folder renamed")
            except OSError as error:  # the name is in the database and must not look as if not
                log.warning("class folder %s could not be renamed to %s: %s", old, new, error)
            self.tell_names()

    def tell_names(self) -> None:
        """Keep the true names of the classes beside their folders, for who reads these alone."""
        with self.database.writing:
            wanted = {c.folder: c.name for c in self.classes.ever()}
            if wanted == self._told:
                return
            try:
                names = wanted | self._of_others(wanted)
                if not self._are_told(names):
                    write_names(self.files.classes, names)
                    self.database.step("class names written")
            except OSError as error:  # they are in the database; the next label tries again
                log.warning("%s: the names of classes are not in it: %s", self.files.classes, error)
            else:
                self._told = wanted

    def _of_others(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return names of folders that this database does not know, as they are kept there."""
        try:
            told = read_names(self.files.classes)
        except BadInput:
            return {}
        return {
            folder: name
            for folder, name in told.items()
            if folder not in wanted
            and name not in wanted.values()
            and (self.files.classes / folder).is_dir()
        }

    def _are_told(self, wanted: Mapping[str, str]) -> bool:
        try:
            told = read_names(self.files.classes)
        except BadInput:  # it is damaged: written anew
            return False
        return told == {folder: name for folder, name in wanted.items() if folder != name}

    def _show(self, item: int, old: int | None, folders: dict[int, str]) -> None:
        row = self.database.connection.execute(
            "SELECT sha256, name, label FROM items WHERE id = ?", (item,)
        ).fetchone()
        name = file_name(row["name"], item)
        if old is not None and old != row["label"]:
            self.files.unlink(row["sha256"], folders[old], name)
        if row["label"] is not None and self.files.picture(row["sha256"]).is_file():
            self.files.link(row["sha256"], folders[row["label"]], name)

    def reconcile(self, check_content: bool = False, also: Sequence[History] = ()) -> Mended:
        """Do what `alutils.labelling.store.store.Store.reconcile` says.

        What other databases explain, in ``also``, may be removed, too.
        """
        mended = Mended()
        with self.database.writing:
            self._called = None
            for path in list(self.files.partials()):
                path.unlink(missing_ok=True)
                mended.partial += 1
            self._told = {}  # a stranger may have taken the file away
            self.tell_names()
            self._mend_pictures(mended, check_content)
            self._mend_links(mended, also)
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
            name = self._name_in_folders(path) or path.name
            self.pictures.add(path.read_bytes(), sha256, name, *size, "recovered")
            mended.recovered.append(name)
        return sha256

    def _name_in_folders(self, path: Path) -> str:
        """Return what a picture was called, as its link in a class folder tells; '' without one."""
        if self._called is None:
            links = [link for link in _files(self.files.classes) if not link.is_symlink()]
            self._called = {_inode(link.stat()): link.name for link in links}
        match = _NUMBERED.fullmatch(self._called.get(_inode(path.stat()), ""))
        return f"{match[1]}.png" if match else ""

    def _mend_links(self, mended: Mended, also: Sequence[History]) -> None:
        """Make the class folders hold the labelled pictures and nothing else.

        A link that no database explains tells of a label that was lost: it is read back or, where
        the picture has another answer by now, moved aside.
        """
        root, (there, strays) = self.files.classes, self._found()
        histories = [History(self.database.connection), *also]
        lost = {
            path: sha256
            for path, sha256 in strays.items()
            if sha256 is not None
            and not any(h.explains(sha256, class_folder(path, root)) for h in histories)
        }
        shown: dict[str, set[str]] = {}
        for path, sha256 in lost.items():
            shown.setdefault(sha256, set()).add(class_folder(path, root))
        shown = {sha256: folders for sha256, folders in shown.items() if "" not in folders}
        given = self._read_back(shown) if shown else {}
        waits: set[str] = set()
        if given is None:
            given, waits = {}, set(shown)
        mended.waiting += len(waits)
        names = dict(self.database.connection.execute("SELECT sha256, name FROM items").fetchall())
        mended.read_back += [names[sha256] for sha256 in given]
        wanted = self._wanted()
        for path, found in strays.items():
            if found is not None and (wanted.get(path) == found or found in waits):
                continue
            if found is None or (path in lost and found not in given):
                self._move_aside(mended, path)
            else:
                path.unlink()
                self.database.step("unlinked")
                mended.links += 1
        for path, sha256 in wanted.items():
            if path not in there and strays.get(path) != sha256:
                self.files.link(sha256, path.parent.name, path.name)
                mended.links += 1
        # Empty folders, of classes too: a data set's class has pictures.
        for folder in sorted(root.glob("**/*"), reverse=True):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()

    def _read_back(self, shown: Mapping[str, set[str]]) -> dict[str, str] | None:
        try:
            names = read_names(self.files.classes)
        except BadInput:  # folders are called as their classes are, as a rule
            names = {}
        given = read_back(self.database, self.classes, shown, names)
        self.tell_names()
        return given

    def _wanted(self) -> dict[Path, str]:
        """Where links to labelled pictures belong, and these pictures' hashes."""
        query = "SELECT id, sha256, name, label FROM items WHERE NOT unreadable"
        rows = self.database.connection.execute(query)
        return {link: sha256 for sha256, link in self._links(rows).items()}

    def _found(self) -> tuple[set[Path], dict[Path, str | None]]:
        """Links where they belong; and all other files, with the hashes of their pictures."""
        wanted, there = self._wanted(), set()
        rows = self.database.connection.execute("SELECT sha256 FROM items WHERE NOT unreadable")
        pictures = {sha256: self.files.picture(sha256) for (sha256,) in rows}
        ours = {_inode(p.stat()): sha256 for sha256, p in pictures.items() if p.is_file()}
        strays: dict[Path, str | None] = {}
        for path in _files(self.files.classes):
            if path == self.files.classes / NAMES:
                continue
            if path in wanted and self.files.linked(self.files.picture(wanted[path]), path):
                there.add(path)
            else:
                strays[path] = ours.get(_inode(path.lstat())) or self._copied(path)
        return there, strays

    def _copied(self, path: Path) -> str | None:
        """Return the hash of the picture that a file is a copy of, None if it is of none."""
        if not path.is_file() or path.is_symlink():
            return None
        sha256 = sha256_of(path)
        return None if self.pictures.known(sha256) is None else sha256


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


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
