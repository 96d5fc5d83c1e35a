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
alpha 0 in a BMP    left out: programs that do not use it write so
after the end       left out and noted; refused in PNG, where another file may hide
32 bit              refused: nobody knows which value is white
costly              refused: hundreds of scans, or thousands of parts with nothing in them
==================  ==============================================================================
"""

from __future__ import annotations

import io
import logging
import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from alutils.data import tiff
from alutils.data.bad_picture import BadPicture, damaged
from alutils.data.cost import check_cost
from alutils.data.png_parts import SIGNATURE, check_rows, pixel_stream

_log = logging.getLogger("alutils")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
EXPECTED = "expected a PNG, JPEG, WebP, BMP, GIF or TIFF picture"
MOST_PIXELS = 50_000_000  # what cameras take; little more than half of what Pillow warns of
MOST_SIDE = 20_000
MOST_BYTES = 2**29  # of a file; the largest picture that is taken is smaller without compression

_TWELVE_BITS = 2**12
# What a file that is no picture is, by how it begins: people should read what they have sent.
_OTHERS = (
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", "save it as PNG"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture", "save it as PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", "save it as PNG"),
    (b"\xff\x0a", "a JPEG XL picture", "save it as PNG"),
    (b"\0\0\1\0", "an icon", "save it as PNG"),
    (b"8BPS", "a Photoshop document", "save it as PNG"),
    (b"%!PS", "a PostScript document", "save the page as PNG"),
    *((b"P%d\n" % n, "a Netpbm picture", "save it as PNG") for n in range(1, 8)),
    (b"%PDF", "a PDF document", "save the page as PNG"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)", "unpack it and add what is in it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and add what is in it"),
    (b"version https://git-lfs", "a pointer of Git LFS", "get the picture with git lfs pull"),
    (b"/annex/objects", "a pointer of git-annex", "get the picture with git annex get"),
    (b"<?xml", "an XML or SVG document", "save it as PNG"),
    (b"<svg", "an SVG drawing", "save it as PNG"),
    (b"<!doctype", "an HTML page", "save the picture itself"),
    (b"<html", "an HTML page", "save the picture itself"),
    (b"<script", "an HTML page", "save the picture itself"),
    (b"MZ", "a program", "choose the picture itself"),
    (b"\x7fELF", "a program", "choose the picture itself"),
)
_HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif", b"ftypmsf1")


class Picture(NamedTuple):
    """A decoded picture.

    Attributes
    ----------
    pixels : uint8, (height, width) grey or (height, width, 3) RGB
    notes : what was changed on the way, in words
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def read_bytes(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a file on disk.

    A pipe would be waited for without end, and a device may have no end: neither is opened.

    Parameters
    ----------
    path : of a file, or of a link to one
    most : bytes that are taken

    Raises
    ------
    BadPicture
        If there is no such file (a link to nowhere), it may not be read, it is not a file, or it is
        too large.
    """
    try:
        about = os.stat(path)  # noqa: PTH116 - paths are texts here: there are very many of them
        if not stat.S_ISREG(about.st_mode):
            raise BadPicture("not a file", f"is not a file: {EXPECTED}", "move it away")
        if about.st_size > most:
            problem = f"is {about.st_size / 2**20:,.1f} MiB large: expected at most "
            raise BadPicture("too large", f"{problem}{most // 2**20} MiB", "save it smaller")
        # It may have become a pipe since.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            return file.read(most)
    except FileNotFoundError:
        is_link = os.path.islink(path)  # noqa: PTH114
        why = "it is a link to a file that is not there" if is_link else "it is not there any more"
        raise BadPicture("missing", f"cannot be read ({why})", "get the file again") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        hint = "check that it may be read"
        raise BadPicture("cannot be read", f"cannot be read ({why})", hint) from error


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
    except MemoryError:
        problem = "needs more memory than there is"
        raise BadPicture("too costly", problem, "save it smaller") from None
    except Exception as error:
        # Whatever strange file brings it about must not keep the others away; the log tells more.
        _log.exception("%s: cannot be decoded", name)
        raise damaged(f"{type(error).__name__}: {error}") from error


def of_image(image: Image.Image) -> Picture:
    """Return the pixels of an image that Pillow holds, by the rules for files; not turned.

    Raises
    ------
    BadPicture
        For one that no file could be read as: of 32 bits, say, or wholly transparent.
    """
    notes: list[str] = []
    return Picture(np.array(_plain(image, notes)), tuple(notes))


def _decode(data: bytes) -> Picture:
    if not data:
        raise BadPicture("empty file", f"is an empty file: {EXPECTED}", "get it again")
    check_cost(data)
    packed = pixel_stream(data) if data.startswith(SIGNATURE) else b""
    image = _opened(data)
    notes: list[str] = []
    if packed:
        check_rows(data, packed)
    _check_packing(image, data, notes)
    facts = tiff.look(image) if image.format == "TIFF" else None
    try:
        # All of it, now: verify() passes JPEG files that are cut.
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # OSError, SyntaxError, ValueError, zlib.error ...: all damage
        raise damaged(str(error)) from error
    if facts is not None:
        image = tiff.as_meant(image, facts, notes)
    if image.mode == "P":
        _check_palette(image)
    if image.format == "BMP" and image.mode == "RGBA" and not image.getchannel("A").getbbox():
        notes.append("alpha left out: it is 0 everywhere, as programs write it that do not use it")
        image = image.convert("RGB")
    bits, kind = (data[24], data[25]) if packed else (0, 0)
    if packed and bits < 16 and image.mode in ("L", "RGB") and not image.info:
        return Picture(np.array(image))  # the usual case, quickly: there is nothing to be changed
    _check_pixels(*image.size)  # the frames of a GIF can be larger than its header says
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
        raise damaged(str(error)) from error
    _check_pixels(*image.size)
    try:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception as error:
        raise damaged(str(error)) from error
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
    if data.startswith((b"II*\0", b"MM\0*")):
        hint = "save it as PNG, or get it again"
        return BadPicture("damaged", f"is cut or damaged, or {tiff.UNREAD}", hint)
    if data.startswith((SIGNATURE[:4], b"\xff\xd8", b"GIF8", b"RIFF", b"BM")):
        return damaged("its header cannot be read")
    problem = f"is not a picture: {EXPECTED}"
    return BadPicture("not a picture", problem, "choose another file")


def _check_packing(image: Image.Image, data: bytes, notes: list[str]) -> None:
    """Refuse a JPEG whose packed pixels are not whole; note what comes after a picture's end."""
    behind = 0
    if image.format in ("JPEG", "MPO"):
        from alutils.data import jpeg  # brings a compiler with it, which takes a second

        behind = jpeg.check(data)
    elif image.format == "WEBP":
        behind = len(data) - 8 - int.from_bytes(data[4:8], "little")
    if image.format != "MPO" and behind > 1 and data[-behind:].strip(b"\0"):
        notes.append("what comes after the picture's end was left out")


def _check_palette(image: Image.Image) -> None:
    """Refuse colours that the palette does not have: Pillow would make them black."""
    palette = image.palette
    n = len(palette.palette) // len(palette.mode) if palette else 0
    most = np.asarray(image).max()
    if most >= n:
        raise damaged(f"it uses colour {most} of a palette of {n}")


# --- what is changed ------------------------------------------------------------------------------


def _turned(image: Image.Image, notes: list[str]) -> Image.Image:
    """Turn a photograph as the camera noted that it was held."""
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception as error:  # any of a dozen, at EXIF data that are damaged
        notes.append(f"not turned: its EXIF data cannot be read ({type(error).__name__})")
        return image
    if image.getexif().get(0x0112, 1) in range(2, 9):
        notes.append("turned as its EXIF data say")
    return turned


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """8 bit grey or RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        values = np.asarray(image)
        grey = Image.fromarray(_eight_bits(values, notes))
        if (key := image.info.get("transparency")) is None:
            return grey
        alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
        return _opaque(Image.merge("LA", (grey, alpha)), notes)
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
        raise damaged("OpenCV cannot decode its 16 bits")
    from_bgr = values[..., [2, 1, 0, 3][: values.shape[2]]]
    scaled = Image.fromarray(_eight_bits(from_bgr, notes))
    scaled = scaled.convert("LA") if image.mode in ("L", "LA") else scaled
    scaled.info = {key: value for key, value in image.info.items() if key == "exif"}
    return scaled


def _eight_bits(values: np.ndarray, notes: list[str]) -> np.ndarray:
    dark = 0 < values[..., :3].max() < _TWELVE_BITS
    notes.append("16 bit scaled to 8" + (", nearly black: were fewer bits used?" if dark else ""))
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
