"""What notebook 05 comes to, from results/: its answer, and the tables of the sweeps behind it."""

from __future__ import annotations

import pandas as pd

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.experiments import kept_results
from alutils.experiments.base import Answer, Finding
from alutils.experiments.label_costs import fair, noisy_humans, results
from alutils.plots.style import arm_name

WANTED = (
    "wrong_labels_first", "wrong_labels", "accuracy", "human_answers",
    "auto_coverage_99", "broken_99", "auto_coverage_98", "broken_98",
)  # fmt: skip
"""Of `noisy_humans.MEASURED`, what the notebook shows."""


def answer() -> Answer:
    """Return the three lines of the notebook's beginning, from results/."""
    table = fair.published()
    if table is None:
        return Answer(("results/fair_costs.csv: run `python -m benchmarks fair_costs`.",), "")
    pictures, target = fair.FIRST
    found = fair.costs(table, *fair.FIRST)
    best, cost = next(iter(found.items()))
    lines = (
        f"**On average {cost.mean:,.0f} human labels** have {fair.title(table, pictures)} "
        f"labelled, at least {target:.0%} of them right with a certificate: {cost.share:.1%} of "
        f"all, by {arm_name(best)}. Refused audits are counted; numbers were settled on other "
        "digits.",
        fair.effects(found),
        _promise(),
    )
    return Answer(tuple(filter(None, lines)), fair.FIGURE)


def _promise() -> str:
    table = kept_results.table("guarantee")
    if table is None:
        return "results/guarantee.csv is not there: run `python -m benchmarks.guarantee`."
    broken = table[table["noise"] == "none"].groupby("rule")["broken"].max()
    shared = table[(table["noise"] == "shared") & (table["rule"] == "certified")]["broken"]
    about = kept_results.about("guarantee")
    level = about.get("parameters", {}).get("level")
    allowed = f" ({1 - level:.0%} allowed)" if level else ""
    return (
        f"Certified thresholds break their promise in at most {broken['certified']:.1%} of the "
        f"audits{allowed}; a fixed confidence of 0.6, the report's rule, in up to "
        f"{broken['fixed 0.6']:.0%}. Where people share the model's errors, no audit can see them: "
        f"certified thresholds then break it in {shared.min():.1%} to {shared.max():.1%}."
    )


def sweeps_table() -> Finding:
    """Return what the sweeps of label costs came to: every pool with its size."""
    summary = kept_results.table("label_costs_summary")
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
    summary = kept_results.table("noisy_humans_summary")
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
