"""How a project's models learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alutils.labelling.store.records import LabellingError

RETRAIN_AFTER, PAUSE_S = 20, 5.0
STEPS, MORE_FROM, LONGEST = 1500, 75, 4
"""Of the training of each of the strong network's members; labels from which there are more, in
proportion to the labels; and how many times as many there are at most. Few labels are soon learned,
and more of them deserve the time: people took longer to give them."""


@dataclass(frozen=True)
class Learning:
    """How a project's models learn.

    Attributes
    ----------
    features : name of a backbone, or what computes features; None: chosen by pictures and labels
    retrain_after : labels after which the quick learner is trained again, 1 or more
    pause_s : seconds between two trainings, at least
    beside : whether strong learners are trained beside it
    steps : of the training of each of the strong network's members, up to `MORE_FROM` labels
    seed : of the network
    polite : whether everything else on the machine goes before the strong learners
    typical : whether typical pictures come first, before a model has learned a little
    """

    features: Any = None
    retrain_after: int = RETRAIN_AFTER
    pause_s: float = PAUSE_S
    beside: bool = True
    steps: int = STEPS
    seed: int = 0
    polite: bool = True
    typical: bool = True

    def __post_init__(self) -> None:
        if self.retrain_after < 1:
            raise LabellingError(f"retrain_after={self.retrain_after}: expected 1 or more labels")

    def steps_for(self, n_labels: int) -> int:
        """Return how many steps each of the network's members is trained for on so many labels."""
        return round(self.steps * min(max(n_labels / MORE_FROM, 1), LONGEST))
