"""Figures of letters: letters are drawn where they can be read, and dots where they cannot."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from alutils.plots import letters


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def mapped(n):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    points = rng.normal(size=(n, 2)) + 6 * labels[:, None]
    return letters.maps({"one": points, "two": points}, labels, ["A", "B", "C"], "a map")


@pytest.mark.parametrize("n", [60, letters.READABLE, letters.READABLE + 1, 20_000])
def test_letters_on_a_map_have_7_points_or_more_and_too_many_items_are_dots(n):
    figure = mapped(n)
    for panel in figure.axes:
        for drawn in panel.collections:
            is_letter = len(drawn.get_paths()[0].vertices) != 26  # of the marker "."
            if n <= letters.READABLE:
                assert drawn.get_sizes()[0] ** 0.5 >= 7 and is_letter
        names = [text for text in panel.texts if text.get_text() in "ABC"]
        assert len(names) == 3
        assert all(text.get_fontsize() >= 9 for text in names)


def test_maps_lie_below_each_other_each_as_wide_as_the_page():
    figure = mapped(60)
    first, second = (panel.get_subplotspec() for panel in figure.axes)
    assert (first.colspan.start, second.colspan.start) == (0, 0)
    assert first.rowspan.start < second.rowspan.start


def test_a_classes_name_stands_among_its_items_where_it_has_a_far_off_few():
    rng = np.random.default_rng(1)
    many, few = rng.normal(size=(500, 2)), np.full((12, 2), 40.0)  # few that lie very close
    points, labels = np.concatenate([many, few]), np.zeros(512, int)
    figure = letters.maps({"one": points}, labels, ["A"], "a map")
    (name,) = [text for text in figure.axes[0].texts if text.get_text() == "A"]
    assert np.abs(name.xy).max() < 5
