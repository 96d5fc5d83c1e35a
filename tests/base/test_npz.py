"""Arrays out of npz files: whole, damaged at any byte, cut at any byte, something else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.base.npz import read_arrays


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "whole.npz"
    np.savez(path, a=np.arange(50), names=np.array(["x", "yy"]), of="digest")
    return path


def test_all_arrays_come_back(whole):
    arrays = read_arrays(whole)
    assert list(arrays) == ["a", "names", "of"]
    assert arrays["a"].tolist() == list(range(50))
    assert str(arrays["of"]) == "digest"


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3), st.data())
def test_a_damaged_file_gives_its_arrays_or_a_value_error(whole, changes, data):
    content = bytearray(whole.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    damaged = whole.with_name("damaged.npz")
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        arrays = read_arrays(damaged)
    except ValueError as error:
        assert "damaged.npz" in str(error) or error.__cause__ is None
    else:
        assert len(arrays) <= 3


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x80\x04K\x01.", b"PK\x03\x04"])
def test_something_else_is_no_npz_file(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz is not an npz file"):
        read_arrays(path)


def test_object_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "objects.npz")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npz")
