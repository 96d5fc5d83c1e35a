"""The report's figures: its log, its loops, what is taken for what, what a threshold costs.

As in all of `alutils.plots`: arrays or tables in, a Figure out, which looks as `style` says.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from alutils.plots.style import (
    BLUE,
    COLOURS,
    GREEN,
    RED,
    axes,
    hide_axes,
    legend_below,
    look,
    name_rows,
    series,
)


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Show what each class is taken for, in per cent of its items.

    ``counts``: (n_classes, n_classes) int, rows the true classes, as
    `alutils.stats.metrics.confusion` gives.
    """
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure, panel = axes(size=(8, 7))
    # What is right would drown the rest: the colours are for the mistakes, the diagonal is blank.
    with warnings.catch_warnings():
        # Seaborn measures the names before `fonts.png_of` has found letters for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        sns.heatmap(
            np.where(np.eye(len(classes), dtype=bool), np.nan, shares), ax=panel, cmap="rocket_r",
            xticklabels=classes, yticklabels=classes, square=True, linewidths=0,
            cbar_kws={"label": "per cent of the true class", "shrink": 0.8},
        )  # fmt: skip
    for place, share in enumerate(np.diag(shares)):
        panel.text(place + 0.5, place + 0.5, f"{share:.0f}", ha="center", va="center", fontsize=9)
    panel.grid(visible=False)
    panel.tick_params(axis="y", rotation=0)
    panel.set(xlabel="taken for", ylabel="true class; on the diagonal, per cent right", title=title)
    return figure


def confused_pairs(
    pairs: pd.DataFrame, images: Sequence[np.ndarray], title: str, columns: int = 8
) -> Figure:
    """Show items of the pairs of classes that are confused most.

    ``pairs``: a row a pair, with columns true, predicted (names) and n; ``images``: for each pair,
    (k, height, width) examples, of which the first ``columns`` are shown.
    """
    rows = len(pairs)
    figure, grid = axes(rows, columns, (7, 0.86 * rows + 0.5), title=title, squeeze=False)
    hide_axes(grid)
    for line, pair, examples in zip(grid, pairs.itertuples(), images, strict=True):
        for panel, image in zip(line, examples, strict=False):
            panel.imshow(image, cmap="gray_r", interpolation="nearest")
        line[0].text(
            -0.15, 0.5, f"{pair.true} taken for {pair.predicted}: {pair.n}", ha="right",
            va="center", fontsize=10, transform=line[0].transAxes,
        )  # fmt: skip
    return figure


def by_threshold(outcomes: pd.DataFrame, title: str) -> Figure:
    """Show what the seven steps give at each threshold: three shares of all letters, stacked.

    ``outcomes``: of `alutils.experiments.report.seven_steps.steps_draw`, of some draws.
    """
    mean = 100 * outcomes.groupby("threshold")[["share_human", "auto_wrong"]].mean()
    right = 100 - mean["share_human"] - mean["auto_wrong"]
    parts = {
        "labelled by hand": (mean["share_human"], BLUE, ""),
        "labelled automatically, right": (right, GREEN, "//"),
        "labelled automatically, wrong": (mean["auto_wrong"], RED, "xx"),
    }
    figure, panel = axes(size=(7, 4.2))
    # Thresholds crowd towards 1: they stand side by side, as categories.
    names = [f"{threshold:g}" for threshold in mean.index]
    below = np.zeros(len(names))
    for text, (values, colour, hatch) in parts.items():
        panel.bar(
            names, values, bottom=below, width=0.7, color=colour, hatch=hatch, label=text,
            edgecolor="white",
        )  # fmt: skip
        for place, (value, base) in enumerate(zip(values, below, strict=True)):
            if value >= 6:
                panel.text(
                    place, base + value / 2, f"{value:.0f}", ha="center", va="center", fontsize=10,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                )  # fmt: skip
        below = below + values.to_numpy()
    for place, value in enumerate(mean["auto_wrong"]):
        panel.text(place, 101, f"{value:.1f} wrong", ha="center", va="bottom", fontsize=9)
    panel.set(
        xlabel="confidence from which on a prediction becomes a label",
        ylabel="per cent of all letters", title=title, ylim=(0, 109), yticks=range(0, 101, 20),
    )  # fmt: skip
    panel.grid(axis="x", visible=False)
    legend_below(figure, panel, columns=3)
    return figure


def against_published(
    values: pd.DataFrame, intervals: Mapping[str, tuple[float, float]], title: str
) -> Figure:
    """Show how far the results of all draws are from the published ones, in points.

    Parameters
    ----------
    values : with columns name, value and published; a row for each draw and name
    intervals : by name, low and high of the mean, in the unit of the values
    """
    groups, ticks = values.groupby("name", sort=False), []
    figure, panel = axes(size=(7.5, 0.5 * len(groups) + 1.6))
    panel.axvline(0, color="black", linewidth=1)
    for place, (name, of) in enumerate(groups):
        published = of["published"].iloc[0]
        apart = 100 * (of["value"] - published).to_numpy()
        low, high = (100 * (end - published) for end in intervals[name])
        mean = apart.mean()
        panel.plot(
            apart, np.full(len(of), place + 0.18), "o", color=COLOURS[0], alpha=0.4, markersize=4
        )
        panel.errorbar(
            mean, place - 0.12, xerr=[[mean - low], [high - mean]], fmt="D", color="black",
            capsize=4, markersize=5,
        )  # fmt: skip
        ticks.append(f"{name}\n{100 * published:.2f}%")
    panel.set(
        title=title, xlabel="ours - published, points (dots: draws; diamond: mean, 95% interval)"
    )
    name_rows(panel, ticks)
    return figure


def epochs(published: pd.DataFrame, ours: pd.DataFrame, title: str) -> Figure:
    """Show two training logs (columns epoch, loss, accuracy), a panel for loss and for accuracy."""
    figure, panels = axes(1, 2, (7.5, 3.6), title=title)
    for panel, (column, factor, text) in zip(
        panels, (("loss", 1, "loss"), ("accuracy", 100, "right in training, per cent")), strict=True
    ):
        for number, (name, log) in enumerate({"the report's log": published, "ours": ours}.items()):
            panel.plot(log["epoch"], factor * log[column], label=name, **series(number), ms=5)
        panel.set(xlabel="epoch", ylabel=text)
        panel.set_xticks(range(1, int(max(published["epoch"].max(), ours["epoch"].max())) + 1))
        panel.set_ylim(bottom=0)
    legend_below(figure, panels[0])
    return figure


def loop_curves(curves: Mapping[str, pd.DataFrame], names: Mapping[str, str], title: str) -> Figure:
    """Show each of the report's loops beside its random twin, in a panel of their own.

    Parameters
    ----------
    curves : arm to a table with columns n (labels), middle, low and high, shares
    names : arm to its name; a loop, then its twin, twice
    """
    figure, panels = axes(1, 2, (8, 3.6), title=title, sharey=True)
    arms = list(names)
    for panel, pair in zip(panels, (arms[:2], arms[2:]), strict=True):
        for arm in pair:
            table = curves[arm]
            low, middle, high = (100 * table[column] for column in ("low", "middle", "high"))
            panel.plot(table["n"], middle, **look(arm), label=names[arm])
            colour = look(arm)["color"]
            panel.fill_between(table["n"], low, high, alpha=0.15, color=colour)
        panel.set(xlabel="letters labelled by hand", title=names[pair[0]])
    panels[0].set_ylabel("right on test letters, per cent")
    legend_below(figure, *panels, columns=4)
    return figure


def per_class(table: pd.DataFrame, title: str) -> Figure:
    """Show precision and recall of each class (columns letter, precision, recall), in per cent."""
    ordered = table.sort_values("recall", na_position="first", kind="stable")
    figure, panel = axes(size=(8.5, 3.6))
    places = np.arange(len(ordered))
    low, high = (100 * ordered[["precision", "recall"]].agg(how, axis=1) for how in ("min", "max"))
    panel.vlines(places, low, high, color="grey", linewidth=1)
    texts = {
        "recall": "recall (share of this letter found)",
        "precision": "precision (share right of what is called so)",
    }
    for number, (column, text) in enumerate(texts.items()):
        panel.plot(places, 100 * ordered[column], **series(number), linestyle="none", label=text)
    panel.set(ylabel="per cent", title=title, ylim=(0, 103))
    panel.set_xticks(places, list(ordered["letter"]))
    panel.grid(axis="x", visible=False)
    legend_below(figure, panel)
    return figure
