"""Figures of labelled images: samples, class sizes, maps, metrics, what spoils them.

As in all of `alutils.plots`: arrays or tables in, a Figure out, which looks as `style` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import patheffects
from matplotlib.figure import Figure
from sklearn.neighbors import NearestNeighbors

from alutils.plots.style import COLOURS, axes, hide_axes, legend_below, look, name_rows, series

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "f1_macro": "macro F1",
    "mcc": "Matthews correlation",
}


READABLE = 3_000
"""Items of which a map can show the letters; more lie too close for letters of a readable size."""


def samples(images: np.ndarray, names: Sequence[str], title: str, columns: int = 4) -> Figure:
    """Show images (n, height, width[, 3]) in a grid, each with its name."""
    rows = -(-len(images) // columns)
    size = (max(4.5, 0.95 * columns), 1.15 * rows + 0.5)
    figure, grid = axes(rows, columns, size, title=title, squeeze=False)
    hide_axes(grid)
    for panel, image, name in zip(grid.flat, images, names, strict=False):
        panel.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        panel.set_title(name, fontsize=10, pad=2)
    return figure


def spoilt(rows: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Figure:
    """Show one image in rows of rising trouble: name of a row to name of a level to image."""
    columns = len(next(iter(rows.values())))
    size = (1.1 * columns + 2.4, 1.25 * len(rows) + 0.5)
    figure, grid = axes(len(rows), columns, size, title=title, squeeze=False)
    hide_axes(grid)
    for line, (name, levels) in zip(grid, rows.items(), strict=True):
        for panel, (level, image) in zip(line, levels.items(), strict=True):
            panel.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            panel.set_title(level, fontsize=10, pad=2)
        line[0].text(
            -0.15, 0.5, name, ha="right", va="center", fontsize=10, transform=line[0].transAxes
        )
    return figure


def class_sizes(counts: Mapping[str, Mapping[str, int]], title: str) -> Figure:
    """Show how many items each class has (panel to class to number), as bars with their numbers."""
    size = (8.5, 2.3 * len(counts) + 0.6)
    figure, panels = axes(len(counts), 1, size, title=title, squeeze=False)
    top = max(max(numbers.values()) for numbers in counts.values())
    for panel, (name, numbers) in zip(panels[:, 0], counts.items(), strict=True):
        places = np.arange(len(numbers))
        panel.bar(places, list(numbers.values()), color=COLOURS[0], width=0.75)
        for place, number in zip(places, numbers.values(), strict=True):
            panel.annotate(
                f"{number:,}", (place, number), (0, 3), textcoords="offset points",
                ha="center", va="bottom", fontsize=9, rotation=90,
            )  # fmt: skip
        panel.set_xticks(places, list(numbers))
        panel.set(ylabel=name, ylim=(0, 1.32 * top), xlim=(-0.7, len(numbers) - 0.3))
        panel.grid(axis="x", visible=False)
    return figure


def maps(
    layouts: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], title: str
) -> Figure:
    """Show (n, 2) layouts of the same items below each other, every item as its class's letter.

    Of more than `READABLE` items each is a dot: their letters would be too small to read.
    ``labels``: (n,) int positions in ``classes``.
    """
    size = (8.2, 8.4 * len(layouts))
    figure, panels = axes(len(layouts), 1, size, title=title, squeeze=False)
    colours = sns.husl_palette(len(classes), l=0.5)
    # Neighbours in the alphabet get hues far apart.
    colours = [colours[(7 * place) % len(classes)] for place in range(len(classes))]
    letters = len(labels) <= READABLE
    area = 49.0 if letters else float(np.clip(120_000 / len(labels), 3, 25))
    for panel, (name, points) in zip(panels[:, 0], layouts.items(), strict=True):
        for label, letter in enumerate(classes):
            own = points[labels == label]
            if not len(own):
                continue
            drawn = letters and len(letter) == 1 and letter.isascii() and letter.isalnum()
            panel.scatter(
                *own.T, s=area, marker=f"${letter}$" if drawn else ".", color=colours[label],
                linewidth=0.1, rasterized=True,
            )  # fmt: skip
            # The name goes to where its class is densest: the middle may lie between its parts.
            k = min(max(10, len(own) // 10), len(own) - 1)
            near = NearestNeighbors(n_neighbors=k + 1).fit(own).kneighbors(own)[0]
            middle = own[near[:, k].argmin()]
            panel.annotate(
                letter, middle, ha="center", va="center", fontsize=16, fontweight="bold",
                path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
        panel.set(xticks=[], yticks=[], title=name)
        panel.set_aspect("equal", adjustable="datalim")
        panel.set_box_aspect(1)
    return figure


def by_class(
    shares: Mapping[str, np.ndarray], classes: Sequence[str], chance: float, ylabel: str, title: str
) -> Figure:
    """Show a share for each class in per cent: a marker for each series, chance as a line.

    ``shares``: name of a series to (n_classes,) shares; ``ylabel`` says of what.
    """
    figure, panel = axes(size=(8.5, 3.6))
    order = np.argsort(next(iter(shares.values())))
    for number, (name, values) in enumerate(shares.items()):
        panel.plot(100 * values[order], **series(number), linestyle="none", label=name, mec="white")
    panel.axhline(100 * chance, color="black", linestyle=":", label="by chance")
    panel.set(ylim=(0, 102), ylabel=ylabel, title=title)
    panel.set_xticks(range(len(classes)), [classes[place] for place in order])
    legend_below(figure, panel, columns=len(shares) + 1)
    return figure


def metric_dots(tables: Mapping[str, pd.DataFrame], names: Mapping[str, str], title: str) -> Figure:
    """Show metrics of several arms as dots, a panel for each table with columns arm and metrics.

    Rows of the same arm (seeds) are averaged, and their range is drawn. ``names``: arm to its name,
    in order.
    """
    figure, panels = axes(
        1, len(tables), (4.5 * len(tables), 3.9), title=title, squeeze=False, sharey=True,
        sharex=True,
    )  # fmt: skip
    metrics = [name for name in METRIC_NAMES if all(name in table for table in tables.values())]
    for panel, (name, table) in zip(panels[0], tables.items(), strict=True):
        for number, (arm, text) in enumerate(names.items()):
            drawn = look(arm, number) | {"linestyle": "none"}
            values = 100 * table.loc[table["arm"] == arm, metrics]
            height = np.arange(len(metrics)) + 0.16 * (number - (len(names) - 1) / 2)
            panel.hlines(height, values.min(), values.max(), color=drawn["color"], alpha=0.5)
            panel.plot(values.mean(), height, **drawn, label=text)
        panel.set(title=name, xlim=(-3, 103), xlabel="per cent (correlation: hundredths)")
        panel.grid(axis="y", visible=False)
    name_rows(panels[0, 0], [METRIC_NAMES[metric] for metric in metrics])
    legend_below(figure, panels[0, 0], columns=len(names))
    return figure


def auto_labelling(
    troubles: Mapping[str, tuple[pd.DataFrame, str]], thresholds: Sequence[float], title: str
) -> Figure:
    """Show what rising trouble does to accuracy and to automatic labels, a panel for each trouble.

    Parameters
    ----------
    troubles : name of a panel to a table and to what its levels are. The table has a column
        ``level`` and the columns of `alutils.experiments.report.robustness.measure`; rows of the
        same level (seeds) are averaged, their range is a band
    thresholds : of confidence; those in the tables
    """
    size = (max(7, 3.1 * len(troubles)), 4.0)
    figure, panels = axes(1, len(troubles), size, title=title, squeeze=False, sharey=True)
    metrics = {"accuracy": "all letters: right"}
    for threshold in thresholds:
        metrics[f"auto_precision@{threshold:g}"] = f"confidence ≥ {threshold:g}: right among these"
        metrics[f"auto_coverage@{threshold:g}"] = f"confidence ≥ {threshold:g}: share of all"
    for panel, (name, (table, xlabel)) in zip(panels[0], troubles.items(), strict=True):
        grouped = table.groupby("level")
        for number, (column, text) in enumerate(metrics.items()):
            mean, low, high = (
                100 * getattr(grouped[column], how)() for how in ("mean", "min", "max")
            )
            # Both metrics of a threshold have one colour; they differ by marker and line.
            place = (number + 1) // 2
            drawn = series(number) | {"color": COLOURS[place]}
            line = "--" if "coverage" in column else "-"
            panel.plot(mean.index, mean, linestyle=line, **drawn, label=text, ms=5)
            panel.fill_between(mean.index, low, high, color=drawn["color"], alpha=0.15)
        panel.set(title=name, xlabel=xlabel, ylim=(0, 103))
    panels[0, 0].set_ylabel("per cent")
    legend_below(figure, panels[0, 0], columns=3 if len(troubles) > 1 else 2)
    return figure


def classifiers(table: pd.DataFrame, title: str, metric: str = "accuracy") -> Figure:
    """Show how several classifiers do on several inputs, by a metric, in per cent.

    ``table``: with columns classifier, inputs and the metric; rows of the same two (draws) are
    averaged, and a line is their range.
    """
    by = 100 * table.groupby(["classifier", "inputs"])[metric].agg(["mean", "min", "max"])
    names = by["mean"].groupby("classifier").max().sort_values().index
    figure, panel = axes(size=(7.5, 0.6 * len(names) + 1.7))
    for number, source in enumerate(table["inputs"].unique()):
        drawn, of = series(number), by.xs(source, level="inputs").reindex(names)
        height = np.arange(len(names)) + (0.14 if number == 0 else -0.14)
        panel.hlines(height, of["min"], of["max"], color=drawn["color"], linewidth=2, alpha=0.6)
        panel.plot(of["mean"], height, **drawn, linestyle="none", ms=8, label=source)
        for place, value, end in zip(height, of["mean"], of["max"], strict=True):
            if np.isfinite(value):
                panel.annotate(
                    f"{value:.1f}", (end, place), (9, 0), textcoords="offset points", ha="left",
                    va="center", fontsize=9, color=drawn["color"],
                )  # fmt: skip
    panel.set(
        ylim=(-0.6, len(names) - 0.4), xlabel=f"{METRIC_NAMES[metric]}, per cent", title=title
    )
    panel.set_yticks(range(len(names)), names)
    panel.grid(axis="y", visible=False)
    panel.margins(x=0.12)
    legend_below(figure, panel)
    return figure
