"""Findings of a run: saved in its folder, shown in the notebook, beside the reference run's."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alutils.base import files, manifest
from alutils.experiments.base import Finding, png_of
from alutils.stats.compare import is_rendered

TEXTS = "findings.json"
"""In a run's folder and in results/: by name what was found and, of a figure, what it shows."""
PUBLISHED_AS = {"strategies": "strategies_notebook"}
"""What a notebook's reference results are called where that is not its experiment's name: of the
query strategies a sweep is published, too, and it has the shorter name."""


@dataclass(frozen=True)
class Shown:
    """A finding that shows itself in a notebook: figure, table, sentence, the reference's."""

    png: bytes | None
    finding: Finding
    reference: str | None

    def _ipython_display_(self) -> None:
        self.finding.display(self.png, self.reference)


def save(folder: Path, finding: Finding) -> bytes | None:
    """Write a finding's figure and texts into a run's folder; return the figure as PNG."""
    if not finding.name:
        return None
    text = {"finding": finding.text.strip()}
    png = None
    if finding.figure is not None:
        png = png_of(finding.figure)
        files.write_atomically(folder / "figures" / f"{check_name(finding.name)}.png", png)
        text["alt"] = finding.alt.strip()
    texts = manifest.read_json(folder / TEXTS) | {check_name(finding.name): text}
    manifest.write_json(folder / TEXTS, dict(sorted(texts.items())))
    return png


def reference(
    experiment: str,
    finding: Finding,
    parameters: Mapping[str, Any],
    told: MutableMapping[str, str] | None = None,
) -> str | None:
    """Return what the reference run found under the same name, and in which settings.

    The settings named are those that differ from this run's, and whether the letters are rendered.
    None where results/ has no such finding: it was not published yet; also where it is this very
    finding, as of what is shown from results/ itself.

    Parameters
    ----------
    told : settings that a page has named already, to the finding beside which they stand; others
        follow them without a word. Added to. None: they are always named
    """
    results = files.repository_root() / "results"
    published = PUBLISHED_AS.get(experiment, experiment)
    name = finding.reference or f"{published}_{finding.name}"
    theirs = manifest.read_json(results / TEXTS).get(name, {})
    text = theirs.get("finding")
    if not text or text == finding.text.strip():
        return None
    about = manifest.read_json(results / f"{theirs.get('of', published)}.manifest.json")
    differs = [
        f"{key}={Path(str(value)).name}"
        for key, value in about.get("parameters", {}).items()
        if key in parameters and parameters[key] != value
    ]
    if is_rendered(about):
        differs.append("letters rendered from fonts")
    settings = ", ".join(differs)
    if not settings or (told is not None and told.setdefault(settings, name) != name):
        return f"**Reference run**: {text}"
    return f"**Reference run** ({settings}{'; also below' if told is not None else ''}): {text}"


def check_name(name: str) -> str:
    """Return a name that may name a file, or raise ValueError."""
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"name={name}: expected letters, digits, _ and - only; it names a file")
    return name
