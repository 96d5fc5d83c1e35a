"""How every figure looks: its axes, and one colour, one marker and one name for each arm.

Colour never stands alone: arms differ by marker or position, too. Text is 9 points or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

from alutils.active.strategies.registry import STRATEGIES

RC = {
    **sns.axes_style("whitegrid"),
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "figure.dpi": 100,
    "savefig.dpi": 100,
}
COLOURS = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#882255", "#949494",
    "#332288", "#56b4e9",
)  # fmt: skip
"""Seaborn's palette for the colour-blind, with dark colours for its pale pink and yellow."""
MARKERS = "o^vDPX*phd<>8H"
BLUE, ORANGE, GREEN, RED, _, BROWN, WINE, GREY, INDIGO, SKY = COLOURS


@dataclass(frozen=True)
class Look:
    """How an arm is drawn, in every figure, and called: by its own name, with spaces, if empty."""

    colour: str
    marker: str
    line: str = "-"
    name: str = ""


# The strategies that are drawn together most often have colours of their own.
_FIRST = (
    "margin", "entropy", "badge", "k_center_greedy", "typiclust", "least_confident", "bald",
    "expected_gradient_length", "one_step_error_reduction", "variance_reduction",
)  # fmt: skip
_STRATEGIES = dict.fromkeys((*_FIRST, *STRATEGIES))
_STRATEGIES.pop("random")


_NAMES = {
    "badge": "BADGE",
    "bald": "BALD",
    "consensus_kl": "consensus KL",
    "k_center_greedy": "k-center greedy",
    "margin_and_k_center": "margin and k-center",
    "one_step_error_reduction": "one-step error reduction",
    "typiclust": "TypiClust",
}
"""What strategies are called where that is not their name in code, with spaces."""


def _look(number: int, name: str = "") -> Look:
    """Return the look of what has none of its own, by its number in a figure."""
    return Look(
        COLOURS[number % len(COLOURS)],
        MARKERS[number % len(MARKERS)],
        "-" if number < len(COLOURS) else "-.",
        name,
    )


ARMS: dict[str, Look] = {
    "random": Look("black", "s", "--"),
    # how people are asked, and what the model labels
    "all": Look(BROWN, "D", name="all labels"),
    "first": Look(GREY, "v", name="first batch"),
    "active": Look(BLUE, "o"),
    "auto_at_once": Look(GREEN, "P", name="active, then auto-labelled at once"),
    "auto_confident_first": Look(ORANGE, "^", name="active, then confident first"),
    "random_unlabelled": Look(ORANGE, "h", name="random + unlabelled images"),
    "active_unlabelled": Look(RED, "D", name="active + unlabelled images"),
    "active_rendered": Look(INDIGO, "X", name="active + unlabelled and rendered images"),
    # the report's loops
    "as_intended": Look(BLUE, "p"),
    "as_published": Look(ORANGE, "X"),
    "random_as_published": Look(GREY, "*", "--", "random, as many as published"),
    # what classifiers are trained on
    "majority": Look(GREY, "D"),
    "as_found": Look(BLUE, "h"),
    "as_found_few": Look(ORANGE, "<"),
    "undersampled": Look(GREEN, ">"),
    # who decides on a stream, and how synthesised queries are asked
    "fixed": Look(ORANGE, "v", name="fixed threshold"),
    "variable": Look(BLUE, "D", name="variable threshold"),
    "randomised": Look(GREEN, "X", name="randomised threshold"),
    "as_it_is": Look(WINE, "P", name="the synthesised image"),
    "nearest_real": Look(SKY, "D", name="the nearest real image"),
    # what people who label are like
    "perfect": Look(BLUE, "o", name="always right"),
    "wrong": Look(RED, "X", name="at times wrong"),
    "lookalikes": Look(ORANGE, "^", name="takes look-alikes for each other"),
    "silent": Look(GREY, "D", name="at times no answer"),
    **{arm: _look(number, _NAMES.get(arm, "")) for number, arm in enumerate(_STRATEGIES)},
}
"""Every arm that figures tell apart by colour and marker."""


def look(arm: str, place: int = 0) -> dict[str, Any]:
    """Return colour, marker and line of an arm, for ``axes.plot``; by its place if it has none."""
    found = ARMS.get(arm) or _look(place)
    return {"color": found.colour, "marker": found.marker, "linestyle": found.line}


def series(number: int) -> dict[str, Any]:
    """Return colour and marker of what is no arm: a metric, a model, a kind of input."""
    found = _look(number)
    return {"color": found.colour, "marker": found.marker}


def arm_name(arm: str) -> str:
    """Return what figures and sentences call an arm."""
    return (arm in ARMS and ARMS[arm].name) or arm.replace("_", " ")


def axes(
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = (7, 4),
    *,
    title: str = "",
    kind: type[Figure] = Figure,
    **options: Any,
) -> tuple[Figure, Any]:
    """Return a figure with axes in the project's style, known to no global figure list.

    ``size``: inches, wide and high; ``title``: over all axes, none if empty; the rest as
    ``Figure.subplots`` takes it.
    """
    with mpl.rc_context(RC):
        figure = kind(figsize=size, layout="constrained")
        if title:
            figure.suptitle(title, fontsize=11)
        return figure, figure.subplots(rows, columns, **options)


def name_rows(panel: Any, names: Sequence[str], above: float = 0.5, below: float = 0.5) -> None:
    """Make the vertical axis a list of names, the first uppermost; ``above`` and below: margins."""
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 1 + below, -above)


def legend_below(figure: Figure, *panels: Any, columns: int = 2) -> None:
    """Put one legend for all panels under the figure."""
    named: dict[str, Any] = {}
    for panel in panels:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    figure.legend(
        list(named.values()), list(named), loc="outside lower center", ncols=columns, frameon=False
    )


def hide_axes(panels: Any) -> None:
    """Hide the frames and ticks of an array of panels: they hold images."""
    for panel in panels.flat:
        panel.set_axis_off()
