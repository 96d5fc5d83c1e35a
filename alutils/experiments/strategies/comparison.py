"""One learning curve of one strategy on one draw: what every comparison of strategies is made of.

All strategies meet the same draw, a pool and the images that test what was learned from it; the
sweep of `alutils.experiments.strategies.curves` and notebook 04 differ in how they draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alutils.active.loops import members
from alutils.active.loops.pool import PoolState, Query, by_strategy, pool_based
from alutils.active.oracles import Oracle, Perfect
from alutils.data.dataset import Dataset, as_float
from alutils.models.estimator import Estimator


@dataclass(frozen=True)
class Draw:
    """A pool, (n_pool, n_features) float32 and (n_pool,) int64, and its test images.

    ``plain`` is ``x`` before its mean was taken away: a density goes by angles at the origin, which
    are about nothing afterwards.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    plain: np.ndarray
    n_classes: int


def pixels(images: np.ndarray, size: int) -> np.ndarray:
    """Return square images as (n, size * size) float32, 0 to 1, each pixel a mean of several."""
    step = images.shape[1] // size
    x = as_float(images)
    if step == 1:
        return x
    return x.reshape(-1, size, step, size, step).mean(axis=(2, 4)).reshape(len(x), -1)


def draw(dataset: Dataset, number: int, n_pool: int, n_test: int, size: int = 28) -> Draw:
    """Draw a pool and test images: pixels at ``size`` by ``size``, less the pool's mean.

    The data set's images are square, and ``size`` divides theirs; ``number`` is the seed; there are
    ``n_pool`` and ``n_test`` images, as far as there are so many.
    """
    order = np.random.default_rng([number, 0]).permutation(len(dataset.labels))
    pool, test = order[:n_pool], order[n_pool : n_pool + n_test]
    plain = pixels(dataset.images[np.concatenate([pool, test])], size)
    x = plain - plain[:n_pool].mean(axis=0)
    labels = dataset.labels
    return Draw(
        x[:n_pool], labels[pool], x[n_pool:], labels[test], plain[:n_pool], int(labels.max()) + 1
    )


def query(of: Draw, strategy: str, key: int | Sequence[int]) -> Query:
    """Return a strategy's query, with all that any strategy needs; ``key`` seeds its chance."""
    return by_strategy(
        strategy,
        np.random.default_rng(key),
        embed=(lambda *_: of.plain) if strategy == "density_weighted" else None,
        committee=members.committee(),
        retrained=members.retrained(),
    )


def learning_curve(
    of: Draw,
    strategy: str,
    key: int | Sequence[int],
    *,
    oracle: Oracle | None = None,
    state: PoolState | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Run one strategy on one draw until its budget is spent.

    A row a round: that of `measured`; also ``classes``, how many have a label, and ``seconds``,
    what a `Costly` oracle has spent.

    Parameters
    ----------
    of, strategy, key : as `query`
    oracle : who answers; perfectly if None
    state : to begin from; nothing labelled, the pool in its own order, if None
    options : of `pool_based`: ``batch``, ``budget`` and more
    """
    oracle = oracle or Perfect(of.y)
    state = state or PoolState.start(len(of.y))
    classifier = Estimator(of.n_classes)
    rounds = pool_based(of.x, oracle, classifier, query(of, strategy, key), state, **options)
    rows = []
    for done in rounds:
        row = measured(classifier, of.x_test, of.y_test, done.number, done.n_human)
        seconds = getattr(oracle, "spent", 0.0)
        rows.append(row | {"classes": len(np.unique(state.book.labels)), "seconds": seconds})
    return pd.DataFrame(rows)


def measured(
    classifier: Estimator, x_test: np.ndarray, y_test: np.ndarray, number: int, n_human: int
) -> dict[str, float]:
    """Return a round's row of a learning curve: round, n_human, value (accuracy), n_eval."""
    right = np.mean(classifier.predict(x_test) == y_test)
    return {"round": number, "n_human": n_human, "value": right, "n_eval": len(y_test)}
