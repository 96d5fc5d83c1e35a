"""What a labelled pool costs, way by way, compared fairly: results/fair_costs.csv.

``python -m benchmarks fair_costs`` makes the table. Every way of asking and learning has the same
freedom; its numbers are settled on other pictures than those that the table counts labels of, and
refused audits are paid for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from alutils.experiments import kept_results
from alutils.experiments.label_costs.fewest_labels import ARMS
from alutils.plots.style import arm_name, axes, look, name_rows
from alutils.stats.intervals import t_interval

NAME, FIGURE = "fair_costs", "fair_costs_cost"
PICTURES = {
    "digits": "digits", "letters": "capital letters", "clothes": "pictures of clothes",
    "lower": "small letters",
}  # fmt: skip
FIRST, HARDER = ("digits", 0.99), ("letters", 0.98)
"""The pictures and the promise that README and notebooks lead with; what stands beside them."""
MUCH = 0.5
"""Share of a pool from which a table says that most of it is labelled by people."""


@dataclass(frozen=True)
class Cost:
    """Human labels in all with which one way has a pool labelled with a certificate.

    Attributes
    ----------
    pictures : in the pool
    mean, low, high : over seeds, each the mean over many draws of its audits; 95% interval
    trained, by_hand, audited : its parts, on average; what refused attempts took is with the last
    seeds, audits : how many there were of both
    refused, untrue : share of the audits whose first attempt was refused; of certificates that
        promise more than is so
    right : share of right labels in the end
    """

    pictures: int
    mean: float
    low: float
    high: float
    trained: float
    by_hand: float
    seeds: int
    audits: int
    refused: float
    untrue: float
    right: float

    @property
    def share(self) -> float:
        """Of the pool, that people label."""
        return self.mean / self.pictures

    @property
    def audited(self) -> float:
        return self.mean - self.trained - self.by_hand


def published() -> pd.DataFrame | None:
    """Return the published table, or None where there is none yet."""
    return kept_results.table(NAME)


def costs(table: pd.DataFrame, pictures: str, target: float) -> dict[str, Cost]:
    """Return the cost of each way for a set of pictures and a promise: the fewest labels first."""
    of = table[(table["set"] == pictures) & np.isclose(table["target"], target)]
    found = {str(way): _cost(rows) for way, rows in of.groupby("way")}
    return dict(sorted(found.items(), key=lambda item: item[1].mean))


def _cost(rows: pd.DataFrame) -> Cost:
    low, high = t_interval(rows["labels"].to_numpy())
    mean, audits = rows.mean(numeric_only=True), int(rows["draws"].sum())
    return Cost(
        int(mean["pictures"]), float(mean["labels"]), float(low), float(high),
        float(mean["trained"]), float(mean["by_hand"]), len(rows), audits,
        rows["refused"].sum() / audits, rows["untrue"].sum() / audits, float(mean["right"]),
    )  # fmt: skip


def title(table: pd.DataFrame, pictures: str) -> str:
    """Return what a pool is called, its size in front."""
    n = table.loc[table["set"] == pictures, "pictures"].iloc[0]
    return f"{n:,.0f} {PICTURES[pictures]}"


def as_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the costs as texts: a row for each set of pictures, promise and way."""
    rows = []
    for pictures, target in all_of(table):
        for way, cost in costs(table, pictures, target).items():
            much = ": most of it by people" if cost.share > MUCH else ""
            rows.append(
                {
                    "pool, right": f"{title(table, pictures)}, {target:.0%}",
                    "asking and learning": arm_name(way),
                    "human labels in all": f"{cost.mean:,.0f} ({cost.low:,.0f} to "
                    f"{cost.high:,.0f}), {cost.share:.1%} of the pool{much}",
                    "trained on + by hand + audited":
                        f"{cost.trained:,.0f} + {cost.by_hand:,.0f} + {cost.audited:,.0f}",
                    "seeds, audits": f"{cost.seeds}, {cost.audits:,}",
                    "refused at first": f"{cost.refused:.1%}",
                    "untrue": f"{cost.untrue:.1%}",
                    "labels that are right": f"{cost.right:.2%}",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def all_of(table: pd.DataFrame) -> list[tuple[str, float]]:
    """Return all sets of pictures with their promises, in the order of `PICTURES`."""
    there = table[["set", "target"]].drop_duplicates()
    pairs = there.itertuples(index=False, name=None)
    return sorted(pairs, key=lambda pair: (list(PICTURES).index(pair[0]), pair[1]))


def figure(table: pd.DataFrame) -> tuple[Figure, str, str]:
    """Draw the labels in all of each way for `FIRST`; return it with alternative and finding."""
    pictures, target = FIRST
    found = costs(table, *FIRST)
    shown = {way: found[way] for way in ARMS if way in found}
    n = next(iter(found.values())).pictures
    drawn, panel = axes(size=(8.2, 0.62 * (len(shown) + 1) + 1.1))
    panel.barh(0, n, height=0.62, color="0.6")
    panel.annotate(f"{n:,}", (n, 0), (6, 0), textcoords="offset points", va="center")
    for place, (way, cost) in enumerate(shown.items(), 1):
        how = look(way)
        around = np.nan_to_num([[cost.mean - cost.low], [cost.high - cost.mean]])
        panel.barh(place, cost.mean, height=0.62, color=how["color"], alpha=0.45)
        panel.errorbar(cost.mean, place, xerr=around, capsize=4, **how | {"linestyle": ""})
        panel.annotate(
            _said(cost), (np.nanmax([cost.high, cost.mean]), place), (8, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    name_rows(panel, [f"all {n:,} labels", *(fill(arm_name(way), 28) for way in shown)])
    whole = title(table, pictures)
    panel.set(
        xlim=(0, 1.12 * n),
        title=f"{whole} labelled, at least {target:.0%} right with a certificate",
    )
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    panel.set_xlabel(
        "human labels in all: training, by hand, audit (mean, 95% interval over seeds)"
    )
    panel.grid(axis="y", visible=False)
    told = "; ".join(f"{arm_name(way)} {_said(cost)}" for way, cost in shown.items())
    finding = (
        f"Human labels that it takes to have {whole} labelled with a certificate that at least "
        f"{target:.0%} of the labels are right (95% confidence): {told}. Means over all draws of "
        "the audit; refused audits are paid for. Each way's numbers were settled on other digits."
    )
    alt = (
        f"Bars on a linear axis: the human labels needed to have {whole} labelled with a "
        f"certificate, for {', '.join(map(arm_name, shown))}, under a bar of all {n:,}."
    )
    return drawn, alt, finding


def _said(cost: Cost) -> str:
    return f"{cost.mean:,.0f} ({cost.share:.1%})"


def effects(found: Mapping[str, Cost]) -> str:
    """Say what active choice and the unlabelled images each save, beside random labels."""
    ways = {
        "random": "labels chosen at random", "active": "active choice alone",
        "random_unlabelled": "the unlabelled images alone",
    }  # fmt: skip
    if "random" not in found:
        return ""
    parts = [
        f"{told} {found[way].mean:,.0f}"
        + ("" if way == "random" else f" ({found[way].mean / found['random'].mean - 1:+.0%})")
        for way, told in ways.items()
        if way in found
    ]
    return f"For the same pool it takes on average, with {'; with '.join(parts)}."
