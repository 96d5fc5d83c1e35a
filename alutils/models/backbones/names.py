"""A backbone's name, the size of its pictures and how they are brought to it, as one value."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from alutils.base.errors import ParameterError, nearest
from alutils.base.lite_weights import LITE
from alutils.models.backbones import vgg16

Fit = Literal["squash", "centre"]

PIXELS, COLOUR, OWN = "pixels", "pixels-colour", "own"
EXTRAS = {"keras:": "keras.applications", "timm:": "timm"}
"""How the name of a network of another package begins, and which package that is."""
SMALLEST, LARGEST = 32, 1024
"""Pixels a side that a network takes at least: five halvings leave one; and at most."""

_SIZES = {
    PIXELS: (28, 28),
    COLOUR: (32, 32),
    **{name: (lite.size, lite.size) for name, lite in LITE.items()},
}
_EXAMPLES = (PIXELS, COLOUR, "vgg16-block3", "vgg16-block3+4", *LITE)


@dataclass(frozen=True)
class Backbone:
    """What turns pictures into features, and at which size.

    Attributes
    ----------
    name : ``pixels`` (grey), ``pixels-colour``, ``vgg16-block1`` to ``vgg16-block5``, several
        blocks as ``vgg16-block3+4``, ``lite0``, ``lite2``, ``keras:NAME``, ``timm:NAME``, or
        ``own`` for a function of the user's
    size : (height, width) that pictures are brought to; if not given, the size at which the
        network was trained, 32 x 32 for VGG16, 28 x 28 for pixels
    fit : ``squash`` resizes the whole picture; ``centre`` first cuts off what is too long

    Raises
    ------
    ParameterError
        For a name, a size or a fit that does not exist.
    """

    name: str
    size: tuple[int, int] = (0, 0)
    fit: Fit = "squash"

    def __post_init__(self) -> None:
        usual = _usual_size(self.name)
        size = usual if tuple(self.size) == (0, 0) else _checked_size(self.name, self.size)
        object.__setattr__(self, "size", size)
        if self.fit not in get_args(Fit):
            raise ParameterError("fit", self.fit, nearest(str(self.fit), get_args(Fit)))

    @classmethod
    def parse(cls, text: str) -> Backbone:
        """Read a name as people write it: ``lite0``, ``lite0@128``, ``lite0@128x96,centre``."""
        match = re.fullmatch(r"(?P<name>[^@,]+)(@(?P<size>\d+(x\d+)?))?(,(?P<fit>\w+))?", text)
        if match is None:
            raise ParameterError(
                "backbone", text, "expected NAME, NAME@SIZE, NAME@HEIGHTxWIDTH or NAME,centre"
            )
        sides = [int(side) for side in (match["size"] or "0").split("x")]
        if match["size"] and 0 in sides:  # which stands for the usual size in Python
            raise ParameterError("backbone", text, "expected sides of 1 pixel or more")
        return cls(match["name"], (sides[0], sides[-1]), match["fit"] or "squash")  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return what `parse` reads; the usual size and fit are left out."""
        height, width = self.size
        sides = f"{height}" if height == width else f"{height}x{width}"
        at = "" if self.size == _usual_size(self.name) else f"@{sides}"
        return f"{self.name}{at}" + ("" if self.fit == "squash" else f",{self.fit}")

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, of plain types."""
        return asdict(self) | {"size": list(self.size)}

    @classmethod
    def from_json(cls, value: object) -> Backbone:
        """Make a backbone of what `to_json` gave; ParameterError for anything else."""
        if not isinstance(value, dict) or set(value) != {"name", "size", "fit"}:
            raise ParameterError("backbone", value, "expected an object with name, size and fit")
        size = value["size"]
        if not isinstance(value["name"], str) or not isinstance(size, list | tuple):
            raise ParameterError("backbone", value, "expected a text as name, a list as size")
        return cls(value["name"], tuple(size), value["fit"])


def _usual_size(name: str) -> tuple[int, int]:
    """Return the size of pictures where none is given; ParameterError for an unknown name."""
    if name in _SIZES:
        return _SIZES[name]
    if name.startswith("vgg16-"):
        vgg16.blocks(name.removeprefix("vgg16-"))
        return 32, 32
    if name == OWN or any(name.startswith(start) and name != start for start in EXTRAS):
        return 224, 224
    raise ParameterError("backbone", name, nearest(name, [*_EXAMPLES, "keras:NAME", "timm:NAME"]))


def _checked_size(name: str, size: Any) -> tuple[int, int]:
    least = 1 if name in (PIXELS, COLOUR, OWN) else SMALLEST
    try:
        height, width = size
        fits = all(type(side) is int and least <= side <= LARGEST for side in (height, width))
    except (TypeError, ValueError):
        fits = False
    if not fits:
        expected = f"{name} takes (height, width) from {least} to {LARGEST} pixels a side"
        raise ParameterError("size", size, expected)
    return height, width
