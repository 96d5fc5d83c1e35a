"""The folder in which the labelling tool keeps a project, told from people's own folders.

It lies beside people's pictures, so whoever looks through those passes it over, and nothing else: a
person may have a folder of the same name.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from alutils.base.files import write_atomically

NAME = "labelling"
MARK = ".alutils-project.json"
"""In every project's folder. It says where the pictures are, from there."""
DATABASE = "labels.sqlite"
CERTIFICATES, REPLACED = "certificates", "replaced"
"""Folders below it: certificates as files; what another database took the place of."""
_PICTURE = re.compile(r"[0-9a-f]{64}\.png")


def is_project(folder: Path | str) -> bool:
    """Tell whether a folder is a project's, also one of a version that wrote no mark yet."""
    folder = Path(folder)
    return (folder / MARK).is_file() or _is_old(folder)


def _is_old(folder: Path) -> bool:
    if os.path.lexists(folder / DATABASE):
        whole = (folder / "images").is_dir() and (folder / "classes").is_dir()
        return folder.name == NAME or whole
    # Its database was moved away: pictures are there under their hashes.
    kept = (folder / "images").glob("[0-9a-f][0-9a-f]/*.png")
    return any(_PICTURE.fullmatch(path.name) for path in kept)


def write_mark(folder: Path, pictures: Path) -> None:
    """Say in a project's folder that it is one, and where its pictures are; once.

    They are kept as a path from there where the project lies among them, so that both can be moved.
    """
    at, where = folder.resolve(), os.fspath(pictures.resolve())
    if at.is_relative_to(where):
        where = os.path.relpath(where, at)
    told = {"made_by": "alutils label", "pictures": where, "at": os.fspath(at)}
    if _told(folder) != told:
        write_atomically(folder / MARK, json.dumps(told) + "\n")


def pictures_of(folder: Path) -> Path | None:
    """Return the folder of pictures that a project's folder names; None where it names none."""
    where = _told(folder).get("pictures")
    return (folder / where).resolve() if isinstance(where, str) and where else None


def was_moved(folder: Path) -> bool:
    """Tell whether a project's folder lies elsewhere than where it was marked."""
    return _told(folder).get("at") != os.fspath(folder.resolve())


def _told(folder: Path) -> dict[str, object]:
    """Return what the mark says; nothing where there is none, or a damaged one."""
    try:
        told = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
