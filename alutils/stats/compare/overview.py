"""All tables of a folder at a glance, and what notebooks' runs say beside the published values."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.stats import tables
from alutils.stats.compare.frame import of_sources
from alutils.stats.compare.sources import Source, instead, load, read_published
from alutils.stats.compare.text import WIDTH, Table, fit, form_of, number, value, wrapped
from alutils.stats.compare.verdicts import RENDERED, RENDERED_MEANS
from alutils.stats.tables import TableError


@dataclass(frozen=True)
class Block:
    """What there is to say of one table of a folder."""

    path: Path
    rows: pd.DataFrame  # the comparison with published values; empty where there is none
    reason: str  # why it cannot be compared with them, and what can be compared; "" if it can

    def text(self, width: int = WIDTH) -> str:
        """Return the table's block of a few lines."""
        if self.reason:
            return "\n".join(wrapped([f"{self.path.name}: {self.reason}"], width))
        return "\n".join(_published_lines(f"{self.path.name}: compared", self.rows, width))


def overview(folder: Path, published: Path | str) -> list[Block]:
    """Compare every CSV table of a folder with the published values, or say why it cannot be.

    Raises
    ------
    TableError
        The folder holds no CSV table.
    """
    paths = sorted(Path(folder).glob("*.csv"))
    if not paths:
        raise TableError(f"{folder}: there is no CSV table in it")
    return [_block(path, published) for path in paths]


def _block(path: Path, published: Path | str) -> Block:
    nothing = pd.DataFrame()
    try:
        (source,) = load([path])
    except TableError as error:
        return Block(path, nothing, instead(path) or str(error).removeprefix(f"{path}: "))
    known = read_published(published)
    rows = of_sources([source], known)
    with_value = rows[rows["published"].notna()]
    if len(with_value):
        return Block(path, with_value, "")
    return Block(path, nothing, f"{_why(source, known)}. {_of_ones_own(path, source)}")


def _why(source: Source, known: Sequence[dict[str, Any]]) -> str:
    """Say why a results table has no value in common with the published ones."""
    experiments = sorted(set(source.table["experiment"]))
    of = [row for row in known if row["experiment"] in experiments]
    if not of:
        return f"no number was published for the experiment {', '.join(experiments)}"
    have = ", ".join(sorted(set(source.table["protocol"])))
    theirs = ", ".join(sorted({row["protocol"] for row in of}))
    return f"its protocols are {have}, and numbers were published of the protocol {theirs} only"


def _of_ones_own(path: Path, source: Source) -> str:
    protocols, metrics = (sorted(set(source.table[name])) for name in ("protocol", "metric"))
    more = f" and {len(metrics) - 4} more" if len(metrics) > 4 else ""
    return (
        f"It can be compared with results of your own: `compare {path.stem} YOURS` (protocols: "
        f"{', '.join(protocols)}; metrics: {', '.join(metrics[:4])}{more})"
    )


def published_tables(paths: Iterable[Path | str], published: Path | str, width: int = WIDTH) -> str:
    """Write what was published beside what runs found, a short table for each run.

    Parameters
    ----------
    paths : run folders or tables, as `compare` takes them; those without a published value are
        named in a last line

    Returns
    -------
    text, the experiments in the order in which their values are published
    """
    known = read_published(published)
    order = list(dict.fromkeys(row["experiment"] for row in known))
    frames, without = [], []
    for source in load(paths):
        rows = of_sources([source], known)
        rows = rows[rows["published"].notna()]
        if len(rows):
            frames.append(rows)
        else:
            without.append(source.label)
    frames.sort(key=lambda rows: order.index(rows["experiment"].iloc[0]))
    lines: list[str] = []
    for rows in frames:
        title = f"Published against ours: {rows['run'].iloc[0]}"
        lines += [*_published_lines(title, rows, width), ""]
    if without:
        lines += [f"Nothing was published to compare with: {', '.join(without)}.", ""]
    return "\n".join(wrapped(lines, max(width, WIDTH)))


def _published_lines(title: str, rows: pd.DataFrame, width: int) -> list[str]:
    """Return the lines of one run's table: counts stand for the shares that they are."""
    by = ["protocol", "arm", "split"]
    counted = set(map(tuple, rows.loc[rows["metric"].isin(tables.COUNTED), by].to_numpy()))
    varying = [name for name in by if len(set(rows[name])) > 1] or ["arm"]
    same = ", ".join(rows[name].iloc[0] for name in by if name not in varying)
    table: Table = [["", "labels", "published", "ours", "verdict"]]
    reasons: dict[str, None] = {}
    for row in rows.to_dict("records"):
        if row["metric"] == "accuracy" and tuple(row[name] for name in by) in counted:
            continue
        what = ", ".join(row[name] for name in varying)
        what += "" if row["metric"] in tables.COUNTED else f", {row['metric']}"
        of = "" if row["as_share"] or row["metric"] not in tables.COUNTED else row["n_eval"]
        known, ours = number(row["published"], form_of(row)), value(row) or "none"
        if of and not math.isnan(row["mean"]):
            ours = f"{number(row['mean'], 'count')} of {number(of)}"
        known += f" of {number(of)}" if of else ""
        table.append([what, number(row["n_human"]), known, ours, row["verdict"]])
        if row["reason"]:
            reasons.setdefault(f"{row['verdict']}: {row['reason']}")
    lines = [f"{title} ({same})", *fit(table, width), *reasons]
    if rows["verdict"].str.endswith(RENDERED).any():
        lines.append(RENDERED_MEANS)
    return wrapped(lines, max(width, WIDTH))
