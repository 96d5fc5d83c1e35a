"""Whether a picture file would keep a computer busy, told by its parts before it is decoded.

A file of a few kilobytes can ask for minutes of work: hundreds of scans over the same pixels, or
millions of parts with nothing in them. No program that people use writes such files.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from alutils.data.bad_picture import BadPicture

MOST_SCANS = 100  # of a JPEG; programs write 1 to 20
MOST_WORK = 1_000_000_000  # pixels times scans: some seconds
MOST_PARTS = 10_000  # of a JPEG; a photograph has less than a hundred
MOST_FILLERS = 1_000  # bytes that only fill up, before a part
MOST_RUNS = 2**22  # bytes of a BMP that is packed by run lengths, which Pillow unpacks slowly

_JPEG, _BMP = b"\xff\xd8", b"BM"
_SOS, _EOI = 0xDA, 0xD9
_EMPTY = {0x00, 0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_FILLERS = re.compile(rb"\xff*(?=\xff)")
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # none that is part of packed pixels


def too_costly(why: str) -> BadPicture:
    """Return the refusal of a file that would take too long, with the reason in words."""
    return BadPicture("too costly", f"would take too long to read ({why})", "save it again as PNG")


def check_cost(data: bytes) -> None:
    """Refuse a file whose parts would keep a computer busy; all others, damaged ones too, pass.

    PNG files are not looked at: `alutils.data.png_parts` counts their parts while it checks them.

    Raises
    ------
    BadPicture
        For a JPEG of too many scans or parts, or a large BMP that is packed by run lengths.
    """
    if data.startswith(_JPEG):
        _check_jpeg(data)
    packed = data.startswith(_BMP) and int.from_bytes(data[30:34], "little") in (1, 2)
    if packed and len(data) > MOST_RUNS:
        raise too_costly(f"it is packed by run lengths and has more than {MOST_RUNS:,} bytes")


def check_scans(n: int, width: int, height: int) -> None:
    """Refuse a JPEG with so many scans; raises as `check_cost`."""
    if n > MOST_SCANS:
        raise too_costly(f"it has more than {MOST_SCANS} scans")
    if n * width * height > MOST_WORK:
        raise too_costly(f"it has {n} scans or more of {width * height:,} pixels each")


def check_parts(n: int) -> None:
    """Refuse a JPEG with so many parts; raises as `check_cost`."""
    if n > MOST_PARTS:
        raise too_costly(f"it has more than {MOST_PARTS:,} parts")


def past_fillers(data: bytes, at: int) -> int:
    """Return where the marker begins that fillers stand before; raises as `check_cost`."""
    found = _FILLERS.match(data, at)
    end = found.end() if found else at
    if end - at > MOST_FILLERS:
        raise too_costly(f"it has more than {MOST_FILLERS:,} bytes that only fill up")
    return end


def _check_jpeg(data: bytes) -> None:
    n_scans, size = 0, (0, 0)
    for n_parts, (marker, at) in enumerate(_parts(data), 1):
        check_parts(n_parts)
        if marker in _FRAMES and at + 7 <= len(data) and not size[0]:
            size = struct.unpack(">HH", data[at + 3 : at + 7])
        if marker == _SOS:
            n_scans += 1
            check_scans(n_scans, *size)
            # This is quick, and there cannot be more of them.
            most = n_scans + data.count(b"\xff\xda", at)
            if most <= MOST_SCANS and most * size[0] * size[1] <= MOST_WORK:
                return


def _parts(data: bytes) -> Iterator[tuple[int, int]]:
    """Walk over a JPEG's markers: each, and where it has its length; up to the picture's end."""
    at = 2
    while at + 2 <= len(data):
        at = past_fillers(data, at)
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)  # strange bytes between two parts: decoders pass over them
            if at < 0:
                return
            continue
        if at + 2 > len(data) or data[at + 1] == _EOI:
            return
        marker, at = data[at + 1], at + 2
        yield marker, at
        if marker not in _EMPTY:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
        if marker == _SOS:
            found = _MARKER.search(data, at)
            at = found.start() if found else len(data)
