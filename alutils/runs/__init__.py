"""Runs of notebooks and sweeps of experiments, and what of them is published in results/.

Inside a notebook, ``runs.start`` gives its run: checked parameters, a folder, a table.
"""

from typing import Any

__all__ = ["start"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from alutils.runs.notebook import runs

        return getattr(runs, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
