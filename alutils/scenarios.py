"""The loops in which labels are asked for: pool-based active learning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from alutils.labels import LabelBook, Source

Oracle = Callable[[np.ndarray], np.ndarray]
"""Takes (n,) items of the pool, gives their (n,) labels."""

Query = Callable[[np.ndarray], np.ndarray]
"""Takes (n, n_classes) probabilities, gives (n,) utilities; higher is asked first."""


class Classifier(Protocol):
    """What a loop asks of a classifier; ``x`` is whatever ``features[items]`` gives."""

    def fit(self, x: Any, y: np.ndarray) -> tuple[int, int]: ...

    def predict_proba(self, x: Any) -> np.ndarray: ...


@dataclass
class PoolState:
    """What has been labelled, and the order in which the rest of the pool waits.

    Attributes
    ----------
    book : the labels given so far
    pool : (n_unlabelled,) int64, the items without a label, the next one to be asked first
    """

    book: LabelBook
    pool: np.ndarray

    @classmethod
    def start(cls, n_items: int) -> PoolState:
        """Return the state in which nothing is labelled and items wait in their own order."""
        return cls(LabelBook.empty(n_items), np.arange(n_items))

    def copy(self) -> PoolState:
        return PoolState(self.book.copy(), self.pool.copy())


@dataclass(frozen=True)
class Round:
    """What one round did.

    Attributes
    ----------
    number : rounds before this one
    n_human, n_auto : labels from each source, this round's included
    items : (n,) int64, the items labelled in this round
    n_right, steps : what ``fit`` gave: how many of the stop set are right, training steps
    utility : (n_unlabelled,) float, the waiting pool's utilities under the new classifier, in the
        pool's new order; empty when the loop does not look at them
    """

    number: int
    n_human: int
    n_auto: int
    items: np.ndarray
    n_right: int
    steps: int
    utility: np.ndarray


def check_loop(n_pool: int, batch: int, budget: int) -> None:
    """Raise ValueError unless ``batch`` and ``budget`` fit a pool of ``n_pool`` items."""
    if batch < 1:
        raise ValueError(f"batch={batch}: a round labels at least 1 item; ask for 1 or more.")
    if budget < 1:
        raise ValueError(f"budget={budget}: ask for at least 1 label.")
    if budget > n_pool:
        raise ValueError(
            f"budget={budget}: the pool holds {n_pool} images (n_train); ask for at most {n_pool}."
        )
    if batch > budget:
        raise ValueError(
            f"batch={batch}: larger than budget={budget}; ask for at most {budget} a round."
        )


def pool_based(
    features: Any,
    oracle: Oracle,
    classifier: Classifier,
    query: Query | None,
    state: PoolState,
    *,
    batch: int,
    budget: int,
) -> Iterator[Round]:
    """Ask for labels in rounds: label the first of the pool, train, put the pool in a new order.

    The first round labels the pool's first items as they lie. The order carries over from round to
    round: among equal utilities, who waited in front stays in front (a stable sort).

    Parameters
    ----------
    features : one row an item; anything that takes an array of items as index
    oracle : gives the labels of items
    classifier : trained anew on all labels in every round, from where it stands
    query : utilities from probabilities; None leaves the pool as it lies
    state : changed in place, so that a caller can go on from where the loop ended
    batch : labels a round; the last round asks for fewer where the budget says so
    budget : human labels in all

    Yields
    ------
    Round, after training and after the pool has its new order

    Raises
    ------
    ValueError
        for a batch or a budget that the pool cannot fill, before anything is labelled

    Source: Lewis and Gale (1994); Settles (2009), section 2.3.
    """
    check_loop(state.book.n_human + len(state.pool), batch, budget)
    number = 0
    while state.book.n_human < budget:
        items = state.pool[: min(batch, budget - state.book.n_human)]
        state.book.add(items, oracle(items), Source.HUMAN, number)
        state.pool = state.pool[len(items) :]
        n_right, steps = classifier.fit(features[state.book.order], state.book.labels)
        utility = np.empty(0)
        if query is not None and len(state.pool):
            utility = query(classifier.predict_proba(features[state.pool]))
            order = np.argsort(-utility, kind="stable")
            state.pool, utility = state.pool[order], utility[order]
        book = state.book
        yield Round(number, book.n_human, book.n_auto, items, n_right, steps, utility)
        number += 1
