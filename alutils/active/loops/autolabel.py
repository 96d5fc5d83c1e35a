"""Labels that the classifier gives itself: all at once, or the most confident first.

The pool-based loop, in which the classifier is its own oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState, Ranking, Round, View, check_loop, pool_based
from alutils.base.rows import as_rows
from alutils.models.classifier import Classifier


def at_once(features: Any, classifier: Classifier, state: PoolState, *, number: int) -> Round:
    """Give every item of the pool its likeliest class, then train on everything, as one round.

    Source: the article, "What to do with the rest of unlabeled data"; Lee (2013), pseudo-labels.
    """

    def likeliest(items: np.ndarray) -> np.ndarray:
        return classifier.predict_proba(features[items]).argmax(axis=1)

    features = as_rows(features)
    n = state.book.n_auto + len(state.pool)
    return next(
        pool_based(
            features, likeliest, classifier, None, state,
            batch=n, budget=n, source=Source.AUTO, number=number,
        )
    )  # fmt: skip


def confident_first(
    features: Any, classifier: Classifier, state: PoolState, *, batch: int, number: int
) -> Iterator[Round]:
    """Label the ``batch`` most confident items, train, look again, until the pool is empty.

    Parameters
    ----------
    features : as in `alutils.active.loops.pool.pool_based`
    classifier : gives the labels, and is trained on them in every round
    state : changed in place
    batch : automatic labels a round
    number : of the first of these rounds

    Yields
    ------
    Round; its ``utility`` holds the new classifier's confidences (highest probability) in what is
    left of the pool

    Source: the article, "What to do with the rest of unlabeled data"; self-training, Yarowsky
    (1995).
    """
    features, likeliest = as_rows(features), np.full(len(state.book), -1)

    def query(view: View) -> Ranking:
        pool, p = view.state.pool, view.probabilities
        likeliest[pool], confidence = p.argmax(axis=1), p.max(axis=1)
        # Rising, and the most confident taken from the end: the article's order, which decides
        # how ties fall and in which order the labels come.
        order = np.argsort(confidence, kind="stable")
        order = np.concatenate([order[-batch:], order[:-batch]])
        return Ranking(order, confidence[order])

    n = len(state.pool)
    batch = min(batch, n)
    check_loop(n, batch, n)
    state.pool = state.pool[query(View(classifier, features, state, batch)).order]
    yield from pool_based(
        features, likeliest.__getitem__, classifier, query, state,
        batch=batch, budget=state.book.n_auto + n, source=Source.AUTO, number=number,
    )  # fmt: skip
