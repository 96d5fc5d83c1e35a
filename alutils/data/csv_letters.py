"""Letters in the format of the Kaggle A-Z table: a row a letter, the label first, then 784 pixels.

A table is read in a stream: memory does not grow with it. Lines that are exactly as they should be
are read by a small compiled loop; any other line is read again, slowly, by code that knows what may
be wrong with it and says so.

The file on Kaggle has no header. Reading it with pandas' defaults takes its first letter for one,
so people who save it again get column names "0,0.1,0.2,..." and one letter less; both are read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from alutils.base.compiled import compiled
from alutils.base.errors import BadInput
from alutils.data.dataset import LETTERS, Dataset
from alutils.data.skips import Skips, check_choice

SIDE = 28  # pixels: height and width of a letter
COLUMNS = 1 + SIDE * SIDE
KAGGLE_NAME = "A_Z Handwritten Data.csv"

_BLOCK = 2**22  # bytes read at a time; some 2,000 rows
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_NEWLINE, _RETURN, _COMMA, _ZERO, _NINE = (ord(character) for character in "\n\r,09")
_FOREIGN = {  # how a file begins -> what it is
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}


class Chunk(NamedTuple):
    """Some rows of a table.

    Attributes
    ----------
    images : (n, 28, 28) uint8, white on black
    labels : (n,) int64, 0 for A to 25 for Z
    rows : (n,) int64, their numbers in the table, from 0; skipped rows count, the header does not
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


class _BadRow(Exception):
    """What is wrong with a row: the reason, in a word or two, and the message."""


def csv_chunks(
    path: str | Path, on_bad: str = "error", *, report: Skips | None = None
) -> Iterator[Chunk]:
    """Read a table of letters in a stream, some 2,000 rows at a time.

    A last row that was cut within its last value cannot be told from a whole one.

    Parameters
    ----------
    path : CSV of 785 columns: the label, 0 to 25, then 28×28 pixels, 0 to 255, row by row; with or
        without a line of column names
    on_bad : ``error`` stops at the first row that is not like that; ``skip`` leaves such rows out,
        counts them and logs the counts at the end
    report : is filled with what was seen and skipped

    Yields
    ------
    Chunk, in the order of the file; none is empty

    Raises
    ------
    BadInput
        If a row is bad and is not to be skipped, or no row is good.
    OSError
        If the file cannot be read.
    """
    check_choice("on_bad", on_bad)
    path = Path(path)
    report = Skips() if report is None else report
    row, line, n_good = 0, 1, 0
    for block, is_cut in _blocks(path):
        text = block
        if line == 1 and _is_header(block.partition(b"\n")[0]):
            text, line = block.partition(b"\n")[2], 2
        n = text.count(b"\n")
        pixels, labels = np.zeros((n, SIDE * SIDE), np.uint8), np.zeros(n, np.int64)
        starts, good = np.zeros(n + 1, np.int64), np.zeros(n, np.bool_)
        _read_lines(np.frombuffer(text, np.uint8), labels, pixels, starts, good)
        report.seen += n
        for i in np.flatnonzero(~good):
            one = text[starts[i] : starts[i + 1] - 1]
            try:
                values = _read_line(one, is_cut and i == n - 1)
            except _BadRow as bad:
                reason, problem = bad.args
                message = f"{path}, line {line + i}: {problem}"
                report.bad(reason, message, on_bad, "correct the row")
            else:
                labels[i], pixels[i], good[i] = values[0], values[1:], True
        rows = row + np.flatnonzero(good)
        if len(rows) < n:
            pixels, labels = pixels[good], labels[good]
        if len(rows):
            yield Chunk(pixels.reshape(-1, SIDE, SIDE), labels, rows)
        row, line, n_good = row + n, line + n, n_good + len(rows)
    report.log(path)
    if not n_good:
        what = f"none of its {row:,} rows can be read" if row else "holds no rows"
        raise BadInput(
            f"{path}: {what}; expected {COLUMNS} numbers a row, the label and "
            f"{SIDE}×{SIDE} pixels, with commas between"
        )


def read_csv(
    path: str | Path,
    on_bad: str = "error",
    *,
    provenance: str | None = None,
    progress: bool = False,
    report: Skips | None = None,
) -> Dataset:
    """Read a whole table of letters; other arguments and the errors are those of `csv_chunks`.

    Parameters
    ----------
    provenance : of the data set; by default ``kaggle`` for a file that has Kaggle's name, else
        ``local``
    progress : whether to show a bar
    """
    path = Path(path)
    check_choice("on_bad", on_bad)
    # The number of lines, so that the images never lie in memory twice.
    most = sum(text.count(b"\n") for text, _ in _blocks(path))
    images, labels = np.empty((most, SIDE, SIDE), np.uint8), np.empty(most, np.int64)
    n = 0
    with tqdm(total=most, desc=path.name, unit=" rows", disable=not progress) as bar:
        for chunk in csv_chunks(path, on_bad, report=report):
            m = len(chunk.labels)
            images[n : n + m], labels[n : n + m] = chunk.images, chunk.labels
            n += m
            bar.update(m)
    return Dataset(images[:n], labels[:n], LETTERS, provenance or provenance_of(path), path.stem)


def provenance_of(path: Path) -> str:
    """Return what a table is taken for by its name: ``kaggle`` or ``local``."""
    return "kaggle" if path.name == KAGGLE_NAME else "local"


def _blocks(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Yield a file's lines, many at a time, each ended; whether the last was not."""
    with path.open("rb") as file:
        text = file.read(_BLOCK)
        for start, what in _FOREIGN.items():
            if text.startswith(start):
                raise BadInput(f"{path}: expected a CSV, but it is {what}")
        text = text.removeprefix(b"\xef\xbb\xbf")  # the byte order mark that Excel writes
        rest = b""
        while text:
            end = text.rfind(b"\n") + 1
            if not end and len(text) == _BLOCK:
                raise BadInput(
                    f"{path}: no line ends within {_BLOCK:,} bytes, expected a CSV of {COLUMNS} "
                    "columns; save it as text with ordinary line ends"
                )
            if end:
                yield rest + text[:end], False
                rest = b""
            rest += text[end:]
            text = file.read(_BLOCK)
        if rest:
            yield rest + b"\n", True


def _is_header(line: bytes) -> bool:
    """Whether the first line names the columns: names differ, and 785 values of 0 to 255 cannot."""
    cells = line.strip().split(b",")
    return len(cells) == COLUMNS == len(set(cells))


@compiled()
def _read_lines(
    text: np.ndarray, labels: np.ndarray, pixels: np.ndarray, starts: np.ndarray, good: np.ndarray
) -> None:
    """Read lines of plain whole numbers; `good` stays false for every line that is anything else.

    ``text`` (bytes,) holds n whole lines. The others are filled in: n ``labels``, (n, 784)
    ``pixels``, n + 1 ``starts`` (where each line starts and the last ends) and n times ``good``.
    """
    line, column, value, digits, fine = 0, 0, 0, 0, True
    for i in range(text.size):
        byte = text[i]
        if _ZERO <= byte <= _NINE:
            value = min(10 * value + byte - _ZERO, 256)
            digits += 1
        elif byte in (_COMMA, _NEWLINE):
            fine = fine and digits > 0 and value < 256
            if column == 0:
                labels[line] = value
                fine = fine and value < len(LETTERS)
            elif column < COLUMNS:
                pixels[line, column - 1] = value
            column, value, digits = column + 1, 0, 0
            if byte == _NEWLINE:
                good[line] = fine and column == COLUMNS
                line, column, fine = line + 1, 0, True
                starts[line] = i + 1
        elif byte != _RETURN or text[i + 1] != _NEWLINE:
            fine = False


def _read_line(line: bytes, is_cut: bool) -> np.ndarray:
    """Values of an unusual line, (785,) uint8; `_BadRow` says what is wrong with it.

    Spaces, quotes and whole numbers written as ``12.0`` are unusual, but fine.
    """
    text = line.decode("utf-8", errors="replace").strip()
    if not text:
        raise _BadRow("empty row", f"is empty, expected {COLUMNS} values")
    cells = [cell.strip().strip('"').strip() for cell in text.split(",")]
    if is_cut and (len(cells) < COLUMNS or not cells[-1]):
        raise _BadRow(
            "cut row",
            f"the file ends within this row, after {len(cells) - (not cells[-1])} of {COLUMNS} "
            "values: it was cut, get it again",
        )
    if len(cells) != COLUMNS:
        reason = "short row" if len(cells) < COLUMNS else "long row"
        message = f"{len(cells)} values, expected {COLUMNS} (the label and {SIDE}×{SIDE} pixels)"
        if len(cells) == COLUMNS + 1:
            message += "; is the first column an index? Save without it"
        if len(cells) == 1:
            message += f": no comma in {_shown(text)}"
        raise _BadRow(reason, message)
    return np.array([_read_cell(cell, i) for i, cell in enumerate(cells)], np.uint8)


def _read_cell(cell: str, column: int) -> int:
    if column == 0:
        where, most, expected = "label", 25, "a whole number from 0 (A) to 25 (Z)"
    else:
        where, most, expected = f"pixel in column {column + 1}", 255, "a whole number, 0 to 255"
    message = f"{where} is {_shown(cell)}, expected {expected}"
    if not _NUMBER.fullmatch(cell):
        raise _BadRow("not a number", message)
    value = float(cell)
    if not value.is_integer():
        raise _BadRow("not a whole number", message)
    if not 0 <= value <= most:
        raise _BadRow("label out of range" if column == 0 else "pixel out of range", message)
    return int(value)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
