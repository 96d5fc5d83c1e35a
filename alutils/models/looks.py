"""What many pictures look like, as one array: facts of single pictures that are kept and compared.

A row holds what `alutils.models.seen.look` says of one picture. From rows alone it can be told what
the pictures would look like after a conversion, so no picture is read twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alutils.base.errors import ParameterError
from alutils.models import turned
from alutils.models.conversion import Conversion
from alutils.models.seen import SAMPLE, Ground, Look, Seen, look

GROUNDS: tuple[Ground, ...] = ("none", "dark", "light")
_HEIGHT, _WIDTH, _COLOUR, _LOW, _HIGH, _GROUND, _INK, _SMALL = range(8)
_SEED = 0  # of the sample of pictures: the same pictures give the same facts


def row(picture: np.ndarray) -> np.ndarray:
    """Return the facts of one picture, (n_columns,) float32; ParameterError as `look`."""
    facts = look(picture)
    ground = GROUNDS.index(facts.ground)
    first = [*facts.size, facts.colour, facts.low, facts.high, ground, facts.ink]
    return np.concatenate([np.array(first, np.float32), facts.small.ravel()])


@dataclass(frozen=True, eq=False)
class Looks:
    """Facts of n pictures.

    Attributes
    ----------
    rows : (n, n_columns) float32, each as `row` makes it
    """

    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def colour(self) -> np.ndarray:
        """(n,) bool."""
        return self.rows[:, _COLOUR] > 0

    @property
    def low(self) -> np.ndarray:
        """(n,) float32, the darkest level of each."""
        return self.rows[:, _LOW]

    @property
    def high(self) -> np.ndarray:
        """(n,) float32, the lightest level of each."""
        return self.rows[:, _HIGH]

    @property
    def small(self) -> np.ndarray:
        """(n, SIDE * SIDE) float32."""
        return self.rows[:, _SMALL:]

    def is_on(self, ground: Ground) -> np.ndarray:
        """(n,) bool, which have this background."""
        return self.rows[:, _GROUND] == GROUNDS.index(ground)

    def take(self, which: np.ndarray) -> Looks:
        """Return those of some pictures, by their positions or a mask."""
        return Looks(self.rows[which])

    def converted(self, conversion: Conversion) -> Looks:
        """Return what the pictures look like after a conversion.

        Not after ``stretch``, which may cut levels off: what is left cannot be told from facts.
        """
        if "stretch" in conversion.steps:
            raise ParameterError("conversion", "stretch", "expected one whose outcome facts tell")
        rows = self.rows.copy()
        low, high = rows[:, _LOW].copy(), rows[:, _HIGH].copy()
        for step in conversion.steps:
            if step == "grey":
                rows[:, _COLOUR] = 0
            elif step == "stretch-where-needed":
                few = conversion.has_few_levels(low, high)
                low[few], high[few] = conversion.whole
            elif step in ("invert", "invert-where-needed"):
                chosen = np.ones(len(rows), bool)
                if step == "invert-where-needed":
                    fits = (0, GROUNDS.index(conversion.ground))
                    chosen = ~np.isin(rows[:, _GROUND], fits)
                low[chosen], high[chosen] = 255 - high[chosen], 255 - low[chosen]
                rows[chosen, _SMALL:] = 1 - rows[chosen, _SMALL:]
                ground = rows[chosen, _GROUND]
                rows[chosen, _GROUND] = np.where(ground > 0, 3 - ground, 0)
        rows[:, _LOW], rows[:, _HIGH] = low, high
        return Looks(rows)

    def seen(self) -> Seen:
        """Put the facts together as a model keeps them, of a random sample of at most `SAMPLE`.

        ParameterError where there is no picture.
        """
        rows = self.rows
        if len(rows) > SAMPLE:
            drawn = np.random.default_rng(_SEED).choice(len(rows), SAMPLE, replace=False)
            rows = rows[np.sort(drawn)]
        return Seen.of_looks([_look_of(each) for each in rows], len(self.rows))


def _look_of(facts: np.ndarray) -> Look:
    return Look(
        size=(int(facts[_HEIGHT]), int(facts[_WIDTH])),
        colour=bool(facts[_COLOUR]),
        low=float(facts[_LOW]),
        high=float(facts[_HIGH]),
        ground=GROUNDS[int(facts[_GROUND])],
        ink=float(facts[_INK]),
        small=facts[_SMALL:].reshape(turned.SIDE, turned.SIDE),
    )
