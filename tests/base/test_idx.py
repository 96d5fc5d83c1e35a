"""Files in the idx format: what was written comes back, damage is named."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from alutils.base.idx import read_idx


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.tobytes()


@given(
    arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, min_side=0, max_side=5)), st.booleans()
)
def test_what_was_written_comes_back_packed_or_not(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("idx") / "x-ubyte"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = read_idx(path)
    assert np.array_equal(read, array) and read.dtype == np.uint8 and read.flags.writeable


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no idx file: it begins with nothing"),
        (b"\x89PNG....", "no idx file: it begins with 89504e47"),
        (GOOD[:-1], r"has 39 bytes, expected 40 for an array of shape \(2, 3, 4\)"),
        (GOOD + b"x", "has 41 bytes, expected 40"),
        (GOOD[:10], "expected"),
        (idx(np.zeros(3, np.uint8), kind=13), "numbers of type 0x0d, expected bytes"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "has 16 bytes, expected 79,228"),
        (b"\0\0\x08\0", "has 4 bytes, expected 5"),
        (gzip.compress(GOOD, mtime=0)[:-9], "cannot be unpacked"),
        (b"\x1f\x8bnonsense", "cannot be unpacked"),
    ],
)
def test_damage_is_named(tmp_path, content, message):
    path = tmp_path / "x-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)
