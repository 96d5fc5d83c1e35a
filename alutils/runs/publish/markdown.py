"""Small pieces of Markdown, and the results that they are written from."""

from collections.abc import Iterable, Sequence

import pandas as pd

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.runs.notebook import runs

SETTINGS = {"as_stated": "the stated setting", "as_logged": "the logged setting"}
"""What the report's two settings are called."""


def results(name: str) -> pd.DataFrame:
    """Return the table ``results/<name>.csv``."""
    return pd.read_csv(repository_root() / "results" / f"{name}.csv")


def finding(figure: str) -> str:
    """Return the finding of a figure in results/figures."""
    texts = manifest.read_json(repository_root() / "results" / "findings.json")
    if figure not in texts:
        raise runs.RunError(f"results/findings.json holds no {figure}: publish it first")
    return plain(texts[figure]["finding"])


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def plain(text: str) -> str:
    """Return a text with the report's settings called by their names, on one line."""
    for code, name in SETTINGS.items():
        text = text.replace(code, name)
    return " ".join(text.split())


def points(mean: float, low: float, high: float) -> str:
    """Return a difference of shares and its interval, in points."""
    return f"{100 * mean:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
