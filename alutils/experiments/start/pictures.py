"""The pictures that are to be labelled, with their labels where these are known already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.base.errors import ParameterError
from alutils.data.folders import read_pictures
from alutils.data.loading import load
from alutils.experiments.base import Finding
from alutils.plots import start as plots


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
    """

    images: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray | None
    name: str
    origin: str

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
            f"{len(self):,} pictures of {size} pixels, {len(self.classes)} classes; {who}.",
            plots.sheet(self.images[shown], captions, self.title(self.name)),
            "pictures",
            f"{len(shown)} of the pictures in rows, each with its label or file above it.",
        )._ipython_display_()


def read(
    data: str,
    classes: str = "",
    *,
    budget: int = 0,
    audit: int = 0,
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
    budget, audit : labels to learn from, and labels more to check the model
    on_bad, colour : see `alutils.data.folders.read_folder`
    size : pixels a side to which pictures of a folder are resized; 0 keeps theirs

    Raises
    ------
    BadInput, ParameterError
        for data that cannot be read, for names of classes that do not fit, and for fewer pictures
        than labels
    """
    pictures = _read(data, classes, on_bad, colour, size)
    if budget + audit > len(pictures):
        raise ParameterError(
            "budget", budget,
            f"with audit={audit} it takes {budget + audit} pictures, and there are {len(pictures)}",
            "lower budget or audit",
        )  # fmt: skip
    return pictures


def _read(data: str, classes: str, on_bad: str, colour: str, size: int) -> Pictures:
    sides = (size, size) if size else None
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    if not names:
        return _with_labels(data, on_bad, colour, sides)
    if len(set(names)) < max(2, len(names)):
        raise ParameterError("classes", classes, "expected two different names or more, as cat,dog")
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise ParameterError(
            "data", data, "with classes= it is a folder of pictures that have no labels yet"
        )
    images, files = read_pictures(folder, on_bad, colour=colour, size=sides, progress=True)
    return Pictures(images, files, names, None, folder.resolve().name, "local")


def _with_labels(data: str, on_bad: str, colour: str, sides: tuple[int, int] | None) -> Pictures:
    path = Path(data).expanduser()
    if path.is_dir() and not any(inside.is_dir() for inside in path.iterdir()):
        raise ParameterError(
            "classes", "", f"{path} holds pictures, and no folder for each class",
            "name the classes that you want to choose from, as cat,dog",
        )  # fmt: skip
    if path.is_dir():
        known = load(data, on_bad=on_bad, colour=colour, size=sides)
    else:
        known = load(data, on_bad=on_bad)
    numbers = tuple(str(number) for number in range(len(known)))
    return Pictures(
        known.images, numbers, known.classes, known.labels, known.name, known.provenance
    )
