"""Streams whose concept changes: labels that change their meaning, images that look different.

A change is a `ramp`: 0 before it, 1 after it, in between rising where it is gradual. `new_concept`
makes of it which arrivals belong to the new concept; toys in two dimensions turn by it.
"""

from __future__ import annotations

import numpy as np

from alutils.base.errors import ParameterError


def ramp(n: int, at: int, width: int = 0) -> np.ndarray:
    """Return how far a change has come.

    Parameters
    ----------
    n : arrivals
    at : the first arrival of the change, 0 to n
    width : arrivals from its begin to its end; 0: abrupt

    Returns
    -------
    (n,) float64: 0 before ``at``, 1 from ``at + width`` on, a straight line in between
    """
    if not 0 <= at <= n:
        raise ParameterError("at", at, f"expected an arrival, 0 to {n}")
    if width < 0:
        raise ParameterError("width", width, "expected a number of arrivals, 0 or more")
    since = np.arange(n) - at
    return np.clip(since / width, 0, 1) if width else (since >= 0).astype(np.float64)


def new_concept(n: int, at: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return which arrivals belong to the new concept, (n,) bool: each by chance, as `ramp` has it.

    Source: the gradual drift of Bifet, Holmes, Pfahringer, Kirkby and Gavalda (2009), with a
    straight line for their sigmoid.
    """
    return rng.random(n) < ramp(n, at, width)


def relabelled(y: np.ndarray, new: np.ndarray, meaning: np.ndarray) -> np.ndarray:
    """Let classes change their meaning: label drift.

    Parameters
    ----------
    y : (n,) int labels
    new : (n,) bool, which arrivals belong to the new concept
    meaning : (n_classes,) int, a permutation: what was class c is called ``meaning[c]`` there

    Returns
    -------
    (n,) of y's dtype
    """
    y, meaning = np.asarray(y), np.asarray(meaning)
    if not np.array_equal(np.sort(meaning), np.arange(len(meaning))):
        raise ParameterError(
            "meaning", meaning, f"expected the classes 0 to {len(meaning) - 1}, each once"
        )
    if y.size and not (y.min() >= 0 and y.max() < len(meaning)):
        raise ParameterError(
            "meaning", meaning, f"the labels go from {y.min()} to {y.max()}", "give one for each"
        )
    return np.where(new, meaning[y], y).astype(y.dtype)


def mixed(old: np.ndarray, changed: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the rows of ``changed`` where ``new`` (n,) bool, those of ``old`` elsewhere."""
    if np.shape(old) != np.shape(changed) or np.shape(new) != np.shape(old)[:1]:
        raise ValueError(
            f"{np.shape(old)} old and {np.shape(changed)} changed rows, {np.shape(new)} marks; "
            "expected the same shape, and a mark for each row."
        )
    return np.where(new.reshape(-1, *[1] * (np.ndim(old) - 1)), changed, old)


def inverted(images: np.ndarray) -> np.ndarray:
    """Return images with dark and light exchanged: uint8 of 0 to 255, or floats of 0 to 1."""
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return 255 - images
    if images.dtype.kind != "f":
        raise ValueError(f"images: dtype {images.dtype}; expected uint8, or floats from 0 to 1.")
    return 1 - images


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return (n, height, width) images moved by whole pixels; zeros come in from the other side."""
    n, height, width = _shape(images)
    if abs(down) > height or abs(right) > width:
        raise ParameterError("down, right", (down, right), f"the images are {height} by {width}")
    padded = np.zeros((n, 3 * height, 3 * width), images.dtype)
    padded[:, height : 2 * height, width : 2 * width] = images
    top, left = height - down, width - right
    return padded[:, top : top + height, left : left + width].copy()


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Return (n, height, width) images turned counter-clockwise about their centre.

    Pixels in between are interpolated linearly; zeros come in at the corners.
    """
    from scipy import ndimage

    _shape(images)
    return ndimage.rotate(images, degrees, axes=(1, 2), reshape=False, order=1)


def turning_boundary(angles: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two classes on either side of a line through the origin that turns.

    Parameters
    ----------
    angles : (n,) float, degrees of the line's normal at each arrival, such as ``90 * ramp(n, at)``

    Returns
    -------
    (n, 2) float64 standard normal points, (n,) int64 classes 0 and 1

    Source: in two dimensions, the rotating hyperplane of Hulten, Spencer and Domingos (2001).
    """
    turn = np.radians(angles)
    x = rng.normal(size=(len(turn), 2))
    normal = np.column_stack([np.cos(turn), np.sin(turn)])
    return x, (np.einsum("nd,nd->n", x, normal) > 0).astype(np.int64)


def moving_clouds(
    angles: np.ndarray, n_classes: int, rng: np.random.Generator, spread: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Draw classes as normal clouds around points of the unit circle that turn about its centre.

    Parameters
    ----------
    angles : (n,) float, degrees by which the circle has turned at each arrival
    n_classes : clouds, evenly round the circle, each as likely as another
    spread : their standard deviation

    Returns
    -------
    (n, 2) float64 points, (n,) int64 classes
    """
    y = rng.integers(0, n_classes, len(angles))
    place = np.radians(angles) + 2 * np.pi * y / n_classes
    x = np.column_stack([np.cos(place), np.sin(place)])
    return x + spread * rng.normal(size=x.shape), y


def _shape(images: np.ndarray) -> tuple[int, int, int]:
    if np.ndim(images) != 3:
        raise ValueError(
            f"images: an array of shape {np.shape(images)}; expected (n, height, width)."
        )
    return np.shape(images)
