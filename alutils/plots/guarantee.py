"""Figures of notebook 05: labels against accuracy and certified share, promises, forecasts, doubts.

As in `alutils.plots.curves`: tables or arrays in, a Figure out, and nothing told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alutils.plots.curves import _axes

ARM_NAMES = {
    "random": "random",
    "active": "active",
    "active_unlabelled": "active, learning from unlabelled images too",
}
STYLES = {
    "random": ("C7", "s", "--"),
    "active": ("C0", "o", "-"),
    "active_unlabelled": ("C2", "^", "-"),
}
"""Colour, marker and line of each way of asking and learning, the same in every figure."""
MODEL_MARKERS = "osD^"


def accuracy_curves(
    curves: Mapping[str, pd.DataFrame], levels: Mapping[str, float], *, ylabel: str, title: str
) -> Figure:
    """Show accuracy against labels, and the levels to be compared with as lines.

    Parameters
    ----------
    curves : arm to a table with columns n (labels), middle, low, high (shares; NaN for no band)
    levels : what a line is called to its height
    """
    figure, axes = _axes(size=(7.4, 4.2))
    for arm, table in curves.items():
        _curve(axes, arm, table)
    for number, (name, height) in enumerate(levels.items()):
        axes.axhline(
            100 * height, color="black", linewidth=1.2, linestyle=(":", "-.")[number % 2],
            label=f"{name}: {height:.1%}", zorder=1,
        )  # fmt: skip
    axes.set(xlabel="human labels", ylabel=ylabel, title=title)
    _legend_below(figure, axes)
    return figure


def _legend_below(figure: Figure, axes: object) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)


def _curve(axes: object, arm: str, table: pd.DataFrame) -> None:
    colour, marker, line = STYLES.get(arm, ("C4", "D", "-"))
    axes.plot(
        table["n"], 100 * table["middle"], color=colour, marker=marker, linestyle=line,
        label=ARM_NAMES.get(arm, arm),
    )  # fmt: skip
    axes.fill_between(table["n"], 100 * table["low"], 100 * table["high"], color=colour, alpha=0.15)


def promises(table: pd.DataFrame, *, risk: float, title: str) -> Figure:
    """Show how often each rule broke its promise, and how much it labelled.

    Parameters
    ----------
    table : rows of `trust.simulate` with a column model, the name of what was audited
    risk : the share of promises that may be broken
    """
    rules = list(dict.fromkeys(table["rule"]))
    models = list(dict.fromkeys(table["model"]))
    figure, panels = _axes(1, 2, size=(8.6, 0.62 * len(rules) + 1.6), sharey=True)
    for number, model in enumerate(models):
        rows = table[table["model"] == model].set_index("rule").reindex(rules)
        places = np.arange(len(rules)) + 0.26 * (number - (len(models) - 1) / 2)
        shown = {
            "color": f"C{number}", "fmt": MODEL_MARKERS[number % 4], "capsize": 3,
            "linestyle": "none", "label": model, "markersize": 7,
        }  # fmt: skip
        around = (rows[["broken_low", "broken_high"]].sub(rows["broken"], axis=0)).abs().T
        panels[0].errorbar(100 * rows["broken"], places, xerr=100 * around.to_numpy(), **shown)
        panels[1].errorbar(100 * rows["coverage"], places, **shown)
    panels[0].axvline(100 * risk, color="black", linestyle="--", linewidth=1)
    panels[0].annotate(
        f"allowed: {risk:.0%}", (100 * risk, -0.55), (4, 0), textcoords="offset points",
        va="center", fontsize=9,
    )  # fmt: skip
    panels[0].set(
        xlabel="audits with a broken promise (%), 95% interval", xlim=(-4, 104),
        yticks=range(len(rules)), ylim=(len(rules) - 0.5, -0.8),
    )  # fmt: skip
    panels[0].set_yticklabels(rules)
    panels[1].set(xlabel="labelled automatically (%), mean of all audits", xlim=(-4, 104))
    figure.legend(
        *panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=len(models),
        frameon=False,
    )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    return figure


def cost_curves(
    curves: Mapping[str, pd.DataFrame], whole: Mapping[str, np.ndarray], *, title: str
) -> Figure:
    """Show the certified share of a pool against all human labels that it took.

    Parameters
    ----------
    curves : arm to a table with columns n (human labels, the audit's included), middle, low, high
        (shares of the pool)
    whole : arm to the human labels in all with which everything was labelled and certified, drawn
        as stars at 100%; may be empty
    """
    figure, axes = _axes(size=(7.4, 4.2))
    for arm, table in curves.items():
        _curve(axes, arm, table)
        found = np.asarray(whole.get(arm, ()), float)
        colour, *_ = STYLES.get(arm, ("C4",))
        axes.plot(
            found, np.full(len(found), 100), "*", color=colour, markersize=12, clip_on=False,
            mec="black", mew=0.6, zorder=5, alpha=0.7,
        )  # fmt: skip
    if any(len(found) for found in whole.values()):
        axes.plot([], [], "*", color="white", mec="black", ms=12, ls="none",
                  label="everything labelled, certified")  # fmt: skip
    axes.set(
        xlabel="human labels in all: training, audit, by hand at the end",
        ylabel="share of the pool labelled automatically (%)", ylim=(-3, 104), title=title,
    )  # fmt: skip
    _legend_below(figure, axes)
    return figure


def forecasts(table: pd.DataFrame, *, xlabel: str, title: str) -> Figure:
    """Show forecasts with their intervals beside what it then took.

    Parameters
    ----------
    table : columns name, more, low, high (labels; infinite for never), took (infinite for never;
        NaN where the labels ended first) and seen (labels that were given in all)
    """
    figure, axes = _axes(size=(7.4, 0.5 * len(table) + 1.7))
    # As wide as the forecasts themselves, not as their widest interval: that may be endless.
    finite = table[["more", "took", "seen"]].to_numpy(float)
    edge = 1.5 * finite[np.isfinite(finite)].max(initial=1)
    for place, row in enumerate(table.itertuples()):
        low, high = min(row.low, edge), min(row.high, edge)
        axes.plot([low, high], [place, place], color="C0", linewidth=5, alpha=0.35)
        if row.high > edge:
            beyond = f"to {row.high:,.0f}"
            if np.isinf(row.high):
                beyond = "never" if np.isinf(row.low) else "or never"
                beyond = "more, or never" if edge < row.low < np.inf else beyond
            axes.annotate(
                beyond, (edge, place), (4, 0), textcoords="offset points", va="center", fontsize=9,
                annotation_clip=False,
            )  # fmt: skip
        if np.isfinite(row.more):
            axes.plot(row.more, place, "o", color="C0", markersize=8)
        if np.isfinite(row.took):
            axes.plot(row.took, place, "*", color="black", mfc="gold", markersize=14, zorder=5)
        elif np.isnan(row.took):
            axes.plot(row.seen, place, ">", color="black", mfc="gold", markersize=10, zorder=5)
    for marker, text, options in (
        ("o", "forecast", {"color": "C0", "markersize": 8}),
        ("*", "what it took", {"color": "black", "mfc": "gold", "markersize": 14}),
        (">", "not yet after so many", {"color": "black", "mfc": "gold", "markersize": 10}),
    ):
        axes.plot([], [], marker, linestyle="none", label=text, **options)
    axes.plot([], [], color="C0", linewidth=5, alpha=0.35, label="90% interval")
    axes.set(
        yticks=range(len(table)), ylim=(len(table) - 0.5, -0.5), xlim=(-0.03 * edge, edge),
        xlabel=xlabel, title=title,
    )  # fmt: skip
    axes.set_yticklabels(table["name"])
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    return figure


def suspects(
    images: np.ndarray,
    given: Sequence[str],
    suggested: Sequence[str],
    true: Sequence[str],
    title: str,
    columns: int = 8,
) -> Figure:
    """Show suspicious labels: the image, the label it bears, the one suggested, and the truth.

    Parameters
    ----------
    images : (n, height, width), the most suspicious first
    given, suggested, true : (n,) names of classes
    """
    rows = max(1, -(-len(images) // columns))
    figure, axes = _axes(rows, columns, size=(1.05 * columns, 1.55 * rows + 0.5), squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, image, label, other, truth in zip(
        axes.flat, images, given, suggested, true, strict=False
    ):
        panel.imshow(image, cmap="gray_r")
        panel.set_title(
            f"said {label}\n{other}?  {'wrong' if label != truth else 'right'}", fontsize=9,
            color="C3" if label != truth else "black",
        )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    return figure
