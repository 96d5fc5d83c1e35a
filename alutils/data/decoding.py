"""The one decoder of picture files: bytes to pixels, checked whole, by one table of rules.

What a file is, is told by its content, never by its name. PNG, JPEG, WebP, BMP, GIF and TIFF are
read; everything else is refused, and so is what has more than one frame or page (one label would
be for which of them?), except the previews that cameras put behind a photograph. What is cut or
damaged is refused too: Pillow alone passes PNG files that lack rows or have wrong check sums.

==================  ==============================================================================
EXIF orientation    the picture is turned as it says
16 bit              scaled to 8 (a channel's 65535 is 255), rounded
palette, 1 bit      grey where all colours are grey, else RGB
CMYK, YCbCr         RGB
transparent parts   made white; or black where what can be seen is light: white letters drawn on
                    nothing would be lost on white. A wholly transparent picture is refused
alpha that hides    dropped: grey stays grey, RGB stays RGB
nothing
32 bit              refused: nobody knows which value is white
==================  ==============================================================================
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

_log = logging.getLogger("alutils")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
EXPECTED = "expected a PNG, JPEG, WebP, BMP, GIF or TIFF picture"
MOST_PIXELS = 50_000_000  # what cameras take; little more than half of what Pillow warns of
MOST_SIDE = 20_000
MOST_TEXT = 2**20  # bytes of text beside a PNG's pixels, before they are unpacked

_PNG = b"\x89PNG\r\n\x1a\n"
# What a file that is no picture is, by how it begins: people should read what they have sent.
_OTHERS = (
    (b"%PDF", "a PDF document", "save the page as PNG"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)", "unpack it and add what is in it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and add what is in it"),
    (b"<?xml", "an XML or SVG document", "save it as PNG"),
    (b"<svg", "an SVG drawing", "save it as PNG"),
    (b"<!doctype", "an HTML page", "save the picture itself"),
    (b"<html", "an HTML page", "save the picture itself"),
    (b"<script", "an HTML page", "save the picture itself"),
    (b"MZ", "a program", "choose the picture itself"),
    (b"\x7fELF", "a program", "choose the picture itself"),
)
_HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif", b"ftypmsf1")


class BadPicture(ValueError):
    """Bytes that are not taken: why, to count by; what was found and expected; what to do."""

    def __init__(self, reason: str, problem: str, hint: str) -> None:
        self.reason, self.problem, self.hint = reason, problem, hint
        super().__init__(f"{problem}; {hint}.")

    def __reduce__(self) -> tuple:  # exceptions with several arguments do not pickle by themselves
        return type(self), (self.reason, self.problem, self.hint)


class Picture(NamedTuple):
    """A decoded picture.

    Attributes
    ----------
    pixels : uint8, (height, width) grey or (height, width, 3) RGB
    notes : what was changed on the way, in words
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def decode(data: bytes, name: str = "a picture") -> Picture:
    """Decode the bytes of a picture file in full.

    Parameters
    ----------
    data : the whole file
    name : for the log, should the decoder itself fail

    Raises
    ------
    BadPicture
        If it is not a picture, of a format that is not read, too large, damaged, cut, animated or
        wholly transparent.
    """
    try:
        return _decode(data)
    except BadPicture:
        raise
    except Exception as error:
        # Whatever strange file brings it about must not keep the others away; the log tells more.
        _log.exception("%s: cannot be decoded", name)
        raise _damaged(f"{type(error).__name__}: {error}") from error


def _decode(data: bytes) -> Picture:
    if not data:
        raise BadPicture("empty file", f"is an empty file: {EXPECTED}", "get it again")
    packed = _pixel_stream(data) if data.startswith(_PNG) else b""
    image = _opened(data)
    if packed:
        _check_rows(data, packed)
    try:
        # All of it, now: verify() passes JPEG files that are cut.
        image.load()
    except Exception as error:  # OSError, SyntaxError, ValueError, zlib.error ...: all damage
        raise _damaged(str(error)) from error
    if image.format in ("JPEG", "MPO") and b"\xff\xd9" not in data:
        raise _damaged("its end is missing")
    bits, kind = (data[24], data[25]) if packed else (0, 0)
    if packed and bits < 16 and image.mode in ("L", "RGB") and not image.info:
        return Picture(np.array(image))  # the usual case, quickly: there is nothing to be changed
    _check_pixels(*image.size)  # the frames of a GIF can be larger than its header says
    notes: list[str] = []
    if bits == 16 and kind != 0:
        image = _of_sixteen_bits(data, image, notes)
    return Picture(np.array(_plain(_turned(image, notes), notes)), tuple(notes))


# --- what is refused ------------------------------------------------------------------------------


def _check_pixels(width: int, height: int) -> None:
    if width < 1 or height < 1:
        problem = f"is {width} × {height} pixels large: expected at least 1 × 1"
        raise BadPicture("damaged", problem, "get it again")
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
        raise BadPicture(
            "too large",
            f"is {width:,} × {height:,} pixels large: expected at most {MOST_PIXELS:,} in all and "
            f"{MOST_SIDE:,} a side",
            "save it smaller",
        )


def _damaged(why: str) -> BadPicture:
    return BadPicture("damaged", f"is cut or damaged ({why[:120]})", "get it again")


def _opened(data: bytes) -> Image.Image:
    """Read the header, and refuse by it what is too large or has several frames."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"has more pixels than the {MOST_PIXELS:,} that are taken"
        raise BadPicture("too large", problem, "save it smaller") from None
    except Image.UnidentifiedImageError:
        raise _no_picture(data) from None
    except Exception as error:  # Pillow raises many things at a damaged header
        raise _damaged(str(error)) from error
    _check_pixels(*image.size)
    try:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception as error:
        raise _damaged(str(error)) from error
    if several:
        what = "pages" if image.format == "TIFF" else "frames"
        problem = f"has several {what}: expected one picture"
        raise BadPicture(f"several {what}", problem, f"save the {what[:-1]} that is meant")
    return image


def _no_picture(data: bytes) -> BadPicture:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for begins, what, hint in _OTHERS:
        if start.startswith(begins.lower()):
            return BadPicture("not a picture", f"is {what}: {EXPECTED}", hint)
    if data[4:12] in _HEIC:
        problem = f"is a HEIC or AVIF photograph: {EXPECTED}"
        return BadPicture("not a picture", problem, "save it as JPEG")
    if data.startswith((_PNG[:4], b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")):
        return _damaged("its header cannot be read")
    problem = f"is not a picture: {EXPECTED}"
    return BadPicture("not a picture", problem, "choose another file")


def _pixel_stream(data: bytes) -> bytes:
    """Walk over a PNG's chunks and return its packed pixels.

    Checked are lengths, check sums, the amount of text, the end and what comes after it; Pillow
    does not look at the check sums of pixels, nor behind the end.
    """
    at, text, pixels = len(_PNG), 0, []
    view = memoryview(data)
    while True:
        head = data[at : at + 8]
        if len(head) < 8:
            raise _damaged("its end is missing")
        length, kind = struct.unpack(">I4s", head)
        end = at + 12 + length
        if end > len(data):
            raise _damaged("it ends inside a part")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged(f"the check sum of its part {kind!r} is wrong")
        # the sizes are read from bytes 16 to 29, so the header must be there, and be the only one
        if (kind == b"IHDR") != (at == len(_PNG)) or (kind == b"IHDR" and length != 13):
            raise _damaged("it does not begin with its header, or has two")
        text += length if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf") else 0
        if text > MOST_TEXT:
            problem = f"holds more than {MOST_TEXT:,} bytes of text beside its pixels"
            raise BadPicture("too much text", problem, "save it again without comments")
        if kind == b"IDAT":
            pixels.append(data[at + 8 : end - 4])
        at = end
        if kind == b"IEND":
            break
    if at != len(data):
        problem = f"has {len(data) - at:,} bytes after the picture's end, of another file perhaps"
        raise BadPicture("more than a picture", problem, "open it and save it again as PNG")
    return b"".join(pixels)


def _check_rows(data: bytes, packed: bytes) -> None:
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
        raise _damaged(str(error)) from error
    if n < expected:
        raise _damaged(f"it holds {n:,} bytes of pixels, expected {expected:,}")


# --- what is changed ------------------------------------------------------------------------------


def _turned(image: Image.Image, notes: list[str]) -> Image.Image:
    """Turn a photograph as the camera noted that it was held."""
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception as error:  # any of a dozen, at EXIF data that are damaged
        notes.append(f"not turned: its EXIF data cannot be read ({type(error).__name__})")
        return image
    if image.getexif().get(0x0112, 1) not in (0, 1):
        notes.append("turned as its EXIF data say")
    return turned


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """8 bit grey or RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        notes.append("16 bit scaled to 8")
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode in ("I", "F"):
        problem = "has 32 bits a pixel, and it is not known which value is white"
        raise BadPicture("32 bit", problem, "save it with 8 or 16 bits")
    if image.has_transparency_data:
        return _opaque(image, notes)
    if image.mode in ("1", "L", "RGB"):
        return image.convert("L" if image.mode != "RGB" else "RGB")
    if image.mode == "P":
        return _grey_if_grey(image.convert("RGB"))
    if image.mode in ("CMYK", "YCbCr", "RGBX"):
        notes.append(f"{image.mode} made RGB")
        return image.convert("RGB")
    problem = f"has pixels of kind {image.mode}: expected grey, RGB, a palette or CMYK"
    raise BadPicture("unknown pixels", problem, "save it as PNG in RGB")


def _of_sixteen_bits(data: bytes, image: Image.Image, notes: list[str]) -> Image.Image:
    """Scale a PNG of 16 bits with colour or alpha: Pillow has cut its lower bytes off."""
    import cv2

    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise _damaged("OpenCV cannot decode its 16 bits")
    notes.append("16 bit scaled to 8")
    scaled = Image.fromarray(_eight_bits(values[..., [2, 1, 0, 3][: values.shape[2]]]))  # from BGR
    scaled = scaled.convert("LA") if image.mode in ("L", "LA") else scaled
    scaled.info = {key: value for key, value in image.info.items() if key == "exif"}
    return scaled


def _eight_bits(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _grey_if_grey(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    is_grey = all(np.array_equal(pixels[..., 0], pixels[..., k]) for k in (1, 2))
    return image.convert("L") if is_grey else image


def _opaque(image: Image.Image, notes: list[str]) -> Image.Image:
    """Put what is transparent on white, or on black where what can be seen is light."""
    before = image.mode
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    if not alpha.any():
        problem = "is wholly transparent: expected something to be seen"
        raise BadPicture("wholly transparent", problem, "save it without transparency")
    if (alpha < 255).any():
        # einsum goes through the bytes in pieces: no array of larger numbers is made of them
        light = np.asarray(image.convert("L"))
        lightness = np.einsum("ij,ij->", light, alpha, dtype=np.uint64) / alpha.sum(dtype=np.uint64)
        colour = "white" if lightness < 128 else "black"
        notes.append(f"transparent parts made {colour}")
        image = Image.alpha_composite(Image.new("RGBA", image.size, colour), image)
    image = image.convert("RGB")
    if before == "P":
        return _grey_if_grey(image)
    return image.convert("L") if before in ("1", "L", "LA", "La") else image
