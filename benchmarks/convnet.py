"""The small network: its training step beside Keras' own, plain and by XLA; one whole round."""

from __future__ import annotations

import functools
import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.active.strategies import uncertainty
from alutils.data import mnist
from alutils.models.convnet import BATCH, CHUNK, SCORED, WIDTH, ConvNet
from benchmarks.timing import Row, alternately, in_fresh_process


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes
    ----------
    steps : of the optimiser, that are timed one by one
    width : maps of the first convolution
    members, round_steps : networks of a round, and steps of each
    tiny : whether a round scores the article's 4,000 digits, which are at hand, and not all
    """

    steps: int = 150
    width: int = WIDTH
    members: int = 2
    round_steps: int = 1500
    tiny: bool = False

    def pool(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (n, 28, 28) uint8 digits, (n,) classes, and the 500 that are labelled."""
        train, _ = mnist.mnist_article() if self.tiny else mnist.mnist()
        images = np.ascontiguousarray(train.images)
        return images, train.labels, np.random.default_rng(0).permutation(len(images))[:500]


TINY = Sizes(steps=2, width=2, members=1, round_steps=CHUNK, tiny=True)
FORWARD_MFLOP = (
    2
    * (14 * 14 * 25 * 16 + 14 * 14 * 9 * 16 * 32 + 7 * 7 * 9 * 32 * 64 + 3 * 3 * 9 * 64 * 128)
    / 1e6
)
"""One 28 x 28 image through the convolutions; a training step takes about three times that."""


def _keras_network(width: int, xla: bool) -> Any:
    """Return the same network of Keras' layers, ready to train."""
    from alutils.base.tensorflow import import_tensorflow

    import_tensorflow()
    import keras

    layers = keras.layers

    def convolution(maps: int, kernel: int, stride: int) -> list[Any]:
        return [
            layers.Conv2D(maps, kernel, strides=stride, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.95),
            layers.ReLU(),
        ]

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)), *convolution(width, 5, 2), *convolution(2 * width, 3, 1),
            layers.MaxPool2D(), *convolution(4 * width, 3, 1), layers.MaxPool2D(),
            *convolution(8 * width, 3, 1),
            layers.Flatten(), layers.Dropout(0.3), layers.Dense(10, activation="softmax"),
        ]
    )  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(3e-3, weight_decay=1e-3),
        "sparse_categorical_crossentropy",
        jit_compile=xla,
    )
    return model


def _keras_step(sizes: Sizes, xla: bool) -> float:
    """Return seconds a step of the same network by Keras' ``train_on_batch``."""
    model = _keras_network(sizes.width, xla)
    x, y = _images()
    x = _for_keras(x)
    model.train_on_batch(x[:BATCH], y[:BATCH])  # compiles
    began = time.perf_counter()
    for step in range(sizes.steps):
        some = slice(step * BATCH % 2000, step * BATCH % 2000 + BATCH)
        model.train_on_batch(x[some], y[some])
    return (time.perf_counter() - began) / sizes.steps


def _our_step(sizes: Sizes) -> float:
    """Return seconds a step of ours, distorting included; two members share the cores."""
    x, y = _images()
    ConvNet(10, members=2, steps=CHUNK, width=sizes.width).fit(x, y)  # compiles
    began = time.perf_counter()
    ConvNet(10, members=2, steps=sizes.steps, width=sizes.width).fit(x, y)
    return (time.perf_counter() - began) / (2 * sizes.steps)


def _our_round(sizes: Sizes) -> dict[str, float]:
    """Return the seconds of a round over the digits, compiling included."""
    images, labels, labelled = sizes.pool()
    few = {"members": sizes.members, "steps": sizes.round_steps, "width": sizes.width}
    began = time.perf_counter()
    net = ConvNet(10, images, **few).fit(images[labelled], labels[labelled])
    trained = time.perf_counter()
    chosen = _choose(net.predict_proba(images))
    return {"train": trained - began, "all": time.perf_counter() - began, "chosen": chosen}


def _keras_round(sizes: Sizes) -> dict[str, float]:
    """Return the seconds of a round with Keras' ``fit`` and ``predict``, labelled images only."""
    images, labels, labelled = sizes.pool()
    began = time.perf_counter()
    x, train_s, found = _for_keras(images), 0.0, []
    for _ in range(sizes.members):
        model = _keras_network(sizes.width, xla=False)
        start = time.perf_counter()
        epochs = math.ceil(sizes.round_steps / math.ceil(len(labelled) / BATCH))
        model.fit(x[labelled], labels[labelled], batch_size=BATCH, epochs=epochs, verbose=0)
        train_s += time.perf_counter() - start
        found.append(model.predict(x, batch_size=SCORED, verbose=0))
    chosen = _choose(np.mean(found, axis=0))
    return {"train": train_s, "all": time.perf_counter() - began, "chosen": chosen}


def _choose(p: np.ndarray) -> int:
    return len(np.argpartition(-uncertainty.margin(p), 100)[:100])


def _for_keras(images: np.ndarray) -> np.ndarray:
    return images[..., None].astype(np.float32) / 255


def _images() -> tuple[np.ndarray, np.ndarray]:
    train, _ = mnist.mnist_article()
    return np.ascontiguousarray(train.images[:2100]), train.labels[:2100]


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Time the training steps in turns, and a whole round once each."""
    sizes = TINY if smoke else Sizes()
    works = (
        functools.partial(_keras_step, sizes, False),
        functools.partial(_keras_step, sizes, True),
        functools.partial(_our_step, sizes),
    )
    plain, xla, ours = map(statistics.median, alternately(repeats, *works, smoke=smoke))
    mine, theirs = (
        in_fresh_process(work, sizes, smoke=smoke) for work in (_our_round, _keras_round)
    )
    gflop = 3 * FORWARD_MFLOP * BATCH / 1e3
    note = (
        f"{gflop:.2f} GFLOP a step: {gflop / ours:.0f} GFLOP/s with normalisation, distortion and "
        f"optimiser; {{}}"
    )
    what = f"a training step of {BATCH} digits, two networks at once, beside Keras' train_on_batch"
    digits = "4,000" if sizes.tiny else "60,000"
    parts = (f"{one['train']:.1f} s of {one['all']:.1f} s" for one in (mine, theirs))
    return [
        Row("convnet", what, plain, ours, 1.0, 2.0, 0.0, note.format("the products bound it")),
        Row(
            "convnet", f"{what} by XLA", xla, ours, 1.0, 2.0, 0.0,
            note.format("XLA's convolutions on the CPU are not oneDNN's"),
        ),
        Row(
            "convnet", f"a round over {digits} digits: train, with 500 labels, score, choose; "
            "beside Keras' fit and predict", theirs["all"], mine["all"], 1.0, 0.0, 0.0,
            f"{sizes.members} networks, {sizes.round_steps} steps each, compiling included; "
            "training takes {} of ours, {} of Keras', which distorts nothing and learns nothing "
            "from the unlabelled".format(*parts),
        ),
    ]  # fmt: skip
