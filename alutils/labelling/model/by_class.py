"""How good the model at work is class by class, and what it mixes up: out of fold, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alutils.labelling.model import learner
from alutils.labelling.model.facts import Share

PAIRS, EXAMPLES = 6, 4
"""Pairs of classes that are shown, and pictures for each."""


@dataclass(frozen=True)
class HeldOut:
    """What models that have not seen a labelled picture say of it, for all that are labelled.

    Attributes
    ----------
    ids : (n,) int64, the pictures' numbers
    labels : (n,) int, class numbers that people gave
    p : (n, n_classes) float, a column for each class number
    """

    ids: np.ndarray
    labels: np.ndarray
    p: np.ndarray


@dataclass(frozen=True)
class Mistake:
    """A picture that the model has wrong: its number, its label, and what the model says."""

    item: int
    label: int
    predicted: int


@dataclass(frozen=True)
class Confusion:
    """Two classes that the model mixes up: how often, and the surest of its mistakes."""

    classes: tuple[int, int]
    n: int
    examples: tuple[Mistake, ...]


def shares(held_out: HeldOut, classes: Sequence[int]) -> list[Share]:
    """Count for each class how many of the pictures that people gave it the model has right."""
    right = learner.says(held_out.p) == held_out.labels
    of = [held_out.labels == number for number in classes]
    return [Share(int(right[which].sum()), int(which.sum())) for which in of]


def confusions(held_out: HeldOut, most: int = PAIRS, examples: int = EXAMPLES) -> list[Confusion]:
    """Return the pairs of classes that are mixed up most, whichever of the two was meant.

    Parameters
    ----------
    most : pairs at most
    examples : pictures of each at most, those first of which the model is surest
    """
    said = learner.says(held_out.p)
    wrong = np.flatnonzero((said != held_out.labels) & (said >= 0))
    pairs = np.sort(np.column_stack([held_out.labels[wrong], said[wrong]]), axis=1)
    kinds, which, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    found = []
    for number in np.argsort(-counts, kind="stable")[:most]:
        rows = wrong[which.ravel() == number]
        rows = rows[np.argsort(-held_out.p[rows, said[rows]], kind="stable")][:examples]
        shown = tuple(
            Mistake(int(held_out.ids[i]), int(held_out.labels[i]), int(said[i])) for i in rows
        )
        first, second = kinds[number].tolist()
        found.append(Confusion((first, second), int(counts[number]), shown))
    return found
