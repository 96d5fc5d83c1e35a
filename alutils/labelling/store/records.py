"""What the labelling store gives and takes: pictures, classes, events, filters, errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SOURCES = ("upload", "single", "folder", "watched", "recovered")
"""Where pictures come from; a ``single`` one was brought to see its prediction at once, so it is
neither drawn into the audit slice nor labelled with the others under a certificate."""


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


def checked_number(
    value: object, what: str, low: int, high: int, error: type[LabellingError] = LabellingError
) -> int:
    """Return a whole number in its bounds, or raise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise error(f"{what} {value!r}: expected a whole number")
    if not low <= value <= high:
        raise error(f"{what} {value}: expected {low} to {high}")
    return int(value)


@dataclass(frozen=True)
class LabelClass:
    """A class: ``number`` from 0, ``name`` as given, ``key`` to press (or None), ``folder``."""

    number: int
    name: str
    key: str | None
    folder: str


@dataclass(frozen=True)
class Item:
    """A picture and where it stands.

    Attributes
    ----------
    id : what it is asked for by
    sha256 : of its PNG file's bytes
    name : as it was called by whoever brought it; text to show, never a path
    width, height : pixels
    source : one of `SOURCES`
    added : when, ISO 8601 in UTC
    audit : belongs to the audit slice, which measures the model and never trains it
    label, label_source : the class now, from ``human`` or ``auto``; None without a label
    predicted, confidence : what the model thinks, confidence 0 to 1; None if it has not been asked,
        and in the audit slice until a person has labelled the picture
    skipped : how often it was skipped
    person : who holds it, None if nobody does
    """

    id: int
    sha256: str
    name: str
    width: int
    height: int
    source: str
    added: str
    audit: bool
    label: str | None
    label_source: str | None
    predicted: str | None
    confidence: float | None
    skipped: int
    person: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened to a picture; events are only ever added.

    Attributes
    ----------
    id, item : numbers; a later event has a higher one
    kind : ``label``, ``skip``, ``undo``, ``auto``, ``revoke`` or ``relabel``
    label : the class that the picture has from then on, None for none
    replaced : the class it had before, None for none
    person, model : who did it, or which model
    when : ISO 8601 in UTC
    predicted, confidence : of the model at that time
    threshold : of an automatic label
    hidden : the prediction was not shown to the person
    """

    id: int
    item: int
    kind: str
    label: str | None
    replaced: str | None
    person: str | None
    model: str | None
    when: str
    predicted: str | None
    confidence: float | None
    threshold: float | None
    hidden: bool


@dataclass(frozen=True)
class Filter:
    """Which pictures are meant; what is None does not matter.

    ``predicted`` and ``label`` are names of classes; ``source`` is ``human``, ``auto``, ``none``
    (no label) or ``any`` (a label); ``low`` and ``high`` bound the confidence, both ends included.
    Where ``predicted``, ``low`` or ``high`` is given, the audit slice's pictures are left out until
    they are labelled: they would give away the hidden prediction.
    """

    predicted: str | None = None
    label: str | None = None
    source: str | None = None
    low: float | None = None
    high: float | None = None

    @property
    def by_prediction(self) -> bool:
        return (self.predicted, self.low, self.high) != (None, None, None)


@dataclass(frozen=True)
class Progress:
    """How far the labelling is.

    Attributes
    ----------
    total, human, auto, remaining : pictures; ``remaining`` have no label
    skipped : without a label and skipped at least once
    unreadable : whose picture file is missing; they are not handed out
    audit, audit_labelled : pictures of the audit slice, and those of them that people labelled
    held : handed out and not answered yet
    per_class : labels by class name
    per_person : labels that stand, by person
    per_minute : labels that people gave in the last ten minutes, a minute
    right, judged : of labels that people gave to pictures with a prediction, how many agreed with
        the prediction of that moment. Unsure pictures come first, so this is no test accuracy.
    audit_right, audit_judged : the same over the audit slice, whose prediction nobody saw: the
        accuracy of the models of those moments on pictures drawn at random
    """

    total: int
    human: int
    auto: int
    remaining: int
    skipped: int
    unreadable: int
    audit: int
    audit_labelled: int
    held: int
    per_class: dict[str, int]
    per_person: dict[str, int]
    per_minute: float
    right: int
    judged: int
    audit_right: int
    audit_judged: int


@dataclass(frozen=True)
class Page:
    """Pictures for the grid; ``after`` asks for the next page, None at the end."""

    items: list[Item]
    after: str | None


@dataclass(frozen=True)
class Model:
    """A model that scored the pictures.

    ``sha256`` names it, ``classes`` are its columns, ``n_trained`` the labels it was trained on,
    ``path`` where it lies under the labelling folder ('' if nowhere), ``certificate`` what was
    certified for it (an empty dict if nothing).
    """

    sha256: str
    classes: tuple[str, ...]
    n_trained: int
    when: str
    path: str
    certificate: dict[str, Any] = field(default_factory=dict)
