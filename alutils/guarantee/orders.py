"""Chances of the orders in which an audit may meet right and wrong items: what plans rest on.

A plan looks at ``looks[k]`` labels whether at most k of them are wrong. All orders of the same
numbers of right and wrong labels have the same chance; so the orders that a plan accepts are
counted, and weighed by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from alutils.base.compiled import compiled


def log_weights_of(population: int, wrong: int, most: int, n_errors: int) -> np.ndarray:
    """Return the log chance of one given order of right and wrong labels in a finite pool.

    (most + 1, n_errors) float, by the labels drawn and the errors among them; -inf where the pool
    does not hold as many. All orders of the same counts have the same chance.
    """

    def falling(items: int, draws: int) -> np.ndarray:
        """Return the logs of 1, items, items * (items - 1), ..., in shares of the pool."""
        with np.errstate(divide="ignore"):
            steps = np.log(np.maximum(items - np.arange(draws), 0) / population)
        return np.concatenate([[0.0], np.cumsum(steps)])

    n, errors = np.arange(most + 1)[:, None], np.arange(n_errors)
    right = falling(population - wrong, most)[np.maximum(n - errors, 0)]
    together = right + falling(wrong, n_errors)[errors] - falling(population, most)[n]
    return np.where(n >= errors, together, -np.inf)


def log_weights_at(rate: float, most: int, n_errors: int) -> np.ndarray:
    """Return the same for labels that are wrong independently, a share of ``rate``."""
    n, errors = np.arange(most + 1)[:, None], np.arange(n_errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = np.where(errors > 0, errors * np.log(rate), 0.0)
    return np.where(n >= errors, wrong + (n - errors) * np.log1p(-rate), -np.inf)


def chance_of(looks: Sequence[int], log_weights: np.ndarray) -> float:
    """Return the probability that a plan accepts, from what one order weighs: `log_weights_of`."""
    return weighed(log_orders(looks), looks, log_weights)


def weighed(orders: np.ndarray, looks: Sequence[int], log_weights: np.ndarray) -> float:
    """Return the chance of `log_orders`, of all looks of a plan or of the first ones."""
    k = np.arange(len(orders))
    weights = log_weights[np.asarray(looks)[: len(k)], k]
    return min(float(np.exp(orders + weights).sum()), 1.0)  # what floats add


def log_orders(looks: Sequence[int]) -> np.ndarray:
    """Return (n_looks,) float, the logs of how many orders a look accepts and none before it."""
    return _log_orders(np.asarray(looks, np.int64))


@compiled(error_model="numpy")
def _log_orders(looks):
    n = len(looks)
    scale = max(1, n - 1) / max(1, looks[-1])  # keeps the numbers of orders in a float
    ways, found, steps = np.zeros(n), np.empty(n), np.ones(n)
    ways[0], before = 1.0, 0
    for k in range(n):
        more = looks[k] - before
        for errors in range(1, n):
            steps[errors] = steps[errors - 1] * max(more - errors + 1, 0) / errors * scale
        for j in range(n - 1, k - 1, -1):  # fewer than k were accepted before
            total = 0.0
            for errors in range(min(j - k, more) + 1):
                total += ways[j - errors] * steps[errors]
            ways[j] = total
        found[k] = np.log(ways[k]) - k * np.log(scale)
        ways[k] = 0.0
        before = looks[k]
    return found


def expected_labels_of(looks: Sequence[int], share: Callable[[int], float | np.ndarray]) -> float:
    """Return the labels that a plan uses on average.

    ``share(n)`` is the chance that the label after n is wrong, by the errors among the n.
    """
    undecided, total, following = np.eye(1, len(looks))[0], 0.0, 0
    for n in range(looks[-1] + 1):
        if n == looks[following]:
            undecided[following] = 0
            following += 1
        if following == len(looks):
            break
        total += undecided.sum()
        wrong = undecided * share(n)
        undecided -= wrong
        undecided[1:] += wrong[:-1]  # an error more than the last look accepts: refused, gone
    return float(total)


def labels_without_error(population: int, wrong: int, granted: float) -> int:
    """Return how few labels, all right, are a chance of ``granted`` at most."""
    # Drawn with replacement they would have to be at least as many.
    bound = 0 if wrong == population else math.log(granted) / math.log1p(-wrong / population)
    most = min(population, math.ceil(bound) + 1)
    return int(np.argmax(log_weights_of(population, wrong, most, 1)[:, 0] <= math.log(granted)))
