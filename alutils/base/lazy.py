"""Public names of a room, imported when they are first asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def find(package: str, places: Mapping[str, str], name: str) -> Any:
    """Return a public name; what a room's ``__getattr__`` calls.

    Parameters
    ----------
    package : the room's ``__name__``
    places : public name -> module of the room that holds it
    name : that is asked for

    Raises
    ------
    AttributeError
        For any other name.
    """
    if name not in places:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(f"{package}.{places[name]}"), name)
