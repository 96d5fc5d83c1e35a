"""Pictures one after another, with their names: from folders, npz files and tables of letters.

`load` holds a whole data set in memory, all of it good and alike. A stream holds a few pictures at
a time, of any sizes, and gives what cannot be read its place, too, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from alutils.base.errors import BadInput
from alutils.base.files import expanded, is_there
from alutils.data.streams.arrays import CsvStream, NpzStream
from alutils.data.streams.entry import Stream
from alutils.data.streams.files import FolderStream


def open_stream(path: str | Path, leave_out: Collection[Path] = ()) -> Stream:
    """Return the pictures of a folder, of one picture file, of an npz file or of a CSV.

    Parameters
    ----------
    path : a folder, which is read with the folders inside it; a picture; an npz file with
        ``images``; a CSV in the format of the Kaggle letters
    leave_out : files and folders inside it that are no pictures of it: results, say

    Raises
    ------
    BadInput
        If there is no such file or folder, or there are no pictures in it.
    OSError
        If it cannot be read.
    """
    if not str(path).strip():
        raise BadInput("pictures='': expected a folder or a file")
    path = expanded(path)
    if not is_there(path):
        raise BadInput(f"{path}: there is no such file or folder; check the spelling")
    kind = path.suffix.lower()
    if path.is_dir() or kind not in (".npz", ".csv"):
        return FolderStream(path, leave_out)
    return NpzStream(path) if kind == ".npz" else CsvStream(path)
