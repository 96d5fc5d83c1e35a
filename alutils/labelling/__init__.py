"""The labelling tool: a queue of pictures for people, with a model that learns beside them.

``store`` keeps pictures and labels in one folder, ``exchange`` brings labels in and out as files,
``model`` learns, ``finish`` certifies, ``web`` serves all of it in a browser and ``widget`` the
queue in a notebook.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Finish", "Options", "Store", "label", "serve"]

_PLACES = {
    "Finish": ("finish.project", "Finish"),
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
