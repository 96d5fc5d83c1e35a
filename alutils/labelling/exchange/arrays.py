"""Labelled projects as one npz file, which `alutils.data.loading.load` reads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from alutils.data.dataset import Dataset
from alutils.data.npz import write_npz
from alutils.labelling.exchange.pictures import check_files
from alutils.labelling.store.records import Item, LabellingError
from alutils.labelling.store.sources import Source
from alutils.labelling.store.store import Store

log = logging.getLogger(__name__)
_MOST_BYTES = 2**31  # of pixels in one npz file


def write_dataset(
    store: Store,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    keep: Callable[[Item], bool] = lambda item: True,
) -> str:
    """Write an npz file that `alutils.data.loading.load` reads.

    An npz file holds one array, so all pictures must have one size: with ``size`` all are resized,
    without it those of the most frequent size are taken and the others left out. They are grey if
    all of them are, else RGB. Its ``provenance`` is ``labelled``. The arrays ``path``, ``name``,
    ``file_sha256`` and ``picture_sha256`` tell the person's file that each image came from, '' for
    nothing; further files that hold the same picture are in ``other_path``, ``other_name`` and
    ``other_file_sha256``, with the image's place in ``other_image``.

    Parameters
    ----------
    path : must end in ``.npz``
    size : (height, width) in pixels
    keep : which labelled pictures to take; ``lambda item: item.label_source == "human"``, say

    Returns
    -------
    what was left out or changed, in words, '' if nothing; it is logged, too

    Raises
    ------
    LabellingError
        If there is no labelled picture to write, or too much for one file.
    """
    items = [item for item, _ in store.reader.labelled() if keep(item)]
    if not items:
        raise LabellingError("no picture has a label yet: label some, then export")
    check_files(store, ((item.sha256, item.name) for item in items))
    note = ""
    if size is None:
        sizes = [(item.height, item.width) for item in items]
        usual = max(sorted(set(sizes)), key=sizes.count)
        fitting = [item for item in items if (item.height, item.width) == usual]
        if len(fitting) < len(items):
            note = (
                f"{len(items) - len(fitting):,} of {len(items):,} pictures are not "
                f"{usual[0]} x {usual[1]} pixels and were left out; give a size to have all resized"
            )
        items, size = fitting, usual
    if len(items) * size[0] * size[1] * 3 > _MOST_BYTES:
        raise LabellingError(
            f"{len(items):,} pictures of {size[0]} x {size[1]} are too much for one npz file; give "
            "a smaller size, or take the class folders as they are"
        )
    pictures, changed = [], 0
    for item in items:
        picture = _opened(store, item)
        if picture.size != size[::-1]:
            picture, changed = picture.resize(size[::-1], Image.Resampling.BICUBIC), changed + 1
        pictures.append(picture)
    if changed:
        note = (
            f"{changed:,} of {len(items):,} pictures were resized to {size[0]} x {size[1]} pixels"
        )
    grey = all(picture.mode == "L" for picture in pictures)
    images = np.stack([np.asarray(p if grey else p.convert("RGB")) for p in pictures])
    names = tuple(c.name for c in store.classes.all())
    labels = np.array([names.index(item.label) for item in items], np.int64)
    more = _origins(store, items)
    write_npz(Dataset(images, labels, names, "labelled", path.stem), path, **more)
    if note:
        log.warning("%s: %s", path, note)
    return note


def _opened(store: Store, item: Item) -> Image.Image:
    """Return a picture, grey or RGB; LabellingError where its file cannot be read."""
    try:
        with Image.open(store.files.picture(item.sha256), formats=("PNG",)) as image:
            return image.convert("L" if image.mode in ("1", "L") else "RGB")
    except Exception as error:  # OSError, SyntaxError, ValueError, zlib.error ...: all damage
        raise LabellingError(
            f"{item.name}: the file of this labelled picture is missing or damaged; bring it again "
            "(its label is kept), or reject it in Review; then export"
        ) from error


def _origins(store: Store, items: list[Item]) -> dict[str, np.ndarray]:
    """Return which of the person's files the images came from, as arrays by name."""
    sources = store.sources.of()
    files = [sources.get(item.id) or [Source(item.id, None, item.name)] for item in items]
    others = [(place, file) for place, found in enumerate(files) for file in found[1:]]
    told = _texts("", [found[0] for found in files]) | _texts(
        "other_", [file for _, file in others]
    )
    return told | {
        "picture_sha256": np.array([item.sha256 for item in items], np.str_),
        "other_image": np.array([place for place, _ in others], np.int64),
    }


def _texts(begin: str, files: list[Source]) -> dict[str, np.ndarray]:
    columns = {
        "path": [file.path or "" for file in files],
        "name": [file.name for file in files],
        "file_sha256": [file.sha256 for file in files],
    }
    return {begin + name: np.array(values, np.str_) for name, values in columns.items()}
