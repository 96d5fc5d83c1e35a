"""The small network behind `alutils.models.convnet`: its layers, a step of training, prediction.

Compiled once for each shape of images and number of classes. Number type and order of dimensions
are said everywhere, so that a user's Keras settings change nothing.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from alutils.base.tensorflow import import_tensorflow

RATE, WARM_UP, DECAY = 3e-3, 0.05, 1e-3
"""Highest learning rate; the share of the steps in which it rises to it, before it falls as a
cosine to zero; decoupled weight decay (AdamW, Loshchilov and Hutter 2019)."""
DROPOUT = 0.3
MEMORY = 0.95
"""Of the means and variances that normalise when predicting, from step to step."""
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
    for kernel, wide in ((5, width), (3, 2 * width), (3, 4 * width)):
        shapes += [(kernel, kernel, maps, wide), *[(wide,)] * 4]
        maps = wide
    # The first convolution halves the image, rounding up; each pooling halves it, rounding down.
    left = [(side + 1) // 2 // 2 // 2 for side in (height, across)]
    return [*shapes, (left[0] * left[1] * maps, n_classes), (n_classes,)]


class Network:
    """The compiled network: one for each shape, whatever it is trained on."""

    def __init__(self, n_classes: int, shape: tuple[int, int, int], width: int) -> None:
        self._tf = import_tensorflow()
        import keras

        self.shape = shape
        self.model = keras.Sequential(_layers(n_classes, shape, width))
        self.optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY)
        self.optimizer.build(self.model.trainable_variables)
        self._train, self._predict = _compiled(self.model, self.optimizer)
        self.rng: np.random.Generator

    def start(self, rng: np.random.Generator) -> None:
        """Draw first weights (He et al. 2015), forget the optimiser's past."""
        self.rng = rng
        for variable in self.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        for variable in self.model.variables:
            shape = tuple(variable.shape)
            if variable.name == "kernel":
                spread = np.sqrt(2 / np.prod(shape[:-1]))
                variable.assign(rng.normal(0, spread, shape).astype(np.float32))
            elif variable.name in ("gamma", "variance"):
                variable.assign(np.ones(shape, np.float32))
            else:
                variable.assign(np.zeros(shape, np.float32))

    def weights(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.model.variables]

    def set(self, weights: list[np.ndarray]) -> None:
        for variable, value in zip(self.model.variables, weights, strict=True):
            variable.assign(value)

    def train(
        self, x: np.ndarray, target: np.ndarray, weight: np.ndarray, rate: np.ndarray
    ) -> None:
        """Take a step for each of (n_steps, batch, height, width[, 3]) batches."""
        seed = self.rng.integers(0, 2**31, (len(x), 2), dtype=np.int32)
        x = x.reshape(*x.shape[:2], *self.shape)
        self._train(*map(self._tf.constant, (x, target, weight, rate, seed)))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 for (n, height, width[, 3]) uint8, or float32 to 1."""
        out = np.empty((len(x), self.model.output_shape[1]), np.float32)
        for begin in range(0, len(x), SCORED):
            part = x[begin : begin + SCORED].reshape(-1, *self.shape)
            if part.dtype == np.uint8:
                part = part * np.float32(1 / 255)
            out[begin : begin + SCORED] = self._predict(self._tf.constant(part)).numpy()
        return out


def _layers(n_classes: int, shape: tuple[int, int, int], width: int) -> list[Any]:
    """Return the layers: three convolutions, each normalised, and one for the classes."""
    import keras

    layers, normalisation = keras.layers, _normalisation()
    real, last = {"dtype": "float32"}, {"dtype": "float32", "data_format": "channels_last"}

    def convolution(maps: int, kernel: int, stride: int) -> list[Any]:
        return [
            layers.Conv2D(maps, kernel, strides=stride, padding="same", use_bias=False, **last),
            normalisation(**real),
            layers.ReLU(**real),
        ]

    # The first convolution halves the image at once: at full size it would take more time than
    # all the others, and was measured to gain nothing.
    return [
        keras.Input(shape, **real),
        *convolution(width, 5, 2),
        *convolution(2 * width, 3, 1),
        layers.MaxPool2D(**last),
        *convolution(4 * width, 3, 1),
        layers.MaxPool2D(**last),
        layers.Flatten(**last),
        layers.Dense(n_classes, **real),
    ]


def _normalisation() -> type:
    """Return a layer class, which can be made only once Keras is there."""
    tf = import_tensorflow()
    import keras

    normalise = tf.compat.v1.nn.fused_batch_norm  # half the time of Keras' own layer on a CPU

    class Normalisation(keras.layers.Layer):
        """Batch normalisation (Ioffe and Szegedy 2015)."""

        def build(self, shape: Any) -> None:
            maps = (shape[-1],)
            self.gamma = self.add_weight(shape=maps, name="gamma")
            self.beta = self.add_weight(shape=maps, name="beta")
            self.mean = self.add_weight(shape=maps, trainable=False, name="mean")
            self.variance = self.add_weight(shape=maps, trainable=False, name="variance")

        def call(self, x: Any, training: bool = False) -> Any:
            if not training:
                return normalise(
                    x, self.gamma, self.beta, self.mean, self.variance, is_training=False
                )[0]
            x, mean, variance = normalise(x, self.gamma, self.beta)
            for kept, new in ((self.mean, mean), (self.variance, variance)):
                kept.assign(MEMORY * kept + (1 - MEMORY) * new)
            return x

    return Normalisation


def _compiled(model: Any, optimizer: Any) -> tuple[Callable, Callable]:
    """Return functions that train for some steps, and that give probabilities."""
    tf = import_tensorflow()
    import keras

    image = keras.Input(model.input_shape[1:], dtype="float32")
    body, last = keras.Sequential([image, *model.layers[:-1]]), model.layers[-1]

    def step(x: Any, target: Any, weight: Any, rate: Any, seed: Any) -> None:
        with tf.GradientTape() as tape:
            x = body(x, training=True)
            kept = tf.random.stateless_uniform(tf.shape(x), seed) >= DROPOUT
            x = last(tf.where(kept, x / (1 - DROPOUT), 0.0))
            loss = tf.reduce_mean(weight * tf.nn.softmax_cross_entropy_with_logits(target, x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.learning_rate.assign(rate)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    @tf.function(reduce_retracing=True)
    def train(x: Any, target: Any, weight: Any, rate: Any, seed: Any) -> None:
        for i in tf.range(tf.shape(x)[0]):
            step(x[i], target[i], weight[i], rate[i], seed[i])

    # Compiled once for any number of images: the numbers do not depend on which came first.
    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)])
    def predict(x: Any) -> Any:
        return tf.nn.softmax(model(x, training=False))

    return train, predict
