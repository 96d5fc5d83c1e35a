"""The article's experiment many times over: what its six numbers are one draw of.

Three kinds of replicates, all with the article's procedure and the replicate engine:

``noise``  the article's own digits; the weights start at tiny random numbers instead of zero.
``draws``  other training digits, and so another first ten; the test digits stay.
``sound``  other training digits, and training is stopped by validation digits of their own, so
           that the test digits play no part in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from alutils.experiments.article import procedure
from alutils.models.softmax_exact import Weights
from alutils.models.softmax_fast import SparseImages, SparseSoftmax
from alutils.stats.tables import Vocabulary

KINDS = ("noise", "draws", "sound")
VOCABULARY = Vocabulary(protocols=KINDS)
BATCH = 32
"""Replicates between two checkpoints."""

Checkpoint = Callable[[str, Callable[[], pd.DataFrame]], pd.DataFrame]
"""Gives the table of a key: what was kept under it, or what the function computes."""


@dataclass(frozen=True)
class Digits:
    """All digits that replicates draw from, as (n, n_features) float32 and (n,) int64.

    Attributes
    ----------
    x, y : what training and validation digits come from
    x_test, y_test : the digits that every result is counted on; the first ``n_stop`` are those
        that stop a training as published
    n_train, n_stop : digits an experiment trains on, and digits that stop a training
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    n_train: int
    n_stop: int

    def __post_init__(self) -> None:
        train, test = (self.n_train, len(self.x)), (self.n_stop, len(self.x_test))
        for what, (wanted, held) in {"n_train": train, "n_test": test}.items():
            if not 1 <= wanted <= held:
                raise ValueError(
                    f"{what}={wanted}: there are {held} digits; ask for 1 to {held}, or name a "
                    "data set with more."
                )


def _one(
    kind: str,
    digits: Digits,
    x: SparseImages,
    x_test: SparseImages,
    rng: np.random.Generator,
    noise: float,
    batch: int,
    budget: int,
) -> pd.DataFrame:
    """Return the `procedure.table` of one replicate."""
    n_features = digits.x.shape[1]
    n_classes = 1 + int(max(digits.y.max(), digits.y_test.max()))  # few digits may lack a class
    first = np.arange(digits.n_stop)
    x_stop, y_stop = x_test[first], digits.y_test[first]
    drawn = np.arange(digits.n_train)
    if kind == "draws":
        drawn = rng.choice(len(digits.x), digits.n_train, replace=False)
    elif kind == "sound":
        # Where there are no digits to spare, training makes room for validation.
        n_train = min(digits.n_train, len(digits.x) - digits.n_stop)
        drawn = rng.choice(len(digits.x), n_train + digits.n_stop, replace=False)
        x_stop, y_stop = x[drawn[n_train:]], digits.y[drawn[n_train:]]
        drawn = drawn[:n_train]

    def make() -> SparseSoftmax:
        weights = None
        if kind == "noise":
            w = noise * rng.standard_normal((n_features, n_classes))
            b = noise * rng.standard_normal(n_classes)
            weights = Weights(w.astype(np.float32), b.astype(np.float32))
        return SparseSoftmax(x_stop, y_stop, n_classes=n_classes, weights=weights)

    outcome = procedure.run(make, x[drawn], digits.y[drawn], batch=batch, budget=budget)
    return procedure.table(outcome, digits.x_test, digits.y_test)


def run(
    kind: str,
    digits: Digits,
    *,
    n: int,
    seed: int,
    noise: float = 1e-6,
    batch: int = 10,
    budget: int = 400,
    checkpoint: Checkpoint = lambda key, compute: compute(),
) -> pd.DataFrame:
    """Run ``n`` replicates, `BATCH` at a time, on all cores.

    Parameters
    ----------
    kind : one of `KINDS`
    digits : what to draw from
    n : replicates; the first n are the same whatever n is
    seed : with the replicate's number, all that its randomness depends on
    noise : standard deviation of the starting weights of kind ``noise``
    batch, budget : labels a round, human labels in all
    checkpoint : keeps each batch's table, so that a killed run goes on after the last whole one

    Returns
    -------
    DataFrame: ``replicate`` and the columns of `procedure.table`
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: one of {', '.join(KINDS)}.")
    x, x_test = SparseImages.from_dense(digits.x), SparseImages.from_dense(digits.x_test)

    def one(replicate: int) -> pd.DataFrame:
        rng = np.random.default_rng([seed, KINDS.index(kind), replicate])
        done = _one(kind, digits, x, x_test, rng, noise, batch, budget)
        done.insert(0, "replicate", replicate)
        return done

    tables = []
    with (
        # Each replicate has a core to itself: a product of matrices must not take all of them.
        threadpool_limits(1),
        ThreadPoolExecutor(os.cpu_count()) as threads,
        tqdm(total=n, desc=f"replicates, {kind}", unit="", leave=False) as bar,
    ):
        for start in range(0, n, BATCH):
            members = range(start, min(start + BATCH, n))

            def compute(members: range = members) -> pd.DataFrame:
                parts = []
                for part in threads.map(one, members):
                    parts.append(part)
                    bar.update()
                return pd.concat(parts, ignore_index=True)

            key = f"{kind}-{start:05d}-{len(members):02d}"
            tables.append(checkpoint(key, compute))
            bar.n = members.stop
            bar.refresh()
    return pd.concat(tables, ignore_index=True)
