"""What a sweep of `noisy_humans` says: a table of means over seeds, and the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from alutils.experiments.label_costs.noisy_humans import ARMS, LEVEL, MEASURED, TARGETS
from alutils.stats import tables
from alutils.stats.intervals import over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return `summary` of a sweep's rows and its timings."""
    seconds = tables.seconds(table, timings, ["arm", "seed"])
    return {"summary": summary(pd.concat([table, seconds]))}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of everything measured, arm by arm.

    A row an arm and metric: arm, about (what people do), measured, metric, and seeds, mean, low,
    high of `over_seeds`.
    """
    names = MEASURED | {"wall_s": "seconds a cell"}
    out = over_seeds(table[table["metric"].isin(names)], ["arm", "metric"])
    places = {name: i for i, name in enumerate([*ARMS, *names])}
    out = out.sort_values(
        ["arm", "metric"], key=lambda column: column.map(places), ignore_index=True
    )
    out = out.assign(about=out["arm"].map(ARMS), measured=out["metric"].map(names))
    return out[["arm", "about", "measured", "metric", "seeds", "mean", "low", "high"]]


def figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str, str]]:
    """Return a sweep's figure, text alternative and finding; ValueError if it lacks an arm."""
    told = summary(table).set_index(["metric", "arm"])
    missing = [arm for arm in ARMS if ("auto_coverage_99", arm) not in told.index]
    if missing:
        raise ValueError(f"{', '.join(missing)}: no rows of this arm; sweep all of {list(ARMS)}")
    alt = (
        "For each way to deal with wrong human labels, as dots with intervals for two targets: the "
        "share of digits labelled automatically under a certificate, and the share of audits whose "
        "certificate is untrue, with a line at the share allowed."
    )
    return {"guarantee": (_figure(told), alt, _finding(told, table))}


def _finding(told: pd.DataFrame, table: pd.DataFrame) -> str:
    mean = told["mean"]
    cover, answers = mean["auto_coverage_99"], mean["human_answers"]
    n_labels = table.loc[table["metric"] == "wrong_labels_first", "n_eval"].iloc[0]
    share = mean["wrong_labels_first", "wrong"] / n_labels
    broken = table.loc[table["metric"].str.startswith("broken_"), "value"].max()
    could = table.loc[table["metric"].str.startswith("untrue_"), "value"] > 0
    return (
        f"Certified at 99%, a network labels {cover['right']:.1%} of the digits by itself where "
        f"nobody errs (mean over audits), {cover['wrong']:.1%} where {share:.1%} of the labels are "
        f"wrong, {cover['asked_again']:.1%} where the doubtful are asked again "
        f"({answers['asked_again']:,.0f} human answers instead of {answers['wrong']:,.0f}), and "
        f"{cover['asked_everyone_twice']:.1%} where everyone is asked twice "
        f"({answers['asked_everyone_twice']:,.0f}). In no case do more than {broken:.1%} of one "
        f"network's audits break a promise ({1 - LEVEL:.0%} allowed; {could.sum()} of {len(could)} "
        "promises could break)."
    )


def _figure(told: pd.DataFrame) -> Figure:
    from alutils.plots.style import axes, name_rows, series

    figure, panels = axes(1, 2, size=(8.5, 3.4), sharey=True)
    places = np.arange(len(ARMS))
    for panel, metric in zip(panels, ("auto_coverage", "broken"), strict=True):
        for number, target in enumerate(TARGETS):
            rows = told.loc[f"{metric}_{100 * target:g}"].reindex(list(ARMS))
            panel.errorbar(
                100 * rows["mean"], places + 0.24 * (number - 0.5), xerr=100 * _around(rows),
                **series(number), capsize=4, linestyle="none", label=f"promised {target:.0%}",
            )  # fmt: skip
    panels[0].set(xlabel="digits labelled automatically,\ncertified (%)", xlim=(0, 102))
    name_rows(panels[0], list(ARMS.values()))
    panels[1].axvline(100 * (1 - LEVEL), color="black", linestyle="--", label="allowed")
    most = max(5, *(100 * told.loc[f"broken_{100 * target:g}", "high"].max() for target in TARGETS))
    panels[1].set(
        xlabel="audits with a broken promise (%),\n95% intervals over the networks",
        xlim=(0, 1.15 * most),
    )
    for panel in panels:  # marks at 0 are drawn whole
        for line in panel.lines:
            line.set_clip_on(False)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _around(rows: pd.DataFrame) -> np.ndarray:
    """Return (2, n) float, the intervals' lengths to both sides; shares are from 0 to 1."""
    ends = rows[["low", "high"]].clip(0, 1)
    return np.maximum(ends.sub(rows["mean"], axis=0).abs().fillna(0).to_numpy(float).T, 0)
