"""What is done to each picture before a model reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from alutils.models.seen import CONTRAST, background

FULL = (0.0, 255.0)
"""The levels of a picture that uses all of them."""


@dataclass(frozen=True)
class Conversion:
    """What is done to each picture before a model reads it.

    Attributes
    ----------
    steps : of `alutils.models.prediction.CONVERSIONS`, in their order
    levels : for ``stretch``: the darkest and the lightest level, and what they become
    ground : for ``invert-where-needed``: ``"dark"`` or ``"light"``, the model's background
    whole : for ``stretch-where-needed``: the model's darkest and lightest level
    """

    steps: tuple[str, ...] = ()
    levels: tuple[float, float, float, float] | None = None
    ground: str = ""
    whole: tuple[float, float] = FULL

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture, uint8 as it was, as the model gets it."""
        for step in self.steps:
            if step == "grey" and picture.ndim == 3:
                picture = np.asarray(Image.fromarray(picture).convert("L"))
            elif step == "stretch" and self.levels is not None:
                picture = _spread(picture, *self.levels)
            elif step == "stretch-where-needed":
                low, high = float(picture.min()), float(picture.max())
                if self.has_few_levels(low, high):
                    picture = _spread(picture, low, high, *self.whole)
            elif step == "invert" or (
                step == "invert-where-needed" and background(picture) not in (self.ground, "none")
            ):
                picture = 255 - picture
        return picture

    def has_few_levels(self, low: Any, high: Any) -> Any:
        """Tell whether a picture with these levels has far fewer than the model's; numbers, arrays.

        One of a single level has nothing to be stretched.
        """
        return (high > low) & (CONTRAST * (high - low) < self.whole[1] - self.whole[0])

    def to_json(self) -> dict[str, Any]:
        """Return what tells it from others, as JSON takes it."""
        return asdict(self) | {"steps": list(self.steps)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Conversion:
        """Return what `to_json` has written."""
        levels = told["levels"]
        return cls(
            tuple(told["steps"]),
            None if levels is None else tuple(levels),
            told["ground"],
            tuple(told["whole"]),
        )


UNCHANGED = Conversion()
"""Pictures as they are."""


def _spread(picture: np.ndarray, dark: float, light: float, low: float, high: float) -> np.ndarray:
    values = (np.arange(256) - dark) / (light - dark) * (high - low) + low
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)[picture]
