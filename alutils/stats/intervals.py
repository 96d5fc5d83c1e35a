"""What a set of results says: means over seeds, paired differences, percentiles, bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from alutils.base.checks import check_open_fraction
from alutils.base.errors import ParameterError
from alutils.stats import tables

LEVEL = 0.95


def t_interval(
    values: Sequence[float] | np.ndarray, test_to_train: float = 0.0
) -> tuple[float, float]:
    """Interval at ``LEVEL`` of the mean of independent values; NaN for fewer than two.

    Parameters
    ----------
    values : (n,) float, without NaN
    test_to_train : as in `paired`, for seeds that split one data set anew

    Source: Student (1908); Nadeau and Bengio (2003) for re-splits.
    """
    from scipy.special import stdtrit  # here: half of the command's time, and not always needed

    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    error = math.sqrt(variance / n + variance * test_to_train)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return mean - half, mean + half


def over_seeds(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Summarise what was measured with several seeds.

    Parameters
    ----------
    table : ``by``, ``seed`` and ``value``, a row a seed; NaN where a seed has no value
    by : columns that are the same for all seeds

    Returns
    -------
    DataFrame in the order of the table: ``by``; seeds (that have a value), of (all); mean, the
    interval low, high of `t_interval`, least and most. Where ``by`` has a metric, the interval
    stays within the values that it can have
    """
    records = []
    for key, rows in table.groupby(list(by), sort=False):
        values = rows.sort_values("seed")["value"].dropna().to_numpy(float)
        mean, least, most = (
            (values.mean(), values.min(), values.max()) if len(values) else (np.nan,) * 3
        )
        possible = tables.bounds(str(dict(zip(by, key, strict=True)).get("metric", "")))
        low, high = np.clip(t_interval(values), *possible)
        records.append((*key, len(values), len(rows), mean, low, high, least, most))
    columns = [*by, "seeds", "of", "mean", "low", "high", "least", "most"]
    return pd.DataFrame(records, columns=columns)


@dataclass(frozen=True)
class Paired:
    """The difference between two arms, seed by seed, and its interval at `LEVEL`; see `paired`."""

    mean: float
    low: float
    high: float
    p: float  # of the paired t-test, two-sided
    p_signed_rank: float  # of Wilcoxon's, which assumes no normality; NaN for re-splits
    n: int  # seeds
    test_to_train: float = 0.0
    items: int = 0  # of the one data set that the seeds split, whose variance is in the interval

    @property
    def verdict(self) -> str:
        """What the interval says of the claim that the difference is above zero.

        ``supported`` where all of it is above zero, ``contradicted`` where all of it is below,
        ``inconclusive`` where zero lies in it.
        """
        if self.low > 0:
            return "supported"
        return "contradicted" if self.high < 0 else "inconclusive"

    def sentence(self, claim: str, n_test: int) -> str:
        """Return the finding, and what its interval is for; accuracies are given in points."""
        mean, low, high = (100 * value for value in (self.mean, self.low, self.high))
        seeds = f"{self.n} seeds on the same {n_test:,} test images, paired t-test"
        if self.items:
            seeds = (
                f"for other images of this kind: {self.n} splits of {self.items:,} images, "
                f"{n_test:,} of them to test, t-test with the variance over images"
            )
        elif self.test_to_train:
            seeds = (
                f"for other images of this kind: {self.n} re-splits of one data set, {n_test:,} "
                "test images each, t-test corrected for the re-splits"
            )
        return (
            f"{claim}: {mean:+.1f} points (95% interval {low:+.1f} to {high:+.1f}; {seeds}, "
            f"p = {self.p:.1g}). The claim is {self.verdict}."
        )


def paired(ours: np.ndarray, base: np.ndarray, test_to_train: float = 0.0) -> Paired:
    """Compare two arms that ran on the same seeds.

    Parameters
    ----------
    ours, base : (n_seeds,) float, one result a seed, in the same order; at least two
    test_to_train
        0 where seeds draw what is trained on and the test set is one and the same: the interval is
        for other such draws and *these* test images; how the test images were drawn is not in it.
        Where every seed splits one data set anew, the seeds share letters to test on and to train
        on, and more of them tell no more of other letters: then the number of test items over that
        of the others. The variance of the mean is then ``1 / n_seeds + test_to_train`` of that of a
        seed. This is careful: where few are labelled it is several times too wide, and where it is
        known which items were right `alutils.stats.resplits.paired_items` is the better one

    Returns
    -------
    Paired, of ``ours - base``; ValueError for arms that do not fit, or a ratio below 0

    Source: Student (1908); Wilcoxon (1945); Nadeau and Bengio (2003) for re-splits.
    """
    from scipy import stats

    ours, base = np.asarray(ours, float), np.asarray(base, float)
    if ours.shape != base.shape or ours.ndim != 1 or len(ours) < 2:
        raise ValueError(
            f"{ours.shape} and {base.shape} results: a paired comparison takes two arms with the "
            "same seeds, at least 2."
        )
    if not 0 <= test_to_train < np.inf:
        raise ValueError(
            f"test_to_train={test_to_train}: expected test items over others, 0 or more; 0 where "
            "the seeds share one test set"
        )
    difference = ours - base
    n, mean = len(difference), float(difference.mean())
    if np.ptp(difference) == 0:  # no spread: the tests are undefined, the answer is not
        same = float(difference[0] == 0)
        return Paired(mean, mean, mean, same, same, n, test_to_train)
    error = float(difference.std(ddof=1)) * np.sqrt(1 / n + test_to_train)
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    # Ranks have no such correction: re-splits leave the test without a meaning.
    p_signed_rank = np.nan if test_to_train else float(stats.wilcoxon(difference).pvalue)
    low, high = t_interval(difference, test_to_train)
    return Paired(mean, low, high, p, p_signed_rank, n, test_to_train)


def lower_bound(
    n: int | np.ndarray, errors: int | np.ndarray, level: float = 0.95
) -> float | np.ndarray:
    """One-sided lower bound on a share of right labels, exact for any n.

    Parameters
    ----------
    n, errors : labels checked and how many of them were wrong; integers or arrays of one shape
    level : probability, at least, that the bound lies below the true share

    Returns
    -------
    float or (...,) float in [0, 1]; 0 where nothing was checked

    Source: Clopper and Pearson (1934). For a sample without replacement it is careful: the
    hypergeometric distribution is the narrower one (Uhlmann 1966); see
    `alutils.guarantee.thresholds.wrong_at_most`.
    """
    from scipy import special

    check_open_fraction("level", level)
    n, errors = np.asarray(n), np.asarray(errors)
    if np.any(errors < 0) or np.any(errors > n):
        raise ParameterError("errors", errors, f"expected from 0 to n={n}")
    # SciPy's beta.ppf is this with many checks around it; forecasts ask hundreds of times.
    right = np.where(errors < n, n - errors, 1.0)
    bound = np.where(errors < n, special.betaincinv(right, errors + 1.0, 1 - level), 0.0)
    return float(bound) if bound.ndim == 0 else bound


def holm(p: np.ndarray, level: float = 1 - LEVEL) -> np.ndarray:
    """Tell which of several claims are supported when all of them are tested.

    Parameters
    ----------
    p : (n,) float, their p-values
    level : the chance, at most, that any true null hypothesis is rejected

    Returns
    -------
    (n,) bool, whose null hypotheses are rejected (Holm 1979)
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    passes = p[order] <= level / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), bool)
    rejected[order] = np.cumprod(passes).astype(bool)
    return rejected


def percentile_of(value: float, draws: np.ndarray) -> float:
    """Return the per cent of ``draws`` (n,) below ``value``, those equal to it counted half."""
    draws = np.asarray(draws, float)
    return float(100 * (np.mean(draws < value) + np.mean(draws == value) / 2))


@dataclass(frozen=True)
class Reached:
    """How many of some replicates come to at least a value, and for how many that speaks.

    ``low`` and ``high``: interval at `LEVEL` of the share of all such replicates that do, exact
    (Clopper and Pearson 1934).
    """

    n: int
    of: int
    low: float
    high: float

    @classmethod
    def by(cls, value: float, draws: np.ndarray) -> Reached:
        """Count which of ``draws`` (n,) are at least ``value``."""
        from scipy.special import betaincinv

        n, of, rest = int((np.asarray(draws, float) >= value).sum()), len(draws), (1 - LEVEL) / 2
        low = float(betaincinv(n, of - n + 1, rest)) if n else 0.0
        high = float(betaincinv(n + 1, of - n, 1 - rest)) if n < of else 1.0
        return cls(n, of, low, high)

    @property
    def share(self) -> str:
        """Return the interval in words."""
        return f"{100 * self.low:.1f}% to {100 * self.high:.1f}%"


def bands(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Summarise a column of many replicates round by round.

    Returns
    -------
    DataFrame: ``by`` (what names a round: arm, round, n_human), then mean, low (5th percentile),
    middle (median), high (95th), draws
    """
    grouped = table.groupby(by, sort=False)[value]
    return grouped.agg(
        mean="mean",
        low=lambda v: np.percentile(v, 5),
        middle="median",
        high=lambda v: np.percentile(v, 95),
        draws="count",
    ).reset_index()


def wilson(share: float, n: float) -> tuple[float, float]:
    """Interval at ``LEVEL`` of a proportion seen once, in n trials (Wilson 1927)."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def clearly_better(
    right: np.ndarray, before: np.ndarray, *, errors: float, least: float = 0.0
) -> bool:
    """Return whether the first of two is better on the same items by more than chance explains.

    Parameters
    ----------
    right, before : (n,) bool, which items each has right
    errors : standard errors of the paired difference that the gain must be more than
    least : gain in accuracy that it must be more than, too
    """
    gain = right.astype(float) - before
    return bool(gain.mean() > max(least, errors * float(gain.std()) / len(gain) ** 0.5))
