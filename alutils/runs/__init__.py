"""Runs of notebooks and sweeps of experiments, and what of them is published in results/.

Inside a notebook, ``runs.start`` gives its run: checked parameters, a folder, a table.
"""

from alutils.base import lazy

__getattr__, __dir__, _public = lazy.attach(__name__, {"notebook.runs": "start"})
__all__ = _public
