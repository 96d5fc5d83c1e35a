"""The small network behind `alutils.models.convnet`: its layers, a step of training, prediction.

Compiled once for each shape of images and number of classes. What is trained lies in one vector, so
that a step of the optimiser is one operation. Images and maps are bfloat16 in training where that
is measured to be faster (`alutils.models.precision`); weights, and what a trained network answers,
are float32 everywhere.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alutils.base.tensorflow import import_tensorflow
from alutils.models import precision

RATE, WARM_UP, DECAY = 3e-3, 0.05, 1e-3
"""Highest learning rate; the share of the steps in which it rises to it, before it falls as a
cosine to zero; decoupled weight decay (AdamW, Loshchilov and Hutter 2019)."""
FIRST_BETA, SECOND_BETA, EPSILON = 0.9, 0.999, 1e-7
"""Of Adam (Kingma and Ba 2015)."""
DROPOUT = 0.3
MEMORY, NOT_ZERO = 0.95, 1e-3
"""Of the means and variances that normalise when predicting, from step to step; what is added to a
variance."""
CONVOLUTIONS = ((5, 1, 2, 1), (3, 2, 1, 2), (3, 4, 1, 2), (3, 8, 1, 1))
"""Of each its kernel's pixels a side, its maps, in widths, its stride, and what is pooled after it.
The first one halves the image at once: at full size it would take more time than all the others,
and was measured to gain nothing."""
SCORED = 500
"""Images a pass when predicting: what two cores' caches hold of the first layer's maps."""


def learning_rate(done: np.ndarray) -> np.ndarray:
    """Return the learning rate after these shares of the training."""
    falling = 0.5 * (1 + np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP)))
    return (RATE * np.where(done < WARM_UP, done / WARM_UP, falling)).astype(np.float32)


def cores() -> int:
    """Return how many cores this process may use, as TensorFlow was told."""
    told = import_tensorflow().config.threading.get_intra_op_parallelism_threads()
    return told or int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0")) or os.cpu_count() or 1


@functools.lru_cache(maxsize=8)  # compiling takes seconds; the weights are set from outside
def network(n_classes: int, shape: tuple[int, int, int], width: int, member: int) -> Network:
    """Return a compiled network for images of a shape, (height, width, channels).

    Each member has its own, so that they can run side by side.
    """
    return Network(n_classes, shape, width)


def weight_shapes(n_classes: int, shape: tuple[int, int, int], width: int) -> list[tuple[int, ...]]:
    """Return the shapes of a network's weights, in the order of `Network.weights`."""
    height, across, maps = shape
    shapes: list[tuple[int, ...]] = []
    for kernel, times, stride, pooled in CONVOLUTIONS:
        shapes += [(kernel, kernel, maps, times * width), *[(times * width,)] * 4]
        maps = times * width
        # A stride rounds up, a pooling down.
        height, across = (-(-side // stride) // pooled for side in (height, across))
    return [*shapes, (height * across * maps, n_classes), (n_classes,)]


class Network:
    """The compiled network: one for each shape, whatever it is trained on.

    Parameters
    ----------
    n_classes : in all
    shape : (height, width, channels) of the images
    width : maps of the first convolution
    kind : number type of images and maps in training, ``float32`` or ``bfloat16``; None for what is
        faster on this machine
    """

    def __init__(
        self, n_classes: int, shape: tuple[int, int, int], width: int, kind: str | None = None
    ) -> None:
        self._tf = tf = import_tensorflow()
        self.shape, self.n_classes = shape, n_classes
        self.shapes = weight_shapes(n_classes, shape, width)
        sizes = [int(np.prod(each)) for each in self._trained(self.shapes)]
        self._vector, self._first, self._second = (
            tf.Variable(np.zeros(sum(sizes), np.float32)) for _ in range(3)
        )
        self._moments, self._slow_moments = (
            [tf.Variable(np.zeros(s, np.float32)) for s in self._seen(self.shapes)]
            for _ in range(2)
        )
        self._slow = tf.Variable(np.zeros(sum(sizes), np.float32))
        self._sizes, self.kind = sizes, kind
        self._compiled = {
            "predict": _compiled_answers(self, self._vector, self._moments, "float32")
        }
        self.rng: np.random.Generator
        self.done = 0

    @staticmethod
    def _trained(each: Sequence[Any]) -> list[Any]:
        """Return of each convolution kernel, scale and offset, and all of the last layer."""
        n = 5 * len(CONVOLUTIONS)
        return [one for i, one in enumerate(each) if i >= n or i % 5 < 3]

    @staticmethod
    def _seen(each: Sequence[Any]) -> list[Any]:
        """Return of each convolution mean and variance, which are seen and not trained."""
        return [one for i, one in enumerate(each[: 5 * len(CONVOLUTIONS)]) if i % 5 >= 3]

    def start(self, rng: np.random.Generator) -> None:
        """Draw first weights (He et al. 2015), forget the optimiser's past."""
        self.rng, self.done = rng, 0
        if "train" not in self._compiled:  # who only predicts need not know what is faster
            self.kind = self.kind or precision.of_training()
            self._compiled["train"] = _compiled_training(self, self.kind)
            self._compiled["guess"] = _compiled_answers(
                self, self._slow, self._slow_moments, self.kind
            )
        last = len(self.shapes) - 1
        weights = [
            rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
            if len(shape) > 1
            else np.full(shape, i != last and i % 5 in (1, 4), np.float32)  # scale, variance
            for i, shape in enumerate(self.shapes)
        ]
        self.set(weights)
        for variable in (self._first, self._second):
            variable.assign(np.zeros(variable.shape, np.float32))
        self.follow(0.0)

    def follow(self, memory: Any) -> None:
        """Bring the slow weights nearer to those in training; 0 for the same."""
        pairs = zip([self._slow, *self._slow_moments], [self._vector, *self._moments], strict=True)
        for slow, now in pairs:
            slow.assign(memory * slow + (1 - memory) * now)

    def weights(self) -> list[np.ndarray]:
        """Return all weights, of the shapes of `weight_shapes`."""
        trained = iter(np.split(self._vector.numpy(), np.cumsum(self._sizes)[:-1]))
        seen = iter(each.numpy() for each in self._moments)
        n = 5 * len(CONVOLUTIONS)
        return [
            next(trained).reshape(shape) if i >= n or i % 5 < 3 else next(seen)
            for i, shape in enumerate(self.shapes)
        ]

    def set(self, weights: Sequence[np.ndarray]) -> None:
        """Take these weights."""
        self._vector.assign(np.concatenate([each.ravel() for each in self._trained(weights)]))
        for variable, value in zip(self._moments, self._seen(weights), strict=True):
            variable.assign(value)

    def train(
        self, x: np.ndarray, target: np.ndarray, weight: np.ndarray, rate: np.ndarray,
        memory: float = 0.0,
    ) -> None:  # fmt: skip
        """Take a step for each of (n_steps, batch, height, width[, 3]) batches.

        ``memory`` : of the slow weights, from step to step
        """
        seed = self.rng.integers(0, 2**31, (len(x), 2), dtype=np.int32)
        x = x.reshape(*x.shape[:2], *self.shape)
        number = self.done + 1 + np.arange(len(x), dtype=np.float32)
        parts = (x, target, weight, rate, seed, number, np.float32(memory))
        self._compiled["train"](*map(self._tf.constant, parts))
        self.done += len(x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 for (n, height, width[, 3]) uint8, or float32 to 1."""
        return self._answers(x, "predict")

    def guess(self, x: np.ndarray) -> np.ndarray:
        """Return what `predict` does, by the slow weights, in the number type of the training."""
        return self._answers(x, "guess")

    def _answers(self, x: np.ndarray, how: str) -> np.ndarray:
        out = np.empty((len(x), self.n_classes), np.float32)
        for begin in range(0, len(x), SCORED):
            part = x[begin : begin + SCORED].reshape(-1, *self.shape)
            if part.dtype == np.uint8:
                part = part * np.float32(1 / 255)
            out[begin : begin + SCORED] = self._compiled[how](self._tf.constant(part)).numpy()
        return out


def _compiled_training(network: Network, kind: str) -> Callable:
    """Return a function that trains for some steps."""
    tf = import_tensorflow()
    vector = network._vector

    def step(x: Any, target: Any, weight: Any, rate: Any, seed: Any, number: Any) -> None:
        now = vector.read_value()
        with tf.GradientTape() as tape:
            tape.watch(now)
            weights = _parts(network, now)
            x = _maps(x, weights, network._moments, kind, training=True)
            kept = tf.random.stateless_uniform(tf.shape(x), seed) >= DROPOUT
            x = tf.where(kept, x / (1 - DROPOUT), 0.0) @ weights[-2] + weights[-1]
            loss = tf.reduce_mean(weight * tf.nn.softmax_cross_entropy_with_logits(target, x))
        vector.assign_sub(DECAY * rate * now)
        tf.raw_ops.ResourceApplyAdam(
            var=vector.handle, m=network._first.handle, v=network._second.handle, lr=rate,
            beta1=FIRST_BETA, beta2=SECOND_BETA, beta1_power=FIRST_BETA**number,
            beta2_power=SECOND_BETA**number, epsilon=EPSILON, grad=tape.gradient(loss, now),
        )  # fmt: skip

    @tf.function(reduce_retracing=True)
    def train(
        x: Any, target: Any, weight: Any, rate: Any, seed: Any, number: Any, memory: Any
    ) -> None:
        for i in tf.range(tf.shape(x)[0]):
            step(x[i], target[i], weight[i], rate[i], seed[i], number[i])
            network.follow(memory)

    return train


def _compiled_answers(network: Network, vector: Any, moments: Sequence[Any], kind: str) -> Callable:
    """Return a function that gives probabilities, computed in this number type."""
    tf = import_tensorflow()

    # Compiled once for any number of images: the numbers do not depend on which came first.
    @tf.function(input_signature=[tf.TensorSpec((None, *network.shape), tf.float32)])
    def answer(x: Any) -> Any:
        weights = _parts(network, vector)
        x = _maps(x, weights, moments, kind, training=False)
        return tf.nn.softmax(x @ weights[-2] + weights[-1])

    return answer


def _parts(network: Network, vector: Any) -> list[Any]:
    """Return what is trained, of its shapes, out of the vector that holds all of it."""
    tf = import_tensorflow()
    shapes = network._trained(network.shapes)
    split = tf.split(vector, network._sizes)
    return [tf.reshape(part, shape) for part, shape in zip(split, shapes, strict=True)]


def _maps(x: Any, weights: Sequence[Any], moments: Sequence[Any], kind: str, training: bool) -> Any:
    """Return (n, n_features) float32: the convolutions, each normalised (Ioffe, Szegedy 2015)."""
    tf = import_tensorflow()
    x = tf.cast(x, kind)
    for i, (_, _, stride, pooled) in enumerate(CONVOLUTIONS):
        (kernel, scale, offset), (mean, variance) = (
            weights[3 * i : 3 * i + 3], moments[2 * i : 2 * i + 2]
        )  # fmt: skip
        x = tf.nn.conv2d(x, tf.cast(kernel, kind), stride, "SAME")
        # Half the time of Keras' own layer on a CPU. Means and variances stay float32.
        x, *now = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, epsilon=NOT_ZERO, is_training=training,
            mean=[] if training else mean, variance=[] if training else variance,
        )[:3]  # fmt: skip
        if training:
            for kept, new in zip((mean, variance), now, strict=True):
                kept.assign(MEMORY * kept + (1 - MEMORY) * new)
        x = tf.nn.relu(x)
        if pooled > 1:
            x = tf.nn.max_pool2d(x, pooled, pooled, "VALID")
    return tf.cast(tf.reshape(x, (-1, weights[-2].shape[0])), tf.float32)
