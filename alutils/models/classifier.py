"""What loops, committees and out-of-fold predictions ask of a classifier: ours and anybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class Classifier(Protocol):
    """Trained by ``fit``, asked by ``predict_proba``; ``x`` is whatever the caller's items are."""

    def fit(self, x: Any, y: np.ndarray) -> Any:
        """Train on ``x`` (n items) and ``y`` (n,) int."""

    def predict_proba(self, x: Any) -> np.ndarray:
        """Return (n, n_classes) probabilities."""


Make = Callable[[int], Classifier]
"""Takes a seed, gives a classifier that has learned nothing yet."""
