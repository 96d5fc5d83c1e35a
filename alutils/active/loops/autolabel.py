"""Labels that the classifier gives itself: all at once, or the most confident first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from alutils.active.labels import Source
from alutils.active.loops.pool import Classifier, PoolState, Round


def at_once(features: Any, classifier: Classifier, state: PoolState, *, number: int) -> Round:
    """Give every item of the pool its likeliest class, then train on everything.

    Parameters are those of :func:`confident_first`; ``number`` is the round's number.

    Source: the article, "What to do with the rest of unlabeled data"; Lee (2013), pseudo-labels.
    """
    items = state.pool
    labels = classifier.predict_proba(features[items]).argmax(axis=1)
    state.book.add(items, labels, Source.AUTO, number)
    state.pool = items[:0]
    trained = classifier.fit(features[state.book.order], state.book.labels)
    return Round(number, state.book.n_human, state.book.n_auto, items, trained, np.empty(0))


def confident_first(
    features: Any, classifier: Classifier, state: PoolState, *, batch: int, number: int
) -> Iterator[Round]:
    """Label the ``batch`` most confident items, train, look again, until the pool is empty.

    Parameters
    ----------
    features : one row an item; anything that takes an array of items as index
    classifier : gives the labels, and is trained on them in every round
    state : changed in place
    batch : automatic labels a round
    number : of the first of these rounds

    Yields
    ------
    Round; its ``utility`` holds the confidences (highest probability) of the whole pool as they
    were before its items were labelled, in rising order

    Source: the article, "What to do with the rest of unlabeled data"; self-training, Yarowsky
    (1995).
    """
    if batch < 1:
        raise ValueError(f"batch={batch}: a round labels at least 1 item; ask for 1 or more.")
    while len(state.pool):
        probabilities = classifier.predict_proba(features[state.pool])
        confidence = probabilities.max(axis=1)
        # Rising, and the most confident taken from the end: the article's order, which decides
        # how ties fall and in which order the labels come.
        order = np.argsort(confidence, kind="stable")
        state.pool = state.pool[order]
        labels = probabilities.argmax(axis=1)[order]
        items = state.pool[-batch:]
        state.book.add(items, labels[-batch:], Source.AUTO, number)
        state.pool = state.pool[:-batch]
        trained = classifier.fit(features[state.book.order], state.book.labels)
        book = state.book
        yield Round(number, book.n_human, book.n_auto, items, trained, confidence[order])
        number += 1
