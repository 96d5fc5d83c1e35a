"""Batches that cover the pool: density, k-center, BADGE.

Unlike scores, the last two choose a batch as a whole: what the second item is worth depends on the
first. Items are numbers of rows; features have a row for every item, labelled or not, and are not
copied. All raise ValueError as `uncertainty.checked` and `uncertainty.checked_features` do, and for
a ``k`` that is not 1 to n_candidates.
"""

from __future__ import annotations

import numpy as np

from alutils.active.strategies import uncertainty
from alutils.base.compiled import compiled

_SAME = 1e-6  # squared distances this far under the squared norms are float32's rounding


def density(features: np.ndarray) -> np.ndarray:
    """Return how much each sample is like the others: the mean of its cosines with all samples.

    (n_samples, n_features) float in, (n_samples,) of their dtype out, in [-1, 1]; a row of zeros
    has the cosine 0 with all.

    The mean of the cosines is the cosine with the mean of the unit vectors: one pass, no pairs.
    Cosines are taken at the origin: features from which their mean was taken away have a density
    of about nothing, half of them a negative one. Give features as they are, such as pixels or
    activations.

    Source: Settles and Craven (2008), information density; Settles (2009), section 3.6.
    """
    x = uncertainty.checked_features(features)
    norms = np.sqrt(np.einsum("nd,nd->n", x, x))
    share = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    mean = (share @ x) / x.dtype.type(len(x))
    return np.einsum("nd,d->n", x, mean) * share


def density_weighted(scores: np.ndarray, features: np.ndarray, beta: float = 1.0) -> np.ndarray:
    """Weigh informativeness by density, so that outliers are not asked for.

    Returns ``scores * density ** beta``, (n_samples,) float; a density below zero counts as zero.
    ValueError for (n_samples,) scores below zero (a product would turn their order round) or NaN,
    and a negative beta.

    Source: Settles and Craven (2008), information density; Settles (2009), section 3.6.
    """
    scores = np.asarray(scores)
    if not beta >= 0:
        raise ValueError(f"beta={beta}: expected 0 or more.")
    if not (scores >= 0).all():
        raise ValueError(
            f"scores: the lowest is {scores.min()}; expected 0 or more, as of entropy, expected "
            "gradient length or a committee (a margin is negative)."
        )
    x = uncertainty.checked_features(features, len(scores))
    return scores * np.maximum(density(x), 0) ** beta


def k_center_greedy(
    features: np.ndarray,
    centers: np.ndarray,
    candidates: np.ndarray,
    k: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose, again and again, the candidate farthest from everything that is chosen or labelled.

    Parameters
    ----------
    features : (n_items, n_features) float
    centers : (n_centers,) int, the labelled items; where there are none, the first is drawn
    candidates : (n_candidates,) int, which may be chosen
    k : how many
    rng : draws among candidates equally far

    Returns
    -------
    (k,) int64 items, in the order of choice

    Notes
    -----
    A candidate's distance to its nearest center only shrinks, so an old one is an upper bound: a
    candidate is looked at again only where its bound is over the best of this turn, and only at as
    many of the centers that it has missed as it takes to fall below. At worst
    ``n_candidates * (n_centers + k) * n_features`` multiplications; mostly a small part of them.

    Source: Sener and Savarese (2018), algorithm 1; Gonzalez (1985).
    """
    x = np.ascontiguousarray(uncertainty.checked_features(features))
    candidates = np.asarray(candidates, np.int64)
    uncertainty.check_batch(k, len(candidates))
    all_centers = np.concatenate([np.asarray(centers, np.int64), np.full(k, -1)])
    bound = np.full(len(candidates), np.inf, x.dtype)
    seen = np.zeros(len(candidates), np.int64)
    _k_center(x, all_centers, len(centers), candidates, bound, seen, rng.random(len(candidates)))
    return all_centers[len(centers) :]


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _k_center(x, centers, n_centers, candidates, bound, seen, keys):
    """Fill ``centers`` from ``n_centers`` on; equal distances go by the higher of ``keys``."""
    while n_centers < len(centers):
        best = -1
        # The highest bound comes first: it will hardly be beaten, and cuts the others short.
        first = int(np.argmax(bound))
        for turn in range(-1, len(candidates)):
            i = first if turn < 0 else turn
            if bound[i] < 0 or (best >= 0 and bound[i] < bound[best]):
                continue
            while seen[i] < n_centers and (best < 0 or bound[i] >= bound[best]):
                item, center = candidates[i], centers[seen[i]]
                square = np.float32(0)
                for j in range(x.shape[1]):
                    step = x[item, j] - x[center, j]
                    square += step * step
                bound[i] = min(bound[i], square)
                seen[i] += 1
            if (
                best < 0
                or bound[i] > bound[best]
                or (bound[i] == bound[best] and keys[i] > keys[best])
            ):
                best = i
        centers[n_centers] = candidates[best]
        bound[best] = -1  # taken
        n_centers += 1


class Gradients:
    """Gradient embeddings ``(p - onehot(likeliest)) outer x`` that are never written out.

    Inner products of outer products are products of inner products, so distances take
    ``n_features + n_classes`` multiplications an item, not their product.
    """

    def __init__(self, probabilities: np.ndarray, features: np.ndarray) -> None:
        p = uncertainty.checked(probabilities)
        self._x = uncertainty.checked_features(features, len(p))
        self._error = p.copy()
        self._error[np.arange(len(p)), p.argmax(axis=1)] -= 1
        self.square_norms = np.einsum("nc,nc->n", self._error, self._error)
        self.square_norms = self.square_norms * np.einsum("nd,nd->n", self._x, self._x)

    def square_distances(self, item: int) -> np.ndarray:
        """Return (n,) squared distances of all embeddings from one."""
        sums = self.square_norms + self.square_norms[item]
        out = sums - 2 * (self._error @ self._error[item]) * (self._x @ self._x[item])
        out[out <= _SAME * sums] = 0
        out[item] = 0
        return out


def badge(
    probabilities: np.ndarray,
    features: np.ndarray,
    candidates: np.ndarray,
    k: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw items whose gradients are large and unlike each other, as k-means++ draws its seeds.

    The first is the one with the longest gradient, as in the authors' program; the others are drawn
    by their squared distances from the nearest that was. Where nothing is left that differs, by
    chance.

    Parameters
    ----------
    probabilities : (n_items, n_classes) float, rows summing to one
    features : (n_items, n_features) float, what goes into the softmax layer
    candidates : (n_candidates,) int, which may be chosen
    k : how many
    rng : draws

    Returns
    -------
    (k,) int64 items, in the order of choice. Time ``k * n_items * (n_classes + n_features)``.

    Source: Ash, Zhang, Krishnamurthy, Langford and Agarwal (2020), equation 1 and algorithm 1;
    Arthur and Vassilvitskii (2007), k-means++.
    """
    gradients = Gradients(probabilities, features)
    candidates = np.asarray(candidates, np.int64)
    uncertainty.check_batch(k, len(candidates))
    free = np.zeros(len(gradients.square_norms), bool)
    free[candidates] = True
    weights = gradients.square_norms
    chosen = np.empty(k, np.int64)
    for i in range(k):
        if i == 0:
            chosen[i] = candidates[uncertainty.top(weights[candidates], 1, rng)[0]]
        else:
            odds = np.where(free, weights, 0).astype(np.float64)
            odds = odds if odds.any() else free.astype(np.float64)
            chosen[i] = rng.choice(len(odds), p=odds / odds.sum())
        free[chosen[i]] = False
        distances = gradients.square_distances(chosen[i])
        weights = distances if i == 0 else np.minimum(weights, distances)
    return chosen
