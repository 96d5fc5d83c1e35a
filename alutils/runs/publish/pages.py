"""The README and the pages of docs/ and results/, whose tables are written from results/.

A page holds them between marks, ``<!-- table: NAME -->`` and ``<!-- end -->``, with NAME one of
`BLOCKS`, or ``figures_NAME`` for the figures that were published under a name;
``python -m alutils reference`` writes them anew, nobody by hand.
"""

import re
from collections.abc import Callable
from pathlib import Path

from alutils.base.files import repository_root, write_atomically
from alutils.runs.notebook import runs
from alutils.runs.publish import (
    gallery,
    overview,
    page_costs,
    page_finish,
    page_guarantee,
    page_tables,
    times,
)
from alutils.runs.publish.markdown import finding

BLOCKS: dict[str, Callable[[], str]] = {
    "claim": overview.claim,
    "overview": overview.overview,
    "noisy": lambda: finding("noisy_humans_guarantee"),
    "mnist": lambda: page_tables.published_against_ours("mnist"),
    "compared": page_tables.compared,
    "percentiles": page_tables.percentiles,
    "sound": lambda: page_tables.claims("mnist_sound_differences"),
    "az": lambda: page_tables.published_against_ours("az"),
    "az_claims": lambda: page_tables.claims("az_differences"),
    "az_classifiers": page_tables.classifiers,
    "moved": page_tables.moved,
    "blocks": page_tables.blocks,
    "strategies": page_tables.strategies,
    "no_better": page_tables.no_better,
    "fair_costs": page_costs.fair_costs,
    "label_costs": page_costs.label_costs,
    "reached": page_costs.reached,
    "audits": page_costs.audits,
    "coverage": page_costs.coverage,
    "guarantee": page_guarantee.guarantee,
    "guarantee_people": page_guarantee.guarantee_people,
    "attempts": page_guarantee.attempts,
    "resplits": page_guarantee.resplits,
    "finish": page_finish.finish,
    "finish_forecast": page_finish.finish_forecast,
    "finish_attacks": page_finish.finish_attacks,
    "tool_learning": page_tables.tool_learning,
    "backbones": page_tables.backbones,
    "speed": page_tables.speed,
    "times": times.as_markdown,
}
FIGURES, OTHERS = "figures_", "figures_of_others"
_MARK = r"<!-- table: (?P<name>\w+) -->\n.*?<!-- end -->"


def pages() -> list[Path]:
    """Return the pages whose tables are kept fresh: those that are there."""
    root = repository_root()
    named = [root / "README.md", root / "results" / "README.md"]
    return [page for page in (*named, *sorted((root / "docs").glob("*.md"))) if page.is_file()]


def refresh() -> list[Path]:
    """Write the tables of every page anew from results/; return the pages."""
    fresh = {page: refreshed(page.read_text(encoding="utf-8"), page.name) for page in pages()}
    for page, text in fresh.items():
        write_atomically(page, text)
    return list(fresh)


def refreshed(text: str, page: str = "README.md") -> str:
    """Return a page's text with every table between marks written anew from results/."""
    names = [match["name"] for match in re.finditer(_MARK, text, flags=re.DOTALL)]
    shown = {name.removeprefix(FIGURES) for name in names if name.startswith(FIGURES)}

    def fill(match: re.Match) -> str:
        name = match["name"]
        if name == OTHERS:
            block = gallery.others(shown)
        elif name.startswith(FIGURES):
            block = gallery.figures(name.removeprefix(FIGURES))
        elif name in BLOCKS:
            block = BLOCKS[name]()
        else:
            known = ", ".join((*BLOCKS, f"{FIGURES}NAME"))
            raise runs.RunError(f"{page}: table {name}: expected one of {known}")
        return f"<!-- table: {name} -->\n{block}\n<!-- end -->"

    return re.sub(_MARK, fill, text, flags=re.DOTALL)
