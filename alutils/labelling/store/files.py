"""The files of a labelling project: pictures by their content, and class folders that link to them.

::

    FOLDER/labelling/
        .alutils-project.json    says that it is a project's folder, and where its pictures are
        labels.sqlite            what is true
        images/ab/abcd....png    pictures, named by the SHA-256 of their bytes
        classes/CLASS/NAME.png   hard links to them, rebuilt from the database at any time
        classes/.class-names.json  true names of classes whose folder could not be called so
        backups/                 copies of the database
        aside/                   what was found in classes/ or images/ and is not ours
        model/                   models that were trained here
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from alutils.base.project_folder import MARK
from alutils.data.class_names import NAMES

ASIDE = "aside"
_PARTIAL = ".partial"


class Files:
    """Pictures and links below one folder.

    Parameters
    ----------
    root : the project's folder, ``FOLDER/labelling`` mostly; made if need be
    step : as in `alutils.labelling.store.database.Database`
    reads_only : make no folder
    """

    def __init__(
        self,
        root: Path,
        step: Callable[[str], None] = lambda name: None,
        *,
        reads_only: bool = False,
    ) -> None:
        self.root, self.step = root, step
        self.images, self.classes = root / "images", root / "classes"
        self.aside, self.model = root / ASIDE, root / "model"
        for folder in () if reads_only else (root, self.images, self.classes):
            make_folder(folder)

    def picture(self, sha256: str) -> Path:
        """Where a picture lies or would lie."""
        return self.images / sha256[:2] / f"{sha256}.png"

    def write_picture(self, content: bytes, sha256: str) -> bool:
        """Put a picture on the disk, whole or not at all; False if it was there already."""
        path = self.picture(sha256)
        if path.is_file() and path.stat().st_size == len(content):
            return False
        make_folder(path.parent)
        self.step("picture folder")
        partial = path.with_name(f".{sha256}.{uuid.uuid4().hex}{_PARTIAL}")
        try:
            with partial.open("xb") as file:
                self.step("picture opened")
                file.write(content)
                file.flush()
                self.step("picture written")
                os.fsync(file.fileno())
            self.step("picture synced")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        self.step("picture renamed")
        sync_folder(path.parent)
        self.step("picture folder synced")
        return True

    def link(self, sha256: str, folder: str, name: str) -> Path | None:
        """Make a picture appear in a class folder; returns where what lay there has been moved."""
        picture, target = self.picture(sha256), self.classes / folder / name
        moved = None
        if self.linked(picture, target):
            return None
        if os.path.lexists(target):
            moved = self.move_aside(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.step("class folder")
        try:
            os.link(picture, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links, or too many of them
            partial = target.with_name(f".{uuid.uuid4().hex}{_PARTIAL}")
            try:
                shutil.copyfile(picture, partial)
                self.step("copied")
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
        self.step("linked")
        return moved

    def unlink(self, sha256: str, folder: str, name: str) -> None:
        """Take a picture out of a class folder; another file of that name stays."""
        target = self.classes / folder / name
        if self.linked(self.picture(sha256), target):
            target.unlink()
            self.step("unlinked")
            with os.scandir(target.parent) as others:  # looks at the first, not at thousands
                is_empty = next(others, None) is None
            if is_empty:  # without pictures it is no class of a data set
                target.parent.rmdir()

    @staticmethod
    def linked(picture: Path, target: Path) -> bool:
        """Tell whether ``target`` is this picture: the same file, or a copy of it."""
        if target.is_symlink() or not target.is_file() or not picture.is_file():
            return False
        if picture.samefile(target):
            return True
        same_size = picture.stat().st_size == target.stat().st_size
        return same_size and picture.read_bytes() == target.read_bytes()

    def move_aside(self, path: Path) -> Path:
        """Move what is not ours out of the way; the folders that it lay in go along."""
        target = move_aside(path, self.aside / path.parent.relative_to(self.root))
        self.step("moved aside")
        return target

    def partials(self) -> Iterator[Path]:
        """Files that a write which was cut short left behind."""
        for folder in (self.images, self.classes, self.model):
            yield from folder.glob(f"**/.*{_PARTIAL}")
        yield from self.root.glob(f".{MARK}.*.tmp")
        yield from self.classes.glob(f".{NAMES}.*.tmp")


def make_folder(folder: Path) -> None:
    """Make a folder that is still there after a power cut."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)


def move_aside(path: Path, folder: Path) -> Path:
    """Move a file into a folder, made if need be, under a name that is free there."""
    make_folder(folder)
    target, number = folder / path.name, 2
    while os.path.lexists(target):
        target, number = folder / f"{path.stem}-{number}{path.suffix}", number + 1
    os.rename(path, target)  # noqa: PTH104 - Path.rename follows nothing more, but reads worse
    return target


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk; does nothing on Windows, which cannot."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
