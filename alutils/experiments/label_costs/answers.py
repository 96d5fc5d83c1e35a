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
    of = summary[summary["protocol"] == HEADLINE]
    n_pool = of.loc[of["metric"] == "n_pool", "mean"].iloc[0]
    needed = results.needed_by_arm(summary, HEADLINE)
    if not needed:
        return Answer(("No audit of the sweeps was passed: nothing was certified.",), "")
    best = next(iter(needed))
    found = needed[best]
    lines = (
        f"**On average {found.mean:,.0f} human labels** have {n_pool:,.0f} digits labelled, at "
        f"least {results.TARGETS[HEADLINE]:.0%} of them right with a certificate: "
        f"{found.mean / n_pool:.1%} of all, by {results.ARMS[best]} ({found.basis}).",
        _each_effect(needed),
        _promise(),
    )
    return Answer(tuple(filter(None, lines)), "label_costs_cost")


def _each_effect(needed: Mapping[str, results.Needed]) -> str:
    """Return what random labels take, active choice alone and the unlabelled images alone."""
    ways = {
        "random": "labels chosen at random", "active": "active choice alone",
        "random_unlabelled": "the unlabelled images alone",
    }  # fmt: skip
    if "random" not in needed:
        return ""
    shown = {arm: needed[arm] for arm in ways if arm in needed}
    parts = [
        f"{ways[arm]} {found.mean:,.0f}"
        + ("" if arm == "random" else f" ({found.mean / needed['random'].mean - 1:+.0%})")
        for arm, found in shown.items()
    ]
    return (
        f"For the same pool it takes on average, with {'; with '.join(parts)}. "
        f"({results.grouped(shown)}.)"
    )


def _promise() -> str:
    table = _results("guarantee")
    if table is None:
        return "results/guarantee.csv is not there: run `python -m benchmarks.guarantee`."
    broken = table[table["noise"] == "none"].groupby("rule")["broken"].max()
    shared = table[(table["noise"] == "shared") & (table["rule"] == "certified")]["broken"]
    about = manifest.read_json(repository_root() / "results" / "guarantee.manifest.json")
    level = about.get("parameters", {}).get("level")
    allowed = f" ({1 - level:.0%} allowed)" if level else ""
    return (
        f"Certified thresholds break their promise in at most {broken['certified']:.1%} of the "
        f"audits{allowed}; a fixed confidence of 0.6, the report's rule, in up to "
        f"{broken['fixed 0.6']:.0%}. Where people share the model's errors, no audit can see them: "
        f"certified thresholds then break it in {shared.min():.1%} to {shared.max():.1%}."
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
