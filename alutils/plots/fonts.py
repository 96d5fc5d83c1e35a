"""Texts that the figures' font lacks: drawn in another installed font, or as numbers with a key.

Class names come from people, in any script. A font draws a letter that it lacks as an empty box,
and all such classes look the same.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

# They have a box for everything, or letters in places that are not Unicode's.
_NO_FONTS = re.compile("Last ?Resort|NonUnicode|^cm|STIXSize|Math|Symbol|Dingbats|Emoji")
_SHOWN = 12  # of letters that are named in a key


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG in which every text can be told from every other."""
    used = _letters(figure)
    families = [*mpl.rcParams["font.family"]]
    missing = used - _has(font_manager.findfont(font_manager.FontProperties(family=families)))
    if missing:
        others = _fonts_with(missing)
        families += others
        for font in others:
            missing -= _has(font_manager.findfont(font))
    with mpl.rc_context({"font.family": families}):
        if missing:
            _number(figure, missing)
        if len(families) > 1:
            _use(figure, families)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _letters(figure: Figure) -> set[str]:
    """Return the letters of a figure's texts that not every font has."""
    texts = [text.get_text() for text in figure.findobj(Text)]
    texts += [text for *_, labels in _named_ticks(figure) for text in labels]
    return {c for text in texts for c in text if not c.isascii() and c.isprintable()}


def _named_ticks(figure: Figure) -> Iterator[tuple[Axis, bool, list[str]]]:
    """Yield axes whose ticks have names, major and minor ones; their labels are made of these."""
    for axis in figure.findobj(Axis):
        for minor in (False, True):
            made_by = axis.get_minor_formatter() if minor else axis.get_major_formatter()
            if isinstance(made_by, FixedFormatter | FuncFormatter):
                yield axis, minor, [text.get_text() for text in axis.get_ticklabels(minor=minor)]


def _has(path: str) -> set[str]:
    return {chr(code) for code in font_manager.get_font(path).get_charmap()}


def _fonts_with(letters: set[str]) -> list[str]:
    """Return installed fonts that have as many of the letters as can be had, the best first."""
    found: dict[str, set[str]] = {}
    for font in font_manager.fontManager.ttflist:
        if font.name not in found and not _NO_FONTS.search(font.name):
            try:
                found[font.name] = letters & _has(font_manager.findfont(font.name))
            except (
                OSError,
                RuntimeError,
                ValueError,
            ):  # a font that was removed since, or is damaged
                continue
    chosen, left = [], set(letters)
    while left and found:
        best = max(found, key=lambda name: len(found[name] & left))
        if not found[best] & left:
            break
        left -= found[best]
        chosen.append(best)
    return chosen


def _use(figure: Figure, families: list[str]) -> None:
    """Set the fonts of texts that are there; those that are made when it is drawn have them."""
    for text in figure.findobj(Text):
        text.set_fontfamily(families)
    for axis in figure.findobj(Axis):
        axis.set_tick_params(which="both", labelfontfamily=families)


def _number(figure: Figure, missing: set[str]) -> None:
    """Put a number for each run of letters that no font has, and a key below the figure."""
    runs = re.compile("[" + "".join(map(re.escape, sorted(missing))) + "]+")
    numbers: dict[str, str] = {}

    def numbered(text: str) -> str:
        return runs.sub(lambda m: numbers.setdefault(m[0], f"[{len(numbers) + 1}]"), text)

    for axis, minor, labels in list(_named_ticks(figure)):
        if any(runs.search(label) for label in labels):
            places = axis.get_ticklocs(minor=minor)
            axis.set_ticks(places, [numbered(label) for label in labels], minor=minor)
    for text in figure.findobj(Text):
        text.set_text(numbered(text.get_text()))
    key = [f"{number} {_spelled(run)}" for run, number in numbers.items()]
    shown = "\n".join(key[:_SHOWN]) + ("\n..." if len(key) > _SHOWN else "")
    note = "No font on this machine has these letters; install one, such as Noto Sans:\n" + shown
    figure.text(0.02, -0.02, note, va="top", fontsize=9)


def _spelled(run: str) -> str:
    return ", ".join(f"U+{ord(c):04X} {unicodedata.name(c, '')}".strip() for c in run)
