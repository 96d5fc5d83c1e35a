"""Bad input: an error that names it, or counted and reported; never silence."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from alutils.base.errors import BadInput
from alutils.base.names import printable
from alutils.base.surfaces import Remedy

_log = logging.getLogger("alutils")

ON_BAD = ("error", "skip")


@dataclass
class Skips:
    """What was left out of a data set, counted by reason.

    Attributes
    ----------
    what : is counted: ``rows`` or ``files``
    seen : how many were looked at, good or bad
    reasons : reason -> how many were left out for it, in the order of the first of each
    first : reason -> the message for the first one
    notes : what was seen beside that, and is to be read by a person
    silent : whether nothing is logged
    """

    what: str = "rows"
    seen: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    silent: bool = False

    @property
    def total(self) -> int:
        return sum(self.reasons.values())

    def __str__(self) -> str:
        if not self.total:
            return f"none of {self.seen:,} {self.what} skipped"
        each = "; ".join(f"{n:,} {why} ({self.first[why]})" for why, n in self.reasons.items())
        return f"{self.total:,} of {self.seen:,} {self.what} skipped, the first of each: {each}"

    def bad(self, reason: str, message: str, on_bad: str, *ways: str | Remedy) -> None:
        """Count a bad item, or raise BadInput for it, as ``on_bad`` (``error`` or ``skip``) says.

        Parameters
        ----------
        reason : under which it is counted, in a word or two
        message : where it is, its value, what was expected
        ways : what can be done besides skipping
        """
        message = printable(message)
        if on_bad == "error":
            skip = Remedy(f"leave such {self.what} out", "on_bad", "skip")
            raise BadInput(message, *(ways or ("correct it",)), skip)
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self.first.setdefault(reason, message)

    def log(self, source: object) -> None:
        """Say what was skipped, if anything was (logger ``alutils``, by default on stderr)."""
        if self.total and not self.silent:
            _log.warning("%s: %s", source, self)

    def note(self, source: object, texts: Iterable[str]) -> None:
        """Keep what was seen beside that, and say it."""
        for text in map(printable, texts):
            self.notes.append(text)
            if not self.silent:
                _log.warning("%s: %s", source, text)


def check_choice(name: str, value: object, choices: tuple[str, ...] = ON_BAD) -> None:
    """Raise `BadInput` unless the value is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise BadInput(f"{name}={value!r}: expected one of {', '.join(map(repr, choices))}")
