"""Labels that models speak against which never saw them, or the same picture with another label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alutils.guarantee.label_errors import ROUNDING, find_label_errors
from alutils.labelling.model.at_work import Labelled
from alutils.labelling.model.twins import Twins
from alutils.labelling.store.store import Store


@dataclass(frozen=True)
class Suspect:
    """A label that is probably wrong, by confident learning.

    Attributes
    ----------
    item, label : the picture, and the number of the class that it had then
    suggested : number of the class that it was taken for
    confidence, own : what the model gave to ``suggested`` and to ``label``, from 0 to 1
    """

    item: int
    label: int
    suggested: int
    confidence: float
    own: float

    @property
    def margin(self) -> float:
        """By how much it speaks against the label, from 0 to 1."""
        return max(0.0, self.confidence - self.own)


def suspects(ids: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> list[Suspect]:
    """Find labels that are probably wrong, the most suspicious first.

    Parameters
    ----------
    ids : (n,) int, numbers of pictures
    labels : (n,) int, class numbers
    held_out : (n, n_classes) float, what a model says that has not seen the picture; rows of zeros
        where nothing was left to learn from, which are left out
    """
    known = np.abs(held_out.sum(axis=1) - 1) <= ROUNDING if held_out.size else np.zeros(0, bool)
    if not known.any():
        return []
    ids, labels, p = ids[known], labels[known], held_out[known].astype(float)
    found = find_label_errors(labels, p)
    return [
        Suspect(int(ids[i]), int(labels[i]), int(s), float(p[i, s]), float(p[i, labels[i]]))
        for i, s in zip(found.suspects, found.suggested, strict=True)
    ]


class Doubts:
    """What speaks against labels of a project; kept up to date by its training.

    Attributes
    ----------
    suspects : by the picture's number
    twins : pictures that show the same and have different labels
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.suspects: dict[int, Suspect] = {}
        self.twins = Twins(store.files.model)

    def look(self, labelled: Labelled, held_out: np.ndarray, stop: Callable[[], bool]) -> None:
        """Look at all that people labelled; ``held_out`` is as for `suspects`."""
        if len(held_out) == len(labelled.y):
            found = suspects(labelled.ids, labelled.y, held_out)
            self.suspects = {each.item: each for each in found}
        path_of = self.store.files.picture
        self.twins.look(labelled.ids, labelled.sha256, labelled.y, path_of, stop)
