"""Keys of classes: one key is one label.

A class that is a letter or a digit has its own as its key, in any script that is typed letter by
letter. Where both a letter and its capital are classes, Shift tells them apart. A class whose key
is not on every keyboard has a second one that is.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence

EVERYWHERE = string.ascii_lowercase + string.digits
"""Keys that there are on every keyboard, in some layout."""
# Scripts that are typed by several keys a letter: what is pressed is none of their letters.
_COMPOSED = (
    "CJK",
    "FULLWIDTH",
    "HALFWIDTH",
    "HANGUL",
    "HIRAGANA",
    "KATAKANA",
    "BOPOMOFO",
    "YI ",
    "TANGUT",
)


def is_key(text: object) -> bool:
    """Whether a text can be the key of a class: one letter or digit that one key types."""
    if not isinstance(text, str) or len(text) != 1:
        return False
    typed = unicodedata.category(text) in ("Ll", "Lu", "Lo", "Nd")
    return typed and not unicodedata.name(text, "CJK").startswith(_COMPOSED)


def _own(name: str, names: Container[str]) -> str:
    """Return the key that a class has by its name, '' where it is no letter and no digit."""
    if not is_key(name):
        return ""
    other, small = name.swapcase(), name.lower()
    if other != name and other in names:
        return name
    return small if is_key(small) else name


def choose_keys(
    names: Sequence[str], present: Mapping[str, str | None], taken: Iterable[str] = ()
) -> dict[str, str | None]:
    """Choose keys for classes that come: their own letter, one of their name, any that is free.

    Parameters
    ----------
    names : of the classes that come
    present : keys of the classes that are there, by their names
    taken : further keys that are not free

    Returns
    -------
    keys by name, None for a class that is chosen by typing its name; also of those classes that
    are there and get another: a capital whose small letter comes
    """
    held = {key: name for name, key in present.items() if key}
    used, keys = {*held, *taken}, dict[str, str | None]()

    def give(name: str, wished: Iterable[str], taken: Container[str]) -> None:
        key = next((each for each in wished if each not in taken), None)
        if key is not None:
            keys[name] = key
            used.add(key)

    for name in names:
        capital = held.get(name)
        if capital is not None and capital == name.swapcase() and capital not in used:
            keys[capital] = capital
            used.remove(name)
            used.add(capital)
    everybody = {*names, *present}
    for name in names:  # all letters first, so that class A gets A though Apple stands first
        give(name, _own(name, everybody), used)
    # What is another class's second key is the last that is taken.
    second = {key for key in also(present.items()).values() if key}
    for wished in (lambda name: name.lower(), lambda _: EVERYWHERE):
        for name in names:
            if name not in keys:
                give(name, [c for c in wished(name) if c in EVERYWHERE], used | second)
    for name in names:
        if name not in keys:
            give(name, EVERYWHERE, used)
    return {name: keys.get(name) for name in [*keys, *names]}


def also(classes: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    """Return second keys of classes, by name: for those whose key is not on every keyboard.

    ``classes`` are names and keys, in an order that stays.
    """
    classes = list(classes)
    used = {key.lower() for _, key in classes if key}
    free = iter([key for key in EVERYWHERE if key not in used])
    return {
        name: next(free, None)
        for name, key in classes
        if key is not None and key.lower() not in EVERYWHERE
    }
