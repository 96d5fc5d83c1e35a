"""Runs and tables against each other and against what was published.

Rows are grouped by experiment, protocol, arm, split and metric, of the last round unless learning
curves are asked for. The interval is Student's t over seeds where there are two or more, Wilson's
for a single proportion or count of right answers; another single number has none.

==================  ==========================================================================
``exact``           claimed as exact, and every seed's value is the published one
``MISSED``          claimed as exact, and a value is another one, or is not there
``within interval`` the published value lies in the 95% interval of ours
``differs``         it does not
``no interval``     one number that is no proportion: nothing to judge by
``other data``      the run's parameters are not the ones under which the value was published
``no parameters``   a table without a manifest beside it: it cannot be judged
``not published``   there is no such published value
==================  ==========================================================================

The documents' letters are real ones: where a run's are rendered from fonts, its verdict on a value
that is no exact claim says so, as in ``differs (rendered)``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pandas as pd

from alutils.base import manifest
from alutils.stats import tables
from alutils.stats.intervals import LEVEL, t_interval
from alutils.stats.tables import TableError

GROUP = ("experiment", "protocol", "arm", "split", "metric")
PUBLISHED_COLUMNS = (*GROUP, "value", "n_eval", "n_human", "claim", "when", "source")
COMPARED = (
    "run", *GROUP, "round", "n_human", "n_auto", "n_eval",
    "n", "mean", "low", "high", "published", "difference", "verdict",
)  # fmt: skip
PROPORTIONS = ("accuracy", "share_unsure", "share_human", "auto_coverage", "auto_precision")
COUNTS = ("n_right", "auto_wrong", "n_moved", "labels_to_reach")
NOTE = (
    "95% intervals: Student's t over n seeds; Wilson's for a single proportion. "
    "Difference: ours - published. Seeds share their data set: the interval of their mean is for "
    "other draws from it, not for other images."
)


@dataclass(frozen=True)
class Source:
    """A results table and, where it is known, under which parameters and on what it was made."""

    label: str
    table: pd.DataFrame
    parameters: Mapping[str, Any] | None
    cpu: str | None = None
    rendered: bool = False  # made from letters that were rendered from fonts


def compare(
    paths: Iterable[Path | str], published: Path | str | None = None, *, curves: bool = False
) -> pd.DataFrame:
    """Summarise runs and tables and hold them against published values.

    Parameters
    ----------
    paths : run folders, or CSV tables in the long format of `alutils.stats.tables`
    published : CSV table with `PUBLISHED_COLUMNS`; None: nothing counts as published
    curves : keep every round instead of each seed's last

    Returns
    -------
    frame with the columns `COMPARED`, one row for each run, group and, with `curves`, round; in
    the published order of arms and the common one of protocols and metrics, others behind by name

    Raises
    ------
    TableError
        A path that is not there, is no results table, or is a run that did not end well.
    """
    known = read_published(published) if published is not None else []
    rows = []
    for source in load(paths):
        summaries = _summaries(source.table, curves)
        rows += [{"run": source.label, **_judge(row, known, source)} for row in summaries]
        rows += _absent(summaries, known, source)
    orders = {"protocol": tables.PROTOCOLS, "split": tables.SPLITS, "metric": tables.METRICS}
    orders["arm"] = tuple(dict.fromkeys(row["arm"] for row in known))

    def rank(column: pd.Series) -> pd.Series:
        order = {name: place for place, name in enumerate(orders.get(str(column.name), ()))}
        return column.map(lambda name: (order.get(name, len(order)), name)) if order else column

    by = ["experiment", "protocol", "split", "metric", "arm", "round"]
    frame = pd.DataFrame(rows, columns=list(COMPARED))
    return frame.sort_values(by, key=rank, kind="stable", ignore_index=True)


def missed(frame: pd.DataFrame) -> bool:
    """Whether a value that is claimed as exact was missed: exit status 1."""
    return bool((frame["verdict"] == "MISSED").any())


def load(paths: Iterable[Path | str]) -> list[Source]:
    """Read run folders and tables; labels are their names, numbered where two are the same."""
    sources: list[Source] = []
    for path in map(Path, paths):
        if path.name == "metrics.csv" and (path.parent / "manifest.json").is_file():
            path = path.parent
        label, beside = path.stem, path.with_suffix(".manifest.json")
        if path.is_dir():
            label, beside = path.resolve().name, path / "manifest.json"
        about = manifest.read_json(beside)
        status = about.get("status", "complete")
        if status != "complete":
            raise TableError(f"{path}: the run's status is {status}; run it again to finish it")
        if path.is_dir() and not (path / "metrics.csv").is_file():
            raise TableError(f"{path}: no metrics.csv in it; expected the folder of a finished run")
        table = tables.read(path / "metrics.csv" if path.is_dir() else path)
        taken = [source.label for source in sources]
        while label in taken:
            stem, _, number = label.partition("#")
            label = f"{stem}#{int(number or 1) + 1}"
        cpu = about.get("machine", {}).get("cpu")
        sources.append(Source(label, table, about.get("parameters"), cpu, is_rendered(about)))
    return sources


def is_rendered(about: Mapping[str, Any]) -> bool:
    """Whether a manifest says that the letters were rendered from fonts."""
    inputs = about.get("inputs", {}).values()
    return any(entry.get("provenance") == "rendered" for entry in inputs)


def read_published(path: Path | str) -> list[dict[str, Any]]:
    """Read published values as one dict a row; TableError says what is wrong with the file."""
    try:
        # Python's float() is exact; pandas' own is not in every version.
        table = pd.read_csv(path, converters={"value": float}, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise TableError(f"{path}: no table of published values ({error})") from error
    lacking = [column for column in PUBLISHED_COLUMNS if column not in table.columns]
    if lacking:
        raise TableError(f"{path}: lacks {', '.join(lacking)}; a row is {PUBLISHED_COLUMNS}")
    for claim in table["claim"].unique():
        if claim not in ("exact", "context"):
            raise TableError(f"{path}: claim={claim}: expected exact or context")
    return table.to_dict("records")


def wilson(share: float, n: float) -> tuple[float, float]:
    """95% interval of a proportion seen once, in n trials (Wilson 1927)."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _summaries(table: pd.DataFrame, curves: bool) -> list[dict[str, Any]]:
    """Mean, n and interval of every group; values kept for the verdict."""
    last = table.groupby([*GROUP, "run_id", "seed"], sort=False)["round"].transform("max")
    table = table.assign(last=table["round"] == last)
    by = [*GROUP, "round"] if curves else list(GROUP)
    summaries = []
    for key, rows in (table if curves else table[table["last"]]).groupby(by, sort=False):
        values = rows["value"].dropna().tolist()
        group = dict(zip(by, key, strict=True))
        n_eval = rows["n_eval"].iloc[0]
        low, high = _interval(group["metric"], values, float(n_eval))
        counts = {c: rows[c].mean() for c in ("round", "n_human", "n_auto")}
        counts = {c: int(mean) if mean == int(mean) else mean for c, mean in counts.items()}
        mean = math.fsum(values) / len(values) if values else math.nan
        group |= {**counts, "n_eval": n_eval, "n": len(values), "mean": mean}
        is_last = bool(rows["last"].all())
        summaries.append(group | {"low": low, "high": high, "values": values, "last": is_last})
    return summaries


def _interval(metric: str, values: list[float], n_eval: float) -> tuple[float, float]:
    if len(values) > 1:
        return t_interval(values)
    if len(values) == 1 and n_eval > 0:
        if metric in PROPORTIONS and 0 <= values[0] <= 1:
            return wilson(values[0], n_eval)
        if metric == "n_right" and 0 <= values[0] <= n_eval:
            low, high = wilson(values[0] / n_eval, n_eval)
            return low * n_eval, high * n_eval
    return math.nan, math.nan


def _judge(summary: dict[str, Any], known: list[dict[str, Any]], source: Source) -> dict[str, Any]:
    """Add published value, difference and verdict to a summary."""
    matching = [row for row in known if all(row[name] == summary[name] for name in GROUP)]
    row = matching[0] if matching and summary["last"] else None
    value = float(row["value"]) if row else math.nan
    low, high = summary["low"], summary["high"]
    letters = " (rendered)" if source.rendered else ""
    if row is None:
        verdict = "not published"
    elif (applies := _applies(row["when"], source.parameters)) is not True:
        verdict = "other data" if applies is False else "no parameters"
    elif row["claim"] == "exact":
        equal = bool(summary["values"]) and all(ours == value for ours in summary["values"])
        verdict = "exact" if equal else "MISSED"
    elif math.isnan(low):
        verdict = f"no interval{letters}"
    else:
        # Equal seeds make an interval of no width: allow for the rounding of its ends.
        within = low - 1e-12 <= value <= high + 1e-12
        verdict = ("within interval" if within else "differs") + letters
    return summary | {
        "published": value, "difference": summary["mean"] - value, "verdict": verdict
    }  # fmt: skip


def _absent(
    summaries: list[dict[str, Any]], known: list[dict[str, Any]], source: Source
) -> list[dict[str, Any]]:
    """Rows for what is claimed as exact under a run's parameters and is not in its table."""
    there = {tuple(summary[name] for name in GROUP) for summary in summaries}
    experiments = {summary["experiment"] for summary in summaries}
    return [
        {"run": source.label, "n": 0, "published": float(row["value"]), "verdict": "MISSED"}
        | {name: row[name] for name in (*GROUP, "n_human", "n_eval")}
        for row in known
        if row["claim"] == "exact"
        and row["experiment"] in experiments
        and tuple(row[name] for name in GROUP) not in there
        and _applies(row["when"], source.parameters) is True
    ]


def _applies(when: str, parameters: Mapping[str, Any] | None) -> bool | None:
    """Whether ``name=value;...`` holds for a run's parameters; None where these are not known."""
    if not when:
        return True
    if parameters is None:
        return None
    wanted = (condition.split("=", 1) for condition in when.split(";"))
    return all(str(parameters.get(name)) == value for name, value in wanted)


def render(frame: pd.DataFrame, form: str = "text") -> str:
    """Write a comparison as ``csv``, every digit, a row for each run, or to be read.

    ``text`` and ``markdown`` have a table for each experiment, its runs side by side.
    """
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    if frame.empty:
        return "nothing to compare\n"
    texts = []
    for experiment, rows in frame.groupby("experiment", sort=False):
        lines = _readable(rows)
        cells = [list(lines[0]), *(list(line.values()) for line in lines)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        cells.insert(1, ["-" * width for width in widths])
        padded = [[c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in cells]
        if form == "markdown":
            texts += [f"**{experiment}**", "", *(f"| {' | '.join(line)} |" for line in padded), ""]
        else:
            texts += [experiment, *("  ".join(line).rstrip() for line in padded), ""]
        runs = list(dict.fromkeys(rows["run"]))
        if len(runs) > 1:
            texts += [", ".join(f"[{i}] is {name}" for i, name in enumerate(runs, 1)), ""]
    return "\n".join([*texts, NOTE]) + "\n"


def _readable(frame: pd.DataFrame) -> list[dict[str, str]]:
    """One dict of texts, by column heading, for each line of one experiment's table."""
    labels = list(dict.fromkeys(frame["run"]))
    # Names of runs are long, so several stand under numbers, told below the table.
    heading = {name: f"[{i}]" for i, name in enumerate(labels, 1)} if len(labels) > 1 else {}
    by = ["protocol", "arm", "split", "metric"]
    if frame.duplicated(["run", *by]).any():
        by.append("round")
    lines = []
    for key, rows in frame.groupby(by, sort=False, dropna=False):
        line = {name: _number(part) for name, part in zip(by, key, strict=True)}
        runs = {row["run"]: row for row in rows.to_dict("records")}
        metric, first = line["metric"], next(iter(runs.values()))
        line["labels"] = _number(first["n_human"])
        line["published"] = _number(first["published"], metric)
        for label in labels:
            row = runs.get(label)
            line[heading.get(label, "ours")] = _value(row) if row else ""
            if not heading:
                line["difference"] = _number(first["difference"], metric, sign="+")
            line[f"{heading.get(label, '')} verdict".strip()] = row["verdict"] if row else ""
        for label in labels[1:]:
            pair = [runs[name]["mean"] if name in runs else math.nan for name in (labels[0], label)]
            line[f"{heading[label]} - [1]"] = _number(pair[1] - pair[0], metric, sign="+")
        lines.append(line)
    return lines


def _value(row: Mapping[str, Any]) -> str:
    """Return 'mean [low, high] (n)' of one row."""
    metric, text = row["metric"], _number(row["mean"], row["metric"])
    if not math.isnan(row["low"]):
        text += f" [{_number(row['low'], metric)}, {_number(row['high'], metric)}]"
    return text + (f" (n={row['n']})" if row["n"] > 1 else "")


def _number(value: Any, metric: str = "", sign: str = "") -> str:
    """Write a number as it is read: counts without superfluous digits, fractions with four."""
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return ""
    if metric in COUNTS or not metric:
        return f"{value:{sign}.0f}" if float(value).is_integer() else f"{value:{sign}.1f}"
    return f"{value:{sign}.4f}"
