"""Copies of the database that are made while people label, and which of them are kept.

They lie in ``FOLDER/labelling/backups``, each a whole database, named by its time, how many labels
are in it, its project, and why it was made:
``2026-11-30T18-04-52-117Z_100-labels_1f3a9c02_before-merge.sqlite``.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alutils.base.files import display_path
from alutils.base.project_folder import NAME
from alutils.labelling.store.files import make_folder, sync_folder
from alutils.labelling.store.records import DamagedError, UnavailableError

FOLDER = "backups"
_NEWEST, _DAYS, _WEEKS = 3, 3, 4  # how many are kept: the newest, one of each of these days, weeks
_NAME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)-(\d{3})Z_(\d+)-labels_([0-9a-z]{1,8})(?:_([a-z0-9-]+))?\.sqlite"
)
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_NOTADB)
"""SQLite's codes for a file that is no sound database."""
_OF_VERSION = "before-version"
RESTORED = "restored"
"""Why a copy is made of a backup that has taken the database's place."""
_SEARCH = timedelta(days=7)  # how long after that the older copies stay


@dataclass(frozen=True)
class Backup:
    """One copy, as its name tells of it."""

    path: Path
    at: datetime  # in UTC
    labels: int
    project: str  # the first digits of the project's number
    why: str  # "" for one of those that are made now and then

    def __str__(self) -> str:
        why = f", {self.why.replace('-', ' ')}" if self.why else ""
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC, {self.labels:,} labels{why}"


def all_backups(root: Path) -> list[Backup]:
    """Return the copies below a project's own folder, the newest first."""
    found = []
    for path in root.glob(f"{FOLDER}/*.sqlite"):
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            at = datetime.strptime(f"{match[1]}-{match[2]}", "%Y-%m-%dT%H-%M-%S-%f")
            backup = Backup(path, at.replace(tzinfo=UTC), int(match[3]), match[4], match[5] or "")
            found.append(backup)
    return sorted(found, key=lambda backup: backup.path.name, reverse=True)


def way_back(path: Path) -> str:
    """Return how labels come back when the database at ``path`` cannot be used."""
    root = path.parent
    if backups := all_backups(root):
        return (
            f"there is a backup of {backups[0]}: end the tool, then {restore_command(root)} "
            "lists all and takes one"
        )
    n = sum(1 for each in (root / "classes").glob("*/*") if each.is_file())
    if n:
        return (
            f"there is no backup. Move it away and begin anew: the {n:,} labels that the class "
            f"folders in {root / 'classes'} show are read back"
        )
    return "there is no backup. Move it away to begin anew; the pictures beside it are kept"


def restore_command(root: Path, which: str = "") -> str:
    """Return what to type to list a project's backups, or to take one."""
    folder = root.parent if root.name == NAME else root  # either names the project
    command = f"python -m alutils label {shlex.quote(display_path(folder))} --restore"
    return f"`{command} {which}`" if which else f"`{command}`"


def copy_database(
    source: sqlite3.Connection, target: Path, step: Callable[[str], None] = lambda name: None
) -> None:
    """Write what a database holds now into one file, while others write into the database.

    Whoever calls this sees to it that a file which was cut short is removed.

    Raises
    ------
    UnavailableError
        If it cannot be written.
    DamagedError
        If what was copied is damaged, which means that the database is.
    """
    try:
        with closing(sqlite3.connect(target)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced whole, below
            source.backup(copy)  # one state: in WAL mode this holds up no writer
            step("backup copied")
            copy.execute("PRAGMA journal_mode = DELETE")  # a single file, without a log beside it
            found = [row[0] for row in copy.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise DamagedError(f"the database is damaged: {found[0]}")
        with target.open("rb+") as file:
            os.fsync(file.fileno())
        step("backup synced")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
            raise DamagedError(f"the database is damaged: {error}") from error
        raise UnavailableError(f"a backup could not be written ({error})") from error
    except OSError as error:
        raise UnavailableError(f"a backup could not be written ({error})") from error


@dataclass(frozen=True)
class Backups:
    """Makes copies of one project's database.

    Parameters
    ----------
    root : ``FOLDER/labelling``
    clock, step : as in `alutils.labelling.store.database.Database`
    """

    root: Path
    clock: Callable[[], float]
    step: Callable[[str], None] = lambda name: None

    def write(self, source: sqlite3.Connection, why: str = "") -> Backup:
        """Make a copy, whole or not at all, and remove those that are not needed any more.

        Raises
        ------
        UnavailableError
            If it cannot be written.
        """
        folder = self.root / FOLDER
        at = datetime.fromtimestamp(self.clock(), UTC)
        partial = folder / f".{at:%H%M%S%f}-{os.getpid()}.partial"
        try:
            make_folder(folder)
            copy_database(source, partial, self.step)
            labels, project = _inside(partial)
            name = f"{at:%Y-%m-%dT%H-%M-%S}-{at.microsecond // 1000:03d}Z_{labels}-labels_{project}"
            path = folder / f"{name}{f'_{why}' if why else ''}.sqlite"
            partial.replace(path)
            sync_folder(folder)
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"{folder}: cannot be written ({error})") from error
        finally:
            with suppress(OSError):  # where it cannot be removed it could not be made either
                partial.unlink()
        self.step("backup there")
        made = Backup(path, at, labels, project, why)
        for each in not_needed(all_backups(self.root), made):
            each.path.unlink(missing_ok=True)
            self.step("backup removed")
        return made


def not_needed(backups: Iterable[Backup], made: Backup) -> list[Backup]:
    """Return the copies of the same project that may go when one was made, of all, newest first.

    What stays: the newest, the last of some days and of some weeks, the one with the most labels,
    and those before a change of the tables: older versions of the tool can read no others. Other
    projects' copies stay, too: a new database in an old one's place must not push them out. Who has
    restored one may look for another yet: all that were there stay for a week.
    """
    own = [b for b in backups if b.project == made.project and not b.why.startswith(_OF_VERSION)]
    restored = [b for b in own if b.why == RESTORED]
    own = [b for b in own if b.why != RESTORED]
    days = {b.at.date(): b for b in reversed(own)}
    weeks = {b.at.isocalendar()[:2]: b for b in reversed(own)}
    kept = {made.path, *(b.path for b in own[:_NEWEST])}
    kept |= {days[day].path for day in sorted(days)[-_DAYS:]}
    kept |= {weeks[week].path for week in sorted(weeks)[-_WEEKS:]}
    kept |= {max(own, key=lambda b: b.labels).path} if own else set()
    if restored:
        last = restored[0]
        kept.add(last.path)
        kept |= {b.path for b in own if b.at <= last.at and made.at - last.at < _SEARCH}
    return [b for b in (*own, *restored) if b.path not in kept]


def before_version(version: int | None) -> str:
    """Return why a copy is made before tables of a version are changed."""
    return f"{_OF_VERSION}-{version}-goes"


def last_event(backup: Backup) -> int:
    """Return the number of the last event in a copy; 0 where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{backup.path.absolute().as_uri()}?mode=ro", uri=True)) as c:
            return c.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    except sqlite3.Error:
        return 0


def _inside(path: Path) -> tuple[int, str]:
    """Return how many labels a copy holds, and the first digits of its project's number."""
    with closing(sqlite3.connect(path)) as copy:
        labels = copy.execute("SELECT count(label) FROM items").fetchone()[0]
        row = copy.execute("SELECT value FROM meta WHERE name = 'project'").fetchone()
    project = re.sub(r"[^0-9a-z]", "", row[0].lower())[:8] if row else ""
    return labels, project or "0"
