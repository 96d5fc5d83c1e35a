"""Typical samples (TypiClust): the middle of many clusters, for when labels are very few.

All raise ValueError as `uncertainty.checked_features` does, and for a ``k`` that is not 1 to
n_candidates.
"""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from alutils.active.strategies import uncertainty

N_NEIGHBOURS = 20
"""Neighbours that typicality is measured by, as published."""
MAX_CLUSTERS = 500
"""TypiClust makes no more clusters than this, as published."""
_EXACT_KMEANS = 50  # clusters; above it k-means goes by mini-batches, as published
_VALUES = 1 << 22  # distances held at a time


def typicality(features: np.ndarray, n_neighbours: int = N_NEIGHBOURS) -> np.ndarray:
    """Return how closely each sample is surrounded: one over the mean distance of its neighbours.

    Parameters
    ----------
    features : (n_samples, n_features) float, one or more; usually one cluster of the pool
    n_neighbours : at most n_samples - 1 are there and are taken

    Returns
    -------
    (n_samples,) of the features' dtype, above 0, exact; time ``n_samples ** 2 * n_features``

    Source: Hacohen, Dekel and Weinshall (2022), equation 4.
    """
    x = uncertainty.checked_features(features)
    if n_neighbours < 1:
        raise ValueError(f"n_neighbours={n_neighbours}: expected 1 or more.")
    k = min(n_neighbours, len(x) - 1)
    if k == 0:
        return np.ones(len(x), x.dtype)
    x = x - x.mean(axis=0)  # shorter vectors lose fewer digits in the difference of their squares
    norms = np.einsum("nd,nd->n", x, x)
    out = np.empty(len(x), x.dtype)
    for rows in np.split(np.arange(len(x)), range(0, len(x), max(1, _VALUES // len(x)))[1:]):
        square = (-2 * x[rows]) @ x.T
        square += norms
        square += norms[rows, None]
        square[rows - rows[0], rows] = np.inf  # nobody is their own neighbour
        nearest = np.partition(square, k - 1, axis=1)[:, :k]
        out[rows] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return 1 / np.maximum(out, np.finfo(x.dtype).eps)


def clusters(features: np.ndarray, n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Return the cluster of each sample, (n_samples,) int, by k-means.

    Up to 50 clusters by Lloyd's algorithm, above by mini-batches, as published for TypiClust; these
    from random samples as first centres: k-means++ takes five times as long for hundreds of
    clusters, and ends in clusters no tighter.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    x = uncertainty.checked_features(features)
    uncertainty.check_batch(n_clusters, len(x))
    exact, seed = n_clusters <= _EXACT_KMEANS, int(rng.integers(2**31))
    if exact:
        kmeans = KMeans(n_clusters, n_init=1, random_state=seed)
    else:
        kmeans = MiniBatchKMeans(n_clusters, init="random", n_init=1, random_state=seed)
    # A mini-batch is too little for several threads: on a busy machine they wait for each other.
    with threadpool_limits(None if exact else 1), warnings.catch_warnings():
        # Fewer different samples than clusters: some stay empty, which does no harm here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kmeans.fit_predict(x)


def typical_of_clusters(
    features: np.ndarray,
    cluster: np.ndarray,
    labelled: np.ndarray,
    candidates: np.ndarray,
    k: int,
    rng: np.random.Generator,
    *,
    n_neighbours: int = N_NEIGHBOURS,
) -> np.ndarray:
    """Choose the most typical candidate of the clusters with the fewest labels, largest first.

    Parameters
    ----------
    features : (n_items, n_features) float
    cluster : (n_items,) int, each item's cluster
    labelled, candidates : (n,) int, the items with labels, and those that may be chosen
    k : how many; one from each cluster, and round again where there are fewer clusters
    rng : draws among equals
    n_neighbours : for `typicality`, which is measured among a cluster's candidates

    Returns
    -------
    (k,) int64 items, in the order of choice

    Source: Hacohen, Dekel and Weinshall (2022), algorithm 1.
    """
    x = uncertainty.checked_features(features, len(cluster))
    candidates = np.asarray(candidates, np.int64)
    uncertainty.check_batch(k, len(candidates))
    n = int(cluster.max()) + 1
    labels = np.bincount(cluster[np.asarray(labelled, np.int64)], minlength=n)
    sizes = np.bincount(cluster[candidates], minlength=n)
    order = np.lexsort([rng.random(n), -sizes, labels])
    order = order[sizes[order] > 0]
    n_turns = 1  # how many times round it takes to draw k, one from each cluster that has some left
    while np.minimum(sizes, n_turns).sum() < k:
        n_turns += 1
    turns: list[np.ndarray] = []  # the first turn takes one item from each cluster, and so on
    for place, name in enumerate(order[:k]):
        members = candidates[cluster[candidates] == name]
        scores = typicality(x[members], n_neighbours)
        ranked = members[uncertainty.top(scores, min(len(members), n_turns), rng)]
        turn = np.arange(len(ranked))
        turns.append(np.stack([turn, np.full(len(ranked), place), ranked]))
    table = np.concatenate(turns, axis=1)
    return table[2, np.lexsort([table[1], table[0]])][:k]


def typiclust(
    features: np.ndarray,
    labelled: np.ndarray,
    candidates: np.ndarray,
    k: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose a typical item from each of many clusters that have no label yet.

    Made for the first labels, when a classifier knows too little to be asked. Clusters: as many as
    labels plus the batch, at most ``MAX_CLUSTERS``. Parameters and result as `typical_of_clusters`.

    Time of k-means, and the square of a cluster's size for each item chosen.

    Source: Hacohen, Dekel and Weinshall (2022), algorithm 1.
    """
    x = uncertainty.checked_features(features)
    uncertainty.check_batch(k, len(candidates))
    n_clusters = min(len(labelled) + k, MAX_CLUSTERS, len(x))
    return typical_of_clusters(x, clusters(x, n_clusters, rng), labelled, candidates, k, rng)
