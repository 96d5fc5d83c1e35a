"""Pairs of idx files as data sets: either names the pair, what does not fit is said."""

import gzip
import struct

import numpy as np
import pytest

from alutils.__main__ import main
from alutils.base.errors import BadInput
from alutils.data import load


def write(path, array, packed=True):
    array = np.asarray(array, np.uint8)
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content += array.tobytes()
    path.write_bytes(gzip.compress(content) if packed else content)


@pytest.fixture
def pair(tmp_path, rng):
    images = rng.integers(0, 256, (40, 6, 5))
    labels = np.arange(40) % 26
    return images, labels


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("of_images", "of_labels", "packed"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", True),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", False),
        ("train-images-028-ubyte.gz", "train-labels-028-ubyte.gz", True),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", False),
    ],
)
def test_either_file_names_the_pair(tmp_path, pair, of_images, of_labels, packed):
    images, labels = pair
    write(tmp_path / of_images, images, packed)
    write(tmp_path / of_labels, labels, packed)
    for name in (of_images, of_labels):
        data = load(tmp_path / name)
        assert np.array_equal(data.images, images) and np.array_equal(data.labels, labels)
        assert data.classes == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_a_packed_file_finds_a_partner_that_is_not_packed(tmp_path, pair):
    write(tmp_path / "a-images-idx3-ubyte.gz", pair[0])
    write(tmp_path / "a-labels-idx1-ubyte", pair[1], packed=False)
    assert len(load(tmp_path / "a-images-idx3-ubyte.gz")) == 40


def test_a_missing_partner_is_named(tmp_path, pair):
    write(tmp_path / "a-images-idx3-ubyte.gz", pair[0])
    with pytest.raises(BadInput, match=r"labels are not there; looked for a-labels-idx1-ubyte.gz"):
        load(tmp_path / "a-images-idx3-ubyte.gz")


def test_what_does_not_belong_together_is_said(tmp_path, pair):
    images, labels = pair
    path = tmp_path / "a-images-idx3-ubyte"
    write(path, images)
    write(tmp_path / "a-labels-idx1-ubyte", labels[:39])
    with pytest.raises(BadInput, match="holds 40 images and a-labels-idx1-ubyte 39 labels"):
        load(path)
    write(tmp_path / "a-labels-idx1-ubyte", images)
    with pytest.raises(BadInput, match=r"of shape \(40, 6, 5\), expected labels: \(number,\)"):
        load(path)
    write(tmp_path / "a-labels-idx1-ubyte", labels)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadInput, match=r"a-images-idx3-ubyte cannot be unpacked"):
        load(path)
    write(path, images[:0])
    write(tmp_path / "a-labels-idx1-ubyte", labels[:0])
    with pytest.raises(BadInput, match="holds no image"):
        load(path)


def test_labels_that_count_from_1_are_noticed(tmp_path, pair, caplog):
    write(tmp_path / "a-images-idx3-ubyte", pair[0])
    write(tmp_path / "a-labels-idx1-ubyte", pair[1] + 1)  # as EMNIST's letters
    load(tmp_path / "a-images-idx3-ubyte")
    assert "if they count from 1, take 1 from each" in caplog.text


def test_the_command_makes_one_npz_file_of_a_pair(tmp_path, pair, capsys):
    write(tmp_path / "a-images-idx3-ubyte.gz", pair[0])
    write(tmp_path / "a-labels-idx1-ubyte.gz", pair[1])
    out = tmp_path / "a.npz"
    assert main(["data", "folder", str(tmp_path / "a-images-idx3-ubyte.gz"), str(out)]) == 0
    assert np.array_equal(load(out).images, pair[0])
