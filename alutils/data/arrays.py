"""Arrays of pictures and labels, as people's files hold them, made into a data set's own types.

A number's value decides, not how it is written: whole numbers from 0 to 255 are pixels in whatever
type they were saved, and one channel in a last dimension is grey.
"""

from __future__ import annotations

import numpy as np

from alutils.base.errors import BadInput

_MOST_CLASSES = 100_000  # more than any data set has: a larger label is no label
_SMALL = 1000  # labels that could be, beside one that is the largest number of its type


def pictures(images: np.ndarray, n: int | None = None) -> np.ndarray:
    """Return pictures as (n, height, width) or (n, height, width, 3) uint8, if they are sound.

    ``n``: how many there should be, if that is known.

    Raises
    ------
    BadInput
        For another shape, and for values that are not whole numbers from 0 to 255.
    """
    shape = images.shape
    if n and images.ndim in (3, 4) and shape[0] != n == shape[-1]:
        last = f"images have shape {shape} and there are {n} labels, expected the images first"
        raise BadInput(last, "put the last dimension first with numpy.moveaxis(images, -1, 0)")
    if images.ndim == 4 and shape[3] == 1:
        images = images[..., 0]
    if not (images.ndim == 3 or (images.ndim == 4 and shape[3] == 3)) or 0 in shape[1:]:
        expected = "expected (n, height, width) or (n, height, width, 3), none of these 0"
        raise BadInput(f"images have shape {shape}, {expected}", _way_to_shape(shape))
    if images.dtype == np.uint8 or not len(images):
        return images.astype(np.uint8, copy=False)
    kind = f"images are {images.dtype}"
    if images.dtype.kind == "b":
        raise BadInput(
            f"{kind}, expected levels from 0 to 255", "multiply them by 255, as numpy.uint8"
        )
    if images.dtype.kind not in "iuf":
        raise BadInput(f"{kind}, expected whole numbers from 0 to 255", "save them as numpy.uint8")
    low, high = images.min(), images.max()
    whole = images.dtype.kind != "f" or (np.isfinite(images).all() and (images % 1 == 0).all())
    if low >= 0 and high <= 255 and whole:
        return images.astype(np.uint8)
    found = f"{kind} from {low:g} to {high:g}" + ("" if whole else ", with fractions")
    raise BadInput(f"{found}, expected whole numbers from 0 to 255", _way_to_levels(low, high))


def _way_to_shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "give flat pixels their height and width with .reshape(-1, height, width)"
    if len(shape) == 4 and shape[1] in (1, 3):
        return "put the channels last with .transpose(0, 2, 3, 1)"
    if len(shape) == 4 and shape[3] in (2, 4):
        return "leave the alpha channel out with images[..., :-1]"
    return "save the pictures again in this shape"


def _way_to_levels(low: float, high: float) -> str:
    """Say what brings levels to 0 to 255, as the largest of them tells."""
    if low >= 0 and high <= 1:
        return "multiply them by 255, round, then .astype(numpy.uint8)"
    if low >= 0 and high <= 255:
        return "round them, then .astype(numpy.uint8)"
    for bits in (10, 12, 14, 16):
        if low >= 0 and high < 2**bits:
            times = f"{(2**bits - 1) / 255:.6g}"
            return f"divide them by {times} if they have {bits} bits, round, .astype(numpy.uint8)"
    return "scale them to 0 to 255, round, then .astype(numpy.uint8)"


def whole_labels(labels: np.ndarray) -> np.ndarray:
    """Return labels as (n,) int64: whole numbers from 0, whatever type they were saved in.

    Raises
    ------
    BadInput
        For another shape, and for values that are no labels.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        one_hot = labels.ndim == 2 and labels.dtype.kind in "biuf"
        raise BadInput(
            f"labels have shape {labels.shape}, expected (n,), one for each image",
            "make numbers of one-hot rows with .argmax(axis=1)" if one_hot else "save them again",
        )
    as_floats = labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels % 1 == 0).all()
    if labels.dtype.kind not in "iu" and not as_floats:
        raise _no_numbers(labels)
    if not labels.size:
        return labels.astype(np.int64)
    place = int(labels.argmin()) if labels.min() < 0 else int(labels.argmax())
    value = labels[place]
    largest = labels.dtype.kind == "u" and value == np.iinfo(labels.dtype).max
    alone = largest and labels[labels != value].max(initial=0) < min(value // 2, _SMALL)
    if value < 0 or value > _MOST_CLASSES or alone:
        minus = f"; is it -1 as {labels.dtype}, not labelled?" if alone else ""
        raise BadInput(
            f"label is {value} at position {place}, expected 0 to the number of classes less 1"
            f"{minus}",
            "leave out what has no label" if alone or value < 0 else "number the classes from 0",
        )
    return labels.astype(np.int64)


def _no_numbers(labels: np.ndarray) -> BadInput:
    """Say what labels are that are no whole numbers, and what makes numbers of them."""
    expected = "expected whole numbers from 0"
    if labels.dtype.kind == "b":
        return BadInput(f"labels are true and false, {expected}", "save labels.astype(int)")
    if labels.dtype.kind == "f":
        place = int(np.flatnonzero(~np.isfinite(labels) | (labels % 1 != 0))[0])
        way = "leave out what has no label" if np.isnan(labels[place]) else "save class numbers"
        return BadInput(f"label is {labels[place]:g} at position {place}, {expected}", way)
    return BadInput(
        f"labels are {labels.dtype}, {expected}",
        "put the names into an array 'classes' and save positions in it as labels",
    )
