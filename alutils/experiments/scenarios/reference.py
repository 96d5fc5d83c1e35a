"""What the scenarios come to: the answer from results/, and a table of what to do when."""

from __future__ import annotations

from collections.abc import Sequence

from alutils.experiments import advice, kept_results
from alutils.experiments.advice import Advised
from alutils.experiments.base import Answer, Finding

COMMAND = "python -m alutils reference scenarios"
OPENINGS = {
    "a stream": "Who should decide on a stream?",
    "a made-up question, shown as it is": "Made-up images, or random ones?",
    "answers: at times wrong": "Choose images, or draw them, where people are at times wrong?",
}
"""The answer is made of the advice for these: what a situation begins with, in the table, and the
question that it answers."""


def answer() -> Answer:
    """Return what the reference run of the scenarios comes to, from results/."""
    figure, table = "scenarios_streams", kept_results.table("scenarios_advice")
    if table is None:
        missing = f"The reference run is not in results/ yet. `{COMMAND}` makes it."
        return Answer((missing,), figure)
    lines = []
    for situation, question in OPENINGS.items():
        for row in table[table["situation"].str.startswith(situation)].head(1).itertuples():
            lines.append(f"**{question} {_capital(row.use)}.** {_capital(row.because)}.")
    return Answer(tuple(lines), figure)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def what_to_do(findings: Sequence[Advised]) -> Finding:
    """Return all that the findings of a run advise, in one table."""
    return advice.what_to_do(findings, "scenarios_advice")
