"""Features of a project's pictures: each computed once, kept beside the labels.

Pictures of any size are made 32 x 32 RGB as the report does it (Pillow's bicubic resizing, the
shape of the picture not kept, grey copied to three channels). That suits letters and signs; for
photographs give a larger ``size``, which costs time in proportion to its area.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from alutils.base.manifest import digest
from alutils.base.row_cache import KeyedRows
from alutils.data import decoding

log = logging.getLogger(__name__)
BLOCK = 512  # pictures between two looks at whether to stop, and between two files


class Extractor(Protocol):
    """What turns pictures into features, such as an `alutils.models.embeddings.Network`.

    ``identity`` says how, so that features made otherwise are not mixed with these; ``size`` is
    (height, width) of the pictures that it takes.
    """

    identity: str
    size: tuple[int, int]

    def __call__(self, pictures: np.ndarray, /) -> np.ndarray:
        """Return (n, n_features) float32 of (n, height, width, 3) uint8."""


def read_picture(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8 of a stored picture, resized as the report does it."""
    image = Image.fromarray(decoding.decode(path.read_bytes(), path.name).pixels)
    return np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))


class FeatureCache(KeyedRows):
    """Features by the SHA-256 of their pictures, in memory and on disk.

    Parameters
    ----------
    folder : where files of features are kept, a folder below it for each extractor
    extractor : computes what is missing
    """

    def __init__(self, folder: Path, extractor: Extractor) -> None:
        super().__init__(folder / f"features-{digest(extractor.identity)[:16]}")
        self.extractor = extractor

    def compute(
        self,
        sha256: Sequence[str],
        path_of: Callable[[str], Path],
        stop: Callable[[], bool] = lambda: False,
        done: Callable[[int], None] = lambda n: None,
    ) -> list[str]:
        """Compute what is missing, block by block, each on disk before the next.

        Parameters
        ----------
        sha256, path_of : which pictures, and where one lies
        stop : is asked between blocks
        done : is told how many are computed so far

        Returns
        -------
        pictures that could not be read
        """
        missing, n = self.missing(sha256), 0
        unreadable: list[str] = []
        for start in range(0, len(missing), BLOCK):
            if stop():
                break
            names, read = [], []
            for each in missing[start : start + BLOCK]:
                try:
                    read.append(read_picture(path_of(each), self.extractor.size))
                    names.append(each)
                except (OSError, ValueError) as error:
                    log.warning("%s cannot be read: %s", path_of(each), error)
                    unreadable.append(each)
            if names:
                self.add(names, np.asarray(self.extractor(np.stack(read)), np.float32))
            n += len(names)
            done(n)
        return unreadable
