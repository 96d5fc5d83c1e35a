"""What lies in results/ under a name: whose it is, what is old, what its figures say.

A name is what has a manifest, ``<name>.manifest.json``; its tables are ``<name>.csv`` and
``<name>_*.csv``, its figures ``figures/<name>_*.png``, whose texts are in ``findings.json``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alutils.base import manifest
from alutils.base.files import repository_root, write_atomically
from alutils.runs.notebook import runs


def check_name(name: str, experiment: str) -> None:
    """Raise RunError where the results of another experiment bear this name."""
    there = manifest.read_json(repository_root() / "results" / f"{name}.manifest.json")
    if there.get("experiment", experiment) != experiment:
        raise runs.RunError(
            f"{name}: results/{name}* are of the experiment {there['experiment']}, not of "
            f"{experiment}; choose another name (--as)"
        )


def publish(
    name: str,
    contents: Mapping[str, str | bytes],
    manifests: Mapping[str, Mapping[str, Any]],
    texts: Mapping[str, Mapping[str, str]],
) -> list[Path]:
    """Write all that is published under a name; remove what was before and is no more.

    Parameters
    ----------
    contents : of tables and figures, by path in results/
    manifests : by what stands before ``.manifest.json``
    texts : by what follows the name: ``finding`` and, of a figure, ``alt``

    Returns
    -------
    the files written
    """
    results = repository_root() / "results"
    for path, content in contents.items():
        write_atomically(results / path, content)
    abouts = {results / f"{stem}.manifest.json": about for stem, about in manifests.items()}
    for place, about in abouts.items():
        manifest.write_json(place, about)
    written = [*(results / path for path in contents), *abouts]
    for stale in _of_name(results, name) - set(written):
        stale.unlink()
    known = manifest.read_json(results / "findings.json")
    kept = {found: text for found, text in known.items() if text["of"] != name}
    own = {f"{name}_{found}": {**text, "of": name} for found, text in texts.items()}
    together = kept | own
    manifest.write_json(results / "findings.json", dict(sorted(together.items())))
    return written


def _of_name(results: Path, name: str) -> set[Path]:
    """Return the files in results/ that were published under a name.

    ``az_explore_clusters.csv`` is not one of ``az``'s where ``az_explore`` was published, too: a
    name is what has a manifest.
    """
    ending = ".manifest.json"
    longer = {path.name.removesuffix(ending) for path in results.glob(f"{name}_*{ending}")}
    others = tuple(f"{other}{end}" for other in longer - {f"{name}_replicates"} for end in "_.")
    patterns = f"{name}.csv", f"{name}_*.csv", f"{name}{ending}", f"{name}_*{ending}"
    found = [path for pattern in patterns for path in results.glob(pattern)]
    found += (results / "figures").glob(f"{name}_*.png")
    return {path for path in found if not path.name.startswith(others)}
