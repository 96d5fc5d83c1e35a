"""Errors that a user can mend: they name the value, what was expected and what to do."""

import difflib
from collections.abc import Iterable

from alutils.base.surfaces import Remedy, write


class ParameterError(ValueError):
    """A value that cannot be used: its name, the value, what was expected, what to do."""

    def __init__(self, name: str, value: object, expected: str, hint: str = "") -> None:
        shown = repr(value) if isinstance(value, str) and not value.strip() else str(value)
        super().__init__(f"{name}={shown}: {expected}" + (f"; {hint}." if hint else "."))
        self.name, self.value, self.expected, self.hint = name, value, expected, hint

    def __reduce__(self) -> tuple:  # exceptions with several arguments do not pickle by themselves
        return type(self), (self.name, self.value, self.expected, self.hint)


class BadInput(ValueError):
    """Data that cannot be used: where it is, its value, what was expected, what to do.

    What would help is either a text or a `Remedy`, an option that goes by another name in Python,
    in a notebook and on the command line: it is written as `alutils.base.surfaces` says.
    """

    def __init__(self, message: str, *ways: str | Remedy) -> None:
        super().__init__(message, *ways)  # by which it pickles, too
        self.message, self.ways = message, ways

    def __str__(self) -> str:
        written = [way if isinstance(way, str) else write(way) for way in self.ways]
        ways = ", or ".join(way for way in written if way)
        return self.message + (f"; {ways}" if ways else "")


class MissingPackage(ImportError):
    """A package that is asked for and not installed: the message says how to install it."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of the names was probably meant, and list them all."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {close[0]}? " if close else "") + f"known: {', '.join(names) or 'none'}"
