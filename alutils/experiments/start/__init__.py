"""Notebook 00: a user's own pictures, from the first label to the labelled file."""

from alutils.base import lazy

_HOMES = {
    "attempts": "Attempt attempt",
    "pictures": "Pictures read",
    "person": "Person",
    "steps": "Diary answer finished forecast learner oracle write",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
