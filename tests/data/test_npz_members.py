"""Arrays of an npz file: only those that are asked for, and only as their headers say."""

import io
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from alutils.base.errors import BadInput
from alutils.data.npz import read_images, read_npz
from alutils.data.npz_members import read_members

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.arange(6) % 3


def member(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape: str, kind: str) -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there twice
        for name, content in members:
            made.writestr(name, content)
    return path


GOOD = (("images.npy", member(IMAGES)), ("labels.npy", member(LABELS)))


@pytest.mark.parametrize(
    "again", [("labels.npy", member(LABELS[::-1])), ("images", b"notes"), ("labels", b"")]
)
def test_an_array_that_is_there_twice_is_refused(tmp_path: Path, again: tuple[str, bytes]) -> None:
    path = archive(tmp_path / "twice.npz", *GOOD, again)
    with pytest.raises(BadInput, match=r"holds the array '(images|labels)' more than once"):
        read_npz(path)


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000, 1000, 1000)", "|u1") + b"abc",
        header("(10000000000, 10000000000, 10000000000)", "|u1"),
        header("(-1, 5, 4)", "|u1") + IMAGES.tobytes(),
        member(IMAGES) + b"more than the header says",
        member(IMAGES)[:-1],
    ],
)
def test_an_array_of_another_length_than_its_header_says_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    path = archive(tmp_path / "length.npz", ("images.npy", content), GOOD[1])
    for read in (read_npz, read_images):
        with pytest.raises(BadInput, match=r"images: has [\d,]+ bytes, expected .* it is cut"):
            read(path)


def test_what_is_not_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    notes = io.BytesIO()
    np.save(notes, np.array([{"by": "Ada"}], object), allow_pickle=True)
    path = archive(
        tmp_path / "more.npz",
        *GOOD,
        ("notes.npy", notes.getvalue()),
        ("large.npy", header("(10000000000000,)", "<i8")),
    )
    data = read_npz(path)
    assert np.array_equal(data.images, IMAGES)
    assert data.labels.tolist() == LABELS.tolist()
    assert set(read_members(path, ["labels"], ["images", "classes"])) == {"images", "labels"}


@pytest.mark.parametrize("name", ["images", "labels", "classes"])
def test_an_array_of_objects_is_named_with_what_makes_it_plain(tmp_path: Path, name: str) -> None:
    arrays = {"images": IMAGES, "labels": LABELS, "classes": np.array(["a", "b", "c"])}
    np.savez(tmp_path / "objects.npz", **arrays | {name: arrays[name].astype(object)})
    with pytest.raises(BadInput, match=rf"objects\.npz: {name}: .*Python objects.*tolist"):
        read_npz(tmp_path / "objects.npz")


def test_fields_with_names_and_damage_are_refused(tmp_path: Path) -> None:
    named = np.zeros(3, [("długość", "u1")])
    with pytest.warns(UserWarning, match="Stored array in format 3"):
        np.savez(tmp_path / "fields.npz", images=named, labels=LABELS)
    with pytest.raises(BadInput, match="fields with names, expected plain numbers"):
        read_npz(tmp_path / "fields.npz")
    whole = archive(tmp_path / "sum.npz", *GOOD).read_bytes()
    place = whole.index(IMAGES.tobytes())
    changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    (tmp_path / "sum.npz").write_bytes(changed)
    with pytest.raises(BadInput, match=r"damaged or no npz file of plain arrays .*CRC"):
        read_npz(tmp_path / "sum.npz")


def test_a_zip_file_with_something_before_it_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "first.npz", *GOOD)
    path.write_bytes(b"#!/bin/sh\nexit\n" + path.read_bytes())
    assert np.array_equal(read_images(path), IMAGES)
