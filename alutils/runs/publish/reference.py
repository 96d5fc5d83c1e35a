"""Reference results: a full run's tables and figures, kept in results/, and the pages' tables.

``python -m alutils reference NAME...`` runs each experiment in its full profile and publishes the
run; ``--run FOLDER`` publishes a run that is there already, ``--sweep FOLDER`` a sweep (see
`alutils.runs.publish.from_sweeps`). The tables of the README and of the pages in docs/ and results/
are then written anew (see `alutils.runs.publish.pages`).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from alutils.base import manifest
from alutils.runs.notebook import headless, runs
from alutils.runs.notebook.shown import PUBLISHED_AS
from alutils.runs.publish import files, from_sweeps, pages
from alutils.stats import compare, tables

REPLICATES = ("noise", "draws")
"""Protocols with hundreds of rows an arm: they go into a table of their own."""


def run(
    names: Iterable[str],
    folders: Iterable[Path],
    name: str | None = None,
    sweeps: Sequence[Path] = (),
    *,
    onto: bool = False,
) -> list[Path]:
    """Run and publish experiments, publish finished runs and sweeps, renew the pages' tables.

    Parameters
    ----------
    names : experiments to run in full
    folders : finished runs
    name : what the published files begin with; the experiment's (see `PUBLISHED_AS`) or the sweep's
        name by default
    sweeps : folder of a finished sweep, and of later ones that mend it
    onto : whether they mend what is published under the name; without sweeps, its tables and
        figures are made again

    Returns
    -------
    the files written, the pages the last
    """
    names = list(names)
    for experiment in names:  # before hours of work
        values = headless.parameters_of(experiment, "full")
        _check_name(
            name or PUBLISHED_AS.get(experiment, experiment),
            experiment,
            values.get("data") == "rendered",
        )
    written: list[Path] = []
    if sweeps:
        written = from_sweeps.publish(sweeps[0], name, sweeps[1:], onto=onto)
    elif onto and name:
        written = from_sweeps.again(name)
    for folder in [*folders, *(headless.execute(experiment, "full") for experiment in names)]:
        written += publish(folder, name)
    return [*written, *pages.refresh()]


def publish(folder: Path, name: str | None = None) -> list[Path]:
    """Copy a finished run's tables, figures and manifest into results/.

    ``metrics.csv`` becomes ``<name>.csv``, its replicates ``<name>_replicates.csv``; tables of the
    run's own go to ``<name>_<table>.csv``, figures to ``figures/<name>_<figure>.png``. What an
    earlier run left under the name and this one does not bring is removed, so that no two runs
    are mixed.

    Raises
    ------
    RunError
        For a run that is not complete, or not of the full profile; for rendered letters under the
        name ``az``, which is for real ones; for a name that another experiment's results bear.
    """
    about = manifest.read_json(folder / "manifest.json")
    if about.get("status") != "complete":
        raise runs.RunError(f"{folder.name}: not a finished run; only those are published")
    if about.get("profile") != "full":
        raise runs.RunError(
            f"{folder.name}: profile={about.get('profile')}: reference results are made by the "
            f"full one: python -m alutils run {about['experiment']} --profile full"
        )
    experiment = about["experiment"]
    name = name or PUBLISHED_AS.get(experiment, experiment)
    _check_name(name, experiment, compare.is_rendered(about))
    table = tables.read(folder / "metrics.csv")
    replicate = table["protocol"].isin(REPLICATES)
    stems = {name: table[~replicate], f"{name}_replicates": table[replicate]}
    stems = {stem: rows for stem, rows in stems.items() if len(rows)}
    contents: dict[str, str | bytes] = {
        f"{stem}.csv": tables.as_csv(rows) for stem, rows in stems.items()
    }
    for source in sorted(folder.glob("tables/*.csv")):
        # A run's own tables bear its experiment's name already, or none.
        own = re.sub(rf"^({experiment}|{experiment.split('_')[0]})_", "", source.name)
        contents[f"{name}_{own}"] = source.read_bytes()
    for source in sorted(folder.glob("figures/*.png")):
        contents[f"figures/{name}_{source.name}"] = source.read_bytes()
    texts = manifest.read_json(folder / "findings.json")
    return files.publish(name, contents, dict.fromkeys(stems, about), texts)


def _check_name(name: str, experiment: str, rendered: bool) -> None:
    """Raise RunError where results of another kind bear this name, or are to bear it."""
    if name == "az" and rendered:
        raise runs.RunError(
            "az: these letters are rendered, and results/az* are of real ones; publish them under "
            "another name (--as az_rendered), or run az with -p data LETTERS.npz"
        )
    files.check_name(name, experiment)
