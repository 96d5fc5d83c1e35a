"""Frozen networks that turn pictures into features, and which of them to take.

`extractor` gives what prepares pictures and computes their features; `first_choice` chooses by the
pictures' size and colour, `compare` by accuracy out of fold. `alutils.models.features` computes and
keeps the features of a whole set of images.
"""

from alutils.base import lazy

_HOMES = {
    "choice": "Comparison compare first_choice",
    "extractors": "Extractor extractor",
    "names": "Backbone",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
