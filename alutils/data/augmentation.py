"""Small random distortions of images: turned, scaled, sheared, shifted, bent.

A handwritten character that is distorted a little is the same character, so one labelled image
stands for many. All of it is one bilinear look-up a pixel, compiled; the background is black.

Source: Simard, Steinkraus and Platt (2003), affine and elastic distortions of MNIST.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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
    """

    degrees: float = 15.0
    scale: float = 0.15
    shear: float = 0.15
    shift: float = 2.0
    elastic: float = 1.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not np.isfinite(value) or value < 0:
                raise ParameterError(name, value, "expected a number, 0 or more")

    def times(self, factor: float) -> Distortion:
        """Return this distortion with all amounts multiplied."""
        return Distortion(**{name: factor * value for name, value in vars(self).items()})


USUAL = Distortion()
NONE = Distortion(0, 0, 0, 0, 0)


def distort(
    images: np.ndarray, items: np.ndarray, rng: np.random.Generator, distortion: Distortion = USUAL
) -> np.ndarray:
    """Return some images, each distorted by chance, (n, height, width) float32 from 0 to 1.

    Parameters
    ----------
    images : (n_images, height, width) uint8; ParameterError for others
    items : (n,) int, which of them, repeats allowed; ParameterError for one that is not there
    rng : of the distortions
    distortion : how far
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ParameterError(
            "images", f"{images.dtype} of shape {images.shape}", "expected (n, h, w) uint8"
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
    out = np.empty((n, *images.shape[1:]), np.float32)
    _look_up(np.ascontiguousarray(images), items, affine, move.astype(np.float32), out)
    return out


@compiled(error_model="numpy", fastmath={"contract", "nsz"})
def _look_up(images, items, affine, move, out):
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
