"""A labelling project: pictures, labels, and what happened to them, in one folder.

Everything that is acknowledged is on the disk: label and event in one transaction, pictures under
their hash before their row. Class folders follow after the transaction, and `Store.reconcile`
mends what a crash left in between.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from alutils.base import locks
from alutils.labelling.store.database import shown_time
from alutils.labelling.store.files import FOLDER, Files
from alutils.labelling.store.names import checked_name, choose_keys, file_name, folder_name
from alutils.labelling.store.queue import LEASE_S, Queue
from alutils.labelling.store.reading import checked_number, meta, set_meta
from alutils.labelling.store.reconcile import Mended, reconcile
from alutils.labelling.store.records import (
    SOURCES,
    LabelClass,
    LabellingError,
    UnavailableError,
    UnknownError,
)
from alutils.labelling.store.scoring import Scoring

AUDIT_SHARE, AUDIT_RATE = 0.1, 0.2
log = logging.getLogger(__name__)
_DATABASE, _LOCK = "labels.sqlite", "lock"


class Store(Queue, Scoring):
    """A labelling project; get one with `Store.open`. Safe to use from many threads."""

    files: Files
    folder: Path
    _lock: FileLock | None
    _unshown: list[tuple[int, int | None]]  # labels whose link could not be made or removed yet

    @classmethod
    def open(
        cls,
        folder: Path | str,
        classes: Sequence[str] | None = None,
        *,
        audit_share: float | None = None,
        audit_rate: float | None = None,
        lease_s: float = LEASE_S,
        seed: int | None = None,
        alone: bool = True,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = lambda name: None,
    ) -> Store:
        """Open a labelling project, or begin one.

        Parameters
        ----------
        folder : of the user's pictures, which are not touched; all is kept in ``FOLDER/labelling``
        classes : names; those that the project does not have yet are added
        audit_share : share of the pictures that come in which is drawn into the audit slice, at
            random; kept with the project, 0.1 at first, and fixed once there are pictures: all must
            have had the same chance
        audit_rate : share of what is handed out that comes from the audit slice; kept, 0.2 at first
        lease_s : how many seconds a person may hold a picture
        seed : of the random draws; None draws one
        alone : refuse if another process has the project open; several that share one never get the
            same picture, but class folders may lag behind until the next `reconcile`
        clock, step : see `alutils.labelling.store.database.Database`

        Raises
        ------
        LabellingError
            If the folder cannot be used, or is in use by another process; for another
            ``audit_share`` than the one that the pictures there were drawn with.
        """
        folder = Path(folder).absolute()  # others' ideas of where a relative path begins differ
        if folder.exists() and not folder.is_dir():
            raise LabellingError(f"{folder}: is a file; expected a folder of pictures")
        for name, value in (("audit_share", audit_share), ("audit_rate", audit_rate)):
            if value is not None and not 0 <= value <= 1:
                raise LabellingError(f"{name}={value}: expected 0 to 1")
        try:
            files = Files(folder / FOLDER, step)
        except OSError as error:
            raise LabellingError(
                f"{folder / FOLDER}: cannot be written ({error.strerror}); choose another folder"
            ) from error
        lock = _lock_file(files.root / _LOCK) if alone else None
        try:
            store = cls(files.root / _DATABASE, clock=clock, step=step)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        store.files, store.folder, store._lock = files, folder, lock
        store.rng, store.lease_s = np.random.default_rng(seed), lease_s
        store._unshown = []
        try:
            with store.transaction() as connection:
                given = {"audit_share": audit_share, "audit_rate": audit_rate}
                first = {"audit_share": AUDIT_SHARE, "audit_rate": AUDIT_RATE}
                for name, value in given.items():
                    if name == "audit_share" and value is not None:
                        _check_share(connection, value)
                    if value is not None or not meta(connection, name, ""):
                        set_meta(connection, name, str(first[name] if value is None else value))
                if not meta(connection, "project", ""):
                    set_meta(connection, "project", uuid.uuid4().hex)
            store.add_classes(classes or ())
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the project; no thread may be at work in it."""
        super().close()
        lock, self._lock = getattr(self, "_lock", None), None
        if lock is not None:
            lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- pictures -----------------------------------------------------------------------------

    def add_picture(
        self, png: bytes, sha256: str, name: str, width: int, height: int, source: str = "upload"
    ) -> int:
        """Take in a picture; one that is there already stays as it is.

        Parameters
        ----------
        png : the re-encoded file's bytes
        sha256 : their hash, 64 hexadecimal digits
        name : as it was called; any text
        width, height : pixels
        source : one of `alutils.labelling.store.records.SOURCES`

        Returns
        -------
        the picture's number
        """
        if source not in SOURCES:
            raise LabellingError(f"source={source!r}: expected one of {', '.join(SOURCES)}")
        width = checked_number(width, "width", 1, 2**31)
        height = checked_number(height, "height", 1, 2**31)
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise LabellingError(f"sha256={sha256!r}: expected 64 hexadecimal digits")
        name = str(name).encode(errors="replace").decode()[:1000] or "picture"
        written = self.files.write_picture(png, sha256)
        try:
            with self.transaction() as connection:
                # Whoever wrote it first may have failed since, and taken it away again.
                written |= self.files.write_picture(png, sha256)
                shuffle = float(self.rng.random())
                share = float(meta(connection, "audit_share", "0"))
                audit = bool(self.rng.random() < share) and source != "single"
                connection.execute(
                    """INSERT INTO items (sha256, name, width, height, source, added, audit,
                        shuffle, rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (sha256) DO UPDATE SET unreadable = 0""",
                    (
                        sha256, name, width, height, source, shown_time(self.clock()), audit,
                        shuffle, 2 + shuffle,
                    ),
                )  # fmt: skip
                self.step("picture row")
                query = "SELECT id FROM items WHERE sha256 = ?"
                return connection.execute(query, (sha256,)).fetchone()[0]
        except Exception:
            if written:
                self._take_away(sha256)
            raise

    def _take_away(self, sha256: str) -> None:
        """Remove a picture's file unless somebody else has brought the same picture meanwhile."""
        try:
            with self.transaction() as connection:
                query = "SELECT 1 FROM items WHERE sha256 = ?"
                if connection.execute(query, (sha256,)).fetchone() is None:
                    self.files.picture(sha256).unlink(missing_ok=True)
        except (UnavailableError, OSError) as error:
            # `reconcile` takes it in.
            log.warning("%s.png: is left without an entry: %s", sha256, error)

    def known(self, sha256: str) -> int | None:
        """Return the number of the picture with this content, None if it has not come yet."""
        query = "SELECT id FROM items WHERE sha256 = ? AND NOT unreadable"
        row = self.connection.execute(query, (sha256,)).fetchone()
        return None if row is None else row[0]

    def picture_path(self, item: int) -> Path:
        """Where a picture's file lies; `UnknownError` for a picture that does not exist."""
        path = self.files.picture(self._item_row(self.connection, item)["sha256"])
        if not path.is_file():
            raise UnknownError(f"picture {item}: its file is missing; bring the picture again")
        return path

    def note_file(self, path: str, size: int, modified: int, problem: str | None = None) -> None:
        """Remember a file of the watched folder, taken in or refused, so that it is read once.

        Parameters
        ----------
        path : relative to the folder
        size, modified : bytes, and nanoseconds since 1970; another value makes it a new file
        problem : why it was refused, None if it was taken in
        """
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                (os.fsencode(path), size, modified, problem),
            )

    def seen_files(self) -> dict[str, tuple[int, int, str | None]]:
        """Return size, time of change and problem of each file that `note_file` remembers."""
        rows = self.connection.execute("SELECT * FROM seen")
        return {os.fsdecode(r["path"]): (r["size"], r["modified"], r["problem"]) for r in rows}

    # --- classes ------------------------------------------------------------------------------

    def add_class(self, name: str) -> LabelClass:
        """Add a class; one that is there already stays as it is."""
        return self.add_classes([name])[0]

    def add_classes(self, names: Iterable[str]) -> list[LabelClass]:
        """Add classes, all or none, and choose their keys; returns them in the order of the names.

        Raises
        ------
        LabellingError
            If a name is empty, too long or no text.
        """
        if isinstance(names, str):
            raise LabellingError(f"classes={names!r}: expected a list of names, not one text")
        wanted = list(dict.fromkeys(checked_name(name) for name in names))
        with self.transaction() as connection:
            there = {c.name: c for c in self.classes()}
            new = [name for name in wanted if name not in there]
            keys = choose_keys(new, [c.key for c in there.values() if c.key])
            folders = [c.folder for c in there.values()]
            for number, (name, key) in enumerate(zip(new, keys, strict=True), len(there)):
                folders.append(folder_name(name, folders))
                connection.execute(
                    "INSERT INTO classes (number, name, folder, key) VALUES (?, ?, ?, ?)",
                    (number, name, folders[-1], key),
                )
                self.step("class written")
        there = {c.name: c for c in self.classes()}
        return [there[name] for name in wanted]

    def rename_class(self, old: str, new: str) -> LabelClass:
        """Give a class another name; its number, key and pictures stay, its folder is renamed.

        Raises
        ------
        LabellingError
            If there is no such class, or one of the new name.
        """
        new = checked_name(new)
        with self._writing:  # until the folder has its name, nobody makes links in it
            with self.transaction() as connection:
                number = self._class_number(connection, old)
                others = [c for c in self.classes() if c.number != number]
                if new in {c.name for c in others}:
                    raise LabellingError(f"class {new!r}: exists already; choose another name")
                before = self.classes()[number].folder
                folder = folder_name(new, [c.folder for c in others])
                connection.execute(
                    "UPDATE classes SET name = ?, folder = ? WHERE number = ?",
                    (new, folder, number),
                )
                self.step("class written")
            source, target = self.files.classes / before, self.files.classes / folder
            if before != folder and source.is_dir():
                if target.exists():
                    self.reconcile()
                else:
                    source.rename(target)
                    self.step("class folder renamed")
        return self.classes()[number]

    # --- class folders ------------------------------------------------------------------------

    def show(self, items: Iterable[int], before: Iterable[int | None] = ()) -> None:
        """Make class folders follow the database.

        Parameters
        ----------
        items : numbers of pictures whose label has changed
        before : class numbers that they had, None where none; by default they had none
        """
        items, before = list(items), list(before)
        before += [None] * (len(items) - len(before))
        # What is true is read under the lock that writers take: who comes last sees the last state.
        with self._writing:
            folders = {c.number: c.folder for c in self.classes()}
            todo, self._unshown = self._unshown + list(zip(items, before, strict=True)), []
            for item, old in todo:
                try:
                    self._show(item, old, folders)
                except (
                    OSError
                ) as error:  # the label is on the disk: it must not look as if it failed
                    log.warning("picture %d is not in its class folder yet: %s", item, error)
                    self._unshown.append((item, old))

    def _show(self, item: int, old: int | None, folders: dict[int, str]) -> None:
        row = self.connection.execute(
            "SELECT sha256, name, label FROM items WHERE id = ?", (item,)
        ).fetchone()
        name = file_name(row["name"], item)
        if old is not None and old != row["label"]:
            self.files.unlink(row["sha256"], folders[old], name)
        if row["label"] is not None and self.files.picture(row["sha256"]).is_file():
            self.files.link(row["sha256"], folders[row["label"]], name)

    def reconcile(self, *, check_content: bool = False) -> Mended:
        """Mend what a crash or a stranger left; call it after `open`. Twice does no more than once.

        Parameters
        ----------
        check_content : also read every picture and compare its hash, which takes a while

        Returns
        -------
        what was mended
        """
        return reconcile(self, check_content=check_content)

    @property
    def project_id(self) -> str:
        """32 hexadecimal digits, drawn when the project was begun: no two projects share it."""
        return meta(self.connection, "project", "")

    def settings(self) -> dict[str, float]:
        """Return the project's ``audit_share`` and ``audit_rate``."""
        with self.reading() as connection:
            names = ("audit_share", "audit_rate")
            return {name: float(meta(connection, name, "0")) for name in names}


def _check_share(connection: sqlite3.Connection, share: float) -> None:
    """Raise if pictures have been drawn with another share: no random sample would be left."""
    before = meta(connection, "audit_share", "")
    there = connection.execute("SELECT 1 FROM items WHERE source <> 'single' LIMIT 1").fetchone()
    if there and before and float(before) != share:
        raise LabellingError(
            f"audit_share={share}: this project's pictures were drawn into the audit slice with "
            f"{before}, and all must have the same chance; leave it out, or begin another project"
        )


def _lock_file(path: Path) -> FileLock:
    try:
        return locks.hold(path)
    except locks.HeldError:
        raise LabellingError(
            f"{path.parent}: is open in another process; end that one, or use its page"
        ) from None
