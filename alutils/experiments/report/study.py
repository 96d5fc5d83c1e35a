"""What all of the report's experiments share: letters, settings, the draws, and the first model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alutils.base.errors import ParameterError
from alutils.experiments.base import Finding
from alutils.experiments.report.letters import Letters
from alutils.experiments.report.loops import STOP_SHARE, THRESHOLD, new_head
from alutils.experiments.report.splits import NAMES, SETTINGS, Split, split
from alutils.models.dense_head import DenseHead

LEAST_FIRST = 5  # labels of a first training: as many neighbours are asked by one classifier


@dataclass(frozen=True, eq=False)
class Study:
    """Letters, and how the report's experiments are done on them.

    Attributes
    ----------
    letters : images, labels and features
    arm : ``both`` settings, or one of `SETTINGS`
    threshold : confidence under which a prediction counts as unsure
    stop_share : the loops end when this share of the pool, or less, is unsure
    epochs : of every training
    seed, seeds : the first draw, and how many
    few : draws of what takes long

    Raises
    ------
    ParameterError
        If the letters do not suffice for a first training and a pool.
    """

    letters: Letters
    arm: str = "both"
    threshold: float = THRESHOLD
    stop_share: float = STOP_SHARE
    epochs: int = 10
    seed: int = 0
    seeds: int = 10
    few: int = 3

    def __post_init__(self) -> None:
        n_classes, counts = len(self.letters.classes), self.letters.data.class_counts()
        for setting in self.settings:
            parts = split(self.letters.labels, setting, self.seed)
            if len(parts.start) >= LEAST_FIRST and len(parts.pool) >= n_classes:
                continue
            smallest = min(counts, key=lambda name: counts[name])
            raise ParameterError(
                "data", self.letters.data.name,
                f"{len(self.letters)} pictures leave {len(parts.start)} for the first training and "
                f"{len(parts.pool)} for the pool in {NAMES[setting]}: expected {LEAST_FIRST} and "
                f"{n_classes} or more; the smallest class, {smallest}, has {counts[smallest]}",
                f"add pictures, of class {smallest} first",
            )  # fmt: skip

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that are looked at; the first is held against what was published."""
        return tuple(SETTINGS) if self.arm == "both" else (self.arm,)

    @property
    def draws(self) -> range:
        """Seeds of all draws."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def few_draws(self) -> range:
        """Seeds of the draws of what takes long."""
        return range(self.seed, self.seed + self.few)

    def title(self, text: str) -> str:
        """Return a title, which says so if the letters are not real ones."""
        return self.letters.title(text)


@dataclass(frozen=True)
class First:
    """The first round of the published setting's first draw: what the report stopped with.

    Attributes
    ----------
    setting : one of `SETTINGS`
    parts : what was labelled first, waits, and tests
    head : trained on the first labels
    history : loss and accuracy, (epochs,) each, as Keras logs them
    pool_labels, predicted : (n_pool,) int, true and predicted classes of the pool
    """

    setting: str
    parts: Split
    head: DenseHead
    history: dict[str, np.ndarray]
    pool_labels: np.ndarray
    predicted: np.ndarray

    @property
    def name(self) -> str:
        """What sentences and titles call the setting."""
        return NAMES[self.setting]


def first_round(study: Study) -> First:
    """Train the report's head on the first labels, once; all that looks at one model takes this."""
    letters, setting = study.letters, study.settings[0]
    parts = split(letters.labels, setting, study.seed)
    head = new_head(len(letters.classes), study.seed, study.epochs)
    history = head.fit(letters.features[parts.start], letters.labels[parts.start])
    predicted = head.predict_proba(letters.features[parts.pool]).argmax(axis=1)
    return First(setting, parts, head, history, letters.labels[parts.pool], predicted)


def letters_used(study: Study) -> Finding:
    """Say which letters are labelled first, wait and test, in each setting."""
    letters = study.letters
    notes = [split(letters.labels, setting, study.seed).note for setting in study.settings]
    text = letters.title(
        f"{len(letters):,} letters of {len(letters.classes)} classes, "
        f"{letters.features.shape[1]} features each"
    )
    return Finding("\n".join([f"{text}.\n", *(f"- {note}" for note in notes)]), name="letters_used")


def mean_of(draws: int, spread: str = "") -> str:
    """Return what a title says of so many draws: a mean of them (and a spread), or one."""
    return "one draw" if draws == 1 else f"mean{spread} of {draws} draws"


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return frames below each other."""
    return pd.concat(list(frames), ignore_index=True)


def each(
    keep: Callable[..., Any], function: Callable[..., Any], study: Study, seeds: Sequence[int],
    *arguments: Any, **named: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return ``function(letters, *arguments, seed, **named)`` of every draw, kept one by one."""
    from tqdm import tqdm

    name = function.__name__.strip("_").replace("_", " ")
    bar = tqdm(seeds, desc=name, unit="draw", leave=False)
    return together([keep(function, study.letters, *arguments, seed, **named) for seed in bar])
