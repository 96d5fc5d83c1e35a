"""Tensors are read as they were written, and nothing that a file says is ever run."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from torch_files import MAGIC, SYSTEM, Tensor, pickled, torch_file, torch_names

from alutils.base import torch_file as reader
from alutils.base.torch_file import TorchFileError, read_tensors

ARRAYS = {
    "stem.weight": np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1),
    "stem.bias": np.array([1.5, -2, 3, 4e30], np.float32),
    "seen": np.array(7, np.int64),
}


def read(tmp_path, content: bytes) -> dict:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return read_tensors(path)


def refusal(tmp_path, content: bytes) -> str:
    """Return the one line that says why a file is refused."""
    with pytest.raises(TorchFileError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith("weights.pth: ") and "\n" not in message and len(message) < 400
    return message


def test_tensors_come_back_with_their_names_types_and_order(tmp_path):
    found = read(tmp_path, torch_file(ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], array)


KIND = st.sampled_from([np.float32, np.int64])


@given(
    array=KIND.flatmap(
        lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, max_side=4))
    ),
    columns_first=st.booleans(),
)
def test_any_tensor_comes_back_however_it_lies_in_its_storage(
    tmp_path_factory, array, columns_first
):
    written = np.asfortranarray(array) if columns_first else array
    found = read(tmp_path_factory.mktemp("file"), torch_file({"x": written}))
    np.testing.assert_array_equal(found["x"], array)


# --- what would run code --------------------------------------------------------------------------


class Runs:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def in_a_tensors_place(call: Runs) -> bytes:
    return torch_file(ARRAYS, extra={"more": call})


MALICIOUS = {
    "a shell command among the tensors": lambda: in_a_tensors_place(Runs(os.system, "touch owned")),
    "eval among the tensors": lambda: in_a_tensors_place(Runs(eval, "open('owned', 'w')")),
    "a way round by getattr": lambda: in_a_tensors_place(Runs(getattr, os.stat, "__self__")),
    "a call in the place of the magic number": lambda: b"cos\nsystem\n(S'touch owned'\ntR.",
    "a call in the place of the system's facts": lambda: torch_file(
        ARRAYS, system=Runs(os.system, "touch owned")
    ),
    "a call in the place of the keys": lambda: torch_file(
        ARRAYS, keys=Runs(os.system, "touch owned")
    ),
    "a call in the place of a tensor": lambda: torch_file(
        ARRAYS, changed=lambda tensor: Runs(os.system, "touch owned")
    ),
    "a class of protocol 0": lambda: pickled(MAGIC) + b"(S'touch owned'\nios\nsystem\n.",
    "a name from the stack": lambda: pickled(MAGIC) + b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "an object made by its class": lambda: pickled(MAGIC) + pickle.dumps(Exception, 4),
    "a name of the registry": lambda: pickled(MAGIC) + b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = MALICIOUS[kind]()
    message = refusal(tmp_path, content)
    assert "asks for" in message or "instruction" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weights.pth"]


def test_a_name_of_torch_that_is_no_tensor_is_refused(tmp_path):
    with torch_names() as torch:
        content = torch_file(ARRAYS, extra={"x": 1}, system=SYSTEM)
        assert "is no tensor" in refusal(tmp_path, content)
        wide = pickled(MAGIC) + pickled(torch.DoubleStorage)
    assert "torch.DoubleStorage" in refusal(tmp_path, wide)


@pytest.mark.parametrize("name", ["torch FloatStorage", "torch._utils _rebuild_tensor_v2"])
def test_what_stands_for_torchs_names_cannot_be_changed_by_a_file(name, tmp_path):
    before = dict(vars(reader))
    module, _, attribute = name.partition(" ")
    build = f"c{module}\n{attribute}\n".encode() + b"}X\x01\x00\x00\x00aK\x01sb."
    refusal(tmp_path, pickled(MAGIC) + b"\x80\x02" + build)
    assert dict(vars(reader)) == before


def test_a_pickle_cannot_make_python_reserve_memory(tmp_path):
    keeps = b"\x80\x02Nr" + struct.pack("<I", 2**31) + b"."
    assert "keeps object" in refusal(tmp_path, pickled(MAGIC) + keeps)


# --- what is damaged, or of another kind ----------------------------------------------------------


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_ends_anywhere_before_its_end_is_refused(tmp_path_factory, share):
    content = torch_file(ARRAYS)
    refusal(tmp_path_factory.mktemp("file"), content[: int(share * len(content))])


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_changed_byte_changes_numbers_or_is_refused_and_nothing_else(
    tmp_path_factory, place, value
):
    content = bytearray(torch_file(ARRAYS))
    content[int(place * len(content))] ^= value
    path = tmp_path_factory.mktemp("file") / "weights.pth"
    path.write_bytes(content)
    try:
        found = read_tensors(path)
    except TorchFileError:
        return
    assert sum(array.nbytes for array in found.values()) <= len(content)


def as_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled({}))
    return file.getvalue()


def with_tensor(**parts):
    def changed(tensor: Tensor) -> Tensor:
        storage, offset, size, stride, *_ = tensor.parts
        now = {"offset": offset, "size": size, "stride": stride} | parts
        return Tensor(storage, now["offset"], now["size"], now["stride"])

    return torch_file({"x": np.ones(6, np.float32)}, changed=changed)


FOREIGN = {
    "nothing": (lambda: b"", "cut or damaged"),
    "text": (lambda: b"not weights at all", "weights.pth"),
    "torch's zip format": (as_zip, "weights.pth"),
    "another magic number": (lambda: torch_file(ARRAYS, magic=5), "old format"),
    "another version": (lambda: torch_file(ARRAYS, version=1002), "1002, expected 1001"),
    "bytes the other way round": (
        lambda: torch_file(ARRAYS, system=SYSTEM | {"little_endian": False}), "little-endian",
    ),
    "bytes at the end": (lambda: torch_file(ARRAYS, tail=b"more"), "4 bytes follow"),
    "no dictionary": (
        lambda: b"".join(map(pickled, (MAGIC, 1001, SYSTEM, [1], []))), "cut or damaged",
    ),
    "a number among the tensors": (lambda: torch_file(ARRAYS, extra={"n": 3}), "'n' is no tensor"),
    "storages of other tensors": (lambda: torch_file(ARRAYS, keys=["0", "1", "9"]), "storages"),
    "a storage of another length": (
        lambda: torch_file(ARRAYS, counts=lambda n: n + 1), "expected 24",
    ),
    "more numbers than its storage has": (lambda: with_tensor(size=(7,)), "has 6 numbers"),
    "a stride of 0, for memory that the file has not": (
        lambda: with_tensor(size=(10**9, 10**9), stride=(0, 0)), "has 6 numbers",
    ),
    "an offset behind the end": (lambda: with_tensor(offset=3, size=(4,)), "has 6 numbers"),
    "a negative stride": (lambda: with_tensor(stride=(-1,)), r"stride \(-1,\)"),
    "a fraction as size": (lambda: with_tensor(size=(2.5,)), "BINFLOAT"),
    "a stride too few": (lambda: with_tensor(size=(2, 3)), "stride for each dimension"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_refused_in_one_line(kind, tmp_path):
    make, expected = FOREIGN[kind]
    with pytest.raises(TorchFileError, match=expected):
        read(tmp_path, make())
    refusal(tmp_path, make())


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MOST_BYTES", 100)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: pytest.fail("it was read"))
    path = tmp_path / "weights.pth"
    with path.open("wb") as file:
        file.write(torch_file(ARRAYS))
    with pytest.raises(TorchFileError, match="more than 100 bytes"):
        read_tensors(path)
