"""A table of results that grows row by row, so that a long benchmark goes on where it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base import files


class Growing:
    """Rows of a CSV file, written anew whenever some come; what is there is read first.

    Parameters
    ----------
    path : of the file; None keeps nothing
    """

    def __init__(self, path: Path | None) -> None:
        there = path is not None and path.is_file()
        self.path = path
        self.rows: list[dict[Any, Any]] = (
            pd.read_csv(path).to_dict("records") if path is not None and there else []
        )

    def add(self, rows: list[dict[Any, Any]]) -> None:
        """Add rows, and write all of them."""
        self.rows += rows
        if self.path is not None:
            text = pd.DataFrame(self.rows).to_csv(index=False, lineterminator="\n")
            files.write_atomically(self.path, text)
