"""The gallery in results/README.md: every figure with its finding and its text alternative."""

from collections.abc import Collection

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.runs.publish.markdown import plain

TITLES = {
    "strategies_notebook": "Query strategies in notebook 04",
    "autolabel": "Trust in automatic labels, in notebook 05",
}
"""Headings of figures that have no section of their own on the page."""


def figures(of: str) -> str:
    """Return the figures that were published under a name, as Markdown for results/README.md."""
    own = [_entry(name, text) for name, text in _shown().items() if text["of"] == of]
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


def _entry(name: str, text: dict[str, str]) -> str:
    alt = plain(text["alt"]).replace("[", "(").replace("]", ")")
    return f"![{alt}](figures/{name}.png)\n\n*{plain(text['finding'])}*"
