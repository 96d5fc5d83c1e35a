"""Capital letters of handwriting fonts, thinned to the path that a pen would take."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import cv2
import fontpkg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from alutils.data.dataset import LETTERS

# The fonts, and the capitals that are not taken from them: flourishes that nobody writes by hand,
# shapes that thin to something else, an I or a J without the bars that the real ones have.
FONTS = {
    "caveat": "",
    "comfortaa": "IJ",
    "dancing-script": "JLQZ",
    "delius": "",
    "dm-mono": "",
    "indie-flower": "IJ",
    "kalam": "I",
    "pacifico": "GJKV",
    "permanent-marker": "AGHMNVW",
    "quicksand": "IJ",
    "righteous": "IJ",
    "satisfy": "FILQ",
    "shadows-into-light": "IJ",
    "source-code-pro": "",
    "yellowtail": "ABFGIJLMQTUWXY",
    "zeyada": "AEIJQX",
}

_HEIGHT = 96  # pixels of the font size that is thinned: a pixel is 0.2 of one in the final image
_SPACING = 3  # of those pixels, between the points of a path
_ORDERS = np.arange(4)  # half waves across a letter, of the ways in which it can be bent

# The eight neighbours of a pixel, clockwise from the one above, as bits of a number.
_BITS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.uint8)


@dataclass(frozen=True, eq=False)
class Glyph:
    """The pen's path through one letter of one font, n points on all strokes together.

    Parameters
    ----------
    points : (n, 2) float32, x to the right and y down, the longer side of the letter from -1 to 1
    cuts : (strokes - 1,) int, where in ``points`` the second and further strokes begin
    modes : (n, 16) float32, how far each smooth way of bending the letter moves each point
    ends : (m,) int, which points are free ends of strokes
    outward : (m, 2) float32, unit vectors in which the strokes would go on there
    """

    points: np.ndarray
    cuts: np.ndarray
    modes: np.ndarray
    ends: np.ndarray
    outward: np.ndarray


@lru_cache(maxsize=1)
def capitals() -> dict[str, tuple[Glyph, ...]]:
    """Every letter from A to Z as the fonts write it; RuntimeError if one is not installed."""
    fonts = {slug: _font(slug) for slug in FONTS}
    return {
        letter: tuple(
            glyph(font, letter) for slug, font in fonts.items() if letter not in FONTS[slug]
        )
        for letter in LETTERS
    }


@lru_cache(maxsize=32)
def small_letters(letter: str) -> tuple[Glyph, ...]:
    """Return the lower-case form of a capital as all fonts write it."""
    return tuple(glyph(_font(slug), letter.lower()) for slug in FONTS)


def font_versions() -> tuple[str, ...]:
    """Names and versions of the fonts: other ones give other letters."""
    return tuple(f"{slug} {_family(slug).version}" for slug in FONTS)


def _family(slug: str) -> fontpkg.Family:
    try:
        return fontpkg.family(slug)
    except fontpkg.FamilyNotInstalled as error:
        raise RuntimeError(
            f"the font package fontpkg-{slug} is not installed: run `pip install -e .` again, it "
            "is one of the project's dependencies"
        ) from error


def _font(slug: str) -> ImageFont.FreeTypeFont:
    upright = [file for file in _family(slug).files if file.style == "normal"]
    lightest = min(upright, key=lambda file: file.weight or 0)  # thin strokes thin most cleanly
    return ImageFont.truetype(lightest.path, _HEIGHT, layout_engine=ImageFont.Layout.BASIC)


def glyph(font: ImageFont.FreeTypeFont, character: str) -> Glyph:
    """Read the pen's path through one character off a font; ValueError if it draws nothing."""
    left, top, right, bottom = font.getbbox(character)
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), character, fill=255, font=font)
    ink = np.asarray(image) > 127
    if not ink.any():
        raise ValueError(f"{font.getname()[0]} draws nothing for {character!r}: take another font")
    half_width = cv2.distanceTransform(ink.astype(np.uint8), cv2.DIST_L2, 5).max()
    strokes = [smoothed(path) for path in pen_paths(thinned(ink), shortest=1.5 * half_width)]

    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (2 / (high - low).max())
    stops = np.cumsum([len(stroke) for stroke in strokes])
    ends, inside = _free_ends(strokes, stops)
    outward = points[ends] - points[inside]
    outward /= np.maximum(np.hypot(*outward.T), 1e-9)[:, None]
    return Glyph(
        points.astype(np.float32), stops[:-1], _modes(points), ends, outward.astype(np.float32)
    )


def _free_ends(strokes: list[np.ndarray], stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which points end a stroke where no other begins, and their neighbours inside it."""
    touching = Counter(tuple(stroke[side]) for stroke in strokes for side in (0, -1))
    ends, inside = [], []
    for stroke, stop in zip(strokes, stops, strict=True):
        start = stop - len(stroke)
        for side, end, neighbour in ((0, start, start + 1), (-1, stop - 1, stop - 2)):
            if touching[tuple(stroke[side])] == 1:
                ends.append(end)
                inside.append(neighbour)
    return np.array(ends, int), np.array(inside, int)


def _modes(points: np.ndarray) -> np.ndarray:
    """Cosine waves over the letter at its points, the weaker the finer they are."""
    waves = np.cos(np.pi / 2 * (points[:, :, None] + 1) * _ORDERS)
    strength = (1 + np.add.outer(_ORDERS**2, _ORDERS**2)) ** -0.75
    modes = np.einsum("pi,pj,ij->pij", waves[:, 0], waves[:, 1], strength)
    return modes.reshape(len(points), -1).astype(np.float32)


def _removable() -> np.ndarray:
    """Uint8, (2, 256): for each of Zhang and Suen's two half steps, which neighbourhoods go."""
    around = (np.arange(256)[:, None] >> np.arange(8)) & 1 == 1
    count = around.sum(1)
    rises = (~around & np.roll(around, -1, 1)).sum(1)
    thin = (count >= 2) & (count <= 6) & (rises == 1)
    up, right, down, left = around[:, ::2].T
    halves = (
        ~(up & right & down) & ~(right & down & left),
        ~(up & right & left) & ~(up & down & left),
    )
    return np.stack([thin & half for half in halves]).astype(np.uint8)


def thinned(mask: np.ndarray) -> np.ndarray:
    """Centre lines of a shape, one pixel wide; (height, width) bool both.

    Source: Zhang and Suen (1984).
    """
    image = np.pad(mask, 1).astype(np.uint8)
    tables = _removable()
    while True:
        before = image
        for table in tables:
            around = cv2.filter2D(image, -1, _BITS, borderType=cv2.BORDER_CONSTANT)
            image = image & ~np.asarray(cv2.LUT(around, table), np.uint8)
        if (image == before).all():
            return image[1:-1, 1:-1] == 1


def pen_paths(skeleton: np.ndarray, shortest: float) -> list[np.ndarray]:
    """Split centre lines into strokes between their ends and crossings.

    Parameters
    ----------
    skeleton : (height, width) bool, one pixel wide
    shortest : branches with a free end and fewer pixels come from thinning and are dropped

    Returns
    -------
    list of (n, 2) float, x and y of the pixels along each stroke, n > 1; a closed curve ends where
    it begins
    """
    pixels = {(int(x), int(y)) for y, x in np.argwhere(skeleton)}
    links = {pixel: _links(pixel, pixels) for pixel in sorted(pixels)}
    nodes = [pixel for pixel in links if len(links[pixel]) != 2]
    met: set[tuple[int, int]] = set()
    begun: set[tuple] = set()
    paths = []
    # Strokes from the ends and crossings first; what is left then are closed curves.
    for start in (*nodes, *links):
        if len(links[start]) == 2 and start in met:
            continue
        for step in links[start]:
            if (start, step) in begun:
                continue
            path = [start, step]
            while len(links[path[-1]]) == 2 and path[-1] != start:
                one, other = links[path[-1]]
                path.append(other if one == path[-2] else one)
            begun |= {(start, step), (path[-1], path[-2])}
            met.update(path)
            free = sum(len(links[path[side]]) == 1 for side in (0, -1))
            if free != 1 or len(path) >= shortest:
                paths.append(np.array(path, float))
    return paths


def _links(pixel: tuple[int, int], pixels: set) -> list[tuple[int, int]]:
    """Neighbours of a pixel; a diagonal one only where no straight one leads there anyway."""
    x, y = pixel
    straight = [p for p in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)) if p in pixels]
    diagonal = [
        (x + dx, y + dy)
        for dx, dy in ((1, 1), (-1, 1), (-1, -1), (1, -1))
        if (x + dx, y + dy) in pixels and not {(x + dx, y), (x, y + dy)} & pixels
    ]
    return straight + diagonal


def smoothed(path: np.ndarray) -> np.ndarray:
    """Return a path with the pixels' steps averaged out and fewer points, ends where they were.

    (n, 2) float, n > 1, becomes (m, 2), 1 < m <= n.
    """
    padded = np.pad(path, ((2, 2), (0, 0)), mode="edge")
    mean = np.mean([padded[i : i + len(path)] for i in range(5)], axis=0)
    mean[0], mean[-1] = path[0], path[-1]
    return np.concatenate([mean[:-1:_SPACING], mean[-1:]])
