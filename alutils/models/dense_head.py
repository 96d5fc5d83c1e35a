"""The report's head on frozen features: Dense 128 ReLU, Dense softmax, Adam, batches of 32.

What Keras' ``fit`` computes, without the 5 ms that it spends on a step besides: products in NumPy,
Adam in one compiled pass over all weights. `train` is held against Keras on the same batches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from alutils.base.compiled import compiled

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7  # keras.optimizers.Adam's defaults
_NOTHING, _ZERO = np.float32(1e-30), np.float32(0)
_ROWS = 8192  # predicted at a time, so that a large pool on disk is never held as a whole


class DenseWeights(NamedTuple):
    """Weights of a head, float32.

    ``w1`` (n_features, hidden), ``b1`` (hidden,), ``w2`` (hidden, n_classes), ``b2`` (n_classes,).
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    def hidden(self, x: np.ndarray) -> np.ndarray:
        """Return (n, hidden) float32, the first layer of ``x`` (n, n_features) float32."""
        hidden = x @ self.w1
        hidden += self.b1
        return np.maximum(hidden, 0, out=hidden)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of ``x`` (n, n_features) float32."""
        return _softmax(self.hidden(x) @ self.w2 + self.b2)[0]


class DenseHead:
    """The report's classifier on features that are already computed.

    Parameters
    ----------
    n_classes : how many classes there are
    hidden : units of the first layer
    epochs, batch, learning_rate : of the training; the report leaves batch and rate to Keras
    rng : where starting weights and the order of every epoch come from; a number is a seed

    Raises
    ------
    ValueError
        For a size that is not 1 or more, or a learning rate that is not positive.

    Notes
    -----
    Every `fit` starts from new weights: the report builds its network anew in every round.
    """

    def __init__(
        self,
        n_classes: int,
        *,
        hidden: int = 128,
        epochs: int = 10,
        batch: int = 32,
        learning_rate: float = 1e-3,
        rng: np.random.Generator | int = 0,
    ) -> None:
        sizes = {"n_classes": n_classes, "hidden": hidden, "epochs": epochs, "batch": batch}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name}={value}: expected 1 or more")
        if not learning_rate > 0:
            raise ValueError(f"learning_rate={learning_rate}: expected more than 0")
        self.n_classes, self.hidden = n_classes, hidden
        self.epochs, self.batch, self.learning_rate = epochs, batch, learning_rate
        self._rng = np.random.default_rng(rng)
        self._weights: DenseWeights | None = None

    @property
    def weights(self) -> DenseWeights:
        """The weights of the last `fit`; RuntimeError before the first."""
        if self._weights is None:
            raise RuntimeError("the head is not trained yet: call fit(x, y) first")
        return self._weights

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """Train new weights on ``x`` (n, n_features) float32, ``y`` (n,) int from 0.

        Returns loss and accuracy, (epochs,) float64 each: means over an epoch's items while it
        trains, as Keras logs them. ValueError for shapes that do not fit, nothing to train on,
        labels out of range, or features that are not finite.
        """
        x, y = np.ascontiguousarray(x, np.float32), np.asarray(y)
        if x.ndim != 2 or y.shape != (len(x),) or not len(x):
            raise ValueError(
                f"x {x.shape} and y {y.shape}: expected (n, n_features) and (n,), n 1 or more"
            )
        if y.min() < 0 or y.max() >= self.n_classes:
            wrong = y.min() if y.min() < 0 else y.max()
            raise ValueError(f"label {wrong}: expected 0 to {self.n_classes - 1} (n_classes)")
        if not np.isfinite(x).all():
            raise ValueError("x holds values that are not finite: compute the features again")
        weights = initial_weights(x.shape[1], self.hidden, self.n_classes, self._rng)
        orders = np.stack([self._rng.permutation(len(x)) for _ in range(self.epochs)])
        self._weights, history = train(
            weights, x, y, orders, batch=self.batch, learning_rate=self.learning_rate
        )
        return history

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of ``x`` (n, n_features).

        ``x`` may be a memory-map; it is read block by block.
        """
        w = self.weights
        if x.ndim != 2 or x.shape[1] != len(w.w1):
            raise ValueError(f"x {x.shape}: the head was trained on {len(w.w1)} features an item")
        out = np.empty((len(x), self.n_classes), np.float32)
        for start in range(0, len(x), _ROWS):
            block = np.asarray(x[start : start + _ROWS], np.float32)
            out[start : start + _ROWS] = w.probabilities(block)
        return out


def initial_weights(
    n_features: int, hidden: int, n_classes: int, rng: np.random.Generator
) -> DenseWeights:
    """Draw weights as Keras' Dense layers start: Glorot's uniform, biases zero.

    Source: Glorot and Bengio (2010), equation 16.
    """

    def glorot(rows: int, columns: int) -> np.ndarray:
        limit = np.sqrt(6 / (rows + columns))
        return rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    w1, w2 = glorot(n_features, hidden), glorot(hidden, n_classes)
    return DenseWeights(w1, np.zeros(hidden, np.float32), w2, np.zeros(n_classes, np.float32))


def train(
    weights: DenseWeights,
    x: np.ndarray,
    y: np.ndarray,
    orders: np.ndarray,
    *,
    batch: int = 32,
    learning_rate: float = 1e-3,
) -> tuple[DenseWeights, dict[str, np.ndarray]]:
    """Train from given weights in a given order, by categorical cross-entropy and Adam.

    Parameters
    ----------
    weights : where training starts; not changed
    x, y : (n, n_features) float32 and (n,) int
    orders : (epochs, n) int, the order of the items in each epoch; an epoch's last batch holds what
        is left
    batch, learning_rate : items a step, Adam's rate

    Returns
    -------
    the weights, and the history as in `DenseHead.fit`

    Source: Kingma and Ba (2015), in the formulation at the end of section 2, as Keras has it.
    """
    flat = np.concatenate([part.ravel() for part in weights]).astype(np.float32)
    gradient, m, v = np.empty_like(flat), np.zeros_like(flat), np.zeros_like(flat)
    w, g = _parts(flat, weights), _parts(gradient, weights)
    losses, right = np.zeros(len(orders)), np.zeros(len(orders))
    step = 0
    # Products this small are slower on several threads, much slower on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        for epoch, order in enumerate(orders):
            for start in range(0, len(order), batch):
                items = order[start : start + batch]
                x_batch, y_batch, rows = x[items], y[items], np.arange(len(items))
                hidden = w.hidden(x_batch)
                error, log_sum, shifted = _softmax(hidden @ w.w2 + w.b2)
                right[epoch] += np.count_nonzero(error.argmax(axis=1) == y_batch)
                losses[epoch] += float((log_sum - shifted[rows, y_batch]).sum())
                # The gradient of the mean cross-entropy by the logits: (p - onehot) / n.
                error[rows, y_batch] -= 1
                error /= np.float32(len(items))
                np.matmul(hidden.T, error, out=g.w2)
                error.sum(axis=0, out=g.b2)
                back = error @ w.w2.T
                back *= hidden > 0
                np.matmul(x_batch.T, back, out=g.w1)
                back.sum(axis=0, out=g.b1)
                step += 1
                rate = learning_rate * np.sqrt(1 - BETA2**step) / (1 - BETA1**step)
                _adam(flat, gradient, m, v, *map(np.float32, (rate, 1 - BETA1, 1 - BETA2, EPSILON)))
    return w, {"loss": losses / orders.shape[1], "accuracy": right / orders.shape[1]}


def _parts(flat: np.ndarray, like: DenseWeights) -> DenseWeights:
    """Return views of one flat array in the shapes of weights."""
    ends = np.cumsum([part.size for part in like])[:-1]
    pieces = zip(np.split(flat, ends), like, strict=True)
    return DenseWeights(*(piece.reshape(part.shape) for piece, part in pieces))


def _softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities; the logarithm of their denominator; the logits it is of, shifted to max 0."""
    logits -= logits.max(axis=1, keepdims=True)
    out = np.exp(logits)
    total = out.sum(axis=1)
    out /= total[:, None]
    return out, np.log(total), logits


@compiled(error_model="numpy")
def _adam(weights, gradient, m, v, rate, keep1, keep2, epsilon):
    """One step of Adam, in place: each number is read and written once.

    Most features of an image are zero, so most moments only fade. Long before they reach the
    subnormal numbers, which processors are slow at, they have no effect: they are set to zero.
    """
    for i in range(weights.size):
        moment = m[i] + (gradient[i] - m[i]) * keep1
        m[i] = moment if abs(moment) > _NOTHING else _ZERO
        v[i] += (gradient[i] * gradient[i] - v[i]) * keep2
        weights[i] -= rate * m[i] / (np.sqrt(v[i]) + epsilon)
