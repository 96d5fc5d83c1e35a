"""JPEG files: whole ones are known as whole, damaged ones never are taken without a word."""

import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from alutils.data import jpeg
from alutils.data.decoding import BadPicture, decode


def photograph(height: int, width: int, colour: bool = True, seed: int = 0) -> np.ndarray:
    """Patches of colour with a grain, as cameras see them."""
    rng = np.random.default_rng(seed)
    shape = (height, width, 3) if colour else (height, width)
    patches = rng.integers(0, 256, (5, 6, *shape[2:])).astype(np.uint8)
    plain = np.asarray(Image.fromarray(patches).resize((width, height)))
    return np.clip(plain + rng.normal(0, 6, shape), 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 2**20)  # Pillow's guess is small for tiny ones
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]), st.sampled_from([5, 50, 75, 100]),
    st.sampled_from([{}, {"restart_marker_blocks": 2}, {"restart_marker_rows": 1}]),
)  # fmt: skip
def test_whatever_an_encoder_writes_is_whole(
    height, width, colour, progressive, optimize, subsampling, quality, restarts
):
    data = encoded(
        photograph(height, width, colour), progressive=progressive, optimize=optimize,
        subsampling=subsampling if colour else -1, quality=quality, **restarts,
    )  # fmt: skip
    assert jpeg.check(data) == 0
    assert jpeg.check(data + b"behind") == 6


def start_of_pixels(data: bytes) -> int:
    """Where the packed numbers of the first scan begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def zeroed(data: bytes, first: float, last: float) -> bytes:
    start = start_of_pixels(data)
    a, b = (start + int(share * (len(data) - start - 2)) for share in (first, last))
    return data[:a] + bytes(b - a) + data[b:]


DAMAGES = {
    "first third zeroed": lambda data: zeroed(data, 0, 1 / 3),
    "middle third zeroed": lambda data: zeroed(data, 1 / 3, 2 / 3),
    "last third zeroed": lambda data: zeroed(data, 2 / 3, 1),
    "a sector zeroed": lambda data: zeroed(data, 0.5, 0.55),
    "another file's sector": lambda data: (
        data[:4096] + np.random.default_rng(1).bytes(512) + data[4608:]
    ),
    "a part cut out": lambda data: data[: len(data) // 2] + data[len(data) * 6 // 10 :],
    "half, ended by hand": lambda data: data[: len(data) // 2] + b"\xff\xd9",
    "half": lambda data: data[: len(data) // 2],
    "the end cut off": lambda data: data[:-2],
    "a larger size": lambda data: with_size(data, 6000, 6000),
    "a little larger": lambda data: with_size(data, 272, 256),
    "smaller": lambda data: with_size(data, 128, 256),
}


def with_size(data: bytes, height: int, width: int) -> bytes:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_never_taken_without_a_word(damage, progressive):
    for seed in range(3):
        data = encoded(photograph(256, 256, seed=seed), quality=88, progressive=progressive)
        assert decode(data).notes == ()
        with pytest.raises(BadPicture, match="is cut or damaged"):
            decode(DAMAGES[damage](data))


def test_a_small_picture_that_claims_to_be_large_is_refused_at_once():
    with pytest.raises(BadPicture, match="its pixels end too early"):
        decode(with_size(encoded(photograph(9, 9)), 6000, 6000))


def test_what_comes_after_the_end_is_noted_unless_it_is_nothing():
    data = encoded(photograph(20, 20))
    assert decode(data + bytes(100)).notes == ()
    assert decode(data + b"a film").notes == ("what comes after the picture's end was left out",)


@pytest.mark.parametrize("sampling", ["411", "420", "422", "440", "444"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_what_another_encoder_writes_is_whole(sampling, progressive):
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    for interval in (0, 1, 7):
        options = {
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR: factor,
            cv2.IMWRITE_JPEG_PROGRESSIVE: progressive,
            cv2.IMWRITE_JPEG_RST_INTERVAL: interval,
        }
        flat = [number for option in options.items() for number in option]
        _, data = cv2.imencode(".jpg", photograph(97, 133), flat)
        assert jpeg.check(data.tobytes()) == 0


def test_pictures_for_printing_and_pairs_of_pictures_are_taken():
    image = Image.fromarray(photograph(40, 50))
    for options in (
        {"image": image.convert("CMYK"), "format": "JPEG"},
        {"image": image, "format": "JPEG", "keep_rgb": True},
        {"image": image, "format": "MPO", "save_all": True, "append_images": [image]},
    ):
        file = io.BytesIO()
        options.pop("image").save(file, **options)
        assert (
            "what comes after the picture's end was left out" not in decode(file.getvalue()).notes
        )


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 2_000), st.integers(0, 100), st.booleans())
def test_no_bytes_bring_anything_but_a_refusal(new, at, gone, progressive):
    data = encoded(photograph(50, 60), progressive=progressive)
    data = data[:at] + new + data[at + gone :]
    try:
        jpeg.check(data)
    except BadPicture as bad:
        assert str(bad).startswith(("is cut or damaged", "would take too long to read"))


def _replaced(data: bytes, marker: bytes, at: int, new: int) -> bytes:
    place = data.index(marker) + at
    return data[:place] + bytes([new]) + data[place + 1 :]


@pytest.mark.parametrize("sampling", [0x00, 0x10, 0x01, 0x51, 0xFF])
def test_components_of_no_size_are_damage(sampling):
    data = _replaced(encoded(photograph(50, 60)), b"\xff\xc0", 11, sampling)
    with pytest.raises(BadPicture, match="header does not fit together"):
        jpeg.check(data)


@pytest.mark.parametrize("high", [64, 255])
def test_scans_of_numbers_that_no_block_has_are_damage(high):
    data = encoded(photograph(50, 60), progressive=True)
    scan = data.index(b"\xff\xda")
    end = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big") - 2  # the scan's last number
    data = data[:end] + bytes([high]) + data[end + 1 :]
    with pytest.raises(BadPicture, match="header does not fit together"):
        jpeg.check(data)


def test_a_size_that_no_picture_has_is_refused_before_memory_is_taken_for_it():
    data = encoded(photograph(50, 60), progressive=True)
    at = data.index(b"\xff\xc2") + 5
    with pytest.raises(BadPicture, match="too long to read"):
        jpeg.check(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
