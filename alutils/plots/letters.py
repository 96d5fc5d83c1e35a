"""Figures of labelled images: samples, class sizes, maps, metrics, what spoils them.

As in `alutils.plots.curves`: arrays or tables in, a Figure out, and nothing told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import patheffects
from matplotlib.figure import Figure
from sklearn.neighbors import NearestNeighbors

from alutils.plots.curves import _axes

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "f1_macro": "macro F1",
    "mcc": "Matthews correlation",
}
_MARKERS = "osD^vPX*"


def samples(images: np.ndarray, names: Sequence[str], title: str, columns: int = 8) -> Figure:
    """Show images (n, height, width[, 3]) in a grid, each with its name."""
    rows = -(-len(images) // columns)
    figure, axes = _axes(rows, columns, size=(0.95 * columns, 1.15 * rows + 0.4), squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, image, name in zip(axes.flat, images, names, strict=False):
        panel.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        panel.set_title(name, fontsize=10, pad=2)
    figure.suptitle(title, fontsize=11)
    return figure


def class_sizes(counts: Mapping[str, Mapping[str, int]], title: str) -> Figure:
    """Show how many items each class has, as bars with their numbers.

    Parameters
    ----------
    counts : what a panel counts, to class name to number; panels have the same axis of numbers
    """
    figure, axes = _axes(len(counts), 1, size=(8.5, 2.3 * len(counts) + 0.6), squeeze=False)
    top = max(max(numbers.values()) for numbers in counts.values())
    for panel, (name, numbers) in zip(axes[:, 0], counts.items(), strict=True):
        places = np.arange(len(numbers))
        panel.bar(places, list(numbers.values()), color="C0", width=0.75)
        for place, number in zip(places, numbers.values(), strict=True):
            panel.annotate(
                f"{number:,}", (place, number), (0, 3), textcoords="offset points",
                ha="center", va="bottom", fontsize=9, rotation=90,
            )  # fmt: skip
        panel.set(xticks=places, ylabel=name, ylim=(0, 1.32 * top))
        panel.set_xticklabels(list(numbers))
        panel.set_xlim(-0.7, len(numbers) - 0.3)
        panel.grid(axis="x", visible=False)
    figure.suptitle(title, fontsize=11)
    return figure


def maps(
    layouts: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], title: str
) -> Figure:
    """Show layouts of the same items side by side, every item as the name of its class.

    Parameters
    ----------
    layouts : name of a panel to (n, 2) points
    labels : (n,) int positions in `classes`
    """
    figure, axes = _axes(1, len(layouts), size=(5.4 * len(layouts), 5.6), squeeze=False)
    colours = sns.husl_palette(len(classes), l=0.5)
    # Neighbours in the alphabet get hues far apart.
    colours = [colours[(7 * place) % len(classes)] for place in range(len(classes))]
    size = float(np.clip(60_000 / max(1, len(labels)), 2, 26))
    for panel, (name, points) in zip(axes[0], layouts.items(), strict=True):
        for label, letter in enumerate(classes):
            own = points[labels == label]
            if not len(own):
                continue
            marker = f"${letter}$" if len(letter) == 1 and letter.isalnum() else "."
            panel.scatter(
                *own.T, s=size, marker=marker, color=colours[label], linewidth=0.1, rasterized=True
            )
            # The name goes to where its class is densest: the middle may lie between its parts.
            k = min(10, len(own) - 1)
            near = NearestNeighbors(n_neighbors=k + 1).fit(own).kneighbors(own)[0]
            middle = own[near[:, k].argmin()]
            panel.annotate(
                letter, middle, ha="center", va="center", fontsize=13, fontweight="bold",
                path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
        panel.set(xticks=[], yticks=[], title=name)
        panel.set_aspect("equal", adjustable="datalim")
        panel.set_box_aspect(1)
    figure.suptitle(title, fontsize=11)
    return figure


def by_class(
    shares: Mapping[str, np.ndarray],
    classes: Sequence[str],
    chance: float,
    ylabel: str,
    title: str,
) -> Figure:
    """Show a share for each class, a marker for each series, chance as a line.

    Parameters
    ----------
    shares : name of a series to (n_classes,) float
    """
    figure, axes = _axes(size=(8.5, 3.6))
    order = np.argsort(next(iter(shares.values())))
    for number, (name, values) in enumerate(shares.items()):
        axes.plot(values[order], _MARKERS[number], label=name, color=f"C{number}", mec="white")
    axes.axhline(chance, color="black", linestyle=":", label="by chance")
    axes.set(xticks=range(len(classes)), ylim=(0, 1.02), ylabel=ylabel, title=title)
    axes.set_xticklabels([classes[place] for place in order])
    figure.legend(loc="outside lower center", ncols=len(shares) + 1, frameon=False)
    return figure


def metric_dots(tables: Mapping[str, pd.DataFrame], names: Mapping[str, str], title: str) -> Figure:
    """Show metrics of several arms as dots, a panel for each table.

    Parameters
    ----------
    tables : name of a panel to a table with a column arm and a column for each metric; rows of the
        same arm (seeds) are averaged, and their range is drawn
    names : arm to its name; gives the order
    """
    figure, axes = _axes(
        1, len(tables), size=(4.5 * len(tables), 3.9), squeeze=False, sharey=True, sharex=True
    )
    metrics = [name for name in METRIC_NAMES if all(name in table for table in tables.values())]
    for panel, (name, table) in zip(axes[0], tables.items(), strict=True):
        for number, (arm, shown) in enumerate(names.items()):
            values = table.loc[table["arm"] == arm, metrics]
            height = np.arange(len(metrics)) + 0.16 * (number - (len(names) - 1) / 2)
            panel.hlines(height, values.min(), values.max(), color=f"C{number}", alpha=0.5)
            panel.plot(values.mean(), height, _MARKERS[number], color=f"C{number}", label=shown)
        panel.set(title=name, xlim=(-0.03, 1.03), yticks=range(len(metrics)), xlabel="value")
        panel.set_yticklabels([METRIC_NAMES[metric] for metric in metrics])
        panel.grid(axis="y", visible=False)
    axes[0, 0].invert_yaxis()
    handles, texts = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(names), frameon=False)
    figure.suptitle(title, fontsize=11)
    return figure


def auto_labelling(
    tables: Mapping[str, pd.DataFrame],
    thresholds: Sequence[float],
    xlabels: Mapping[str, str],
    title: str,
) -> Figure:
    """Show what rising trouble does to accuracy and to automatic labels, a panel for each trouble.

    Parameters
    ----------
    tables : name of a panel to a table with a column ``level`` and the columns of
        `alutils.experiments.report.robustness.measure`; rows of the same level (seeds) are
        averaged, their range is a band
    thresholds : of confidence; those in the table
    xlabels : name of a panel to what a level is
    """
    figure, axes = _axes(
        1, len(tables), size=(max(7, 3.6 * len(tables)), 4.2), squeeze=False, sharey=True
    )
    series = {"accuracy": "accuracy"}
    for threshold in thresholds:
        series[f"auto_precision@{threshold:g}"] = f"auto-labels right, confidence ≥ {threshold:g}"
        series[f"auto_coverage@{threshold:g}"] = f"share auto-labelled, confidence ≥ {threshold:g}"
    for panel, (name, table) in zip(axes[0], tables.items(), strict=True):
        grouped = table.groupby("level")
        for number, (column, text) in enumerate(series.items()):
            mean, low, high = (getattr(grouped[column], how)() for how in ("mean", "min", "max"))
            line = "--" if "coverage" in column else "-"
            colour = f"C{0 if column == 'accuracy' else 1 + thresholds.index(_threshold(column))}"
            panel.plot(
                mean.index, mean, line, marker=_MARKERS[number], color=colour, label=text, ms=5
            )
            panel.fill_between(mean.index, low, high, color=colour, alpha=0.15)
        panel.set(title=name, xlabel=xlabels[name], ylim=(0, 1.03))
    axes[0, 0].set_ylabel("share")
    handles, texts = axes[0, 0].get_legend_handles_labels()
    columns = 3 if len(tables) > 1 else 2
    figure.legend(handles, texts, loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle(title, fontsize=11)
    return figure


def _threshold(column: str) -> float:
    return float(column.partition("@")[2])


def classifiers(table: pd.DataFrame, title: str, metric: str = "accuracy") -> Figure:
    """Show how several classifiers do on several inputs.

    Parameters
    ----------
    table : of `alutils.experiments.report.robustness.compare_classifiers`
    metric : one of its columns
    """
    wide = table.set_index(["classifier", "inputs"])[metric].unstack("inputs")
    wide = wide.loc[wide.max(axis=1).sort_values().index]
    figure, axes = _axes(size=(7, 0.6 * len(wide) + 1.5))
    for number, source in enumerate(wide.columns):
        values = wide[source].to_numpy()
        axes.plot(
            values, range(len(wide)), _MARKERS[number], color=f"C{number}", ms=8, label=source
        )
        for place, value in enumerate(values):
            if np.isfinite(value):
                axes.annotate(
                    f"{value:.1%}", (value, place), (0, -16 if number % 2 else 7),
                    textcoords="offset points", ha="center", fontsize=9, color=f"C{number}",
                )  # fmt: skip
    axes.set(
        yticks=range(len(wide)), ylim=(-0.6, len(wide) - 0.3), xlabel=METRIC_NAMES[metric],
        title=title,
    )  # fmt: skip
    axes.set_yticklabels(wide.index)
    axes.margins(x=0.08)
    axes.legend(loc="lower right")
    return figure
