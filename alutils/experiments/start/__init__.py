"""Notebook 00: a user's own pictures, from the first label to the labelled file."""

from alutils.base import lazy

_HOMES = {
    "pictures": "Pictures read",
    "person": "Person",
    "steps": "Audited Diary answer learner oracle promises write",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
