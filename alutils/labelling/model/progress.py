"""What the page Progress shows of a project, as values; computed once for each state of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alutils.labelling.model import by_class
from alutils.labelling.model.curve_picture import drawn
from alutils.labelling.model.facts import Share
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store import progress as work
from alutils.labelling.store.records import Item, Progress
from alutils.labelling.store.store import Store


@dataclass(frozen=True)
class ClassRow:
    """A class: its labels, and how many of those by people the model has right out of fold."""

    name: str
    labels: int
    judged: Share


@dataclass(frozen=True)
class Mixed:
    """Two classes that the model mixes up, with pictures: (picture, its label, the model's)."""

    first: str
    second: str
    n: int
    examples: list[tuple[Item, str, str]]


@dataclass(frozen=True)
class Overview:
    """How far a project is.

    Attributes
    ----------
    progress : numbers of pictures and labels
    people : what each has done
    pace : of one person, on average
    classes : in the order of the project
    mixed : the most confused pairs
    curve : the learning curve as ``svg`` and ``text``; None for fewer than two points
    """

    progress: Progress
    people: list[work.PersonsWork]
    pace: work.Pace
    classes: list[ClassRow]
    mixed: list[Mixed]
    curve: dict[str, str] | None

    @property
    def minutes_left(self) -> float | None:
        """For one person to label by hand all that waits; None where the pace is not known."""
        rate = self.pace.per_minute
        return self.progress.remaining / rate if rate else None


class Overviews:
    """Gives the overview of a project, and computes it only where something has changed."""

    def __init__(self, store: Store, loop: LabellingLoop | None) -> None:
        self._store, self._loop = store, loop
        self._kept: tuple[Any, Overview] | None = None

    def now(self) -> Overview:
        """Return the overview of this moment."""
        training = None if self._loop is None else self._loop.training
        held_out = None if training is None else training.held_out
        points = () if training is None else tuple(training.points)
        names = tuple((c.number, c.name) for c in self._store.classes.all())
        state = (self._store.reader.position(), names, points, held_out)
        if self._kept is None or not _is_same(self._kept[0], state):
            self._kept = state, self._made(held_out, points)
        return self._kept[1]

    def _made(self, held_out: by_class.HeldOut | None, points: tuple[Any, ...]) -> Overview:
        progress = self._store.reader.progress()
        people = work.people(self._store.database.connection)
        classes = self._store.classes.all()
        judged = [Share(0, 0)] * len(classes)
        mixed: list[Mixed] = []
        if held_out is not None:
            judged = by_class.shares(held_out, [c.number for c in classes])
            mixed = self._mixed(held_out)
        rows = [
            ClassRow(c.name, progress.per_class.get(c.name, 0), share)
            for c, share in zip(classes, judged, strict=True)
        ]
        return Overview(progress, people, work.together(people), rows, mixed, drawn(points))

    def _mixed(self, held_out: by_class.HeldOut) -> list[Mixed]:
        names = {c.number: c.name for c in self._store.classes.ever()}
        found = []
        for pair in by_class.confusions(held_out):
            if not set(pair.classes) <= set(names):  # one is gone since the last training
                continue
            shown = [
                (self._store.reader.item(m.item), names[m.label], names[m.predicted])
                for m in pair.examples
            ]
            first, second = (names[number] for number in pair.classes)
            found.append(Mixed(first, second, pair.n, shown))
        return found


def _is_same(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    # What was held out is arrays: another training gives another object.
    return before[:-1] == now[:-1] and before[-1] is now[-1]
