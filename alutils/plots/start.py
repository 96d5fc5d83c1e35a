"""The figures of notebook 00: pictures with their names, what was learned, what it will cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from alutils.plots import style

COLUMNS = 10
"""Pictures in a row of a sheet."""


def sheet(images: np.ndarray, captions: Sequence[str], title: str) -> Figure:
    """Return pictures, (n, height, width[, 3]) uint8, in rows, each with its caption above it."""
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    figure, panels = style.axes(
        rows, columns, (0.9 * columns, 1.15 * rows + 0.4 * bool(title)), title=title, squeeze=False
    )
    for panel, image, caption in zip(panels.flat, images, captions, strict=False):
        panel.imshow(image, cmap="gray", vmin=0, vmax=255)
        panel.set_title(caption if len(caption) <= 9 else f"…{caption[-8:]}", fontsize=9)
    style.hide_axes(panels)
    return figure


def curve(rows: pd.DataFrame, title: str) -> Figure:
    """Return what the model had right and was sure of, against the labels given."""
    figure, panel = style.axes(size=(7, 3.6), title=f"{title}: what the labels taught")
    lines = {
        "right": "right, of the other pictures",
        "sure of": "sure of (90% and more), of the other pictures",
        "asked_right": "right before it was told, of those it asked for",
    }
    for number, (column, name) in enumerate(lines.items()):
        if rows[column].notna().any():
            panel.plot(rows["labels"], rows[column], label=name, **style.series(number))
    panel.set(xlabel="labels given by a person", ylabel="share of pictures", ylim=(0, 1.02))
    panel.set_xlim(0, None)
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    style.legend_below(figure, panel, columns=1)
    return figure


def costs(table: pd.DataFrame, n_human: int, n_all: int, title: str) -> Figure:
    """Return a bar for each promise: labelled by people so far, by people still, by the model.

    ``table`` has promise, expected, low and high, in more labels of people.
    """
    figure, panel = style.axes(size=(7, 0.45 * len(table) + 1.5), title=f"{title}: who labels what")
    names = [f"{100 * share:g}% right" for share in table["promise"]]
    so_far = np.full(len(table), n_human / n_all)
    still = table["expected"].to_numpy() / n_all
    left, places = np.zeros(len(table)), np.arange(len(table))
    parts = {
        "a person, so far": (so_far, style.BLUE, ""),
        "a person, still (expected, with 90% interval)": (still, style.GREY, ".."),
        "the model": (np.maximum(1 - so_far - still, 0), style.GREEN, "//"),
    }
    for name, (width, colour, hatch) in parts.items():
        panel.barh(
            places, width, left=left, color=colour, hatch=hatch, edgecolor="white", label=name,
            height=0.65,
        )  # fmt: skip
        left = left + width
    middle = so_far + still
    ends = np.stack([table["low"], table["high"]]) / n_all + so_far
    panel.errorbar(
        middle, places, xerr=np.abs(ends - middle), fmt="none", ecolor="black", capsize=3
    )
    style.name_rows(panel, names)
    panel.set(xlabel="share of all pictures", ylabel="promise", xlim=(0, 1))
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.grid(visible=False, axis="y")
    style.legend_below(figure, panel, columns=3)
    return figure
