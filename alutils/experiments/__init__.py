"""What the notebooks tell and sweeps repeat, as functions that return tables.

An experiment that can be swept is an `Experiment`, listed in `EXPERIMENTS`.
"""

from alutils.base import lazy

_HOMES = {"registry": "EXPERIMENTS Experiment"}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
