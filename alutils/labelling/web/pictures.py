"""People's picture files, made safe to keep: decoded in full and written again as plain PNG.

`alutils.data.decoding` says what is read and what becomes of it. Nothing of a file survives but its
pixels: no metadata, no comments, nothing appended.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from alutils.data import decoding
from alutils.labelling.store.names import display_name

MOST_BYTES = 32 * 2**20  # of one file, which a browser sends


class PictureError(ValueError):
    """A file that is not taken: its name as `display_name` gives it, what is wrong, what to do."""

    def __init__(self, name: str, problem: str, hint: str) -> None:
        self.name, self.problem, self.hint = display_name(name), problem, hint
        super().__init__(f"{self.name} {problem}; {hint}.")


class Picture(NamedTuple):
    """A picture that is safe to keep and to show."""

    png: bytes  # of a PNG file, 8 bit grey or RGB, with nothing in it but pixels
    sha256: str  # hexadecimal, of these bytes
    name: str  # text to show, never a path
    width: int  # pixels
    height: int
    notes: tuple[str, ...] = ()  # what was changed on the way, in words
    file_sha256: str = ""  # of the file that it came from, as it was

    def to_keep(self) -> tuple[bytes, str, str, int, int]:
        """Return what `alutils.labelling.store.pictures.Pictures.add` takes, but the source."""
        return self[:5]


def read(path: Path) -> Picture:
    """`decode` a file on disk; a pipe, a device or a file that is too large is not opened."""
    try:
        data = decoding.read_bytes(path, MOST_BYTES)
    except decoding.BadPicture as error:
        raise PictureError(path.name, error.problem, error.hint) from error
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
    file_sha256 = hashlib.sha256(data).hexdigest()
    return Picture(png, hashlib.sha256(png).hexdigest(), name, width, height, notes, file_sha256)


def _check_bytes(name: str, n: int) -> None:
    if n > MOST_BYTES:
        raise PictureError(
            name,
            f"is {n / 2**20:,.1f} MiB large: expected at most {MOST_BYTES // 2**20} MiB",
            "save it smaller",
        )
