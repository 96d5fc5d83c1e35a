"""Figures of strategies hold what they are given: every arm, band, marker and picture."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from alutils.active import toys
from alutils.active.loops import synthesis
from alutils.active.strategies import registry
from alutils.experiments.strategies import results
from alutils.plots import strategies as strategy_plots
from alutils.plots.style import arm_name, look


@pytest.fixture(scope="module")
def toy():
    return toys.draw(60, 3, np.random.default_rng(1))


def table(protocol="sound", arms=("random", "margin", "badge"), seeds=3):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "protocol": protocol, "arm": arm, "seed": seed, "n_human": n, "split": "test",
                "metric": "accuracy",
                "value": 0.5 + n / 100 + (arm == "margin") / 10 + rng.random() / 50,
            }
            for arm in arms for seed in range(seeds) for n in (10, 20, 30)
        ]
    )  # fmt: skip


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def check_readable(figure):
    """Draw it, so that a layout that fails does so here; no text is under 9 points."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
    assert min(sizes) >= 9


def gains_and_curves():
    summary = results.summary(table())
    yield strategy_plots.gains(summary, {"sound": "one"}, "gains")
    yield strategy_plots.curve_panels({"one": results.mean_curves(table())}, "curves")


def test_a_saved_figure_is_small_and_no_colour_of_it_is_lost():
    for figure in gains_and_curves():
        small, whole = io.BytesIO(), io.BytesIO()
        figure.savefig(small, format="png", bbox_inches="tight")
        Figure.savefig(figure, whole, format="png", bbox_inches="tight")
        assert len(small.getvalue()) < 0.6 * len(whole.getvalue())
        pixels, true = (np.asarray(Image.open(f).convert("RGB"), int) for f in (small, whole))
        assert pixels.shape == true.shape and tuple(pixels[0, 0]) == (255, 255, 255)
        assert np.abs(pixels - true).max() < 60


def test_every_strategy_has_its_own_look():
    looks = [look(name) for name in registry.STRATEGIES]
    seen = {(drawn["color"], drawn["marker"], drawn["linestyle"]) for drawn in looks}
    assert len(seen) == len(registry.STRATEGIES)
    assert look("random", 7) == look("random", 0)


def test_a_toy_figure_numbers_what_is_asked_for_where_it_lies(toy):
    panels = [toys.panel(toy, name, 3, 0, side=12) for name in ("margin", "bald", "badge")]
    figure = strategy_plots.two_dimensions(panels, "three", columns=2)
    check_readable(figure)
    drawn = figure.axes[: len(panels)]
    assert [axes.get_title() for axes in drawn] == ["margin", "BALD", "BADGE"]
    for axes, panel in zip(drawn, panels, strict=True):
        numbers = {text.get_text(): text.xy for text in axes.texts}
        assert sorted(numbers) == ["1", "2", "3"]
        for place, item in enumerate(panel.asked, 1):
            assert np.array_equal(numbers[str(place)], toy.x[item])
    assert not figure.axes[3].axison  # the place that is left over
    assert "a member's boundary" in texts(figure)


def test_a_toy_figure_without_a_committee_names_none(toy):
    panels = [toys.panel(toy, name, 2, 0, side=8) for name in ("random", "entropy")]
    assert "a member's boundary" not in texts(strategy_plots.two_dimensions(panels, "two"))


def test_synthesised_points_are_drawn_on_lines_between_their_parents(toy):
    seen = toys.view(toy, 1)
    axis, points = toys.map_points(toy, 10)
    model = seen.classifier.predict_proba(points).reshape(10, 10, -1)
    found = synthesis.synthesise(
        seen.classifier.predict_proba, toy.x[toy.labelled], 4, np.random.default_rng(0)
    )
    figure = strategy_plots.synthesised(toy, axis, model, found)
    check_readable(figure)
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert len(lines) == 4
    ends = np.array([line.get_xydata() for line in lines])
    assert np.array_equal(ends, toy.x[toy.labelled][found.parents])


def test_the_table_of_shared_batches_shows_each_pair_once():
    names = ["random", "margin", "badge"]
    matrix = pd.DataFrame([[1, 0.1, 0.2], [0.1, 1, 0.34], [0.2, 0.34, 1]], names, names)
    figure = strategy_plots.shared_batches(matrix, "shared")
    check_readable(figure)
    mesh = next(m for m in figure.findobj(QuadMesh) if m.axes is figure.axes[0])
    values = np.ma.compressed(np.ma.masked_invalid(mesh.get_array()))
    assert sorted(np.round(values)) == [10, 20, 34]


def test_dots_show_every_arm_in_every_panel():
    measures = pd.DataFrame({"a": [0.1, 0.5], "b": [3.0, 4.0]}, ["random", "margin"])
    figure = strategy_plots.arm_dots(measures, {"a": "first", "b": "second"}, "dots")
    check_readable(figure)
    for axes, column in zip(figure.axes, "ab", strict=True):
        points = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() != "None"]
        assert points == [(value, place) for place, value in enumerate(measures[column])]


def test_curves_have_a_line_and_a_band_for_each_arm_and_share_a_legend():
    means = results.mean_curves(table())
    panels = {"one": means, "two": means[means["arm"] != "badge"]}
    figure = strategy_plots.curve_panels(panels, "curves", vertical={"one": {"here": 20}})
    check_readable(figure)
    one, two = figure.axes
    bands = [[c for c in axes.collections if isinstance(c, PolyCollection)] for axes in (one, two)]
    assert [len(b) for b in bands] == [3, 2]
    margin = means[means["arm"] == "margin"]
    assert any(np.allclose(line.get_ydata(), margin["mean"]) for line in two.lines)
    ends = means.groupby("arm")["mean"].last().sort_values(ascending=False)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(map(arm_name, ends.index))
    assert "here" in texts(figure)


def test_bands_and_axes_end_where_shares_and_classes_do():
    wide = results.mean_curves(table()).assign(low=-0.5, high=1.5)
    share, counts = (
        strategy_plots.curve_panels({"one": t}, "t", limits=limits)
        for t, limits in ((wide, (0, 1)), (wide.assign(mean=20, low=-9, high=99), (0, 26)))
    )
    for figure, top in ((share, 1), (counts, 26)):
        (axes,) = figure.axes
        assert axes.get_ylim() == (0, top)
        ends = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
        assert np.min(ends) == 0 and np.max(ends) == top


def test_dots_can_stand_on_a_logarithmic_axis():
    measures = pd.DataFrame({"a": [0.001, 10.0]}, ["random", "margin"])
    (axes,) = strategy_plots.arm_dots(measures, {"a": "seconds"}, "dots", log=True).axes
    assert axes.get_xscale() == "log"


def test_curves_can_go_over_another_column_in_each_panel():
    means = results.mean_curves(table()).assign(minutes=lambda t: t["n_human"] / 4)
    figure = strategy_plots.curve_panels(
        {"a": means, "b": means}, "t", x=["n_human", "minutes"], xlabel=["labels", "minutes"]
    )
    ends = [axes.lines[0].get_xdata()[-1] for axes in figure.axes]
    assert ends == [30, 7.5]
    assert [axes.get_xlabel() for axes in figure.axes] == ["labels", "minutes"]


def test_gains_are_drawn_in_points_with_the_marker_of_their_verdict():
    both = pd.concat([table("a"), table("b", arms=("random", "margin"))])
    summary = results.summary(both)
    figure = strategy_plots.gains(summary, {"a": "A", "b": "B", "none": "left out"}, "gains")
    check_readable(figure)
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]
    own = summary[(summary["protocol"] == "a") & (summary["arm"] == "margin")].iloc[0]
    assert own["verdict"] == "better"
    marker = strategy_plots.VERDICTS["better"][0]
    points = [
        line.get_xydata() for line in figure.axes[0].lines
        if line.get_marker() == marker and len(line.get_xdata())
    ]  # fmt: skip
    assert np.allclose(points[0][0], [100 * own["gain"], 0])
    assert {text for _, _, text in strategy_plots.VERDICTS.values()} <= set(texts(figure))


def test_arms_are_ranked_only_among_those_that_ran_in_every_setting():
    # By the mean over whatever each ran in, "easy_only" would come first of all.
    rows = [("easy", "a", 0.02), ("hard", "a", -0.04), ("easy", "b", -0.01), ("hard", "b", -0.03),
            ("hard", "hard_only", -0.035), ("easy", "easy_only", 0.01)]  # fmt: skip
    summary = pd.DataFrame(rows, columns=["protocol", "arm", "gain"])
    everywhere, elsewhere = strategy_plots.by_gain(summary)
    assert everywhere == ["a", "b"]
    assert elsewhere == ["easy_only", "hard_only"]
    table = summary.assign(low=-1.0, high=1.0, verdict="no better", seeds=3)
    figure = strategy_plots.gains(table, {"easy": "Easy", "hard": "Hard"}, "gains")
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == ["a", "b", "easy only", "hard only"]


def test_endings_put_a_marker_where_a_rule_ended_a_curve_and_none_for_one_that_never_did():
    curve = table(arms=("margin",))[["seed", "n_human", "value"]]
    ended = curve[curve["n_human"] == 20].assign(rule="plateau", labels=25)
    figure = strategy_plots.endings(curve, ended, ["never", "plateau"], "endings")
    check_readable(figure)
    above, below = figure.axes
    assert len(above.lines) == curve["seed"].nunique()
    validation, markers, mean = below.lines
    # The marker stands at all labels; a bar leads there from those of the loop.
    assert markers.get_xdata().tolist() == [25, 25, 25]
    assert list(validation.get_xdata()) == [20, 25]
    assert mean.get_xdata() == [25] and np.array_equal(np.round(markers.get_ydata()), [1, 1, 1])
    assert [label.get_text() for label in below.get_yticklabels()] == ["never", "plateau"]


def test_pictures_between_parents_stand_in_their_rows():
    rng = np.random.default_rng(0)
    parents, points, nearest = (
        rng.random((3, 2, 8, 8)),
        rng.random((3, 8, 8)),
        rng.random((3, 8, 8)),
    )
    names = [[f"a{i}", f"b{i}", f"c{i}", f"d{i}"] for i in range(3)]
    figure = strategy_plots.between_parents(parents, points, nearest, names, "pictures")
    check_readable(figure)
    grid = np.array(figure.axes[:12]).reshape(4, 3)
    for line, images in enumerate((parents[:, 0], points, parents[:, 1], nearest)):
        for column in range(3):
            assert np.array_equal(grid[line, column].images[0].get_array(), images[column])
            assert grid[line, column].get_title() == names[column][line]
