"""A table of results that grows row by row, so that a long benchmark goes on where it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base import files


class Growing:
    """Rows of a CSV file, written anew whenever some come; what is there is read first.

    Parameters
    ----------
    path : of the file; None keeps nothing
    columns : in their order; None: as they come
    """

    def __init__(self, path: Path | None, columns: Sequence[str] | None = None) -> None:
        there = path is not None and path.is_file()
        self.path, self.columns = path, columns
        self.rows: list[dict[Any, Any]] = (
            pd.read_csv(path).to_dict("records") if path is not None and there else []
        )

    @property
    def frame(self) -> pd.DataFrame:
        """All rows."""
        return pd.DataFrame(self.rows, columns=self.columns)

    def add(self, rows: Iterable[dict[Any, Any]]) -> None:
        """Add rows, and write all of them."""
        self.rows += rows
        if self.path is not None:
            text = self.frame.to_csv(index=False, lineterminator="\n")
            files.write_atomically(self.path, text)
