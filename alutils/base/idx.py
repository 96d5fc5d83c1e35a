"""Files in the idx format, as MNIST and its likes come in, packed by gzip or not."""

import gzip
import struct
from pathlib import Path

import numpy as np

_PACKED = b"\x1f\x8b"
_BYTES = 8  # the code of the type uint8


def read_idx(path: Path) -> np.ndarray:
    """Read the array of whole numbers from 0 to 255 in an idx file.

    Two zero bytes, the type, the number of dimensions, their lengths as big-endian 32-bit numbers,
    then the data, the last dimension fastest (LeCun, Cortes and Burges, 1998).

    Returns
    -------
    uint8 of any number of dimensions

    Raises
    ------
    ValueError
        If the file is damaged, or is no such file.
    OSError
        If it cannot be read.
    """
    data = path.read_bytes()
    if data.startswith(_PACKED):
        try:
            data = gzip.decompress(data)
        except Exception as error:  # zlib and gzip raise what the damage leads them to
            raise ValueError(f"{path.name} cannot be unpacked: {error}") from error
    if len(data) < 4 or data[:2] != b"\0\0":
        raise ValueError(
            f"{path.name} is no idx file: it begins with {data[:4].hex() or 'nothing'}"
        )
    kind, n = data[2], data[3]
    if kind != _BYTES:
        raise ValueError(f"{path.name} holds numbers of type {kind:#04x}, expected bytes (0x08)")
    begin = 4 + 4 * n
    shape = struct.unpack(f">{n}I", data[4:begin]) if n and len(data) >= begin else ()
    expected = begin + int(np.prod(shape, dtype=object))
    if not shape or len(data) != expected:
        raise ValueError(
            f"{path.name} has {len(data):,} bytes, expected {expected:,} for an array of shape "
            f"{shape}"
        )
    return np.frombuffer(data, np.uint8, offset=begin).reshape(shape).copy()
