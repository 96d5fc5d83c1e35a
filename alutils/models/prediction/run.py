"""Read pictures, let a model label them, and write the table: in batches that fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from alutils.base.checks import check_fraction
from alutils.base.csv_cells import class_cell, harmless, path_cell
from alutils.base.errors import ParameterError
from alutils.data.streams import open_stream
from alutils.data.streams.entry import Entry, Stream
from alutils.models.conversion import Conversion
from alutils.models.picture_models import PictureModel
from alutils.models.prediction.conversion import settle
from alutils.models.prediction.copies import ClassCopies, check_place
from alutils.models.prediction.table import Table, check_path
from alutils.models.saved import load_model

BATCH = 512  # pictures that a model reads at a time
BATCH_BYTES = 2**26  # of their pixels, if that is fewer
DIGITS = 6  # of a confidence, behind the point
_UNSURE, _PROBLEM, _CLASS = "unsure", "problem", "class "  # what is counted
_MOST_SHOWN = 3  # problems in a summary


@dataclass(frozen=True)
class Options:
    """How pictures are labelled.

    Attributes
    ----------
    min_confidence : below it, a picture gets no class
    convert : names from `alutils.models.prediction.conversion.CONVERSIONS`
    copy_to : folder for class folders with copies of the pictures; None for none
    overwrite : begin the table anew, whatever is there
    progress : whether to show a bar

    Raises
    ------
    ParameterError
        For a confidence that is not a number from 0 to 1.
    """

    min_confidence: float = 0.0
    convert: tuple[str, ...] = ()
    copy_to: Path | None = None
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        check_fraction("min_confidence", self.min_confidence)


@dataclass(frozen=True)
class Summary:
    """What `label_pictures` did.

    Attributes
    ----------
    path : of the table
    n : pictures in it
    by_class : how many got each class
    unsure : how many got none, because the model was not sure enough
    problems : how many could not be read
    first_problems : some of them, with their names, of those that this call has met
    """

    path: Path
    n: int
    by_class: dict[str, int]
    unsure: int
    problems: int
    first_problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the counts in words."""
        labelled = self.n - self.unsure - self.problems
        text = f"{labelled:,} of {self.n:,} pictures labelled"
        if self.unsure:
            text += f"; {self.unsure:,} without a class: the model was not sure enough"
        if self.problems:
            first = "; ".join(self.first_problems)
            text += f"; {self.problems:,} cannot be read" + (f" ({first})" if first else "")
        return text


def label_pictures(
    pictures: Path | str,
    model: PictureModel | Path | str,
    out: Path | str,
    options: Options | None = None,
    say: Callable[[str], object] = print,
) -> Summary:
    """Label pictures with a saved model; a call that was stopped is gone on with by the same call.

    Each picture becomes a row, in the order of the names: its path below the folder, its class, the
    model's confidence, the model's SHA-256, and what is wrong with it if it cannot be read. Rows
    are the same, byte for byte, however often the call was stopped.

    Parameters
    ----------
    pictures : folder, picture, npz file or CSV, as `alutils.data.streams.open_stream` takes it
    model : or where one is saved, as `alutils.models.load_model` takes it
    out : the table, a ``.csv``; ``OUT.json`` beside it says what it was made from
    options : how; see there
    say : is told what a person should read first

    Raises
    ------
    BadInput
        If there is no picture or no model, if the model has not seen such pictures, or if ``out``
        is there and was made otherwise.
    ParameterError
        If ``out`` is the file of the pictures, and for a name that does not end in ``.csv``.
    """
    options, out = options or Options(), Path(out)
    check_path(out)
    if out.exists() and Path(pictures).exists() and out.samefile(pictures):
        raise ParameterError("out", out, "these are the pictures", "name another file")
    ours = [out, out.with_name(f"{out.name}.unfinished"), out.with_name(f"{out.name}.json")]
    if options.copy_to is not None:
        check_place(options.copy_to, Path(pictures))
        ours.append(options.copy_to)
    stream = open_stream(pictures, ours)
    if isinstance(model, Path | str):
        model = load_model(model)
    conversion, warnings = settle(stream, model.seen, options.convert)
    for warning in warnings:
        say(f"note: {warning}")
    made_from = {
        "model": model.sha256,
        "pictures": stream.identity,
        "min_confidence": options.min_confidence,
        "copy_to": None if options.copy_to is None else str(options.copy_to.resolve()),
        "convert": list(conversion.steps),
        "levels": conversion.levels and list(conversion.levels),
    }
    plain = stream.ascii and all(name.isascii() for name in model.classes)
    with Table(out, made_from, ascii=plain, overwrite=options.overwrite) as table:
        work = _Work(stream, model, conversion, options, table)
        if table.complete:
            say(f"{out} is complete already")
        else:
            work.run(say)
        return work.summary()


class _Label(NamedTuple):
    """What becomes of an entry: its row, what it is counted as, and its class if it has one."""

    row: tuple[str, ...]
    kind: str
    class_number: int | None = None


@dataclass
class _Work:
    """The parts of one call, put together."""

    stream: Stream
    model: PictureModel
    conversion: Conversion
    options: Options
    table: Table
    problems: list[str] = field(default_factory=list)

    def run(self, say: Callable[[str], object]) -> None:
        """Label what is not labelled yet, and finish the table."""
        table, copies = self.table, self._copies()
        if not table.begun:
            table.begin()
        elif table.n:
            say(f"going on after {table.n:,} of {len(self.stream):,} pictures")
        bar = {"desc": "pictures", "unit": "", "disable": not self.options.progress}
        with (
            closing(self.stream.read(table.n)) as entries,
            tqdm(total=len(self.stream), initial=table.n, **bar) as shown,
        ):
            for batch in _batches(entries):
                labels = self._labels(batch)
                if copies is not None:
                    for number, (entry, label) in enumerate(
                        zip(batch, labels, strict=True), table.n
                    ):
                        if label.class_number is not None and entry.pixels is not None:
                            copies.put(number, label.class_number, entry.pixels)
                table.add([label.row for label in labels], Counter(each.kind for each in labels))
                shown.update(len(batch))
        table.finish()

    def summary(self) -> Summary:
        """Count what is in the table."""
        counts = self.table.counts
        return Summary(
            path=self.table.path,
            n=self.table.n,
            by_class={name: counts[_CLASS + name] for name in self.model.classes},
            unsure=counts[_UNSURE],
            problems=counts[_PROBLEM],
            first_problems=tuple(self.problems),
        )

    def _copies(self) -> ClassCopies | None:
        folder = self.options.copy_to
        if folder is None:
            return None
        return ClassCopies(folder, self.model.classes, self.stream, self.table.begun)

    def _labels(self, batch: list[Entry]) -> list[_Label]:
        """Let the model read a batch."""
        readable = [self.conversion(each.pixels) for each in batch if each.pixels is not None]
        answers = iter(self._answers(readable))
        labels = []
        for entry in batch:
            answer = entry.problem if entry.pixels is None else next(answers)
            labels.append(self._label(entry.name, answer))
        return labels

    def _label(self, name: str, answer: np.ndarray | str) -> _Label:
        """Make probabilities, or what was wrong, into a row."""
        path, sha256 = path_cell(name), self.model.sha256
        if not isinstance(answer, str) and not np.isfinite(answer).all():
            answer = "the model gives no probabilities that are numbers"
        if isinstance(answer, str):
            problem = " ".join(answer.split())
            if len(self.problems) < _MOST_SHOWN:
                self.problems.append(f"{path} {problem}")
            return _Label((path, "", "", sha256, harmless(problem)), _PROBLEM)
        k = int(answer.argmax())
        confidence = round(float(answer[k]), DIGITS)
        shown = f"{confidence:.{DIGITS}f}"
        if confidence < self.options.min_confidence:
            return _Label((path, "", shown, sha256, ""), _UNSURE)
        name = self.model.classes[k]
        return _Label((path, class_cell(name), shown, sha256, ""), _CLASS + name, k)

    def _answers(self, pictures: list[np.ndarray]) -> list[np.ndarray | str]:
        """Return each picture's probabilities, or why the model does not take it."""
        if not pictures:
            return []
        alike = len({picture.shape for picture in pictures}) == 1
        try:
            return list(self.model.read(np.stack(pictures) if alike else pictures))
        except ValueError as error:
            if len(pictures) == 1:
                return [f"is not taken by the model ({error})"]
        # One of them is not taken: the others must not pay for it.
        return [answer for picture in pictures for answer in self._answers([picture])]


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Gather entries into batches: where one ends depends on nothing but the entries since."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += 0 if entry.pixels is None else entry.pixels.nbytes
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
