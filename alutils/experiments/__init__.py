"""What the notebooks tell and sweeps repeat, as functions that return tables.

An experiment that can be swept is an `Experiment`, listed in `EXPERIMENTS`.
"""

from typing import Any

__all__ = ["EXPERIMENTS", "Experiment"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from alutils.experiments import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
