"""What a computation depends on, as one digest: its function and all that it is given."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pandas as pd


class ContentError(TypeError):
    """A value whose content cannot be told, so that nothing computed from it can be kept."""


def content_digest(*values: Any) -> str:
    """Return the SHA-256, in hex, of some values' contents: equal for equal values, in any process.

    Parameters
    ----------
    values : of Python's plain types, enums, paths, numpy arrays and scalars, pandas frames and
        series, data sets (anything with a ``content_hash()``), dataclasses, functions of a module
        with their arguments bound by `functools.partial`, and lists, tuples, sets, ranges and
        dicts of all these

    Raises
    ------
    ContentError
        For anything else: a generator of random numbers (give its seed instead), a function made
        inside another one (give a function of a module, and what it needs as arguments).
    """
    sha = hashlib.sha256()
    for value in values:
        for part in _parts(value):
            sha.update(len(part).to_bytes(8, "big"))
            sha.update(part)
    return sha.hexdigest()


def _bound_to(function: object) -> bool:
    """Whether a function carries an object with it, whose content its name does not tell."""
    owner = getattr(function, "__self__", None)
    return owner is not None and not isinstance(owner, ModuleType)


def name_of(function: Callable[..., Any]) -> str:
    """Return ``module.name`` of a function or class of a module, or raise ContentError."""
    name = getattr(function, "__qualname__", "<no name>")
    if "<" in name or _bound_to(function):
        raise ContentError(
            f"{name}: expected a function of a module, which is the same in every process; what it "
            "needs from around it are its arguments"
        )
    return f"{function.__module__}.{name}"


def _parts(value: Any) -> list[bytes]:
    """Return the bytes that tell a value from all others, its kind first."""
    plain = (type(None), bool, int, float, complex, str, bytes, Path, range, type(...))
    match value:
        case Enum():
            return [b"enum", *_parts(type(value)), value.name.encode()]
        case np.generic():  # before the plain ones: np.float64 is a float, too
            return _parts(value.item())
        case _ if isinstance(value, plain):
            kind = "path" if isinstance(value, Path) else type(value).__name__
            return [kind.encode(), value if isinstance(value, bytes) else repr(value).encode()]
        case np.ndarray():
            return _array(value)
        case functools.partial():
            return [b"partial", *_parts((value.func, value.args, value.keywords))]
        case Mapping():
            pairs = sorted((content_digest(key), content_digest(value[key])) for key in value)
            return [b"mapping", *(text.encode() for pair in pairs for text in pair)]
        case list() | tuple():
            return [b"sequence", *(content_digest(item).encode() for item in value)]
        case set() | frozenset():
            return [b"set", *sorted(content_digest(item).encode() for item in value)]
        case _:
            return _object(value)


def _own_code(function: Callable[..., Any], seen: frozenset[str] = frozenset()) -> list[bytes]:
    """Return what a function of a notebook's cells does: such a one may be defined anew.

    Its code and defaults, and what it takes from the cells around it: their functions likewise, and
    the contents of all else.
    """
    if isinstance(function, type) or not hasattr(function, "__code__"):
        raise ContentError(
            f"{name_of(function)}: what a notebook's cells define may be kept for functions alone; "
            "define classes in a module"
        )
    code, around = function.__code__, function.__globals__
    parts = [*_code(code), *_parts([function.__defaults__, function.__kwdefaults__])]
    for name in sorted(_names(code) - seen - {function.__name__}):
        value = around.get(name)
        if callable(value) and getattr(value, "__module__", None) == "__main__":
            parts += [name.encode(), *_own_code(value, seen | {name, function.__name__})]
        elif name in around and not isinstance(value, ModuleType):
            parts += [name.encode(), *_parts(value)]
    return parts


def _names(code: CodeType) -> set[str]:
    """Return the global names that code reads, that of functions inside it included."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _code(code: CodeType) -> list[bytes]:
    """Return what tells code from another's, wherever its lines stand."""
    parts = [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        parts += _code(constant) if isinstance(constant, CodeType) else _parts(constant)
    return parts


def _array(value: np.ndarray) -> list[bytes]:
    if value.dtype.hasobject:
        return [b"objects", str(value.shape).encode(), *_parts(value.tolist())]
    head = f"{value.dtype.str} {value.shape}".encode()
    return [b"array", head, np.ascontiguousarray(value).tobytes()]


def _object(value: Any) -> list[bytes]:
    if callable(getattr(value, "content_hash", None)) and not isinstance(value, type):
        return [b"content", name_of(type(value)).encode(), value.content_hash().encode()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [b"dataclass", name_of(type(value)).encode(), *_parts(fields)]
    if isinstance(value, pd.DataFrame):
        columns = [value[column].to_numpy() for column in value.columns]
        return [b"frame", *_parts([list(value.columns), value.index.to_numpy(), *columns])]
    if isinstance(value, pd.Series):
        return [b"series", *_parts([value.name, value.index.to_numpy(), value.to_numpy()])]
    if isinstance(value, type) or callable(value):
        name = name_of(value)
        body = _own_code(value) if name.startswith("__main__.") else []
        return [b"function", name.encode(), *body]
    hint = "; give its seed instead" if isinstance(value, np.random.Generator) else ""
    raise ContentError(
        f"{type(value).__name__}: cannot be part of what a kept result depends on; expected "
        "numbers, texts, arrays, frames, data sets, dataclasses and functions of a module" + hint
    )
