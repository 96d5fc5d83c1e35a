"""Data sets in pairs of idx files: the images in one, their labels in another."""

import re
from pathlib import Path

import numpy as np

from alutils.base.errors import BadInput
from alutils.base.files import check_file
from alutils.base.idx import read_idx
from alutils.data.dataset import Dataset
from alutils.data.npz import checked
from alutils.data.skips import Skips

_NAME = re.compile(r"(?P<kind>images|labels)(?P<between>.*)ubyte(\.gz)?$", re.IGNORECASE)
_IMAGES, _LABELS = 3, 1  # dimensions


def is_idx(path: Path) -> bool:
    """Whether a file is called as the files of MNIST and its likes are."""
    return _NAME.search(path.name) is not None


def read_idx_pair(path: Path, *, report: Skips | None = None) -> Dataset:
    """Read images and labels from two idx files, of which one is named.

    Parameters
    ----------
    path : of the images, such as ``train-images-idx3-ubyte.gz``, or of their labels, such as
        ``train-labels-idx1-ubyte.gz``; the other one lies beside it. Both may be packed by gzip
    report : is filled with what a person should know of the whole

    Returns
    -------
    classes are A to Z if the largest label is 25, else the numbers

    Raises
    ------
    BadInput
        If one of them is not there, is damaged or holds something else.
    OSError
        If one of them cannot be read.
    """
    of_images, of_labels = _partner(path, "images"), _partner(path, "labels")
    images = _array(of_images, _IMAGES, "images: (number, height, width)")
    labels = _array(of_labels, _LABELS, "labels: (number,)")
    if len(images) != len(labels):
        raise BadInput(
            f"{of_images} holds {len(images):,} images and {of_labels.name} {len(labels):,} labels",
            "fetch both again, from one place",
        )
    report = Skips("images") if report is None else report
    return checked(of_images, images, labels.astype(np.int64), report)


def _partner(path: Path, kind: str) -> Path:
    """Return the file of this kind that belongs to a file, packed or not."""
    found = _NAME.search(path.name)
    if found is None:
        raise BadInput(f"{path}: expected a name such as train-images-idx3-ubyte.gz")
    if found["kind"].lower() == kind:
        return path
    between = found["between"].replace("idx3", "idx#").replace("idx1", "idx#")
    between = between.replace("#", str(_IMAGES if kind == "images" else _LABELS))
    stem = f"{path.name[: found.start()]}{kind}{between}ubyte"
    places = [path.with_name(stem + end) for end in (".gz", "")]
    for place in places:
        if place.exists():
            return place
    raise BadInput(
        f"{path}: its {kind} are not there; looked for {' and '.join(p.name for p in places)}",
        "put them into the same folder",
    )


def _array(path: Path, dimensions: int, expected: str) -> np.ndarray:
    check_file(path)
    try:
        array = read_idx(path)
    except ValueError as error:
        raise BadInput(f"{path.parent / str(error)}", "fetch the file again") from error
    if array.ndim != dimensions:
        raise BadInput(f"{path}: holds an array of shape {array.shape}, expected {expected}")
    return array
