"""The labelling tool: a queue of pictures for people, with a model that learns beside them.

``store`` keeps pictures and labels in one folder, ``model`` learns and certifies, ``web`` serves
both in a browser and ``widget`` in a notebook.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Options", "Store", "label", "serve"]

_PLACES = {
    "Options": ("web.serve", "Options"),
    "Store": ("store.store", "Store"),
    "label": ("widget", "label"),
    "serve": ("web.serve", "run"),
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: flask and anywidget may not be installed."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _PLACES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), there)
