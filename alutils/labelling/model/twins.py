"""One picture in two classes: labelled pictures that show the same and have different labels.

The store knows a file that comes twice; these are the same picture in another size, brighter, or
saved anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.distance import pdist

from alutils.labelling.model.features import FeatureCache

SIDE = 16
SAME = 0.2
"""Root mean square difference of two thumbnails from which on they show different pictures.

Of 300 digits and 300 letters, saved as JPEG at quality 50, enlarged twofold, made smaller by 0.6 or
brighter, none came to more than 0.13. Of 4,000 digits and of 5,284 real letters, no two of
different classes came below 0.31.
"""
_FLAT = 0.02  # below this deviation of its greys, from 0 to 1, a picture has no contrast to use
_BLOCK = 1024
_SOME, _FEWEST = 300, 50  # pictures that tell how alike all are


class Thumbnails:
    """Small grey versions of pictures, all of one brightness and contrast, as rows of numbers."""

    identity = f"thumbnail {SIDE} 1"

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Return (SIDE * SIDE,) float32 of mean 0 and deviation 1; smaller for flat pictures."""
        grey = picture.astype(np.float32) / 255
        if grey.ndim == 3:
            grey = grey @ np.array([0.299, 0.587, 0.114], np.float32)
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
        small -= small.mean()
        return small / max(float(np.sqrt(np.mean(small**2))), _FLAT)

    def __call__(self, prepared: list[np.ndarray], /) -> np.ndarray:
        """Return (n, SIDE * SIDE) float32."""
        return np.asarray(prepared, np.float32)


def same_from(rows: np.ndarray) -> float:
    """Return how far thumbnails of one picture may lie apart in a project with these.

    `SAME`, and less where all pictures are alike, as those of one camera that does not move: then
    half of what only one in twenty pairs of pictures stays below.
    """
    some = rows[:: max(1, len(rows) // _SOME)]
    if len(some) < _FEWEST:
        return SAME
    apart = np.sqrt(pdist(some, "sqeuclidean") / rows.shape[1])
    return min(SAME, float(np.quantile(apart, 0.05)) / 2)


def twins(
    rows: np.ndarray, others: np.ndarray, same: float = SAME
) -> tuple[np.ndarray, np.ndarray]:
    """Find thumbnails that show the same.

    Parameters
    ----------
    rows, others : (n, d) and (m, d) float32
    same : as of `same_from`

    Returns
    -------
    i, j : (n_pairs,) int each, the positions of pairs at most ``same`` apart
    """
    squares = (others**2).sum(axis=1)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        apart = (block**2).sum(axis=1)[:, None] + squares - 2 * block @ others.T
        i, j = np.nonzero(apart <= same**2 * rows.shape[1])
        found.append((i + start, j))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found])


class Twins:
    """Pairs of labelled pictures that show the same and have different labels.

    Parameters
    ----------
    folder : where thumbnails are kept

    Attributes
    ----------
    pairs : {item: the others that show the same}, by their numbers, as of the last `look`
    """

    def __init__(self, folder: Path) -> None:
        self._cache = FeatureCache(folder, Thumbnails())
        self._looked: dict[int, int] = {}  # label by picture, of the last look
        self.pairs: dict[int, set[int]] = {}

    def look(
        self,
        ids: np.ndarray,
        sha256: Sequence[str],
        labels: np.ndarray,
        path_of: Callable[[str], Path],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Compare what is new or has another label with all that is labelled.

        Parameters
        ----------
        ids, labels : (n,) int, of all labelled pictures, and ``sha256`` their hashes
        path_of, stop : as for `alutils.labelling.model.features.FeatureCache.compute`
        """
        self._cache.compute(sha256, path_of, stop)
        there = self._cache.has(list(sha256))
        ids, labels = ids[there], labels[there]
        now = dict(zip(ids.tolist(), labels.tolist(), strict=True))
        new = np.array([self._looked.get(item) != label for item, label in now.items()], bool)
        gone = {item for item in self._looked if item not in now} | set(ids[new].tolist())
        pairs = {
            item: others - gone
            for item, others in self.pairs.items()
            if item not in gone and others - gone
        }
        if new.any():
            x = self._cache.get([each for each, has in zip(sha256, there, strict=True) if has])
            i, j = twins(x[new], x, same_from(x))
            i = np.flatnonzero(new)[i]
            differ = labels[i] != labels[j]
            for one, other in zip(ids[i[differ]].tolist(), ids[j[differ]].tolist(), strict=True):
                pairs.setdefault(one, set()).add(other)
                pairs.setdefault(other, set()).add(one)
        self.pairs = pairs  # at once: pages ask meanwhile
        self._looked = now
