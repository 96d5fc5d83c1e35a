"""Softmax regression trained as in the article: full-batch Adam, stopped early, best weights kept.

Two engines with one interface. :class:`SoftmaxRegression` does the arithmetic that TensorFlow does,
operation by operation, and so gives the published counts to the digit. ``SparseSoftmax`` (in
``softmax_fast``) follows the same procedure many times faster, in its own order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from alutils.base.tensorflow import import_tensorflow

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's defaults, as in tf.train.AdamOptimizer


class Weights(NamedTuple):
    """Weights of a softmax regression: ``w`` (n_features, n_classes), ``b`` (n_classes,)."""

    w: np.ndarray
    b: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the (n_samples, n_classes) float32 logits of ``x`` (n_samples, n_features)."""
        return x @ self.w + self.b


@dataclass(frozen=True)
class Rows:
    """Some rows of an image matrix that TensorFlow holds; indexing copies no pixel.

    Attributes
    ----------
    images : (n_all, n_features) float32 tensor
    index : (n,) int, which rows, in which order
    """

    images: Any
    index: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Rows:
        """Return all rows of ``x`` (n, n_features) float32."""
        tf = import_tensorflow()
        with tf.device("CPU:0"):
            return cls(tf.constant(x, tf.float32), np.arange(len(x)))

    def __getitem__(self, index: np.ndarray) -> Rows:
        return Rows(self.images, self.index[index])

    def __len__(self) -> int:
        return len(self.index)


class SoftmaxRegression:
    """The article's classifier, to the bit what its own TensorFlow graph computes.

    Every product, the fused cross-entropy and Adam's update are the same TensorFlow kernels on the
    same shapes; what is saved is everything around them: one compiled loop for a whole ``fit``,
    float32 images held once, no feeding. Pinned to the CPU, whatever else the machine has.

    Parameters
    ----------
    x_stop, y_stop : (n_stop, n_features) float32 and (n_stop,) int; what decides when a fit stops
        and which weights are kept. The article uses its test set
    n_classes : number of classes
    learning_rate : Adam's
    patience : steps without a strict improvement on the best count before a fit ends
    weights : where training starts; zeros if None, as in the article

    Notes
    -----
    Adam's slots live on through successive fits; the best weights are restored at the end of a fit,
    the slots are not (article, ``fit`` and ``reset``).
    """

    def __init__(
        self,
        x_stop: np.ndarray,
        y_stop: np.ndarray,
        *,
        n_classes: int = 10,
        learning_rate: float = 0.1,
        patience: int = 10,
        weights: Weights | None = None,
    ) -> None:
        tf = import_tensorflow()
        self._tf = tf
        n_features, self.n_classes = x_stop.shape[1], n_classes
        if weights is None:
            zeros = np.zeros((n_features, n_classes), np.float32)
            weights = Weights(zeros, zeros[0])
        with tf.device("CPU:0"):
            self._x_stop = tf.constant(x_stop, tf.float32)
            self._y_stop = tf.constant(y_stop, tf.int32)
            self._w, self._b = tf.Variable(weights.w), tf.Variable(weights.b)
            # First moments of w and b, then second moments.
            self._slots = [tf.Variable(tf.zeros_like(value)) for value in (*weights, *weights)]
            self._powers = tf.Variable([BETA1, BETA2], dtype=tf.float32)
            self._variables = (self._w, self._b, *self._slots, self._powers)
        self._learning_rate, self._patience = learning_rate, patience
        images = tf.TensorSpec([None, n_features], tf.float32)
        numbers = tf.TensorSpec([None], tf.int32)
        self._fit = tf.function(
            self._fit_graph, input_signature=[images, numbers, numbers], autograph=False
        )
        self._probabilities = tf.function(
            self._probabilities_graph, input_signature=[images, numbers], autograph=False
        )
        self._start = self.state()

    def reset(self) -> SoftmaxRegression:
        """Go back to the start, as the article's ``reset()``, and return the classifier."""
        self.restore(self._start)
        return self

    @property
    def n_stop(self) -> int:
        """Images in the stop set: what the count that ``fit`` returns is out of."""
        return len(self._y_stop)

    @property
    def weights(self) -> Weights:
        return Weights(self._w.numpy(), self._b.numpy())

    def state(self) -> list[np.ndarray]:
        """Return weights, slots and beta powers: all that a later fit depends on."""
        return [variable.numpy() for variable in self._variables]

    def restore(self, state: list[np.ndarray]) -> None:
        """Go back to a :meth:`state`."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def fit(self, x: Rows, y: np.ndarray) -> tuple[int, int]:
        """Train on ``x``, ``y`` (n,) until the stop set no longer gains.

        Return how many of the stop set the kept weights get right, and the steps taken.
        """
        n_right, steps = self._fit(x.images, *self._on_cpu(x.index, y))
        return int(n_right), int(steps)

    def predict_proba(self, x: Rows) -> np.ndarray:
        """Return (n_samples, n_classes) float32 probabilities."""
        return self._probabilities(x.images, *self._on_cpu(x.index)).numpy()

    def _on_cpu(self, *numbers: np.ndarray) -> list[Any]:
        with self._tf.device("CPU:0"):
            return [self._tf.constant(n, self._tf.int32) for n in numbers]

    def _probabilities_graph(self, images: Any, index: Any) -> Any:
        tf = self._tf
        return tf.nn.softmax(tf.matmul(tf.gather(images, index), self._w) + self._b)

    def _count_right(self) -> Any:
        tf = self._tf
        logits = tf.matmul(self._x_stop, self._w) + self._b
        predicted = tf.argmax(logits, 1, output_type=tf.int32)
        return tf.reduce_sum(tf.cast(predicted == self._y_stop, tf.int32))

    def _step(self, halves: list[tuple[Any, Any]], x: Any, share: Any) -> None:
        tf = self._tf
        parts = []
        # Rows do not touch each other before the gradient: two halves keep two cores busy, where
        # TensorFlow's own threads gain nothing on products with ten columns.
        for part, labels in halves:
            logits = tf.matmul(part, self._w) + self._b
            # The fused gradient, then times float32(1/n): the mathematically equal
            # (softmax - onehot) / n rounds differently and ends elsewhere.
            _, gradient = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(
                features=logits, labels=labels
            )
            parts.append(gradient * share)
        gradient = tf.concat(parts, 0)
        # The transposed product sums in the same order, and is faster.
        by_weights = tf.transpose(tf.matmul(gradient, x, transpose_a=True))
        gradients = by_weights, tf.reduce_sum(gradient, 0)
        m, v = self._slots[:2], self._slots[2:]
        power1, power2 = tf.unstack(self._powers)
        for i, variable in enumerate((self._w, self._b)):
            # Adam in TensorFlow's formulation (Kingma and Ba 2015, end of section 2): epsilon
            # outside the corrected root.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=m[i].handle, v=v[i].handle, grad=gradients[i],
                beta1_power=power1, beta2_power=power2, lr=self._learning_rate,
                beta1=BETA1, beta2=BETA2, epsilon=EPSILON,
            )  # fmt: skip
        self._powers.assign(self._powers * tf.constant([BETA1, BETA2], tf.float32))

    def _fit_graph(self, images: Any, index: Any, y: Any) -> tuple[Any, Any]:
        tf = self._tf
        x = tf.gather(images, index)
        n = tf.shape(x)[0]
        share = 1.0 / tf.cast(n, tf.float32)
        halves = [(x[: n // 2], y[: n // 2]), (x[n // 2 :], y[n // 2 :])]

        def step(left: Any, steps: Any, best: Any, w: Any, b: Any) -> tuple:
            self._step(halves, x, share)
            now = self._count_right()
            better = now > best
            return (
                tf.where(better, self._patience, left - 1),
                steps + 1,
                tf.maximum(now, best),
                tf.cond(better, self._w.read_value, lambda: w),
                tf.cond(better, self._b.read_value, lambda: b),
            )

        _, steps, best, w, b = tf.while_loop(
            lambda left, *_: left > 0,
            step,
            (self._patience, 0, self._count_right(), self._w.read_value(), self._b.read_value()),
        )
        self._w.assign(w)
        self._b.assign(b)
        return best, steps
