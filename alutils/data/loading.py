"""A data set by its name, or from a file or folder."""

import difflib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from alutils.base import artefacts
from alutils.base.errors import BadInput
from alutils.base.files import expanded, is_there, repository_root
from alutils.data import csv_letters, fashion, folders, idx, mnist, npz
from alutils.data.dataset import Dataset
from alutils.data.folders import as_asked, check_room, sides
from alutils.data.skips import Skips, check_choice

_log = logging.getLogger("alutils")

# The smallest class has 1,120 letters, as in the real set; 70% of all are as many letters as the
# report's balanced pool holds, 26 times 1,120.
RENDERED_N = 41_600
RENDERED_AT_LEAST = 1_120
AZ_ROWS = (372_450, 372_451)  # in the report, and with the row that pandas takes for a header

NAMES = ("az", "fashion", "mnist", "mnist_article", "rendered")


def load(
    spec: str | Path,
    *,
    seed: int = 0,
    on_bad: str = "error",
    colour: str | None = None,
    size: int | tuple[int, int] | None = None,
) -> Dataset:
    """Return a data set by its name or from a file or folder.

    Parameters
    ----------
    spec : ``rendered``: 41,600 letters rendered from handwriting fonts, as uneven as real ones,
        1,120 or more of each class. ``az``: Kaggle's handwritten letters. ``mnist``: all 70,000
        digits, the test digits last. ``fashion``: 70,000 clothes, likewise. ``mnist_article``: the
        4,000 + 400 of the article. Else the path of a CSV in the format of the Kaggle letters, of
        an npz file with ``images`` and ``labels``, of an idx file as MNIST's (its partner lies
        beside it), or of a folder of class folders; a relative one is looked for in the working
        directory, then in the repository. ``./az`` is a path, ``az`` is not
    seed : of the rendered letters
    on_bad : what to do with rows and files that cannot be used: ``error`` or ``skip``, which counts
        and reports them. See `alutils.data.csv_letters.csv_chunks` and
        `alutils.data.folders.read_folder`, which have more options
    colour : ``grey`` or ``rgb`` converts all images to one kind; None or ``auto`` keeps them as
        they are, and in a folder they must then be all grey or all in colour
    size : height and width in pixels (one number: both) that all images are resized to; None keeps
        them as they are, and in a folder they must then be of one size

    Raises
    ------
    alutils.base.errors.BadInput
        If there is no such name or file, or it holds something else.
    alutils.base.artefacts.ArtefactError
        If a download is needed and cannot be had.
    """
    check_choice("on_bad", on_bad)
    colour = "auto" if colour is None else colour
    check_choice("colour", colour, ("auto", "grey", "rgb"))
    both = isinstance(size, int | np.integer) and not isinstance(size, bool)
    size = sides((size, size) if both else size)
    if spec == "rendered":
        from alutils.data.rendering import rendered_dataset

        loaded = rendered_dataset(RENDERED_N, seed, at_least=RENDERED_AT_LEAST)
    elif spec == "az":
        loaded = _az(on_bad)
    elif spec == "mnist":
        loaded = _whole(spec, *mnist.mnist())
    elif spec == "mnist_article":
        loaded = _whole(spec, *mnist.mnist_article())
    elif spec == "fashion":
        loaded = _whole(spec, *fashion.fashion())
    else:
        loaded = _load_path(spec, on_bad, colour, size)
    return converted(loaded, colour, size)


def _whole(name: str, train: Dataset, test: Dataset) -> Dataset:
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels])
    return replace(train, images=images, labels=labels, name=name)


def converted(data: Dataset, colour: str, size: tuple[int, int] | None) -> Dataset:
    """Return a data set with all images in another colour and size, as `load` takes these."""
    images = data.images
    n_dimensions = {"auto": images.ndim, "grey": 3, "rgb": 4}[colour]
    if images.ndim == n_dimensions and size in (None, images.shape[1:3]):
        return data
    pictures = (as_asked(Image.fromarray(image), colour, size) for image in images)
    first = next(pictures, None)  # its size is checked: of one picture there is room for that
    if first is None:
        return data
    check_room(len(images), first.shape)
    made = np.empty((len(images), *first.shape), np.uint8)
    made[0] = first
    for place, picture in enumerate(pictures, 1):
        made[place] = picture
    return replace(data, images=made)


def _az(on_bad: str) -> Dataset:
    kept = az_path()
    if kept.is_file():
        try:
            return npz.read_npz(kept)
        except BadInput as error:
            _log.warning("%s in the cache is not used and made again: %s", kept.name, error)
    table = artefacts.az_kaggle()
    skips = Skips()
    letters = csv_letters.read_csv(table, on_bad, provenance="kaggle", progress=True, report=skips)
    letters = replace(letters, name="az")
    if skips.total or len(letters) not in AZ_ROWS:
        _log.warning("az: %d letters instead of %d; not kept", len(letters), AZ_ROWS[0])
        return letters
    try:
        npz.write_npz(letters, kept)
    except OSError as error:  # the letters are good all the same
        _log.warning("%s could not be kept for the next time: %s", kept.name, error)
    return letters


def az_path() -> Path:
    """Where Kaggle's letters are kept once they are read."""
    return artefacts.cache_folder() / "az.npz"


def _load_path(spec: str | Path, on_bad: str, colour: str, size: tuple[int, int] | None) -> Dataset:
    path = find(spec)
    if path.is_dir():
        return folders.read_folder(path, on_bad, colour=colour, size=size, progress=True)
    if path.suffix.lower() == ".csv":
        return csv_letters.read_csv(path, on_bad, progress=True)
    if path.suffix.lower() == ".npz":
        return npz.read_npz(path)
    if idx.is_idx(path):
        return idx.read_idx_pair(path)
    raise BadInput(
        f"{spec}: a {path.suffix or 'file without suffix'} is not read; expected .csv, .npz, "
        "-ubyte.gz or a folder of class folders (unpack an archive first)"
    )


def find(spec: str | Path) -> Path:
    """Return the path that is meant, looked for from the working directory, then the repository.

    BadInput, with the places where it was looked for, if there is none.
    """
    if not isinstance(spec, str | Path) or not str(spec).strip():
        raise BadInput(f"data={spec!r}: expected {', '.join(NAMES)} or a path")
    path = expanded(spec)
    places = list(dict.fromkeys((Path.cwd() / path, repository_root() / path)))
    for place in places:
        if is_there(place):
            return place
    near = difflib.get_close_matches(str(spec).lower(), NAMES, 1)
    raise BadInput(
        f"data={str(spec)!r}: no such name ({', '.join(NAMES)}) and no such file or folder; looked "
        f"for {' and '.join(map(str, places))}"
        + (f"; did you mean {near[0]}?" if near else "; check the spelling, or give a whole path")
    )
