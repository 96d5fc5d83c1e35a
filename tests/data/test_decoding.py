"""The one decoder of picture files: what it reads as what, by its table of rules."""

import io
import pickle
import struct
import tracemalloc
import warnings
import zlib

import cv2
import numpy as np
import pytest
from label_helpers import colour, encoded, interlaced, letter, pixel_bomb, text_bomb
from PIL import Image

from alutils.data import decoding
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


@pytest.mark.parametrize(
    ("fault", "reason"), [(KeyError(98), "damaged"), (MemoryError(), "too costly")]
)
def test_a_fault_of_the_decoder_is_a_refusal(monkeypatch, caplog, fault, reason):
    def fail(data):
        raise fault

    monkeypatch.setattr(decoding, "_opened", fail)
    with pytest.raises(BadPicture) as caught:
        decode(encoded(letter()), "a.png")
    assert caught.value.reason == reason
    assert ("a.png: cannot be decoded" in caplog.text) == (reason == "damaged")


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


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", [3, 6, 8])
def test_a_turn_is_followed_in_every_format(kind, turn):
    pixels = np.zeros((6, 9), np.uint8)
    pixels[:3, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = decode(saved(Image.fromarray(np.stack([pixels] * 3, -1)), kind, exif=exif))
    quarters = {3: 2, 6: 3, 8: 1}[turn]
    expected = np.rot90(pixels, quarters)
    assert picture.pixels.shape[:2] == expected.shape
    assert (abs(picture.pixels[..., 0].astype(int) - expected) < 99).all()


def test_a_turn_that_there_is_not_is_not_said():
    exif = Image.Exif()
    exif[0x0112] = 9
    assert decode(saved(Image.new("L", (4, 3)), "JPEG", exif=exif)).notes == ()


def parts(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the kinds and contents of a PNG's parts."""
    at, found = 8, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def joined(found: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in found
    )  # fmt: skip


PALETTE = saved(Image.fromarray(np.arange(240, dtype=np.uint8).reshape(12, 20)).convert("P"), "PNG")


@pytest.mark.parametrize("left", [0, 1, 100, 239])
def test_a_palette_that_lacks_colours_is_refused(left):
    found = [(k, c[: 3 * left] if k == b"PLTE" else c) for k, c in parts(PALETTE)]
    found = [each for each in found if each != (b"PLTE", b"")]
    with pytest.raises(BadPicture, match=r"palette is missing|uses colour 239 of a palette of"):
        decode(joined(found))
    assert decode(joined(parts(PALETTE))).notes == ()


@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_of_a_bmp_that_is_0_everywhere_is_not_meant(alpha):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    pixels[..., 3] = alpha
    body = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, 7, 5, 1, 32, 3, len(body), 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    start = b"BM" + struct.pack("<IHHI", 14 + len(header) + len(body), 0, 0, 14 + len(header))
    picture = decode(start + header + body)
    assert np.array_equal(picture.pixels, pixels[..., :3])
    assert len(picture.notes) == (alpha == 0)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_16_bits_of_which_few_are_used_are_noted(bits):
    values = np.linspace(0, 2**bits - 1, 60).reshape(6, 10).astype(np.uint16)
    (note,) = decode(saved(Image.fromarray(values), "PNG")).notes
    assert ("were fewer bits used?" in note) == (bits <= 12)


def test_a_png_of_very_many_parts_is_refused_before_it_is_read():
    found = parts(saved(Image.new("L", (4, 3)), "PNG"))
    with pytest.raises(BadPicture, match="has more than 200,000 parts"):
        decode(joined([*found[:-1], *[(b"IDAT", b"")] * 200_001, found[-1]]))


def test_what_comes_after_a_webp_is_noted():
    data = saved(Image.new("RGB", (4, 3)), "WEBP")
    assert decode(data).notes == ()
    assert decode(data + b"behind").notes == ("what comes after the picture's end was left out",)
