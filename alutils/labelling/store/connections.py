"""Connections to a project's database, one for each thread, whose errors are made to be shown."""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alutils.labelling.store import troubles
from alutils.labelling.store.opened_file import reading_address
from alutils.labelling.store.records import DamagedError, UnavailableError

BUSY_S = 30.0  # how long a write waits for another process


class Connection(sqlite3.Connection):
    """One that raises `LabellingError` for what is wrong with the file, the disk or the rights.

    It can be referred to weakly: it closes with the thread that opened it.
    """

    path: Path
    on_damage: Callable[[str], None] = staticmethod(lambda found: None)  # is told what was found

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)

    def execute(self, *arguments: Any) -> Any:
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self.cursor().executemany(*arguments)


class _Cursor(sqlite3.Cursor):
    def execute(self, *arguments: Any) -> Any:
        try:
            return super().execute(*arguments)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._refuse(error)
            raise

    def executemany(self, *arguments: Any) -> Any:
        try:
            return super().executemany(*arguments)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._refuse(error)
            raise

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._refuse(error)
            raise

    def fetchall(self) -> Any:
        try:
            return super().fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._refuse(error)
            raise

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._refuse(error)
            raise

    def _refuse(self, error: sqlite3.Error | UnicodeDecodeError) -> None:
        connection: Connection = self.connection  # type: ignore[assignment]
        refusal = troubles.refusal(connection.path, error)
        if isinstance(refusal, DamagedError):
            connection.on_damage(str(error))
        if refusal is not None:
            raise refusal from error


def connect(path: Path, busy_s: float = BUSY_S, *, reads_only: bool = False) -> Connection:
    """Open one more connection to a project's database, or one that writes nothing."""
    address = reading_address(path, tidies=True) if reads_only else path
    try:
        # It may be closed by another thread, so the check of threads is off; none is shared.
        made = sqlite3.connect(
            address, busy_s, isolation_level=None, check_same_thread=False, factory=Connection,
            uri=reads_only,
        )  # fmt: skip
    except sqlite3.Error as error:
        refusal = troubles.refusal(path, error)
        if refusal is None:
            raise
        raise refusal from error
    made.path = path
    try:
        made.row_factory = sqlite3.Row
        if reads_only:
            made.execute("PRAGMA query_only = ON")
            return made
        _write_ahead(made)
        made.execute("PRAGMA synchronous = FULL")
        made.execute("PRAGMA foreign_keys = ON")
        # The log goes into the file when `Database.checkpoint` says so: then the file's size and
        # time are known, and what a stranger writes into it is noticed.
        made.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        made.close()
        raise
    return made


def _write_ahead(connection: Connection) -> None:
    """Let readers and a writer not wait for each other.

    Where another process is just making the file, SQLite refuses this at once, whatever timeout the
    connection has; so it is asked for again.
    """
    end = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except UnavailableError as error:
            code = getattr(error.__cause__, "sqlite_errorcode", None)
            if code != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


class Connections:
    """The connections of all threads to one database.

    Parameters
    ----------
    path : of the database
    check : raises where the file at the path is not the one that is meant
    on_damage : is told what is wrong with the file's content
    reads_only : they write nothing
    """

    def __init__(
        self,
        path: Path,
        check: Callable[[], None],
        on_damage: Callable[[str], None],
        reads_only: bool = False,
    ) -> None:
        self.path, self._check, self._on_damage = path, check, on_damage
        self._reads_only = reads_only
        self._of_thread = threading.local()
        self._open = weakref.WeakSet[Connection]()

    def mine(self) -> Connection:
        """Return the one of the thread that asks."""
        there = getattr(self._of_thread, "connection", None)
        if there is not None and there.in_transaction:  # was looked at before, and is afterwards
            return there
        self._check()
        if not hasattr(self._of_thread, "connection"):
            made = connect(self.path, reads_only=self._reads_only)
            made.on_damage = self._on_damage
            try:
                self._check()  # the file may have been replaced just before it was opened
            except BaseException:
                made.close()
                raise
            self._open.add(made)
            self._of_thread.connection = made
        return self._of_thread.connection

    def close(self) -> None:
        """Close all of them; no thread may be at work."""
        for connection in list(self._open):
            connection.close()
        self._of_thread = threading.local()
