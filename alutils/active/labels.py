"""Which item has which label, from whom, and since which round."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Source(IntEnum):
    """Where a label came from."""

    NONE = 0
    HUMAN = 1
    AUTO = 2


@dataclass
class LabelBook:
    """The labels given so far to the items of a pool, in the order in which they came.

    Make one with :meth:`empty`; change it with :meth:`add`; nothing else writes to it.

    Attributes
    ----------
    label : (n_items,) int64, the label of each item, -1 where it has none
    source : (n_items,) int8, a :class:`Source` each
    round : (n_items,) int32, the round in which the label came, -1 where there is none
    order : (n_labelled,) int64, the labelled items in the order in which they were labelled
    """

    label: np.ndarray
    source: np.ndarray
    round: np.ndarray
    order: np.ndarray

    @classmethod
    def empty(cls, n_items: int) -> LabelBook:
        """Return a book over ``n_items`` items, none of them labelled."""
        return cls(
            label=np.full(n_items, -1, np.int64),
            source=np.zeros(n_items, np.int8),
            round=np.full(n_items, -1, np.int32),
            order=np.empty(0, np.int64),
        )

    def copy(self) -> LabelBook:
        """Return a book that can be written to without changing this one."""
        return copy.deepcopy(self)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def labels(self) -> np.ndarray:
        """(n_labelled,) int64: the labels, in the order in which they came."""
        return self.label[self.order]

    def count(self, source: Source) -> int:
        """Return how many labels came from a source."""
        return int(np.count_nonzero(self.source == source))

    @property
    def n_human(self) -> int:
        return self.count(Source.HUMAN)

    @property
    def n_auto(self) -> int:
        return self.count(Source.AUTO)

    def add(self, items: np.ndarray, labels: np.ndarray, source: Source, round: int) -> None:
        """Write down the (n,) labels, 0 or more, of (n,) items that have none yet.

        ValueError for an item named twice, one out of range or one that already has a label; the
        book is then as it was.
        """
        items = np.asarray(items, np.int64)
        labels = np.asarray(labels, np.int64)
        if items.shape != labels.shape or items.ndim != 1:
            raise ValueError(
                f"{items.shape} items and {labels.shape} labels: give one label for each item."
            )
        if source == Source.NONE:
            raise ValueError("source=NONE: a label comes from HUMAN or AUTO.")
        outside = items[(items < 0) | (items >= len(self))]
        if len(outside):
            raise ValueError(f"item {outside[0]}: the book holds items 0 to {len(self) - 1}.")
        if labels.min(initial=0) < 0:
            raise ValueError(f"label {labels.min()}: labels are class numbers, 0 or higher.")
        values, counts = np.unique(items, return_counts=True)
        if (counts > 1).any():
            raise ValueError(f"item {values[counts > 1][0]} is named twice in one call.")
        taken = items[self.source[items] != Source.NONE]
        if len(taken):
            raise ValueError(
                f"item {taken[0]} already has label {self.label[taken[0]]}, given in round "
                f"{self.round[taken[0]]}: an item is labelled once."
            )
        self.label[items] = labels
        self.source[items] = source
        self.round[items] = round
        self.order = np.concatenate([self.order, items])
