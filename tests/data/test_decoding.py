"""The one decoder of picture files: what it reads as what, by its table of rules."""

import pickle
import struct
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from label_helpers import colour, encoded, interlaced, letter, pixel_bomb, text_bomb
from PIL import Image

from alutils.data.decoding import BadPicture, decode


@pytest.mark.parametrize("bomb", [pixel_bomb, text_bomb])
def test_a_bomb_is_refused_before_it_unpacks(bomb):
    data = bomb()
    tracemalloc.start()
    try:
        with pytest.raises(BadPicture):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_pillows_warning_of_a_bomb_is_a_refusal_too():
    with warnings.catch_warnings(), pytest.raises(BadPicture, match=r"more pixels|pixels large"):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        decode(pixel_bomb(11_000))


def test_pixels_stay_as_they_are():
    for image in (letter(), colour()):
        for kind in ("PNG", "BMP", "TIFF"):
            assert (decode(encoded(image, kind)).pixels == np.asarray(image)).all()
    for size in ((1, 1), (3, 9), (28, 28)):
        image = letter(0, size)
        assert (decode(interlaced(image)).pixels == np.asarray(image)).all()


def test_16_bits_are_scaled_to_8():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        picture = decode(encoded(Image.fromarray(values), kind))
        assert (picture.pixels == np.rint(values / 257)).all()
        assert picture.notes == ("16 bit scaled to 8",)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_was_held(turn):
    upright = np.zeros((20, 30), np.uint8)
    upright[:10, :15] = 255  # the upper left quarter
    held = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, 3),
    }[turn]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    for kind in ("PNG", "JPEG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(Image.fromarray(np.ascontiguousarray(held)), kind, exif=exif, **options)
        picture = decode(data)
        assert np.abs(picture.pixels.astype(int).reshape(20, 30, -1)[..., 0] - upright).max() < 40
        assert (picture.notes != ()) == (turn != 1)


def test_damaged_exif_data_do_not_keep_a_photograph_away():
    data = encoded(colour(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data).pixels.shape == (colour().height, colour().width, 3)


def test_exif_data_that_cannot_be_written_again_do_not_keep_a_photograph_away():
    turn, strange = (0x0112, 3, 1, 6), (0x0128, 8, 1, -1)  # a signed number where none may be
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIIHHIii", 8, 2, *turn, *strange, 0)
    picture = decode(encoded(letter(), "JPEG", exif=exif))
    assert picture.pixels.shape == (28, 28)
    assert picture.notes[0].startswith("not turned: its EXIF data cannot be read")


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0), (60, 255), (200, 0)])
def test_what_is_drawn_on_nothing_can_be_seen(ink, ground):
    values = np.zeros((10, 10, 4), np.uint8)
    values[3:6, 3:6] = (ink, ink, ink, 255)
    picture = decode(encoded(Image.fromarray(values)))
    assert (picture.pixels[0, 0] == ground).all() and (picture.pixels[4, 4] == ink).all()
    assert picture.notes == (f"transparent parts made {'white' if ground else 'black'}",)


def test_a_large_transparent_picture_needs_little_more_than_its_pixels():
    image = Image.new("RGBA", (2000, 1500), (0, 0, 0, 10))
    image.putpixel((0, 0), (0, 0, 255, 255))
    data = encoded(image)
    tracemalloc.start()
    try:
        picture = decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert picture.notes == ("transparent parts made white",)
    # of Python's and numpy's; floats of eight bytes, two arrays of them, were 17 a pixel
    assert peak < 12 * 3_000_000


def test_16_bits_of_colour_are_rounded_as_those_of_grey():
    deep = np.random.default_rng(0).integers(0, 65536, (40, 30, 4), dtype=np.uint16)
    deep[..., 3] = 65535  # alpha that hides nothing
    for channels in (3, 4):
        data = cv2.imencode(".png", deep[..., [2, 1, 0, 3][:channels]])[1].tobytes()
        picture = decode(data)
        assert np.array_equal(picture.pixels, np.rint(deep[..., :3] / 257))
        assert picture.notes == ("16 bit scaled to 8",)
    deep[:, :15, 3] = 0
    picture = decode(cv2.imencode(".png", deep[..., [2, 1, 0, 3]])[1].tobytes())
    assert len(set(picture.pixels[:, :15].ravel())) == 1 and len(picture.notes) == 2


@pytest.mark.parametrize(
    ("mode", "value", "ndim"),
    [("LA", (7, 255), 2), ("RGBA", (7, 7, 7, 255), 3), ("RGB", (7, 7, 7), 3), ("L", 7, 2)],
)
def test_grey_stays_grey_and_colour_colour_whatever_is_shown(mode, value, ndim):
    pixels = decode(encoded(Image.new(mode, (8, 6), value))).pixels
    assert pixels.ndim == ndim and (pixels == 7).all()


def test_a_refusal_comes_through_a_process_pool_whole():
    error = BadPicture("damaged", "is cut", "get it again")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason) == ("is cut; get it again.", "damaged")
