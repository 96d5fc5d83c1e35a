"""Whether pictures lie as others do, or are turned or mirrored, told by their averages.

Files of letters are easily written column by column where a reader takes them row by row. A model
reads such letters with confidence, and wrongly. The average of many pictures of the same classes
is nearly the same picture; where it fits much better once it is turned, the pictures are turned.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np

SIDE = 8  # pixels: height and width of an average
ENOUGH = 50  # pictures
# Of sets of 60 letters or digits, of all classes or of a few, fewer than 1 in 100 that lie as the
# model's pass for turned by these two, and up to 1 in 10 turned ones pass for straight.
_FITS = 0.95  # correlation of averages of the same kind of pictures
_BETTER = 2.5  # how much farther from 1 the correlation of pictures as they lie has to be

_WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "their rows and columns are swapped": lambda a: a.T,
    "they are turned a quarter to the left": np.rot90,
    "they are turned a quarter to the right": lambda a: np.rot90(a, 3),
    "they are upside down": lambda a: np.rot90(a, 2),
    "they are mirrored, left to right": lambda a: a[:, ::-1],
    "they are mirrored, top to bottom": lambda a: a[::-1],
    "they are turned a quarter and mirrored": lambda a: np.rot90(a, 2).T,
}


def small(grey: np.ndarray) -> np.ndarray:
    """Return a picture of `SIDE` × `SIDE` pixels, its own darkest level 0 and its lightest 1.

    ``grey`` is (height, width) of any numbers.
    """
    low, high = float(grey.min()), float(grey.max())
    plain = (grey.astype(np.float32) - low) / max(high - low, 1e-9)
    down, across = (_shares(n) for n in plain.shape)
    return down @ plain @ across.T


@functools.lru_cache(maxsize=16)
def _shares(n: int) -> np.ndarray:
    """(SIDE, n) float32: how much of each of n pixels is in each of SIDE equal parts.

    Pillow gives a pixel that lies in two parts to one of them: turned, it would be another picture.
    """
    edges, pixels = np.linspace(0, n, SIDE + 1)[:, None], np.arange(n)
    inside = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (inside.clip(0) * SIDE / n).astype(np.float32)


def how_turned(ours: Iterable[float], theirs: Iterable[float]) -> str:
    """Say how pictures are turned; '' if they are not, or it cannot be told.

    Parameters
    ----------
    ours, theirs : averages of `small` pictures, row by row; theirs are those that may be turned
    """
    a, b = (np.array(list(each)).reshape(SIDE, SIDE) for each in (ours, theirs))
    if not a.std() or not b.std():
        return ""
    fits = {name: _correlation(turn(a), b) for name, turn in _WAYS.items()}
    best = max(fits, key=lambda name: fits[name])
    straight = _correlation(a, b)
    turned = fits[best] >= _FITS and 1 - straight >= _BETTER * (1 - fits[best])
    return best if turned and straight < fits[best] else ""


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
