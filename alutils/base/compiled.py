"""Functions compiled by numba, kept on disk for the next process where there is room for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """Return a decorator: `numba.njit` without the GIL, and with numba's cache where it can be.

    Numba keeps machine code beside the source file, else below the user's home. In a read-only
    installation without a home it finds no place and refuses to compile at all; here the function
    is then compiled anew in each process, which costs seconds.

    Parameters
    ----------
    options : of `numba.njit`, such as ``error_model`` or ``fastmath``
    """

    def decorate(function: Callable) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return numba.njit(nogil=True, **options)(function)

    return decorate
