"""Class names in any script: every text of a figure can be told from every other."""

import io
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text

from alutils.experiments.base import png_of
from alutils.plots import letters
from alutils.plots.report import confusion_matrix

NAMES = {
    "Japanese": ["あ", "い", "漢", "字"],
    "Korean words": ["사과", "배", "감 2", "귤"],
    "one of two scripts": ["A", "ア", "B", "ʩ𐌰"],
}


def drawn(figure) -> list[str]:
    """Draw a figure, of which no letter may be missing; return its texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png_of(figure).startswith(b"\x89PNG")
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.fixture
def few_fonts(monkeypatch):
    """Only the fonts that come with matplotlib."""
    inside = [f for f in font_manager.fontManager.ttflist if str(mpl.get_data_path()) in f.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", inside)


@pytest.mark.parametrize("script", NAMES)
def test_names_that_no_font_has_become_numbers_with_a_key(few_fonts, script):
    names = NAMES[script]
    for figure in (
        confusion_matrix(np.eye(4, dtype=int) + 1, names, "Confusions"),
        letters.samples(np.zeros((4, 5, 5), np.uint8), names, "Samples"),
        letters.maps({"x": np.random.default_rng(0).normal(size=(40, 2))}, np.arange(40) % 4,
                     names, "Maps"),
        letters.class_sizes({"all": dict(zip(names, (3, 4, 5, 6), strict=True))}, "Sizes"),
    ):  # fmt: skip
        texts = drawn(figure)
        (key,) = [text for text in texts if "No font on this machine" in text]
        lacking = {name for name in names if any(ord(c) > 0x2000 for c in name)}
        assert sum(line.startswith("[") for line in key.splitlines()) == len(lacking)
        assert all(f"U+{ord(name[-1]):04X}" in key for name in lacking if name[-1] > "\u2000")
        assert not [text for text in texts if any(c > "\u2fff" for c in text)]


def test_an_installed_font_that_has_the_letters_is_taken(few_fonts):
    has = {}
    for name in ("DejaVu Sans", "STIXGeneral"):
        charmap = font_manager.get_font(font_manager.findfont(name)).get_charmap()
        has[name] = {chr(code) for code in charmap}
    other = next(c for c in sorted(has["STIXGeneral"] - has["DejaVu Sans"]) if c.isalpha())
    figure = confusion_matrix(np.eye(2, dtype=int), [f"a{other}", "b"], "Confusions")
    texts = drawn(figure)
    assert f"a{other}" in texts and not [text for text in texts if "No font" in text]


def test_ordinary_figures_are_the_same_bytes_as_before():
    figures = [confusion_matrix(np.eye(2, dtype=int), ["ä", "Ж"], "Größe") for _ in range(2)]
    plain = io.BytesIO()
    figures[0].savefig(plain, format="png", bbox_inches="tight")
    assert png_of(figures[1]) == plain.getvalue()
