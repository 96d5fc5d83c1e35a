"""One picture of a stream, and what all streams can do."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np


class Entry(NamedTuple):
    """One picture of a stream.

    Attributes
    ----------
    name : of the file, relative to the stream's folder; or ``letters.npz#17``, counted from 0
    pixels : (height, width) or (height, width, 3) uint8; None if it cannot be read
    problem : why it cannot be read, else ''
    """

    name: str
    pixels: np.ndarray | None
    problem: str = ""


class Stream(Protocol):
    """Pictures that can be read again from any place on.

    ``identity`` is a SHA-256 by which the same pictures are known again: of the names, sizes and
    times of change of files in a folder, of the content of a file.
    """

    path: Path
    identity: str

    @property
    def ascii(self) -> bool:
        """Whether all names are written in ASCII."""

    def __len__(self) -> int:
        """How many entries there are, those that cannot be read included."""

    def sample(self) -> Generator[np.ndarray]:
        """Yield the pictures that can be read in a random order, the same one each time."""

    def read(self, start: int = 0) -> Generator[Entry]:
        """Yield the entries in their order, from number ``start`` on; to be closed."""

    def file_name(self, number: int) -> str:
        """Return a name for the file of an entry, as no other entry has it."""

    def content(self, number: int, pixels: np.ndarray) -> bytes:
        """Return the bytes of an entry's file, made from its pixels if it has none."""
