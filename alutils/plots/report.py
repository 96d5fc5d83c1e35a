"""The report's figures: what is taken for what, and what a threshold costs.

As in all of `alutils.plots`: arrays or tables in, a Figure out, which looks as `style` says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from alutils.plots.style import COLOURS, axes, hide_axes, name_rows, series


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Show what each class is taken for, in per cent of its items.

    ``counts``: (n_classes, n_classes) int, rows the true classes, as
    `alutils.stats.metrics.confusion` gives.
    """
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure, panel = axes(size=(8, 7))
    # What is right would drown the rest: the colours are for the mistakes, the diagonal is blank.
    sns.heatmap(
        np.where(np.eye(len(classes), dtype=bool), np.nan, shares), ax=panel, cmap="rocket_r",
        xticklabels=classes, yticklabels=classes, square=True, linewidths=0.3,
        cbar_kws={"label": "per cent of the true class", "shrink": 0.8},
    )  # fmt: skip
    for place, share in enumerate(np.diag(shares)):
        panel.text(place + 0.5, place + 0.5, f"{share:.0f}", ha="center", va="center", fontsize=9)
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
            panel.imshow(image, cmap="gray_r")
        line[0].text(
            -0.15, 0.5, f"{pair.true} taken for {pair.predicted}: {pair.n}", ha="right",
            va="center", fontsize=10, transform=line[0].transAxes,
        )  # fmt: skip
    return figure


def by_threshold(outcomes: pd.DataFrame, title: str) -> Figure:
    """Show what the seven steps give at each threshold.

    ``outcomes``: of `alutils.experiments.report.loops.label_everything`, a row for each threshold
    and seed.
    """
    columns = {
        "accuracy": "all labels right",
        "auto_precision": "automatic labels right",
        "share_human": "labelled by hand",
    }
    figure, panel = axes(size=(7, 4))
    # Thresholds crowd towards 1: they stand side by side, as categories.
    names = [f"{threshold:g}" for threshold in sorted(outcomes["threshold"].unique())]
    for number, (column, text) in enumerate(columns.items()):
        by = outcomes.groupby("threshold")[column]
        middle, low, high = 100 * by.mean(), 100 * by.min(), 100 * by.max()
        panel.plot(names, middle, label=text, **series(number))
        panel.fill_between(names, low, high, alpha=0.2, color=COLOURS[number])
    panel.set(
        xlabel="confidence from which on a prediction becomes a label (band: all seeds)",
        ylabel="per cent of the letters", title=title, ylim=(0, 103),
    )  # fmt: skip
    panel.legend()
    return figure


def against_published(values: pd.DataFrame, title: str) -> Figure:
    """Show how far the results of all seeds are from the published ones.

    ``values``: with columns name, value and published; a row for each seed and name.
    """
    groups, ticks = values.groupby("name", sort=False), []
    figure, panel = axes(size=(7, 0.45 * len(groups) + 1.3))
    panel.axvline(0, color="black", linewidth=1)
    for place, (name, of) in enumerate(groups):
        apart = 100 * (of["value"] - of["published"]).to_numpy()
        panel.plot(apart, np.full(len(of), place), "o", color=COLOURS[0], alpha=0.5)
        panel.plot(apart.mean(), place, "|", color="black", markersize=20)
        ticks.append(f"{name}\n{100 * of['published'].iloc[0]:.2f}%")
    panel.set(title=title, xlabel="ours - published, points;  dots: draws;  bar: their mean")
    name_rows(panel, ticks)
    return figure
