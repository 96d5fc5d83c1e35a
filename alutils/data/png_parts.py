"""Whether a PNG file is whole: its parts, their check sums, and all of its rows."""

from __future__ import annotations

import struct
import zlib

from alutils.data.bad_picture import BadPicture, damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 2**20  # bytes of text beside the pixels, before they are unpacked
MOST_PARTS = 200_000  # more than the largest picture that is taken has of 1 kB each


def pixel_stream(data: bytes) -> bytes:
    """Walk over a PNG's chunks and return its packed pixels.

    Checked are lengths, check sums, the amount of text, the end and what comes after it; Pillow
    does not look at the check sums of pixels, nor behind the end.
    """
    at, text, parts, has_palette, pixels = len(SIGNATURE), 0, 0, False, []
    view = memoryview(data)
    while True:
        head = data[at : at + 8]
        if len(head) < 8:
            raise damaged("its end is missing")
        length, kind = struct.unpack(">I4s", head)
        end = at + 12 + length
        if end > len(data):
            raise damaged("it ends inside a part")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise damaged(f"the check sum of its part {kind!r} is wrong")
        # the sizes are read from bytes 16 to 29, so the header must be there, and be the only one
        if (kind == b"IHDR") != (at == len(SIGNATURE)) or (kind == b"IHDR" and length != 13):
            raise damaged("it does not begin with its header, or has two")
        text += length if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf") else 0
        if text > MOST_TEXT:
            problem = f"holds more than {MOST_TEXT:,} bytes of text beside its pixels"
            raise BadPicture("too much text", problem, "save it again without comments")
        parts += 1
        if parts > MOST_PARTS:
            problem = f"has more than {MOST_PARTS:,} parts"
            raise BadPicture("too many parts", problem, "open it and save it again as PNG")
        has_palette = has_palette or kind == b"PLTE"
        if kind == b"IDAT":
            if data[25] == 3 and not has_palette:
                raise damaged("its palette is missing")
            pixels.append(data[at + 8 : end - 4])
        at = end
        if kind == b"IEND":
            break
    if at != len(data):
        problem = f"has {len(data) - at:,} bytes after the picture's end, of another file perhaps"
        raise BadPicture("more than a picture", problem, "open it and save it again as PNG")
    return b"".join(pixels)


def check_rows(data: bytes, packed: bytes) -> None:
    """Refuse a PNG that lacks rows: Pillow would make them black."""
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits *= {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    parts = [(width, height)]
    if interlaced:  # Adam7: seven small pictures, each every so many pixels, from a first one on
        steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
        parts = [
            (len(range(x, width, across)), len(range(y, height, down)))
            for x, y, across, down in (*steps, (0, 1, 1, 2))
        ]
    expected = sum(h * (1 + (w * bits + 7) // 8) for w, h in parts if w and h)
    inflater, n = zlib.decompressobj(), 0
    try:
        while n < expected and packed:
            n += len(inflater.decompress(packed, min(expected - n, 2**20)))
            packed = inflater.unconsumed_tail
    except zlib.error as error:
        raise damaged(str(error)) from error
    if n < expected:
        raise damaged(f"it holds {n:,} bytes of pixels, expected {expected:,}")
