"""Where a project lies: beside its pictures, unless it is wanted elsewhere.

::

    FOLDER/               the person's pictures
    FOLDER/labelling/     the project; labelling-2 where a folder of the person's own is called so

Either folder names the project. A project that lies elsewhere says itself where its pictures are.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from alutils.base.project_folder import MARK, NAME, is_project, pictures_of, was_moved, write_mark
from alutils.base.surfaces import Remedy, write
from alutils.labelling.store.files import make_folder
from alutils.labelling.store.records import LabellingError

LOCK = "lock"
_NAMES = re.compile(rf"{NAME}(?:-([1-9]\d*))?")


@dataclass(frozen=True)
class Place:
    """Where a project lies or would lie.

    Attributes
    ----------
    folder : of the pictures
    root : of the project
    is_new : nothing of the project is there yet
    note : what a person should know of a place that is new, or has changed; '' for nothing
    """

    folder: Path
    root: Path
    is_new: bool = False
    note: str = ""


def find(folder: Path | str, project: Path | str | None = None) -> Place:
    """Find a project, or the place for a new one; nothing is written.

    Parameters
    ----------
    folder : of pictures, or a project's own
    project : the project's folder, where it is not to lie among the pictures

    Raises
    ------
    LabellingError
        If there can be no project.
    """
    folder = Path(folder).absolute()  # others' ideas of where a relative path begins differ
    if folder.exists() and not folder.is_dir():
        raise LabellingError(f"{folder}: is a file; expected a folder of pictures")
    if is_project(folder):
        if project is not None and not _same(folder, Path(project)):
            raise LabellingError(
                f"{folder}: is a project's folder; expected the folder of its pictures beside "
                f"project {project}, or leave that out"
            )
        return Place(pictures_of(folder) or folder.parent, folder)
    if around := next((each for each in folder.parents if is_project(each)), None):
        raise LabellingError(
            f"{folder}: lies in the tool's own folder {around}; give that one, or the folder of "
            "its pictures"
        )
    return _beside(folder) if project is None else _elsewhere(folder, Path(project).absolute())


def _beside(folder: Path) -> Place:
    """Find the project among its pictures."""
    names = [NAME, *_others(folder)]
    for name in names:
        if is_project(root := folder / name) and _is_of(root, folder):
            return Place(folder, root)
    taken = [name for name in names if not _is_free(folder / name)]
    number, root = 1, folder / NAME
    while root.name in taken:
        number += 1
        root = folder / f"{NAME}-{number}"
    whose = "the project of other pictures" if is_project(folder / NAME) else "not the tool's"
    note = f"{folder / NAME} is {whose}: it stays as it is, and the project is in {root.name}"
    return Place(folder, root, True, note if number > 1 else "")


def _others(folder: Path) -> list[str]:
    """Return what else in a folder is called like projects, by the numbers."""
    if not folder.is_dir():
        return []
    try:
        found = [(match, each) for each in os.listdir(folder) if (match := _NAMES.fullmatch(each))]  # noqa: PTH208
    except OSError as error:
        raise LabellingError(
            f"{folder}: cannot be read ({error.strerror}); see that it may be"
        ) from error
    return [name for match, name in sorted(found, key=lambda f: int(f[0][1] or 1)) if match[1]]


def _is_of(root: Path, folder: Path) -> bool:
    """Tell whether these are a project's pictures, as far as it says.

    A link among the pictures says so itself, wherever they are moved.
    """
    pictures = pictures_of(root)
    return pictures is None or _same(pictures, folder) or root.is_symlink()


def _is_free(root: Path) -> bool:
    """Tell whether a project can begin here: there is nothing, or a folder without any file.

    What a start that was cut short left behind counts as nothing.
    """
    if not os.path.lexists(root):
        return True
    return root.is_dir() and all(
        path.is_dir() or path.name == LOCK or path.name.startswith(f".{MARK}.")
        for path in root.rglob("*")
    )


def _elsewhere(folder: Path, root: Path) -> Place:
    """Find the project in a folder that was named."""
    if _same(folder, root):
        raise LabellingError(f"project {root}: is the folder of the pictures; give another one")
    if is_project(root):
        pictures = pictures_of(root)
        if pictures is None or _same(pictures, folder):
            return Place(folder, root)
        if not pictures.is_dir() or was_moved(root):  # a person who names both knows better
            return Place(folder, root, note=f"the pictures of {root} are those in {folder} now")
        raise LabellingError(
            f"project {root}: belongs to the pictures in {pictures}; give another folder for those "
            f"in {folder}"
        )
    if not _is_free(root):
        raise LabellingError(
            f"project {root}: holds what is no project; give a new folder, or an empty one"
        )
    there = _beside(folder)
    note = "" if there.is_new else f"{there.root} is another project of the same pictures"
    return Place(folder, root, True, note)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def begin(place: Place) -> None:
    """Make the project's folder, and mark it as one; LabellingError if it cannot be written."""
    if not place.is_new:
        check_writable(place.root)
    try:
        make_folder(place.root)
        write_mark(place.root, place.folder)
    except OSError as error:
        way = "see that it may be"
        if place.is_new and place.root.parent == place.folder:
            way = write(Remedy("put the project elsewhere", "project", "DIR")) or way
        raise LabellingError(
            f"{place.root}: cannot be written ({error.strerror}); {way}"
        ) from error


def check_writable(root: Path) -> None:
    """Raise LabellingError where nothing can be written into a project's folder.

    Each file that is written there would say so itself, and none what can be done.
    """
    if not os.access(root, os.W_OK):
        raise LabellingError(
            f"{root}: nothing can be written there, so nothing was done; see that it may be "
            "written (its disk may be read-only), or copy it to another place and give that. "
            "`python -m alutils verify` only reads"
        )
