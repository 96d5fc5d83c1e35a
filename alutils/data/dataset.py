"""Labelled images as one type, whatever they came from."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from alutils.base.names import is_writable, printable

DIGITS = tuple("0123456789")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images, their true labels, and where they came from.

    Parameters
    ----------
    images : (n, height, width) grey or (n, height, width, 3) colour, uint8, 0 to 255
    labels : (n,) int64, positions in ``classes``
    classes : names of the classes, no two alike
    provenance : where the images came from, in a word: ``mnist``, ``kaggle``, ``real-sample``,
        ``rendered`` or whatever the user's own are called; titles and tables carry it
    name : what tables and file names call this set of images

    Raises
    ------
    TypeError, ValueError
        If the parts are not of these types or do not belong together.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    provenance: str
    name: str

    def __post_init__(self) -> None:
        for field, text in (("name", self.name), ("provenance", self.provenance)):
            if not isinstance(text, str) or not text:
                raise TypeError(f"{field}={text!r}: expected a text that is not empty")
        self._check_images()
        self._check_labels()

    def _check_images(self) -> None:
        images = self.images
        for field, array in (("images", images), ("labels", self.labels)):
            if np.ma.is_masked(array):
                raise ValueError(f"{self.name}: {field} are masked in part, expected known values")
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            raise TypeError(
                f"{self.name}: images are {_kind(images)}, expected uint8 from 0 to 255; "
                "whole numbers in this range need .astype(np.uint8) only, fractions up to 1 are "
                "multiplied by 255 and rounded before"
            )
        if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
            raise ValueError(
                f"{self.name}: images have shape {images.shape}, expected (n, height, width) or "
                "(n, height, width, 3); reshape flat pixels, drop an alpha channel"
            )
        if 0 in images.shape[1:]:
            raise ValueError(f"{self.name}: images of shape {images.shape[1:]} hold no pixel")

    def _check_labels(self) -> None:
        labels, classes = self.labels, self.classes
        if not isinstance(classes, tuple) or not all(isinstance(c, str) and c for c in classes):
            raise TypeError(f"{self.name}: classes={classes!r}, expected a tuple of names")
        if len(set(classes)) != len(classes):
            twice = sorted({name for name in classes if classes.count(name) > 1})
            raise ValueError(f"{self.name}: classes named more than once: {', '.join(twice)}")
        for name in classes:
            if not is_writable(name):
                raise ValueError(
                    f"{self.name}: the class {name!a} holds half of a character, which no file "
                    "can hold; expected whole ones"
                )
        if not isinstance(labels, np.ndarray) or labels.dtype != np.int64:
            raise TypeError(
                f"{self.name}: labels are {_kind(labels)}, expected int64 positions in classes; "
                "use .astype(np.int64) on whole numbers"
            )
        if labels.shape != (len(self.images),):
            raise ValueError(
                f"{self.name}: labels have shape {labels.shape}, expected ({len(self.images)},), "
                "one for each image"
            )
        outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if outside.size:
            raise ValueError(
                f"{self.name}: {outside.size} labels are outside 0 to {len(classes) - 1} "
                f"({len(classes)} classes); the first is {labels[outside[0]]} at position "
                f"{outside[0]}"
            )

    def __repr__(self) -> str:
        """Say in one line what the images are, and show none of their pixels."""
        height, width = self.images.shape[1:3]
        kind = "colour" if self.images.ndim == 4 else "grey"
        names = ", ".join(map(printable, self.classes[:3])) + (
            ", ..." if len(self.classes) > 3 else ""
        )
        return (
            f"Dataset({self.name!r}: {len(self):,} {kind} images of {height}x{width} pixels, "
            f"{len(self.classes)} classes ({names}), provenance {self.provenance!r})"
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Dataset":
        """Return the images at these positions, in this order, repeats included.

        ``indices`` is (m,) int (IndexError for one that is not there) or (n,) bool, true to keep.
        """
        indices = np.asarray(indices)
        if indices.size == 0:
            indices = indices.astype(np.int64)  # an empty list arrives as float
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def class_counts(self) -> dict[str, int]:
        """How many images each class has, in the order of `classes`, zeros included."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def content_hash(self) -> str:
        """Hexadecimal SHA-256 of the images' shape, the images' bytes and the labels' bytes."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def title(self, text: str) -> str:
        """Return a title for a figure or table, saying so if these images are not real ones."""
        return f"{text} (rendered, not real handwriting)" if self.provenance == "rendered" else text


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def as_float(images: np.ndarray) -> np.ndarray:
    """Pixels as the article feeds them to its classifier.

    Parameters
    ----------
    images : (n, height, width) or (n, height, width, 3) uint8; TypeError for others (normalised
        once already, say)

    Returns
    -------
    (n, height·width) or (n, height·width·3) float32, 0 to 1, C-contiguous: divided by 255 in
    float64, then rounded to float32
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images are {images.dtype}, expected uint8 from 0 to 255")
    # there are only 256 values: look them up instead of making a float64 copy of all images
    scaled = (np.arange(256) / 255).astype(np.float32)
    return scaled[images.reshape(len(images), int(np.prod(images.shape[1:])))]
