"""Class folders: a copy of each picture in the folder of its class."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alutils.base.errors import BadInput
from alutils.base.names import folder_name
from alutils.data.class_names import write_names
from alutils.data.streams.entry import Stream

_PARTIAL = ".partial"


def check_place(folder: Path, pictures: Path) -> None:
    """Raise BadInput if class folders cannot be made there, or the pictures lie in them."""
    where = pictures.expanduser().resolve()
    if folder.resolve() in (where, *where.parents):
        raise BadInput(f"{folder}: the pictures lie in it; copy them to another folder")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: is a file; expected a folder, or nothing there yet")


class ClassCopies:
    """Copies of pictures in class folders, which `alutils.data.load` reads as a data set.

    Copies, not links: whatever is done to them, the pictures themselves stay as they are.

    Parameters
    ----------
    folder : that holds a folder for each class
    classes : their names; folders are called after them, as far as file systems allow it
    stream : the pictures
    begun : whether an earlier call has begun to fill the folder; if not, it must be empty

    Raises
    ------
    BadInput
        If it holds something that is not ours.
    """

    def __init__(self, folder: Path, classes: Sequence[str], stream: Stream, begun: bool) -> None:
        self.folder, self.stream = folder, stream
        if not begun and folder.is_dir() and any(folder.iterdir()):
            raise BadInput(
                f"{folder}: is not empty; expected an empty folder, or nothing there yet, so that "
                "copies of several tables do not mix; name another folder"
            )
        self.folders: list[str] = []
        for name in classes:
            self.folders.append(folder_name(name, self.folders))
        names = dict(zip(self.folders, classes, strict=True))
        if any(each != name for each, name in names.items()):
            folder.mkdir(parents=True, exist_ok=True)
            write_names(folder, names)
        for left in folder.glob(f"*/.*{_PARTIAL}"):  # by a process that was killed
            left.unlink()

    def put(self, number: int, class_number: int, pixels: np.ndarray) -> Path:
        """Copy a picture to its class; one that is there already stays, and nothing is replaced.

        Parameters
        ----------
        number : of the entry in the stream
        class_number : its class
        pixels : (height, width[, 3]) uint8, for pictures that have no file
        """
        content = self.stream.content(number, pixels)
        target = self.folder / self.folders[class_number] / self.stream.file_name(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target) and not _is(target, content):
            mark = hashlib.sha256(content).hexdigest()[:16]
            target = target.with_name(f"{target.stem}-{mark}{target.suffix}")
        if not _is(target, content):
            partial = target.with_name(f".{uuid.uuid4().hex}{_PARTIAL}")
            try:
                partial.write_bytes(content)
                partial.rename(target)
            finally:
                partial.unlink(missing_ok=True)
        return target


def _is(path: Path, content: bytes) -> bool:
    there = path.is_file() and not path.is_symlink() and path.stat().st_size == len(content)
    return there and path.read_bytes() == content
