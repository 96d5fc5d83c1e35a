"""Texts as cells of a CSV file that spreadsheets open without running or mangling them."""

from __future__ import annotations

import os
from typing import Any

_STARTS = ("=", "+", "-", "@", "\t", "\r")
_CALLS = ("(", "|", "!")  # without one of these, a formula reaches nothing outside its cell


def harmless(value: Any) -> Any:
    """Return a cell's value; a text that begins like a formula gets an apostrophe in front.

    Spreadsheets would run it, and file names come from strangers. The signs are ``= + - @``, a tab
    and the end of a line. A text that has such apostrophes already gets one more, so that
    `as_written` finds every text again.
    """
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def as_written(cell: str) -> str:
    """Return the text that `harmless` made this cell of."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_STARTS)


def class_cell(name: str) -> str:
    """Return a class's name as a cell: as it is, so that tables can be joined by it.

    Classes may be called ``+`` or ``-1``. A name that a spreadsheet would run as more than
    arithmetic (``=cmd|...``, ``@SUM(...)``) is written as `harmless` does.
    """
    return harmless(name) if any(sign in name for sign in _CALLS) else name


def path_cell(name: str) -> str:
    r"""Return a file's name as a cell: `harmless`, and UTF-8 whatever the file system holds.

    A byte that is not UTF-8 is written as ``\xff``.
    """
    return harmless(os.fsencode(name).decode("utf-8", "backslashreplace"))


def below_cell(path: str) -> str:
    """Return a path below a folder as a cell; one that begins like a formula begins with ``./``.

    It is the same path then, so that programs join by it, and no spreadsheet runs it.
    """
    return f"./{path}" if path.startswith(_STARTS) else path
