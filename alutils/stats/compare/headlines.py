"""The few results of a comparison that are shown where nothing in particular is asked for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alutils.stats import tables
from alutils.stats.compare.sources import GROUP, Source
from alutils.stats.tables import TableError

HEADLINES = (("labels_expected", "labels_to_certify"), ("accuracy",), ("n_right",))
"""Metrics that say most of an experiment: those of the first line of which it has any."""
MOST = 24
"""Groups of results that are shown, as long as published values and one table do not need more."""
_TABLE = ["experiment", "protocol", "split", "metric"]


def main(frame: pd.DataFrame, most: int = MOST) -> pd.DataFrame:
    """Keep the main results of a comparison.

    These are the published values (a count, not also the share that it is), then for each protocol
    without published values the tables of its first metrics of `HEADLINES`, on test images where
    there are any. Where several runs are compared, a table is kept only for what at least two of
    them hold. Whole tables are kept up to ``most`` groups.

    Parameters
    ----------
    frame : as `alutils.stats.compare.compare` returns it

    Returns
    -------
    frame with some of the rows, in their order; all of them where there are no more than ``most``
    """
    if count(frame) <= most:
        return frame
    published = _published(frame)
    left = frame[~published]
    left = _in_common(left) if len(set(frame["run"])) > 1 else left
    kept = [frame[published]]
    room = most - count(frame[published])
    for rows in _tables(left, done=frame[published]):
        room -= count(rows)
        if room < 0 and any(map(len, kept)):
            break
        kept.append(rows)
    return frame.loc[sorted(index for rows in kept for index in rows.index)]


def count(frame: pd.DataFrame) -> int:
    """Return how many groups of results (arms of a protocol, split and metric) a frame has."""
    return len(frame[list(GROUP)].drop_duplicates())


def check_common(frame: pd.DataFrame, sources: Sequence[Source]) -> None:
    """Raise TableError where several runs are compared and no result is in two of them."""
    measured = frame[frame["n"] > 0]
    if len(sources) < 2 or len(_in_common(measured)):
        return
    holds = []
    for source in sources:
        of = source.table
        experiments, protocols = (", ".join(sorted(set(of[c]))) for c in ("experiment", "protocol"))
        holds.append(f"{source.label} holds {experiments} ({protocols})")
    raise TableError(
        f"{' and '.join(source.label for source in sources)} have nothing in common: no protocol, "
        f"arm, split and metric is in two of them ({'; '.join(holds)}). Name runs of one "
        "experiment, or one of these alone to hold it against the published values"
    )


def _in_common(frame: pd.DataFrame) -> pd.DataFrame:
    runs = frame.groupby(list(GROUP))["run"].transform("nunique")
    return frame[runs > 1]


def _published(frame: pd.DataFrame) -> pd.Series:
    """Return which rows have a published value, without the shares of counts that are there."""
    published = frame["published"].notna()
    by = ["experiment", "protocol", "arm", "split"]
    counted = set(
        map(tuple, frame.loc[published & frame["metric"].isin(tables.COUNTED), by].values)
    )
    twin = np.array([tuple(row) in counted for row in frame[by].to_numpy()], bool)
    return published & ~((frame["metric"] == "accuracy") & twin)


def _tables(frame: pd.DataFrame, done: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the tables that say most of each experiment and protocol that is not done."""
    places = {split: place for place, split in enumerate(tables.SPLITS)}
    lines = {metric: line for line, metrics in enumerate(HEADLINES) for metric in metrics}
    finished = set(map(tuple, done[["experiment", "protocol"]].to_numpy()))
    best: dict[tuple[str, str], tuple[tuple[int, int], list[pd.DataFrame]]] = {}
    for (experiment, protocol, split, metric), rows in frame.groupby(_TABLE, sort=False):
        what = (experiment, protocol)
        if what in finished:
            continue
        rank = lines.get(metric, len(lines)), places.get(split, len(places))
        if what not in best or rank < best[what][0]:
            best[what] = rank, [rows]
        elif rank == best[what][0] and metric in lines:
            best[what][1].append(rows)
    return [rows for _, found in best.values() for rows in found]
