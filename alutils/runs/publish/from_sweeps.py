"""A finished sweep of an in-process experiment, published in results/ with what it says.

The sweep's rows become the long table ``<name>.csv``. What else is made of them, the experiment's
module says (one of `alutils.runs.sweeps.grids.IN_PROCESS`), with two functions that it may have:

``publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]``
    tables by what follows the name: ``{"summary": ...}`` becomes ``<name>_summary.csv``, with
    numbers to six digits
``figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str, str]]``
    figures likewise, ``{"gains": (figure, alt, finding)}``, into ``figures/<name>_gains.png`` with
    the text alternative and the one-line finding in ``figures/figures.json``

``table`` holds the sweep's rows: `alutils.stats.tables.COLUMNS` and a column for each varied
parameter; ``timings`` a row for each cell: ``run_id`` as in the table, ``cell``, the varied
parameters, ``seed``, ``wall_s`` (seconds), ``peak_memory_mib``. Without ``publish`` there is
`summary`, without ``figures`` no figure.

A cell is to be run again when code changes that its module imports. So that a figure's colour does
not cost hours, a module may leave the two functions to another one: ``PUBLISHED_BY = "alutils.x"``.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from alutils.base import manifest
from alutils.base.files import atomic_file, write_atomically
from alutils.runs.notebook import runs
from alutils.runs.publish import files
from alutils.runs.sweeps import grids, sweep
from alutils.stats import compare, tables


def publish(folder: Path, name: str | None = None, mended: Sequence[Path] = ()) -> list[Path]:
    """Copy a finished sweep into results/, with the tables and figures that are made of it.

    ``<name>.csv`` is the sweep's table, with those of the varied parameters that an arm of a
    protocol does not tell. What was published under the name before and is not made any more is
    removed.

    Parameters
    ----------
    folder : of the sweep
    name : what its files begin with; the sweep's name by default
    mended : folders of later sweeps, made after some arms were mended: their rows stand in the
        place of all earlier ones of the same protocol and arm; the manifest holds theirs, too

    Returns
    -------
    the files written

    Raises
    ------
    RunError
        For a sweep with cells that failed or were not run, for one of notebooks, for later sweeps
        of another experiment or without a parameter that tells rows apart, and for a name that
        another experiment's results bear. Nothing is written then.
    """
    folders = (folder, *mended)
    abouts = [_about(one) for one in folders]
    experiment = abouts[0]["experiment"]
    for one, about in zip(folders, abouts, strict=True):
        if about["experiment"] != experiment:
            raise runs.RunError(f"{one.name}: {about['experiment']} swept; expected {experiment}")
    name = name or abouts[0]["sweep"].rpartition("-")[0]
    files.check_name(name, experiment)
    rendered = any("rendered" in each.values() for about in abouts for each in about["inputs"])
    if rendered and not name.endswith("_rendered"):
        raise runs.RunError(
            f"{name}: these letters are rendered, and names without _rendered are for real ones; "
            f"publish them under another name (--as {name}_rendered), or sweep with "
            "-p letters LETTERS.npz"
        )
    table, timings = _merged([_read(one, experiment) for one in folders])
    apart = _telling_apart(table)
    module = _publisher(experiment)
    if hasattr(module, "publish"):
        frames = module.publish(table, timings)
    else:
        frames = {"summary": summary(table, apart)}
    figures = module.figures(table) if hasattr(module, "figures") else {}

    results = files.results_folder()
    written = [results / f"{name}.csv"]
    write_atomically(written[0], tables.as_csv(table[[*tables.COLUMNS, *apart]]))
    for suffix, frame in frames.items():
        written.append(results / f"{name}_{suffix}.csv")
        text = frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        write_atomically(written[-1], text)
    texts = {}
    for suffix, (figure, alt, finding) in figures.items():
        written.append(results / "figures" / f"{name}_{suffix}.png")
        with atomic_file(written[-1]) as handle:
            figure.savefig(handle, bbox_inches="tight")
        texts[suffix] = {"alt": alt, "finding": finding}
    written.append(results / f"{name}.manifest.json")
    manifest.write_json(written[-1], abouts[0] | ({"mended_by": abouts[1:]} if mended else {}))
    files.finish(name, written, texts)
    return written


def summary(table: pd.DataFrame, apart: Sequence[str] = ()) -> pd.DataFrame:
    """Return the mean over seeds of every metric, after every number of human labels.

    Parameters
    ----------
    table : rows of the long results table
    apart : columns beside it that tell rows apart as protocol and arm do

    Returns
    -------
    DataFrame
        protocol, arm, those of ``apart``, split, metric, n_human; seeds (that have a value), mean,
        and its 95% interval low, high (Student's t over seeds, taken as independent; NaN for less
        than two). Of several rounds with the same human labels the last one counts.
    """
    key = ["protocol", "arm", *apart, "split", "metric", "n_human"]
    rounds = table.sort_values("round", kind="stable")
    last = rounds.drop_duplicates([*key, "seed"], keep="last")
    records = []
    for values_of_key, rows in last.groupby(key):
        values = rows.sort_values("seed")["value"].dropna().tolist()
        low, high = compare.t_interval(values) if len(values) > 1 else (np.nan, np.nan)
        mean = np.mean(values) if values else np.nan
        records.append((*values_of_key, len(values), mean, low, high))
    return pd.DataFrame(records, columns=[*key, "seeds", "mean", "low", "high"])


def _about(folder: Path) -> dict[str, Any]:
    """Return the manifest of a sweep that can be published."""
    about = manifest.read_json(folder / sweep.MANIFEST)
    if about.get("status") != "complete" or "sweep" not in about:
        raise runs.RunError(f"{folder.name}: not a finished sweep; only those are published")
    if about["experiment"] not in grids.IN_PROCESS:
        raise runs.RunError(
            f"{folder.name}: {about['experiment']} swept; expected a sweep of "
            f"{', '.join(grids.IN_PROCESS)}: a notebook's runs are published one by one (--run)"
        )
    return about


def _read(folder: Path, experiment: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a sweep's rows and the timings of its cells, to the last bit."""
    # A parameter may have the value None, which is no missing number; float() is exact.
    exact = {"value": float}
    table = pd.read_csv(
        folder / sweep.TABLE, dtype={"arm": str}, keep_default_na=False, converters=exact
    )
    timings = pd.read_csv(folder / sweep.TIMINGS, keep_default_na=False)
    timings.insert(0, "run_id", f"{experiment}-" + timings["cell"])
    return table, timings


def _merged(
    read: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return sweeps as one; an arm of a protocol is the latest one's that has it, whole."""
    kept: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    for table, timings in read:
        again = pd.MultiIndex.from_frame(table[["protocol", "arm"]])
        for i, (rows, took) in enumerate(kept):
            mine = rows[~pd.MultiIndex.from_frame(rows[["protocol", "arm"]]).isin(again)]
            kept[i] = mine, took[took["run_id"].isin(mine["run_id"])]
        kept.append((table, timings))
    table, timings = (pd.concat(part, ignore_index=True) for part in zip(*kept, strict=True))
    # A cell of several arms, some of which were mended, is in both.
    return table, timings.drop_duplicates("run_id", keep="last", ignore_index=True)


def _telling_apart(table: pd.DataFrame) -> list[str]:
    """Return the varied parameters of which some arm of a protocol has several values."""
    arm = ["protocol", "arm"]
    apart = [
        column
        for column in table.columns
        if column not in tables.COLUMNS
        and table.drop_duplicates([*arm, column]).duplicated(arm).any()
    ]
    for column in apart:
        if table[column].isna().any():
            raise runs.RunError(
                f"{column}: it tells rows of an arm apart, and not all of these sweeps vary it; "
                "give it in the 'grid' of each, be it with one value"
            )
    return apart


def _publisher(experiment: str) -> ModuleType:
    """Return the module that makes tables and figures of an experiment's sweeps."""
    module = grids.load(grids.IN_PROCESS[experiment])
    return grids.load(getattr(module, "PUBLISHED_BY", module.__name__))
