"""What learning curves of many strategies and seeds say: areas, labels needed, wins, costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from alutils.experiments.strategies.curves import TEST_SHARE
from alutils.stats import tables
from alutils.stats.intervals import holm, paired, t_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TARGETS = (0.85, 0.90, 0.95)
BASELINE = "random"
TEST_TO_TRAIN = dict.fromkeys(("letters_vgg16", "letters", "digits"), TEST_SHARE / (1 - TEST_SHARE))
"""Protocols whose seeds split one data set anew, to test items over others, for
`intervals.paired`: the letters of `alutils.experiments.strategies.curves`, both data sets of
notebook 04. The other settings are not among them: their pools are drawn, their test images stay
the same, and so their intervals are for these test images and do not hold the chance that drew
those.
"""
TITLES = {
    "mnist_pixels": "digits, pixels",
    "mnist_vgg16": "digits, VGG16 features",
    "fashion_pixels": "clothes, pixels",
    "fashion_vgg16": "clothes, VGG16 features",
    "letters_vgg16": "letters, VGG16 features",
    "lower_pixels": "small letters, pixels",
    "lower_vgg16": "small letters, VGG16 features",
}
"""What the settings of `alutils.experiments.strategies.curves` are called in tables and figures."""


def publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables made of a sweep of curves, and of timings: a row for each curve."""
    by = ["protocol", "arm"]
    seconds = tables.seconds(table, timings, by).groupby(by)["value"].mean().to_dict()
    return {
        "summary": summary(table, seconds),
        "curves": mean_curves(table),
        "best": tied_for_best(table),
    }


def figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str, str]]:
    """Return the figure of a sweep of curves, ``gains``, with its text alternative and finding."""
    from alutils import plots

    gains = summary(table)
    figure = plots.gains(
        gains,
        TITLES,
        f"What a strategy adds to the area under the curve ({gains['seeds'].min()} draws, "
        "95% interval)",
    )
    gain = gains.groupby("arm")["gain"].mean()
    most, least = plots.arm_name(str(gain.idxmax())), plots.arm_name(str(gain.idxmin()))
    alt = (
        "For each strategy and setting the mean gain over random in area under the learning curve, "
        "as a dot with its interval."
    )
    finding = (
        f"Over all settings {most} adds most, {100 * gain.max():.1f} points; {least} least, "
        f"{100 * gain.min():+.1f}."
    )
    return {"gains": (figure, alt, finding)}


def areas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the area under each learning curve: its mean accuracy over the labels.

    A row a curve: protocol, arm, seed, area (trapezoids over ``n_human``, divided by its span),
    last (accuracy after the last round).

    table : rows of the long results table, metric ``accuracy``, a row a round; every curve of a
        protocol has the same rounds
    """
    from scipy import integrate

    records = []
    for protocol, of_protocol in _curves(table).groupby("protocol", sort=False):
        spans = {}
        for (arm, seed), curve in of_protocol.groupby(["arm", "seed"], sort=False):
            n, accuracy = curve["n_human"].to_numpy(), curve["value"].to_numpy()
            if len(n) < 2:
                raise ValueError(f"{protocol}, {arm}, seed {seed}: 1 round; an area needs 2.")
            spans[tuple(n)] = arm
            area = integrate.trapezoid(accuracy, n) / (n[-1] - n[0])
            records.append((protocol, arm, seed, area, accuracy[-1]))
        if len(spans) > 1:
            one, other = list(spans.values())[:2]
            raise ValueError(
                f"{protocol}: the curves of {one} and {other} have different rounds; compare "
                "strategies that spent the same labels."
            )
    return pd.DataFrame(records, columns=["protocol", "arm", "seed", "area", "last"])


def labels_to_reach(table: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return after how many labels each curve first reaches an accuracy, NaN for never.

    A row a curve: protocol, arm, seed, labels. Between two rounds the curve is taken as straight.
    """
    if not 0 < target <= 1:
        raise ValueError(f"target={target}: expected an accuracy over 0, at most 1.")
    records = []
    for key, curve in _curves(table).groupby(["protocol", "arm", "seed"], sort=False):
        n, accuracy = curve["n_human"].to_numpy(float), curve["value"].to_numpy()
        reached = np.flatnonzero(accuracy >= target)
        labels = np.nan
        if len(reached):
            after = reached[0]
            labels = n[after]
            if after:
                rise = (target - accuracy[after - 1]) / (accuracy[after] - accuracy[after - 1])
                labels = n[after - 1] + rise * (n[after] - n[after - 1])
        records.append((*key, labels))
    return pd.DataFrame(records, columns=["protocol", "arm", "seed", "labels"])


def summary(
    table: pd.DataFrame,
    seconds: Mapping[tuple[str, str], float] | None = None,
    *,
    test_to_train: Mapping[str, float] = TEST_TO_TRAIN,
) -> pd.DataFrame:
    """Return a row for each protocol and strategy, the best area first.

    protocol, arm, seeds; area and last (means over seeds); gain, low, high, p: the paired
    difference in area to ``random`` (mean, 95% interval, p-value of the t-test); win, tie, loss:
    seeds on which the area is larger, equal, smaller; labels_to_85 and so on: median over seeds,
    NaN where no more than half of them reach it; reach_85: share of seeds that do; seconds;
    verdict: ``better``, ``worse`` or ``no better`` than random, by `intervals.holm` over the
    strategies of a protocol at 5%.

    Parameters
    ----------
    table : as for `areas`, at least two seeds, with the strategy ``random``
    seconds : (protocol, arm) to the mean time of a curve
    test_to_train : protocol to what `intervals.paired` is told of its seeds; 0 where it is not
        there: intervals are then for the test images at hand, and do not hold their sampling
    """
    by_seed = areas(table)
    reaching = {target: labels_to_reach(table, target) for target in TARGETS}
    records = []
    for protocol, of_protocol in by_seed.groupby("protocol", sort=False):
        wide = of_protocol.pivot(index="seed", columns="arm", values="area")
        last = of_protocol.groupby("arm")["last"].mean()
        if BASELINE not in wide:
            raise ValueError(f"{protocol}: no curves of {BASELINE}, with which to compare.")
        if wide.isna().any(axis=None):
            missing = wide.columns[wide.isna().any()][0]
            raise ValueError(f"{protocol}: {missing} lacks some seeds; run the sweep to its end.")
        for arm in wide:
            difference = paired(wide[arm], wide[BASELINE], test_to_train.get(protocol, 0.0))
            gaps = wide[arm] - wide[BASELINE]
            record = {
                "protocol": protocol, "arm": arm, "seeds": len(wide), "area": wide[arm].mean(),
                "last": last[arm], "gain": difference.mean, "low": difference.low,
                "high": difference.high, "p": difference.p, "win": int((gaps > 0).sum()),
                "tie": int((gaps == 0).sum()), "loss": int((gaps < 0).sum()),
            }  # fmt: skip
            for target, rows in reaching.items():
                own = rows[(rows["protocol"] == protocol) & (rows["arm"] == arm)]["labels"]
                # A seed that never gets there counts as infinitely late.
                middle = own.fillna(np.inf).median()
                record[f"labels_to_{100 * target:g}"] = middle if np.isfinite(middle) else np.nan
                record[f"reach_{100 * target:g}"] = own.notna().mean()
            record["seconds"] = (seconds or {}).get((protocol, arm), np.nan)
            records.append(record)
    together = pd.DataFrame(records)
    together["verdict"] = ""
    for _, rows in together.groupby("protocol"):
        others = rows[rows["arm"] != BASELINE]
        sure = dict(zip(others.index, holm(others["p"].to_numpy()), strict=True))
        for i in others.index:
            better = "better" if rows.loc[i, "gain"] > 0 else "worse"
            together.loc[i, "verdict"] = better if sure[i] else "no better"
    return together.sort_values(
        ["protocol", "area"], ascending=[True, False], kind="stable", ignore_index=True
    )


def mean_curves(
    table: pd.DataFrame, test_to_train: Mapping[str, float] = TEST_TO_TRAIN
) -> pd.DataFrame:
    """Return each strategy's mean curve: protocol, arm, n_human, mean, low, high, seeds.

    ``low`` and ``high``: 95% interval of the mean (Student's t over seeds, with the correction of
    `intervals.paired` where ``test_to_train`` names the protocol).
    """
    records, by = [], ["protocol", "arm", "n_human"]
    for key, rows in _curves(table).groupby(by, sort=False):
        values = rows["value"].to_numpy()
        mean = low = high = values.mean()
        if len(values) > 1:  # one seed is drawn as a line without a band
            low, high = t_interval(values, test_to_train.get(key[0], 0.0))
        records.append((*key, mean, low, high, len(values)))
    return pd.DataFrame(records, columns=[*by, "mean", "low", "high", "seeds"])


def no_better_than_random(summary: pd.DataFrame) -> dict[str, list[str]]:
    """Return for each protocol the strategies that are not better than random."""
    others = summary[(summary["arm"] != BASELINE) & (summary["verdict"] != "better")]
    return {
        protocol: sorted(others.loc[others["protocol"] == protocol, "arm"])
        for protocol in summary["protocol"].unique()
    }


def tied_for_best(
    table: pd.DataFrame, test_to_train: Mapping[str, float] = TEST_TO_TRAIN
) -> pd.DataFrame:
    """Return the best strategy of each protocol and those that are statistically tied with it.

    A row each, the best itself first: protocol, best, arm, behind (mean difference in area to the
    best, at most 0), low, high, p. Tied are those whose paired difference to the best is not
    significant after Holm's correction.
    """
    records = []
    for protocol, of_protocol in areas(table).groupby("protocol", sort=False):
        wide = of_protocol.pivot(index="seed", columns="arm", values="area")
        best = wide.mean().idxmax()
        others = [arm for arm in wide if arm != best]
        ratio = test_to_train.get(protocol, 0.0)
        differences = [paired(wide[arm], wide[best], ratio) for arm in others]
        apart = holm(np.array([d.p for d in differences]))
        tied = [
            (protocol, best, arm, d.mean, d.low, d.high, d.p)
            for arm, d, far in zip(others, differences, apart, strict=True)
            if not far
        ]
        records.append((protocol, best, best, 0.0, 0.0, 0.0, 1.0))
        records += sorted(tied, key=lambda record: -record[3])
    columns = ["protocol", "best", "arm", "behind", "low", "high", "p"]
    return pd.DataFrame(records, columns=columns)


def _curves(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[(table["metric"] == "accuracy") & (table["split"] == "test")]
    if rows.empty:
        raise ValueError("no rows with metric=accuracy and split=test: there is no curve.")
    return rows.sort_values(["protocol", "arm", "seed", "n_human"], kind="stable")
