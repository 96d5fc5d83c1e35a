"""Chances of the orders in which an audit may meet right and wrong items: what plans rest on.

A plan looks at ``looks[k]`` labels whether at most k of them are wrong. All orders of the same
numbers of right and wrong labels have the same chance; so the orders that a plan accepts are
counted, and weighed by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np


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
    """Return the probability that a plan accepts.

    It is the number of orders that are accepted at each look and not before, times the chance of
    one of them.
    """
    errors = np.arange(1, len(looks))
    scale = max(1, len(errors)) / max(1, looks[-1])  # keeps the numbers of orders in a float
    ways, before, total = np.eye(1, len(looks))[0], 0, 0.0
    for k, look in enumerate(looks):
        steps = np.maximum(look - before - errors + 1, 0) / errors * scale
        ways = np.convolve(ways, np.concatenate([[1.0], np.cumprod(steps)]))[: len(looks)]
        total += ways[k] * math.exp(log_weights[look, k] - k * math.log(scale))
        ways[k] = 0  # fewer than k were accepted before
        before = look
    return min(total, 1.0)  # what floats add


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
