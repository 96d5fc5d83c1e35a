"""What the labelling store gives and takes: pictures, classes, events, filters, errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SOURCES = ("upload", "single", "folder", "watched", "recovered")
"""Where pictures come from; a ``single`` one was brought to see its prediction at once, and is no
part of the random sample."""
SENT = ("upload", "single")
"""Where those come from that a person sent, and that lie in no folder here."""


class LabellingError(ValueError):
    """A request that cannot be done; nothing was written. The text is made to be shown."""

    status = 400  # as in HTTP


class UnknownError(LabellingError):
    """It names a picture, class, person or model that does not exist."""

    status = 404


class ConflictError(LabellingError):
    """It comes too late, or from the wrong person: the picture is another's, or has its label."""

    status = 409


class UnavailableError(LabellingError):
    """The disk is full or another program holds the database; it may work later.

    The pages keep what was not written, and send it again.
    """

    status = 503


class DamagedError(UnavailableError):
    """The database cannot be used as it is; a backup can take its place."""


def checked_number(
    value: Any, what: str, low: int, high: int, error: type[LabellingError] = LabellingError
) -> int:
    """Return a whole number in its bounds, or raise."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or not low <= value <= high:
        raise error(f"{what} {value!r}: expected a whole number from {low} to {high}")
    return int(value)


@dataclass(frozen=True)
class LabelClass:
    """A class."""

    number: int  # from 0
    name: str  # as given
    key: str | None  # to press
    folder: str
    also: str | None = None  # another one, where the key is not on every keyboard


@dataclass(frozen=True)
class Item:
    """A picture and where it stands."""

    id: int  # what it is asked for by
    sha256: str  # of its PNG file's bytes
    name: str  # as it was called by whoever brought it; text to show, never a path
    width: int  # pixels
    height: int
    source: str  # one of `SOURCES`
    added: str  # when, ISO 8601 in UTC
    hidden: bool  # its prediction is not to be seen: it waits in an open attempt to finish
    label: str | None  # the class now
    label_source: str | None  # `human` or `auto`
    rejected: bool  # by a person: none of the classes, or a bad picture
    # What the model thinks, confidence 0 to 1; None if it has not been asked, and while hidden.
    predicted: str | None
    confidence: float | None
    skipped: int  # how often
    person: str | None  # who holds it


@dataclass(frozen=True)
class Event:
    """Something that happened to a picture; events are only ever added."""

    id: int  # a later event has a higher one
    item: int
    # `label`, `skip`, `undo`, `auto`, `revoke`, `relabel`, `reject`, `second` or `import`
    kind: str
    label: str | None  # the class that the picture has from then on
    replaced: str | None  # the class it had before
    person: str | None  # who did it, or which model
    model: str | None
    when: str  # ISO 8601 in UTC
    predicted: str | None  # by the model at that time
    confidence: float | None
    threshold: float | None  # of an automatic label
    hidden: bool  # the prediction was not shown to the person
    plan: int | None  # the attempt to finish within which it was given
    why: str | None  # the reason of a rejection


@dataclass(frozen=True)
class Filter:
    """Which pictures are meant; what is None does not matter.

    ``predicted`` and ``label`` are names of classes; ``source`` is ``human``, ``auto``, ``none``
    (waits for a label), ``any`` (a label) or ``rejected``; ``low`` and ``high`` bound the
    confidence, both ends included; ``name`` is part of the file's name, in small or capital
    letters. Where ``predicted``, ``low`` or ``high`` is given, pictures whose prediction is hidden
    are left out: they would give it away.
    """

    predicted: str | None = None
    label: str | None = None
    source: str | None = None
    low: float | None = None
    high: float | None = None
    name: str | None = None

    @property
    def by_prediction(self) -> bool:
        return (self.predicted, self.low, self.high) != (None, None, None)


@dataclass(frozen=True)
class Progress:
    """How far the labelling is: numbers of pictures, if nothing else is said."""

    total: int
    human: int
    auto: int
    remaining: int  # wait for a label
    rejected: int
    skipped: int  # without a label and skipped at least once
    unreadable: int  # whose file is missing; they are not handed out
    held: int  # handed out and not answered yet
    per_class: dict[str, int]  # labels by class name
    per_person: dict[str, int]  # labels that stand, by person
    per_minute: float  # labels that people gave in the last ten minutes, a minute
    # Of labels that people gave to pictures with a prediction, how many agreed with the prediction
    # of that moment. Unsure pictures come first, so this is no test accuracy.
    right: int
    judged: int


@dataclass(frozen=True)
class Page:
    """Pictures for the grid; ``after`` asks for the next page, None at the end."""

    items: list[Item]
    after: str | None


@dataclass(frozen=True)
class Model:
    """A model that scored the pictures."""

    sha256: str
    classes: tuple[str, ...]  # its columns
    n_trained: int  # labels it was trained on
    when: str
    path: str  # where it lies under the labelling folder, '' if nowhere
