"""What an experiment advises: a situation, what to use there, and the comparison it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from alutils.experiments.base import Finding
from alutils.stats.intervals import Paired

TIED = "statistically tied"


@dataclass(frozen=True)
class Advice:
    """One row of a table of what to use when."""

    situation: str
    use: str
    because: str

    @classmethod
    def compared(
        cls, situation: str, ours: str, other: str, result: Paired, unit: str = "mean accuracy"
    ) -> Advice:
        """Return what a comparison draw by draw advises: either, where they are tied."""
        use = f"{ours} or {other} ({TIED})"
        if result.low > 0:
            use = ours
        elif result.high < 0:
            use = other
        because = f"{ours} against {other}: {in_points(result)} in {unit}, {result.n} draws"
        return cls(situation, use, because)


def in_points(result: Paired) -> str:
    """Return a difference of shares in points, with its 95% interval."""
    return f"{100 * result.mean:+.1f} points ({100 * result.low:+.1f} to {100 * result.high:+.1f})"


@dataclass(frozen=True)
class Advised(Finding):
    """A finding from which advice follows."""

    advice: tuple[Advice, ...] = ()


def what_to_do(findings: Sequence[Advised], table: str) -> Finding:
    """Return all that findings advise in one table, saved under the name ``table``."""
    advice = [one for finding in findings for one in finding.advice]
    if not advice:
        return Finding("No comparison was made, so nothing is advised.")
    frame = pd.DataFrame([vars(one) for one in advice])
    tied = [one.situation for one in advice if TIED in one.use]
    text = (
        f"The ways to go are {TIED} in {len(tied)} of {len(advice)} comparisons"
        f"{': ' + '; '.join(tied) if tied else ''}."
    )
    return Finding(text, name="what_to_do", table=as_wide_text(frame), tables={table: frame})


def as_wide_text(table: pd.DataFrame) -> pd.io.formats.style.Styler:
    """Return a table of texts, styled so that long ones are broken into lines."""
    return (
        table.style.hide(axis="index")
        .set_properties(**{"text-align": "left", "white-space": "normal", "vertical-align": "top"})
        .set_table_styles([{"selector": "th", "props": [("text-align", "left")]}])
    )
