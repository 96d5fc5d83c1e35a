"""Names that people gave to classes and pictures, made fit for folders and files on any system."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_BYTES = 200  # of a folder's or file's name; systems allow 255, and a suffix must fit
_UNSAFE = set('<>:"/\\|?*')
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)}


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


def printable(text: str) -> str:
    r"""Return a text in one line that any screen takes: ``\n`` for a new line in a file's name."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def is_writable(text: str) -> bool:
    r"""Whether files and screens can hold a text: halves of characters (``\ud800``) they cannot."""
    return not any(unicodedata.category(c) == "Cs" for c in text)


def seen_as(name: str) -> str:
    """Return what a person sees of a name: composed letters, no invisible ones, single spaces."""
    text = "".join(c for c in name if unicodedata.category(c) not in ("Cf", "Cc"))
    return " ".join(unicodedata.normalize("NFC", text).split())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKD", name).casefold()
