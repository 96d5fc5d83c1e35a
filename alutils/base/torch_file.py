"""Tensors out of a weight file of torch's old format (before 2020's zip files), without torch.

Such a file is a sequence of pickles (a magic number, a version, facts of the system, an ordered
dictionary of tensors, the keys of their storages), then the storages themselves as raw numbers. A
pickle can run any code when it is read. Here it cannot: its instructions are read first and all but
those that such a file needs are refused, and of names it may ask for the four of `_ALLOWED` only,
which stand for harmless objects of this module.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
MOST_BYTES = 2**30
"""Larger files are refused before they are read: the ones that this project knows have 25 MB."""

_INSTRUCTIONS = {
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "LONG1", "BININT", "BININT1", "BININT2",
    "BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "GLOBAL", "REDUCE", "BUILD", "BINPERSID",
}  # fmt: skip
"""What the pickles of such a file are made of; names for objects are among them (``GLOBAL``)."""


class TorchFileError(ValueError):
    """A file that is damaged, or that holds anything but tensors; the message is one line."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """Where a tensor's numbers lie: the key of a storage, their type and how many there are."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor as its pickle describes it: an array of this size and stride in a storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Rebuild:
    """Stand in for torch's function that puts a tensor together."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *unused: Any) -> _Tensor:
        numbers = (offset, *size, *stride)
        if not isinstance(storage, _Storage) or len(size) != len(stride):
            raise TorchFileError("a tensor has no storage, or not a stride for each dimension")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise TorchFileError(f"a tensor has size {size}, stride {stride}, offset {offset}")
        return _Tensor(storage, offset, tuple(size), tuple(stride))


_ALLOWED: dict[str, Any] = {
    "collections OrderedDict": OrderedDict,
    "torch FloatStorage": "<f4",
    "torch LongStorage": "<i8",
    "torch._utils _rebuild_tensor_v2": _Rebuild(),
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the names of `_ALLOWED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[f"{module} {name}"]
        except KeyError:
            raise TorchFileError(f"it asks for {module}.{name}, which is no tensor") from None

    def persistent_load(self, pid: Any) -> _Storage:
        what, dtype, key, _device, count, view = pid
        if what != "storage" or view is not None or dtype not in ("<f4", "<i8"):
            raise TorchFileError("a storage is described in a way that is not known")
        if type(count) is not int or count < 0 or not isinstance(key, str):
            raise TorchFileError(f"a storage has key {key!r} and {count!r} numbers")
        return _Storage(key, dtype, count)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read all tensors of a weight file.

    Parameters
    ----------
    path : file that ``torch.save`` wrote in its old format: a dictionary of tensors, float32 or
        int64, by name

    Returns
    -------
    name -> C-contiguous array of its own, in the order of the file

    Raises
    ------
    TorchFileError
        For a file that is cut, damaged, too large, of another format, or that holds anything but
        tensors. Nothing that the file says is run.
    """
    if path.stat().st_size > MOST_BYTES:
        raise TorchFileError(f"{path.name} has more than {MOST_BYTES} bytes")
    content = path.read_bytes()
    place = 0
    try:
        found = []
        for _ in range(5):
            value, place = _pickle(content, place)
            found.append(value)
            if len(found) == 1 and value != MAGIC:
                raise TorchFileError("not a weight file of torch's old format")
        _, version, system, tensors, keys = found
        if version != VERSION or not system["little_endian"]:
            raise TorchFileError(f"torch's format {version}, expected {VERSION}, little-endian")
        storages = _storages(content, place, keys, tensors)
        return {str(name): _array(name, each, storages) for name, each in tensors.items()}
    except TorchFileError as error:
        raise TorchFileError(f"{path.name}: {error}") from None
    except Exception as error:  # the parser of foreign bytes may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise TorchFileError(f"{path.name}: cut or damaged ({text})") from error


def _pickle(content: bytes, start: int) -> tuple[Any, int]:
    """Return what the pickle that begins at ``start`` holds, and where it ends."""
    stream = io.BytesIO(content)
    stream.seek(start)
    length = 0
    for length, (instruction, argument, _) in enumerate(pickletools.genops(stream), 1):
        if instruction.name not in _INSTRUCTIONS:
            raise TorchFileError(
                f"its pickle has the instruction {instruction.name}, which tensors do not need"
            )
        if instruction.name == "GLOBAL" and argument not in _ALLOWED:
            asked = str(argument).replace(" ", ".")
            raise TorchFileError(f"it asks for {asked}, which is no tensor")
        # Python reserves memory up to the highest number that is named.
        if instruction.name == "LONG_BINPUT" and int(argument or 0) > length:
            raise TorchFileError(f"its pickle keeps object {argument} of {length}")
    end = stream.tell()
    return _Unpickler(io.BytesIO(content[start:end])).load(), end


def _storages(
    content: bytes, place: int, keys: list[str], tensors: dict[str, _Tensor]
) -> dict[str, np.ndarray]:
    """Return the numbers of each storage by its key; they lie one after the other in the file."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor):
            raise TorchFileError(f"{name!r} is no tensor")
    declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if sorted(keys) != sorted(declared):
        raise TorchFileError("the storages that it lists are not those of its tensors")
    found = {}
    for key in keys:
        storage = declared[key]
        (count,) = struct.unpack_from("<q", content, place)
        if count != storage.count:
            raise TorchFileError(f"a storage has {count} numbers, expected {storage.count}")
        found[key] = np.frombuffer(content, storage.dtype, count, place + 8)
        place += 8 + found[key].nbytes
    if place != len(content):
        raise TorchFileError(f"{len(content) - place} bytes follow the last storage")
    return found


def _array(name: str, tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    """Copy one tensor out of its storage."""
    numbers = storages[tensor.storage.key]
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True)
    )
    # A stride of 0 could ask for more memory than the file has bytes.
    if math.prod(tensor.size) > len(numbers) or last >= len(numbers) or 0 in tensor.size:
        raise TorchFileError(
            f"{name!r} has size {tensor.size}, stride {tensor.stride} and offset {tensor.offset}: "
            f"its storage has {len(numbers)} numbers"
        )
    strides = [step * numbers.itemsize for step in tensor.stride]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.size, strides)
    return view.copy()
