"""How a model lies on disk: a card in JSON and one file of float32 arrays, nothing that runs.

`CARD` says what the model is: its kind, the names of the classes, facts about the pictures that it
was trained on, settings, the shape of every array, the versions of the packages, and the SHA-256
of all this and of the arrays. The arrays are in ``weights-HASH.npz`` beside it, not compressed.
The card is written last: until then a model that was there before stays the one that is loaded.

Nothing in these files names a path or code. They are read with limits: a file is refused before
it is read if it is larger than the card allows, and arrays of objects (pickles) are never opened.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import math
import platform
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alutils.base.errors import ParameterError
from alutils.base.files import atomic_file
from alutils.base.manifest import digest, write_json
from alutils.models.seen import Seen

CARD = "model_card.json"
FORMAT = 2
MOST_BYTES = 2**30
"""Of all arrays of a model; the largest of ours has a hundredth of it."""
MOST_CARD = 2**22
"""Bytes of a card, which holds names and a few facts."""
_HEADER = 4096  # bytes that an array's file may have besides its numbers
_PACKAGES = ("numpy", "scipy", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "openvino")
AGAIN = "save the model again, or copy its whole folder again"


class SavedModelError(RuntimeError):
    """A saved model that is not there, not whole, or not one of ours."""


class Content(NamedTuple):
    """What a model is, apart from what computes with it.

    Attributes
    ----------
    kind : which class of `alutils.models.picture_models` it belongs to
    classes : names, in the order of the probabilities' columns
    n_trained : labels that it was trained on; 0 if nobody knows
    seen : facts about the pictures that it was trained on; None if nobody knows
    settings : of its kind, as JSON takes them
    arrays : name to float32 array
    """

    kind: str
    classes: tuple[str, ...]
    n_trained: int
    seen: Seen | None
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def card(self) -> dict[str, Any]:
        """Return what the card says of the model itself."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "classes": list(self.classes),
            "n_trained": self.n_trained,
            "seen": self.seen.to_json() if self.seen else None,
            "settings": self.settings,
            "arrays": {name: list(array.shape) for name, array in sorted(self.arrays.items())},
        }

    def sha256(self) -> str:
        """Return the SHA-256 of the card and the arrays: what a label can be tied to."""
        card = json.dumps(self.card(), sort_keys=True, allow_nan=False)
        numbers = (np.ascontiguousarray(a, "<f4").tobytes() for _, a in sorted(self.arrays.items()))
        return digest(card, *numbers)


def write(folder: Path, content: Content) -> Path:
    """Write a model into a folder, which is made if need be; a model in it is replaced.

    No other file in the folder is touched. Returns the folder.
    """
    sha256 = content.sha256()
    weights = folder / _weights_name(sha256)
    before = _weights_in(folder)
    arrays = {name: np.ascontiguousarray(a, "<f4") for name, a in content.arrays.items()}
    with atomic_file(weights) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    write_json(folder / CARD, content.card() | {"versions": _versions(), "sha256": sha256})
    if before not in (None, weights):
        before.unlink(missing_ok=True)
    return folder


def _weights_in(folder: Path) -> Path | None:
    """Return the weights of the model that a folder holds; None if it holds none of ours."""
    try:
        card = read_card(folder / CARD)
    except SavedModelError:
        return None
    sha256 = card.get("sha256")
    return folder / _weights_name(str(sha256)) if is_hash(sha256) else None


def read_card(path: Path) -> dict[str, Any]:
    """Return the object in a card's file, of whatever format; SavedModelError if there is none."""
    try:
        if path.stat().st_size > MOST_CARD:
            raise SavedModelError(f"{path} is larger than any model's card: it is something else")
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SavedModelError(f"{path} is missing: {path.parent} holds no saved model") from None
    except OSError as error:
        raise SavedModelError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise SavedModelError(f"{path} is damaged ({error}): {AGAIN}") from error
    if not isinstance(card, dict):
        raise SavedModelError(f"{path} is not a model's card: {AGAIN}")
    return card


def read(folder: Path, card: Mapping[str, Any]) -> Content:
    """Read a model whose card is known; SavedModelError if it is not whole or not one of ours."""
    path = folder / CARD
    _check(path, card)
    try:
        seen = None if card["seen"] is None else Seen.from_json(card["seen"])
    except ParameterError as error:
        raise SavedModelError(f"{path}: {error} {AGAIN.capitalize()}") from error
    arrays = _read_arrays(folder / _weights_name(card["sha256"]), card["arrays"])
    content = Content(
        card["kind"], tuple(card["classes"]), card["n_trained"], seen, card["settings"], arrays
    )
    if (found := content.sha256()) != card["sha256"]:
        raise SavedModelError(
            f"{folder} is not the model that was saved (SHA-256 {found[:12]}..., expected "
            f"{card['sha256'][:12]}...): card or weights are damaged or of another model; {AGAIN}"
        )
    return content


def _weights_name(sha256: str) -> str:
    return f"weights-{sha256[:16]}.npz"


def are_names(value: object) -> bool:
    """Whether a value can be a card's classes: one text or more, no two alike."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(name, str) and name for name in value) and len(set(value)) == len(value)


def is_hash(value: object) -> bool:
    """Whether a value can be a SHA-256 in hexadecimal."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _are_shapes(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
        for shape in value.values()
    )


def _check(path: Path, card: Mapping[str, Any]) -> None:
    if card.get("format") != FORMAT:
        raise SavedModelError(
            f"{path}: format {card.get('format')!r}, expected 1 or {FORMAT}: the model was saved "
            "by another version of this program"
        )
    fits = {
        "kind": lambda v: isinstance(v, str),
        "classes": are_names,
        "n_trained": lambda v: type(v) is int and v >= 0,
        "seen": lambda v: v is None or isinstance(v, dict),
        "settings": lambda v: isinstance(v, dict),
        "arrays": _are_shapes,
        "sha256": is_hash,
    }
    for name, is_fit in fits.items():
        if not is_fit(card.get(name)):
            raise SavedModelError(f"{path}: {name}={card.get(name)!r:.200} cannot be: {AGAIN}")
    if 4 * sum(math.prod(shape) for shape in card["arrays"].values()) > MOST_BYTES:
        raise SavedModelError(
            f"{path}: its arrays would take more than {MOST_BYTES / 2**30:g} GiB: {AGAIN}"
        )


def _read_arrays(path: Path, shapes: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """Read arrays of these shapes, or raise SavedModelError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if len(members) != len(archive.infolist()) or set(members) != {
                f"{name}.npy" for name in shapes
            }:
                raise SavedModelError(f"{path} holds other arrays than the card names: {AGAIN}")
            return {
                name: _read_array(archive, members[f"{name}.npy"], tuple(shape), f"{path}: {name}")
                for name, shape in shapes.items()
            }
    except FileNotFoundError:
        raise SavedModelError(f"{path} is missing: {AGAIN}") from None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        if isinstance(error, SavedModelError):
            raise
        raise SavedModelError(f"{path} is damaged ({error}): {AGAIN}") from error


def _read_array(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, shape: tuple[int, ...], name: str
) -> np.ndarray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise SavedModelError(f"{name} is compressed, which ours never are: {AGAIN}")
    if member.file_size > 4 * math.prod(shape) + _HEADER:
        raise SavedModelError(f"{name} has {member.file_size:,} bytes, too many: {AGAIN}")
    file = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise SavedModelError(f"{name} is in version {version} of NumPy's format: {AGAIN}")
    # Before anything is made of it: a header may name objects, or more numbers than there are.
    found, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != np.dtype("<f4") or found != shape or columns_first:
        raise SavedModelError(
            f"{name} is {dtype} of shape {found}, expected float32 of shape {shape}: {AGAIN}"
        )
    array = np.frombuffer(file.read(), "<f4").reshape(shape)
    if not np.isfinite(array).all():
        raise SavedModelError(f"{name} holds values that are not finite: train the model again")
    return array.astype(np.float32)


def _versions() -> dict[str, str]:
    """Return the versions of what computes; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
