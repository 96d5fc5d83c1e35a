"""Means and intervals of groups of rows, and their differences between runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from alutils.stats import tables
from alutils.stats.compare.sources import GROUP, Source
from alutils.stats.intervals import t_interval, wilson

PROPORTIONS = ("accuracy", "share_unsure", "share_human", "auto_coverage", "auto_precision")
"""Shares of the row's ``n_eval`` items: one of them alone has an interval, Wilson's."""
Summary = dict[str, Any]


def summarise(table: pd.DataFrame, curves: bool) -> list[Summary]:
    """Summarise every group of rows, and with ``curves`` every round of it.

    Returns
    -------
    one dict a group: the names of `GROUP`, round, n_human, n_auto, n_eval (means over seeds where
    they differ), n, mean, low, high; ``values``, a value by seed; ``of``, n_eval by seed; ``last``,
    whether these are every seed's last round
    """
    last = table.groupby([*GROUP, "run_id", "seed"], sort=False)["round"].transform("max")
    table = table.assign(last=table["round"] == last)
    by = [*GROUP, "round"] if curves else list(GROUP)
    summaries = []
    for key, rows in (table if curves else table[table["last"]]).groupby(by, sort=False):
        counts = {name: _whole(rows[name].mean()) for name in ("round", "n_human", "n_auto")}
        defined = rows[rows["value"].notna()]
        n_eval = (defined if len(defined) else rows)["n_eval"].mean()
        group = dict(zip(by, key, strict=True)) | counts | {"n_eval": _whole(n_eval)}
        group["values"] = dict(zip(defined["seed"], defined["value"], strict=True))
        group["of"] = dict(zip(defined["seed"], defined["n_eval"], strict=True))
        group["last"], group["as_share"] = bool(rows["last"].all()), False
        if len(set(group["of"].values())) > 1:
            group = as_share(group)
        summaries.append(with_interval(group))
    return summaries


def _whole(mean: float) -> float | int:
    return int(mean) if mean == int(mean) else float(mean)


def as_share(summary: Summary) -> Summary:
    """Turn a count out of ``n_eval`` into a share of it, so that other numbers compare with it."""
    if summary["metric"] not in tables.COUNTED or summary["as_share"]:
        return summary
    values = {seed: value / summary["of"][seed] for seed, value in summary["values"].items()}
    return with_interval(summary | {"values": values, "as_share": True})


def with_interval(summary: Summary) -> Summary:
    """Add n, mean and the 95% interval, which never leaves the values that are possible."""
    values = list(summary["values"].values())
    mean = math.fsum(values) / len(values) if values else math.nan
    low, high = _interval(summary, values)
    return summary | {"n": len(values), "mean": mean, "low": low, "high": high}


def _interval(summary: Summary, values: Sequence[float]) -> tuple[float, float]:
    metric, n_eval = summary["metric"], float(summary["n_eval"])
    counted = metric in tables.COUNTED
    least, most = tables.bounds(metric)
    if counted:
        most = 1.0 if summary["as_share"] else n_eval
    if len(values) > 1:
        low, high = t_interval(values)
        return max(low, least), min(high, most)
    if len(values) == 1 and n_eval > 0 and (counted or metric in PROPORTIONS):
        scale = n_eval if counted and not summary["as_share"] else 1.0
        if 0 <= values[0] <= scale:
            low, high = wilson(values[0] / scale, n_eval)
            return low * scale, high * scale
    return math.nan, math.nan


def align(groups: Sequence[Summary], n_published: float | None) -> list[Summary]:
    """Make the same group of several runs comparable: counts out of different numbers as shares."""
    numbers = {float(group["n_eval"]) for group in groups}
    if n_published is not None:
        numbers.add(float(n_published))
    if len(numbers) > 1 or any(group["as_share"] for group in groups):
        return [as_share(group) for group in groups]
    return list(groups)


def minus(ours: Summary, first: Summary, on_same_data: bool) -> Mapping[str, float]:
    """Return the difference between two runs' means of one group and, where sound, its interval.

    Pairs need the same seeds, at least two, on the same data and as many items to evaluate on:
    then a seed means the same draw in both, and the paired t-test's interval is given.
    """
    result = {"minus_first": ours["mean"] - first["mean"]}
    seeds = list(ours["values"])
    same = set(seeds) == set(first["values"]) and ours["of"] == first["of"]
    if on_same_data and same and len(seeds) > 1:
        # As `intervals.paired` has it, without what imports the whole of SciPy's statistics.
        low, high = t_interval([ours["values"][seed] - first["values"][seed] for seed in seeds])
        result |= {"minus_low": low, "minus_high": high, "pairs": len(seeds)}
    return result


def same_data(ours: Source, first: Source) -> bool:
    """Whether two runs note the same data by its content."""
    inputs = [source.about.get("inputs") or {} for source in (ours, first)]
    if not all(isinstance(each, Mapping) and each for each in inputs):
        return False
    hashes = [{name: of.get("sha256") for name, of in each.items()} for each in inputs]
    return hashes[0] == hashes[1]
