"""Errors that a user can mend: they name the value, what was expected and what to do."""

import difflib
from collections.abc import Iterable


class ParameterError(ValueError):
    """A value that cannot be used: its name, the value, what was expected, what to do."""

    def __init__(self, name: str, value: object, expected: str, hint: str = "") -> None:
        shown = repr(value) if isinstance(value, str) and not value.strip() else str(value)
        super().__init__(f"{name}={shown}: {expected}" + (f"; {hint}." if hint else "."))
        self.name, self.value, self.expected, self.hint = name, value, expected, hint

    def __reduce__(self) -> tuple:  # exceptions with several arguments do not pickle by themselves
        return type(self), (self.name, self.value, self.expected, self.hint)


class BadInput(ValueError):
    """Data that cannot be used: where it is, its value, what was expected, what to do."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of the names was probably meant, and list them all."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {close[0]}? " if close else "") + f"known: {', '.join(names) or 'none'}"
