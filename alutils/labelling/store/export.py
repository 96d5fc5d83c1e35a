"""Labelled projects as files that other programs read: class folders, CSV, JSON lines, npz.

``FOLDER/labelling/classes`` is a data set as it stands, for notebook 03 too: ``-p data
FOLDER/labelling/classes``. What is written here is a copy of one moment, with where each label came
from.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from alutils.base.files import atomic_file, write_atomically
from alutils.data.dataset import Dataset
from alutils.data.npz import write_npz
from alutils.labelling.store.names import file_name
from alutils.labelling.store.records import Item, LabellingError
from alutils.labelling.store.store import Store

log = logging.getLogger(__name__)
COLUMNS = (
    "id", "sha256", "name", "width", "height", "picture_source", "added", "audit", "label",
    "label_source", "person", "model", "when", "predicted", "confidence", "threshold", "hidden",
    "replaced", "file",
)  # fmt: skip
_OF_EVENT = (
    "kind", "label", "replaced", "person", "model", "when", "confidence", "threshold",
)  # fmt: skip
_MOST_BYTES = 2**31  # of pixels in one npz file


def rows(store: Store) -> Iterator[dict[str, Any]]:
    """Yield what is known of each labelled picture, by `COLUMNS`; None where there is nothing.

    ``predicted``, ``confidence`` and ``model`` are those of the moment at which the label was
    given; ``replaced`` is the class before; ``file`` is relative to ``FOLDER/labelling``.
    """
    folders: dict[str | None, str] = {c.name: c.folder for c in store.classes.all()}
    for item, event in store.reader.labelled():
        values = asdict(item) | asdict(event)
        values |= {
            "id": item.id,
            "picture_source": item.source,
            "label": item.label,
            "file": f"classes/{folders[item.label]}/{file_name(item.name, item.id)}",
        }
        yield {name: values[name] for name in COLUMNS}


def write_csv(store: Store, path: Path) -> None:
    """Write a row for each labelled picture, `COLUMNS` first, UTF-8.

    A text that begins like a formula (``= + - @``, a tab) gets an apostrophe in front: spreadsheets
    would run it, and file names come from strangers. JSON lines hold the names as they are.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows(store):
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    write_atomically(path, text.getvalue().encode(errors="replace"))


def _harmless(value: Any) -> Any:
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value


def write_json_lines(store: Store, path: Path) -> None:
    """Write an object for each labelled picture, a line each, with its history under ``events``."""
    history = store.reader.history()
    with atomic_file(path) as file:
        for row in rows(store):
            row["events"] = [
                {name: getattr(event, name) for name in _OF_EVENT} for event in history[row["id"]]
            ]
            file.write(json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n")


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
    all of them are, else RGB. Its ``provenance`` is ``labelled``.

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
        with Image.open(store.files.picture(item.sha256), formats=("PNG",)) as image:
            picture = image.convert("L" if image.mode in ("1", "L") else "RGB")
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
    write_npz(Dataset(images, labels, names, "labelled", path.stem), path)
    if note:
        log.warning("%s: %s", path, note)
    return note
