"""Small random distortions of images: turned, scaled, sheared, shifted, bent, mirrored.

A handwritten character that is distorted a little is the same character, so one labelled image
stands for many. All of it is one bilinear look-up a pixel and channel, compiled. What comes from
outside the image is black, as it is around letters and digits, or repeats the image's edge.

Source: Simard, Steinkraus and Platt (2003), affine and elastic distortions of MNIST.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from alutils.base.checks import check_fraction
from alutils.base.compiled import compiled
from alutils.base.errors import ParameterError

KNOTS = 4
"""Points a side at which the elastic displacement is drawn; bilinear between them."""


@dataclass(frozen=True)
class Distortion:
    """How far images are distorted, at most; every amount is drawn evenly from -x to x.

    Attributes
    ----------
    degrees : of rotation
    scale : logarithm of the size, for height and width apart
    shear : pixels sideways for each pixel down
    shift : pixels, in both directions
    elastic : pixels of displacement at each of `KNOTS` x `KNOTS` points
    mirror : share of the images whose left and right are exchanged, 0 to 1; a letter would become
        another sign, a shoe stays a shoe
    edge : whether what comes from outside repeats the image's edge; else it is black
    stroke : share of the images, 0 to 1, whose strokes become a pixel wider or narrower: another
        pen, another scanner
    """

    degrees: float = 15.0
    scale: float = 0.15
    shear: float = 0.15
    shift: float = 2.0
    elastic: float = 1.5
    mirror: float = 0.0
    edge: bool = False
    stroke: float = 0.0

    def __post_init__(self) -> None:
        for name in _AMOUNTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not np.isfinite(value) or value < 0:
                raise ParameterError(name, value, "expected a number, 0 or more")
        check_fraction("mirror", self.mirror)
        check_fraction("stroke", self.stroke)
        if not isinstance(self.edge, bool):
            raise ParameterError("edge", self.edge, "expected True or False")

    def times(self, factor: float) -> Distortion:
        """Return this distortion with all amounts multiplied; the shares stay."""
        return replace(self, **{name: factor * getattr(self, name) for name in _AMOUNTS})


_AMOUNTS = ("degrees", "scale", "shear", "shift", "elastic")
USUAL = Distortion()
NONE = Distortion(0, 0, 0, 0, 0)
DISTORTIONS = {
    "letters": USUAL,
    "pens": replace(USUAL, scale=0.2, shift=3.0, stroke=0.5),
    "shifted": Distortion(0, 0, 0, 2, 0, edge=True),
    "mirrored": Distortion(6, 0.1, 0.05, 2, 0, mirror=0.5, edge=True),
    "none": NONE,
}
"""By name, from which a network's distortion is chosen by what helps on pictures held out."""


def distort(
    images: np.ndarray, items: np.ndarray, rng: np.random.Generator, distortion: Distortion = USUAL
) -> np.ndarray:
    """Return some images, each distorted by chance, float32 from 0 to 1, in their own shape.

    Parameters
    ----------
    images : (n_images, height, width) or (n_images, height, width, 3) uint8; ParameterError for
        others
    items : (n,) int, which of them, repeats allowed; ParameterError for one that is not there
    rng : of the distortions
    distortion : how far
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise ParameterError(
            "images", f"{images.dtype} of shape {images.shape}", "expected (n, h, w[, 3]) uint8"
        )
    items = np.asarray(items, np.int64)
    if len(items) and (items.min() < 0 or items.max() >= len(images)):
        worst = items.min() if items.min() < 0 else items.max()
        raise ParameterError("items", int(worst), f"expected 0 to {len(images) - 1}")
    n, d = len(items), distortion
    angle = np.deg2rad(rng.uniform(-d.degrees, d.degrees, n))
    down, across = np.exp(rng.uniform(-d.scale, d.scale, (2, n)))
    shear = rng.uniform(-d.shear, d.shear, n)
    # From a pixel of the result, seen from the middle, to where it is looked up.
    affine = np.stack(
        [
            np.cos(angle) * down, -np.sin(angle) * across,
            np.sin(angle) * down + shear, np.cos(angle) * across,
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
    move = rng.uniform(-d.elastic, d.elastic, (n, 2, KNOTS, KNOTS))
    move += rng.uniform(-d.shift, d.shift, (n, 2, 1, 1))
    if d.mirror:  # drawn last, so that without it all amounts are what they always were
        affine[rng.random(n) < d.mirror, 1::2] *= -1
    how = (items, affine, move.astype(np.float32), d.edge)
    which = rng.random(n) if d.stroke else np.ones(n)
    wider, narrower = which < d.stroke / 2, (which >= d.stroke / 2) & (which < d.stroke)
    channels = images[None] if images.ndim == 3 else np.moveaxis(images, 3, 0)
    out = np.empty((len(channels), n, *images.shape[1:3]), np.float32)
    for channel, shown in zip(channels, out, strict=True):
        _look_up(np.ascontiguousarray(channel), *how, shown)
        if d.stroke:
            _strokes(shown, wider.astype(np.int8) - narrower)
    return out[0] if images.ndim == 3 else np.ascontiguousarray(np.moveaxis(out, 0, 3))


@compiled(error_model="numpy", fastmath={"contract", "nsz"})
def _look_up(images, items, affine, move, edge, out):
    n, height, width = out.shape
    middle_y, middle_x = np.float32((height - 1) / 2), np.float32((width - 1) / 2)
    step_y = np.float32((KNOTS - 1) / max(1, height - 1))
    step_x = np.float32((KNOTS - 1) / max(1, width - 1))
    white = np.float32(1 / 255)
    for k in range(n):
        image = images[items[k]]
        yy, yx, xy, xx = affine[k]
        for i in range(height):
            knot_y = min(int(i * step_y), KNOTS - 2)
            part_y = np.float32(i * step_y - knot_y)
            for j in range(width):
                knot_x = min(int(j * step_x), KNOTS - 2)
                part_x = np.float32(j * step_x - knot_x)
                u, v = i - middle_y, j - middle_x
                y = yy * u + yx * v + middle_y
                x = xy * u + xx * v + middle_x
                for a in range(2):
                    weight_a = part_y if a else 1 - part_y
                    for b in range(2):
                        weight = weight_a * (part_x if b else 1 - part_x)
                        y += weight * move[k, 0, knot_y + a, knot_x + b]
                        x += weight * move[k, 1, knot_y + a, knot_x + b]
                if edge:
                    y = min(max(y, np.float32(0)), np.float32(height - 1))
                    x = min(max(x, np.float32(0)), np.float32(width - 1))
                top, left = math.floor(y), math.floor(x)
                below, right = y - top, x - left
                found = np.float32(0)
                for a in range(2):
                    if 0 <= top + a < height:
                        weight_a = below if a else 1 - below
                        for b in range(2):
                            if 0 <= left + b < width:
                                weight = weight_a * (right if b else 1 - right)
                                found += weight * image[top + a, left + b]
                out[k, i, j] = found * white


@compiled()
def _strokes(shown, change):
    """Take each pixel's largest (1) or smallest (-1) of the four to its upper left, in place."""
    n, height, width = shown.shape
    for k in range(n):
        if change[k] == 0:
            continue
        image = shown[k]
        for i in range(height - 1, 0, -1):
            for j in range(width - 1, 0, -1):
                a, b, c = image[i - 1, j - 1], image[i - 1, j], image[i, j - 1]
                if change[k] > 0:
                    image[i, j] = max(image[i, j], a, b, c)
                else:
                    image[i, j] = min(image[i, j], a, b, c)
