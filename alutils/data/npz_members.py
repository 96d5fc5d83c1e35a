"""The wanted arrays of an npz file, each held against its own header before it is read.

NumPy believes a header: it asks for the memory that it names, takes the last of two arrays of one
name, and passes over what comes behind an array.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from alutils.base.downloads import one_line
from alutils.base.errors import BadInput

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_AGAIN = "save the file again with numpy.savez"


def read_members(path: Path, needed: Collection[str], others: Collection[str] = ()) -> dict:
    """Return arrays of an npz file by their names; what else is in it is not looked at.

    Parameters
    ----------
    path : of the file, which can be opened
    needed : names of arrays that must be there
    others : names of arrays that are taken if they are there

    Raises
    ------
    BadInput
        If one that is needed is not there, one is there twice, holds Python objects, or is not as
        long as its header says; and for a file that is damaged or no npz file.
    """
    if not zipfile.is_zipfile(path):
        raise _damaged(path, f"{path.name} is not an npz file", needed)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(each.filename.removesuffix(".npy"), each) for each in archive.infolist()]
            names = [name for name, _ in members]
            for name in needed:
                if name not in names:
                    raise BadInput(
                        f"{path} holds no array {name!r}, only "
                        f"{', '.join(map(repr, names)) or 'nothing'}; expected "
                        f"{' and '.join(needed)}: save it again under these names"
                    )
            wanted = [each for each in members if each[0] in (*needed, *others)]
            for name, _ in wanted:
                if names.count(name) > 1:
                    raise BadInput(f"{path} holds the array {name!r} more than once, expected one",
                                   _AGAIN)  # fmt: skip
            return {name: _array(archive, each, f"{path}: {name}") for name, each in wanted}
    except BadInput:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise whatever the damage leads them to
        raise _damaged(path, error, needed) from error


def _damaged(path: Path, why: object, needed: Collection[str]) -> BadInput:
    return BadInput(
        f"{path} is damaged or no npz file of plain arrays ({one_line(why)}); expected one "
        f"with {' and '.join(needed)}, as numpy.savez writes it"
    )


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> np.ndarray:
    with archive.open(member.filename) as file:
        header = _HEADERS.get(npy.read_magic(file))
        if header is None:  # only names of fields need a later one
            raise BadInput(f"{where}: has fields with names, expected plain numbers", _AGAIN)
        shape, _, dtype = header(file)
        if dtype.hasobject:
            plain = "make it plain first, as with numpy.array(values.tolist())"
            raise BadInput(f"{where}: is an array of Python objects, expected a plain one", plain)
        length, expected = member.file_size - file.tell(), dtype.itemsize * math.prod(shape)
        if length != expected or any(side < 0 for side in shape):
            found = f"has {length:,} bytes, expected {expected:,} for {dtype} of shape {shape}"
            raise BadInput(f"{where}: {found}: it is cut or damaged", _AGAIN)
        file.seek(0)
        try:
            array = npy.read_array(file, allow_pickle=False)
        except MemoryError:
            problem = f"takes {expected / 2**30:,.1f} GiB, more memory than there is"
            raise BadInput(f"{where}: {problem}", "divide it into several files") from None
        file.read(1)  # at the end the check sum is looked at
        return array
