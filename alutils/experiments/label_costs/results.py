"""What the sweeps of label costs (`fewest_labels`) say: tables over seeds, and the figures."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from alutils.base.files import repository_root
from alutils.experiments.label_costs import fewest_labels
from alutils.experiments.strategies.results import labels_to_reach
from alutils.guarantee.terms import allowed_errors
from alutils.plots.style import arm_name, axes, legend_below, look
from alutils.stats import compare, tables
from alutils.stats.intervals import over_seeds

TARGETS = {"mnist": 0.99, "article": 0.99, "letters": 0.98}
"""Shares of right labels that the grids in notebooks/sweeps certify, at a level of 95%."""
TITLES = {
    "article": "digits of the article",
    "mnist": "digits",
    "letters": "capital letters",
}
ARMS = {arm: arm_name(arm) for arm in fewest_labels.ARMS}
EXPECTED = "labels_expected"
"""The mean over all draws of the audit comes first; older sweeps have those drawn alone."""
SURE = 0.9
"""Share of the audits that accept, from which a finding need not say how many do."""
DRAWN = "mean of the audits drawn"
_THOUSANDS = FuncFormatter(lambda x, _: f"{x:,.0f}")
POINTS_TABLE = {"article": ("mnist", "active"), "letters": ("az", "as_published")}
"""Experiment and arm of the published accuracy beside which a setting stands."""


def publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables made of the rows of `fewest_labels.run` and of timings: a row a cell."""
    return {"summary": summary(table, timings), "rounds": rounds(table)}


def title(protocol: str, n_pool: float) -> str:
    """Return what a pool is called, its size in front."""
    return f"{n_pool:,.0f} {TITLES[protocol]}"


def summary(table: pd.DataFrame, timings: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return what came out after the last training of each seed.

    A row a protocol, arm and metric, with the columns of `over_seeds`. Beside the metrics of
    `fewest_labels.run`: ``n_human`` trained on, ``n_pool``, ``certified`` and ``broken`` (shares of
    the seeds: the whole pool certified; certified though more was wrong than promised),
    ``saved_by_weighting``
    (labels that a uniform audit of the same model takes more, where both accept),
    ``labels_to_reach`` of the published accuracy, where there is one, ``wall_s`` of a whole cell.
    """
    last = _last(table)
    parts = [last[["protocol", "arm", "seed", "metric", "value"]]]
    accuracy = last[last["metric"] == "accuracy"]
    parts.append(accuracy.assign(metric="n_human", value=accuracy["n_human"].astype(float)))
    parts.append(
        last[last["metric"] == "n_wrong"].assign(
            metric="n_pool", value=lambda rows: rows["n_eval"].astype(float)
        )
    )
    left = last[last["metric"] == "wrong_left"]
    allowed = [
        allowed_errors(int(n), TARGETS[protocol])
        for n, protocol in zip(left["n_eval"], left["protocol"], strict=True)
    ]
    parts.append(left.assign(metric="certified", value=left["value"].notna().astype(float)))
    parts.append(left.assign(metric="broken", value=(left["value"] > allowed).astype(float)))
    if (last["metric"] == "labels_to_certify_uniform").any():
        both = last.pivot(index=["protocol", "arm", "seed"], columns="metric", values="value")
        saved = both["labels_to_certify_uniform"] - both["labels_to_certify"]
        saved = saved[both["labels_audit_uniform"].notna()]
        parts.append(saved.rename("value").reset_index().assign(metric="saved_by_weighting"))
    for protocol in TARGETS:
        mine = table[(table["protocol"] == protocol) & (table["metric"] == "accuracy")]
        goal = published(protocol)
        if goal is not None and len(mine):
            reached = labels_to_reach(mine.sort_values(["seed", "round"]), goal)
            reached = reached.rename(columns={"labels": "value"})
            parts.append(reached.assign(metric="labels_to_reach"))
    if timings is not None:
        parts.append(tables.seconds(table, timings, ["protocol", "arm", "seed"]))
    values = pd.concat([part[["protocol", "arm", "seed", "metric", "value"]] for part in parts])
    return over_seeds(values, ["protocol", "arm", "metric"])


def _last(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each seed's last training."""
    seeds = table.groupby(["protocol", "arm", "seed"])["round"]
    return table[table["round"] == seeds.transform("max")]


def as_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a `summary` as a table to read: a row an arm of a setting, all of them texts."""
    by = summary.set_index(["protocol", "arm", "metric"]).sort_index()
    rows = []
    for protocol in TITLES:
        for arm, name in ARMS.items():
            if (protocol, arm, "accuracy") not in by.index:
                continue
            row = by.loc[(protocol, arm)]
            n_pool, of = row.loc["n_pool", "mean"], row.loc["certified", "of"]
            certified, broken = (of * row.loc[what, "mean"] for what in ("certified", "broken"))
            metric = EXPECTED if EXPECTED in row.index else "labels_to_certify"
            whole = _cell(row.loc[metric], ":,.0f")
            if row.loc[metric, "seeds"]:
                whole += f", {row.loc[metric, 'mean'] / n_pool:.1%} of the pool"
                whole += "" if metric == EXPECTED else f" ({DRAWN})"
            above = "auto_coverage" in row.index
            rows.append(
                {
                    "pool, right": f"{title(protocol, n_pool)}, {TARGETS[protocol]:.0%}",
                    "asking and learning": name,
                    "labels trained on": f"{row.loc['n_human', 'mean']:,.0f}",
                    "accuracy on test images": _cell(row.loc["accuracy"], ":.2%"),
                    "labelled above a certified threshold":
                        _cell(row.loc["auto_coverage"], ":.1%") if above else "",
                    "human labels for the whole pool, certified": whole,
                    "audits that certified (of these, untrue)":
                        f"{certified:.0f} of {of:.0f} ({broken:.0f})",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _cell(row: pd.Series, form: str) -> str:
    """Return mean and interval of a row of a summary."""
    if not row["seeds"]:
        return "none"
    interval = "" if row["seeds"] < 2 else " ({low" + form + "} to {high" + form + "})"
    return ("{mean" + form + "}" + interval).format(**row)


def rounds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of every metric after every training, over the seeds that have a value."""
    by = ["protocol", "arm", "round", "n_human", "split", "metric"]
    mean = table.groupby(by)["value"].agg(["count", "mean", "min", "max"]).reset_index()
    return mean.rename(columns={"count": "seeds", "min": "least", "max": "most"})


def published(protocol: str) -> float | None:
    """Return the published accuracy that a setting stands beside, or None."""
    if protocol not in POINTS_TABLE:
        return None
    experiment, arm = POINTS_TABLE[protocol]
    for row in compare.read_published(repository_root() / "results" / "published.csv"):
        if (row["experiment"], row["arm"], row["metric"]) == (experiment, arm, "accuracy"):
            return float(row["value"])
    raise tables.TableError(f"results/published.csv holds no accuracy of {experiment}, {arm}")


def figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str, str]]:
    """Return the figures of these sweeps, each with its text alternative and its finding."""
    return {"curves": curves(table)}


@dataclass(frozen=True)
class Needed:
    """Human labels in all for a pool labelled with a certificate: mean over seeds, its interval.

    ``over_draws``: of each seed's model over all draws of its audit, refused ones included; else of
    the one audit of each seed that was drawn, where it accepted (``seeds`` of ``of``). ``accept``:
    the share of all those audits that accept.
    """

    mean: float
    low: float
    high: float
    seeds: int
    of: int
    over_draws: bool
    accept: float

    @property
    def basis(self) -> str:
        """What the mean is of, and how many of the audits refuse."""
        if self.over_draws:
            refused = 1 - self.accept
            return "mean over all draws of the audit" + (
                f", {refused:.1%} of them refused" if refused > 0 else ""
            )
        some = f"the {self.seeds}" if self.seeds == self.of else f"{self.seeds} of {self.of}"
        return f"mean of {some} audits drawn"


def needed_by_arm(summary: pd.DataFrame, protocol: str) -> dict[str, Needed]:
    """Return what `labels_needed` gives, of a `summary`, by arm: the fewest labels first.

    The mean over all draws of the audit where it is known, else over the audits drawn; arms that
    were never certified are left out.
    """
    of = summary[summary["protocol"] == protocol].set_index(["arm", "metric"]).sort_index()
    found = {}
    for arm in of.index.unique("arm"):
        row = of.loc[arm]
        names = (EXPECTED, "labels_to_certify")
        there = [name for name in names if name in row.index and row.loc[name, "seeds"]]
        if not there:
            continue
        chosen = row.loc[there[0]]
        chance = row["mean"].get("accept_chance", chosen["seeds"] / chosen["of"])
        found[str(arm)] = Needed(
            float(chosen["mean"]), float(chosen["low"]), float(chosen["high"]),
            int(chosen["seeds"]), int(chosen["of"]), there[0] == EXPECTED, float(chance),
        )  # fmt: skip
    return dict(sorted(found.items(), key=lambda item: item[1].mean))


def curves(table: pd.DataFrame) -> tuple[Figure, str, str]:
    """Draw the test accuracy against the labels trained on, a panel a setting."""
    of = table[table["metric"] == "accuracy"]
    protocols = [name for name in TITLES if (of["protocol"] == name).any()]
    pools = table[table["split"] == "pool"].groupby("protocol")["n_eval"].max()
    findings = []
    figure, panels = axes(1, len(protocols), (0.5 + 3.4 * len(protocols), 4.2), squeeze=False)
    for panel, protocol in zip(panels[0], protocols, strict=True):
        mine = of[of["protocol"] == protocol]
        for arm in ARMS:
            rows = mine[mine["arm"] == arm]
            if not len(rows):
                continue
            last = rows["round"] == rows.groupby("seed")["round"].transform("max")
            early = rows[~last] if (~last).any() else rows
            mean, drawn = early.groupby("n_human")["value"].mean(), look(arm)
            panel.plot(mean.index, 100 * mean, **drawn, markersize=4, label=ARMS[arm])
            panel.plot(
                rows.loc[last, "n_human"], 100 * rows.loc[last, "value"], markersize=7,
                markerfacecolor="none", **drawn | {"linestyle": ""},
            )  # fmt: skip
        if (goal := published(protocol)) is not None:
            panel.axhline(100 * goal, color="0.35", linestyle=":", label="published")
        panel.set(xlabel="labels trained on", title=title(protocol, pools[protocol]))
        panel.margins(y=0.1)
        if mine["n_human"].max() > 10 * mine["n_human"].min():
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            panel.xaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_major_formatter(_THOUSANDS)
        best = _last(mine).groupby("arm")["value"].mean()
        findings.append(
            f"{title(protocol, pools[protocol])}: {best.max():.1%} ({ARMS[best.idxmax()]})"
        )
    panels[0][0].set_ylabel("accuracy on test images, %")
    text = "the last, larger network, a mark a seed"
    panels[0][0].plot([], [], "o", mfc="none", color="0.35", label=text)
    legend_below(figure, *panels[0], columns=3)
    alt = (
        "Accuracy on test images against labels, a panel for each data set, a line for each way of "
        "asking and learning; open marks: the last, larger network of each seed."
    )
    return figure, alt, "After the last training, " + "; ".join(findings) + "."
