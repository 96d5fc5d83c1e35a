"""What a table of letters is like as a whole: its first lines, and what no row tells by itself.

A label in the wrong column, labels that count from 1 and pixels of 0 and 1 are all sound numbers,
row by row; read as they stand they make every letter another one, or black.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alutils.base.errors import BadInput
from alutils.data.dataset import LETTERS
from alutils.data.skips import Skips
from alutils.data.soundness import dark, from_one

SIDE = 28  # pixels: height and width of a letter
COLUMNS = 1 + SIDE * SIDE
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")

ONE_TOO_HIGH = "label 26"  # the reason for which a row of a table that counts from 1 is bad
OUT_OF_RANGE = "label out of range"
_TAKE_ONE = "take 1 from each label"
# What people call the column of labels; compared without its capitals and signs.
_LABEL_NAMES = frozenset(
    (
        *("label", "labels", "labelid", "class", "classes", "classid", "classname", "classlabel"),
        *("letter", "letters", "character", "char", "symbol", "digit", "target", "targets"),
        *("category", "y", "output", "truth", "groundtruth"),
    )
)
_ROW_NAMES = frozenset(
    ("id", "index", "row", "rowid", "imageid", "number", "unnamed0", "file", "filename", "path")
)
_OTHER_COMMAS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


class Form(NamedTuple):
    """How a table begins.

    Attributes
    ----------
    n_lines : lines before the first row
    label : the column of the labels, from 0
    is_named : whether the names of the columns say which one that is
    """

    n_lines: int = 0
    label: int = 0
    is_named: bool = False


def form_of(path: Path, block: bytes) -> Form:
    """Read how a table begins from its first lines.

    Raises
    ------
    BadInput
        If its values are not separated by commas, or several columns are called the label.
    """
    lines = [line.decode("utf-8", errors="replace").strip() for line in block.split(b"\n", 2)[:2]]
    n_lines = 0
    if (told := re.fullmatch(r'"?sep=(.*?)"?', lines[0])) is not None:  # Excel's
        _check_commas(path, told[1] if told[1] in _OTHER_COMMAS else ",")
        n_lines = 1
    line = lines[n_lines] if len(lines) > n_lines else ""
    if "," not in line:
        for sign in _OTHER_COMMAS:
            if len(line.split(sign)) >= COLUMNS:
                _check_commas(path, sign)
    cells = _cells(line)
    n_words = sum(not NUMBER.fullmatch(cell) for cell in cells)
    # Names that are numbers differ, and 785 values of 0 to 255 cannot.
    numbers = len(cells) == COLUMNS == len(set(cells))
    if not numbers and (len(cells) < COLUMNS or 2 * n_words < len(cells)):
        return Form(n_lines)
    found = _label_columns(cells)
    if len(found) > 1:
        names = f"{len(found)} columns are called like labels ({found[0] + 1} and {found[1] + 1}"
        raise BadInput(
            f"{path}, line {n_lines + 1}: {names} are the first), expected one",
            "give the columns of pixels other names",
        )
    label = found[0] if found else 0
    if found and _plain(cells[label]) in _ROW_NAMES:
        raise BadInput(
            f"{path}, line {n_lines + 1}: the column beside the pixels is called {cells[label]!r}: "
            "it seems to number the rows, expected their labels",
            "put the labels there, and call the column 'label'",
        )
    if not numbers or n_words:
        _check_order(f"{path}, line {n_lines + 1}", cells[:label] + cells[label + 1 :])
    return Form(n_lines + 1, label, bool(found))


def _check_order(where: str, names: Sequence[str]) -> None:
    """Raise BadInput if names that count the pixels do not count them row by row.

    Programs sort columns as texts (pixel0, pixel1, pixel10), and tables come column by column
    (1x1, 2x1): every letter would be another picture.
    """
    counted = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    kinds = {len(each) for each in counted}
    if len(kinds) > 1 or kinds == {0} or len(set(counted)) < len(counted):
        return
    for before, name, (one, two) in zip(names, names[1:], pairwise(counted), strict=False):
        if two < one:
            raise BadInput(
                f"{where}: the column {name!r} follows {before!r}, expected the pixels row by row",
                "put the columns into the order of their numbers",
            )


def _check_commas(path: Path, sign: str) -> None:
    if sign != ",":
        name = _OTHER_COMMAS[sign]
        raise BadInput(f"{path}: its values are separated by {name}, expected commas",
                       "save it again with commas between the values")  # fmt: skip


def _cells(line: str) -> list[str]:
    cells = [cell.strip().strip('"').strip() for cell in line.split(",")]
    return cells[:-1] if len(cells) == COLUMNS + 1 and not cells[-1] else cells


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _label_columns(names: Sequence[str]) -> list[int]:
    """Return the columns whose names say that they hold labels."""
    found = [i for i, name in enumerate(names) if _plain(name) in _LABEL_NAMES]
    if found:
        return found
    # Pixels are counted (pixel0, 1x1): the one column whose name is built otherwise is the label.
    kinds = [re.sub(r"\d+", "#", name) for name in names]
    odd = [i for i, kind in enumerate(kinds) if kinds.count(kind) == 1][:2]
    return odd if len(odd) == 1 and not NUMBER.fullmatch(names[odd[0]]) else []


@dataclass
class Tally:
    """What the good rows of a table have in common.

    Attributes
    ----------
    form : how the table begins
    labels : (26,) int64, good rows of each label
    brightest : of all pixels
    last : lowest and highest value of the last column
    """

    form: Form
    labels: np.ndarray = field(default_factory=lambda: np.zeros(len(LETTERS), np.int64))
    brightest: int = 0
    last: tuple[int, int] = (255, 0)

    def add(self, labels: np.ndarray, pixels: np.ndarray) -> None:
        """Count rows: (n,) labels and (n, 784) pixels."""
        if len(labels):
            self.labels += np.bincount(labels, minlength=len(LETTERS))
            self.brightest = max(self.brightest, int(pixels.max()))
            last = labels if self.form.label == COLUMNS - 1 else pixels[:, -1]
            self.last = min(self.last[0], int(last.min())), max(self.last[1], int(last.max()))

    def check_from_one(self, message: str) -> None:
        """Raise BadInput for a label of 26, if no row so far has the label 0."""
        if not self.labels[0]:
            raise BadInput(message, f"if the labels count from 1, {_TAKE_ONE}")

    def check(self, path: Path, report: Skips) -> list[str]:
        """Look at the table as a whole; return what a person should know of it.

        ``report`` has counted the bad rows.

        Raises
        ------
        BadInput
            If most rows have labels that there are not, the labels count from 1 up to 26, the
            labels are probably those of the last column, or all pixels are 0 and 1.
        """
        n_26, n_out = (report.reasons.get(why, 0) for why in (ONE_TOO_HIGH, OUT_OF_RANGE))
        n_good = int(self.labels.sum())
        if n_26 and not self.labels[0]:
            raise BadInput(
                f"{path}: no label is 0 (A) and {n_26:,} are 26, expected 0 (A) to 25 (Z): they "
                "seem to count from 1",
                _TAKE_ONE,
            )
        if n_out > n_good:
            raise BadInput(
                f"{path}: {n_out:,} rows have labels outside 0 (A) to 25 (Z), {n_good:,} inside; "
                f"column {self.form.label + 1} was read as the labels",
                "put the labels into the first column, or name their column 'label'",
            )
        if not n_good:
            return []
        one_class = n_good > 1 and np.count_nonzero(self.labels) == 1
        if one_class and not self.form.is_named and 0 < self.last[1] <= len(LETTERS):
            raise BadInput(
                f"{path}: all {n_good:,} rows have one label, {LETTERS[int(self.labels.argmax())]},"
                f" and their last column holds {self.last[0]} to {self.last[1]}: is the label the "
                "last column? Expected the first one",
                "name the columns in a first line, that of the labels 'label'",
            )
        notes = [*dark(self.brightest, path), *from_one(self.labels, LETTERS)]
        if np.flatnonzero(self.labels).tolist() == list(range(10)):
            notes.append("the labels are 0 to 9, as those of digits; here they are called A to J")
        return notes
