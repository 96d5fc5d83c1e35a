"""Query by committee: how much the members disagree, and where members come from.

A committee's opinion is one array, (n_members, n_samples, n_classes) float: the probabilities that
each of two or more members gives, rows summing to one. `by_bootstrap` makes it; the scores take it,
and raise ValueError as `checked` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alutils.active.strategies import uncertainty
from alutils.base.rows import as_rows, number_of, whole
from alutils.models.classifier import Make
from alutils.models.estimator import Estimator


def checked(committee: np.ndarray) -> np.ndarray:
    """Return a committee's probabilities, each member's as `uncertainty.checked` wants them."""
    p = np.asarray(committee)
    if p.ndim != 3:
        raise ValueError(
            f"committee: an array of shape {p.shape}; expected (n_members, n_samples, n_classes), "
            "the probabilities of every member."
        )
    if len(p) < 2:
        raise ValueError(f"committee: {len(p)} members; at least 2 are needed to disagree.")
    members = [uncertainty.checked(member, f"committee[{i}]") for i, member in enumerate(p)]
    return p if members[0].dtype == p.dtype else np.stack(members)


def vote_entropy(committee: np.ndarray) -> np.ndarray:
    """Disagreement as the entropy of the members' votes, each for its likeliest class.

    Returns (n_samples,) float64, in nats, in [0, log(min(n_members, n_classes))]. A member that
    cannot tell classes apart votes for the first of them.

    Source: Dagan and Engelson (1995); Settles (2009), section 3.2.
    """
    p = checked(committee)
    shares = np.zeros(p.shape[1:])
    rows = np.arange(p.shape[1])
    for member in p:
        shares[rows, member.argmax(axis=1)] += 1 / len(p)
    shares.sort(axis=1)  # the same votes for other classes, the same sum to the last bit
    return uncertainty.entropy(shares)


def consensus_kl(committee: np.ndarray) -> np.ndarray:
    """Disagreement as the mean Kullback-Leibler divergence of the members from their mean.

    Returns (n_samples,) of the probabilities' dtype, in nats, in [0, log(min(n_members,
    n_classes))].

    The same number as `bald`, by another road: the mean divergence from the mean is the entropy of
    the mean less the mean entropy (Lin, 1991, on the generalised Jensen-Shannon divergence).

    Source: McCallum and Nigam (1998); Settles (2009), section 3.2.
    """
    p = checked(committee)
    nothing = np.finfo(p.dtype).tiny
    consensus = np.log(np.maximum(p.mean(axis=0), nothing))
    out = np.zeros(p.shape[1], p.dtype)
    for member in p:
        logs = np.log(np.maximum(member, nothing))
        out += np.einsum("nc,nc->n", member, logs - consensus)
    return np.maximum(out / len(p), 0)


def bald(committee: np.ndarray) -> np.ndarray:
    """Disagreement as what a label would tell about which member is right.

    The mutual information of label and member: the entropy of the members' mean, less the mean of
    their entropies. High where each member is sure and they are not of one mind. Returns as
    `consensus_kl`.

    Source: Houlsby, Huszár, Ghahramani and Lengyel (2011), equation 2; for networks with dropout
    Gal, Islam and Ghahramani (2017).
    """
    p = checked(committee)
    own = sum(uncertainty.entropy(member) for member in p) / len(p)
    return np.maximum(uncertainty.entropy(p.mean(axis=0)) - own, 0)


def by_bootstrap(
    make: Make,
    x: Any,
    y: np.ndarray,
    x_pool: Any,
    n_members: int,
    n_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Train members on resampled labels; return what they say of the pool.

    Parameters
    ----------
    make : gives a new classifier from a seed, as `Estimator` takes it
    x, y : (n_labelled, n_features) and (n_labelled,) int: what has been labelled, one or more
    x_pool : what the members' ``predict_proba`` takes
    n_classes : in all, seen or not
    rng : draws the resamples and the members' seeds

    Returns
    -------
    (n_members, n_pool, n_classes) float32

    Notes
    -----
    A resample is as many draws as there are labels, and one item of every class that has a label
    besides: with few labels, plain draws miss classes that are known, and members that never heard
    of a class disagree about nothing else.

    Source: Breiman (1996); Abe and Mamitsuka (1998), query by bagging.
    """
    x, y, x_pool = as_rows(x, "x"), np.asarray(y), as_rows(x_pool, "x_pool")
    if (n := number_of(x)) != len(y) or not len(y):
        raise ValueError(f"{n} items and {len(y)} labels: give one label for each, 1 or more.")
    if n_members < 2:
        raise ValueError(f"n_members={n_members}: at least 2 are needed to disagree.")
    out = np.empty((n_members, number_of(x_pool), n_classes), np.float32)
    for i in range(n_members):
        certain = [rng.choice(np.flatnonzero(y == label)) for label in np.unique(y)]
        items = np.concatenate([certain, rng.integers(0, len(y), len(y))])
        member = Estimator(n_classes, make, int(rng.integers(2**31)))
        out[i] = member.fit(x[items], y[items]).predict_proba(whole(x_pool))
    return out
