import hashlib
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from alutils.base import artefacts, files
from alutils.data import dataset as datasets
from alutils.data import mnist
from alutils.data.dataset import Dataset, as_float

ROOT = files.repository_root()
SHARED_MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"


@pytest.fixture
def few() -> Dataset:
    images = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
    return Dataset(images, np.array([0, 2, 2, 0, 2]), ("a", "b", "c"), "mnist", "few")


@pytest.fixture(scope="module")
def all_of_mnist() -> dict[str, np.ndarray]:
    if not SHARED_MNIST.is_file():
        pytest.skip("no ../shared/data/mnist.npz beside this checkout")
    with np.load(SHARED_MNIST) as archive:
        return dict(archive)


# --- the type -------------------------------------------------------------------------------------


def changed(dataset: Dataset, **parts) -> Dataset:
    fields = ("images", "labels", "classes", "provenance", "name")
    return Dataset(**{field: getattr(dataset, field) for field in fields} | parts)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"images": np.zeros((5, 2, 3))}, TypeError, "images are float64, expected uint8"),
        ({"images": [[[0]]] * 5}, TypeError, "images are list, expected uint8"),
        ({"images": np.zeros((5, 6), np.uint8)}, ValueError, r"shape \(5, 6\), expected"),
        ({"images": np.zeros((5, 2, 3, 4), np.uint8)}, ValueError, "drop an alpha channel"),
        ({"images": np.zeros((5, 0, 3), np.uint8)}, ValueError, "hold no pixel"),
        ({"labels": np.zeros(5, np.uint8)}, TypeError, "labels are uint8, expected int64"),
        ({"labels": [0, 1, 2, 0, 1]}, TypeError, "labels are list, expected int64"),
        ({"labels": np.zeros(4, np.int64)}, ValueError, r"\(4,\), expected \(5,\)"),
        ({"labels": np.zeros((5, 1), np.int64)}, ValueError, r"\(5, 1\), expected \(5,\)"),
        (
            {"labels": np.array([0, 3, 1, -1, 0])},
            ValueError,
            "2 labels .* first is 3 at position 1",
        ),
        (
            {"labels": np.array([0, 0, 1, -1, 0])},
            ValueError,
            "1 labels .* first is -1 at position 3",
        ),
        ({"classes": ["a", "b", "c"]}, TypeError, "expected a tuple of names"),
        ({"classes": (0, 1, 2)}, TypeError, "expected a tuple of names"),
        ({"classes": ("a", "b", "a")}, ValueError, "more than once: a"),
        ({"provenance": ""}, TypeError, "provenance=''"),
        ({"name": None}, TypeError, "name=None"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused_by_name(few, parts, error, message):
    with pytest.raises(error, match=message):
        changed(few, **parts)


def test_colour_images_and_empty_sets_are_data_sets(few):
    assert len(changed(few, images=np.zeros((5, 4, 4, 3), np.uint8))) == 5
    assert few.take([]).class_counts() == {"a": 0, "b": 0, "c": 0}


def test_take_keeps_images_and_labels_together(few):
    some = few.take(np.array([4, 0, 4]))
    assert np.array_equal(some.images, few.images[[4, 0, 4]])
    assert some.labels.tolist() == [2, 0, 2]
    assert (some.classes, some.provenance, some.name) == (few.classes, few.provenance, few.name)
    assert few.take(few.labels == 2).images.tolist() == few.images[[1, 2, 4]].tolist()
    with pytest.raises(IndexError, match="5"):
        few.take([5])


def test_class_counts_are_named_and_include_absent_classes(few):
    assert few.class_counts() == {"a": 2, "b": 0, "c": 3}


def test_content_hash_sees_every_pixel_label_and_the_shape_and_nothing_else(few):
    pixel, label = few.images.copy(), few.labels.copy()
    pixel[4, 1, 2] ^= 1
    label[0] = 1
    same_bytes = few.images.reshape(5, 3, 2)
    others = [changed(few, images=pixel), changed(few, labels=label)]
    others.append(changed(few, images=same_bytes))
    hashes = {few.content_hash(), *(other.content_hash() for other in others)}
    assert len(hashes) == 4
    mirrored = np.ascontiguousarray(few.images[:, :, ::-1])[:, :, ::-1]  # equal, other strides
    assert changed(few, images=mirrored, name="x", provenance="y").content_hash() in hashes


def test_a_data_set_is_printed_in_one_line_without_a_pixel(few):
    assert repr(few) == str(few)
    assert "\n" not in repr(few) and "array" not in repr(few)
    for fact in (few.name, few.provenance, f"{len(few)} ", f"{len(few.classes)} classes"):
        assert fact in repr(few)
    many = Dataset(
        np.zeros((1200, 4, 6, 3), np.uint8), np.zeros(1200, np.int64), tuple("abcdef"), "x", "y"
    )
    assert repr(many) == (
        "Dataset('y': 1,200 colour images of 4x6 pixels, 6 classes (a, b, c, ...), provenance 'x')"
    )


def test_titles_say_when_images_are_rendered(few):
    assert few.title("Samples") == "Samples"
    assert "rendered" in changed(few, provenance="rendered").title("Samples")


def test_pixels_are_normalised_exactly_as_the_article_does():
    every_value = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    found = as_float(every_value)
    expected = (every_value / 255).astype(np.float32).reshape(2, 128)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tobytes() == expected.tobytes()
    with pytest.raises(TypeError, match="float32, expected uint8"):
        as_float(found)


# --- the embedded digits --------------------------------------------------------------------------


def test_the_embedded_digits_are_the_first_of_mnist():
    train, test = mnist.mnist_article()
    assert (len(train), len(test)) == (4000, 400)
    assert train.images.shape == (4000, 28, 28)
    assert hashlib.sha256(train.images).hexdigest() == (
        "c49a7680bb295ed6b48f023662af4c8b298ece11212e5853dc52a0e1c2431471"
    )
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.provenance == test.provenance == "mnist"


def test_the_embedded_digits_are_a_slice_of_all_of_them(all_of_mnist, monkeypatch):
    monkeypatch.setattr(artefacts, "mnist", lambda: all_of_mnist)
    for whole, part in zip(mnist.mnist(), mnist.mnist_article(), strict=True):
        assert np.array_equal(whole.images[: len(part)], part.images)
        assert np.array_equal(whole.labels[: len(part)], part.labels)
    assert [len(whole) for whole in mnist.mnist()] == [60_000, 10_000]


def test_the_embedded_file_is_made_again_to_the_byte(all_of_mnist, tmp_path):
    made = mnist.make_mnist_article(tmp_path / "made.npz", all_of_mnist).read_bytes()
    committed = mnist.article_path().read_bytes()
    if "ng" in zlib.ZLIB_RUNTIME_VERSION:  # packs the same arrays into other bytes
        assert datasets.ARTICLE.read(tmp_path / "made.npz", mnist.read_npz)
    else:
        assert made == committed
    assert [path.name for path in tmp_path.iterdir()] == ["made.npz"]


def test_other_arrays_are_not_written_as_the_articles(all_of_mnist, tmp_path):
    swapped = all_of_mnist | {"x_train": all_of_mnist["x_train"][::-1]}
    with pytest.raises(ValueError, match=r"not MNIST: .*x_train has SHA-256"):
        mnist.make_mnist_article(tmp_path / "made.npz", swapped)
    assert list(tmp_path.iterdir()) == []


def test_the_readme_states_the_hashes_of_what_is_committed():
    stated = set(re.findall(r"\b[0-9a-f]{64}\b", (ROOT / "data" / "README.md").read_text("utf-8")))
    with np.load(mnist.article_path()) as archive:
        found = {hashlib.sha256(archive[name]).hexdigest() for name in archive.files}
    found.add(hashlib.sha256(mnist.article_path().read_bytes()).hexdigest())
    assert stated == found


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_damaged_embedded_digits_are_an_error_that_says_what_to_do(tmp_path, monkeypatch, damage):
    bad = tmp_path / "mnist_article.npz"
    content = bytearray(mnist.article_path().read_bytes())
    if damage == "cut":
        bad.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        bad.write_bytes(content)
    monkeypatch.setattr(mnist, "article_path", lambda: bad)
    expected = FileNotFoundError if damage == "missing" else ValueError
    with pytest.raises(expected, match="make it again with `python -m alutils data mnist_article`"):
        mnist.mnist_article()


def test_the_embedded_digits_are_found_from_any_working_directory(tmp_path):
    code = "from alutils.data.mnist import mnist_article; print(len(mnist_article()[0]))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert found.stdout == "4000\n", found.stderr


def test_the_root_is_found_from_inside_a_clone_when_the_package_lies_elsewhere(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site" / "alutils" / "base" / "files.py"))
    monkeypatch.chdir(ROOT / "data")
    assert files.repository_root() == Path(os.path.realpath(ROOT))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"pip install -e \."):
        files.repository_root()


def test_data_sets_are_read_without_tensorflow():
    code = (
        "import sys; from alutils.data import mnist; mnist.mnist_article();"
        "print(sorted({'tensorflow', 'keras', 'torch'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert found.stdout == "[]\n", found.stderr


@pytest.mark.parametrize("part", ["images", "labels"])
def test_masked_values_are_refused(part):
    parts = {"images": np.zeros((2, 3, 4), np.uint8), "labels": np.array([0, 1])}
    parts[part] = np.ma.array(
        parts[part], mask=np.arange(parts[part].size).reshape(parts[part].shape) == 1
    )
    with pytest.raises(ValueError, match=f"some: {part} are masked in part"):
        Dataset(**parts, classes=("a", "b"), provenance="local", name="some")
