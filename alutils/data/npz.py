"""Data sets in npz files: ``images``, ``labels``, and what is known of them."""

from pathlib import Path

import numpy as np

from alutils.base.downloads import one_line
from alutils.base.downloads import read_npz as read_arrays
from alutils.base.errors import BadInput
from alutils.base.files import atomic_file
from alutils.data.dataset import LETTERS, Dataset

REAL_SAMPLE = "az_sample.npz"


def read_npz(path: str | Path) -> Dataset:
    """Read a data set from an npz file.

    Parameters
    ----------
    path : file with ``images`` (uint8, (n, height, width) or (n, height, width, 3)) and ``labels``
        (whole numbers, (n,), from 0). It may hold ``classes`` (names; by default A to Z if
        the largest label is 25, else the numbers) and ``provenance`` (a word; by default
        ``real-sample`` for a file called ``az_sample.npz``, else ``local``). Other arrays are
        ignored

    Raises
    ------
    BadInput
        If the file is damaged or holds something else.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    with path.open("rb"):  # a missing or locked file is no damaged one
        pass
    try:
        arrays = read_arrays(path)
    except Exception as error:  # zipfile, zlib and numpy raise whatever the damage leads them to
        raise BadInput(
            f"{path} is damaged or no npz file of plain arrays ({one_line(error)}); expected one "
            "with images and labels, as numpy.savez writes it"
        ) from error
    for key in ("images", "labels"):
        if key not in arrays:
            raise BadInput(
                f"{path} holds no array {key!r}, only {', '.join(map(repr, arrays)) or 'nothing'}; "
                "expected images and labels: save it again under these names"
            )
    labels = arrays["labels"]
    if labels.dtype.kind not in "iu":
        raise BadInput(
            f"{path}: labels are {labels.dtype}, expected whole numbers from 0; put the names into "
            "an array 'classes' and save positions in it as labels"
        )
    if not labels.size:
        raise BadInput(f"{path}: holds no image, expected some")
    most = int(labels.max())
    classes = LETTERS if most == len(LETTERS) - 1 else tuple(map(str, range(most + 1)))
    if "classes" in arrays:
        classes = tuple(_texts(path, arrays, "classes").tolist())
    provenance = "real-sample" if path.name == REAL_SAMPLE else "local"
    if "provenance" in arrays:
        provenance = str(_texts(path, arrays, "provenance").reshape(()))
    try:
        return Dataset(arrays["images"], labels.astype(np.int64), classes, provenance, path.stem)
    except (TypeError, ValueError) as error:  # the data set's own checks name what is wrong
        raise error if isinstance(error, BadInput) else BadInput(f"{path}: {error}") from error


def _texts(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    texts, one = arrays[name], name == "provenance"
    if texts.dtype.kind != "U" or (texts.size != 1 if one else texts.ndim != 1):
        expected = "one word" if one else "texts, one for each class"
        found = f"{name} {'is' if one else 'are'} {texts.dtype} of shape {texts.shape}"
        raise BadInput(f"{path}: {found}, expected {expected}")
    return texts


def write_npz(dataset: Dataset, path: str | Path) -> Path:
    """Write a data set, with its classes and provenance, complete or not at all; return the path.

    BadInput if that does not end in ``.npz``: it would not be found again as what it is.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise BadInput(f"{path}: expected a file name that ends in .npz")
    with atomic_file(path) as file:
        np.savez_compressed(
            file,
            images=dataset.images,
            labels=dataset.labels,
            classes=np.array(dataset.classes),
            provenance=np.array(dataset.provenance),
        )
    return path
