"""Picture files are decoded whole, checked and written again, or refused with a reason."""

import hashlib
import io
import os
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from label_helpers import (
    BAD,
    colour,
    encoded,
    interlaced,
    letter,
    pixel_bomb,
    png,
    text_bomb,
    with_text,
)
from PIL import Image

from alutils.labelling.web import pictures
from alutils.labelling.web.pictures import PictureError, decode, display_name, read


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)))


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_sound_picture_is_refused_with_a_reason(case):
    data, reason = BAD[case]
    with pytest.raises(PictureError) as caught:
        decode(data(), "my file.png")
    text = str(caught.value)
    assert text.startswith("my file.png ") and reason in text
    assert caught.value.hint and text.endswith(f"; {caught.value.hint}.")


@pytest.mark.parametrize("bomb", [pixel_bomb, text_bomb])
def test_a_bomb_is_refused_before_it_unpacks(bomb):
    data = bomb()
    tracemalloc.start()
    try:
        with pytest.raises(PictureError):
            decode(data, "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_pillows_warning_of_a_bomb_is_a_refusal_too():
    with warnings.catch_warnings(), pytest.raises(PictureError, match=r"more pixels|pixels large"):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        decode(pixel_bomb(11_000), "bomb.png")


GOOD = {
    "grey png": (lambda: png(), "L"),
    "colour png": (lambda: encoded(colour()), "RGB"),
    "png of one bit": (lambda: encoded(letter().convert("1")), "L"),
    "interlaced png": (lambda: interlaced(letter(0, (21, 3))), "L"),
    "grey palette": (lambda: encoded(letter().convert("P")), "L"),
    "colour palette": (lambda: encoded(colour().quantize(64)), "RGB"),
    "grey jpeg": (lambda: encoded(letter(), "JPEG"), "L"),
    "colour jpeg": (lambda: encoded(colour(), "JPEG"), "RGB"),
    "progressive jpeg": (lambda: encoded(colour(), "JPEG", progressive=True), "RGB"),
    "cmyk jpeg": (lambda: encoded(colour().convert("CMYK"), "JPEG"), "RGB"),
    "cmyk tiff": (lambda: encoded(colour().convert("CMYK"), "TIFF"), "RGB"),
    "webp": (lambda: encoded(colour(), "WEBP"), "RGB"),
    "gif": (lambda: encoded(letter(), "GIF"), "L"),
    "bmp": (lambda: encoded(colour(), "BMP"), "RGB"),
    "tiff": (lambda: encoded(letter(), "TIFF"), "L"),
    "packed tiff": (lambda: encoded(colour(), "TIFF", compression="tiff_lzw"), "RGB"),
    "mpo": (
        lambda: encoded(colour(), "MPO", save_all=True, append_images=[colour(1, (8, 8))]),
        "RGB",
    ),
    "one pixel": (lambda: png(0, (1, 1)), "L"),
    "alpha that hides nothing": (lambda: encoded(colour().convert("RGBA")), "RGB"),
    "a little text": (lambda: with_text(1000), "L"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_picture_becomes_a_plain_png(case):
    data, mode = GOOD[case]
    data = data()
    picture = decode(data, "a.bin")
    image = Image.open(io.BytesIO(picture.png))
    assert (image.format, image.mode, image.size) == (
        "PNG", mode, Image.open(io.BytesIO(data)).size,
    )  # fmt: skip
    assert (picture.width, picture.height) == image.size
    assert picture.sha256 == hashlib.sha256(picture.png).hexdigest()
    assert set(image.info) <= {"dpi"}
    assert picture == decode(data, "a.bin")
    assert decode(picture.png, "a.bin").sha256 == picture.sha256  # a second time changes nothing


def test_pixels_stay_as_they_are():
    for image in (letter(), colour()):
        for kind in ("PNG", "BMP", "TIFF"):
            assert (pixels(decode(encoded(image, kind), "a")) == np.asarray(image)).all()
    for size in ((1, 1), (3, 9), (28, 28)):
        image = letter(0, size)
        assert (pixels(decode(interlaced(image), "a")) == np.asarray(image)).all()


def test_16_bits_are_scaled_to_8():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        picture = decode(encoded(Image.fromarray(values), kind), "a")
        assert (pixels(picture) == np.rint(values / 257)).all()
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
        picture = decode(data, "a")
        assert np.abs(pixels(picture).astype(int).reshape(20, 30, -1)[..., 0] - upright).max() < 40
        assert (picture.notes != ()) == (turn != 1)


def test_damaged_exif_data_do_not_keep_a_photograph_away():
    data = encoded(colour(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data, "a").width == colour().width


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0), (60, 255), (200, 0)])
def test_what_is_drawn_on_nothing_can_be_seen(ink, ground):
    values = np.zeros((10, 10, 4), np.uint8)
    values[3:6, 3:6] = (ink, ink, ink, 255)
    picture = decode(encoded(Image.fromarray(values)), "a")
    assert pixels(picture)[0, 0] == ground and pixels(picture)[4, 4] == ink
    assert picture.notes == (f"transparent parts made {'white' if ground else 'black'}",)


def test_a_large_transparent_picture_needs_little_more_than_its_pixels():
    image = Image.new("RGBA", (2000, 1500), (0, 0, 0, 10))
    image.putpixel((0, 0), (0, 0, 255, 255))
    data = encoded(image)
    tracemalloc.start()
    try:
        picture = pictures.decode(data, "big.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert picture.notes == ("transparent parts made white",)
    # of Python's and numpy's; floats of eight bytes, two arrays of them, were 17 a pixel
    assert peak < 12 * 3_000_000


def test_nothing_of_a_file_survives_but_its_pixels():
    secret = b"GPS and <script>alert(1)</script>"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    for data in (
        encoded(colour(), "JPEG", comment=secret, exif=exif) + secret,
        encoded(colour(), "PNG", exif=exif),
        encoded(letter(), "GIF", comment=secret),
    ):
        assert secret in data
        assert secret not in decode(data, "a").png


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("/absolute/a.png", "a.png"),
        ("folder/", "folder"),
        ("", "unnamed"),
        ("..", "unnamed"),
        (" . ", "unnamed"),
        ("\0", "\ufffd"),
        ("a\0.png", "a\ufffd.png"),
        ("a\r\nSet-Cookie: x.png", "a\ufffd\ufffdSet-Cookie: x.png"),
        ("abc\u202egnp.exe", "abc\ufffdgnp.exe"),
        ("\u2066a\u2069\u200b.png", "\ufffda\ufffd\ufffd.png"),
        ("שלום.png", "שלום.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("\udcff.png", "\ufffd.png"),
        ("e\u0301.png", "\u00e9.png"),
        ("x" * 300 + ".png", "x" * 39 + "…" + "x" * 35 + ".png"),
    ],
)
def test_a_name_becomes_a_short_text_and_never_a_path(name, shown):
    assert display_name(name) == shown
    assert display_name(shown) == shown
    assert decode(png(), name).name == shown
    with pytest.raises(PictureError) as caught:
        decode(b"", name)
    assert str(caught.value).startswith(shown)


def test_a_file_on_disk_is_read(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    assert read(tmp_path / "a.png") == decode(png(), "a.png")


def test_what_cannot_be_read_from_disk_is_refused(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to nowhere").symlink_to("nowhere")
    (tmp_path / "large").write_bytes(png())
    for name, reason in [
        ("folder", "is not a file"), ("pipe", "is not a file"), ("empty", "is an empty file"),
        ("missing", "cannot be read"), ("to nowhere", "cannot be read"),
    ]:  # fmt: skip
        with pytest.raises(PictureError, match=f"^{name} {reason}"):
            read(tmp_path / name)
    monkeypatch.setattr(pictures, "MOST_BYTES", 10)
    with pytest.raises(PictureError, match=r"^large is .* large"):
        read(tmp_path / "large")


def test_a_refusal_comes_through_a_process_pool_whole():
    error = PictureError("a.png", "is cut", "get it again")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.hint) == (str(error), "get it again")
