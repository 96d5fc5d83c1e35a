"""Figures of notebook 05."""

import numpy as np
import pandas as pd

from alutils import plots


def test_an_arm_that_was_never_certified_leaves_the_figure_its_room():
    curve = pd.DataFrame({"n": [500, 800], "middle": [0.0, 0.8], "low": np.nan, "high": np.nan})
    figure = plots.cost_curves({"random": curve, "active": curve},
                               {"random": np.array([]), "active": np.array([750.0])},
                               title="Certified")  # fmt: skip
    figure.canvas.draw()
    assert figure.axes[0].get_position().height > 0.6
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert [len(line.get_xdata()) for line in stars] == [1, 0]  # and the one of the legend


def test_a_suspicious_label_is_said_to_be_wrong_or_right_and_what_it_may_be():
    images = np.zeros((2, 8, 8), np.uint8)
    figure = plots.suspects(images, ["2", "9"], ["0", "4"], ["0", "9"], "Two")
    titles = [panel.get_title() for panel in figure.axes if panel.get_title()]
    assert titles == ["said 2: wrong\nmaybe 0", "said 9: right\nmaybe 4"]
