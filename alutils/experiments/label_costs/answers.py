"""What notebook 05 comes to, from results/: its answer, and the tables of the sweeps behind it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.experiments.base import Answer, Finding
from alutils.experiments.label_costs import noisy_humans, results

HEADLINE = "mnist"
WANTED = (
    "wrong_labels_first", "wrong_labels", "accuracy", "human_answers",
    "auto_coverage_99", "broken_99", "auto_coverage_98", "broken_98",
)  # fmt: skip
"""Of `noisy_humans.MEASURED`, what the notebook shows."""


def answer() -> Answer:
    """Return the three lines of the notebook's beginning, from results/."""
    summary = _results("label_costs_summary")
    if summary is None:
        return Answer(("results/label_costs_summary.csv is not there: publish the sweeps.",), "")
    by = summary[summary["protocol"] == HEADLINE].set_index(["arm", "metric"])["mean"]
    n_pool = by[by.index.get_level_values("metric") == "n_pool"].iloc[0]
    needed = {
        arm: by.get((arm, results.EXPECTED), by.get((arm, "labels_to_certify")))
        for arm in results.ARMS
        if (arm, "labels_to_certify") in by.index
    }
    best = min(needed, key=lambda arm: (pd.isna(needed[arm]), needed[arm]))
    lines = (
        f"**{needed[best]:,.0f} human labels** are enough to have {n_pool:,.0f} digits labelled, "
        f"at least {results.TARGETS[HEADLINE]:.0%} of them right with a certificate: "
        f"{needed[best] / n_pool:.1%} of all, by {results.ARMS[best]}.",
        _each_effect(needed),
        _promise(),
    )
    return Answer(tuple(filter(None, lines)), "label_costs_cost")


def _each_effect(needed: Mapping[str, float]) -> str:
    """Return what random labels take, active choice alone and the unlabelled images alone."""
    ways = {
        "random": "labels chosen at random", "active": "active choice alone",
        "random_unlabelled": "the unlabelled images alone",
    }  # fmt: skip
    parts = [
        f"{way} {needed[arm]:,.0f} ({needed[arm] / needed['random'] - 1:+.0%})"
        if arm != "random"
        else f"{way} {needed[arm]:,.0f}"
        for arm, way in ways.items()
        if pd.notna(needed.get(arm)) and pd.notna(needed.get("random"))
    ]
    return f"For the same pool it takes, with {'; with '.join(parts)}." if parts else ""


def _promise() -> str:
    table = _results("guarantee")
    if table is None:
        return "results/guarantee.csv is not there: run `python -m benchmarks.guarantee`."
    broken = table[table["noise"] == "none"].groupby("rule")["broken"].max()
    return (
        f"Certified thresholds break their promise in at most {broken['certified']:.1%} of the "
        f"audits (5% allowed); a fixed confidence of 0.6, the report's rule, in up to "
        f"{broken['fixed 0.6']:.0%}."
    )


def _results(name: str) -> pd.DataFrame | None:
    path = repository_root() / "results" / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() else None


def sweeps_table() -> Finding:
    """Return what the sweeps of label costs came to: every pool with its size."""
    summary = _results("label_costs_summary")
    if summary is None:
        return Finding("results/label_costs_summary.csv is not there: publish the sweeps.")
    table = results.as_table(summary)
    index = list(table.columns[:2])
    seeds = summary.loc[summary["metric"] == "accuracy", "of"]
    return Finding(
        f"Means over {seeds.min()} to {seeds.max()} seeds with 95% intervals. The human labels are "
        "means over all draws of the audit, where nothing else is said; they count the labels "
        "trained on, those by hand and the audit's.",
        table=table.set_index(index).style.set_caption("the sweeps of notebooks/sweeps"),
    )


def noisy_table() -> Finding:
    """Return what wrong human answers do to a model and its guarantee: a column for each remedy."""
    summary = _results("noisy_humans_summary")
    if summary is None:
        return Finding("results/noisy_humans_summary.csv is not there: publish the sweep.")
    rows = summary[summary["metric"].isin(WANTED)]
    means = rows.pivot(index="metric", columns="arm", values="mean")
    means = means.loc[list(WANTED), list(noisy_humans.ARMS)]
    shown = pd.DataFrame(
        {
            about: [
                f"{means.loc[name, arm]:.1%}" if _is_share(name) else f"{means.loc[name, arm]:,.0f}"
                for name in WANTED
            ]
            for arm, about in noisy_humans.ARMS.items()
        },
        index=[noisy_humans.MEASURED[name] for name in WANTED],
    )
    texts = manifest.read_json(repository_root() / "results" / "findings.json")
    text = texts.get("noisy_humans_guarantee", {}).get("finding", "")
    return Finding(text, table=shown.style.set_caption("means over the seeds"))


def _is_share(name: str) -> bool:
    return name == "accuracy" or name.startswith(("auto_coverage", "broken"))
