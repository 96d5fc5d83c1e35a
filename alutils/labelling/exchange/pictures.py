"""Labelled projects as folders of pictures that other programs read.

Each format is an iterator over files: a name with ``/`` between its parts, and what is in it, bytes
or the file that is to be copied. `alutils.labelling.exchange.exporting` writes them into a folder
or an archive.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from alutils.data.class_names import NAMES, names_file
from alutils.labelling.exchange import tables
from alutils.labelling.exchange.tables import Row
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

Entry = tuple[str, bytes | Path]
TABLE = ".labels.csv"
"""Beside class folders: which of a person's files each picture is. Hidden, as it is no picture."""
_TOLD = ("label_source", "confidence", "certificate")  # of each label


def class_folders(store: Store) -> Iterator[Entry]:
    """Yield the labelled pictures in a folder for each class.

    The true names of the classes go along, and a table that says which of a person's files each
    picture is.
    """
    names = {c.folder: c.name for c in store.classes.all()}
    rows, folders = [], {}
    for picture, files in _labelled(store):
        path = PurePosixPath(picture["file"]).relative_to("classes")
        folders[path.parent.name] = names[path.parent.name]
        whole = [picture | file | {"file": str(path)} for file in files]
        rows += [{name: row[name] for name in tables.COLUMNS} for row in whole]
        yield str(path), _picture(store, picture)
    if told := names_file(folders):
        yield NAMES, told
    yield TABLE, tables.csv_table(rows)


def hugging_face(store: Store) -> Iterator[Entry]:
    """Yield an image folder for ``datasets.load_dataset("imagefolder", data_dir=...)``.

    The metadata gives each file its ``label``, ``label_source``, ``confidence`` and
    ``certificate``, and what `_origin` tells.
    """
    lines, counts = [], Counter[str]()
    for picture, files in _labelled(store):
        told = {name: picture[name] for name in ("label", *_TOLD)} | _origin(picture, files)
        lines.append(_json({"file_name": _name(picture)} | told))
        counts[picture["label"]] += 1
        yield f"train/{_name(picture)}", _picture(store, picture)
    yield "train/metadata.jsonl", b"".join(line + b"\n" for line in lines)
    classes = "\n".join(f"- {name}: {counts[name]:,}" for name in sorted(counts))
    yield (
        "README.md",
        "---\ntask_categories:\n- image-classification\n---\n\n"
        f"# {store.folder.resolve().name}\n\n{counts.total():,} labelled pictures:\n\n"
        f"{classes}\n".encode(errors="replace"),
    )


def coco(store: Store) -> Iterator[Entry]:
    """Yield COCO's JSON and the pictures that it names.

    COCO has no labels of whole pictures, so each label is an annotation whose box is the picture.
    """
    categories = {c.name: i for i, c in enumerate(store.classes.all(), 1)}
    images: list[Row] = []
    annotations: list[Row] = []
    for row, files in _labelled(store):
        width, height = row["width"], row["height"]
        images.append(
            {"id": row["id"], "file_name": _name(row), "width": width, "height": height}
            | _origin(row, files)
        )
        annotations.append(
            {"id": len(annotations) + 1, "image_id": row["id"],
             "category_id": categories[row["label"]], "bbox": [0, 0, width, height],
             "area": width * height, "iscrowd": 0, "segmentation": []}
            | {name: row[name] for name in _TOLD}
        )  # fmt: skip
        yield f"images/{_name(row)}", _picture(store, row)
    kinds = [{"id": i, "name": name, "supercategory": ""} for name, i in categories.items()]
    info = {"description": store.folder.resolve().name}
    whole = {
        "info": info, "licenses": [], "categories": kinds, "images": images,
        "annotations": annotations,
    }  # fmt: skip
    yield "annotations.json", _json(whole)


def check_files(store: Store, pictures: Iterable[tuple[str, str]]) -> None:
    """Raise LabellingError if files are missing: nobody would see that an export lacks them.

    ``pictures`` are pairs of hash and name.
    """
    lost = [name for sha256, name in pictures if not store.files.picture(sha256).is_file()]
    if lost:
        raise LabellingError(
            f"{len(lost):,} labelled pictures have lost their file, the first {lost[0]!r}; bring "
            "them again (their labels are kept), or reject them in Review; then export"
        )


def _labelled(store: Store) -> list[tuple[Row, list[Row]]]:
    found = [each for each in tables.pictures(store) if each[0]["label"] is not None]
    check_files(store, ((row["picture_sha256"], row["name"]) for row, _ in found))
    return found


def _origin(picture: Row, files: list[Row]) -> Row:
    """Tell the person's file that a picture came from, and the ``other_files`` that hold it."""
    first, *others = files
    told = {name: first[name] for name in ("path", "name", "file_sha256")}
    told |= {"picture_sha256": picture["picture_sha256"]}
    kept = [{name: file[name] for name in ("path", "name", "file_sha256")} for file in others]
    return told | {"other_files": kept}


def _picture(store: Store, row: Row) -> Path:
    return store.files.picture(row["picture_sha256"])


def _name(row: Row) -> str:
    return PurePosixPath(row["file"]).name


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")
