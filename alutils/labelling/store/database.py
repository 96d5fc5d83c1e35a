"""The database of a labelling project: its transactions, and that it stays where it was opened."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from alutils.base.steady import Steady
from alutils.labelling.store import troubles
from alutils.labelling.store.backups import Backup, Backups, copy_database
from alutils.labelling.store.connections import BUSY_S, Connection, Connections, connect
from alutils.labelling.store.migration import migrate
from alutils.labelling.store.opened_file import OpenedFile
from alutils.labelling.store.records import DamagedError, LabellingError, UnavailableError
from alutils.labelling.store.schema import STATEMENTS, VERSION, missing_statements, version_of

_LONGEST_LOG = 4 * 2**20  # bytes of the log from which on it is moved into the file
_BETWEEN_S = 1.0  # two tries to do so


class Database:
    """Connections and transactions, safe to use from many threads.

    Parameters
    ----------
    path : of the file, made if need be; its folder must exist
    alone : no other process moves the log into the file meanwhile: then it is done here, and what
        somebody else writes into the file itself is noticed
    reads_only : write nothing, and ask for no right to; the file must be there, with today's tables
    clock : gives seconds since 1970
    step : is called with a name at every point at which something has just been written; for tests

    Attributes
    ----------
    steady : the clock for what is due, which stays as it was when somebody sets the system's
    writing : is held by whoever writes in this process; what is read under it is the last state
    backups : makes copies

    Raises
    ------
    LabellingError
        If the file is damaged, no database of the labelling tool, or one of a newer version.
    """

    def __init__(
        self,
        path: Path,
        *,
        alone: bool = True,
        reads_only: bool = False,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.path, self.clock, self.step = path, clock, step
        self.steady = Steady() if clock is time.time else clock
        self.opened = OpenedFile(path, alone)
        self.backups = Backups(path.parent, clock, step)
        # Within a process writers queue here, in turn and at once; SQLite's own waiting is polling
        # with naps of up to 100 ms, which is left for other processes.
        self.writing = threading.RLock()
        self._connections = Connections(path, self.check, self._damaged, reads_only)
        self._keeping: Connection | None = None  # for the log and for copies; under `writing`
        self._guard: sqlite3.Connection | None = None  # is what `close` needs
        self._saved = ""  # what `settle` has saved, in words
        self._alone: tuple | None = None  # what is in the file without its log
        self._tried = -_BETWEEN_S  # when the log was to be moved because it was long
        try:
            troubles.check_file(path, reads_only=reads_only)
            if path.exists():
                troubles.check_sound(path)
            if reads_only:
                self._check_tables(self.connection, version_of(self.connection))
                return
            if path.exists():
                migrate(path, BUSY_S, self.backups)
            with self.transaction() as connection:
                self._prepare(connection)
            self._keeping = connect(path, 0)
            self._guard = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
            version_of(self._guard)  # only now it holds the file
            self.opened.remember()
            self._remember_content()
        except BaseException:
            self.close()
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = version_of(connection)
        if version is None:
            # Not executescript: it would commit first, and two processes may start at once.
            for statement in STATEMENTS:
                connection.execute(statement)
                self.step("schema")
            self.set_setting("version", str(VERSION))
        else:
            self._check_tables(connection, version)

    def _check_tables(self, connection: sqlite3.Connection, version: int | None) -> None:
        if version is None or 0 < version < VERSION:  # migrated, where it is not only read
            raise LabellingError(
                f"{self.path}: has {'no' if version is None else 'older'} tables, and is only read "
                "here; open it once with `python -m alutils label`, which makes today's tables"
            )
        if version != VERSION:
            raise LabellingError(
                f"{self.path}: has version {version} of the tables, expected 1 to {VERSION}; "
                "open it with the version of alutils that made it"
            )
        if missing := missing_statements(connection):
            raise troubles.damaged(self.path, f"its tables are not as they were made: {missing[0]}")

    @property
    def connection(self) -> Connection:
        """The one of the thread that asks; UnavailableError where the file is not at its place."""
        return self._connections.mine()

    def check(self) -> None:
        """Raise UnavailableError unless the file is the one that was opened, at its place."""
        trouble = self.opened.trouble()
        if not trouble and (self.opened.is_log_cut() or self.opened.has_changed()):
            trouble = self._look_into()
        if trouble:
            raise UnavailableError(
                f"{self.path}: {trouble}. Nothing is saved meanwhile; pages keep their answers"
            )

    def _look_into(self) -> str:
        """Say whether the file's content is still ours, after something has touched it."""
        with self.writing:  # or it was the log, which is just being moved into it
            if self.opened.is_log_cut():
                self.opened.spoil("its log, the file that ends in -wal, was cut short")
            elif self.opened.has_changed():
                before = self.opened.now()
                if self._is_ours():
                    self.opened.remember_content(before)
                else:
                    self.opened.spoil("another program has written into it")
            return self.opened.spoiled

    def _is_ours(self) -> bool:
        """Whether the file holds what was in it, and is sound together with its log."""
        try:
            troubles.check_sound(self.path)
        except LabellingError:
            return False
        return self._alone is not None and self._in_file() == self._alone

    def _in_file(self) -> tuple | None:
        """Say what is in the file without its log, None where that is not whole without it."""
        try:
            # By SQLite, which does not give up the locks of its other connections.
            with closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?immutable=1", uri=True)
            ) as c:
                return tuple(
                    c.execute(
                        """SELECT (SELECT value FROM meta WHERE name = 'project'),
                        (SELECT max(id) FROM events), (SELECT max(id) FROM items),
                        (SELECT max(id) FROM class_events)"""
                    ).fetchone()
                )
        except sqlite3.Error:
            return None

    def _remember_content(self) -> None:
        self.opened.remember_content()
        self.opened.remember_log()
        self._alone = self._in_file()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it or nothing; on disk when it ends, at the place where it belongs.

        Raises
        ------
        UnavailableError
            If the disk is full, the file is not at its place any more, or another process holds it
            for longer than `alutils.labelling.store.connections.BUSY_S`.
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
                raise troubles.refusal(self.path, error) or error from error
            self.step("after commit")
            self.opened.remember_log()
            self.check()  # else it went into a file that is somewhere else by now
            self._empty_long_log()

    def _empty_long_log(self) -> None:
        now = time.monotonic()
        if self._keeping is not None and now - self._tried > _BETWEEN_S:
            self._tried = now
            if self.opened.log.stat().st_size > _LONGEST_LOG:
                self.checkpoint()

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
        self.check()

    def setting(self, name: str, otherwise: str = "") -> str:
        """Return one of the project's settings."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return otherwise if row is None else row[0]

    def set_setting(self, name: str, value: str) -> None:
        """Write one of the project's settings; within a `transaction`."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # --- keeping it safe ----------------------------------------------------------------------

    @property
    def has_log(self) -> bool:
        """Whether something is in the log that is not in the file yet."""
        try:
            return self.opened.log.stat().st_size > 0
        except OSError:
            return False

    def checkpoint(self) -> None:
        """Move what is in the log into the file, which then holds everything.

        Does nothing where others may do so, too; what readers still need stays in the log.
        """
        if self._keeping is None or not self.opened.is_alone:
            return
        with self.writing:
            self.check()
            self._empty_log(self._keeping)

    def _empty_log(self, keeping: Connection) -> None:
        try:
            keeping.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._remember_content()
        self.step("log emptied")

    def back_up(self, why: str = "") -> Backup:
        """Make a copy of what is committed, in the project's folder; it holds up no writer.

        Raises
        ------
        UnavailableError
            If it cannot be written, or the database is damaged.
        """
        self.check()
        try:
            with closing(connect(self.path)) as source:  # not one that is in the middle of writing
                return self.backups.write(source, why)
        except DamagedError as error:
            found = str(error.__cause__ or error)
            self._damaged(found)
            raise troubles.damaged(self.path, found) from error

    def _damaged(self, found: str) -> None:
        """See that nothing is written any more, here or into a backup."""
        self.opened.spoil(f"it was damaged ({found})")
        self.opened.is_settled = True

    def rescue(self, otherwise: Path) -> str:
        """Write all labels into a new file after the database has gone from its place.

        As a backup where its folder is still there; else to the path that is given.

        Returns
        -------
        what was saved, in words; '' where nothing sound is open here any more
        """
        with self.writing:
            if self.opened.is_settled or self._keeping is None:
                return ""
            try:
                if self.opened.is_there:
                    copy = self.backups.write(self._keeping, "before-it-was-gone")
                    return f"What was saved until then is in the backup {copy.path.name}"
                copy_database(self._keeping, otherwise, self.step)
            except (LabellingError, sqlite3.Error, OSError) as error:
                with suppress(OSError):
                    otherwise.unlink(missing_ok=True)
                return f"What was saved until then could not be copied: {error}"
            return (
                f"What was saved until then is in {otherwise}; if the folder does not come back, "
                f"make {self.path} of it"
            )

    def settle(self) -> str:
        """Save what is still open here after another file has come into the place of this one.

        Returns
        -------
        what was saved, in words; '' if nothing had to be
        """
        with self.writing:
            if self.opened.spoiled and not self.opened.is_settled and self._keeping is not None:
                self.opened.is_settled = True
                self._saved = self._save_what_is_open(self._keeping)
            return self._saved

    def _save_what_is_open(self, keeping: Connection) -> str:
        told = ""
        try:
            if self.opened.is_log_cut():  # what is left of it would make the file a mixture
                return "The next start says what is left, and how the rest comes back"
            if self.opened.is_own_file:  # its log is gone from the folder, but still open here
                self._empty_log(keeping)
            if self.opened.is_there:
                copy = self.backups.write(keeping, "before-it-was-replaced")
                told = f"What was saved until then is in the backup {copy.path.name}"
        except (LabellingError, sqlite3.Error, OSError) as error:
            told = f"What was saved until then could not be copied: {error}"
        self.opened.put_log_aside()
        return told

    def close(self) -> None:
        """Close the connections of all threads; none may be at work.

        The last one that can write moves the log into the file, and removes the log by its name.
        Where another file lies at the place, that must not happen: one that only reads stays longer
        then.
        """
        with self.writing:
            self.settle()
            is_moved = bool(self.opened.trouble())
            if self._guard is not None and not is_moved:
                self._guard.close()
            self._connections.close()
            if self._keeping is not None:
                self._keeping.close()
            if self._guard is not None:
                self._guard.close()


def shown_time(seconds: float) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
