"""Figures of query strategies: on toys, as learning curves, over streams, as gains over random.

As in `alutils.plots.curves`: tables or arrays in, a Figure out, and nothing told by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from alutils.active import toys
from alutils.active.loops.synthesis import Synthetic
from alutils.active.strategies.registry import STRATEGIES
from alutils.active.toys import Panel
from alutils.plots.curves import STYLE

MARKERS = "o^vDPX*phd<>8H"
CLASS_MARKERS = "os^Dv"
VERDICTS = {
    "better": ("o", "C2", "better than random"),
    "no better": ("D", "0.45", "no difference that can be told"),
    "worse": ("v", "C3", "worse than random"),
}
"""Marker, colour and text of each verdict of `strategy_tables.summary`."""
UTILITY_LEVELS = 9
# Seaborn's palette for the colour-blind, with dark colours for its pale pink and yellow.
COLOURS = sns.color_palette("colorblind")
COLOURS[6], COLOURS[8] = "#882255", "#332288"
_FIRST = (
    "margin", "entropy", "badge", "k_center_greedy", "typiclust", "least_confident", "bald",
    "expected_gradient_length", "one_step_error_reduction", "variance_reduction",
)  # fmt: skip
# Those that are drawn together most often have colours of their own.
_OTHERS = [*_FIRST, *(name for name in STRATEGIES if name not in ("random", *_FIRST))]


def shown(arm: str) -> str:
    """Return an arm's name as figures show it."""
    return arm.replace("_", " ")


def style(arm: str, place: int = 0) -> dict[str, object]:
    """Return colour, marker and line of an arm: a strategy's own, else by its place in a figure."""
    if arm == "random":
        return {"color": "black", "marker": "s", "linestyle": "--"}
    number = _OTHERS.index(arm) if arm in _OTHERS else place
    return {
        "color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)],
        "linestyle": "-" if number < len(COLOURS) else "-.",
    }  # fmt: skip


class SmallFigure(Figure):
    """A figure whose PNG has 256 colours: a third of the bytes of maps and bands that overlap."""

    def savefig(self, fname: object, *, format: str | None = None, **options: object) -> None:
        """Save as matplotlib does; ``format="png"`` with a palette."""
        if format != "png":
            return super().savefig(fname, format=format, **options)
        whole = io.BytesIO()
        super().savefig(whole, format="png", **options)
        # The octree keeps rare colours, which others give up; its white is not quite white.
        small = Image.open(whole).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=0)
        palette = np.reshape(small.getpalette(), (-1, 3))
        palette[(palette > 249).all(axis=1)] = 255
        small.putpalette(palette.ravel().tolist())
        small.save(fname, "PNG", optimize=True)


def _axes(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7, 4), **options: object):
    """Return a figure with axes in the project's style, known to no global figure list."""
    with mpl.rc_context(STYLE):
        figure = SmallFigure(figsize=size, layout="constrained")
        return figure, figure.subplots(rows, columns, **options)


# --- two dimensions -------------------------------------------------------------------------------


def two_dimensions(panels: Sequence[Panel], title: str, columns: int = 4) -> Figure:
    """Show what strategies ask for on a toy: the model's boundary, their utility, their batch.

    Parameters
    ----------
    panels : of `toys.panel`
    title : of the figure
    columns : panels a row
    """
    rows = -(-len(panels) // columns)
    figure, axes = _axes(
        rows, columns, size=(2.6 * columns, 2.7 * rows + 0.9), squeeze=False, sharex=True,
        sharey=True,
    )  # fmt: skip
    for place in axes.flat:
        place.set_axis_off()
    for place, panel in zip(axes.flat, panels, strict=False):  # the last row may have room left
        _toy(place, panel.toy, panel.axis, panel.model, panel.utility, panel.members)
        for number, item in enumerate(panel.asked, 1):
            place.annotate(
                str(number), panel.toy.x[item], fontsize=9, fontweight="bold", ha="center",
                va="center", zorder=6, bbox={"boxstyle": "circle,pad=0.1", "fc": "gold", "lw": 0.7},
            )  # fmt: skip
        place.set_title(shown(panel.name), fontsize=11)
    named = {}
    for place in axes.flat[: len(panels)]:
        handles, texts = place.get_legend_handles_labels()
        named = dict(zip(texts, handles, strict=True)) | named
    wide = 6 if columns > 3 else 3
    figure.legend(named.values(), named, loc="outside lower center", ncols=wide, frameon=False)
    figure.suptitle(title, fontsize=11)
    return figure


def synthesised(toy: toys.Toy, axis: np.ndarray, model: np.ndarray, found: Synthetic) -> Figure:
    """Show points synthesised on a toy's boundary, joined to the labelled points they lie between.

    Parameters
    ----------
    toy : Toy
    axis, model : as in `Panel`
    found : parents are places in ``toy.labelled``
    """
    figure, axes = _axes(size=(5.6, 5.4))
    _toy(axes, toy, axis, model, None, None)
    known = toy.x[toy.labelled]
    for number, (a, b) in enumerate(found.parents):
        text = "opposite neighbours" if number == 0 else None
        axes.plot(*known[[a, b]].T, ":", color="0.25", linewidth=1.2, label=text, zorder=3)
    axes.plot(
        *found.points.T, "*", color="gold", mec="black", ms=13, ls="none", label="synthesised",
        zorder=6,
    )  # fmt: skip
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=2, frameon=False)
    axes.set_title("Synthesised queries lie on the boundary", fontsize=11)
    return figure


def _toy(
    axes: Axes, toy: toys.Toy, axis: np.ndarray, model: np.ndarray, utility: np.ndarray | None,
    members: np.ndarray | None,
) -> None:  # fmt: skip
    """Draw a toy with its labels, its model's boundary, and what is above as maps."""
    if utility is not None and np.ptp(utility):
        # Levels by rank, so that a few high values do not hide the rest.
        levels = np.unique(np.quantile(utility, np.linspace(0, 1, UTILITY_LEVELS + 1)))
        if len(levels) > 1:
            axes.contourf(axis, axis, utility, levels=levels, cmap="Blues", alpha=0.75)
    for votes in () if members is None else members:
        _boundary(axes, axis, votes, colors="C1", linewidths=0.7, linestyles="--")
    _boundary(axes, axis, model, colors="black", linewidths=1.4)
    if members is not None:
        axes.plot([], [], "--", color="C1", linewidth=1, label="a member's boundary")
    axes.plot([], [], color="black", linewidth=1.4, label="the model's boundary")
    rest = np.setdiff1d(np.arange(len(toy.x)), toy.labelled)
    axes.plot(*toy.x[rest].T, ".", color="0.45", ms=2.5, label="not labelled", ls="none")
    for c in range(toys.N_CLASSES):
        own = toy.labelled[toy.y[toy.labelled] == c]
        axes.plot(
            *toy.x[own].T, CLASS_MARKERS[c], color=f"C{(0, 2, 3)[c]}", mec="white", ms=7,
            label=f"labelled, class {c + 1}", ls="none", zorder=4,
        )  # fmt: skip
    axes.set(xticks=[], yticks=[], xlim=axis[[0, -1]], ylim=axis[[0, -1]], aspect="equal")
    axes.set_axis_on()
    axes.grid(visible=False)


def _boundary(axes: Axes, axis: np.ndarray, model: np.ndarray, **lines: object) -> None:
    for c in range(toys.N_CLASSES):
        lead = model[..., c] - np.delete(model, c, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            axes.contour(axis, axis, lead, levels=[0], **lines)


def shared_batches(matrix: pd.DataFrame, title: str) -> Figure:
    """Show which share of a batch two strategies have in common.

    Parameters
    ----------
    matrix : of `toys.shared`
    """
    figure, axes = _axes(size=(9.5, 7.6))
    names = [shown(name) for name in matrix]
    values = pd.DataFrame(100 * matrix.to_numpy(), names, names)
    sns.heatmap(
        values.iloc[1:, :-1], mask=np.triu(np.ones(matrix.shape, bool))[1:, :-1], cmap="Blues",
        annot=True, fmt=".0f", annot_kws={"size": 9}, vmin=0, vmax=100, square=True, ax=axes,
        linewidths=0.5, cbar_kws={"label": "of the points asked for, in common (%)", "shrink": 0.7},
    )  # fmt: skip
    axes.set_title(title, fontsize=11)
    axes.tick_params(axis="x", rotation=60)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axes.grid(visible=False)
    return figure


def dots(table: pd.DataFrame, columns: Mapping[str, str], title: str) -> Figure:
    """Show several measures of arms as dots, a panel for each, arms below each other.

    Parameters
    ----------
    table : the arms as index, a column for each measure; the first row is uppermost
    columns : column to the axis label of its panel
    """
    figure, axes = _axes(
        1, len(columns), size=(2.2 + 3.2 * len(columns), 0.29 * len(table) + 1.3), squeeze=False,
        sharey=True,
    )  # fmt: skip
    for panel, (column, text) in zip(axes[0], columns.items(), strict=True):
        for height, (arm, value) in enumerate(table[column].items()):
            panel.plot(value, height, **style(arm, height) | {"linestyle": "none"}, ms=7)
        panel.set(xlabel=text, yticks=range(len(table)))
        if "random" in table.index:
            panel.axvline(table.loc["random", column], color="black", linestyle=":", linewidth=1)
    axes[0, 0].set_yticklabels([shown(arm) for arm in table.index])
    axes[0, 0].set_ylim(len(table) - 0.5, -0.5)
    figure.suptitle(title, fontsize=11)
    return figure


# --- learning curves ------------------------------------------------------------------------------


def curves(
    panels: Mapping[str, pd.DataFrame],
    title: str,
    *,
    x: str | Sequence[str] = "n_human",
    xlabel: str | Sequence[str] = "human labels",
    ylabel: str = "test accuracy",
    vertical: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Show curves with bands, a panel for each table.

    Parameters
    ----------
    panels : name of a panel to a table with columns arm, mean, low, high and x, as
        `strategy_tables.mean_curves` makes it
    x, xlabel : column of the horizontal axis and its label, one for all panels or one for each
    vertical : panel to name and place of vertical lines
    """
    figure, axes = _axes(
        1, len(panels), size=(max(6.5, 4.1 * len(panels)), 4.2), squeeze=False, sharey=True
    )
    columns = [x] * len(panels) if isinstance(x, str) else x
    labels = [xlabel] * len(panels) if isinstance(xlabel, str) else xlabel
    # The legend goes by where the curves end, the best first.
    ends = [table.groupby("arm")["mean"].last() for table in panels.values()]
    arms = list(dict.fromkeys(arm for end in ends for arm in end.sort_values().index[::-1]))
    drawn = {}
    for panel, (name, table), column, text in zip(
        axes[0], panels.items(), columns, labels, strict=True
    ):
        for place, arm in enumerate(arms):
            rows = table[table["arm"] == arm].sort_values(column)
            if rows.empty:
                continue
            look = style(arm, place)
            (drawn[arm],) = panel.plot(
                rows[column], rows["mean"], **look, ms=6, mec="white", mew=0.4,
                # Markers of different arms at different places.
                markevery=(place % max(1, len(rows) // 6), max(1, len(rows) // 6)),
            )  # fmt: skip
            panel.fill_between(
                rows[column], rows["low"], rows["high"], color=look["color"], alpha=0.15, lw=0
            )
        for mark, at in ((vertical or {}).get(name) or {}).items():
            panel.axvline(at, color="0.3", linestyle=":", linewidth=1)
            panel.annotate(
                mark, (at, 0.94), (3, 0), xycoords=("data", "axes fraction"), fontsize=9,
                textcoords="offset points", color="0.3",
            )  # fmt: skip
        panel.set(xlabel=text)
        panel.set_title(name, fontsize=10)
    shares = all(table["mean"].between(0, 1).all() for table in panels.values())
    if shares:  # intervals of few seeds go beyond what a share can be
        low, high = axes[0, 0].get_ylim()
        axes[0, 0].set_ylim(max(low, -0.02), min(high, 1.02))
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(
        drawn.values(), map(shown, drawn), loc="outside lower center", ncols=min(len(drawn), 4),
        frameon=False,
    )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    return figure


def by_gain(summary: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the arms that are in every protocol of a `strategy_tables.summary`, and the others.

    Each by mean gain, the highest first: means over different settings are no rank.
    """
    gain = summary.groupby("arm")["gain"].agg(["mean", "count"]).sort_values("mean")[::-1]
    everywhere = gain["count"] == summary["protocol"].nunique()
    return list(gain.index[everywhere]), list(gain.index[~everywhere])


def gains(summary: pd.DataFrame, titles: Mapping[str, str], title: str) -> Figure:
    """Show what each strategy gains over random in area under the curve, with its interval.

    Parameters
    ----------
    summary : of `strategy_tables.summary`; arms go down in the order of `by_gain`
    titles : protocol to the name of its panel; those in the summary
    """
    names = [name for name in titles if (summary["protocol"] == name).any()]
    others = summary[(summary["arm"] != "random") & summary["protocol"].isin(names)]
    order = [arm for arms in by_gain(others) for arm in arms]
    figure, axes = _axes(
        1, len(names), size=(2.4 + 3.4 * len(names), 0.3 * len(order) + 1.8), squeeze=False,
        sharey=True,
    )  # fmt: skip
    for panel, name in zip(axes[0], names, strict=True):
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
        panel.set(yticks=range(len(order)), ylim=(len(order) - 0.5, -0.5))
    axes[0, 0].set_yticklabels([shown(arm) for arm in order])
    for marker, colour, text in VERDICTS.values():
        axes[0, 0].plot([], [], marker, color=colour, ls="none", label=text)
    handles, texts = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(title, fontsize=11)
    return figure


def endings(curve: pd.DataFrame, ended: pd.DataFrame, title: str) -> Figure:
    """Show where stopping rules would have ended learning curves.

    Parameters
    ----------
    curve : columns seed, n_human, value: a learning curve for each seed
    ended : columns rule, seed, n_human, value: where a rule ended which curve; a rule that never
        did has no rows
    """
    figure, axes = _axes(size=(7.5, 4.6))
    for number, (_, rows) in enumerate(curve.groupby("seed")):
        axes.plot(
            rows["n_human"], rows["value"], color="0.75", linewidth=1, zorder=1,
            label="a learning curve" if number == 0 else None,
        )  # fmt: skip
    for place, (rule, rows) in enumerate(ended.groupby("rule", sort=False)):
        look = style("", place) | {"linestyle": "none"}
        # Hollow, each larger than the last: several rules may end a loop in the same round.
        axes.plot(
            rows["n_human"], rows["value"], **look, ms=7 + 1.5 * place, mfc="none", mew=1.8,
            label=rule, zorder=3,
        )  # fmt: skip
    axes.set(xlabel="human labels when the rule ended the loop", ylabel="test accuracy then")
    axes.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


# --- images ---------------------------------------------------------------------------------------


def between_parents(
    parents: np.ndarray, points: np.ndarray, nearest: np.ndarray, texts: Sequence[Sequence[str]],
    title: str,
) -> Figure:  # fmt: skip
    """Show synthesised images between their parents, with the nearest real image below.

    Parameters
    ----------
    parents : (n, 2, height, width) float, 0 to 1
    points, nearest : (n, height, width) float, 0 to 1
    texts : for each of the n what stands over the first parent, the point, the second parent and
        the nearest real image
    """
    rows = (parents[:, 0], points, parents[:, 1], nearest)
    names = ("first parent", "synthesised", "second parent", "nearest real")
    n = len(points)
    figure, axes = _axes(4, n, size=(1.15 * n + 1.2, 5.9), squeeze=False)
    for line, (images, name) in enumerate(zip(rows, names, strict=True)):
        for column, image in enumerate(images):
            panel = axes[line, column]
            panel.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            panel.set_title(texts[column][line], fontsize=9, pad=2)
        axes[line, 0].set_ylabel(name, fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure
