"""Names that people gave, made fit for folders, files and keys on any system."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable

from alutils.labelling.store.records import LabellingError

LONGEST = 300  # characters of a class's name
_PERSON = 100  # characters of a person's name
_BYTES = 200  # of a folder's or file's name; systems allow 255, and a suffix must fit
_UNSAFE = set('<>:"/\\|?*')
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)}
_KEYS = string.ascii_lowercase + string.digits


def checked_name(name: object, what: str = "class", longest: int = LONGEST) -> str:
    """Return a name without the space around it; it must be a text, not too long, and UTF-8."""
    if not isinstance(name, str) or not name.strip():
        raise LabellingError(f"{what} {name!r}: expected a name; type at least one character")
    name = unicodedata.normalize("NFC", name.strip())
    if len(name) > longest:
        raise LabellingError(
            f"{what} {name[:20]!r}...: {len(name)} characters; expected at most {longest}"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        text = f"{what} {name!r}: cannot be written as UTF-8; type it again"
        raise LabellingError(text) from None
    return name


def checked_person(name: object) -> str:
    """Return a person's name without the space around it; raises as `checked_name`."""
    return checked_name(name, "person", _PERSON)


def safe(name: str, otherwise: str, most: int = _BYTES) -> str:
    """Turn any text into a name that is one, visible and harmless on Linux, macOS and Windows."""
    text = unicodedata.normalize("NFC", name)
    # Categories C*: control characters, NUL, and those that turn the direction of writing.
    text = "".join("_" if c in _UNSAFE or unicodedata.category(c)[0] == "C" else c for c in text)
    text = text.strip().lstrip(".").rstrip(". ").strip()
    text = text.encode()[:most].decode(errors="ignore").rstrip(". ")
    if text.split(".")[0].strip().casefold() in _DEVICES:
        text = f"_{text}"
    return text or otherwise


def folder_name(name: str, taken: Iterable[str]) -> str:
    """Return a folder's name for a class, unlike the taken ones, capitals and accents aside."""
    folded = {_folded(other) for other in taken}
    plain = safe(name, "class")
    candidate, number = plain, 2
    while _folded(candidate) in folded:
        candidate, number = f"{plain}-{number}", number + 1
    return candidate


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKD", name).casefold()


def file_name(name: str, item: int) -> str:
    """Return the name of a picture's file in its class folder: readable, and no two alike."""
    stem = name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name
    return f"{safe(stem, 'picture', 150)}-{item}.png"


def choose_keys(names: Iterable[str], taken: Iterable[str]) -> list[str | None]:
    """Choose a key for each class: its own letter, a letter of its name, any that is free.

    Keys are small letters and digits, pressed with or without Shift; control keys are none of them.
    None where all 36 are taken: such a class is chosen by typing its name.
    """
    names, used = list(names), set(taken)
    keys: dict[str, str] = {}
    # All single letters first, so that class A gets A though Apple stands first.
    for wished in ([n if len(n) == 1 else "" for n in names], names, [_KEYS] * len(names)):
        for name, wish in zip(names, wished, strict=True):
            free = [c for c in wish.lower() if c in _KEYS and c not in used]
            if name not in keys and free:
                keys[name] = free[0]
                used.add(free[0])
    return [keys.get(name) for name in names]
