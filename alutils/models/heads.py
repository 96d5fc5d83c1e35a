"""A trained classifier on features as plain arrays: what is kept of softmax regression and head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from alutils.base.errors import ParameterError
from alutils.models.dense_head import DenseWeights

_ROWS = 8192  # predicted at a time


@dataclass(frozen=True)
class Head:
    """Weights that turn features into probabilities.

    Attributes
    ----------
    weights : ``(w, b)`` of softmax regression, (n_features, n_classes) and (n_classes,), or a dense
        head's ``(w1, b1, w2, b2)`` as in `DenseWeights`; float32

    Raises
    ------
    ParameterError
        For arrays that do not fit together, of another type, or with values that are not finite.
    """

    weights: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        shapes = [each.shape for each in self.weights]
        fits = len(shapes) in (2, 4) and all(
            len(w) == 2 and b == (w[1],) for w, b in zip(shapes[::2], shapes[1::2], strict=True)
        )
        if not fits or (len(shapes) == 4 and shapes[0][1] != shapes[2][0]):
            raise ParameterError("weights", shapes, "expected the shapes of one or two layers")
        for each in self.weights:
            if each.dtype != np.float32 or not np.isfinite(each).all():
                what = each.dtype if each.dtype != np.float32 else "values that are not finite"
                raise ParameterError("weights", what, "expected finite float32", "train it again")

    @property
    def n_features(self) -> int:
        """How many numbers it takes for each item."""
        return len(self.weights[0])

    @property
    def n_classes(self) -> int:
        """How many probabilities it gives for each item."""
        return len(self.weights[-1])

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of (n, n_features).

        ``features`` may be a memory-map; it is read block by block. ParameterError for another
        number of features.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features:
            raise ParameterError(
                "features", features.shape, f"expected (n, {self.n_features}) for this model"
            )
        out = np.empty((len(features), self.n_classes), np.float32)
        for start in range(0, len(features), _ROWS):
            block = np.asarray(features[start : start + _ROWS], np.float32)
            out[start : start + _ROWS] = self._block(block)
        return out

    def _block(self, x: np.ndarray) -> np.ndarray:
        if len(self.weights) == 4:
            return DenseWeights(*self.weights).probabilities(x)
        w, b = self.weights
        return softmax(x @ w + b, axis=1)
