"""The interval of a difference that was measured on re-splits of one data set.

Every seed splits the same items into those that test and those that may be labelled. Two things
would be otherwise on other items of the kind: what each training came to, which varies from seed to
seed, and which items there are to test. The seeds share their items, so that more seeds tell no
more of these. The variance of the mean difference is the sum of both: that over seeds, divided by
their number, and that over items, divided by theirs. The second is that of what an item does on
average over trainings. It is estimated from the products of what one item did in two seeds, in
which the luck of each training is independent.

Nadeau and Bengio's correction (`alutils.stats.intervals.paired`) needs one number a seed. It takes
all variance over seeds for one of the items that are tested; with few labels most of it is that of
training, and the interval is several times too wide. ``python -m benchmarks resplits`` measures
how often each holds the truth.

Source: variances of two crossed factors, Cameron, Gelbach and Miller (2011); re-splits, Nadeau and
Bengio (2003).
"""

from __future__ import annotations

import math

import numpy as np

from alutils.base.errors import ParameterError
from alutils.stats.intervals import LEVEL, Paired


def paired_items(difference: np.ndarray) -> Paired:
    """Compare two arms on re-splits of one data set, item by item.

    Parameters
    ----------
    difference : (n_seeds, n_items) float, what the one arm has right less what the other has, for
        each item that the seed tests: 1, 0 or -1 for a label, or a mean over rounds. NaN for an
        item that the seed does not test

    Returns
    -------
    Paired, its interval for other items of this kind; ParameterError for fewer than two seeds, a
    seed without a test item, or seeds that share none
    """
    from scipy import stats

    of, there = np.asarray(difference, float), ~np.isnan(difference)
    if of.ndim != 2 or len(of) < 2:
        raise ParameterError(
            "difference", of.shape, "expected (n_seeds, n_items), of two seeds or more"
        )
    if not there.any(axis=1).all():
        seed = int(np.flatnonzero(~there.any(axis=1))[0])
        raise ParameterError("difference", "NaN", f"expected a test item in every seed, not {seed}")
    means = np.nanmean(of, axis=1)
    n, mean = len(means), float(means.mean())
    by_item = item_variance(of)
    error = math.sqrt(float(means.var(ddof=1)) / n + by_item / of.shape[1])
    if error == 0:
        same = float(mean == 0)
        return Paired(mean, mean, mean, same, np.nan, n, items=of.shape[1])
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return Paired(mean, mean - half, mean + half, p, np.nan, n, items=of.shape[1])


def item_variance(difference: np.ndarray) -> float:
    """Return the variance over items of what an item does on average over trainings, 0 or more.

    difference : as in `paired_items`; ParameterError where no item is tested in two seeds
    """
    there = ~np.isnan(difference)
    seen, of = there.sum(axis=0), np.where(there, difference, 0.0)
    pairs = int((seen * (seen - 1)).sum())
    if not pairs:
        raise ParameterError(
            "difference", "no item in two seeds", "expected seeds that share test items"
        )
    products = float((of.sum(axis=0) ** 2 - (of**2).sum(axis=0)).sum()) / pairs
    return max(products - float(np.nanmean(difference, axis=1).mean()) ** 2, 0.0)
