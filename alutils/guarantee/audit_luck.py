"""What an audit of waiting pictures comes to where only chances of errors are known: many at once.

`alutils.guarantee.audit.Audit` runs one audit on known truths. A forecast needs hundreds of them, a
few milliseconds for all: pictures of about the same doubt are one group, and only the draws that
find an error are simulated, since between two of them nothing happens but labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.weighted import WeightedPlan

_LOOKS = 400  # places at which labels by draws are computed; between them they are interpolated
_MOST_HITS = 150  # draws that find an error; an audit with more of them is refused


@dataclass(frozen=True)
class Luck:
    """Audits of one plan: (n,) int labels that each used, and (n,) bool which accepted."""

    labels: np.ndarray
    accepted: np.ndarray


def audits(
    plan: AuditPlan | WeightedPlan, size: np.ndarray, wrong: np.ndarray, rng: np.random.Generator
) -> Luck:
    """Return what audits by a plan come to.

    Parameters
    ----------
    plan : of an audit of all these pictures, or for the weighted of a part that stands for them, in
        the order of the groups
    size : (n_groups,) int, pictures in each group
    wrong : (n_audits, n_groups) int, how many of them are wrong, another truth for each audit
    rng : of the draws
    """
    if isinstance(plan, AuditPlan):
        return _uniform(plan, wrong.sum(axis=1), rng)
    return _weighted(plan, size, wrong, rng)


def _uniform(plan: AuditPlan, wrong: np.ndarray, rng: np.random.Generator) -> Luck:
    looks = np.array([*plan.looks, np.inf])
    n_looks, n = len(plan.looks), plan.population
    # Where in the random order the first errors lie: the order statistics of uniform numbers.
    place, places = np.zeros(len(wrong)), np.full((len(wrong), n_looks), np.inf)
    for k in range(n_looks):
        left = wrong - k
        step = 1 - rng.random(len(wrong)) ** (1 / np.maximum(left, 1))
        place = place + (1 - place) * step
        places[:, k] = np.where(left > 0, np.ceil(place * n), np.inf)
    accepts = places > looks[:n_looks]  # fewer than k + 1 errors at the k-th look
    accepted = accepts.any(axis=1)
    labels = np.where(accepted, looks[accepts.argmax(axis=1)], places[:, -1])
    return Luck(labels.astype(int), np.asarray(accepted))


def _weighted(
    plan: WeightedPlan, size: np.ndarray, wrong: np.ndarray, rng: np.random.Generator
) -> Luck:
    n = int(size.sum())
    place = (np.cumsum(size) - size / 2) / n * plan.population
    rates = np.asarray(plan.rates)[np.minimum(place.astype(int), plan.population - 1)]
    rates = rates * n / (rates * size).sum()
    delays = plan.delays[np.minimum(place.astype(int), plan.population - 1)]
    often = wrong * (rates / n)  # hits a draw
    total = np.maximum(often.sum(axis=1), 1e-12)
    ends = np.cumsum(often, axis=1) / total[:, None]
    shape = (len(wrong), _MOST_HITS)
    at = np.cumsum(rng.exponential(size=shape) / total[:, None], axis=1)
    drawn = rng.random(shape)
    group = np.stack(
        [np.searchsorted(e, d, side="right") for e, d in zip(ends, drawn, strict=True)]
    )
    delay = np.cumsum(delays[np.minimum(group, len(size) - 1)], axis=1)
    needed = plan.without_error + np.column_stack([np.zeros(len(wrong)), delay])
    labels_at = _labels(rates, size, 4.0 * plan.most + plan.without_error)
    accepts = needed[:, :-1] <= at
    # After a hit it is given up where the labels do not seem to do.
    seen = labels_at(at)
    refuses = seen + needed[:, 1:] - at > plan.most
    accepted_at = np.where(accepts.any(axis=1), accepts.argmax(axis=1), _MOST_HITS)
    refused_at = np.where(refuses.any(axis=1), refuses.argmax(axis=1), _MOST_HITS - 1)
    accepted = accepted_at <= refused_at
    rows = np.arange(len(wrong))
    draws = np.where(
        accepted, needed[rows, np.minimum(accepted_at, _MOST_HITS)], at[rows, refused_at]
    )
    expected = labels_at(draws)
    # How many pictures are drawn again varies about as rare events do.
    again = np.sqrt(np.maximum(draws - expected, 0)) * rng.standard_normal(len(wrong))
    labels = np.clip(expected + again, 1, np.minimum(draws, n))
    labels = np.where(accepted, labels, np.minimum(labels, plan.most))
    return Luck(np.ceil(labels).astype(int), accepted)


def _labels(rates: np.ndarray, size: np.ndarray, most: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that says how many pictures are expected among so many draws."""
    n = size.sum()
    draws = np.concatenate([np.linspace(0, most, _LOOKS), np.geomspace(most, 1e3 * most, _LOOKS)])
    labels = (-np.expm1(-np.outer(draws, rates / n)) * size).sum(axis=1)
    return lambda at: np.asarray(np.interp(at, draws, labels))
