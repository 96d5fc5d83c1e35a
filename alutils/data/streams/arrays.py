"""Pictures of an npz file, and letters of a table: they have a number each, and no file."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from alutils.base.downloads import sha256_of_file
from alutils.base.errors import BadInput
from alutils.base.files import check_file
from alutils.base.surfaces import Remedy
from alutils.data import csv_letters, npz
from alutils.data.skips import Skips
from alutils.data.streams.entry import Entry

_CSV_SAMPLE = 2000  # rows of a table that are kept to be looked at


class _Numbered:
    """Pictures that have a number, and no file of their own."""

    def __init__(self, path: Path) -> None:
        check_file(path)
        self.path = path
        self.identity = sha256_of_file(path)

    @property
    def ascii(self) -> bool:
        """Whether all names are written in ASCII."""
        return self.path.name.isascii()

    def name(self, number: int) -> str:
        """Return how the table of labels calls an entry."""
        return f"{self.path.name}#{number}"

    def file_name(self, number: int) -> str:
        """Return a name for the file of an entry, as no other entry has it."""
        return f"{self.path.stem}-{number:06d}.png"

    def content(self, number: int, pixels: np.ndarray) -> bytes:
        """Return a PNG file of the pixels."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def _shuffled(images: np.ndarray) -> Generator[np.ndarray]:
    for i in np.random.default_rng(0).permutation(len(images)):
        yield images[i]


class NpzStream(_Numbered):
    """The images of an npz file, which lie in memory as a whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._images = npz.read_images(path)
        if not len(self._images):
            raise BadInput(f"{path}: holds no image, expected some")

    def __len__(self) -> int:
        return len(self._images)

    def sample(self) -> Generator[np.ndarray]:
        """Yield the pictures in a random order, the same one each time."""
        return _shuffled(self._images)

    def read(self, start: int = 0) -> Generator[Entry]:
        """Yield the entries in their order."""
        for number in range(start, len(self._images)):
            yield Entry(self.name(number), self._images[number])


class _Messages(Skips):
    """What is wrong with the bad rows of a table, in their order."""

    def __init__(self, path: Path) -> None:
        super().__init__(silent=True)  # each row is told of by itself
        self.path, self.messages = path, deque[str]()

    def bad(self, reason: str, message: str, on_bad: str, *ways: str | Remedy) -> None:
        self.messages.append(message.removeprefix(f"{self.path}, "))


class CsvStream(_Numbered):
    """Letters of a CSV, a row each; their labels are not looked at, a part of them is `sample`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        rng, report = np.random.default_rng(0), _Messages(path)
        self._sample = np.empty((0, csv_letters.SIDE, csv_letters.SIDE), np.uint8)
        drawn = np.empty(0)  # each row draws a number; those with the least ones are the sample
        for chunk in csv_letters.csv_chunks(path, "skip", report=report, labels_count=False):
            drawn = np.concatenate([drawn, rng.random(len(chunk.images))])
            images = np.concatenate([self._sample, chunk.images])
            keep = np.sort(drawn.argsort()[:_CSV_SAMPLE])
            drawn, self._sample = drawn[keep], images[keep]
        self._n = report.seen

    def __len__(self) -> int:
        return self._n

    def sample(self) -> Generator[np.ndarray]:
        """Yield the pictures in a random order, the same one each time."""
        return _shuffled(self._sample)

    def read(self, start: int = 0) -> Generator[Entry]:
        """Yield the entries in their order; bad rows are entries with a problem."""
        for entry in self._entries():
            if entry[0] >= start:
                yield Entry(self.name(entry[0]), *entry[1:])

    def _entries(self) -> Iterator[tuple[int, np.ndarray | None, str]]:
        report, number = _Messages(self.path), 0
        for chunk in csv_letters.csv_chunks(self.path, "skip", report=report, labels_count=False):
            for row, image in zip(chunk.rows.tolist(), chunk.images, strict=True):
                for bad in range(number, row):
                    yield bad, None, report.messages.popleft()
                yield row, image, ""
                number = row + 1
        for bad in range(number, self._n):
            yield bad, None, report.messages.popleft()
