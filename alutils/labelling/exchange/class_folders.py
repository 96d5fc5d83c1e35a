"""Class folders as files of labels: what is in a folder belongs to the class that it is called."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from alutils.base.project_folder import is_project
from alutils.labelling.exchange.exporting import kind_of
from alutils.labelling.exchange.pictures import TABLE
from alutils.labelling.exchange.reading import BAD_LINE, Contents, Problem, Said, read
from alutils.labelling.store.files import sha256_of
from alutils.labelling.store.names import checked_name
from alutils.labelling.store.records import LabellingError

NO_PICTURE = "files that are no picture of this project"


_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}
_METADATA = ("metadata.jsonl", "metadata.csv")  # Hugging Face's image folders
_COCO = "annotations.json"


def files_below(folder: Path) -> list[Path]:
    """Files in a folder and in those below it, sorted; no hidden ones, no links out of it.

    Projects of the labelling tool that lie there are passed over.
    """
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not (f.startswith(".") or is_project(Path(where, f)))]
        paths = (Path(where, name) for name in names if not name.startswith("."))
        inside = folder.resolve()
        found += [p for p in paths if p.is_file() and p.resolve().is_relative_to(inside)]
    return sorted(found)


def read_folders(
    folder: Path, kept_hash: Callable[[Path], str], classes: Mapping[str, str]
) -> Contents:
    """Read class folders: the picture of each file belongs to the class that its folder is called.

    Pictures are found by their content alone. Files that lie beside the class folders have no
    class; deeper folders belong to the class of the first.

    Whose labels they are is known of the tool's own export alone, whose table lies beside them: a
    picture that is still where the table says has its label from who gave it, a person or a model.
    One that somebody moved to another class has that person's. Other folders may be copies of what
    a model said: they confirm no automatic label.

    Parameters
    ----------
    folder : that holds a folder for each class
    kept_hash : reads a picture's file; returns the hash that the project would keep it under, '' if
        it is no picture
    classes : names of classes by their folders' names, where these differ

    Raises
    ------
    LabellingError
        If there is no file in a class folder, the folders' names are not what says the classes, or
        they lie in a project's own folder.
    """
    _check_place(folder)
    contents = Contents(to_settle=True)
    files = files_below(folder)
    _check_kind(folder, files)
    told = _table(folder)
    for number, path in enumerate(files, 1):
        parts = path.relative_to(folder).parts
        if len(parts) == 1:
            contents.unlabelled += 1
            continue
        sha256 = kept_hash(path)
        try:
            label = checked_name(classes.get(parts[0], parts[0]))
        except LabellingError as error:
            contents.problems.append(Problem(BAD_LINE, number, str(error)))
            continue
        if not sha256:
            contents.problems.append(Problem(NO_PICTURE, number, repr("/".join(parts))))
            continue
        # The export may be of a project that wrote the same picture in other bytes.
        row = told.get(sha256) or (told.get(sha256_of(path)) if told else None)
        said = Said(number, "/".join(parts), (sha256,), label, may_be_copy=row is None)
        if row is not None and row.label == label:
            said = replace(said, person=row.person, automatic=row.automatic)
        elif row is not None:
            contents.moved += 1
        contents.said.append(said)
    if not contents.said and not contents.problems:
        raise LabellingError(
            f"{folder}: holds no class folders with pictures; expected {folder.name}/CLASS/PICTURE"
        )
    return contents


def _check_place(folder: Path) -> None:
    """Refuse what a project works with: its class folders do not tell a model's labels."""
    whole = folder.resolve()
    if root := next((each for each in (whole, *whole.parents) if is_project(each)), None):
        raise LabellingError(
            f"{folder}: lies in a project's own folder, which does not say which labels are a "
            f"model's; export that project (python -m alutils export {root} --to csv --out "
            "labels.csv), and import labels.csv"
        )


def _table(folder: Path) -> dict[str, Said]:
    """Return what the table of the tool's own export says, by pictures' hashes; {} without one."""
    path = folder / TABLE
    if not path.is_file():
        if kind_of(folder) == "folders":
            raise LabellingError(
                f"{folder}: is an export of the tool, and {TABLE}, which says which labels are a "
                "model's, is not there; bring it back, or export once more and import that"
            )
        return {}
    table = read(path.read_bytes(), str(path))
    for problem in table.problems:
        raise LabellingError(
            f"{path}: line {problem.line}: {problem.text}; expected the table as the tool exported "
            "it, which says which labels are a model's; export once more and import that"
        )
    return {sha256: said for said in table.said for sha256 in said.hashes}


def _check_kind(folder: Path, files: list[Path]) -> None:
    """Refuse folders of other kinds: each picture would get a class called train or images."""
    inside = [path.relative_to(folder) for path in files]
    for path in inside:
        if path.name in _METADATA and len(path.parts) == 2:
            raise LabellingError(
                f"{folder}: its labels are in {path.as_posix()}, not in the names of its folders; "
                f"import {folder / path}"
            )
        if path.name == _COCO and len(path.parts) == 1:
            raise LabellingError(
                f"{folder}: its labels are in {_COCO} (COCO), which is not read; expected class "
                "folders; export them as CSV or class folders where they come from, and import that"
            )
    deep = [path for path in inside if len(path.parts) > 1]
    parts = sorted({path.parts[0] for path in deep})
    if parts and {part.lower() for part in parts} <= _PARTS and all(len(p.parts) > 2 for p in deep):
        raise LabellingError(
            f"{folder}: {', '.join(parts)} are parts of a data set, no classes; import each by "
            f"itself, {folder / parts[0]} first"
        )
