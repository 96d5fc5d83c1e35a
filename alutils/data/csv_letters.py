"""Letters in the format of the Kaggle A-Z table: a row a letter, the label first, then 784 pixels.

A table is read in a stream: memory does not grow with it. Lines that are exactly as they should be
are read by a small compiled loop; any other line is read again, slowly, by code that knows what may
be wrong with it and says so.

The file on Kaggle has no header. Reading it with pandas' defaults takes its first letter for one,
so people who save it again get column names "0,0.1,0.2,..." and one letter less; both are read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from alutils.base.compiled import compiled
from alutils.base.errors import BadInput
from alutils.base.files import check_file
from alutils.data.csv_forms import (
    COLUMNS,
    NUMBER,
    ONE_TOO_HIGH,
    OUT_OF_RANGE,
    SIDE,
    Form,
    Tally,
    form_of,
)
from alutils.data.dataset import LETTERS, Dataset
from alutils.data.skips import Skips, check_choice
from alutils.data.soundness import copies, dark

KAGGLE_NAME = "A_Z Handwritten Data.csv"

_BLOCK = 2**22  # bytes read at a time; some 2,000 rows
_NEWLINE, _COMMA, _ZERO, _NINE = (ord(character) for character in "\n,09")
_FOREIGN = {  # how a file begins -> what it is
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save it as CSV",
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
    path: str | Path,
    on_bad: str = "error",
    *,
    report: Skips | None = None,
    labels_count: bool = True,
) -> Iterator[Chunk]:
    """Read a table of letters in a stream, some 2,000 rows at a time.

    A last row that was cut within its last value cannot be told from a whole one. What only the
    whole table shows, labels that count from 1 say, is found when its last chunk has been given.

    Parameters
    ----------
    path : CSV of 785 columns: the label, 0 to 25, then 28×28 pixels, 0 to 255, row by row; with or
        without a line of column names, which may say that the label is elsewhere
    on_bad : ``error`` stops at the first row that is not like that; ``skip`` leaves such rows out,
        counts them and logs the counts at the end
    report : is filled with what was seen and skipped
    labels_count : whether the labels will be believed; else they may all be one, say

    Yields
    ------
    Chunk, in the order of the file; none is empty

    Raises
    ------
    BadInput
        If a row is bad and is not to be skipped, no row is good, or the table as a whole cannot be
        meant as it stands.
    OSError
        If the file cannot be read.
    """
    check_choice("on_bad", on_bad)
    path = Path(path)
    report = Skips() if report is None else report
    row, line, tally = 0, 1, Tally(Form())
    for block, is_cut in _blocks(path):
        text = block
        if line == 1:
            tally = Tally(form_of(path, block))
            text, line = block.split(b"\n", tally.form.n_lines)[-1], 1 + tally.form.n_lines
        n, label = text.count(b"\n"), tally.form.label
        pixels, labels = np.zeros((n, SIDE * SIDE), np.uint8), np.zeros(n, np.int64)
        starts, good = np.zeros(n + 1, np.int64), np.zeros(n, np.bool_)
        _read_lines(np.frombuffer(text, np.uint8), label, labels, pixels, starts, good)
        tally.add(labels[good], pixels[good])
        report.seen += n
        for i in np.flatnonzero(~good):
            one = text[starts[i] : starts[i + 1] - 1]
            try:
                labels[i], pixels[i] = _read_line(one, label, is_cut and i == n - 1)
            except _BadRow as bad:
                reason, problem = bad.args
                message = f"{path}, line {line + i}: {problem}"
                if reason == ONE_TOO_HIGH and on_bad == "error":
                    tally.check_from_one(message)
                report.bad(reason, message, on_bad, "correct the row")
            else:
                good[i] = True
                tally.add(labels[i : i + 1], pixels[i : i + 1])
        rows = row + np.flatnonzero(good)
        if len(rows) < n:
            pixels, labels = pixels[good], labels[good]
        if len(rows):
            yield Chunk(pixels.reshape(-1, SIDE, SIDE), labels, rows)
        row, line = row + n, line + n
    report.log(path)
    report.note(path, tally.check(path, report) if labels_count else dark(tally.brightest, path))
    if not tally.labels.any():
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
    report, rows, n = Skips() if report is None else report, [np.empty(0, np.int64)], 0
    with tqdm(total=most, desc=path.name, unit=" rows", disable=not progress) as bar:
        for chunk in csv_chunks(path, on_bad, report=report):
            m = len(chunk.labels)
            images[n : n + m], labels[n : n + m] = chunk.images, chunk.labels
            rows.append(chunk.rows)
            n += m
            bar.update(m)
    images, labels, numbers = images[:n], labels[:n], np.concatenate(rows)
    report.note(path, copies(images, labels, lambda place: f"{path.name}#{numbers[place]}"))
    return Dataset(images, labels, LETTERS, provenance or provenance_of(path), path.stem)


def provenance_of(path: Path) -> str:
    """Return what a table is taken for by its name: ``kaggle`` or ``local``."""
    return "kaggle" if path.name == KAGGLE_NAME else "local"


def _blocks(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Yield a file's lines, many at a time, each ended by a newline; whether the last was not.

    Empty lines at the end are passed over.
    """
    check_file(path)
    with path.open("rb") as file:
        text = _next_block(file)
        for start, what in _FOREIGN.items():
            if text.startswith(start):
                raise BadInput(f"{path}: expected a CSV, but it is {what}")
        text = text.removeprefix(b"\xef\xbb\xbf")  # the byte order mark that Excel writes
        rest = b""
        while text:
            text = rest + text
            # The last line that has ended and holds something: the end of the file may follow it.
            end = text.find(b"\n", len(text.rstrip(b" \t,\n"))) + 1 or text.rfind(b"\n") + 1
            if len(text) - end >= _BLOCK and text[end:].strip(b" \t,\n"):
                raise BadInput(
                    f"{path}: no line ends within {_BLOCK:,} bytes, expected a CSV of {COLUMNS} "
                    "columns; save it as text with ordinary line ends"
                )
            if text[:end].strip():
                yield text[:end], False
                text = text[end:]
            rest, text = text, _next_block(file)
        if rest.strip(b" \t,\n"):
            yield rest.rstrip(b"\n") + b"\n", True


def _next_block(file: BinaryIO) -> bytes:
    """Read on; line ends of old Macs and of Windows become newlines."""
    text = file.read(_BLOCK)
    if text.endswith(b"\r"):
        text += file.read(1)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


@compiled()
def _read_lines(
    text: np.ndarray,
    label: int,
    labels: np.ndarray,
    pixels: np.ndarray,
    starts: np.ndarray,
    good: np.ndarray,
) -> None:
    """Read lines of plain whole numbers; `good` stays false for every line that is anything else.

    ``text`` (bytes,) holds n whole lines, ``label`` is the column of the labels. The others are
    filled in: n ``labels``, (n, 784) ``pixels``, n + 1 ``starts`` (where each line starts and the
    last ends) and n times ``good``.
    """
    line, column, value, digits, fine = 0, 0, 0, 0, True
    for i in range(text.size):
        byte = text[i]
        if _ZERO <= byte <= _NINE:
            value = min(10 * value + byte - _ZERO, 256)
            digits += 1
        elif byte in (_COMMA, _NEWLINE):
            fine = fine and digits > 0 and value < 256
            if column == label:
                labels[line] = value
                fine = fine and value < len(LETTERS)
            elif column < COLUMNS:
                pixels[line, column - (column > label)] = value
            column, value, digits = column + 1, 0, 0
            if byte == _NEWLINE:
                good[line] = fine and column == COLUMNS
                line, column, fine = line + 1, 0, True
                starts[line] = i + 1
        else:
            fine = False


def _read_line(line: bytes, label: int, is_cut: bool) -> tuple[int, np.ndarray]:
    """Label and (784,) pixels of an unusual line; `_BadRow` says what is wrong with it.

    Spaces, quotes, a comma at the end and whole numbers written as ``12.0`` or ``1.2e+01`` are
    unusual, but fine.
    """
    text = line.decode("utf-8", errors="replace").strip()
    if not text:
        raise _BadRow("empty row", f"is empty, expected {COLUMNS} values")
    cells = [cell.strip().strip('"').strip() for cell in text.split(",")]
    while len(cells) > COLUMNS and not cells[-1]:  # of empty columns, or a comma at the end
        cells.pop()
    is_row = NUMBER.fullmatch(cells[0]) or len(cells) > 1
    if is_cut and is_row and (len(cells) < COLUMNS or not cells[-1]):
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
        if len(cells) == COLUMNS - 1:
            message += "; is there a label?"
        if len(cells) == 1:
            message += f": no comma in {_shown(text)}"
        raise _BadRow(reason, message)
    values = [_read_cell(cell, i, label) for i, cell in enumerate(cells)]
    return values.pop(label), np.array(values, np.uint8)


def _read_cell(cell: str, column: int, label: int) -> int:
    most = 25 if column == label else 255
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    # float also reads what no table means as a number: "nan", "1_0", digits of other scripts
    if value.is_integer() and 0 <= value <= most and NUMBER.fullmatch(cell) and cell.isascii():
        return int(value)
    is_label = column == label
    where = "label" if is_label else f"pixel in column {column + 1}"
    expected = "a whole number from 0 (A) to 25 (Z)" if is_label else "a whole number, 0 to 255"
    message = f"{where} is {_shown(cell)}, expected {expected}"
    if not NUMBER.fullmatch(cell) or not cell.isascii():
        raise _BadRow("not a number", message)
    if not value.is_integer():
        scaled = "; if all are 0 to 1, multiply them by 255 and round" * (0 < value < 1)
        raise _BadRow("not a whole number", message + scaled * (not is_label))
    if not is_label:
        raise _BadRow("pixel out of range", message)
    raise _BadRow(ONE_TOO_HIGH if value == len(LETTERS) else OUT_OF_RANGE, message)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
