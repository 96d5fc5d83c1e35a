"""What a set of results says: paired differences, percentiles, curves with bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """The difference between two arms, seed by seed.

    Attributes
    ----------
    mean, low, high : mean difference and its interval at ``LEVEL`` (Student's t over seeds)
    p : two-sided p-value of the paired t-test
    p_signed_rank : two-sided p-value of Wilcoxon's signed-rank test, which assumes no normality
    n : seeds
    """

    mean: float
    low: float
    high: float
    p: float
    p_signed_rank: float
    n: int

    @property
    def verdict(self) -> str:
        """``holds`` where the whole interval is above zero, ``is reversed`` below, ``is open``."""
        if self.low > 0:
            return "holds"
        return "is reversed" if self.high < 0 else "is open"

    def sentence(self, claim: str, n_test: int) -> str:
        """Return the finding in one plain sentence; differences are accuracies, told in points."""
        mean, low, high = (100 * value for value in (self.mean, self.low, self.high))
        return (
            f"{claim}: {mean:+.1f} points (95% interval {low:+.1f} to {high:+.1f}, {self.n} seeds, "
            f"{n_test:,} test images, paired t-test p = {self.p:.1g}): the claim {self.verdict}."
        )


def paired(ours: np.ndarray, base: np.ndarray) -> Paired:
    """Compare two arms that ran on the same seeds.

    Parameters
    ----------
    ours, base : (n_seeds,) float, one result a seed, in the same order; at least two

    Returns
    -------
    Paired, of ``ours - base``

    Source: Student (1908); Wilcoxon (1945).
    """
    from scipy import stats

    ours, base = np.asarray(ours, float), np.asarray(base, float)
    if ours.shape != base.shape or ours.ndim != 1 or len(ours) < 2:
        raise ValueError(
            f"{ours.shape} and {base.shape} results: a paired comparison takes two arms with the "
            "same seeds, at least 2."
        )
    difference = ours - base
    if np.ptp(difference) == 0:  # no spread: the tests are undefined, the answer is not
        same = float(difference[0] == 0)
        return Paired(difference[0], difference[0], difference[0], same, same, len(difference))
    test = stats.ttest_1samp(difference, 0.0)
    interval = test.confidence_interval(LEVEL)
    return Paired(
        mean=float(difference.mean()),
        low=float(interval.low),
        high=float(interval.high),
        p=float(test.pvalue),
        p_signed_rank=float(stats.wilcoxon(difference).pvalue),
        n=len(difference),
    )


def percentile_of(value: float, draws: np.ndarray) -> float:
    """Return the per cent of ``draws`` (n,) below ``value``, those equal to it counted half."""
    draws = np.asarray(draws, float)
    return float(100 * (np.mean(draws < value) + np.mean(draws == value) / 2))


def bands(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Summarise many replicates round by round.

    Parameters
    ----------
    table : one row for each replicate and round
    by : columns that name a round, for example arm, round, n_human and n_auto
    value : column to summarise

    Returns
    -------
    DataFrame: ``by``, then mean, low (5th percentile), middle (median), high (95th), draws
    """
    grouped = table.groupby(by, sort=False)[value]
    return grouped.agg(
        mean="mean",
        low=lambda v: np.percentile(v, 5),
        middle="median",
        high=lambda v: np.percentile(v, 95),
        draws="count",
    ).reset_index()
