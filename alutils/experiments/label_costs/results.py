"""What the sweeps of label costs (`fewest_labels`) say: tables over seeds, and the figures."""

from __future__ import annotations

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from alutils.base.files import repository_root
from alutils.experiments.strategies.results import labels_to_reach
from alutils.guarantee.pool import allowed_errors
from alutils.plots.style import arm_name, axes, legend_below, look, name_rows
from alutils.stats import compare, tables
from alutils.stats.intervals import over_seeds

TARGETS = {"mnist": 0.99, "article": 0.99, "letters": 0.98}
"""Shares of right labels that the grids in notebooks/sweeps certify, at a level of 95%."""
TITLES = {
    "article": "400 of the article's 4,000 digits",
    "mnist": "60,000 digits",
    "letters": "capital letters",
}
ARMS = {arm: arm_name(arm) for arm in ("random", "active", "active_unlabelled", "active_rendered")}
_THOUSANDS = FuncFormatter(lambda x, _: f"{x:,.0f}")
POINTS_TABLE = {"article": ("mnist", "active"), "letters": ("az", "as_published")}
"""Experiment and arm of the published accuracy beside which a setting stands."""


def publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables made of the rows of `fewest_labels.run` and of timings: a row a cell."""
    return {"summary": summary(table, timings), "rounds": rounds(table)}


def summary(table: pd.DataFrame, timings: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return what came out after the last training of each seed.

    A row a protocol, arm and metric, with the columns of `over_seeds`. Beside the metrics of
    `fewest_labels.run`: ``n_human`` trained on, ``certified`` and ``broken`` (shares of the seeds:
    the whole pool certified; certified though more was wrong than promised), ``saved_by_weighting``
    (labels that a uniform audit of the same model takes more, where both accept),
    ``labels_to_reach`` of the published accuracy, where there is one, ``wall_s`` of a whole cell.
    """
    last = _last(table)
    parts = [last[["protocol", "arm", "seed", "metric", "value"]]]
    accuracy = last[last["metric"] == "accuracy"]
    parts.append(accuracy.assign(metric="n_human", value=accuracy["n_human"].astype(float)))
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
    made = {"cost": cost(table)} if (table["protocol"] == "mnist").any() else {}
    return made | {"curves": curves(table)}


def cost(table: pd.DataFrame) -> tuple[Figure, str, str]:
    """Draw the human labels with which 60,000 digits are labelled and certified, arm by arm."""
    of = table[table["protocol"] == "mnist"]
    n = int(of.loc[of["split"] == "pool", "n_eval"].iloc[0])
    target = TARGETS["mnist"]
    last = _last(of)
    total = last[last["metric"] == "labels_to_certify"]
    names = [arm for arm in ARMS if (total["arm"] == arm).any()]
    needed = {arm: total.loc[total["arm"] == arm, "value"] for arm in names}
    by_hand = pd.Series([float(n)])
    figure, panel = axes(size=(7.5, 0.75 * (len(names) + 1) + 1))
    for place, (arm, values) in enumerate({"by hand": by_hand, **needed}.items()):
        known = values.dropna()
        drawn = {"color": "0.35", "marker": "o"} if arm == "by hand" else look(arm)
        if len(known):
            panel.plot(
                [100, known.mean()], [place, place], linewidth=8, alpha=0.25, color=drawn["color"]
            )
        panel.plot(known, [place] * len(known), **drawn | {"linestyle": ""}, markersize=6)
        panel.annotate(
            _needed(values), (known.max() if len(known) else 100, place), xytext=(10, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    name_rows(panel, ["by hand", *(fill(ARMS[arm], 24) for arm in names)])
    panel.set(xscale="log", xlim=(100, 400_000))
    panel.xaxis.set_major_formatter(_THOUSANDS)
    panel.set_xlabel("human labels in all, the audit's included (logarithmic); a mark a seed")
    panel.set_title(f"{n:,} digits labelled, at least {target:.0%} right with certificate")
    order = sorted(names, key=lambda arm: (needed[arm].isna().all(), needed[arm].mean()))
    told = [f"{ARMS[arm]}: {_needed(needed[arm])}" for arm in order]
    finding = (
        f"Human labels, the audit's included, to have {n:,} digits labelled, at least {target:.0%} "
        f"of the labels certified to be right (confidence 95%), mean over seeds: {'; '.join(told)}."
    )
    alt = (
        f"Dots on a logarithmic axis: human labels needed to have {n:,} digits labelled with a "
        "certificate, by hand, by random, active, and active learning from unlabelled images."
    )
    return figure, alt, finding


def _needed(values: pd.Series) -> str:
    """Return the mean of the labels needed, and how many audits accepted if not all did."""
    known = values.dropna()
    if not len(known):
        return f"refused by all {len(values)} audits"
    some = f" ({len(known)} of {len(values)} audits accepted)" if len(known) < len(values) else ""
    return f"{known.mean():,.0f}{some}"


def curves(table: pd.DataFrame) -> tuple[Figure, str, str]:
    """Draw the test accuracy against the labels trained on, a panel a setting."""
    of = table[table["metric"] == "accuracy"]
    protocols = [name for name in TITLES if (of["protocol"] == name).any()]
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
        panel.set(xlabel="labels trained on", title=TITLES[protocol])
        if mine["n_human"].max() > 10 * mine["n_human"].min():
            panel.set_xscale("log")
            panel.xaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_major_formatter(_THOUSANDS)
        best = _last(mine).groupby("arm")["value"].mean()
        findings.append(f"{TITLES[protocol]}: {best.max():.1%} ({ARMS[best.idxmax()]})")
    panels[0][0].set_ylabel("accuracy on test images, %")
    text = "the last, larger network, a mark a seed"
    panels[0][0].plot([], [], "o", mfc="none", color="0.35", label=text)
    legend_below(figure, *panels[0], columns=3)
    alt = (
        "Accuracy on test images against labels, a panel for each data set, a line for each way of "
        "asking and learning; open marks: the last, larger network of each seed."
    )
    return figure, alt, "After the last training, " + "; ".join(findings) + "."
