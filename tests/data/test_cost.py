"""Little files that ask for much work are refused before it is done; all others are read."""

import logging
import struct
import time

import numpy as np
import pytest
from label_helpers import encoded
from PIL import Image

from alutils.base.errors import BadInput
from alutils.data import load
from alutils.data.cost import MOST_PARTS, MOST_SCANS, check_cost
from alutils.data.decoding import BadPicture, decode


def jpeg(side: int = 64, **options) -> bytes:
    return encoded(Image.new("L", (side, side), 100), "JPEG", **options)


def scans(n: int, side: int = 64) -> bytes:
    """Return a progressive JPEG whose last scan comes n times more."""
    data = jpeg(side, progressive=True)
    end = data.rindex(b"\xff\xd9")
    table = data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda"))
    return data[:end] + data[table:end] * n + data[end:]


def with_parts(parts: bytes, after_scan: bool = False) -> bytes:
    data = scans(1)
    at = data.rindex(b"\xff\xc4") if after_scan else 2
    return data[:at] + parts + data[at:]


def packed_bmp(n: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 4000, 4000, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    return (
        b"BM" + struct.pack("<IHHI", start + 2 * n, 0, 0, start) + header + bytes(1024)
        + b"\1\5" * n
    )  # fmt: skip


TABLE = b"\xff\xc4" + struct.pack(">H", 20) + bytes([0x10, 1]) + bytes(15)
COSTLY = {
    "scans": (lambda: scans(MOST_SCANS), "more than 100 scans"),
    "scans of many pixels": (lambda: scans(60, 4096), "scans or more of 16,777,216 pixels each"),
    "comments": (lambda: with_parts(b"\xff\xfe\0\2" * 3_000_000), "more than 10,000 parts"),
    "comments between scans": (
        lambda: with_parts(b"\xff\xfe\0\2" * (MOST_PARTS + 1), after_scan=True), "parts",
    ),
    "fillers": (lambda: with_parts(b"\xff" * 5_000_000), "bytes that only fill up"),
    "escaped bytes": (lambda: with_parts(b"\xff\0" * 3_000_000), "more than 10,000 parts"),
    "tables": (lambda: with_parts((TABLE + b"\1") * 100_000), "more than 10,000 parts"),
    "run lengths": (lambda: packed_bmp(3_000_000), "packed by run lengths"),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_what_would_take_too_long_is_refused_by_its_parts(name):
    data, why = COSTLY[name][0](), COSTLY[name][1]
    start = time.process_time()
    with pytest.raises(BadPicture, match=why) as caught:
        decode(data)
    assert caught.value.reason == "too costly"
    assert time.process_time() - start < 3  # decoding takes 5 to 20 s


@pytest.mark.parametrize("tail", [b"", b"\xff\xda" * 2 * MOST_SCANS, bytes(9)])
def test_what_comes_after_the_end_counts_for_nothing(tail):
    check_cost(jpeg() + tail)
    assert decode(jpeg() + tail).pixels.shape == (64, 64)


def test_usual_files_pass():
    check_cost(jpeg(progressive=True))
    check_cost(scans(MOST_SCANS - 10))
    check_cost(packed_bmp(1_000))
    for kind in ("PNG", "GIF", "WEBP", "TIFF", "BMP"):
        check_cost(encoded(Image.new("L", (300, 300)), kind))
    with_profile = encoded(
        Image.new("RGB", (40, 30)), "JPEG", icc_profile=bytes(500_000), comment=b"x" * 60_000
    )
    check_cost(with_profile)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 5, 21, 200])
def test_cut_files_are_left_to_the_decoder(cut):
    check_cost(scans(3)[:cut])


def test_a_folder_with_one_is_refused_or_read_without_it(tmp_path, caplog):
    for name in "AB":
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.fromarray(np.full((8, 8), 40 * k, np.uint8)).save(tmp_path / name / f"{k}.png")
    (tmp_path / "A" / "9.jpg").write_bytes(scans(MOST_SCANS))
    (tmp_path / "B" / "9.bmp").write_bytes(packed_bmp(3_000_000))
    with pytest.raises(BadInput, match=r"9\.jpg would take too long to read"):
        load(tmp_path)
    with caplog.at_level(logging.WARNING, "alutils"):
        assert len(load(tmp_path, on_bad="skip")) == 6
    assert "2 too costly" in caplog.text
