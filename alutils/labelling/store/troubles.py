"""What is wrong with a database, in words: the one place where SQLite's errors become sentences."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alutils.labelling.store.backups import DAMAGE, way_back
from alutils.labelling.store.opened_file import reading_address
from alutils.labelling.store.records import DamagedError, LabellingError, UnavailableError
from alutils.labelling.store.schema import version_of

_HEADER = 100  # bytes with which every database of SQLite begins
_WRITTEN = "could not be written"
_KINDS = {  # by SQLite's code: what could not be done, and what to do
    sqlite3.SQLITE_FULL: (_WRITTEN, "make space on the disk, then it goes on"),
    sqlite3.SQLITE_BUSY: (_WRITTEN, "end the other program that holds it, or wait; then try again"),
    sqlite3.SQLITE_LOCKED: (_WRITTEN, "end the other program that holds it, or wait; try again"),
    sqlite3.SQLITE_READONLY: (_WRITTEN, "make it and its folder writable (chmod u+w), try again"),
    sqlite3.SQLITE_PERM: (_WRITTEN, "make it and its folder writable (chmod u+w), try again"),
    sqlite3.SQLITE_IOERR: (
        "could not be read or written",
        "see that the disk is there, sound and not full, try again",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "could not be opened",
        "see that it is there and that you may read and write it and its folder, try again",
    ),
}
_NO_TEXT = "Could not decode to UTF-8"  # Python's own error, without a code


def refusal(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> LabellingError | None:
    """Return what a person is told of an error of SQLite; None if it is a fault of the program."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return DamagedError(
            f"{path}: is damaged or no database of the labelling tool ({error}), and nothing is "
            f"written into it; {way_back(path)}"
        )
    if code in DAMAGE or _is_no_text(error):
        return damaged(path, str(error))
    if not code and isinstance(error, sqlite3.OperationalError):
        code = sqlite3.SQLITE_FULL if "full" in str(error) else sqlite3.SQLITE_IOERR
    if code not in _KINDS:
        return None
    what, then = _KINDS[code]
    return UnavailableError(f"{path.name}: {what} ({error}), nothing was changed; {then}")


def _is_no_text(error: Exception) -> bool:
    """Tell whether bytes of the file, or of SQLite's message about it, are no text."""
    return isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT)


def damaged(path: Path, found: str) -> DamagedError:
    """Return what is told of a damaged database, with the way back."""
    return DamagedError(
        f"{path}: is damaged ({found[:200]}), and nothing is written into it; {way_back(path)}"
    )


def check_file(path: Path, *, reads_only: bool = False) -> None:
    """Refuse what cannot be the database of a project, before SQLite sees it; no file may be one.

    With ``reads_only`` nobody wants to write into it. The file is not opened here: to close it
    would give up all locks that this process has on it.

    Raises
    ------
    DamagedError
        For a folder, and an empty file where a project was.
    UnavailableError
        For a file that may not be read and written.
    """
    if path.is_dir():
        raise DamagedError(
            f"{path}: is a folder, expected the file of the labels. Move it away; {way_back(path)}"
        )
    if not path.exists():
        return
    if not os.access(path, os.R_OK if reads_only else os.R_OK | os.W_OK):
        what, right = ("read", "r") if reads_only else ("read and written", "rw")
        raise UnavailableError(
            f"{path}: may not be {what} by you; give yourself the right (chmod u+{right})"
        )
    size = path.stat().st_size
    if 0 < size < _HEADER:  # SQLite would take it for a new one
        raise DamagedError(
            f"{path}: is no database of the labelling tool (it has {size} bytes); {way_back(path)}"
        )
    if not size:
        _check_new(path)


def _check_new(path: Path) -> None:
    """Refuse to begin anew in a file without tables where pictures or labels have been kept."""
    patterns = ("images/*/*.png", "classes/*/*", "backups/*.sqlite")
    if any(each.is_file() for pattern in patterns for each in path.parent.glob(pattern)):
        raise DamagedError(f"{path}: is empty, its labels are gone; {way_back(path)}")


def check_sound(path: Path) -> None:
    """Let SQLite look through the whole file, half a second for 100,000 pictures.

    The file stays as it is, and so does the log beside it: where they do not belong together, they
    must not be made into one.

    Raises
    ------
    DamagedError
        If it finds something, or the tables are another program's.
    UnavailableError
        As `alutils.labelling.store.opened_file.reading_address`.
    """
    address = reading_address(path)
    try:
        with closing(sqlite3.connect(address, uri=True)) as looking:
            found = [str(row[0]) for row in looking.execute("PRAGMA quick_check(3)")]
            version = version_of(looking) if found == ["ok"] else None
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise refusal(path, error) or damaged(path, str(error)) from error
    except ValueError as error:
        raise damaged(path, f"its version is no number: {error}") from error
    if found != ["ok"]:
        told = " ".join(found).replace("*** in database main ***", "")
        raise damaged(path, " ".join(told.split()))
    if version is None:
        _check_new(path)
    if version == 0:
        raise DamagedError(
            f"{path}: holds tables of another program, none of the labelling tool (version 0); "
            f"{way_back(path)}"
        )
