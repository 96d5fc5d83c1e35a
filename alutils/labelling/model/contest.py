"""Which learner is at work: the one that is clearly better on the same pictures, out of fold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alutils.base.errors import ParameterError, nearest
from alutils.labelling.model.learner import says
from alutils.stats.intervals import clearly_better

QUICK, SPREAD, NETWORK, BROUGHT = "quick", "spread", "network", "brought"
JOINT = " + "
LEAST_GAIN = 0.01
"""Accuracy that another learner must gain, at the least, before it takes the place."""
_PAIRS = ((QUICK, NETWORK), (SPREAD, NETWORK))


def with_averages(answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the averages of two learners, where both are there, as ``quick + network``.

    ``answers`` are (n, n_classes) probabilities by the learner's name.
    """
    joint = {
        JOINT.join(pair): (answers[pair[0]] + answers[pair[1]]) / 2
        for pair in _PAIRS
        if set(pair) <= set(answers)
    }
    return {**answers, **joint}


def choose(
    answers: Mapping[str, np.ndarray], labels: np.ndarray, current: str
) -> tuple[str, dict[str, float]]:
    """Choose who is at work from now on.

    Another learner takes the place only if it is better on the same items by at least `LEAST_GAIN`
    and by more than one standard error of the paired difference: so it does not change by a hair.
    Then an average of two is taken, unless the best is better by more than two standard errors.

    Parameters
    ----------
    answers : name -> (n, n_classes) probabilities of the labelled items, each given by a model that
        has not seen the item
    labels : (n,) int
    current : who is at work; must be among the answers

    Returns
    -------
    name
    accuracy : of each, on these items

    Raises
    ------
    ParameterError
        If ``current`` gives no answers.
    """
    if current not in answers:
        raise ParameterError("current", current, nearest(current, answers))
    right = {name: says(p) == labels for name, p in answers.items()}
    accuracy = {name: float(each.mean()) for name, each in right.items()}
    clear = [name for name in right if _is_clear(right[name], right[current])]
    if not clear:
        return current, accuracy
    best = max(clear, key=accuracy.__getitem__)
    # With few labels the best alone is often so by luck. An average is seldom far from the better
    # of its two, and the network's answers out of fold are of one member, not of all.
    tied = [n for n in right if JOINT in n and not _is_clear(right[best], right[n], errors=2)]
    return max(tied, key=lambda n: (accuracy[n], SPREAD in n), default=best), accuracy


def parts_of(name: str) -> list[str]:
    """Return the learners whose average a name stands for."""
    return name.split(JOINT)


def _is_clear(right: np.ndarray, before: np.ndarray, errors: float = 1) -> bool:
    return clearly_better(right, before, errors=errors, least=LEAST_GAIN)


def known() -> list[str]:
    """All names that can be at work."""
    alone = [QUICK, SPREAD, NETWORK, BROUGHT]
    return [*alone, *(JOINT.join(pair) for pair in _PAIRS)]
