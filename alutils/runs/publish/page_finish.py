"""Tables for pages: what finishing takes, what was forecast of it, and attacks on its promise."""

from __future__ import annotations

import pandas as pd

from alutils.runs.publish.markdown import markdown_table, results

_PICTURES = {
    "mnist4k": "the article's 4,000 digits",
    "mnist10k": "10,000 digits",
    "mnist60k": "60,000 digits",
    "letters": "5,284 real capital letters",
    "lower": "4,000 real small letters",
    "rendered": "2,000 rendered letters",
}
_LEARNERS = {"tool": "the tool as it is", "quick": "the quick learner alone"}


def _run(name: str) -> tuple[str, str]:
    """Return which pictures a run had, and who learned."""
    pictures, learner = name.rsplit("_", 1)
    return _PICTURES.get(pictures, pictures), _LEARNERS.get(learner, learner)


def finish() -> str:
    """Return how many labels the way to the certificate takes, as a Markdown table.

    A row for each kind of pictures, learner and promise: the means over the runs.
    """
    rows = []
    for (name, target), of in results("finish").groupby(["run", "target"], sort=False):
        mean, labels = of.mean(numeric_only=True), of["labels"]
        span = f" ({labels.min():,.0f} to {labels.max():,.0f})" if len(of) > 1 else ""
        rows.append((
            *_run(name), f"{100 * target:g}%", str(len(of)), f"{mean['labels']:,.0f}{span}",
            f"{mean['trained']:,.0f} + {mean['by_hand']:,.0f} + {mean['audited']:,.0f}",
            f"{mean['accuracy']:.2%}", f"{mean['attempts']:.1f}",
            f"{mean['notebook_labels']:,.0f}", f"{mean['ratio']:.2f}",
        ))  # fmt: skip
    return markdown_table(
        [
            "pictures", "learner", "promised", "runs", "labels in all",
            "trained on + by hand + audited", "labels that are right", "attempts",
            "labels with the best fixed numbers", "ratio",
        ],
        rows,
    )  # fmt: skip


def finish_forecast() -> str:
    """Return how often forecasts held what it then took, as a Markdown table."""
    table = results("finish_forecast")
    table = table.assign(ratio=table["took"] / table["expected"])
    rows = [(*_run(name), *_forecasts(of)) for name, of in table.groupby("run", sort=False)]
    rows.append(("all", "", *_forecasts(table)))
    head = ["pictures", "learner", "runs", "forecasts", "inside the interval", "took / expected"]
    return markdown_table(head, rows)


def _forecasts(of: pd.DataFrame) -> tuple[str, ...]:
    """Return how many runs and forecasts there are, how many were right, and how far off."""
    runs = len(of[["run", "seed"]].drop_duplicates())
    return str(runs), str(len(of)), f"{of['inside'].mean():.0%}", f"{of['ratio'].mean():.2f}"


def finish_attacks() -> str:
    """Return how often attacks got a false certificate, as a Markdown table."""
    rows = (
        (
            row.errors, row.person, row.audit, f"{row.projects:,}",
            f"{row.false:.1%} ({row.false_low:.1%} to {row.false_high:.1%})",
            f"{row.certified:.0%}",
        )
        for row in results("finish_attacks").itertuples()
    )  # fmt: skip
    head = ["the model is wrong", "the person", "audit", "projects", "false certificates", "any"]
    return markdown_table(head, rows)
