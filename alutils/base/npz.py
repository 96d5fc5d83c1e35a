"""Arrays out of npz files that are the program's own, or somebody's download; damaged ones, too."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an npz file; object arrays, which would be pickles, are refused.

    ValueError for a file that is damaged or something else, OSError for one that cannot be read.
    """
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not an npz file")  # numpy would take it for a pickle
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error
