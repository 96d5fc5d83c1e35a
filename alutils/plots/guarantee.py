"""Figures of notebook 05: labels against accuracy and certified share, promises, forecasts, doubts.

As in all of `alutils.plots`: tables or arrays in, a Figure out, which looks as `style` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alutils.plots.style import (
    COLOURS,
    RED,
    arm_name,
    axes,
    hide_axes,
    legend_below,
    look,
    name_rows,
    series,
)


def accuracy_curves(
    curves: Mapping[str, pd.DataFrame], levels: Mapping[str, float], *, ylabel: str, title: str
) -> Figure:
    """Show accuracy against labels, and the levels to be compared with as lines.

    ``curves``: arm to a table with columns n (labels), middle, low, high (shares; NaN for no band);
    ``levels``: what a line is called to its height.
    """
    figure, panel = axes(size=(7.4, 4.2))
    for arm, table in curves.items():
        _curve(panel, arm, table)
    for number, (name, height) in enumerate(levels.items()):
        panel.axhline(
            100 * height, color="black", linewidth=1.2, linestyle=(":", "-.")[number % 2],
            label=f"{name}: {height:.1%}", zorder=1,
        )  # fmt: skip
    panel.set(xlabel="human labels", ylabel=ylabel, title=title)
    legend_below(figure, panel)
    return figure


def _curve(panel: Any, arm: str, table: pd.DataFrame) -> None:
    drawn = look(arm)
    panel.plot(table["n"], 100 * table["middle"], label=arm_name(arm), **drawn)
    low, high = 100 * table["low"], 100 * table["high"]
    panel.fill_between(table["n"], low, high, color=drawn["color"], alpha=0.15)


def promises(table: pd.DataFrame, *, risk: float, title: str) -> Figure:
    """Show how often each rule broke its promise (``risk`` is allowed), and how much it labelled.

    ``table``: rows of ``simulate`` of `alutils.experiments.label_costs.trust` with a column model,
    the name of what was audited.
    """
    rules = list(dict.fromkeys(table["rule"]))
    models = list(dict.fromkeys(table["model"]))
    figure, panels = axes(1, 2, size=(8.6, 0.62 * len(rules) + 1.6), title=title, sharey=True)
    for number, model in enumerate(models):
        rows = table[table["model"] == model].set_index("rule").reindex(rules)
        places = np.arange(len(rules)) + 0.26 * (number - (len(models) - 1) / 2)
        drawn = {"linestyle": "none", "capsize": 3, "label": model, "markersize": 7}
        drawn |= series(number)
        around = (rows[["broken_low", "broken_high"]].sub(rows["broken"], axis=0)).abs().T
        panels[0].errorbar(100 * rows["broken"], places, xerr=100 * around.to_numpy(), **drawn)
        panels[1].errorbar(100 * rows["coverage"], places, **drawn)
    panels[0].axvline(100 * risk, color="black", linestyle="--", linewidth=1)
    panels[0].annotate(
        f"allowed: {risk:.0%}", (100 * risk, -0.55), (4, 0), textcoords="offset points",
        va="center", fontsize=9,
    )  # fmt: skip
    panels[0].set(xlabel="audits with a broken promise (%), 95% interval", xlim=(-4, 104))
    name_rows(panels[0], rules, above=0.8)
    panels[1].set(xlabel="labelled automatically (%), mean of all audits", xlim=(-4, 104))
    legend_below(figure, panels[1], columns=len(models))
    return figure


def cost_curves(
    curves: Mapping[str, pd.DataFrame], whole: Mapping[str, np.ndarray], *, title: str
) -> Figure:
    """Show the certified share of a pool against all human labels that it took.

    Parameters
    ----------
    curves : arm to a table with columns n (human labels, the audit's included), middle, low, high
        (shares of the pool)
    whole : arm to the human labels in all with which everything is labelled and certified, drawn
        as stars at 100%; may be empty
    """
    figure, panel = axes(size=(7.4, 4.2))
    for arm, table in curves.items():
        _curve(panel, arm, table)
        found = np.asarray(whole.get(arm, ()), float)
        if len(found):  # an empty line that is not clipped would blow the layout up
            panel.plot(
                found, np.full(len(found), 100), "*", color=look(arm)["color"], markersize=12,
                clip_on=False, mec="black", mew=0.6, zorder=5, alpha=0.7,
            )  # fmt: skip
    if any(len(found) for found in whole.values()):
        panel.plot([], [], "*", color="white", mec="black", ms=12, ls="none",
                  label="everything labelled, certified (mean of the audits)")  # fmt: skip
    panel.set(
        xlabel="human labels in all: training, audit, by hand at the end",
        ylabel="labelled automatically (% of the pool)", ylim=(-3, 104), title=title,
    )  # fmt: skip
    legend_below(figure, panel)
    return figure


_BESIDE = 0.3  # rows by which what it took stands below its forecast, so that both can be seen


def forecasts(table: pd.DataFrame, *, xlabel: str, title: str) -> Figure:
    """Show forecasts with their intervals beside what it then took.

    Parameters
    ----------
    table : columns name, more, low, high (labels; infinite for never), took (infinite for never;
        NaN where the labels ended first) and seen (labels that were given in all)
    """
    figure, panel = axes(size=(7.4, 0.5 * len(table) + 1.7))
    # As wide as the forecasts themselves, not as their widest interval: that may be endless.
    finite = table[["more", "took", "seen"]].to_numpy(float)
    edge = 1.5 * finite[np.isfinite(finite)].max(initial=1)
    ours = {"color": "black", "mfc": "gold", "zorder": 5, "ls": "none"}
    marks: dict[str, dict[str, Any]] = {
        "more": {"marker": "o", "color": COLOURS[0], "ms": 8, "ls": "none"},
        "took": {"marker": "*", "ms": 14} | ours,
        "seen": {"marker": ">", "ms": 10} | ours,
    }
    for place, row in enumerate(table.itertuples()):
        low, high = min(row.low, edge), min(row.high, edge)
        panel.plot([low, high], [place, place], color=COLOURS[0], linewidth=5, alpha=0.35)
        if row.high > edge:
            beyond = f"to {row.high:,.0f}"
            if np.isinf(row.high):
                beyond = "more, or never" if row.low > edge else "or never"
                beyond = "never" if np.isinf(row.low) else beyond
            panel.annotate(
                beyond, (edge, place), (4, 0), textcoords="offset points", va="center", fontsize=9,
                annotation_clip=False,
            )  # fmt: skip
        if np.isfinite(row.more):
            panel.plot(row.more, place, **marks["more"])
        if np.isfinite(row.took):
            panel.plot(row.took, place + _BESIDE, **marks["took"])
        elif np.isnan(row.took):
            panel.plot(row.seen, place + _BESIDE, **marks["seen"])
    names = {"more": "forecast", "took": "what it took", "seen": "not yet after so many"}
    for kind, text in names.items():
        panel.plot([], [], **marks[kind], label=text)
    panel.plot([], [], color=COLOURS[0], linewidth=5, alpha=0.35, label="90% interval")
    panel.set(xlim=(-0.03 * edge, edge), xlabel=xlabel, title=title)
    name_rows(panel, table["name"])
    legend_below(figure, panel, columns=4)
    return figure


def suspects(
    images: np.ndarray,
    given: Sequence[str],
    suggested: Sequence[str],
    true: Sequence[str],
    title: str,
    columns: int = 8,
) -> Figure:
    """Show suspicious labels: the image, the label it bears, the one suggested, and the truth."""
    rows = max(1, -(-len(images) // columns))
    size = (1.05 * columns, 1.55 * rows + 0.5)
    figure, grid = axes(rows, columns, size, title=title, squeeze=False)
    hide_axes(grid)
    for panel, image, label, other, truth in zip(
        grid.flat, images, given, suggested, true, strict=False
    ):
        panel.imshow(image, cmap="gray_r")
        panel.set_title(
            f"said {label}: {'wrong' if label != truth else 'right'}\nmaybe {other}", fontsize=9,
            color=RED if label != truth else "black",
        )  # fmt: skip
    return figure
