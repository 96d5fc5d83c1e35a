"""Making a labelling folder equal its database again, after a crash or a stranger's hand."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alutils.labelling.store.files import sha256_of
from alutils.labelling.store.names import file_name

if TYPE_CHECKING:
    from alutils.labelling.store.store import Store

_PICTURE = re.compile(r"([0-9a-f]{64})\.png")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Mended:
    """What `reconcile` found and did; paths are relative to the labelling folder.

    Attributes
    ----------
    partial : files of unfinished writes that were removed
    recovered : pictures without a row that got one (their original name is lost)
    restored : pictures whose file was gone and came back from their class folder
    missing : pictures whose file is gone; they keep their label and are not handed out
    linked, unlinked : links that were made or removed
    aside : what is not ours and was moved to ``aside/``: from where, to where
    """

    partial: int = 0
    recovered: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    linked: int = 0
    unlinked: int = 0
    aside: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self != Mended()

    def __str__(self) -> str:
        parts = [
            (self.partial, "unfinished files removed"),
            (len(self.recovered), "pictures without an entry taken in"),
            (len(self.restored), "lost picture files restored from class folders"),
            (len(self.missing), "picture files missing"),
            (self.linked, "links made"),
            (self.unlinked, "wrong links removed"),
            (len(self.aside), "foreign files moved to aside/"),
        ]
        return ", ".join(f"{n} {what}" for n, what in parts if n) or "nothing to mend"


def reconcile(store: Store, *, check_content: bool = False) -> Mended:
    """Do what `alutils.labelling.store.store.Store.reconcile` says."""
    mended = Mended()
    with store._writing:
        for path in list(store.files.partials()):
            path.unlink(missing_ok=True)
            mended.partial += 1
        _pictures(store, mended, check_content)
        _links(store, mended)
    return mended


def _aside(store: Store, path: Path, mended: Mended) -> None:
    moved = store.files.move_aside(path)
    root = store.files.root
    mended.aside.append((str(path.relative_to(root)), str(moved.relative_to(root))))


def _pictures(store: Store, mended: Mended, check_content: bool) -> None:
    """Give every picture file a row, and find the rows that have no file."""
    rows = {r["sha256"]: r for r in store.connection.execute("SELECT * FROM items")}
    found = set()
    for path in _files(store.files.images):
        match = _PICTURE.fullmatch(path.name)
        ours = match is not None and path == store.files.picture(match[1]) and not path.is_symlink()
        if ours and (check_content or match[1] not in rows):
            ours = sha256_of(path) == match[1]
        if not ours:
            _aside(store, path, mended)
            continue
        if match[1] not in rows:
            size = _size(path)
            if size is None:
                _aside(store, path, mended)
                continue
            # Its bytes were synced before it got this name, so it is whole.
            store.add_picture(path.read_bytes(), match[1], path.name, *size, "recovered")
            mended.recovered.append(path.name)
        found.add(match[1])
    folders = {c.number: c.folder for c in store.classes()}
    for sha256, row in rows.items():
        if sha256 not in found and row["label"] is not None:
            link = store.files.classes / folders[row["label"]] / file_name(row["name"], row["id"])
            if link.is_file() and sha256_of(link) == sha256:
                store.files.write_picture(link.read_bytes(), sha256)
                mended.restored.append(row["name"])
                found.add(sha256)
        if sha256 not in found:
            mended.missing.append(row["name"])
    changed = [
        (sha not in found, sha) for sha, r in rows.items() if (sha not in found) != r["unreadable"]
    ]
    with store.transaction() as connection:
        connection.executemany("UPDATE items SET unreadable = ? WHERE sha256 = ?", changed)


def _links(store: Store, mended: Mended) -> None:
    """Make the class folders hold the labelled pictures and nothing else."""
    folders = {c.number: c.folder for c in store.classes()}
    rows = store.connection.execute(
        "SELECT id, sha256, name, label FROM items WHERE label IS NOT NULL AND NOT unreadable"
    ).fetchall()
    wanted = {
        store.files.classes / folders[r["label"]] / file_name(r["name"], r["id"]): r["sha256"]
        for r in rows
    }
    inodes = {}
    for (sha256,) in store.connection.execute("SELECT sha256 FROM items WHERE NOT unreadable"):
        status = store.files.picture(sha256).stat()
        inodes[status.st_dev, status.st_ino] = sha256
    there = set()
    for path in _files(store.files.classes):
        status = path.lstat()
        is_link = inodes.get((status.st_dev, status.st_ino))
        if path in wanted and store.files.linked(store.files.picture(wanted[path]), path):
            there.add(path)
        elif is_link or (not path.is_symlink() and _is_copy(store, path)):
            path.unlink()
            store.step("unlinked")
            mended.unlinked += 1
        else:
            _aside(store, path, mended)
    for path, sha256 in wanted.items():
        if path not in there:
            moved = store.files.link(sha256, path.parent.name, path.name)
            if moved is not None:
                root = store.files.root
                mended.aside.append((str(path.relative_to(root)), str(moved.relative_to(root))))
            mended.linked += 1
    # Empty folders, of classes too: a data set's class has pictures.
    for folder in sorted(store.files.classes.glob("**/*"), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()


def _is_copy(store: Store, path: Path) -> bool:
    """Tell whether a file has the content of one of the pictures."""
    if not path.is_file():
        return False
    return store.known(sha256_of(path)) is not None


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
