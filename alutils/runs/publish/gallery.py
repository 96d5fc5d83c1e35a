"""The gallery in results/README.md: every figure with its finding and its text alternative."""

from collections.abc import Collection

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.runs.publish.markdown import plain
from alutils.stats.compare import provenances

TITLES = {
    "strategies_notebook": "Query strategies in notebook 04",
    "autolabel": "Trust in automatic labels, in notebook 05",
}
"""Headings of figures that have no section of their own on the page."""
RENDERED = "Rendered letters, not real handwriting."
"""Stands beside what was found on letters that were rendered from fonts."""


def figures(of: str) -> str:
    """Return the figures that were published under a name, as Markdown for results/README.md."""
    about = manifest.read_json(repository_root() / "results" / f"{of}.manifest.json")
    seen = provenances(about)
    own = [_entry(name, text, seen) for name, text in _shown().items() if text["of"] == of]
    return "\n\n".join(own) or "No figures are published under this name yet."


def others(known: Collection[str]) -> str:
    """Return the figures of all names but those that the page shows already."""
    shown = _shown()
    more = dict.fromkeys(text["of"] for text in shown.values() if text["of"] not in known)
    sections = (
        f"### {TITLES.get(name, name.replace('_', ' '))}\n\n{figures(name)}" for name in more
    )
    return "\n\n".join(sections) or "All published figures are above."


def _shown() -> dict[str, dict[str, str]]:
    """Return the texts of all figures in results/figures, by the figure's name."""
    results = repository_root() / "results"
    texts = manifest.read_json(results / "findings.json")
    return {
        name: text
        for name, text in texts.items()
        if (results / "figures" / f"{name}.png").is_file()
    }


def _entry(name: str, text: dict[str, str], provenances: Collection[str]) -> str:
    alt = plain(text["alt"]).replace("[", "(").replace("]", ")")
    finding = plain(text["finding"])
    if provenances == {"rendered"}:
        finding = f"{RENDERED} {finding}"
    elif "rendered" in provenances and "letters" in finding:
        finding = f"{finding} ({RENDERED})"
    return f"![{alt}](figures/{name}.png)\n\n*{finding}*"
