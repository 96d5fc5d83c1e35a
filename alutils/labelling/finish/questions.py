"""The list of pictures to label next, as a CSV file beside the answers; nothing in it is lost."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

from alutils.base.csv_cells import harmless
from alutils.base.errors import ParameterError
from alutils.base.files import write_atomically
from alutils.labelling.exchange.reading import HASH, LABEL, PICTURE, decoded, delimiter
from alutils.labelling.store.records import LabellingError

NAME = "to_label.csv"
_OURS = ("sha256", "name")
"""The columns that this module fills in; in all others only people write."""


def write(path: Path, pictures: list[tuple[str, str]]) -> int:
    """Write what is asked next, below what people wrote into the file.

    Columns of their own stay, and so does each row in which a person has filled in a cell.

    Parameters
    ----------
    pictures : hash and name of each

    Returns
    -------
    how many answers stand in the file

    Raises
    ------
    ParameterError
        Where the file holds something else: nobody knows what would be lost.
    """
    head, rows, mark = _there(path)
    columns = [cell.strip().lower() for cell in head]
    more = [name for name in _OURS if name not in columns]
    head, columns = [*head, *more], [*columns, *more]
    labels = [at for at, name in enumerate(columns) if name in (*LABEL, "rejected")]
    by_people = [at for at, name in enumerate(columns) if name not in _OURS]
    written = [row + [""] * (len(head) - len(row)) for row in rows]
    at = columns.index("sha256")
    written = [  # a row without a hash, or with cells that have no head, is not from here either
        row
        for row in written
        if not row[at].strip() or any(row[i].strip() for i in by_people) or any(row[len(head) :])
    ]
    answered = [any(row[label].strip() for label in labels) for row in written]
    stands = {
        row[at].strip().lower()
        for row, is_answered in zip(written, answered, strict=True)
        if not is_answered
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=mark)
    writer.writerows([head, *written])
    for sha256, name in pictures:
        if sha256 not in stands:
            cells = {"sha256": sha256, "name": harmless(name)}
            writer.writerow([cells.get(column, "") for column in columns])
    write_atomically(path, codecs.BOM_UTF8 + text.getvalue().encode(errors="replace"))
    return sum(answered)


def _there(path: Path) -> tuple[list[str], list[list[str]], str]:
    """Read the file as it is: its head, its rows, and what separates their cells."""
    if not path.exists():
        return ["sha256", "name", "label"], [], ","
    try:
        text = decoded(path.read_bytes(), path.name)
        mark = delimiter(text)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
    except (OSError, LabellingError, csv.Error):
        rows, mark = [], ","
    head, *rows = [row for row in rows if any(cell.strip() for cell in row)] or [[]]
    columns = {cell.strip().lower() for cell in head}
    if not columns & {*LABEL} or not columns & {*PICTURE, *HASH}:
        raise ParameterError(
            NAME, path, "holds something else than answers, and is not written over",
            "move it away, and give the same command again",
        )  # fmt: skip
    return head, rows, mark
