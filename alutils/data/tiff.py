"""What a TIFF's tags say that Pillow does not heed: which level is white, how many bits, how whole.

TIFF 6.0 (Adobe, 1992) lets 0 be white, numbers be signed, and rows lie in strips or tiles. Pillow
heeds the first only up to 8 bits, takes 12 bits for 16, and makes strips that are not listed black.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from alutils.data.bad_picture import BadPicture, damaged

_WIDTH, _HEIGHT, _BITS, _PACKED, _WHITE = 256, 257, 258, 259, 262
_STRIPS, _TURNED, _CHANNELS, _ROWS, _PLANAR = 273, 274, 277, 278, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _NUMBERS = 322, 323, 324, 339
_OLD_JPEG = 6  # its pixels may lie in one stream, whatever the strips are
_SIGNED = 2
UNREAD = "a TIFF of a kind that is not read, such as numbers with fractions"


class Facts(NamedTuple):
    """What the tags say: bits of a number, whether 0 is white, whether the picture is turned."""

    bits: int
    white_is_0: bool
    turned: bool


def look(image: Image.Image) -> Facts:
    """Read the tags of an opened TIFF; `BadPicture` if parts of it are not there."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = max(_all(tags, _BITS) or (1,))
    if _SIGNED in _all(tags, _NUMBERS) and bits == 8:
        problem = "has numbers below 0, and it is not known which value is white"
        raise BadPicture("signed numbers", problem, "save it with levels from 0 to 255")
    try:
        parts, expected = len(_all(tags, _STRIPS) or _all(tags, _TILES)), _parts(tags)
    except (ArithmeticError, TypeError, ValueError, KeyError) as error:
        raise damaged(f"its tags do not fit together: {error!r}") from error
    if parts < expected and tags.get(_PACKED) != _OLD_JPEG:
        raise damaged(f"it lists {parts} of {expected} strips or tiles")
    return Facts(bits, tags.get(_WHITE) == 0, tags.get(_TURNED, 1) in range(2, 9))


def as_meant(image: Image.Image, facts: Facts, notes: list[str]) -> Image.Image:
    """Return the loaded picture with the levels that its tags say; what is changed is noted."""
    if facts.turned:  # Pillow does so when it loads a TIFF
        notes.append("turned as its EXIF data say")
    if not image.mode.startswith("I;16"):
        if facts.bits == 16 and image.mode != "I":
            notes.append("16 bit scaled to 8")
        return image
    values = np.asarray(image).astype(np.uint32)
    if facts.bits == 12:
        values = values * 65535 // 4095
        notes.append("12 bit scaled to 16")
    if facts.white_is_0:
        values = 65535 - values
    return Image.fromarray(values.astype(np.uint16))


def _parts(tags: Any) -> int:
    """How many strips or tiles there have to be."""
    planes = tags.get(_CHANNELS, 1) if tags.get(_PLANAR) == 2 else 1
    if _TILES in tags:
        across = math.ceil(tags[_WIDTH] / tags[_TILE_WIDTH])
        return planes * across * math.ceil(tags[_HEIGHT] / tags[_TILE_HEIGHT])
    return planes * math.ceil(tags[_HEIGHT] / min(tags.get(_ROWS) or 2**32, 2**32))


def _all(tags: Any, tag: int) -> tuple[int, ...]:
    value = tags.get(tag, ())
    return tuple(value) if isinstance(value, tuple | list) else (value,)
