"""Pictures of any sizes and colours, brought to one size and one kind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from alutils.base.errors import BadInput, ParameterError
from alutils.data.pixels import Images, checked_images


def to_one_size(images: Images, size: tuple[int, int], colour: bool) -> np.ndarray:
    """Bring pictures to one size, as `PIL.Image.resize` does it (bicubic), and to one kind.

    Parameters
    ----------
    images : (n, h, w), (n, h, w, 1) or (n, h, w, 3) array, or a list of (h, w[, c]) arrays of any
        sizes; grey or RGB, levels 0 to 255; uint8, or other numbers whose fractions are cut off
    size : (height, width); the shape of a picture is not kept
    colour : whether all become RGB; else all become grey

    Returns
    -------
    (n, height, width) or (n, height, width, 3) uint8

    Raises
    ------
    ValueError, BadInput
        For pictures of another shape, and levels outside 0 to 255 or scaled to 0 to 1.
    """
    images = checked_images(images, size) if len(images) else []
    mode, depth = ("RGB", (3,)) if colour else ("L", ())
    out = np.empty((len(images), *size, *depth), np.uint8)
    for place, image in zip(out, images, strict=True):
        pixels = levels(image)
        if pixels.shape == place.shape:
            place[:] = pixels
            continue
        picture = Image.fromarray(pixels).convert(mode)
        place[:] = np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC))
    return out


def levels(image: np.ndarray) -> np.ndarray:
    """Return one picture's levels as (h, w) or (h, w, 3) uint8; errors as `to_one_size`."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype.kind not in "iuf":
        raise ParameterError("images", image.dtype, "expected numbers from 0 to 255")
    low, high = image.min(), image.max()
    if not (low >= 0 and high <= 255):  # put as a negation it holds for NaN, too
        raise BadInput(f"images have levels from {low} to {high}: expected 0 to 255", "scale them")
    if image.dtype.kind == "f" and 0 < high <= 1:
        raise BadInput(f"an image has fractions up to {high:g}: expected levels from 0 to 255",
                       "multiply them by 255")  # fmt: skip
    return image.astype(np.uint8)
