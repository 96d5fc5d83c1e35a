"""Real letters, where they are: capitals, and the small ones of Kassel and Taskar's OCR set."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

from alutils.base import files
from alutils.base.npz import read_arrays
from alutils.data.dataset import Dataset
from alutils.data.loading import load

_SHARED = Path("../shared/data")


def capitals() -> Dataset | None:
    """Return 5,284 capitals as (n, 28, 28) uint8, white on black; None where they are not."""
    path = files.repository_root() / _SHARED / "az_sample.npz"
    return load(path) if path.is_file() else None


def small_letters() -> Dataset | None:
    """Return 52,152 letters as (n, 16, 16) uint8, white on black, in a random order; else None.

    In the file words lie side by side. Ink is any number but 0 there.
    """
    path = files.repository_root() / _SHARED / "ocr_lower.npz"
    if not path.is_file():
        return None
    kept = read_arrays(path)
    ink = np.pad(kept["images"] > 0, ((0, 0), (0, 0), (4, 4)))
    images = np.where(ink, 255, 0).astype(np.uint8)
    names = tuple(string.ascii_lowercase)
    data = Dataset(images, kept["labels"].astype(np.int64), names, "ocr", "lower")
    return data.take(np.random.default_rng(0).permutation(len(data)))
