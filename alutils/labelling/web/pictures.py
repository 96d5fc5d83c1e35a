"""People's picture files, made safe to keep: decoded in full and written again as plain PNG.

`alutils.data.decoding` says what is read and what becomes of it. Nothing of a file survives but its
pixels: no metadata, no comments, nothing appended.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import unicodedata
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from alutils.data import decoding

MOST_BYTES = 32 * 2**20  # of one file, which a browser sends
NAME_LENGTH = 80


class PictureError(ValueError):
    """A file that is not taken: its name as `display_name` gives it, what is wrong, what to do."""

    def __init__(self, name: str, problem: str, hint: str) -> None:
        self.name, self.hint = display_name(name), hint
        super().__init__(f"{self.name} {problem}; {hint}.")


class Picture(NamedTuple):
    """A picture that is safe to keep and to show."""

    png: bytes  # of a PNG file, 8 bit grey or RGB, with nothing in it but pixels
    sha256: str  # hexadecimal, of these bytes
    name: str  # text to show, never a path
    width: int  # pixels
    height: int
    notes: tuple[str, ...] = ()  # what was changed on the way, in words

    def to_keep(self) -> tuple[bytes, str, str, int, int]:
        """Return what `alutils.labelling.store.pictures.Pictures.add` takes, but the source."""
        return self[:5]


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
    """`decode` a file on disk; a pipe, a device or a file that is too large is not opened."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise PictureError(
                path.name, f"is not a file: {decoding.EXPECTED}", "choose a picture file"
            )
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
    data : the whole file
    name : as the person's file system has it; used as text only

    Raises
    ------
    PictureError
        As `alutils.data.decoding.decode`, and for more than `MOST_BYTES`.
    """
    _check_bytes(name, len(data))
    name = display_name(name)
    try:
        pixels, notes = decoding.decode(data, name)
    except decoding.BadPicture as error:
        raise PictureError(name, error.problem, error.hint) from error
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=6)
    png = file.getvalue()
    height, width = pixels.shape[:2]
    return Picture(png, hashlib.sha256(png).hexdigest(), name, width, height, notes)


def _check_bytes(name: str, n: int) -> None:
    if n > MOST_BYTES:
        raise PictureError(
            name,
            f"is {n / 2**20:,.1f} MiB large: expected at most {MOST_BYTES // 2**20} MiB",
            "save it smaller",
        )
