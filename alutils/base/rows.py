"""People's items, in whatever holds them, as something that gives rows for an array of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from alutils.base.checks import known_values
from alutils.base.errors import ParameterError


class FrameRows:
    """Rows of a pandas table, which as an index takes names of columns; the rows are tables, too.

    Parameters
    ----------
    frame : a DataFrame or a Series
    """

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: Any) -> Any:
        return self.frame.iloc[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.frame.to_numpy(), dtype)


def as_rows(items: Any, name: str = "features") -> Any:
    """Return items so that an array of numbers gives the rows of these numbers.

    Arrays, and whatever else takes an array as index, stay as they are; lists become arrays, rows
    of sparse matrices stay sparse, rows of pandas tables stay tables.

    Raises
    ------
    ParameterError
        For masked values: what is behind a mask would be taken as if it were known. For a list of
        rows that are not alike.
    """
    if isinstance(items, np.ma.MaskedArray):
        return known_values(name, items)
    if hasattr(items, "iloc"):
        return FrameRows(items)
    if hasattr(items, "tocsr"):
        return items.tocsr()
    if isinstance(items, list | tuple):
        try:
            return np.asarray(items)
        except ValueError as error:
            raise ParameterError(name, "a list", f"its rows are not alike ({error})") from error
    return items


def whole(rows: Any) -> Any:
    """Return all rows as classifiers take them."""
    return rows.frame if isinstance(rows, FrameRows) else rows


def number_of(rows: Any) -> int:
    """How many rows there are; sparse matrices have no length."""
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)


def dense(rows: Any, who: str, name: str = "features") -> Any:
    """Return rows for who computes with the numbers in them; ParameterError for sparse ones."""
    if hasattr(rows, "tocsr"):
        raise ParameterError(
            name, "a sparse matrix", f"expected an array for {who}", "give it as .toarray()"
        )
    return np.asarray(rows) if isinstance(rows, FrameRows) else rows
