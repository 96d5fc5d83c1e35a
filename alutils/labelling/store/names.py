"""Names that people gave, made fit for folders, files and keys on any system."""

from __future__ import annotations

import re
import unicodedata

from alutils.base.names import safe
from alutils.labelling.store.records import LabellingError

LONGEST = 300  # characters of a class's name
NAME_LENGTH = 80  # characters of a picture's name
_PERSON = 100  # characters of a person's name
# Cc control, Cf format (directions, zero width), Zl and Zp ends of lines
_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
# Letters and marks that show nothing: fillers, joiners, variation selectors, an empty Braille cell
_EMPTY = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def composed(text: str) -> str:
    """Return a text with its letters composed: an accent and its letter are one character."""
    return unicodedata.normalize("NFC", text)


def checked_text(text: object, what: str, longest: int = LONGEST) -> str:
    """Return a text without the space around it; it must be one, not too long, and UTF-8."""
    if not isinstance(text, str) or not text.strip():
        raise LabellingError(f"{what} {text!r}: expected a name; type at least one character")
    text = composed(text.strip())
    if len(text) > longest:
        raise LabellingError(
            f"{what} {text[:20]!r}...: {len(text)} characters; expected at most {longest}"
        )
    if "\0" in text:  # files of labels that hold one could not be read again
        raise LabellingError(f"{what} {text[:20]!r}: holds a zero byte; type it again")
    try:
        text.encode()
    except UnicodeEncodeError:
        told = f"{what} {text!r}: cannot be written as UTF-8; type it again"
        raise LabellingError(told) from None
    return text


def checked_name(name: object, what: str = "class", longest: int = LONGEST) -> str:
    """Return a name as it is kept: composed letters, plain spaces, nothing that cannot be seen.

    Two names that look the same would be two classes, or two people.
    """
    text = checked_text(name, what, longest)
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text).strip()
    hidden = [(place, c) for place, c in enumerate(text, 1) if _is_hidden(c)]
    if hidden:
        place, c = hidden[0]
        shown = "".join(f"<U+{ord(each):04X}>" if _is_hidden(each) else each for each in text[:40])
        called = unicodedata.name(c, "a control character").lower()
        raise LabellingError(
            f"{what} {shown}: character {place} (U+{ord(c):04X}, {called}) cannot be seen; type "
            "the name again without it"
        )
    if all(unicodedata.category(c)[0] in "MZ" for c in text):
        raise LabellingError(f"{what} {text!r}: shows nothing; type at least one letter")
    return text


def _is_hidden(c: str) -> bool:
    return unicodedata.category(c) in _HIDDEN or _EMPTY.match(c) is not None


def checked_person(name: object) -> str:
    """Return a person's name without the space around it; raises as `checked_name`."""
    return checked_name(name, "person", _PERSON)


def display_name(name: str) -> str:
    """Return a file's name as a short text that can be shown, never as a path.

    The last part of a path; control characters, those that turn the direction of writing and those
    without width become ``\ufffd``; long names lose their middle.
    """
    name = composed(name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])
    # Cc control, Cf format (directions, zero width), Cs half a pair, Co private, Zl and Zp lines
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    name = "".join("\ufffd" if unicodedata.category(c) in hidden else c for c in name).strip()
    if len(name) > NAME_LENGTH:
        half = (NAME_LENGTH - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    return name if name.strip(". ") else "unnamed"


def file_name(name: str, item: int) -> str:
    """Return the name of a picture's file in its class folder: readable, and no two alike."""
    stem = name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name
    return f"{safe(stem, 'picture', 150)}-{item}.png"
