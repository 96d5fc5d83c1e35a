"""TIFF files whose tags say more than Pillow heeds; and 16 bits with a transparent level."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from alutils.data.bad_picture import BadPicture
from alutils.data.decoding import decode

LEVELS = np.arange(0, 240, 10, np.uint8).reshape(4, 6)


def tiff(pixels: bytes, *, bits=(8,), white=1, order="<", **more: tuple[int, list[int]]) -> bytes:
    """Return a TIFF of 4 by 6 pixels in one strip; ``more`` tags are t339=(3, [2]) and the like."""
    tags = {
        256: (3, [6]), 257: (3, [4]), 258: (3, list(bits)), 259: (3, [1]), 262: (3, [white]),
        273: (4, [0]), 277: (3, [len(bits)]), 278: (3, [4]), 279: (4, [len(pixels)]),
    } | {int(name[1:]): value for name, value in more.items()}  # fmt: skip
    # Long values lie behind the directory; the strip comes after them.
    at = 8 + 2 + 12 * len(tags) + 4
    strip = at + sum(2 * len(v) for kind, v in tags.values() if kind == 3 and len(v) > 2)
    tags[273] = (4, [strip])
    entries, long = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, long = struct.pack(f"{order}I", at + len(long)), long + packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + struct.pack(f"{order}I", 0) + long + pixels


@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("bits", [8, 16])
def test_where_0_is_white_levels_are_turned_round(bits: int, white: int) -> None:
    values = LEVELS if bits == 8 else LEVELS.astype("<u2") * 257
    picture = decode(tiff(values.tobytes(), bits=(bits,), white=white))
    assert picture.pixels.tolist() == (LEVELS if white else 255 - LEVELS).tolist()
    assert picture.notes == (() if bits == 8 else ("16 bit scaled to 8",))


def test_twelve_bits_become_the_levels_that_they_mean() -> None:
    numbers = (np.arange(24) * 178).tolist()  # 0 to 4094
    packed = b"".join(
        ((one << 12) | two).to_bytes(3, "big")
        for one, two in zip(numbers[::2], numbers[1::2], strict=True)
    )
    picture = decode(tiff(packed, bits=(12,)))
    expected = np.asarray(numbers).reshape(4, 6) * 255 / 4095
    assert np.abs(picture.pixels - expected).max() <= 0.51
    assert picture.notes[0] == "12 bit scaled to 16"


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (tiff(LEVELS.tobytes(), t339=(3, [2])), "has numbers below 0"),
        (tiff(LEVELS.tobytes() * 3, bits=(8, 8, 8), white=2, t284=(3, [2])), "lists 1 of 3 strips"),
        (tiff(LEVELS.tobytes(), t278=(3, [2])), "it lists 1 of 2 strips or tiles"),
        (
            tiff(LEVELS.astype("<f2").tobytes(), bits=(16,), t339=(3, [3])),
            "a kind that is not read",
        ),
        (
            tiff(LEVELS.astype("<f8").tobytes(), bits=(64,), t339=(3, [3])),
            "a kind that is not read",
        ),
    ],
)
def test_what_cannot_be_told_or_is_not_there_is_refused(file: bytes, problem: str) -> None:
    with pytest.raises(BadPicture, match=problem):
        decode(file)


def test_what_pillow_changes_itself_is_noted() -> None:
    colour = np.dstack([LEVELS, LEVELS.T.reshape(4, 6), 255 - LEVELS]).astype("<u2") * 257
    picture = decode(tiff(colour.tobytes(), bits=(16, 16, 16), white=2))
    assert picture.notes == ("16 bit scaled to 8",)
    assert picture.pixels.tolist() == (colour // 257).tolist()
    turned = decode(tiff(LEVELS.tobytes(), t274=(3, [6])))
    assert turned.notes == ("turned as its EXIF data say",)
    assert turned.pixels.tolist() == np.rot90(LEVELS, -1).tolist()


@pytest.mark.parametrize("level", [0, 100])
def test_a_transparent_level_of_sixteen_bits_is_put_on_a_plain_ground(level: int) -> None:
    def part(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    rows = b"".join(b"\0" + row.tobytes() for row in LEVELS.astype(">u2") * 257)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            part(b"IHDR", struct.pack(">IIBBBBB", 6, 4, 16, 0, 0, 0, 0)),
            part(b"tRNS", struct.pack(">H", level * 257)),
            part(b"IDAT", zlib.compress(rows)),
            part(b"IEND", b""),
        ]
    )
    seen = LEVELS[level != LEVELS]
    ground = 255 if seen.mean() < 128 else 0
    picture = decode(png)
    assert picture.pixels.tolist() == np.where(level == LEVELS, ground, LEVELS).tolist()
    assert any(note.startswith("transparent parts made") for note in picture.notes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("ICO", "an icon"), ("PPM", "a Netpbm picture"), ("JPEG2000", "a JPEG 2000 picture")],
)
def test_pictures_of_other_formats_are_called_by_their_names(name: str, kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.kron(LEVELS, np.ones((8, 8), np.uint8))).save(file, name)
    with pytest.raises(BadPicture, match=f"is {kind}: expected") as caught:
        decode(file.getvalue())
    assert caught.value.hint == "save it as PNG"
