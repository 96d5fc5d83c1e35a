"""Tables for pages: how often promises are broken, and how often intervals hold the truth."""

from __future__ import annotations

import pandas as pd

from alutils.runs.publish.markdown import markdown_table, results

_NOISES = {
    "none": "right",
    "random": "5% wrong, any class",
    "asked again": "5% wrong, any class; who disagrees with the model is asked once more",
    "shared": "5% wrong, and wrong as the model is wherever it is",
}
_CERTIFIED = "certified"


def guarantee() -> str:
    """Return how often rules for automatic labels break their promise, as a Markdown table."""
    table = results("guarantee")
    table = table[table["noise"] == "none"]
    models = list(table["model"].unique())
    rows = (
        (rule, *_cells(table[table["rule"] == rule], models)) for rule in table["rule"].unique()
    )
    return markdown_table(["rule", *_headings(models)], rows)


def guarantee_people() -> str:
    """Return the same of certified thresholds, by what people's labels in the audit are."""
    table = results("guarantee")
    table = table[table["rule"] == _CERTIFIED]
    models = list(table["model"].unique())
    rows = (
        (said, *_cells(table[table["noise"] == noise], models)) for noise, said in _NOISES.items()
    )
    return markdown_table(["the audit's labels are", *_headings(models)], rows)


def _headings(models: list[str]) -> list[str]:
    return [f"{model}: broken, labelled" for model in models]


def _cells(rows: pd.DataFrame, models: list[str]) -> list[str]:
    of = rows.set_index("model")
    return [f"{of.loc[m, 'broken']:.1%}, {of.loc[m, 'coverage']:.0%}" for m in models]


def attempts() -> str:
    """Return how often people who try six times get a false certificate, as a Markdown table."""
    rows = (
        (
            row.audit, row.errors, "by the pool" if row.counted else "not counted",
            f"{row.projects:,}",
            f"{row.false:.1%} ({row.false_low:.1%} to {row.false_high:.1%})",
            f"{row.certified:.0%}",
        )
        for row in results("attempts").itertuples()
    )  # fmt: skip
    headings = [
        "audit", "the model is wrong", "attempts", "projects", "false certificates", "any",
    ]  # fmt: skip
    return markdown_table(headings, rows)


def resplits() -> str:
    """Return how often intervals for re-splits hold the truth, as a Markdown table."""
    table = results("resplits")
    names = list(table["interval"].unique())
    rows = []
    for (compared, labels, splits), of in table.groupby(
        ["compared", "labels", "splits"], sort=False
    ):
        by = of.set_index("interval")
        cells = (f"{by.loc[n, 'holds']:.1%}, {by.loc[n, 'width']:.1f}" for n in names)
        rows.append((str(compared), f"{labels:,}", f"{splits:,}", *cells))
    headings = ["compared", "labels of 1,000", "splits", *(f"{n}: holds, width" for n in names)]
    return markdown_table(headings, rows)
