"""The pictures that are to be labelled, with their labels where these are known already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from alutils.base.errors import ParameterError
from alutils.data.folders import read_pictures
from alutils.data.loading import NAMES, find, load
from alutils.data.streams.files import walk
from alutils.experiments.base import Finding
from alutils.plots import start as plots

TITLES = {
    "mnist_article": "The article's digits", "mnist": "Digits of MNIST", "az": "Kaggle's letters",
    "rendered": "Letters",
}  # fmt: skip
"""What titles call data sets that `alutils.load` knows by a name."""


WANTED = "with classes= it is a folder of pictures that have no labels yet"
LARGEST = 64
"""Pixels a side up to which pictures of one size are taken as they are, and that others get."""
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""The EXIF field that says how a picture is turned, and its values where width is height."""


@dataclass(frozen=True)
class Pictures:
    """Pictures to label.

    Attributes
    ----------
    images : (n, height, width) or (n, height, width, 3) uint8
    names : (n,) file names, or numbers where the pictures come from one file
    classes : names that a label may have
    labels : (n,) int64, the true labels, which answer in the place of a person; None where a
        person is asked
    name, origin : what titles call them, and where they are from (``rendered`` is not real)
    sized : what was done to their size, in a few words; "" where nothing is to be said
    files : (n,) digests of the pictures' files; () where they are from one file
    """

    images: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray | None
    name: str
    origin: str
    sized: str = ""
    files: tuple[str, ...] = ()

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Digests of the contents, the same whatever size the pictures are read in."""
        if self.files:
            return self.files
        pictures = (repr(image.shape).encode() + image.tobytes() for image in self.images)
        return tuple(hashlib.sha256(picture).hexdigest() for picture in pictures)

    def __len__(self) -> int:
        return len(self.images)

    def title(self, text: str) -> str:
        """Return a title that says so where the pictures are not real ones."""
        return f"{text} (rendered, not real)" if self.origin == "rendered" else text

    def _ipython_display_(self) -> None:
        who = "their labels are known and answer for a person" if self.labels is not None else (
            "you are asked for their labels"
        )  # fmt: skip
        shown = np.linspace(0, len(self) - 1, min(10, len(self))).astype(int)
        captions = [
            self.names[i] if self.labels is None else self.classes[self.labels[i]] for i in shown
        ]
        size = " × ".join(map(str, self.images.shape[1:3]))
        Finding(
            f"{len(self):,} pictures of {size} pixels{f' ({self.sized})' if self.sized else ''}, "
            f"{len(self.classes)} classes; {who}.",
            plots.sheet(self.images[shown], captions, self.title(self.name)),
            "pictures",
            f"{len(shown)} of the pictures in rows, each with its label or file above it.",
        )._ipython_display_()


def read(
    data: str,
    classes: str = "",
    *,
    budget: int = 0,
    on_bad: str = "error",
    colour: str = "auto",
    size: int = 0,
) -> Pictures:
    """Read what is to be labelled, and see that there is enough of it.

    Parameters
    ----------
    data : as `alutils.load` takes it, with labels, which answer in the place of a person; or, with
        ``classes``, a folder of pictures without labels
    classes : names that a person chooses from, with commas between them; "" where labels are known
    budget : labels to learn from
    on_bad, colour : see `alutils.data.folders.read_folder`
    size : pixels a side to which pictures of a folder are resized; 0 takes them as they are where
        all have one size of at most `LARGEST` pixels a side, and resizes them to that otherwise

    Raises
    ------
    BadInput, ParameterError
        for data that cannot be read, for names of classes that do not fit, and for fewer pictures
        than labels
    """
    pictures = _read(data, classes, on_bad, colour, size)
    if budget >= len(pictures):
        raise ParameterError(
            "budget", budget,
            f"there are {len(pictures)} pictures, and none would be left to the model",
            "lower budget",
        )  # fmt: skip
    return pictures


def _read(data: str, classes: str, on_bad: str, colour: str, size: int) -> Pictures:
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    if not names:
        return _with_labels(data, on_bad, colour, size)
    if len(set(names)) < max(2, len(names)):
        raise ParameterError("classes", classes, "expected two different names or more, as cat,dog")
    if data in NAMES:
        raise ParameterError(
            "data", data, f"it has labels of its own; {WANTED}", "leave out classes"
        )
    folder = find(data)
    if not folder.is_dir():
        raise ParameterError("data", data, f"{folder} is a file; {WANTED}")
    sides, sized = _sides(folder, size)
    images, files = read_pictures(folder, on_bad, colour=colour, size=sides, progress=True)
    digests = tuple(map(_digest, (folder / file for file in files)))
    name = folder.resolve().name
    return Pictures(images, files, names, None, name, "local", sized, digests)


def _with_labels(data: str, on_bad: str, colour: str, size: int) -> Pictures:
    path = None if data in NAMES else find(data)
    sides, sized = None, ""
    if path is not None and path.is_dir():
        if not any(inside.is_dir() for inside in path.iterdir()):
            raise ParameterError(
                "classes", "", f"{path} holds pictures, and no folder for each class",
                "name the classes that you want to choose from, as cat,dog",
            )  # fmt: skip
        sides, sized = _sides(path, size)
        known = load(path, on_bad=on_bad, colour=colour, size=sides)
    else:
        known = load(data, on_bad=on_bad)
    numbers = tuple(str(number) for number in range(len(known)))
    name = TITLES.get(known.name, known.name)
    origin = known.provenance
    return Pictures(known.images, numbers, known.classes, known.labels, name, origin, sized)


def _sides(folder: Path, size: int) -> tuple[tuple[int, int] | None, str]:
    """Return the sides that pictures of a folder are resized to, None for no others, and say so."""
    if size:
        return (size, size), f"resized to {size} × {size}, as size={size} asks"
    found = {shape for shape in map(_shape, _pictures_in(folder)) if shape}
    if len(found) == 1 and max(max(found)) <= LARGEST:
        return None, "yours are taken as they are"
    now = f"{LARGEST} × {LARGEST}"
    if len(found) == 1:
        was = " × ".join(map(str, min(found)))
        return (LARGEST, LARGEST), f"yours, of {was}, are resized to {now}"
    return (LARGEST, LARGEST), f"yours, of several sizes, are resized to {now}"


def _pictures_in(folder: Path) -> Iterable[Path]:
    return (folder / file.name for file in walk(folder))


def _shape(file: Path) -> tuple[int, int] | None:
    """Return height and width from a picture's header; None where it cannot be read.

    Whoever reads the picture itself says what is wrong with such a file.
    """
    try:
        with Image.open(file) as picture:
            turned = picture.getexif().get(ORIENTATION) in TURNED
            return picture.size if turned else picture.size[::-1]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
