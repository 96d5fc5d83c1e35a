"""A finished sweep of an experiment, published in results/ with what it says.

The sweep's rows become the long table ``<name>.csv``. What else is made of them, the experiment
says: see ``summarise`` and ``figures`` of `alutils.experiments.base.Experiment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.experiments.registry import EXPERIMENTS
from alutils.plots.fonts import png_of
from alutils.runs.notebook import runs
from alutils.runs.publish import files
from alutils.runs.sweeps import sweep
from alutils.stats import tables
from alutils.stats.intervals import over_seeds


def publish(
    folder: Path, name: str | None = None, mended: Sequence[Path] = (), *, onto: bool = False
) -> list[Path]:
    """Copy a finished sweep into results/, with the tables and figures that are made of it.

    ``<name>.csv`` is the sweep's table, with those of the varied parameters that an arm of a
    protocol does not say. What was published under the name before and is not made any more is
    removed.

    Parameters
    ----------
    name : what its files begin with; the sweep's name by default
    mended : folders of later sweeps, made after some arms were mended: their rows stand in the
        place of all earlier ones of the same protocol and arm; the manifest holds theirs, too
    onto : whether what is published under the name is an earlier sweep itself, which these mend

    Raises
    ------
    RunError
        For a sweep with cells that failed or were not run, for one of notebooks, for later sweeps
        of another experiment or without a parameter that tells rows apart, and for a name that
        another experiment's results bear; for ``onto`` where nothing bears it. Nothing is written
        then.
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
    read = [_read(one, experiment) for one in folders]
    earlier = _published(name) if onto else None
    if earlier is not None:
        read.insert(0, (earlier.table, read[0][1].head(0)))
        abouts.insert(0, earlier.about)
    later = [*abouts[0].get("mended_by", []), *abouts[1:]]
    whole = abouts[0] | ({"mended_by": later} if later else {})
    return _write(name, *_merged(read), whole, earlier)


def again(name: str) -> list[Path]:
    """Make the tables and figures of a published sweep again from its long table."""
    earlier = _published(name)
    timings = pd.DataFrame(columns=["run_id", "wall_s"])
    return _write(name, earlier.table, timings, earlier.about, earlier)


def _write(
    name: str,
    table: pd.DataFrame,
    timings: pd.DataFrame,
    about: Mapping[str, Any],
    earlier: Published | None,
) -> list[Path]:
    """Publish a sweep's rows with what is made of them; times that it lacks are the earlier's."""
    apart = _telling_apart(table)
    swept = EXPERIMENTS[about["experiment"]]
    frames = (
        swept.summarise(table, timings) if swept.summarise else {"summary": summary(table, apart)}
    )
    if earlier is not None:
        frames = {suffix: earlier.timed(suffix, frame) for suffix, frame in frames.items()}
    figures = swept.figures(table) if swept.figures else {}

    contents: dict[str, str | bytes] = {
        f"{name}.csv": tables.as_csv(table[[*tables.COLUMNS, *apart]])
    }
    for suffix, frame in frames.items():
        text = frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        contents[f"{name}_{suffix}.csv"] = text
    texts = {}
    for suffix, (figure, alt, finding) in figures.items():
        contents[f"figures/{name}_{suffix}.png"] = png_of(figure)
        texts[suffix] = {"alt": alt, "finding": finding}
    return files.publish(name, contents, {name: about}, texts)


@dataclass(frozen=True)
class Published:
    """What is published under a name: its long table, its manifest."""

    name: str
    table: pd.DataFrame
    about: dict[str, Any]

    def timed(self, suffix: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the times that an earlier table of means has of arms that no later sweep has."""
        path = repository_root() / "results" / f"{self.name}_{suffix}.csv"
        if "metric" not in frame or not path.is_file():
            return frame
        before = pd.read_csv(path)
        if "metric" not in before:
            return frame
        key = [column for column in ("protocol", "arm") if column in frame]
        times = before[before["metric"] == "wall_s"]
        mine = pd.MultiIndex.from_frame(frame.loc[frame["metric"] == "wall_s", key])
        places = pd.MultiIndex.from_frame(times[key])
        return pd.concat([frame, times[~places.isin(mine)]])


def _published(name: str) -> Published:
    """Return what is published under a name, or raise RunError."""
    results = repository_root() / "results"
    path = results / f"{name}.csv"
    if not path.is_file():
        raise runs.RunError(f"results/{path.name} is not there: publish without --onto")
    exact = {"converters": {"value": float}, "keep_default_na": False}
    table = pd.read_csv(path, dtype={"arm": str}, **exact)
    return Published(name, table, manifest.read_json(results / f"{name}.manifest.json"))


def summary(table: pd.DataFrame, apart: Sequence[str] = ()) -> pd.DataFrame:
    """Return the mean over seeds of every metric, after every number of human labels.

    ``apart`` are columns of the table that tell rows apart as protocol and arm do. Of several
    rounds with the same human labels the last one counts. For seeds, mean, low and high see
    `over_seeds`.
    """
    key = ["protocol", "arm", *apart, "split", "metric", "n_human"]
    rounds = table.sort_values("round", kind="stable")
    last = rounds.drop_duplicates([*key, "seed"], keep="last")
    out = over_seeds(last.sort_values(key, kind="stable"), key)
    return out[[*key, "seeds", "mean", "low", "high"]]


def _about(folder: Path) -> dict[str, Any]:
    """Return the manifest of a sweep that can be published."""
    about = manifest.read_json(folder / sweep.MANIFEST)
    if about.get("status") != "complete" or "sweep" not in about:
        raise runs.RunError(f"{folder.name}: not a finished sweep; only those are published")
    if about["experiment"] not in EXPERIMENTS:
        raise runs.RunError(
            f"{folder.name}: {about['experiment']} swept; expected a sweep of "
            f"{', '.join(EXPERIMENTS)}: a notebook's runs are published one by one (--run)"
        )
    return about


def _read(folder: Path, experiment: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a sweep's rows and the timings of its cells, to the last bit."""
    # A parameter may have the value None, which is no missing number; float() is exact.
    exact = {"converters": {"value": float}, "keep_default_na": False}
    table = pd.read_csv(folder / sweep.TABLE, dtype={"arm": str}, **exact)
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
