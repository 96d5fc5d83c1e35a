"""Curves read off at the same places, their means, and their differences draw by draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alutils.experiments.strategies import results
from alutils.stats import intervals


def at_same(table: pd.DataFrame, column: str, places: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """Return all curves at the same places of a column, straight in between.

    ``table``: columns arm, seed, value and ``column``; the same come back, as rows of accuracy.
    ValueError for places that are not within all curves: nothing is known of a curve past its end.
    """
    low, high = shared(table, column)
    if len(places) == 0 or min(places) < low or max(places) > high:
        raise ValueError(
            f"{column}: read off at {list(places)}, expected places from {low:g} to {high:g}, "
            "where all curves are"
        )
    frames = [
        pd.DataFrame(
            {column: places, "value": np.interp(places, own[column], own["value"])}
        ).assign(arm=arm, seed=seed)
        for (arm, seed), own in table.groupby(["arm", "seed"])
    ]
    together = pd.concat(frames, ignore_index=True)
    return together.assign(protocol="sound", split="test", metric="accuracy")


def shared(table: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return where the last of the curves begins, and where the first of them ends."""
    ends = table.groupby(["arm", "seed"])[column].agg(["min", "max"])
    return ends["min"].max(), ends["max"].min()


def means(table: pd.DataFrame, test_to_train: float) -> pd.DataFrame:
    """Return the mean curve of each arm with its interval; see `intervals.paired` for the ratio."""
    return results.mean_curves(table, {"sound": test_to_train})


def areas_apart(
    table: pd.DataFrame, ours: str, base: str, test_to_train: float, column: str = "area"
) -> intervals.Paired:
    """Compare two arms in the area under their curves, or in ``last``, the accuracy at the end."""
    wide = results.areas(table).pivot(index="seed", columns="arm", values=column)
    return intervals.paired(wide[ours], wide[base], test_to_train)
