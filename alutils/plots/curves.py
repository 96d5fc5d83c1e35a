"""Learning curves, distributions over replicates, paired differences, and the article's figures.

As in all of `alutils.plots`: arrays or tables in, a Figure out, which looks as `style` says.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import patheffects
from matplotlib.figure import Figure

from alutils.plots.style import COLOURS, RC, arm_name, axes, legend_below, look, name_rows, series
from alutils.stats.intervals import Paired, percentile_of


def digit(image: np.ndarray, title: str) -> Figure:
    """Show one image (height, width)."""
    figure, panel = axes(size=(2.8, 3))
    panel.imshow(image, cmap="gray_r")
    panel.set_title(title)
    panel.set_axis_off()
    return figure


def centroids(centres: np.ndarray, shares: pd.DataFrame) -> Figure:
    """Show k-means centroids (k, height, width) above the digits that each of them gathers.

    ``shares``: (k, n_classes) what share of each class's images falls to each, in per cent.
    """
    with mpl.rc_context(RC):
        figure = Figure(figsize=(7.5, 5.4), layout="constrained")
        grid = figure.add_gridspec(2, len(centres), height_ratios=(1, 4))
        for k, centre in enumerate(centres):
            panel = figure.add_subplot(grid[0, k])
            panel.imshow(centre, cmap="gray_r")
            panel.set_axis_off()
        panel = figure.add_subplot(grid[1, :])
        style = {"annot": True, "fmt": ".0f", "cmap": "Blues", "cbar": False, "linewidths": 0.5}
        sns.heatmap(shares.T, ax=panel, **style)
        panel.set(xlabel="cluster, its centroid above", ylabel="digit")
        panel.set_title("To which cluster each digit's images go (%)")
        panel.tick_params(axis="y", rotation=0)
    return figure


def confidence(curves: Mapping[str, np.ndarray]) -> Figure:
    """Show the (n,) highest class probabilities of unlabelled images in rising order, by name."""
    figure, grid = axes(1, len(curves), size=(3.7 * len(curves), 3.2), squeeze=False, sharey=True)
    for panel, (name, values) in zip(grid[0], curves.items(), strict=True):
        panel.plot(100 * np.sort(values), linewidth=2)
        panel.set(title=name, xlabel="unlabelled images, least confident first", ylim=(0, 102))
    grid[0, 0].set_ylabel("highest class probability (%)")
    return figure


def distributions(
    draws: Mapping[str, pd.DataFrame],
    published: Mapping[str, float],
    n_eval: int,
    starred: str = "published",
) -> Figure:
    """Show where the published counts, or those of one run, stand among replicates, as shares.

    Parameters
    ----------
    draws : name of the kind of replicates to a table with columns arm and n_right, a column each
    published : arm to the count that is drawn as a star
    n_eval : images counted on
    starred : what the stars are; nothing was published for other digits than the article's
    """
    # The first batch is so far below the others that it gets an axis of its own.
    groups = [[arm for arm in published if arm != "first"], ["first"]]
    figure, grid = axes(
        2, len(draws), size=(4.8 * len(draws), 4.8), squeeze=False, sharey="row",
        height_ratios=[len(group) for group in groups],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for column, (name, table) in zip(grid.T, draws.items(), strict=True):
        for panel, arms in zip(column, groups, strict=True):
            for place, arm in enumerate(arms):
                counts = table.loc[table["arm"] == arm, "n_right"].to_numpy(float)
                shares, star = 100 * counts / n_eval, 100 * published[arm] / n_eval
                height = place + rng.uniform(-0.28, 0.28, len(shares))
                dot = look(arm) | {"linestyle": "none"}
                panel.plot(shares, height, **dot, alpha=0.4, markersize=4)
                panel.plot(np.mean(shares), place, "|", color="black", markersize=24)
                gold = {"color": "black", "mfc": "gold", "markersize": 12, "zorder": 4}
                panel.plot(star, place, "*", **gold)
                panel.annotate(
                    f"{percentile_of(published[arm], counts):.1f}", (1.01, place),
                    xycoords=("axes fraction", "data"), va="center", fontsize=9,
                )  # fmt: skip
            name_rows(panel, [arm_name(arm) for arm in arms])
        column[0].set_title(name)
        column[-1].set_xlabel(f"share of {n_eval} test digits right (%)")
    figure.supxlabel(
        f"star: {starred};  bar: mean of the replicates;  right: percentile of the star",
        fontsize=9,
    )
    return figure


def learning_curves(
    curves: Mapping[str, pd.DataFrame],
    *,
    scale: float = 1.0,
    published: Mapping[int, float] | None = None,
    starred: str = "published",
    xlabel: str = "labels",
    ylabel: str = "accuracy",
    title: str = "",
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Show accuracy against labels, with bands.

    Parameters
    ----------
    curves : arm to a table with columns n (labels), middle, low and high; the band is left out
        where low and high are
    scale : what the values are divided by
    published : labels to published value, drawn as stars
    starred : what the stars are called
    names : arm to what it is called here, where that is not its usual name
    """
    figure, panel = axes(size=(7, 4))
    for number, (arm, table) in enumerate(curves.items()):
        x = table["n"].to_numpy()
        (line,) = panel.plot(
            x, table["middle"] / scale, **look(arm, number),
            markevery=max(1, len(x) // 10), label=(names or {}).get(arm, arm_name(arm)),
        )  # fmt: skip
        if "low" in table:
            low, high = table["low"] / scale, table["high"] / scale
            panel.fill_between(x, low, high, alpha=0.2, color=line.get_color())
    if published:
        panel.plot(
            list(published), list(published.values()), "*", color="black", mfc="gold",
            markersize=13, label=starred, linestyle="none", zorder=5,
        )  # fmt: skip
    panel.set(xlabel=xlabel, ylabel=ylabel, title=title)
    panel.legend()
    return figure


def differences(comparisons: Mapping[str, Paired]) -> Figure:
    """Show paired differences in points with their intervals, zero marked."""
    figure, panel = axes(size=(7, 0.75 * len(comparisons) + 1.2))
    for place, result in enumerate(comparisons.values()):
        low, high = 100 * (result.mean - result.low), 100 * (result.high - result.mean)
        panel.errorbar(
            100 * result.mean, place, xerr=[[low], [high]], fmt="o", capsize=4, color=COLOURS[0]
        )
        panel.annotate(
            f"{100 * result.mean:+.2f}", (100 * result.mean, place), (0, 8),
            textcoords="offset points", ha="center", fontsize=9,
            path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
    panel.axvline(0, color="black", linewidth=1)
    panel.set_xlabel("difference in test accuracy, points (95% interval)")
    name_rows(panel, list(comparisons), above=0.6)
    return figure


def wrong_by_part(parts: Mapping[str, pd.DataFrame], overall: float, *, title: str) -> Figure:
    """Show what share of the automatic labels is wrong, part by part, most confident first.

    Parameters
    ----------
    parts : name of the kind of replicates to a table with columns part (from 1), mean, low and
        high, in per cent
    overall : per cent wrong of all of them: what every part would hold without the order
    """
    figure, panel = axes(size=(7, 4))
    width = 0.8 / len(parts)
    for number, (name, table) in enumerate(parts.items()):
        style = series(number)
        x = table["part"] + (number - (len(parts) - 1) / 2) * width
        mean = table["mean"]
        panel.bar(x, mean, width, color=style["color"], alpha=0.35)
        beyond = [(mean - table["low"]).clip(lower=0), (table["high"] - mean).clip(lower=0)]
        panel.errorbar(
            x, mean, yerr=beyond, fmt=style["marker"], color=style["color"], capsize=3,
            markersize=5, label=f"{name}: mean, 5 to 95%",
        )  # fmt: skip
    panel.axhline(
        overall, color="black", linestyle="--", linewidth=1,
        label=f"all automatic labels: {overall:.1f}%",
    )  # fmt: skip
    places = np.unique(np.concatenate([table["part"] for table in parts.values()]))
    panel.set_xticks(places)
    panel.set_ylim(bottom=0)
    panel.set(
        xlabel=f"part of the automatic labels, in the order given, of {places.max()}",
        ylabel="labels of the part that are wrong (%)",
        title=title,
    )
    panel.grid(visible=False, axis="x")
    panel.legend(loc="upper left")
    return figure


def methods(
    table: pd.DataFrame,
    names: Mapping[str, str],
    lines: Mapping[str, float],
    *,
    xlabel: str,
    title: str,
) -> Figure:
    """Show classifiers as rows, and the ways of choosing their labels as markers.

    Parameters
    ----------
    table : columns asked, classifier, mean, low and high; NaN where there is no interval
    names : classifiers to what their rows are called, the first uppermost
    lines : name to value of vertical lines
    """
    figure, panel = axes(size=(8, 4.6))
    asked = list(dict.fromkeys(table["asked"]))
    for number, name in enumerate(asked):
        rows = table[table["asked"] == name]
        place = [list(names).index(one) for one in rows["classifier"]]
        y = np.array(place) + 0.2 * (number - (len(asked) - 1) / 2)
        beyond = np.array([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], float)
        panel.errorbar(
            rows["mean"], y, xerr=beyond if np.isfinite(beyond).any() else None,
            **look(name) | {"linestyle": "none"}, capsize=3, markersize=7,
            label=f"labels: {arm_name(name)}",
        )  # fmt: skip
    for (name, value), dash in zip(lines.items(), ("--", ":", "-."), strict=False):
        panel.axvline(value, color="black", linestyle=dash, linewidth=1.2, label=name)
    panel.set(xlabel=xlabel, title=title)
    name_rows(panel, list(names.values()))
    legend_below(figure, panel)
    return figure
