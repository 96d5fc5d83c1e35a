"""The labelling tool: a queue of pictures for people, with a model that learns beside them.

``store`` keeps pictures and labels in one folder, ``model`` learns and certifies, ``web`` serves
both in a browser and ``widget`` in a notebook.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Options", "Store", "label", "serve"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: flask and anywidget may not be installed."""
    if name == "Store":
        from alutils.labelling.store.store import Store as found
    elif name == "label":
        from alutils.labelling.widget import label as found
    elif name == "serve":
        from alutils.labelling.web.serve import run as found
    elif name == "Options":
        from alutils.labelling.web.serve import Options as found
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
