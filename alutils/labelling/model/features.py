"""Features of a project's pictures: each computed once, kept beside the labels.

Pictures of any size are made 32 x 32 RGB as the report does it (Pillow's bicubic resizing, the
shape of the picture not kept, grey copied to three channels). That suits letters and signs; for
photographs give a larger ``size``, which costs time in proportion to its area.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from alutils.base import artefacts
from alutils.base.files import atomic_file
from alutils.base.manifest import digest
from alutils.data.pixels import prepare
from alutils.models import embeddings
from alutils.models.backbones import vgg16

log = logging.getLogger(__name__)
BLOCK = 512  # pictures between two looks at whether to stop, and between two files


class Extractor(Protocol):
    """What turns pictures into features.

    ``identity`` says how, so that features made otherwise are not mixed with these; ``size`` is
    (height, width) of the pictures that it takes.
    """

    identity: str
    size: tuple[int, int]

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Return (n, n_features) float32 of (n, height, width, 3) uint8."""


class Vgg16Features:
    """VGG16's features, by the backend that is fastest here; built at its first use.

    Parameters
    ----------
    size, preprocessing : as in `alutils.models.embeddings.features`
    weights : of the 13 convolutions; None for ImageNet's
    """

    def __init__(
        self,
        size: tuple[int, int] = (32, 32),
        preprocessing: str = "raw",
        weights: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.size, self._weights = size, weights
        self._plan = embeddings.plan(size=size, preprocessing=preprocessing, weights=weights)
        said = {k: v for k, v in self._plan.as_dict().items() if k not in ("batch", "threads")}
        self.identity = repr(sorted(said.items()))
        self._network: Callable | None = None

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        batch = self._plan.batch
        if self._network is None:
            build = {"keras": vgg16.keras_network, "openvino": vgg16.openvino_network}
            weights = artefacts.vgg16_convolutions() if self._weights is None else self._weights
            self._network = build[self._plan.backend](
                weights,
                layer=self._plan.layer,
                pooling=self._plan.pooling,
                shape=(batch, *self.size),
                precision=self._plan.precision,
            )
            self._weights = None if self._weights is None else ()  # the network has its own copy
        # Batches of one shape, the last filled up with black: the network is built for one.
        n_batches = -(-len(pictures) // batch)
        out = np.empty((len(pictures), 512), np.float32)

        def batches():
            for i in range(n_batches):
                part = pictures[i * batch : (i + 1) * batch]
                full = np.zeros((batch, *part.shape[1:]), part.dtype)
                full[: len(part)] = part
                yield prepare(full, preprocessing=self._plan.preprocessing, size=self.size)

        self._network(batches(), out)
        return out


def read_picture(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8 of a stored picture, resized as the report does it."""
    with Image.open(path, formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))


class FeatureCache:
    """Features by the SHA-256 of their pictures, in memory and on disk.

    Parameters
    ----------
    folder : where files of features are kept, a folder below it for each extractor
    extractor : computes what is missing
    """

    def __init__(self, folder: Path, extractor: Extractor) -> None:
        self.extractor = extractor
        self._folder = folder / f"features-{digest(extractor.identity)[:16]}"
        self._row: dict[str, int] = {}
        self._rows = np.empty((0, 0), np.float32)
        self._load()

    def __len__(self) -> int:
        return len(self._row)

    def missing(self, sha256: Sequence[str]) -> list[str]:
        """Return those that have not been computed yet."""
        return [each for each in sha256 if each not in self._row]

    def get(self, sha256: Sequence[str]) -> np.ndarray:
        """(n, n_features) float32; KeyError for a picture that has not been computed."""
        return self._rows[[self._row[each] for each in sha256]]

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
        sha256 : of the pictures
        path_of : where a picture lies
        stop : is asked between blocks
        done : is told how many are computed so far

        Returns
        -------
        pictures that could not be read
        """
        missing, unreadable, n = self.missing(sha256), [], 0
        for start in range(0, len(missing), BLOCK):
            if stop():
                break
            names, pictures = [], []
            for each in missing[start : start + BLOCK]:
                try:
                    pictures.append(read_picture(path_of(each), self.extractor.size))
                    names.append(each)
                except (OSError, SyntaxError, ValueError) as error:
                    log.warning("%s cannot be read: %s", path_of(each), error)
                    unreadable.append(each)
            if names:
                rows = np.asarray(self.extractor(np.stack(pictures)), np.float32)
                if rows.shape[0] != len(names) or not np.isfinite(rows).all():
                    raise ValueError(
                        f"features {rows.shape} of {len(names)} pictures hold values that are not "
                        "finite, or are not one row each: the network is damaged, load it again"
                    )
                self._add(names, rows)
                self._write(names, rows)
            n += len(names)
            done(n)
        return unreadable

    def _add(self, names: Sequence[str], rows: np.ndarray) -> None:
        first, last = len(self._row), len(self._row) + len(names)
        if last > len(self._rows):  # grows by doubling, so that adding stays cheap
            larger = np.empty((max(last, 2 * len(self._rows)), rows.shape[1]), np.float32)
            larger[:first] = self._rows[:first] if first else 0
            self._rows = larger
        self._rows[first:last] = rows
        self._row.update(zip(names, range(first, last), strict=True))

    def _write(self, names: Sequence[str], rows: np.ndarray) -> Path:
        path = self._folder / f"{digest(*names)[:32]}.npz"
        with atomic_file(path) as file:
            np.savez(file, sha256=np.array(names), rows=rows)
        return path

    def _load(self) -> None:
        """Read what was kept; many small files become one."""
        files = sorted(self._folder.glob("*.npz"))
        for path in files:
            try:
                with np.load(path, allow_pickle=False) as kept:
                    names, rows = kept["sha256"].tolist(), kept["rows"]
                new = [i for i, name in enumerate(names) if name not in self._row]
                if rows.ndim != 2 or len(rows) != len(names) or not np.isfinite(rows).all():
                    raise ValueError("not one row of finite numbers for each picture")
                self._add([names[i] for i in new], rows[new])
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                log.warning("%s is damaged (%s): its features are computed again", path, error)
                path.unlink(missing_ok=True)
        if len(files) > 1 and self._row:
            whole = self._write(list(self._row), self._rows[: len(self._row)])
            for path in files:
                if path != whole:
                    path.unlink(missing_ok=True)
