"""Where a person gives options, and how an error that advises one has to write it there.

Code deep inside knows that, say, ``on_bad="skip"`` would help, but not who called it: Python, a
notebook whose parameters cell may or may not have such a line, or a command with flags. It gives a
`Remedy`; the surface that this process talks through writes it, and leaves out what it lacks.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """An option that would help: what it does, its keyword in Python, and the value to give."""

    does: str
    option: str
    value: object


Surface = Callable[[Remedy], str]
"""Writes a remedy as it can be had there; "" where it cannot."""

PREPARING = {"on_bad": "--on-bad", "colour": "--colour", "size": "--size"}
"""The options of ``python -m alutils data folder``, which prepares pictures once for all."""

PREDICTING = {"convert": "--convert", "overwrite": "--overwrite"}
"""The options of ``python -m alutils predict``."""

READING = {"convert": "--convert"}
"""The options of ``python -m alutils finish`` that say how pictures are read."""

LABELLING = {"project": "--project"}
"""The options of the commands that take a labelling project."""

FLAGS = PREPARING | PREDICTING | LABELLING
"""All options that an error may advise on the command line."""


def _text(value: object) -> str:
    """Write a value for the command line; a size as ``28x28``."""
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def python(remedy: Remedy) -> str:
    """Write a keyword argument."""
    return f"{remedy.does} with {remedy.option}={remedy.value!r}"


def command(flags: Iterable[str] = ()) -> Surface:
    """Return the surface of a command that has these options of `FLAGS`, and no others."""

    def write(remedy: Remedy) -> str:
        if remedy.option in flags:
            return f"{remedy.does} with {_flag(remedy)}"
        return _beforehand(remedy)

    return write


def _parameter(remedy: Remedy) -> object:
    """Return the value as notebooks take it; None where they cannot: their sizes are square."""
    value = remedy.value
    if not isinstance(value, tuple | list):
        return value
    return value[0] if len(set(value)) == 1 else None


def run(parameters: Iterable[str]) -> Surface:
    """Return the surface of ``python -m alutils run``, with a notebook's parameters."""

    def write(remedy: Remedy) -> str:
        value = _parameter(remedy)
        if remedy.option in parameters and value is not None:
            return f"{remedy.does} with -p {remedy.option}={value}"
        return _beforehand(remedy)

    return write


def notebook(parameters: Iterable[str]) -> Surface:
    """Return the surface of a notebook with these parameters."""

    def write(remedy: Remedy) -> str:
        value = _parameter(remedy)
        if remedy.option in parameters and value is not None:
            line = f"{remedy.option} = {value!r}"
            return f"{remedy.does} with {line} in the parameters cell"
        return _beforehand(remedy)

    return write


def _beforehand(remedy: Remedy) -> str:
    """Write how to prepare the pictures, for a surface without the option itself."""
    if remedy.option not in PREPARING:
        return ""
    does = f"{remedy.does} beforehand"
    return f"{does} by `python -m alutils data folder IN OUT.npz {_flag(remedy)}`"


def _flag(remedy: Remedy) -> str:
    """Write an option and its value; a switch, which is true or not given, has none."""
    flag = FLAGS[remedy.option]
    return flag if remedy.value is True else f"{flag} {_text(remedy.value)}"


_current: list[Surface] = [python]


def write(remedy: Remedy) -> str:
    """Write a remedy for the surface that this process talks through."""
    return _current[-1](remedy)


def speak(surface: Surface) -> None:
    """Talk through a surface from now on: a notebook's kernel does."""
    _current[-1] = surface


@contextmanager
def speaking(surface: Surface) -> Iterator[None]:
    """Talk through a surface inside a ``with``."""
    _current.append(surface)
    try:
        yield
    finally:
        _current.pop()
