"""One arm, one look: in the table, and in every function that draws arms."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from alutils import plots
from alutils.base.files import repository_root
from alutils.experiments.label_costs import results as label_costs
from alutils.experiments.report import exploration
from alutils.plots.style import ARMS, COLOURS, look

BY_PLACE = re.compile(
    r"(noise|blur|occlusion|wrong_labels|seven_steps|block)_?[\d.]+(@[\d.]+)?"  # levels, on an axis
    r"|\w+_on_(raw_pixels|vgg16_features)"  # classifiers, a row each
    r"|(random|margin|least_confident)_(softmax|rbf_svm|network(_unlabelled)?)"  # a row each
    r"|\w+_balanced_test"  # in a panel of their own, with the look of the arm before it
    r"|right|wrong|asked_again|asked_everyone_twice"  # what people do, a row each
    # notebooks 04 and 06: the part of the notebook, then the arm, which has its look
    r"|(digits|letters|batch|cold|people|paid|stopping|stream|synthesis)_\w+"
)
"""Arms of result tables that a figure tells apart by where they stand."""
TOGETHER = {
    "mnist": ("all", "random", "first", "active", "auto_at_once", "auto_confident_first"),
    "loops": ("as_intended", "as_published", "random", "random_as_published"),
    "label costs": tuple(label_costs.ARMS),
    "imbalance": tuple(exploration.ARMS),
    "streams": ("random", "fixed", "variable", "randomised"),
    "synthesis": ("random", "as_it_is", "nearest_real"),
}
"""Arms that stand in one figure."""


def arms_of_results():
    for path in sorted((repository_root() / "results").glob("*.csv")):
        table = pd.read_csv(path)
        if "arm" in table:
            yield path.stem, sorted(set(table["arm"]))


def test_every_arm_of_the_results_has_a_look_or_a_place_of_its_own():
    found = list(arms_of_results())
    assert len(found) > 10
    missing = {
        (name, arm)
        for name, arms in found
        for arm in arms
        if arm not in ARMS and not BY_PLACE.fullmatch(arm)
    }
    assert missing == set()


def appearances():
    for name, arms in [*TOGETHER.items(), *arms_of_results()]:
        yield pytest.param([arm for arm in arms if arm in ARMS], id=name)


@pytest.mark.parametrize("arms", list(appearances()))
def test_no_two_arms_of_one_figure_share_colour_and_marker(arms):
    assert not [arm for arm in TOGETHER.values() if not set(arm) <= set(ARMS)]
    for one, other in itertools.combinations(arms, 2):
        assert (ARMS[one].colour, ARMS[one].marker) != (ARMS[other].colour, ARMS[other].marker)
        if len(arms) <= len(COLOURS):  # these differ in print without colour, too
            assert ARMS[one].marker != ARMS[other].marker, (one, other)


def curve(**columns):
    return pd.DataFrame({"n": [10, 20], "low": [0.4, 0.5], "high": [0.6, 0.7], **columns})


def figures_with(arms):
    """Yield the name and the figure of every function that draws arms, each drawing these."""
    curves = {arm: curve(middle=[0.5, 0.6]) for arm in arms}
    rows = [
        (arm, n, mean, mean - 0.1, mean + 0.1)
        for arm in arms for n, mean in ((10, 0.5), (20, 0.6))
    ]  # fmt: skip
    means = pd.DataFrame(rows, columns=["arm", "n_human", "mean", "low", "high"])
    yield "learning_curves", plots.learning_curves(curves)
    yield "accuracy_curves", plots.accuracy_curves(curves, {}, ylabel="", title="")
    yield "cost_curves", plots.cost_curves(curves, {}, title="")
    yield "curve_panels", plots.curve_panels({"one": means}, "")
    measures = pd.DataFrame({"a": np.arange(len(arms))}, arms)
    yield "arm_dots", plots.arm_dots(measures, {"a": ""}, "")
    table = pd.DataFrame({"arm": list(arms), "accuracy": 0.5, "mcc": 0.5})
    yield "metric_dots", plots.metric_dots({"one": table}, {arm: arm for arm in arms}, "")


def drawn_looks(figure):
    """Return the colour and marker of every line and dot that has a marker."""
    found = set()
    for line in figure.axes[0].lines:
        if line.get_marker() not in ("None", "", None) and len(line.get_xdata()):
            found.add((to_hex(line.get_color()), line.get_marker()))
    assert not figure.findobj(PathCollection)  # dots that this would not see
    return found


@pytest.mark.parametrize(
    "arms", [("random", "active"), ("badge", "margin", "random"), ("k_center_greedy", "random")]
)
def test_an_arm_looks_the_same_in_every_function_wherever_it_stands(arms):
    expected = {(to_hex(look(arm)["color"]), look(arm)["marker"]) for arm in arms}
    for name, figure in figures_with(arms):
        figure.canvas.draw()
        assert drawn_looks(figure) == expected, name


def test_the_figures_of_label_costs_use_these_looks_too():
    rows = [
        {"protocol": "mnist", "arm": arm, "seed": seed, "round": number, "n_human": 100 * number,
         "n_eval": 1000, "split": split, "metric": metric, "value": value, "run_id": arm}
        for arm in ("random", "active") for seed in (0, 1) for number in (1, 2)
        for split, metric, value in (
            ("test", "accuracy", 0.9), ("pool", "wrong_left", 3.0),
            ("pool", "labels_to_certify", 900.0),
        )
    ]  # fmt: skip
    figures = label_costs.figures(pd.DataFrame(rows))
    expected = {(to_hex(look(arm)["color"]), look(arm)["marker"]) for arm in ("random", "active")}
    for figure, *_ in figures.values():
        assert expected <= drawn_looks(figure)


def test_a_series_that_is_no_arm_takes_its_look_by_its_place():
    looks = [look(f"arm {place}", place) for place in range(10)]
    assert len({d["color"] for d in looks}) == len({d["marker"] for d in looks}) == 10
    assert plots.arm_name("arm_with_no_look") == "arm with no look"
