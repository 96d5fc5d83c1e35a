"""The database of a labelling project: its tables, its connections, its transactions."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alutils.labelling.store.records import LabellingError, UnavailableError

VERSION = 2  # 1 has a column more in its table of models, which nothing fills; both are opened
BUSY_S = 30.0  # how long a write waits for another process

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE classes (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE
);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    source TEXT NOT NULL,
    added TEXT NOT NULL,
    audit INTEGER NOT NULL,
    unreadable INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    label INTEGER REFERENCES classes (number),
    label_source TEXT CHECK (label_source IN ('human', 'auto')),
    event INTEGER REFERENCES events (id),   -- the one that gave the label
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    model INTEGER REFERENCES models (id),   -- the one that predicted
    shuffle REAL NOT NULL,                  -- drawn once from 0 to 1: the order without a model
    rank REAL NOT NULL,                     -- the order of the queue: confidence, else 2 + shuffle
    person TEXT,                            -- who holds it
    until REAL,                             -- how long, in seconds since 1970
    handed REAL,                            -- the order in which a person got pictures
    CHECK ((label IS NULL) = (label_source IS NULL) AND (label IS NULL) = (event IS NULL))
);
CREATE INDEX queue ON items (audit, skipped, rank) WHERE label IS NULL AND unreadable = 0;
CREATE INDEX held ON items (person) WHERE person IS NOT NULL;
CREATE INDEX labelled ON items (label, confidence) WHERE label IS NOT NULL;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items (id),
    kind TEXT NOT NULL CHECK (kind IN ('label', 'skip', 'undo', 'auto', 'revoke', 'relabel')),
    label INTEGER REFERENCES classes (number),
    replaced INTEGER REFERENCES events (id),  -- the one whose label it took the place of
    undoes INTEGER UNIQUE REFERENCES events (id),
    batch INTEGER,                            -- the first event of those made in one go
    person TEXT,
    model INTEGER REFERENCES models (id),
    at REAL NOT NULL,                         -- seconds since 1970
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    threshold REAL,
    hidden INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX of_item ON events (item);
CREATE INDEX of_person ON events (person, id) WHERE person IS NOT NULL;
CREATE TABLE requests (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (person, key)
) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    classes TEXT NOT NULL,
    n_trained INTEGER NOT NULL,
    at REAL NOT NULL,
    path TEXT NOT NULL,
    certificate TEXT NOT NULL
);
CREATE TABLE seen (               -- files of the watched folder that need no second look
    path BLOB PRIMARY KEY,        -- bytes: not every file name is text
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,    -- nanoseconds since 1970
    problem TEXT                  -- why it was not taken in, NULL if it was
) WITHOUT ROWID;
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
    BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
    BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
"""


class _Connection(sqlite3.Connection):
    """One that can be referred to weakly: it closes with the thread that opened it."""


class Database:
    """Connections and transactions, safe to use from many threads.

    Parameters
    ----------
    path : of the file, made if need be; its folder must exist
    clock : gives seconds since 1970
    step : is called with a name at every point at which something has just been written; for tests

    Attributes
    ----------
    writing : is held by whoever writes in this process; what is read under it is the last state
    version : of the tables, 1 to `VERSION`

    Raises
    ------
    LabellingError
        If the file is no database of the labelling tool, or one of a newer version.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.path, self.clock, self.step = path, clock, step
        self._of_thread = threading.local()
        self._open = weakref.WeakSet[_Connection]()
        # Within a process writers queue here, in turn and at once; SQLite's own waiting is polling
        # with naps of up to 100 ms, which is left for other processes.
        self.writing = threading.RLock()
        try:
            with self.transaction() as connection:
                self._prepare(connection)
        except sqlite3.DatabaseError as error:
            self.close()
            raise LabellingError(
                f"{path}: is damaged or no database of the labelling tool ({error}); move it away "
                "to start anew, the pictures beside it are kept"
            ) from error
        except LabellingError:
            self.close()
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            # Not executescript: it would commit first, and two processes may start at once.
            for statement in re.split(r"\n(?=CREATE)", _TABLES.strip()):
                connection.execute(statement)
                self.step("schema")
            self.set_setting("version", str(VERSION))
        self.version = int(self.setting("version", "0")) if not tables or "meta" in tables else 0
        if not 1 <= self.version <= VERSION:
            raise LabellingError(
                f"{self.path}: has version {self.version} of the tables, expected 1 to {VERSION}; "
                "open it with the version of alutils that made it"
            )

    @property
    def connection(self) -> sqlite3.Connection:
        """The one of the thread that asks."""
        if not hasattr(self._of_thread, "connection"):
            # close() may come from another thread, so the check of threads is off; none is shared.
            made = sqlite3.connect(
                self.path, BUSY_S, isolation_level=None, check_same_thread=False,
                factory=_Connection,
            )  # fmt: skip
            self._open.add(made)
            made.row_factory = sqlite3.Row
            _write_ahead(made)
            made.execute("PRAGMA synchronous = FULL")
            made.execute("PRAGMA foreign_keys = ON")
            self._of_thread.connection = made
        return self._of_thread.connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it or nothing; on disk when it ends.

        Raises
        ------
        UnavailableError
            If the disk is full, or another process holds the database for longer than `BUSY_S`.
        """
        with self.writing:
            try:
                connection = self.connection
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    self.step("before commit")
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                raise UnavailableError(
                    f"{self.path.name}: could not be written ({error}), nothing was changed; see "
                    "that there is space on the disk and that no other program uses it, try again"
                ) from error
            self.step("after commit")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several queries on one state of the database; writers are not held up."""
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    def setting(self, name: str, otherwise: str = "") -> str:
        """Return one of the project's settings."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return otherwise if row is None else row[0]

    def set_setting(self, name: str, value: str) -> None:
        """Write one of the project's settings; within a `transaction`."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the connections of all threads; none may be at work."""
        for connection in list(self._open):
            connection.close()
        self._of_thread = threading.local()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer not wait for each other.

    Where another process is just making the file, SQLite refuses this at once, whatever timeout the
    connection has; so it is asked for again.
    """
    end = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def shown_time(seconds: float) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
