"""Query by committee: how much the members disagree, and where members come from.

A committee's opinion is one array, (n_members, n_samples, n_classes): the probabilities that each
member gives. Scores take that array; builders make it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from alutils.active.strategies import uncertainty
from alutils.models.classifier import Classifier, Make


class TwoLayers(Protocol):
    """Weights of a head with one hidden ReLU layer, as `alutils.models.dense_head` has them."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray


def checked(committee: np.ndarray) -> np.ndarray:
    """Return a committee's probabilities as an array, or raise ValueError that says what is wrong.

    ``committee`` (n_members, n_samples, n_classes): at least two members, each as
    `uncertainty.checked` wants probabilities.
    """
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

    Parameters
    ----------
    committee : (n_members, n_samples, n_classes) float, rows summing to one; a member that cannot
        tell classes apart votes for the first of them

    Returns
    -------
    (n_samples,) float64, in nats, in [0, log(min(n_members, n_classes))]

    Raises
    ------
    ValueError
        as `checked`

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

    Parameters
    ----------
    committee : (n_members, n_samples, n_classes) float, rows summing to one

    Returns
    -------
    (n_samples,) of the probabilities' dtype, in nats, in [0, log(min(n_members, n_classes))]

    Raises
    ------
    ValueError
        as `checked`

    Notes
    -----
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
    their entropies. High where each member is sure and they are not of one mind.

    Parameters
    ----------
    committee : (n_members, n_samples, n_classes) float, rows summing to one

    Returns
    -------
    (n_samples,) of the probabilities' dtype, in nats, in [0, log(min(n_members, n_classes))]

    Raises
    ------
    ValueError
        as `checked`

    Source: Houlsby, Huszár, Ghahramani and Lengyel (2011), equation 2; for networks with dropout
    Gal, Islam and Ghahramani (2017).
    """
    p = checked(committee)
    own = sum(uncertainty.entropy(member) for member in p) / len(p)
    return np.maximum(uncertainty.entropy(p.mean(axis=0)) - own, 0)


def by_bootstrap(
    make: Make,
    x: np.ndarray,
    y: np.ndarray,
    x_pool: Any,
    n_members: int,
    n_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Train members on resampled labels; return what they say of the pool.

    Parameters
    ----------
    make : gives a new classifier from a seed
    x, y : (n_labelled, n_features) and (n_labelled,) int: what has been labelled, one or more
    x_pool : what the members' ``predict_proba`` takes
    n_members : two or more
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
    y = np.asarray(y)
    _check_labels(x, y, n_classes)

    def resample() -> np.ndarray:
        certain = [rng.choice(np.flatnonzero(y == label)) for label in np.unique(y)]
        return np.concatenate([certain, rng.integers(0, len(y), len(y))])

    draws = ((resample(), int(rng.integers(2**31))) for _ in range(n_members))
    return _stacked(
        (_fitted(make(seed), x[items], y[items], x_pool, n_classes) for items, seed in draws),
        n_members,
    )


def by_seed(
    make: Make,
    x: np.ndarray,
    y: np.ndarray,
    x_pool: Any,
    n_members: int,
    n_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Train members on the same labels from other starting points; return what they say.

    Parameters and result as `by_bootstrap`. A classifier that starts nowhere at random (softmax
    regression from zero weights) gives members that agree on everything.

    Source: Lakshminarayanan, Pritzel and Blundell (2017), deep ensembles; Beluch, Genewein,
    Nürnberger and Köhler (2018).
    """
    y = np.asarray(y)
    _check_labels(x, y, n_classes)
    seeds = (int(seed) for seed in rng.integers(2**31, size=n_members))
    return _stacked(
        (_fitted(make(seed), x, y, x_pool, n_classes) for seed in seeds),
        n_members,
    )


def by_mc_dropout(
    weights: TwoLayers,
    x_pool: np.ndarray,
    n_members: int,
    rng: np.random.Generator,
    *,
    rate: float = 0.5,
) -> np.ndarray:
    """Drop hidden units of one trained head at random, a set for each member; return what they say.

    Parameters
    ----------
    weights : a trained head: w1 (n_features, hidden), b1, w2 (hidden, n_classes), b2
    x_pool : (n_pool, n_features) float32
    n_members : two or more
    rng : draws the units
    rate : share of the hidden units that a member does without, in (0, 1)

    Returns
    -------
    (n_members, n_pool, n_classes) float32

    Notes
    -----
    A member keeps its units for the whole pool, so that it is one function (as in Kirsch, van
    Amersfoort and Gal, 2019), and the hidden layer is computed once for all of them.
    The theory wants a head that was also trained with dropout; one that was not gives members that
    differ more.

    Source: Gal and Ghahramani (2016).
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate={rate}: expected a share of hidden units between 0 and 1.")
    hidden = np.maximum(x_pool @ weights.w1 + weights.b1, 0)
    keep = np.float32(1 - rate)

    def member() -> np.ndarray:
        kept = (rng.random(len(weights.w2)) < keep).astype(np.float32) / keep
        logits = hidden @ (weights.w2 * kept[:, None]) + weights.b2
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return logits / logits.sum(axis=1, keepdims=True)

    return _stacked((member() for _ in range(n_members)), n_members)


def _check_labels(x: np.ndarray, y: np.ndarray, n_classes: int) -> None:
    """Raise ValueError unless there is something to train members on."""
    if len(x) != len(y) or not len(y):
        raise ValueError(f"{len(x)} items and {len(y)} labels: give one label for each, 1 or more.")
    if y.min() < 0 or y.max() >= n_classes:
        wrong = y.min() if y.min() < 0 else y.max()
        raise ValueError(f"label {wrong}: expected 0 to {n_classes - 1} (n_classes={n_classes}).")


def _fitted(member: Classifier, x: np.ndarray, y: np.ndarray, x_pool: Any, n_classes: int):
    """Train a member; return its (n_pool, n_classes) float32 probabilities.

    Classifiers of scikit-learn give columns only for the classes in ``classes_``; the others have
    probability zero.
    """
    member.fit(x, y)
    p = np.asarray(member.predict_proba(x_pool), np.float32)
    if p.shape[1] == n_classes:
        return p
    classes = getattr(member, "classes_", None)
    if classes is None or len(classes) != p.shape[1]:
        raise ValueError(
            f"a member gives {p.shape[1]} columns; expected n_classes={n_classes}, or `classes_` "
            "to say which of them these are."
        )
    out = np.zeros((len(p), n_classes), np.float32)
    out[:, np.asarray(classes, np.int64)] = p
    return out


def _stacked(members: Iterable[np.ndarray], n_members: int) -> np.ndarray:
    """Put the members' answers into one array, one member in memory at a time."""
    if n_members < 2:
        raise ValueError(f"n_members={n_members}: at least 2 are needed to disagree.")
    out = None
    for i, answer in enumerate(members):
        if out is None:
            out = np.empty((n_members, *answer.shape), np.float32)
        out[i] = answer
    return out
