"""People's images as a network takes them: checked, three channels, resized as Pillow does it."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from alutils.base.errors import BadInput
from alutils.base.surfaces import Remedy
from alutils.data.decoding import of_image

Images = np.ndarray | Sequence[np.ndarray]
Size = tuple[int, int] | None

SMALLEST = 32  # pixels a side that VGG16 needs: five poolings leave one
# Of ImageNet's training images, blue, green, red: what VGG's own preparation subtracts.
IMAGENET_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)

_PART_BYTES = 2**24  # of images that are held at a time


def prepare(images: Images, *, preprocessing: str = "raw", size: Size = (32, 32)) -> np.ndarray:
    """Images as VGG16 takes them.

    Parameters
    ----------
    images : (n, h, w), (n, h, w, 1) or (n, h, w, 3) array, or a list of (h, w[, c]) arrays; grey or
        RGB, 0 to 255; uint8, or other numbers whose fractions are cut off
    preprocessing : ``"raw"``: pixels as they are; ``"vgg"``: blue-green-red, less ImageNet's mean
    size : (height, width) that images are resized to; None leaves them as they are

    Returns
    -------
    (n, height, width, 3) float32: grey copied to three channels, resized bit for bit as Pillow does
    it image by image

    Raises
    ------
    BadInput
        For images of a wrong shape or with pixels outside 0 to 255.
    """
    size = checked_size(size)
    images = checked_images(images, size)
    parts = [_resized(as_bytes(part), size) for part in _parts(images)]
    pixels = np.concatenate([np.broadcast_to(part, (*part.shape[:3], 3)) for part in parts])
    if preprocessing == "vgg":
        return pixels[..., ::-1] - IMAGENET_MEAN_BGR
    return pixels.astype(np.float32)


def survey(
    images: Images, size: Size, smallest: int = SMALLEST
) -> tuple[dict[str, object], tuple[int, int]]:
    """Look at every pixel once.

    Parameters
    ----------
    images : as `checked_images` gives them
    size : that they will be resized to, or None
    smallest : pixels a side that the network takes at least

    Returns
    -------
    content : SHA-256 of the pixels as bytes and the images' shape, for telling contents apart
    size : height and width of all images after resizing

    Raises
    ------
    BadInput
        For pixels outside 0 to 255 or scaled to 0 to 1, and images too small to be taken as they
        are.
    """
    digest = hashlib.sha256()
    brightest, fractions = 0.0, False
    for part in _parts(images):
        pixels = as_bytes(part)
        if isinstance(images, list):  # the rows of an array all have the shape given below
            digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        brightest = max(brightest, float(part.max()))
        if part.dtype.kind == "f":
            fractions = fractions or bool((part != pixels.reshape(part.shape)).any())
    if brightest == 1 or (fractions and brightest < 1):
        raise BadInput(
            f"the brightest pixel of all images is {brightest:g}: expected pixels from 0 to 255",
            "multiply them by 255",
        )
    height, width = pixels.shape[1:3] if size is None else size
    if min(height, width) < smallest:
        raise BadInput(
            f"images are {height} x {width}: VGG16 takes {smallest} x {smallest} pixels and more",
            Remedy("resize them", "size", (smallest, smallest)),
        )
    shape = ["list", len(images)] if isinstance(images, list) else [len(images), *pixels.shape[1:]]
    return {"sha256": digest.hexdigest(), "shape": shape}, (int(height), int(width))


def checked_size(size: Size) -> Size:
    """(height, width) as plain integers of at least 32, or None; `BadInput` for others."""
    if size is None:
        return None
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError):
        raise BadInput(f"size={size!r}: expected (height, width), or None to keep it") from None
    if min(height, width) < SMALLEST:
        raise BadInput(f"size={size!r}: VGG16 takes {SMALLEST} x {SMALLEST} pixels and more")
    return height, width


def checked_images(images: Images, size: Size) -> Images:
    """Images as an array of three or four dimensions, or a list of arrays of two or three.

    BadInput if they are not, for masked pixels, and for several sizes of images that are taken as
    they are. Pillow's images become pixels as files do.
    """
    if isinstance(images, list | tuple):
        images, grey_dimensions = [_one_image(image) for image in images], 2
        shapes = {image.shape for image in images}
    else:
        images, grey_dimensions = _unmasked(images), 3
        shapes = {images.shape}
    if not shapes:
        raise BadInput("images is an empty list: expected one image or more")
    for shape in shapes:
        grey = len(shape) == grey_dimensions
        colour = len(shape) == grey_dimensions + 1 and shape[-1] in (1, 3)
        # Where a width of 1 or 3 is meant as channels, it is one image and not many narrow ones.
        if not ((grey and shape[-1] not in (1, 3)) or colour) or 0 in shape:
            raise BadInput(
                f"an image has shape {shape}: expected (height, width[, 1 or 3])"
                if grey_dimensions == 2
                else f"images have shape {shape}: expected (n, height, width[, 1 or 3]), none of "
                "them 0; a single image goes in as image[None]"
            )
    sides = sorted({shape[grey_dimensions - 2 : grey_dimensions] for shape in shapes})
    if size is None and len(sides) > 1:
        raise BadInput(
            f"images have {len(sides)} sizes, from {sides[0]} to {sides[-1]}, expected one",
            Remedy("resize them", "size", sides[-1]),
        )
    return images


def _one_image(image: Any) -> np.ndarray:
    """Return a picture's pixels; of Pillow's, not the numbers of colours in its palette."""
    return of_image(image).pixels if isinstance(image, Image.Image) else _unmasked(image)


def _unmasked(images: Any) -> np.ndarray:
    if isinstance(images, Image.Image):
        raise BadInput("images is one picture: expected several", "put it into a list")
    if n := int(np.ma.count_masked(images)) if isinstance(images, np.ma.MaskedArray) else 0:
        raise BadInput(f"images have {n:,} masked pixels: expected levels that are known",
                       "fill them")  # fmt: skip
    return np.asarray(images)


def _parts(images: Images) -> Iterator[np.ndarray]:
    """Arrays of images, small enough to be worked on at once."""
    if not isinstance(images, np.ndarray):
        yield from (image[np.newaxis] for image in images)
        return
    rows = max(1, _PART_BYTES // images[0].nbytes)
    for first in range(0, len(images), rows):
        yield images[first : first + rows]


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Images (n, height, width[, 1 or 3]) as uint8, shape (n, height, width, 1 or 3).

    BadInput for pixels that are not numbers from 0 to 255; fractions are cut off.
    """
    images = images if images.ndim == 4 else images[..., np.newaxis]
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise BadInput(f"images are of type {images.dtype}: expected numbers from 0 to 255")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 255):  # put as a negation it holds for NaN too
        raise BadInput(
            f"images have pixels from {low} to {high}: expected 0 to 255; scale or clip them"
        )
    return images.astype(np.uint8)


def _resized(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Resize uint8 (n, h, w, c) to (n, *size, c), image by image as Pillow does it by default.

    Cheap beside the network: some 30,000 letters a second. Grey is resized as one channel, which
    gives what three equal ones give.
    """
    if size is None or pixels.shape[1:3] == size:
        return pixels
    resized = np.empty((len(pixels), *size, pixels.shape[3]), np.uint8)
    for image, place in zip(pixels, resized, strict=True):
        picture = Image.fromarray(image[..., 0] if pixels.shape[3] == 1 else image)
        place[:] = np.asarray(picture.resize(size[::-1])).reshape(place.shape)
    return resized
