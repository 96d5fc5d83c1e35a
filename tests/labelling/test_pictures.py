"""Picture files are decoded whole, checked and written again, or refused with a reason."""

import hashlib
import io
import os

import numpy as np
import pytest
from label_helpers import (
    BAD,
    colour,
    encoded,
    interlaced,
    letter,
    png,
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
