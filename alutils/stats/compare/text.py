"""A comparison as it is read: in a terminal of some width, in Markdown, or as CSV."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from alutils.stats import tables
from alutils.stats.compare.verdicts import RENDERED, RENDERED_MEANS, VERDICTS

WIDTH = 80
COMFORTABLE, NARROWEST = 20, 10
"""Characters of the first column: with fewer, other columns give way; never less."""
NOTE = (
    "95% intervals: Student's t over n seeds, Wilson's for a single share. Seeds share their data "
    "set: an interval of a mean over seeds is for other draws from it, not for other images."
)
FOOTNOTE = "Difference: ours - published."
PAIRED = (
    "[2] - [1]: the difference of the runs; with an interval where both have the same seeds on the "
    "same data (paired t-test)."
)
Table = list[list[str]]  # lines of cells, the first the headings


def render(
    frame: pd.DataFrame,
    form: str = "text",
    width: int = WIDTH,
    left_out: int = 0,
    runs: Sequence[str] = (),
) -> str:
    """Write a comparison as ``csv`` (every digit, a row for each run), or to be read.

    ``text`` and ``markdown`` have a table for each experiment, protocol, split and metric. Text is
    at most ``width`` characters wide, 80 at least. ``left_out``: how many groups of results are
    not in the frame because they are not the main ones; a line says how to see them. ``runs``:
    their labels in the order of their numbers, where these have been explained already.
    """
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    if frame.empty:
        return "nothing to compare\n"
    labels = runs or list(dict.fromkeys(frame["run"]))
    names = {run: f"[{i}]" for i, run in enumerate(labels, 1)} if len(labels) > 1 else {}
    lines: list[str] = []
    for key, rows in frame.groupby(["experiment", "protocol", "split", "metric"], sort=False):
        lines += [_title(key, rows, form), *([""] if form == "markdown" else [])]
        table = _table_of_runs(rows, names) if names else _table_of_one(rows)
        lines += [*(markdown(table) if form == "markdown" else fit(table, width)), ""]
    if left_out:
        lines += [
            f"These are the main results. See the {left_out} others with --all, or choose with "
            "--metric, --arm, --protocol and --split.", "",
        ]  # fmt: skip
    if not runs:  # else they were said before
        lines += [f"{mark}  {run}" for run, mark in names.items()]
    lines += _legend(frame, names)
    return "\n".join(wrapped(lines, width if form == "text" else 10**6)) + "\n"


def _title(key: Any, rows: pd.DataFrame, form: str) -> str:
    experiment, protocol, split, metric = key
    about = f"{experiment}: {metric}, {split}, {protocol}"
    numbers = sorted(set(rows["n_eval"].dropna()))
    if rows["as_share"].any():
        about += f" (as shares: out of {' and '.join(number(n) for n in numbers)})"
    elif len(numbers) == 1 and numbers[0]:
        about += f" (out of {number(numbers[0])})"
    return f"**{about}**" if form == "markdown" else about


def _table_of_one(frame: pd.DataFrame) -> Table:
    """Lines of one run: an arm each."""
    by_round = bool(frame.duplicated("arm").any())
    with_published = bool(frame["published"].notna().any())
    headings = ["arm", *(["round"] if by_round else []), "labels"]
    headings += ["published"] if with_published else []
    headings += ["ours", "n", *(["difference", "verdict"] if with_published else [])]
    lines = [headings]
    for row in frame.to_dict("records"):
        kind = form_of(row)
        line = [row["arm"], *([number(row["round"])] if by_round else []), number(row["n_human"])]
        line += [number(row["published"], kind)] if with_published else []
        line += [value(row), number(row["n"])]
        if with_published:
            line += [number(row["difference"], kind, sign="+"), _verdict(row)]
        lines.append(line)
    return lines


def _table_of_runs(frame: pd.DataFrame, names: Mapping[str, str]) -> Table:
    """Lines of several runs: an arm's published value, its value in each run, the differences."""
    by_round = bool(frame.duplicated(["run", "arm"]).any())
    lines = [["arm", "", "labels", "value", "n", "verdict"]]
    for (arm, at), rows in frame.groupby(
        ["arm", frame["round"] if by_round else frame["arm"].map(lambda _: None)],
        sort=False, dropna=False,
    ):  # fmt: skip
        records = rows.to_dict("records")
        kind, title = form_of(records[0]), arm + (f", round {number(at)}" if by_round else "")
        block = []
        if not math.isnan(records[0]["published"]):
            shown = number(records[0]["published"], kind)
            block.append(["published", "", shown, "", ""])
        for row in records:
            labels = number(row["n_human"])
            block.append([names[row["run"]], labels, value(row), number(row["n"]), _verdict(row)])
        for row in records:
            if not math.isnan(row["minus_first"]):
                shown = number(row["minus_first"], kind, sign="+") + _interval(
                    row["minus_low"], row["minus_high"], kind, sign="+"
                )
                pairs = number(row["pairs"])
                about = "paired" if pairs else ""
                block.append([f"{names[row['run']]} - [1]", "", shown, pairs, about])
        lines += [[title if i == 0 else "", *cells] for i, cells in enumerate(block)]
    return lines if any(line[-1] for line in lines[1:]) else [line[:-1] for line in lines]


def _verdict(row: Mapping[str, Any]) -> str:
    return "" if row["verdict"] == "not published" else row["verdict"]


def form_of(row: Mapping[str, Any]) -> str:
    """Return how a row's values are written: ``share`` or ``count``."""
    return "count" if tables.is_count(row["metric"]) and not row["as_share"] else "share"


def value(row: Mapping[str, Any]) -> str:
    """Return 'mean [low, high]' of one row."""
    kind = form_of(row)
    return number(row["mean"], kind) + _interval(row["low"], row["high"], kind)


def _interval(low: float, high: float, kind: str, sign: str = "") -> str:
    if math.isnan(low):
        return ""
    return f" [{number(low, kind, sign)}, {number(high, kind, sign)}]"


def number(value: Any, kind: str = "count", sign: str = "") -> str:
    """Write a number as it is read: counts without superfluous digits, shares with four."""
    if value is None or math.isnan(value):
        return ""
    if kind == "count":
        return f"{value:{sign}.0f}" if float(value).is_integer() else f"{value:{sign}.1f}"
    return f"{value:{sign}.4f}" if abs(value) < 100 else f"{value:{sign}.1f}"


def _legend(frame: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    """Say what the verdicts mean, and why some values do not compare."""
    lines = []
    reasons = frame[frame["reason"] != ""].groupby(["run", "verdict", "reason"], sort=False).size()
    for (run, verdict, reason), n in reasons.items():
        rows = f" ({n} values)" if n > 1 else ""
        lines.append(f"{names.get(run, '')} {verdict}: {reason}{rows}".strip())
    given = dict.fromkeys(frame["verdict"].str.removesuffix(RENDERED))
    if frame["published"].notna().any():
        lines += [f"{name}: {VERDICTS[name]}" for name in given if name != "not published"]
    if frame["verdict"].str.endswith(RENDERED).any():
        lines.append(RENDERED_MEANS)
    if frame["difference"].notna().any() and not names:
        lines.append(FOOTNOTE)
    if frame["minus_first"].notna().any():
        lines.append(PAIRED)
    return [*lines, NOTE]


def fit(table: Table, width: int) -> list[str]:
    """Write a table in at most ``width`` characters, 80 at least.

    Where it is too wide, two columns without which it can be read are left out, then the names in
    the first column are broken.
    """
    width = max(width, WIDTH)
    for heading in ("n", "difference"):
        at = table[0].index(heading) if heading in table[0] else None
        if at is not None and _width(table) > width and _room(table, width) < COMFORTABLE:
            table = [[*line[:at], *line[at + 1 :]] for line in table]
    room = max(NARROWEST, _room(table, width))
    broken: Table = []
    for line in table:
        first, *more = _broken(line[0], room)
        broken += [[first, *line[1:]], *([f"  {part}", *[""] * (len(line) - 1)] for part in more)]
    widths = [max(map(len, column)) for column in zip(*broken, strict=True)]
    broken.insert(1, ["-" * size for size in widths])
    numeric = {"labels", "published", "n", "difference", "round"}
    right = [heading in numeric for heading in table[0]]
    return [
        "  ".join(
            cell.rjust(size) if to_right else cell.ljust(size)
            for cell, size, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in broken
    ]


def _width(table: Table) -> int:
    columns = list(zip(*table, strict=True))
    return sum(max(map(len, column)) for column in columns) + 2 * (len(columns) - 1)


def _room(table: Table, width: int) -> int:
    """Characters that are left for the first column."""
    return width - _width([["", *line[1:]] for line in table])


def _broken(name: str, room: int) -> list[str]:
    """Break a name of several words, or words joined by _, into parts of at most ``room``."""
    if len(name) <= room:
        return [name]
    parts = [""]
    for word in re.findall(r"[^_ ]*[_ ]?", name):
        if len(parts[-1]) + len(word) > room - 2 and parts[-1]:
            parts.append("")
        parts[-1] += word
    return [part.strip() for part in parts if part.strip()]


def wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Break the sentences that are too long; tables have their width already."""
    out: list[str] = []
    for line in lines:
        parts = [line] if len(line) <= width else textwrap.wrap(line, width, subsequent_indent="  ")
        out += parts or [""]
    return out


def markdown(table: Table) -> list[str]:
    """Write a table in Markdown."""
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    table = [table[0], ["-" * size for size in widths], *table[1:]]
    return [
        f"| {' | '.join(c.ljust(w) for c, w in zip(line, widths, strict=True))} |" for line in table
    ]


def render_differences(frame: pd.DataFrame, form: str = "text", width: int = WIDTH) -> str:
    """Write in what runs differ (see `alutils.stats.compare.sources.differences`)."""
    labels = list(frame.columns[2:])
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    marks = [f"[{i}]" for i in range(1, len(labels) + 1)]
    lines = [f"{mark}  {label}" for mark, label in zip(marks, labels, strict=True)]
    if frame.empty:
        return "\n".join([*lines, "Parameters, data and versions: no difference is noted.", "", ""])
    table = [["what differs", "", *marks], *frame.astype(str).to_numpy().tolist()]
    if form == "markdown":
        return "\n".join([*lines, "", *markdown(table), "", ""])
    room = max(width, WIDTH) - _width([line[:2] for line in table]) - 2 * len(labels)
    share = max(8, room // len(labels))
    table = [
        [*line[:2], *(c if len(c) <= share else c[: share - 1] + "…" for c in line[2:])]
        for line in table
    ]
    return "\n".join([*lines, "", *fit(table, width), "", ""])
