"""The report's figures: what is taken for what, and what a threshold costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from alutils.plots.curves import _axes


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Show what each class is taken for, in per cent of its items.

    Parameters
    ----------
    counts : (n_classes, n_classes) int, rows the true classes, as `alutils.stats.metrics.confusion`
    gives
    classes : their names
    title : of the figure
    """
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure, axes = _axes(size=(8, 7))
    # What is right would drown the rest: the colours are for the mistakes, the diagonal is blank.
    sns.heatmap(
        np.where(np.eye(len(classes), dtype=bool), np.nan, shares), ax=axes, cmap="rocket_r",
        xticklabels=classes, yticklabels=classes, square=True, linewidths=0.3,
        cbar_kws={"label": "per cent of the true class", "shrink": 0.8},
    )  # fmt: skip
    for place, share in enumerate(np.diag(shares)):
        axes.text(place + 0.5, place + 0.5, f"{share:.0f}", ha="center", va="center", fontsize=9)
    axes.tick_params(axis="y", rotation=0)
    axes.set(xlabel="taken for", ylabel="true class; on the diagonal, per cent right", title=title)
    return figure


def confused_pairs(
    pairs: pd.DataFrame, images: Sequence[np.ndarray], title: str, columns: int = 8
) -> Figure:
    """Show items of the pairs of classes that are confused most.

    Parameters
    ----------
    pairs : a row a pair, with columns true, predicted (names) and n
    images : for each pair, (k, height, width) examples; the first `columns` are shown
    title : of the figure
    """
    rows = len(pairs)
    figure, axes = _axes(rows, columns, size=(7, 0.86 * rows + 0.5), squeeze=False)
    for line, pair, examples in zip(axes, pairs.itertuples(), images, strict=True):
        for place, panel in enumerate(line):
            panel.set_axis_off()
            if place < len(examples):
                panel.imshow(examples[place], cmap="gray_r")
        line[0].text(
            -0.15, 0.5, f"{pair.true} taken for {pair.predicted}: {pair.n}", ha="right",
            va="center", fontsize=10, transform=line[0].transAxes,
        )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    return figure


def by_threshold(outcomes: pd.DataFrame, title: str) -> Figure:
    """Show what the seven steps give at each threshold.

    Parameters
    ----------
    outcomes : rows of `alutils.experiments.report.loops.label_everything`, a row for each threshold
    and seed
    title : of the figure
    """
    shown = {
        "accuracy": ("all labels right", "o"),
        "auto_precision": ("automatic labels right", "s"),
        "share_human": ("labelled by hand", "^"),
    }
    figure, axes = _axes(size=(7, 4))
    # Thresholds crowd towards 1: they stand side by side, as categories.
    names = [f"{threshold:g}" for threshold in sorted(outcomes["threshold"].unique())]
    for number, (column, (label, marker)) in enumerate(shown.items()):
        by = outcomes.groupby("threshold")[column]
        middle, low, high = 100 * by.mean(), 100 * by.min(), 100 * by.max()
        axes.plot(names, middle, marker=marker, label=label, color=f"C{number}")
        axes.fill_between(names, low, high, alpha=0.2, color=f"C{number}")
    axes.set(
        xlabel="confidence from which on a prediction becomes a label (band: all seeds)",
        ylabel="per cent of the letters", title=title, ylim=(0, 103),
    )  # fmt: skip
    axes.legend()
    return figure


def against_published(values: pd.DataFrame, title: str) -> Figure:
    """Show how far the results of all seeds are from the published ones.

    Parameters
    ----------
    values : with columns name, value and published; a row for each seed and name
    title : of the figure
    """
    names = list(dict.fromkeys(values["name"]))
    figure, axes = _axes(size=(7, 0.45 * len(names) + 1.3))
    axes.axvline(0, color="black", linewidth=1)
    for place, name in enumerate(names):
        of = values[values["name"] == name]
        apart = 100 * (of["value"] - of["published"]).to_numpy()
        axes.plot(apart, np.full(len(of), place), "o", color="C0", alpha=0.5)
        axes.plot(apart.mean(), place, "|", color="black", markersize=20)
    ticks = [
        f"{name}\n{100 * values[values['name'] == name]['published'].iloc[0]:.2f}%"
        for name in names
    ]
    axes.set(
        yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5), title=title,
        xlabel="ours - published, points;  dots: draws;  bar: their mean",
    )  # fmt: skip
    axes.set_yticklabels(ticks)
    return figure
