"""Which pictures people are asked about first: typical ones, until a model has learned a little.

A model of twenty labels does not know what it does not know: what it is least sure of are odd
pictures, and classes that it has never seen stay away. The middle of each of many groups of alike
pictures teaches it more (Hacohen, Dekel and Weinshall 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from alutils.active.strategies import typicality
from alutils.labelling.store.store import Store

TYPICAL = 50
"""Labels until which typical pictures come first; also the groups that they are the middle of."""
AMONG = 5000
"""Pictures that they are chosen among, at most: a random part of more."""
_GROWTH = 2  # times as many pictures as before: they are chosen again
_CHOSEN = "typical_among"


def put_typical_first(
    store: Store,
    now: dict[str, np.ndarray],
    features: Callable[[Sequence[str]], np.ndarray],
) -> bool:
    """Put typical pictures at the head of the queue, where that is due.

    It is while fewer than `TYPICAL` pictures have labels: once, and again when the pictures have
    grown to twice as many.

    Parameters
    ----------
    store : the project
    now : its pictures, as `Reader.snapshot` gives them
    features : (n, n_features) float32 of pictures, by their hashes

    Returns
    -------
    whether they were put there
    """
    n, n_labelled = len(now["id"]), int((now["label"] >= 0).sum())
    if n_labelled >= TYPICAL or n <= TYPICAL:
        return False
    if n < _GROWTH * int(store.database.setting(_CHOSEN, "0")):
        return False
    rng = np.random.default_rng(n)
    labelled = np.flatnonzero(now["label"] >= 0)
    others = np.flatnonzero(now["waits"])
    if len(others) > AMONG:
        others = np.sort(rng.choice(others, AMONG, replace=False))
    k = min(TYPICAL - n_labelled, len(others))
    if k < 1:
        return False
    chosen = np.concatenate([labelled, others])
    with threadpool_limits(1):  # the other cores are for people
        x = np.asarray(features(now["sha256"][chosen].tolist()))
        first = typicality.typiclust(
            x, np.arange(n_labelled), np.arange(n_labelled, len(x)), k, rng
        )
    store.models.put_first(now["id"][chosen[first]], {_CHOSEN: str(n)})
    return True
