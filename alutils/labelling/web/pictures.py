"""People's picture files, made safe: decoded in full, checked, and written again as plain PNG.

What a file is, is told by its content, never by its name. PNG, JPEG, WebP, BMP, GIF and TIFF are
read; everything else is refused, and so is what has more than one frame or page (one label would
be for which of them?), except the previews that cameras put behind a photograph. Nothing of the
file survives but its pixels: no metadata, no comments, nothing appended.

==================  ==============================================================================
EXIF orientation    the picture is turned as it says
16 bit              scaled to 8 (a channel's 65535 is 255)
palette, 1 bit      grey where all colours are grey, else RGB
CMYK, YCbCr         RGB
transparent parts   made white; or black where what can be seen is light: white letters drawn on
                    nothing would be lost on white
==================  ==============================================================================
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
import struct
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_log = logging.getLogger("alutils")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MOST_BYTES = 32 * 2**20
MOST_PIXELS = 40_000_000  # less than half of what Pillow warns of
MOST_SIDE = 20_000
MOST_TEXT = 2**20  # bytes of text beside a PNG's pixels, before they are unpacked
NAME_LENGTH = 80

_EXPECTED = "expected a PNG, JPEG, WebP, BMP, GIF or TIFF picture"
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


class PictureError(ValueError):
    """A file that is not taken: its name made safe to show, what is wrong, what to do.

    Attributes
    ----------
    name : as `display_name` gives it
    problem : what was found and what was expected
    hint : what to do
    """

    def __init__(self, name: str, problem: str, hint: str) -> None:
        self.name, self.problem, self.hint = display_name(name), problem, hint
        super().__init__(f"{self.name} {problem}; {hint}.")

    def __reduce__(self) -> tuple:  # exceptions with several arguments do not pickle by themselves
        return type(self), (self.name, self.problem, self.hint)


@dataclass(frozen=True)
class Picture:
    """A picture that is safe to keep and to show.

    Attributes
    ----------
    png : bytes of a PNG file, 8 bit grey or RGB, with nothing in it but pixels
    sha256 : hexadecimal, of these bytes
    width, height : pixels
    name : text to show, never a path
    notes : what was changed on the way, in words
    """

    png: bytes
    sha256: str
    width: int
    height: int
    name: str
    notes: tuple[str, ...] = ()


def display_name(name: str) -> str:
    """Return a file's name as a short text that can be shown, never as a path.

    The last part of a path; control characters, those that turn the direction of writing and those
    without width become ``\ufffd``; long names lose their middle.
    """
    name = unicodedata.normalize("NFC", name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])
    # Cc control, Cf format (directions, zero width), Cs half a pair, Co private, Zl and Zp lines
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    name = "".join("\ufffd" if unicodedata.category(c) in hidden else c for c in name).strip()
    if len(name) > NAME_LENGTH:
        half = (NAME_LENGTH - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    return name if name.strip(". ") else "unnamed"


def read(path: Path) -> Picture:
    """`decode` a file on disk; a pipe, a device or a file that is too large is not opened.

    Raises
    ------
    PictureError
        As `decode`, and for what cannot be read.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise PictureError(path.name, f"is not a file: {_EXPECTED}", "choose a picture file")
        _check_bytes(path.name, about.st_size)
        # it may have become a pipe since, which would be waited for
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PictureError(
            path.name, f"cannot be read ({reason})", "check that it is there and may be read"
        ) from error
    return decode(data, path.name)


def decode(data: bytes, name: str) -> Picture:
    """Decode the bytes of a picture file in full and encode them again.

    Parameters
    ----------
    data
        The whole file.
    name
        As the person's file system has it; used as text only.

    Returns
    -------
    Picture

    Raises
    ------
    PictureError
        If it is not a picture, of a format that is not read, too large, damaged, cut, animated or
        wholly transparent.
    """
    try:
        return _decode(data, name)
    except PictureError:
        raise
    except Exception as error:
        # Whatever strange file brings it about must not keep the others away; the log tells more.
        _log.exception("%s: cannot be decoded", display_name(name))
        raise _damaged(name, f"{type(error).__name__}: {error}") from error


def _decode(data: bytes, name: str) -> Picture:
    _check_bytes(name, len(data))
    packed = _pixel_stream(data, name) if data.startswith(_PNG) else b""
    image = _opened(data, name)
    if packed:
        _check_rows(data, packed, name)
    notes: list[str] = []
    try:
        # All of it, now: verify() passes JPEG files that are cut.
        image.load()
    except Exception as error:  # OSError, SyntaxError, ValueError, zlib.error ...: all damage
        raise _damaged(name, str(error)) from error
    if image.format in ("JPEG", "MPO") and b"\xff\xd9" not in data:
        raise _damaged(name, "its end is missing")
    _check_pixels(name, *image.size)  # the frames of a GIF can be larger than its header says
    image = _plain(_turned(image, notes), name, notes)
    return _encoded(image, display_name(name), tuple(notes))


def _encoded(image: Image.Image, name: str, notes: tuple[str, ...]) -> Picture:
    image.info.clear()  # what is in there (comments, profiles) would be written
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=6)
    png = file.getvalue()
    return Picture(png, hashlib.sha256(png).hexdigest(), *image.size, name, notes)


# --- what is refused ------------------------------------------------------------------------------


def _check_bytes(name: str, n: int) -> None:
    if n == 0:
        raise PictureError(name, f"is an empty file: {_EXPECTED}", "get it again")
    if n > MOST_BYTES:
        raise PictureError(
            name,
            f"is {n / 2**20:,.1f} MiB large: expected at most {MOST_BYTES // 2**20} MiB",
            "save it smaller",
        )


def _check_pixels(name: str, width: int, height: int) -> None:
    if width < 1 or height < 1:
        problem = f"is {width} × {height} pixels large: expected at least 1 × 1"
        raise PictureError(name, problem, "get it again")
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
        raise PictureError(
            name,
            f"is {width:,} × {height:,} pixels large: expected at most {MOST_PIXELS:,} in all and "
            f"{MOST_SIDE:,} a side",
            "save it smaller",
        )


def _damaged(name: str, why: str) -> PictureError:
    return PictureError(name, f"is cut or damaged ({why[:120]})", "get it again")


def _opened(data: bytes, name: str) -> Image.Image:
    """Read the header, and refuse by it what is too large or has several frames."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"has more pixels than the {MOST_PIXELS:,} that are taken"
        raise PictureError(name, problem, "save it smaller") from None
    except Image.UnidentifiedImageError:
        raise _no_picture(data, name) from None
    except Exception as error:  # Pillow raises many things at a damaged header
        raise _damaged(name, str(error)) from error
    _check_pixels(name, *image.size)
    try:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception as error:
        raise _damaged(name, str(error)) from error
    if several:
        what = "pages" if image.format == "TIFF" else "frames"
        problem = f"has several {what}: expected one picture"
        raise PictureError(name, problem, f"save the {what[:-1]} that is meant")
    return image


def _no_picture(data: bytes, name: str) -> PictureError:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for begins, what, hint in _OTHERS:
        if start.startswith(begins.lower()):
            return PictureError(name, f"is {what}: {_EXPECTED}", hint)
    if data[4:12] in _HEIC:
        return PictureError(name, f"is a HEIC or AVIF photograph: {_EXPECTED}", "save it as JPEG")
    if data.startswith((_PNG[:4], b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")):
        return _damaged(name, "its header cannot be read")
    return PictureError(name, f"is not a picture: {_EXPECTED}", "choose another file")


def _pixel_stream(data: bytes, name: str) -> bytes:
    """Walk over a PNG's chunks and return its packed pixels.

    Checked are lengths, check sums, the amount of text, the end and what comes after it; Pillow
    does not look at the check sums of pixels, nor behind the end.
    """
    at, text, pixels = len(_PNG), 0, []
    while True:
        head = data[at : at + 8]
        if len(head) < 8:
            raise _damaged(name, "its end is missing")
        length, kind = struct.unpack(">I4s", head)
        end = at + 12 + length
        if end > len(data):
            raise _damaged(name, "it ends inside a part")
        (expected,) = struct.unpack(">I", data[end - 4 : end])
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != expected:
            raise _damaged(name, f"the check sum of its part {kind!r} is wrong")
        # the sizes are read from bytes 16 to 29, so the header must be there, and be the only one
        if (kind == b"IHDR") != (at == len(_PNG)) or (kind == b"IHDR" and length != 13):
            raise _damaged(name, "it does not begin with its header, or has two")
        text += length if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf") else 0
        if text > MOST_TEXT:
            problem = f"holds more than {MOST_TEXT:,} bytes of text beside its pixels"
            raise PictureError(name, problem, "save it again without comments")
        if kind == b"IDAT":
            pixels.append(data[at + 8 : end - 4])
        at = end
        if kind == b"IEND":
            break
    if at != len(data):
        problem = f"has {len(data) - at:,} bytes after the picture's end, of another file perhaps"
        raise PictureError(name, problem, "open it and save it again as PNG")
    return b"".join(pixels)


def _check_rows(data: bytes, packed: bytes, name: str) -> None:
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
        raise _damaged(name, str(error)) from error
    if n < expected:
        raise _damaged(name, f"it holds {n:,} bytes of pixels, expected {expected:,}")


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


def _plain(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """8 bit grey or RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        notes.append("16 bit scaled to 8")
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        problem = "has 32 bits a pixel, and it is not known which value is white"
        raise PictureError(name, problem, "save it with 8 or 16 bits")
    if image.has_transparency_data:
        return _opaque(image, name, notes)
    if image.mode in ("1", "L", "RGB"):
        return image.convert("L" if image.mode != "RGB" else "RGB")
    if image.mode == "P":
        return _grey_if_grey(image.convert("RGB"))
    if image.mode in ("CMYK", "YCbCr", "RGBX"):
        notes.append(f"{image.mode} made RGB")
        return image.convert("RGB")
    problem = f"has pixels of kind {image.mode}: expected grey, RGB, a palette or CMYK"
    raise PictureError(name, problem, "save it as PNG in RGB")


def _grey_if_grey(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    is_grey = all(np.array_equal(pixels[..., 0], pixels[..., k]) for k in (1, 2))
    return image.convert("L") if is_grey else image


def _opaque(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """Put what is transparent on white, or on black where what can be seen is light."""
    is_grey = image.mode in ("1", "L", "LA", "La")
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    if not alpha.any():
        problem = "is wholly transparent: expected something to be seen"
        raise PictureError(name, problem, "save it without transparency")
    if (alpha < 255).any():
        # einsum goes through the bytes in pieces: no array of larger numbers is made of them
        light = np.asarray(image.convert("L"))
        lightness = np.einsum("ij,ij->", light, alpha, dtype=np.uint64) / alpha.sum(dtype=np.uint64)
        colour = "white" if lightness < 128 else "black"
        notes.append(f"transparent parts made {colour}")
        image = Image.alpha_composite(Image.new("RGBA", image.size, colour), image)
    image = image.convert("RGB")
    return image.convert("L") if is_grey else _grey_if_grey(image)
