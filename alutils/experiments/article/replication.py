"""The article's experiment many times over: what its six numbers are one draw of.

Three kinds of replicates, all with the article's procedure and the replicate engine:

``noise``  the article's own digits; the weights start at tiny random numbers instead of zero.
``draws``  other training digits, and so another first ten; the test digits stay.
``sound``  other training digits, and training is stopped by validation digits of their own, so
           that the test digits play no part in it; random labels at every label count, too.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from alutils.base.checks import check_count, check_known
from alutils.data.dataset import Dataset, as_float
from alutils.experiments.article import procedure
from alutils.experiments.article.inputs import Digits
from alutils.experiments.base import Keep, compute
from alutils.models.softmax_exact import Weights
from alutils.models.softmax_fast import SparseImages, SparseSoftmax
from alutils.stats.tables import Vocabulary

KINDS = ("noise", "draws", "sound")
VOCABULARY = Vocabulary(protocols=KINDS)
BATCH = 32
"""Replicates in a part that is kept."""


@dataclass(frozen=True)
class Replicates:
    """What `replicates` gives.

    Attributes
    ----------
    kind, digits, noise : what was asked for
    table : ``replicate``, the draw's number, and the columns of `procedure.table`, a row a round;
        ``n_right_test`` counts all test digits that there are
    """

    kind: str
    digits: Digits
    noise: float
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """What figures and tables call this kind."""
        if self.kind == "noise":
            return "numerical noise"
        few = len(self.digits.train) == self.digits.n_train
        return "other orders of the same digits" if few else "other draws of the digits"

    @property
    def n(self) -> int:
        return int(self.table["replicate"].nunique())

    @cached_property
    def last(self) -> pd.DataFrame:
        """The last round of every arm of every replicate."""
        return self.table.groupby(["replicate", "arm"], sort=False).last().reset_index()

    def rows(self, stop_split: str, test_split: str) -> list[dict[str, Any]]:
        """Return the last rounds as rows of the results table; see `procedure.metrics`."""
        splits = {"stop_split": stop_split, "test_split": test_split}
        return [
            row
            for number, one in self.table.groupby("replicate")
            for row in procedure.metrics(one, protocol=self.kind, seed=int(number), **splits)
        ]


def replicates(
    kind: str, digits: Digits, *, n: int, seed: int, noise: float = 0.0, keep: Keep = compute
) -> Replicates:
    """Run the article's six arms ``n`` times on all cores, `BATCH` at a time.

    A draw's number is all that its randomness depends on, whatever the run it belongs to: runs that
    begin with other seeds share the draws whose numbers they share, and no others.

    Parameters
    ----------
    kind : one of `KINDS`
    digits : what to draw from, and the sizes of the loop
    n : replicates; the first n are the same whatever n is
    seed : number of the first draw; the others follow
    noise : standard deviation of the starting weights of kind ``noise``
    keep : keeps each batch's table, so that a killed run goes on after the last whole one
    """
    check_known("kind", kind, KINDS)
    check_count("n", n, 1)
    check_count("seed", seed)
    noise = noise if kind == "noise" else 0.0  # no part of another kind depends on it
    tables = []
    with tqdm(total=n, desc=f"replicates, {kind}", unit="", leave=False) as bar:
        for first in range(seed, seed + n, BATCH):
            members = min(BATCH, seed + n - first)
            tables.append(keep(run_batch, kind, digits, first, members, noise))
            bar.update(members)
    return Replicates(kind, digits, noise, pd.concat(tables, ignore_index=True))


def generator(kind: str, number: int) -> np.random.Generator:
    """Return what a draw of a kind is made with; its number identifies it."""
    return np.random.default_rng([0, KINDS.index(kind), number])


def run_batch(kind: str, digits: Digits, first: int, n: int, noise: float) -> pd.DataFrame:
    """Return the draws from number ``first`` on, ``n`` of them; see `replicates`."""
    x, all_test = sparse(digits.train), digits.all_test()
    x_test = SparseImages.from_dense(all_test[0][: digits.n_test])

    def one(replicate: int) -> pd.DataFrame:
        rng = generator(kind, replicate)
        drawn, validation = draw(kind, digits, rng)
        y, stop = digits.train.labels, (x_test, all_test[1][: digits.n_test])
        if len(validation):
            stop = x[validation], y[validation]

        def make() -> SparseSoftmax:
            weights = None
            if kind == "noise":
                w = noise * rng.standard_normal((x.n_features, digits.n_classes))
                b = noise * rng.standard_normal(digits.n_classes)
                weights = Weights(w.astype(np.float32), b.astype(np.float32))
            return SparseSoftmax(*stop, n_classes=digits.n_classes, weights=weights)

        outcome = procedure.run(
            make, x[drawn], y[drawn],
            batch=digits.batch, budget=digits.budget, random_rounds=kind == "sound",
        )  # fmt: skip
        table = procedure.table(outcome, *all_test)
        table.insert(0, "replicate", replicate)
        return table

    # Each replicate has a core to itself: a product of matrices must not take all of them.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        return pd.concat(threads.map(one, range(first, first + n)), ignore_index=True)


def draw(kind: str, digits: Digits, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return which training digits a replicate is trained on, and which of them validate.

    (n,) int64 each, places in ``digits.train``; no validation digits but for kind ``sound``.
    """
    n, n_all, none = digits.n_train, len(digits.train), np.empty(0, np.int64)
    if kind == "noise":
        return digits.train_start + np.arange(n), none
    if kind == "draws":
        return rng.choice(n_all, n, replace=False), none
    # Where there are no digits to spare, training makes room for validation.
    n = min(n, n_all - digits.n_test)
    drawn = rng.choice(n_all, n + digits.n_test, replace=False)
    return drawn[:n], drawn[n:]


@functools.lru_cache(maxsize=1)  # the same data set in every batch
def sparse(data: Dataset) -> SparseImages:
    """Return a data set's images, divided by 255, for the replicate engine."""
    return SparseImages.from_dense(as_float(data.images))
