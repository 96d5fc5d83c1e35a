"""Public names of a package, imported when they are first asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Attach = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def attach(package: str, homes: Mapping[str, str]) -> Attach:
    """Return what a package's ``__getattr__``, ``__dir__`` and ``__all__`` have to be.

    Parameters
    ----------
    package : its ``__name__``
    homes : module inside it -> the public names that this module holds, with spaces between
    """
    places = {name: home for home, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return find, lambda: sorted({*vars(sys.modules[package]), *places}), sorted(places)
