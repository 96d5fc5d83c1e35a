"""Data sets in npz files: ``images``, ``labels``, and what is known of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.errors import BadInput
from alutils.base.files import atomic_file, check_file
from alutils.data.arrays import pictures, whole_labels
from alutils.data.dataset import LETTERS, Dataset
from alutils.data.npz_members import read_members
from alutils.data.skips import Skips
from alutils.data.soundness import copies, dark, from_one

_MANY = 1000  # classes: from here on most of them being empty is no chance
REAL_SAMPLE = "az_sample.npz"


def read_npz(path: str | Path, *, report: Skips | None = None) -> Dataset:
    """Read a data set from an npz file.

    Parameters
    ----------
    path : file with ``images`` ((n, height, width[, 1 or 3]), whole numbers from 0 to 255 of any
        type) and ``labels`` (whole numbers, (n,), from 0). It may hold ``classes`` (names; by
        default A to Z if the largest label is 25, else the numbers) and ``provenance`` (a word; by
        default ``real-sample`` for a file called ``az_sample.npz``, else ``local``). Other arrays
        are ignored
    report : is filled with what a person should know of the whole

    Raises
    ------
    BadInput
        If the file is damaged or holds something else.
    OSError
        If it cannot be read.
    """
    path, report = Path(path), Skips("images") if report is None else report
    arrays = _arrays(path, ("images", "labels"), ("classes", "provenance"))
    with _named(path):
        labels = whole_labels(arrays["labels"])
        if not labels.size:
            raise BadInput("holds no image, expected some")
        images = pictures(arrays["images"], len(labels))
    classes, provenance = None, "real-sample" if path.name == REAL_SAMPLE else "local"
    if "classes" in arrays:
        classes = tuple(_texts(path, arrays, "classes").tolist())
    if "provenance" in arrays:
        provenance = str(_texts(path, arrays, "provenance").reshape(()))
    return checked(path, images, labels, report, classes, provenance)


def checked(
    path: Path,
    images: np.ndarray,
    labels: np.ndarray,
    report: Skips,
    classes: tuple[str, ...] | None = None,
    provenance: str = "local",
) -> Dataset:
    """Return a data set of arrays that were read from a file, if they can be one.

    Parameters
    ----------
    path : of the file, for its name and for messages
    images : (n, height, width[, 3]) uint8
    labels : (n,) int64
    report : is filled with what a person should know of the whole
    classes : their names; None: A to Z if the largest label is 25, else the numbers
    provenance : where the images came from, in a word

    Raises
    ------
    BadInput
        If they do not belong together.
    """
    if not labels.size:
        raise BadInput(f"{path}: holds no image, expected some")
    most, named = int(labels.max()), classes is not None
    n_used = len(np.unique(labels))
    if classes is None:
        if most >= _MANY and n_used * 100 < most + 1:
            place = int(labels.argmax())
            raise BadInput(
                f"{path}: label is {most} at position {place}, and of {most + 1:,} classes only "
                f"{n_used:,} have an image, expected numbers without gaps",
                "number the classes from 0, or name them all in an array 'classes'",
            )
        classes = LETTERS if most == len(LETTERS) - 1 else tuple(map(str, range(most + 1)))
    with _named(path):
        if most == len(classes) and labels.min() > 0:
            expected = f"expected 0 ({classes[0]}) to {most - 1} ({classes[-1]})"
            one = "take 1 from each label"
            raise BadInput(f"labels are {labels.min()} to {most}, {expected}", one)
        made = Dataset(images, labels, classes, provenance, path.stem)
    notes = dark(int(images.max()), path)
    if not named:
        notes += from_one(np.bincount(labels), classes)
    report.note(path, [*notes, *copies(images, labels, lambda place: f"{path.name}#{place}")])
    return made


def read_images(path: str | Path) -> np.ndarray:
    """Read the images of an npz file; ``labels`` need not be there.

    Returns
    -------
    (n, height, width) or (n, height, width, 3) uint8

    Raises
    ------
    BadInput, OSError
        As `read_npz` does.
    """
    path = Path(path)
    arrays = _arrays(path, ("images",))
    with _named(path):
        return pictures(arrays["images"])


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of those who do not know where their arrays come from."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", *error.ways) from error
    except (TypeError, ValueError) as error:  # the data set's own checks name what is wrong
        raise BadInput(f"{path}: {error}") from error


def _arrays(path: Path, needed: tuple[str, ...], others: tuple[str, ...] = ()) -> dict:
    check_file(path)
    with path.open("rb"):  # a missing or locked file is no damaged one
        pass
    return read_members(path, needed, others)


def _texts(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    texts, one = arrays[name], name == "provenance"
    if texts.dtype.kind != "U" or (texts.size != 1 if one else texts.ndim != 1):
        expected = "one word" if one else "texts, one for each class"
        found = f"{name} {'is' if one else 'are'} {texts.dtype} of shape {texts.shape}"
        raise BadInput(f"{path}: {found}, expected {expected}")
    return texts


def write_npz(dataset: Dataset, path: str | Path, /, **more: np.ndarray) -> Path:
    """Write a data set, with its classes and provenance, complete or not at all; return the path.

    Parameters
    ----------
    more : further arrays, of numbers or texts, by name; `read_npz` does not read them

    Raises
    ------
    BadInput
        If the path does not end in ``.npz``: it would not be found again as what it is.
    TypeError
        For an array that could only be pickled, or of a name that is taken.
    """
    taken = {"images", "labels", "classes", "provenance"}
    for name, array in more.items():
        if name in taken or array.dtype.hasobject:
            raise TypeError(f"{name}: expected another name, and an array of numbers or texts")
    path = Path(path)
    if path.suffix != ".npz":
        raise BadInput(f"{path}: expected a file name that ends in .npz")
    with atomic_file(path) as file:
        arrays: dict[str, Any] = {"images": dataset.images, "labels": dataset.labels} | more
        arrays |= {
            "classes": np.array(dataset.classes), "provenance": np.array(dataset.provenance),
        }  # fmt: skip
        np.savez_compressed(file, **arrays)
    return path
