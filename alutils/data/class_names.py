"""True names of classes whose folders could not be called so.

No file system takes every name that people give to classes: ``/`` and ``.`` are none, and ``a``
beside ``A`` is the same folder on many. So whoever writes class folders keeps the names beside
them, in a file that `alutils.data.folders.read_folder` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from alutils.base.errors import BadInput
from alutils.base.files import write_atomically
from alutils.base.names import is_writable

NAMES = ".class-names.json"


def write_names(folder: Path, names: Mapping[str, str]) -> None:
    """Keep the names of classes beside their folders; no file is kept where all are the same.

    Parameters
    ----------
    folder : that holds the class folders; must be there
    names : of the classes, by the names of their folders
    """
    if told := names_file(names):
        write_atomically(folder / NAMES, told)
    else:
        (folder / NAMES).unlink(missing_ok=True)


def names_file(names: Mapping[str, str]) -> bytes:
    """Return what the file `NAMES` holds for these names, by folder; nothing where all are alike.

    For those who write it into an archive; `write_names` writes it into a folder.
    """
    told = {each: name for each, name in names.items() if each != name}
    return json.dumps(told, indent=1).encode() + b"\n" if told else b""


def read_names(folder: Path) -> dict[str, str]:
    """Return names of classes by their folders' names, of those folders that have another.

    BadInput for a file that holds something else, or gives one name to two folders.
    """
    path = folder / NAMES
    if not path.is_file():
        return {}
    way = "delete it, to take the names of the folders"
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); expected JSON", way) from error
    if not isinstance(names, dict) or not all(isinstance(n, str) and n for n in names.values()):
        raise BadInput(f"{path}: expected names of classes by the names of their folders", way)
    for name in names.values():
        if not is_writable(name):
            raise BadInput(f"{path}: gives the name {name!a}, expected whole characters", way)
    twice = sorted(name for name in set(names.values()) if list(names.values()).count(name) > 1)
    if twice:
        raise BadInput(f"{path}: gives several folders the name {twice[0]!r}, expected one", way)
    return names
