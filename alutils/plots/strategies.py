"""Figures of query strategies: on toys, as learning curves, over streams, as gains over random.

As in all of `alutils.plots`: tables or arrays in, a Figure out, which looks as `style` says.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import alutils.plots.style as style
from alutils.active import toys
from alutils.active.loops.synthesis import Synthetic
from alutils.active.toys import Panel
from alutils.plots.style import COLOURS, arm_name, hide_axes, legend_below, look, name_rows

CLASS_LOOKS = (("o", COLOURS[0]), ("s", COLOURS[2]), ("^", COLOURS[3]))
"""Marker and colour of the labelled points of each class of a toy."""
VERDICTS = {
    "better": ("o", COLOURS[2], "better than random"),
    "no better": ("D", "0.45", "statistically tied with random"),
    "worse": ("v", COLOURS[3], "worse than random"),
}
"""Marker, colour and text of each verdict of `alutils.experiments.strategies.results.summary`."""
UTILITY_LEVELS = 9


class SmallFigure(Figure):
    """A figure whose PNG has 256 colours: a third of the bytes of maps and bands that overlap."""

    def savefig(self, fname: Any, *, format: str | None = None, **options: Any) -> None:
        """Save as matplotlib does; ``format="png"`` with a palette."""
        if format != "png":
            return super().savefig(fname, format=format, **options)
        whole = io.BytesIO()
        super().savefig(whole, format="png", **options)
        # The octree keeps rare colours, which others give up; its white is not quite white.
        rgb = Image.open(whole).convert("RGB")
        small = rgb.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        palette = np.reshape(small.getpalette() or [], (-1, 3))
        palette[(palette > 249).all(axis=1)] = 255
        small.putpalette(palette.ravel().tolist())
        small.save(fname, "PNG", optimize=True)


axes = functools.partial(style.axes, kind=SmallFigure)


def two_dimensions(panels: Sequence[Panel], title: str, columns: int = 4) -> Figure:
    """Show what strategies ask for on a toy: the model's boundary, their utility, their batch."""
    rows = -(-len(panels) // columns)
    figure, grid = axes(
        rows, columns, (2.6 * columns, 2.7 * rows + 0.9), title=title, squeeze=False, sharex=True,
        sharey=True,
    )  # fmt: skip
    hide_axes(grid)
    for place, panel in zip(grid.flat, panels, strict=False):  # the last row may have room left
        _toy(place, panel.toy, panel.axis, panel.model, panel.utility, panel.members)
        for number, item in enumerate(panel.asked, 1):
            place.annotate(
                str(number), panel.toy.x[item], fontsize=9, fontweight="bold", ha="center",
                va="center", zorder=6, bbox={"boxstyle": "circle,pad=0.1", "fc": "gold", "lw": 0.7},
            )  # fmt: skip
        place.set_title(arm_name(panel.name), fontsize=11)
    legend_below(figure, *grid.flat[: len(panels)], columns=6 if columns > 3 else 3)
    return figure


def synthesised(toy: toys.Toy, axis: np.ndarray, model: np.ndarray, found: Synthetic) -> Figure:
    """Show points synthesised on a toy's boundary, joined to the labelled points they lie between.

    ``axis``, ``model``: as in `Panel`; the parents of ``found`` are places in ``toy.labelled``.
    """
    figure, panel = axes(size=(5.6, 5.4))
    _toy(panel, toy, axis, model, None, None)
    known = toy.x[toy.labelled]
    for number, (a, b) in enumerate(found.parents):
        text = "opposite neighbours" if number == 0 else None
        panel.plot(*known[[a, b]].T, ":", color="0.25", linewidth=1.2, label=text, zorder=3)
    panel.plot(
        *found.points.T, "*", color="gold", mec="black", ms=13, ls="none", label="synthesised",
        zorder=6,
    )  # fmt: skip
    legend_below(figure, panel)
    panel.set_title("Synthesised queries lie on the boundary", fontsize=11)
    return figure


def _toy(
    panel: Axes, toy: toys.Toy, axis: np.ndarray, model: np.ndarray, utility: np.ndarray | None,
    members: np.ndarray | None,
) -> None:  # fmt: skip
    """Draw a toy with its labels, its model's boundary, and what is above as maps."""
    if utility is not None and np.ptp(utility):
        # Levels by rank, so that a few high values do not hide the rest.
        levels = np.unique(np.quantile(utility, np.linspace(0, 1, UTILITY_LEVELS + 1)))
        if len(levels) > 1:
            panel.contourf(axis, axis, utility, levels=levels, cmap="Blues", alpha=0.75)
    for votes in () if members is None else members:
        _boundary(panel, axis, votes, colors=COLOURS[1], linewidths=0.7, linestyles="--")
    _boundary(panel, axis, model, colors="black", linewidths=1.4)
    if members is not None:
        panel.plot([], [], "--", color=COLOURS[1], linewidth=1, label="a member's boundary")
    panel.plot([], [], color="black", linewidth=1.4, label="the model's boundary")
    rest = np.setdiff1d(np.arange(len(toy.x)), toy.labelled)
    panel.plot(*toy.x[rest].T, ".", color="0.45", ms=2.5, label="not labelled", ls="none")
    for c, (marker, colour) in enumerate(CLASS_LOOKS):
        own = toy.labelled[toy.y[toy.labelled] == c]
        panel.plot(
            *toy.x[own].T, marker, color=colour, mec="white", ms=7,
            label=f"labelled, class {c + 1}", ls="none", zorder=4,
        )  # fmt: skip
    panel.set(xticks=[], yticks=[], xlim=axis[[0, -1]], ylim=axis[[0, -1]], aspect="equal")
    panel.set_axis_on()
    panel.grid(visible=False)


def _boundary(panel: Axes, axis: np.ndarray, model: np.ndarray, **lines: Any) -> None:
    for c in range(toys.N_CLASSES):
        lead = model[..., c] - np.delete(model, c, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            panel.contour(axis, axis, lead, levels=[0], **lines)


def shared_batches(matrix: pd.DataFrame, title: str) -> Figure:
    """Show which share of a batch two strategies have in common, a matrix of `toys.shared`."""
    figure, panel = axes(size=(9.5, 7.6))
    names = [arm_name(name) for name in matrix]
    values = pd.DataFrame(100 * matrix.to_numpy(), names, names)
    sns.heatmap(
        values.iloc[1:, :-1], mask=np.triu(np.ones(matrix.shape, bool))[1:, :-1], cmap="Blues",
        annot=True, fmt=".0f", annot_kws={"size": 9}, vmin=0, vmax=100, square=True, ax=panel,
        linewidths=0.5, cbar_kws={"label": "of the points asked for, in common (%)", "shrink": 0.7},
    )  # fmt: skip
    panel.set_title(title, fontsize=11)
    panel.tick_params(axis="x", rotation=60)
    for label in panel.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    panel.grid(visible=False)
    return figure


def arm_dots(
    table: pd.DataFrame, columns: Mapping[str, str], title: str, *, log: bool = False
) -> Figure:
    """Show several measures of arms as dots: a row for each arm, a panel for each column.

    ``columns``: column of the table to the axis label of its panel; ``log``: on logarithmic axes.
    """
    size = (2.2 + 3.2 * len(columns), 0.29 * len(table) + 1.3)
    figure, panels = axes(1, len(columns), size, title=title, squeeze=False, sharey=True)
    for panel, (column, text) in zip(panels[0], columns.items(), strict=True):
        for height, (arm, value) in enumerate(table[column].items()):
            panel.plot(value, height, **look(arm, height) | {"linestyle": "none"}, ms=7)
        panel.set_xlabel(text)
        if log:
            panel.set_xscale("log")
        if "random" in table.index:
            panel.axvline(table.loc["random", column], color="black", linestyle=":", linewidth=1)
    name_rows(panels[0, 0], [arm_name(arm) for arm in table.index])
    return figure


def curve_panels(
    panels: Mapping[str, pd.DataFrame],
    title: str,
    *,
    x: str | Sequence[str] = "n_human",
    xlabel: str | Sequence[str] = "human labels",
    ylabel: str = "test accuracy",
    vertical: Mapping[str, Mapping[str, float]] | None = None,
    limits: tuple[float, float] = (0, 1),
) -> Figure:
    """Show curves with bands, a panel for each table.

    Parameters
    ----------
    panels : name of a panel to a table with columns arm, mean, low, high and x, as
        ``mean_curves`` of `alutils.experiments.strategies.results` makes it
    x, xlabel : column of the horizontal axis and its label, one for all panels or one for each
    vertical : panel to name and place of vertical lines
    limits : what the values can be; bands end there, and so does the axis
    """
    wide, lines = _places(len(panels))
    size = (max(6.5, 4.1 * wide), 3.6 * lines + 0.6)
    figure, grid = axes(lines, wide, size, title=title, squeeze=False, sharey=True)
    for panel in grid.flat[len(panels) :]:
        panel.set_visible(False)
    columns = [x] * len(panels) if isinstance(x, str) else x
    labels = [xlabel] * len(panels) if isinstance(xlabel, str) else xlabel
    # The legend goes by where the curves end, the best first.
    ends = [table.groupby("arm")["mean"].last() for table in panels.values()]
    arms = list(dict.fromkeys(arm for end in ends for arm in end.sort_values().index[::-1]))
    drawn = {}
    for panel, (name, table), column, text in zip(
        grid.flat, panels.items(), columns, labels, strict=False
    ):
        for place, arm in enumerate(arms):
            rows = table[table["arm"] == arm].sort_values(column)
            if rows.empty:
                continue
            drawn_as = look(arm, place)
            (drawn[arm],) = panel.plot(
                rows[column], rows["mean"], **drawn_as, ms=6, mec="white", mew=0.4, clip_on=False,
                # Markers of different arms at different places.
                markevery=(place % max(1, len(rows) // 6), max(1, len(rows) // 6)),
            )  # fmt: skip
            low, high = (rows[end].clip(*limits) for end in ("low", "high"))
            panel.fill_between(rows[column], low, high, color=drawn_as["color"], alpha=0.15, lw=0)
        for mark, at in ((vertical or {}).get(name) or {}).items():
            panel.axvline(at, color="0.3", linestyle=":", linewidth=1)
            panel.annotate(
                mark, (at, 0.94), (3, 0), xycoords=("data", "axes fraction"), fontsize=9,
                textcoords="offset points", color="0.3",
            )  # fmt: skip
        panel.set(xlabel=text)
        panel.set_title(name, fontsize=10)
    low, high = grid[0, 0].get_ylim()
    grid[0, 0].set_ylim(max(low, limits[0]), min(high, limits[1]))
    for panel in grid[:, 0]:
        panel.set_ylabel(ylabel)
    figure.legend(
        drawn.values(), map(arm_name, drawn), loc="outside lower center", ncols=min(len(drawn), 4),
        frameon=False,
    )  # fmt: skip
    return figure


def by_gain(summary: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the arms that are in every protocol of a ``summary``, and the others.

    Each by mean gain, the highest first: means over different settings are no rank.
    """
    gain = summary.groupby("arm")["gain"].agg(["mean", "count"]).sort_values("mean")[::-1]
    everywhere = gain["count"] == summary["protocol"].nunique()
    return list(gain.index[everywhere]), list(gain.index[~everywhere])


def _places(n: int, most: int = 4) -> tuple[int, int]:
    """Return in how many columns and lines so many panels stand, as even as can be."""
    lines = -(-n // most)
    return -(-n // lines), lines


def ranks(ranks: pd.DataFrame, critical: float, title: str) -> Figure:
    """Show the mean rank of each strategy, and its ranks in single settings.

    ``ranks``: a row for each strategy, the best mean first; a column for each setting.
    ``critical``: mean ranks that are no farther apart are statistically tied.
    """
    mean = ranks.mean(axis=1)
    figure, panel = axes(1, 1, (7.5, 0.3 * len(ranks) + 1.6), title=title)
    best = mean.iloc[0]
    panel.axvspan(best, best + critical, color="0.9", lw=0, label="tied with the best mean")
    for height, (arm, own) in enumerate(ranks.iterrows()):
        panel.plot(own, [height] * len(own), "|", color="0.5", ms=9, mew=1.3)
        panel.plot(mean[arm], height, **look(arm, height) | {"linestyle": "none"}, ms=8)
    panel.plot([], [], "|", color="0.5", ms=9, mew=1.3, ls="none", label="rank in a setting")
    panel.plot([], [], "o", color="0.3", ms=8, ls="none", label="mean rank")
    panel.set(xlabel="rank by area under the curve", xlim=(0.5, len(ranks) + 0.5))
    name_rows(panel, [arm_name(str(arm)) for arm in ranks.index])
    legend_below(figure, panel, columns=3)
    return figure


def gains(summary: pd.DataFrame, titles: Mapping[str, str], title: str) -> Figure:
    """Show what each strategy gains over random in area under the curve, with its interval.

    ``summary``: of ``summary`` in `alutils.experiments.strategies.results`; arms go down in the
    order of `by_gain`. ``titles``: protocol to the name of its panel; those in the summary.
    """
    names = [name for name in titles if (summary["protocol"] == name).any()]
    others = summary[(summary["arm"] != "random") & summary["protocol"].isin(names)]
    order = [arm for arms in by_gain(others) for arm in arms]
    columns, lines = _places(len(names))
    size = (2.4 + 3.4 * columns, (0.3 * len(order) + 1.4) * lines + 0.4)
    figure, panels = axes(lines, columns, size, title=title, squeeze=False, sharey=True)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    for panel, name in zip(panels.flat, names, strict=False):
        rows = others[others["protocol"] == name].set_index("arm").reindex(order)
        for verdict, (marker, colour, _) in VERDICTS.items():
            own = (rows["verdict"] == verdict).to_numpy()
            heights = np.flatnonzero(own)
            middle, low, high = (100 * rows.loc[own, c] for c in ("gain", "low", "high"))
            panel.hlines(heights, low, high, color=colour, linewidth=1.5)
            panel.plot(middle, heights, marker, color=colour, ms=7, ls="none")
        panel.axvline(0, color="black", linewidth=1)
        panel.set_title(titles[name], fontsize=10)
        panel.set(xlabel="gain in mean accuracy, points")
    name_rows(panels[0, 0], [arm_name(arm) for arm in order])
    for marker, colour, text in VERDICTS.values():
        panels[0, 0].plot([], [], marker, color=colour, ls="none", label=text)
    legend_below(figure, panels[0, 0], columns=len(VERDICTS))
    return figure


def endings(curve: pd.DataFrame, ended: pd.DataFrame, rules: Sequence[str], title: str) -> Figure:
    """Show where stopping rules would have ended learning curves.

    ``curve``: columns seed, n_human, value, a learning curve for each seed; ``ended``: these, rule
    and labels, where a rule ended which curve and how many labels a person had given by then, those
    of the rule included (no rows for a rule that never did); ``rules``: all, in the order of their
    rows.
    """
    size = (8, 3.4 + 0.42 * len(rules))
    figure, (above, below) = axes(
        2, 1, size, title=title, sharex=True, height_ratios=(2.6, 0.42 * len(rules))
    )
    for _, rows in curve.groupby("seed"):
        above.plot(rows["n_human"], rows["value"], color="0.6", linewidth=1)
    above.set(ylabel="test accuracy")
    for place, rule in enumerate(rules):
        own = ended[ended["rule"] == rule].sort_values("labels")
        labels = own["labels"].to_numpy(float)
        if len(labels):
            # Loops that end in the same round stand above each other.
            heights = place + np.linspace(-0.22, 0.22, len(labels))
            middle = own["n_human"].mean(), labels.mean()
            below.plot(middle, (place, place), color="0.8", lw=7, solid_capstyle="butt", zorder=1)
            drawn = style.series(place) | {"linestyle": "none"}
            below.plot(labels, heights, **drawn, ms=6, mfc="none", mew=1.3)
            below.plot(labels.mean(), place, "|", color="black", ms=20, mew=2)
    name_rows(below, list(rules))
    below.set(
        xlabel="human labels when the rule ends a loop\n"
        "(black bar: mean; grey: the validation labels in it)"
    )
    return figure


def between_parents(
    parents: np.ndarray, points: np.ndarray, nearest: np.ndarray, texts: Sequence[Sequence[str]],
    title: str,
) -> Figure:  # fmt: skip
    """Show synthesised images between their parents, with the nearest real image below.

    Images (n, height, width), ``parents`` (n, 2, height, width), 0 to 1. ``texts``: for each of the
    n what stands over the first parent, the point, the second parent and the nearest real image.
    """
    rows = (parents[:, 0], points, parents[:, 1], nearest)
    names = ("first parent", "synthesised", "second parent", "nearest real")
    n = len(points)
    figure, grid = axes(4, n, (1.15 * n + 1.2, 5.9), title=title, squeeze=False)
    for line, (images, name) in enumerate(zip(rows, names, strict=True)):
        for column, image in enumerate(images):
            panel = grid[line, column]
            panel.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            panel.set_title(texts[column][line], fontsize=9, pad=2)
        grid[line, 0].set_ylabel(name, fontsize=10)
    return figure
