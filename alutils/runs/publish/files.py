"""What lies in results/ under a name: whose it is, what is old, what its figures say.

A name is what has a manifest, ``<name>.manifest.json``; its tables are ``<name>.csv`` and
``<name>_*.csv``, its figures ``figures/<name>_*.png``, whose texts are in ``figures/figures.json``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.runs.notebook import runs


def results_folder() -> Path:
    """Return results/, with its folder of figures."""
    results = repository_root() / "results"
    (results / "figures").mkdir(parents=True, exist_ok=True)
    return results


def check_name(name: str, experiment: str) -> None:
    """Raise RunError where the results of another experiment bear this name."""
    there = manifest.read_json(repository_root() / "results" / f"{name}.manifest.json")
    if there.get("experiment", experiment) != experiment:
        raise runs.RunError(
            f"{name}: results/{name}* are of the experiment {there['experiment']}, not of "
            f"{experiment}; choose another name (--as)"
        )


def finish(name: str, written: Iterable[Path], texts: Mapping[str, Mapping[str, str]]) -> None:
    """Remove what was published under a name before and is no more, and tell the new figures.

    Parameters
    ----------
    name : of the results
    written : all files that are of this name now
    texts : of each figure (without the name): ``alt``, ``finding``
    """
    results = results_folder()
    for stale in _of_name(results, name) - set(written):
        stale.unlink()
    figures = results / "figures"
    known = manifest.read_json(figures / "figures.json")
    kept = {file: text for file, text in known.items() if (figures / f"{file}.png").is_file()}
    told = kept | {f"{name}_{figure}": dict(text) for figure, text in texts.items()}
    manifest.write_json(figures / "figures.json", dict(sorted(told.items())))


def _of_name(results: Path, name: str) -> set[Path]:
    """Return the files in results/ that were published under a name.

    ``az_explore_clusters.csv`` is not one of ``az``'s where ``az_explore`` was published, too: a
    name is what has a manifest.
    """
    manifests = (
        path.name.removesuffix(".manifest.json") for path in results.glob("*.manifest.json")
    )
    longer = [
        f"{other}{end}"
        for other in manifests
        if other.startswith(f"{name}_") and other != f"{name}_replicates"
        for end in ("_", ".")
    ]
    found = [
        *(results / f"{name}{end}" for end in (".csv", ".manifest.json")),
        *results.glob(f"{name}_*.csv"),
        *results.glob(f"{name}_*.manifest.json"),
        *(results / "figures").glob(f"{name}_*.png"),
    ]
    return {path for path in found if path.is_file() and not path.name.startswith(tuple(longer))}
