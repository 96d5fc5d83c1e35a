"""Whether a project's files are still those that were opened, at the place where they were.

Folders are renamed, removed and synchronised while the tool runs, and a database is put back from a
copy. SQLite goes on in the file that it has open, wherever that is: what people answer would be
gone with it. Asking the system costs microseconds, so it is asked at every write and read.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alutils.labelling.store.files import ASIDE, move_aside
from alutils.labelling.store.records import UnavailableError

_Identity = tuple[int, int]  # device and inode, or what Windows has for them
LOG, INDEX = "-wal", "-shm"  # what SQLite keeps beside a database, by the ends of their names


def reading_address(path: Path, *, tidies: bool = False) -> str:
    """Return the address by which SQLite reads a database and writes nothing into it.

    Where it may only read, SQLite leaves an empty log and its index behind; with ``tidies`` it may
    take these away again where it can, for a connection that is kept from writing in another way.

    Where nothing can be written SQLite cannot keep count of its readers, and refuses. Nobody else
    can write there, either, so it is told that the file does not change.

    Raises
    ------
    UnavailableError
        If something is in the log that can only be read together with the file where both can be
        written.
    """
    log, index = (path.with_name(path.name + end) for end in (LOG, INDEX))
    has_log = log.exists() and log.stat().st_size > 0
    can_write = os.access(path.parent, os.W_OK)
    # What is in a log would be moved into the file at the end.
    is_tidied = tidies and can_write and os.access(path, os.W_OK) and not has_log
    address = f"{path.absolute().as_uri()}?mode={'rw' if is_tidied else 'ro'}"
    if can_write or index.exists():
        return address
    if has_log:
        raise UnavailableError(
            f"{path}: its last labels are still in {log.name}, which cannot be read where nothing "
            f"can be written; copy {path.parent} to another place, and give that"
        )
    return f"{address}&immutable=1"


@dataclass
class OpenedFile:
    """What lay there when the database was opened.

    Attributes
    ----------
    path : of the database
    is_alone : nobody else moves what is in the log into the file; its size and time are known then
    spoiled : why nothing can be written until the project is opened again; '' while it can
    is_settled : what was still open then has been saved
    """

    path: Path
    is_alone: bool
    spoiled: str = ""
    is_settled: bool = False
    _folder: _Identity | None = None
    _file: _Identity | None = None
    _log: _Identity | None = None
    _content: tuple[int, int] | None = None  # size, nanoseconds since 1970
    _log_size: int = 0  # when this process had written last

    @property
    def log(self) -> Path:
        return self.path.with_name(self.path.name + LOG)

    @property
    def index(self) -> Path:
        return self.path.with_name(self.path.name + INDEX)

    def remember(self) -> None:
        """Take what lies there now for what is right."""
        self._folder = _identity(self.path.parent)
        self._file = _identity(self.path)
        self._log = _identity(self.log)

    def remember_content(self, now: tuple[int, int] | None = None) -> None:
        """Take the file as it is for what is right, or as it was when `now` was asked."""
        self._content = now or self.now()

    def remember_log(self) -> None:
        """Take the log as long as it is now for what is right, after something was written."""
        with suppress(OSError):  # `trouble` tells of it
            self._log_size = self.log.stat().st_size

    def is_log_cut(self) -> bool:
        """Whether somebody else has shortened the log: only this process may, and remembers it."""
        try:
            about = self.log.stat()
        except OSError:
            return False  # `trouble` tells of it
        is_same = self.is_alone and _of(about) == self._log
        return is_same and about.st_size < self._log_size

    def now(self) -> tuple[int, int]:
        """Return the file's size and time of change."""
        return _content(self.path.stat())

    def spoil(self, what: str) -> None:
        """Note why nothing can be written until the project is opened again."""
        self.spoiled = f"{what} while the tool runs; end the tool and start it again"

    @property
    def is_there(self) -> bool:
        """Whether the folder is the one that was opened."""
        return self._folder is not None and _identity(self.path.parent) == self._folder

    @property
    def is_own_file(self) -> bool:
        """Whether the file is the one that was opened, and nobody else has written into it."""
        is_same = self._file is not None and _identity(self.path) == self._file
        return is_same and not self.has_changed()

    def trouble(self) -> str:
        """Say what is wrong with the place, '' if nothing is; the rest of a sentence.

        What can be put right while the tool runs is only said. What cannot, is in `spoiled` from
        then on.
        """
        if self.spoiled or self._folder is None:
            return self.spoiled
        folder = self.path.parent
        try:
            if _of(folder.stat()) != self._folder:
                return (
                    "its folder was replaced by another one; bring the folder back that was there, "
                    "or end the tool and start it with the one that it is to use"
                )
            about = self.path.stat()
        except OSError:
            return (
                "it is not there any more: was its folder moved, renamed or removed, or its disk "
                "taken away? Bring it back under its name, and this goes on; or end the tool and "
                "start it with the folder's new name"
            )
        if _of(about) != self._file or not stat.S_ISREG(about.st_mode):
            self.spoil("another file was put into its place")
        elif _identity(self.log) != self._log:
            self.spoil("its log, the file that ends in -wal, was removed or replaced")
        return self.spoiled

    def has_changed(self) -> bool:
        """Whether somebody else has written into the file itself."""
        try:
            return self.is_alone and self._content not in (None, self.now())
        except OSError:
            return False  # `trouble` tells of it

    def put_log_aside(self) -> None:
        """Move the log out of the way of a file that it does not belong to.

        SQLite would put what is in it over that file's content when it is opened next.
        """
        if self.is_there and self._log is not None and not self.is_own_file:
            for path in (self.log, self.index):
                if path == self.index or _identity(path) == self._log:
                    with suppress(FileNotFoundError):
                        move_aside(path, self.path.parent / ASIDE)


def _of(about: os.stat_result) -> _Identity:
    return about.st_dev, about.st_ino


def _content(about: os.stat_result) -> tuple[int, int]:
    return about.st_size, about.st_mtime_ns


def _identity(path: Path) -> _Identity | None:
    try:
        return _of(path.stat())
    except OSError:
        return None
