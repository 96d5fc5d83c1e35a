"""Which strategy ranks first over several settings, and how far ranks must lie apart to tell.

Source: Demšar (2006), "Statistical comparisons of classifiers over multiple data sets", section
3.2: the test of Friedman, and Nemenyi's critical difference of mean ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class Ranking:
    """Ranks of strategies, 1 for the largest area, means where several are equal.

    Attributes
    ----------
    ranks : a row for each strategy, the best mean first; a column for each setting
    critical : two mean ranks differ significantly if they lie farther apart than this
    p : of the hypothesis that all strategies are alike (Friedman's test)
    """

    ranks: pd.DataFrame
    critical: float
    p: float

    @property
    def mean(self) -> pd.Series:
        """Mean rank of each strategy, the best first."""
        return self.ranks.mean(axis=1)

    @property
    def tied(self) -> list[str]:
        """The best strategy, and those whose mean rank is not significantly worse."""
        mean = self.mean
        return list(mean.index[mean <= mean.iloc[0] + self.critical])


def critical_difference(n_arms: int, n_settings: int, level: float = 0.95) -> float:
    """Return how far two mean ranks must lie apart to differ significantly (Nemenyi).

    Parameters
    ----------
    n_arms, n_settings : 2 or more strategies that were ranked, on 2 or more settings
    level : 1 less the chance of any false difference among all pairs
    """
    quantile = stats.studentized_range.ppf(level, n_arms, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(n_arms * (n_arms + 1) / (6 * n_settings)))


def ranking(summary: pd.DataFrame) -> Ranking:
    """Rank the strategies of a benchmark on each of its settings, by area under the curve.

    Parameters
    ----------
    summary : columns protocol, arm, area, as `alutils.experiments.strategies.results.summary`
        makes it; strategies that some setting lacks are left out

    Raises
    ------
    ValueError
        For fewer than 3 strategies that all settings have, or a single setting.
    """
    areas = summary.pivot(index="arm", columns="protocol", values="area").dropna()
    n_arms, n_settings = areas.shape
    if n_arms < 3 or n_settings < 2:
        raise ValueError(
            f"{n_arms} strategies on {n_settings} settings; ranks need 3 on 2 settings or more"
        )
    ranks = areas.rank(ascending=False)
    ranks = ranks.loc[ranks.mean(axis=1).sort_values(kind="stable").index]
    all_equal = bool(np.ptp(areas.to_numpy(), axis=0).max() == 0)
    p = 1.0 if all_equal else float(stats.friedmanchisquare(*areas.to_numpy()).pvalue)
    return Ranking(ranks, critical_difference(n_arms, n_settings), p)
