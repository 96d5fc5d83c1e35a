"""Projects of older versions made into ones of today's, after a backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from alutils.labelling.store.backups import Backups, before_version
from alutils.labelling.store.records import UnavailableError
from alutils.labelling.store.schema import STATEMENTS, VERSION, tables, version_of

# Columns that were there are taken over, but those of versions 1 and 2 that are computed here; what
# else is new has its default.
_COMPUTED = {
    ("classes", "position"): "number",
    # The pictures of the old audit slice had no place by their confidence: now they have.
    ("items", "rank"): "coalesce(confidence, 2 + shuffle)",
}
# Older versions did not note which picture is in a file: such files are read once more.
_SOURCES = """INSERT INTO sources (item, path, name, sha256, found)
    SELECT item, path, '', old_seen.sha256, coalesce(CAST(strftime('%s', added) AS REAL), 0)
    FROM old_seen JOIN items ON items.id = item"""
_FORGOTTEN = ("audit_share", "audit_rate", "questions")


def migrate(path: Path, busy_s: float, backups: Backups) -> None:
    """Make the tables of an older version into today's, all or nothing; else do nothing.

    Before that a backup is made.

    Raises
    ------
    UnavailableError
        If the disk is full, or another process holds the database for longer than ``busy_s``.
    """
    try:
        _migrate(path, busy_s, backups)
    except sqlite3.OperationalError as error:
        raise UnavailableError(
            f"{path.name}: is of an older version and could not be brought to today's ({error}), "
            "nothing was changed; see that there is space on the disk for a copy of it and that no "
            "other program uses it, try again"
        ) from error


def _migrate(path: Path, busy_s: float, backups: Backups) -> None:
    step = backups.step
    with closing(sqlite3.connect(path, busy_s, isolation_level=None)) as connection:
        if not _is_old(version_of(connection)):
            return
        connection.execute("BEGIN IMMEDIATE")  # from here on nobody else writes
        try:
            version = version_of(connection)
            if version is not None and _is_old(version):  # still: another process may have done it
                with closing(sqlite3.connect(path)) as source:  # not in the middle of writing
                    backups.write(source, before_version(version))
                _rebuild(connection, _COMPUTED if version < 3 else {}, step)
                step("migrated")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    step("after migration")


def _is_old(version: int | None) -> bool:
    return version is not None and 1 <= version < VERSION


def _rebuild(
    connection: sqlite3.Connection,
    computed: Mapping[tuple[str, str], str],
    step: Callable[[str], None],
) -> None:
    """Put the rows into new tables. Foreign keys are off here, as in every new connection."""
    old = tables(connection)
    query = "SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'table'"
    for kind, name in connection.execute(query).fetchall():
        connection.execute(f"DROP {kind} {name}")
    for name in old:
        connection.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    for statement in STATEMENTS:
        connection.execute(statement)
        step("new table")
    for name in sorted(old & tables(connection)):
        taken = _taken(connection, name, computed)
        columns, values = ", ".join(taken), ", ".join(taken.values())
        connection.execute(f"INSERT INTO {name} ({columns}) SELECT {values} FROM old_{name}")
        step("rows taken over")
    if "item" in _columns(connection, "old_seen"):
        connection.execute(_SOURCES)
        step("rows taken over")
    for name in old:
        connection.execute(f"DROP TABLE old_{name}")
    for name in _FORGOTTEN:
        connection.execute("DELETE FROM meta WHERE name = ?", (name,))
    connection.execute("UPDATE meta SET value = ? WHERE name = 'version'", (str(VERSION),))
    if wrong := connection.execute("PRAGMA foreign_key_check").fetchall():
        raise sqlite3.DatabaseError(f"{len(wrong)} rows name others that are not there")


def _taken(
    connection: sqlite3.Connection, table: str, computed: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """Return what the columns of a table are filled with, as expressions over the old table."""
    taken = {c: c for c in _columns(connection, f"old_{table}")}
    taken |= {column: value for (of, column), value in computed.items() if of == table}
    return {c: taken[c] for c in _columns(connection, table) if c in taken}


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
