"""Letters A-Z rendered from handwriting fonts: the letters that every machine has.

A font's letter is thinned to the path that a pen would take (`alutils.data.glyphs`). Each image is
then *written* along such a path: bent, slanted and stretched at random, strokes stopping short or
running over, with a pen of random width and pressure; and brought into the format of the Kaggle
letters: white on black, the ink in a 20×20 box centred in 28×28. The letters are never called real:
their provenance is ``rendered``.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from alutils.base.artefacts import cache_folder
from alutils.base.checks import check_count
from alutils.base.files import atomic_file
from alutils.base.npz import read_arrays
from alutils.data.dataset import Dataset
from alutils.data.glyphs import FONTS, LETTERS, Glyph, capitals, font_versions, small_letters

_log = logging.getLogger("alutils")

VERSION = 1  # to be raised whenever the same seed gives other letters than before

# Share of each class among the 372,450 letters of the Kaggle set, to three decimals.
AZ_PROPORTIONS = {
    "A": 0.037, "B": 0.023, "C": 0.063, "D": 0.027, "E": 0.031, "F": 0.003, "G": 0.015,
    "H": 0.019, "I": 0.003, "J": 0.023, "K": 0.015, "L": 0.031, "M": 0.033, "N": 0.051,
    "O": 0.155, "P": 0.052, "Q": 0.016, "R": 0.031, "S": 0.130, "T": 0.060, "U": 0.078,
    "V": 0.011, "W": 0.029, "X": 0.017, "Y": 0.029, "Z": 0.016,
}  # fmt: skip

# Share of a class written as its lower-case letter, where that has another shape: the real letters
# come from forms whose sorting put such pairs into one class.
LOWER_CASE = {"E": 0.08, "L": 0.05, "M": 0.6, "N": 0.15, "R": 0.08, "U": 0.3, "Y": 0.4}

_SIDE, _BOX = 28, 20  # pixels: the image, and the box that the ink fills
_FINE = 4  # the pen moves on a grid this many times finer
_LEAST_SIDE = 5.0  # pixels: the shorter side of the ink's box, at least


@dataclass(frozen=True)
class Hand:
    """How much letters differ; lengths in pixels of the final image, spreads as deviations.

    The defaults make them about as hard as the real ones for the report's pipeline, with the real
    ones' distribution of ink, stroke width and slant.

    Parameters
    ----------
    slant, slant_spread : mean and spread of the shear to the right
    turn_spread : of the rotation, in radians
    bend : size of the smooth displacements, in halves of the letter's size
    overrun : how far strokes run over their ends or stop short, in the same unit
    squareness : 0 keeps the letter's own ratio of width to height, 1 makes every letter square
    ratio_spread : of the logarithm of that ratio
    width, width_spread : median width of the pen, and spread of its logarithm
    pressure_spread : of the logarithm of the width within one letter
    blur : least and greatest deviation of the Gaussian blur
    contrast : ink is brightened by this factor, then cut off at 255
    """

    slant: float = 0.1
    slant_spread: float = 0.17
    turn_spread: float = 0.08
    bend: float = 0.1
    overrun: float = 0.1
    squareness: float = 0.55
    ratio_spread: float = 0.24
    width: float = 2.1
    width_spread: float = 0.32
    pressure_spread: float = 0.15
    blur: tuple[float, float] = (0.15, 0.35)
    contrast: float = 1.2


HAND = Hand()


def class_counts(n: int, balanced: bool = False, at_least: int = 1) -> np.ndarray:
    """How many of n letters belong to each class, A to Z.

    Parameters
    ----------
    n : letters in all
    balanced : equally many of each class (one more of the first ones where 26 does not divide n),
        or in the proportions of the Kaggle set
    at_least : no class has fewer, at the cost of the others

    Returns
    -------
    (26,) int64, summing to n

    Raises
    ------
    TypeError, ValueError
        If n or at_least is no whole number, negative, or n too small for `at_least` of each class.
    """
    n = _whole("n", n)
    at_least = _whole("at_least", at_least)
    classes = len(LETTERS)
    if n < classes * at_least:
        raise ValueError(
            f"n={n}: too few for at_least={at_least} of each of {classes} classes; ask for "
            f"{classes * at_least} letters or more"
        )
    shares = np.ones(classes) if balanced else np.array([AZ_PROPORTIONS[c] for c in LETTERS])
    free = n - classes * at_least
    # What a class is owed beyond the least number; what is handed out to the small classes is
    # taken from the others in proportion.
    owed = np.maximum(shares / shares.sum() * n - at_least, 0)
    exact = owed * (free / owed.sum()) if free else np.zeros(classes)
    counts = np.floor(exact).astype(np.int64)
    rest = free - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1  # the largest remainders
    return counts + at_least


def render_letters(
    n: int | Sequence[int] | np.ndarray,
    rng: np.random.Generator,
    hand: Hand = HAND,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Write letters, in random order.

    Parameters
    ----------
    n : letters in all, divided as `class_counts` does; or of each class, (26,)
    rng : the same generator state gives the same letters
    hand : how much they differ
    progress : whether to show a bar

    Returns
    -------
    images : (n, 28, 28) uint8, ink white (255) on black, within rows and columns 4 to 23
    labels : (n,) int64, 0 for A to 25 for Z

    Raises
    ------
    TypeError, ValueError
        If the numbers are not ones of letters, or rng is no Generator.
    RuntimeError
        If a font is not installed.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng={rng!r}: expected a numpy Generator; np.random.default_rng(seed)")
    counts = _counts(n)
    labels = rng.permutation(np.repeat(np.arange(len(LETTERS)), counts))
    total = len(labels)

    def spread(deviation: float, *shape: int) -> np.ndarray:
        # cut off at two deviations: further out, letters turn into others
        return deviation * np.clip(rng.standard_normal((total, *shape)), -2, 2)

    lower_case = rng.random(total)
    chosen = rng.random(total)
    shapes = _linear_maps(hand.slant + spread(hand.slant_spread), spread(hand.turn_spread))
    bends = spread(hand.bend, capitals()["A"][0].modes.shape[1], 2).astype(np.float32)
    overruns = (spread(hand.overrun, _most_ends()) + hand.overrun / 2).astype(np.float32)
    ratios = np.exp(spread(hand.ratio_spread))
    widths = hand.width * np.exp(spread(hand.width_spread))
    pressures = np.exp(spread(hand.pressure_spread, 3, 3)).astype(np.float32)
    blurs = rng.uniform(*hand.blur, total)

    images = np.zeros((total, _SIDE, _SIDE), np.uint8)
    inside = slice((_SIDE - _BOX) // 2, (_SIDE + _BOX) // 2)
    for i in tqdm(range(total), desc="letters", unit="", leave=False, disable=not progress):
        letter = LETTERS[labels[i]]
        is_small = lower_case[i] < LOWER_CASE.get(letter, 0)
        glyphs = small_letters(letter) if is_small else capitals()[letter]
        glyph = glyphs[int(chosen[i] * len(glyphs))]
        points = _written(glyph, shapes[i], bends[i], overruns[i])
        low, high = points.min(0), points.max(0)
        size = np.maximum(high - low, 0.05)
        ratio = (size[0] / size[1]) ** (1 - hand.squareness) * ratios[i]
        sides = np.maximum(_BOX * np.minimum(1, (ratio, 1 / ratio)), _LEAST_SIDE)
        width = min(widths[i], 0.22 * sides.min())  # a wider pen would fill a narrow letter's holes
        points = (points - (low + high) / 2) * ((sides - width) / size)
        ink = _inked(points, glyph.cuts, width, pressures[i], blurs[i])
        images[i, inside, inside] = np.minimum(ink * (255 * hand.contrast), 255)
    return images, labels


def _whole(name: str, value: object) -> int:
    check_count(name, value)
    return int(value)  # type: ignore[call-overload]


def _counts(n: int | Sequence[int] | np.ndarray) -> np.ndarray:
    if np.ndim(n) == 0:
        return class_counts(n)  # type: ignore[arg-type]  # it refuses what is no number
    counts = np.asarray(n)
    if counts.shape != (len(LETTERS),) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(
            f"n={n!r}: expected a whole number, or {len(LETTERS)} whole numbers of 0 or more, one "
            "for each class from A to Z"
        )
    return counts


def _most_ends() -> int:
    forms = [*capitals().values(), *(small_letters(letter) for letter in LOWER_CASE)]
    return max(len(glyph.ends) for glyphs in forms for glyph in glyphs)


def _linear_maps(shears: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Float32, (n, 2, 2): what to multiply rows x, y with to slant to the right, then to turn."""
    cosines, sines = np.cos(turns), np.sin(turns)
    maps = np.empty((len(turns), 2, 2), np.float32)
    maps[:, 0, 0], maps[:, 0, 1] = cosines, sines
    maps[:, 1, 0], maps[:, 1, 1] = -shears * cosines - sines, cosines - shears * sines
    return maps


def _written(glyph: Glyph, shape: np.ndarray, bend: np.ndarray, overruns: np.ndarray) -> np.ndarray:
    """Float32, (points, 2): the glyph's path as this hand writes it, this time."""
    points = glyph.points.copy()
    points[glyph.ends] += glyph.outward * overruns[: len(glyph.ends), None]
    return points @ shape + glyph.modes @ bend


def _inked(
    points: np.ndarray, cuts: np.ndarray, width: float, pressure: np.ndarray, blur: float
) -> np.ndarray:
    """Float32, (20, 20), 0 to 1: ink of a pen that goes along points around the box's centre."""
    side = _BOX * _FINE
    # OpenCV takes whole sixteenths of a pixel, and a pixel's centre is a whole number.
    path = np.round((points * _FINE + (side - 1) / 2) * 16).astype(np.int32)
    canvas = np.full((side, side), 255, np.uint8)
    cv2.polylines(canvas, np.split(path, cuts), False, 0, 1, cv2.LINE_8, 4)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, 3)
    reach = cv2.resize(pressure, (side, side)) * (width * _FINE / 2)
    ink = np.clip(reach - distance + 0.5, 0, 1)
    ink = cv2.GaussianBlur(ink, (0, 0), blur * _FINE)
    return cv2.resize(ink, (_BOX, _BOX), interpolation=cv2.INTER_AREA)


def rendered_dataset(n: int, seed: int, balanced: bool = False, at_least: int = 1) -> Dataset:
    """Return rendered letters as a data set, kept in the cache folder.

    ``n``, ``balanced`` and ``at_least`` as in `class_counts`, errors as of `render_letters`; the
    same seed, 0 or more, gives the same letters. The report's run as logged takes 29,120 balanced.
    """
    counts = class_counts(n, balanced, at_least)
    seed = _whole("seed", seed)
    recipe = repr((VERSION, HAND, LOWER_CASE, FONTS, font_versions(), counts.tolist(), seed))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    path = cache_folder() / f"rendered-{key}.npz"
    kept = _kept(path, counts)
    if kept is None:
        images, labels = render_letters(counts, np.random.default_rng(seed), progress=True)
        kept = Dataset(images, labels, LETTERS, provenance="rendered", name="rendered")
        try:
            with atomic_file(path) as handle:
                np.savez_compressed(
                    handle, images=images, labels=labels, sha256=np.array(kept.content_hash())
                )
        except OSError as error:  # the letters are good all the same
            _log.warning("%s could not be kept for the next time: %s", path.name, error)
    return kept


def _kept(path: Path, counts: np.ndarray) -> Dataset | None:
    """Read letters from the cache; none if they are not there or not whole."""
    if not path.is_file():
        return None
    try:
        file = read_arrays(path)
        letters = Dataset(file["images"], file["labels"], LETTERS, "rendered", "rendered")
        whole = letters.content_hash() == str(file["sha256"])
    except Exception as error:  # zipfile, zlib and numpy raise whatever the damage leads them to
        _log.warning("%s in the cache is damaged and made again: %s", path.name, error)
        return None
    if not whole or list(letters.class_counts().values()) != counts.tolist():
        _log.warning("%s in the cache holds other letters and is made again", path.name)
        return None
    return letters
