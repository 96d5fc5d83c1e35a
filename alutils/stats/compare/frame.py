"""The comparison as a frame: one row for each run and group of its rows."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base.errors import ParameterError, nearest
from alutils.stats import tables
from alutils.stats.compare.sources import GROUP, Source, load, read_published
from alutils.stats.compare.summaries import Summary, align, minus, same_data, summarise
from alutils.stats.compare.verdicts import absent, judge, match

COMPARED = (
    "run", *GROUP, "round", "n_human", "n_auto", "n_eval", "as_share",
    "n", "mean", "low", "high", "published", "difference", "verdict", "reason",
    "minus_first", "minus_low", "minus_high", "pairs",
)  # fmt: skip
"""``difference``: ours - published. ``minus_first``: this run - the first one, with the interval of
a paired t-test and the number of pairs where both have the same seeds on the same data. With
``as_share`` a count is given as a share of ``n_eval``, which is not the same number everywhere."""


def compare(
    paths: Iterable[Path | str], published: Path | str | None = None, *, curves: bool = False
) -> pd.DataFrame:
    """Summarise runs and tables and hold them against published values.

    Parameters
    ----------
    paths : folders of runs and sweeps, or CSV tables in the long format of `alutils.stats.tables`
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
    return of_sources(load(paths), known, curves=curves)


def of_sources(
    sources: Sequence[Source], known: list[dict[str, Any]], *, curves: bool = False
) -> pd.DataFrame:
    """Compare what is read already; see `compare`."""
    groups: dict[tuple, dict[str, Summary]] = {}
    rows: list[dict[str, Any]] = []
    for source in sources:
        summaries = summarise(source.table, curves)
        for summary in summaries:
            key = (*(summary[name] for name in GROUP), summary["round"] if curves else None)
            groups.setdefault(key, {})[source.label] = summary
        rows += [{"run": source.label} | row for row in absent(summaries, known, source)]
    for group in groups.values():
        rows += _compared(group, {source.label: source for source in sources}, known)
    labels = [source.label for source in sources]
    return _in_order(pd.DataFrame(rows, columns=list(COMPARED)), known, labels)


def _compared(
    group: Mapping[str, Summary], sources: Mapping[str, Source], known: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of one group, a run each."""
    row = match(next(iter(group.values())), known)
    labels = list(group)
    aligned = align([group[label] for label in labels], row["n_eval"] if row else None)
    rows = []
    for label, summary in zip(labels, aligned, strict=True):
        result = {"run": label} | summary | judge(summary, row, sources[label])
        first = next(iter(sources))
        if label != first and first in group:
            result |= minus(summary, aligned[0], same_data(sources[label], sources[first]))
        rows.append(result)
    return rows


def _in_order(
    frame: pd.DataFrame, known: list[dict[str, Any]], labels: Sequence[str]
) -> pd.DataFrame:
    """Sort tables, then arms, then rounds, then runs as they were given."""
    orders: dict[str, Sequence[str]] = {
        "protocol": tables.PROTOCOLS, "split": tables.SPLITS, "metric": tables.METRICS,
        "arm": tuple(dict.fromkeys(row["arm"] for row in known)), "run": labels,
    }  # fmt: skip

    def rank(column: pd.Series) -> pd.Series:
        order = {name: place for place, name in enumerate(orders.get(str(column.name), ()))}
        return column.map(lambda name: (order.get(name, len(order)), name)) if order else column

    by = ["experiment", "protocol", "split", "metric", "arm", "round"]
    # Without curves each run has one row of an arm, of its own last round: runs do not follow it.
    twice = frame.duplicated(["run", *GROUP]).any()
    by = [*by, "run"] if twice else [*by[:-1], "run", "round"]
    frame["reason"] = [reason if isinstance(reason, str) else "" for reason in frame["reason"]]
    frame["as_share"] = frame["as_share"].astype(bool)
    return frame.sort_values(by, key=rank, kind="stable", ignore_index=True)


def missed(frame: pd.DataFrame) -> bool:
    """Whether a value that is claimed as exact was missed: exit status 1."""
    return bool((frame["verdict"] == "missed").any())


def select(frame: pd.DataFrame, **wanted: Sequence[str]) -> pd.DataFrame:
    """Keep the rows of some metrics, arms, protocols or splits.

    Parameters
    ----------
    wanted : names by column, none for all

    Raises
    ------
    ParameterError
        For a name that no row has.
    """
    for column, names in wanted.items():
        known = list(dict.fromkeys(frame[column]))
        for name in names:
            if name not in known:
                raise ParameterError(f"--{column}", name, "no row has it", nearest(name, known))
        if names:
            frame = frame[frame[column].isin(names)]
    return frame.reset_index(drop=True)
