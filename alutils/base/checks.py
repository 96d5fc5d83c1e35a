"""Checks of arguments: what is wrong is told as a `ParameterError`, before any work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeGuard

import numpy as np

from alutils.base.errors import ParameterError, nearest


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def check_fraction(name: str, value: object) -> None:
    if not _is_number(value) or not 0 <= value <= 1:
        raise ParameterError(name, value, "expected a number from 0 to 1")


def check_open_fraction(name: str, value: object) -> None:
    if not _is_number(value) or not 0 < value < 1:
        raise ParameterError(
            name, value, "expected a number between 0 and 1, neither included", "such as 0.99"
        )


def check_count(name: str, value: object, least: int = 0) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ParameterError(name, value, f"expected a whole number, {least} or more")


def check_known(name: str, value: object, known: Collection[str]) -> None:
    if value not in known:
        raise ParameterError(name, value, nearest(str(value), known))


def known_values(name: str, values: object) -> np.ndarray:
    """Return an array; what is behind a mask would be taken as if it were known: ParameterError."""
    if n := int(np.ma.count_masked(values)) if isinstance(values, np.ma.MaskedArray) else 0:
        raise ParameterError(
            name, f"an array with {n:,} masked values", "expected values that are known",
            "fill them, or leave these items out",
        )  # fmt: skip
    return np.asarray(values)


def check_keys(name: str, values: Mapping[str, Any], kind: type) -> None:
    expected = {each.name for each in fields(kind)}
    if set(values) != expected:
        wrong = ", ".join(sorted(set(values) ^ expected))
        raise ParameterError(name, wrong, f"expected the keys {', '.join(sorted(expected))}")
