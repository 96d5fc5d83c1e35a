"""Whoever sits before the notebook, as an oracle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.active.oracles import ABSTAINED
from alutils.base.errors import ParameterError
from alutils.experiments.base import display_image, png_of
from alutils.experiments.start.pictures import Pictures
from alutils.plots import start as plots

JOURNAL = "answers.jsonl"
"""The file of answers, in the folder of the results."""
SHEET = 20
"""Pictures shown and asked about at a time."""
NONE = "-"
"""What a person types for "I cannot say"."""
BACK = "<"
"""What a person types to answer the sheet before once more."""


@dataclass(frozen=True)
class Person:
    """Shows pictures and reads one line of class names for each sheet of them.

    Every sheet's answers are on the disk before the next is shown. What was answered before, in
    this or an earlier session, is not asked again: answers are kept by the content of the picture's
    file, so that another size or name of it loses none.

    Attributes
    ----------
    pictures : with the names of the classes
    journal : file of answers, a line each; it grows only
    ask : reads a line from the person
    """

    pictures: Pictures
    journal: Path
    ask: Callable[[str], str] = input

    def __call__(self, items: np.ndarray) -> np.ndarray:
        """Return the (n,) int64 labels of (n,) items, `ABSTAINED` where there is none."""
        known = self._known()
        keys = {int(item): self.pictures.keys[int(item)] for item in items}
        waiting = [item for item, key in keys.items() if key not in known]
        start = 0
        while start < len(waiting):
            sheet = waiting[start : start + SHEET]
            names = self._answers(sheet, len(waiting) - start)
            start += SHEET if names else -min(start, SHEET)
            for item, name in zip(sheet, names or (), strict=bool(names)):
                known[keys[item]] = name
        return np.array([self._label(known[keys[int(item)]]) for item in items], np.int64)

    def answered(self) -> dict[int, int]:
        """Return all answers so far: label, or `ABSTAINED`, by number of the picture."""
        known = self._known()
        keys = enumerate(self.pictures.keys)
        return {item: self._label(known[key]) for item, key in keys if key in known}

    def _label(self, name: str) -> int:
        return ABSTAINED if name == NONE else self.pictures.classes.index(name)

    def _answers(self, sheet: list[int], left: int) -> list[str] | None:
        """Ask about a sheet until the answer fits, and write it down; None to go back a sheet."""
        images = self.pictures.images[sheet]
        figure = plots.sheet(images, [str(place) for place in range(1, len(sheet) + 1)], "")
        display_image(png_of(figure), f"{len(sheet)} numbered pictures to label")
        between = "commas" if self._spaced() else "spaces"
        wanted = (
            f"{len(sheet)} {'answer' if len(sheet) == 1 else 'answers'}, row by row, "
            f"{between} between "
            f"({', '.join(self.pictures.classes)}; their beginnings will do; {NONE} for none; "
            f"{BACK} alone for the sheet before): "
        )
        question = f"{left} to go. {wanted}"
        while True:
            try:
                line = self.ask(question)
                if line.strip() == BACK:
                    return None
                names = self.read(line, len(sheet))
            except ValueError as error:
                question = f"{error} Again: {wanted}"
                continue
            except RuntimeError as error:  # a kernel that nobody sits before
                raise nobody_there(",".join(self.pictures.classes)) from error
            break
        lines = [
            json.dumps(
                {"picture": self.pictures.names[i], "sha256": self.pictures.keys[i], "class": name}
            )
            for i, name in zip(sheet, names, strict=True)
        ]
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("a+b") as file:
            # A line that a kill cut off has no end: it must not swallow what comes behind it.
            file.seek(max(0, file.tell() - 1))
            begin = "" if file.read() in (b"", b"\n") else "\n"
            file.write((begin + "\n".join(lines) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        return names

    def read(self, line: str, n: int) -> list[str]:
        """Return the ``n`` class names that a line means; ValueError says what is wrong with it."""
        if self._spaced():  # the names themselves hold spaces
            words = [word.strip() for word in line.split(",")]
        else:
            words = line.replace(",", " ").split()
        if len(words) != n:
            raise ValueError(f"{len(words)} answers to {n} pictures.")
        return [self._name(word) for word in words]

    def _spaced(self) -> bool:
        return any(" " in name for name in self.pictures.classes)

    def _name(self, word: str) -> str:
        classes = self.pictures.classes
        if word == NONE or word in classes:
            return word
        meant = [name for name in classes if name.lower().startswith(word.lower())]
        if len(meant) != 1:
            kind = f"may be {' or '.join(meant)}" if meant else f"is none of {', '.join(classes)}"
            raise ValueError(f"{word!r} {kind}.")
        return meant[0]

    def _known(self) -> dict[str, str]:
        return {line["sha256"]: line["class"] for line in self._lines()}

    def _lines(self) -> Iterator[dict[str, str]]:
        """Yield the answers of the journal; one that was cut off by a kill is asked again."""
        if not self.journal.is_file():
            return
        for line in self.journal.read_text(encoding="utf-8").splitlines():
            try:
                answer = json.loads(line)
            except json.JSONDecodeError:
                continue
            if answer["class"] not in (*self.pictures.classes, NONE):
                raise ParameterError(
                    "classes", ",".join(self.pictures.classes),
                    f"{self.journal} holds the answer {answer['class']}",
                    "name all classes, or move that file away to begin anew",
                )  # fmt: skip
            yield answer


def nobody_there(classes: str) -> ParameterError:
    """Return the error of asking where a notebook runs by itself."""
    return ParameterError(
        "classes", classes, "nobody can be asked where a notebook runs by itself",
        "open it by make lab, or label in the browser by `python -m alutils label FOLDER`",
    )  # fmt: skip


def check_somebody_there(classes: str, out: str) -> None:
    """Raise ParameterError if a run by itself would have to ask: there are no answers yet.

    classes, out : parameters of the notebook; answers can only be in an absolute ``out``, since
        others are below the folder of the new run
    """
    kept = Path(out).expanduser() / JOURNAL
    if classes.strip() and not (kept.is_absolute() and kept.is_file()):
        raise nobody_there(classes)
