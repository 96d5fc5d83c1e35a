"""npz files as programs write them: a number's value decides; a label that is none is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.base.errors import BadInput
from alutils.data.arrays import pictures, whole_labels
from alutils.data.npz import read_images, read_npz

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 5, 4), np.uint8)
IMAGES[0, 0, :2] = 0, 255
COLOUR = RNG.integers(0, 256, (6, 5, 4, 3), np.uint8)
LABELS = np.array([0, 1, 2, 2, 1, 0])


def save(folder, **arrays):
    np.savez(folder / "x.npz", **({"images": IMAGES, "labels": LABELS} | arrays))
    return folder / "x.npz"


@pytest.mark.parametrize(
    "kind", ["int64", "uint16", "int32", "float32", "float64", ">i4", "uint64"]
)
@pytest.mark.parametrize("last", [(), (1,)])
def test_whole_numbers_of_any_type_are_pixels_and_labels(tmp_path, kind, last):
    path = save(tmp_path, images=IMAGES.astype(kind).reshape(*IMAGES.shape, *last),
                labels=LABELS.astype(kind).reshape(-1, *last))  # fmt: skip
    read = read_npz(path)
    assert np.array_equal(read.images, IMAGES) and np.array_equal(read.labels, LABELS)
    assert np.array_equal(read_images(path), IMAGES)


WRONG = {
    "fractions to 1": (IMAGES / 255, r"fractions.*multiply them by 255, round"),
    "other fractions": (IMAGES / 2, r"with fractions.*; round them"),
    "16 bits": (IMAGES * np.uint16(257), r"uint16 from \d+ to \d+.* divide them by 257 if"),
    "12 bits": (IMAGES * np.uint16(16), r"divide them by 16.0588 if they have 12 bits"),
    "below 0": (IMAGES.astype(int) - 128, r"int64 from -128 to 127, .*; scale them to 0 to 255"),
    "bool": (IMAGES > 99, r"images are bool.* multiply them by 255"),
    "not a number": (np.full(IMAGES.shape, np.nan), r"from nan to nan, with fractions"),
    "text": (IMAGES.astype(str), r"images are <U3, expected whole numbers"),
    "flat": (IMAGES.reshape(6, 20), r"shape \(6, 20\), .* \.reshape\(-1, height, width\)"),
    "alpha": (np.dstack([COLOUR.reshape(30, 4, 3), IMAGES.reshape(30, 4)]).reshape(6, 5, 4, 4),
              r"leave the alpha channel out with images\[..., :-1\]"),
    "channels first": (COLOUR.transpose(0, 3, 1, 2), r"channels last with .transpose\(0, 2, 3, 1"),
    "no height": (IMAGES[:, :0], r"shape \(6, 0, 4\)"),
    "one picture": (IMAGES[0], r"shape \(5, 4\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_other_images_are_refused_with_what_to_do(tmp_path, case):
    images, says = WRONG[case]
    path = save(tmp_path, images=images)
    for read in (read_npz, read_images):
        with pytest.raises(BadInput, match=says) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))


@settings(max_examples=50)
@given(st.sampled_from([np.uint16, np.int32, np.float32]), st.integers(1, 2**16 - 1))
def test_what_an_error_says_to_do_brings_pixels_into_range(kind, most):
    images = np.array([[[0, most // 2, most]]], kind)
    try:
        made = pictures(images)
    except BadInput as error:
        divisor = float(str(error).split("divide them by ")[1].split()[0])
        made = pictures(np.rint(images / divisor).astype(np.uint8))
        assert made.max() >= 60
    else:
        assert most <= 255
    assert made.dtype == np.uint8


NO_LABELS = {
    "-1 as uint32": (np.array([0, 1, -1, 2, 1, 0]).astype(np.uint32), "4294967295 at position 2"),
    "-1 as uint64": (np.array([0, 1, -1, 2, 1, 0]).astype(np.uint64), "18446744073709551615 at p"),
    "-1 as uint8": (np.array([0, 1, 2, 1, 0, -1]).astype(np.uint8), "255 at position 5.* is it -1"),
    "-1": (np.array([0, -1, 2, 1, 0, 1]), "-1 at position 1, .*; leave out what has no label"),
    "a code": (np.array([0, 1, 10**12, 1, 0, 1]), "1000000000000 at position 2.*classes from 0"),
    "a mark in int16": (np.array([0, 1, 32767, 1, 0, 1], np.int16), "32,768 classes only 3 have"),
    "one-hot": (np.eye(3)[LABELS], r"shape \(6, 3\), .* one-hot rows with .argmax\(axis=1\)"),
    "fractions": (LABELS / 2, "label is 0.5 at position 1, expected whole"),
    "names": (np.array(list("abccba")), "an array 'classes'"),
}


@pytest.mark.parametrize("case", NO_LABELS)
def test_what_is_no_label_is_named_at_once_and_takes_no_memory(tmp_path, case):
    labels, says = NO_LABELS[case]
    with pytest.raises(BadInput, match=says):
        read_npz(save(tmp_path, labels=labels))


def test_256_classes_in_a_byte_are_sound():
    labels = np.arange(256).astype(np.uint8)
    assert np.array_equal(whole_labels(labels), np.arange(256))


@pytest.mark.parametrize("labels", [[1, 2, 3, 3, 2, 1], [2, 4, 2, 4, 2, 4]])
def test_numbers_that_may_count_from_1_are_said(tmp_path, caplog, labels):
    read_npz(save(tmp_path, labels=np.array(labels)))
    assert "if they count from 1, take 1 from each" in caplog.text
    caplog.clear()
    classes = np.array([f"class {i}" for i in range(5)])
    read_npz(save(tmp_path, labels=np.array(labels), classes=classes))
    assert caplog.text == ""  # who names the classes knows their numbers


def test_names_tell_that_labels_count_from_1(tmp_path):
    path = save(tmp_path, labels=LABELS + 1, classes=np.array(["a", "b", "c"]))
    with pytest.raises(BadInput, match=r"are 1 to 3, expected 0 \(a\) to 2 \(c\); take 1 from"):
        read_npz(path)


def test_copies_and_black_pixels_are_said(tmp_path, caplog):
    images = IMAGES.copy()
    images[4] = images[0]
    images[5] = images[3]
    read_npz(save(tmp_path, images=images, labels=np.array([0, 1, 2, 3, 0, 1])))
    assert "1 picture has more than one label (x.npz#3, x.npz#5)" in caplog.text
    assert "2 pictures are there more than once (x.npz#0, x.npz#4; x.npz#3, x.npz#5)" in caplog.text
    with pytest.raises(BadInput, match="brightest pixel of all is 1"):
        read_npz(save(tmp_path, images=images // 255))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, np.nan, 2, 1, 0]), r"label is nan at position 2, .*; leave out what has"),
        (np.array([0, 1, 2, 1.5, 1, 0]), r"label is 1.5 at position 3, expected whole numbers"),
        (np.array([0, 1, 2, 1, np.inf, 0], np.float32), r"label is inf at position 4"),
        (LABELS > 0, r"labels are true and false.*; save labels.astype\(int\)"),
    ],
)
def test_labels_that_are_no_whole_numbers_are_named_by_their_value(tmp_path, labels, message):
    with pytest.raises(BadInput, match=message):
        read_npz(save(tmp_path, labels=labels))


@pytest.mark.parametrize("images", [IMAGES.transpose(1, 2, 0), COLOUR.transpose(1, 2, 3, 0)])
def test_images_along_the_last_dimension_are_not_mistaken(tmp_path, images):
    with pytest.raises(
        BadInput, match=r"expected the images first; .*numpy.moveaxis\(images, -1, 0\)"
    ):
        read_npz(save(tmp_path, images=images))
