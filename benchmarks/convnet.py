"""The small network: its training step beside Keras' own, plain and by XLA; one whole round."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from alutils.active.strategies import uncertainty
from alutils.data import mnist
from alutils.models.convnet import BATCH, CHUNK, ConvNet
from benchmarks.timing import Row, alternately, in_fresh_process

STEPS = 150
ROUND_S = 60.0
"""What a round (train, score 60,000, choose) may take on two cores."""
ROUND = {"members": 2, "steps": 1500}
FORWARD_MFLOP = 2 * (14 * 14 * 25 * 16 + 14 * 14 * 9 * 16 * 32 + 7 * 7 * 9 * 32 * 64) / 1e6
"""Of one 28 x 28 image through the convolutions; a training step takes about three times that."""


def _keras(xla: bool) -> float:
    """Return seconds a step of the same network by Keras' layers and ``train_on_batch``."""
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
            keras.Input((28, 28, 1)), *convolution(16, 5, 2), *convolution(32, 3, 1),
            layers.MaxPool2D(), *convolution(64, 3, 1), layers.MaxPool2D(), layers.Flatten(),
            layers.Dropout(0.3), layers.Dense(10, activation="softmax"),
        ]
    )  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(3e-3, weight_decay=1e-3),
        "sparse_categorical_crossentropy",
        jit_compile=xla,
    )
    x, y = _images()
    x = x[..., None].astype(np.float32) / 255
    model.train_on_batch(x[:BATCH], y[:BATCH])  # compiles
    began = time.perf_counter()
    for step in range(STEPS):
        some = slice(step * BATCH % 2000, step * BATCH % 2000 + BATCH)
        model.train_on_batch(x[some], y[some])
    return (time.perf_counter() - began) / STEPS


def _plain() -> float:
    return _keras(xla=False)


def _xla() -> float:
    return _keras(xla=True)


def _ours() -> float:
    """Return seconds a step of ours, distorting included; two members share the cores."""
    x, y = _images()
    ConvNet(10, members=2, steps=CHUNK).fit(x, y)  # compiles
    began = time.perf_counter()
    ConvNet(10, members=2, steps=STEPS).fit(x, y)
    return (time.perf_counter() - began) / (2 * STEPS)


def _round() -> dict[str, float]:
    """Return the seconds of a round over 60,000 digits, compiling included."""
    train, _ = mnist.mnist()
    images = np.ascontiguousarray(train.images)
    labelled = np.random.default_rng(0).permutation(len(images))[:500]
    began = time.perf_counter()
    net = ConvNet(10, images, **ROUND).fit(images[labelled], train.labels[labelled])
    trained = time.perf_counter()
    p = net.predict_proba(images)
    scored = time.perf_counter()
    np.argpartition(-uncertainty.margin(p), 100)[:100]
    end = time.perf_counter()
    return {"train": trained - began, "score": scored - trained, "all": end - began}


def _images() -> tuple[np.ndarray, np.ndarray]:
    train, _ = mnist.mnist_article()
    return np.ascontiguousarray(train.images[:2100]), train.labels[:2100]


def measure(repeats: int) -> list[Row]:
    """Return the rows of this benchmark, for the table of all."""
    plain, xla, ours = (
        statistics.median(times) for times in alternately(repeats, _plain, _xla, _ours)
    )
    one = in_fresh_process(_round)
    gflop = 3 * FORWARD_MFLOP * BATCH / 1e3
    note = (
        f"{gflop:.2f} GFLOP a step: {gflop / ours:.0f} GFLOP/s with normalisation, distortion and "
        f"optimiser; {{}}"
    )
    what = f"a training step of {BATCH} digits, two networks at once, beside Keras' train_on_batch"
    return [
        Row("convnet", what, plain, ours, 1.0, 2.0, 0.0, note.format("the products bound it")),
        Row(
            "convnet", f"{what} by XLA", xla, ours, 1.0, 2.0, 0.0,
            note.format("XLA's convolutions on the CPU are not oneDNN's"),
        ),
        Row(
            "convnet", "a round over 60,000 digits: train, with 500 labels, score, choose; "
            "beside 60 s", ROUND_S, one["all"], 1.0, 2.0, 0.0,
            f"{ROUND['members']} networks, {ROUND['steps']} steps each: training "
            f"{one['train']:.1f} s, scoring {one['score']:.1f} s; the first training compiles",
        ),
    ]  # fmt: skip
