"""Features of a project's pictures: each computed once, kept beside the labels."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alutils.base.manifest import digest
from alutils.base.row_cache import KeyedRows
from alutils.data import decoding
from alutils.labelling.store.files import Files
from alutils.models.conversion import Conversion
from alutils.models.picture_models import PictureModel

log = logging.getLogger(__name__)
BLOCK = 512  # pictures between two looks at whether to stop, and between two files


class Reads(Protocol):
    """What turns pictures into rows of numbers, as `alutils.models.backbones.Extractor` does."""

    @property
    def identity(self) -> str:
        """Differs wherever the numbers would."""

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Return one picture, (h, w) or (h, w, 3) uint8, as it is taken."""

    def __call__(self, prepared: Any, /) -> np.ndarray:
        """Return (n, n_columns) float32 of n prepared pictures."""


class Answers:
    """The probabilities of a model, as rows that are kept as features are."""

    def __init__(self, model: PictureModel) -> None:
        self._model, self.identity = model, f"answers of {model.sha256}"

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture as it is."""
        return picture

    def __call__(self, pictures: list[np.ndarray], /) -> np.ndarray:
        """Return (n, n_classes) float32."""
        return self._model.predict_proba(pictures)


class Converted:
    """What turns pictures into rows, with a conversion before it.

    Rows are kept apart by `identity`: those of pictures that were read in another way are others.
    """

    def __init__(self, reads: Reads, conversion: Conversion) -> None:
        self._reads, self._conversion = reads, conversion
        done = f" after {json.dumps(conversion.to_json())}" if conversion.steps else ""
        self.identity = f"{reads.identity}{done}"

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture, converted, as it is taken."""
        return self._reads.prepare(self._conversion(picture))

    def __call__(self, prepared: Any, /) -> np.ndarray:
        """Return (n, n_columns) float32 of n prepared pictures."""
        return self._reads(prepared)


def read_picture(path: Path) -> np.ndarray:
    """(height, width) or (height, width, 3) uint8 of a stored picture; BadPicture, OSError."""
    return decoding.decode(path.read_bytes(), path.name).pixels


class FeatureCache(KeyedRows):
    """Rows of numbers by the SHA-256 of their pictures, in memory and on disk.

    Parameters
    ----------
    folder : where files of features are kept, a folder below it for each extractor
    extractor : computes what is missing
    """

    def __init__(self, folder: Path, extractor: Reads) -> None:
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
                    read.append(self.extractor.prepare(read_picture(path_of(each))))
                    names.append(each)
                except (OSError, ValueError) as error:
                    log.warning("%s cannot be read: %s", path_of(each), error)
                    unreadable.append(each)
            if names:
                self.add(names, np.asarray(self.extractor(read), np.float32))
            n += len(names)
            done(n)
        return unreadable


def some_pictures(
    files: Files, sha256: Sequence[str], conversion: Conversion, most: int = 200
) -> list[np.ndarray]:
    """Read some pictures, drawn at random, to see what they look like; `most` at most.

    They are converted as models see them. What cannot be read is left out.
    """
    drawn = np.random.default_rng(0).permutation(len(sha256))[:most]
    found = []
    for i in sorted(drawn.tolist()):
        try:
            found.append(conversion(read_picture(files.picture(sha256[i]))))
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read: %s", sha256[i], error)
    return found
