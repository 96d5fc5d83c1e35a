"""The backbones: images a second beside Keras' float32 ``predict`` of the same network."""

from __future__ import annotations

import functools
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.base import artefacts, lite_weights
from alutils.models.backbones import Backbone, efficientnet_lite, planning, vgg16
from benchmarks.timing import Row, alternately

KERAS_BATCH = 32
"""What ``predict`` takes when it is not told otherwise."""


@dataclass(frozen=True)
class Work:
    """One backbone and how many images go through it."""

    name: str
    n_images: int

    @property
    def backbone(self) -> Backbone:
        return Backbone.parse(self.name)

    def images(self) -> np.ndarray:
        """Return (n, height, width, 3) uint8, prepared."""
        shape = (self.n_images, *self.backbone.size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def weights(self) -> Any:
        """Return random weights: they take as long as ImageNet's, which need a network."""
        rng = np.random.default_rng(0)

        def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
            if len(shape) < 2:  # of the normalisation, or a bias
                return np.full(shape, 0.0 if "bias" in name or "mean" in name else 1.0, np.float32)
            inputs = np.prod(shape[1:] if self.is_lite else shape[:-1])
            return (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)

        if self.is_lite:
            shapes = lite_weights.LITE[self.backbone.name].shapes()
            return {name: array(name, shape) for name, shape in shapes.items()}
        return [array(name, shape) for name, shape in artefacts.VGG16.content.shapes.items()]

    @property
    def is_lite(self) -> bool:
        return self.backbone.name in lite_weights.LITE

    @property
    def layer(self) -> str:
        return self.backbone.name.removeprefix("vgg16-")


FULL = (
    Work("vgg16-block5", 512), Work("vgg16-block3+4", 512), Work("vgg16-block4@96", 96),
    Work("lite0@128", 256), Work("lite0", 128), Work("lite2", 64),
)  # fmt: skip
TINY = (Work("vgg16-block3+4", 2), Work("lite0@32", 2))


def ours(work: Work) -> tuple[float, str]:
    """Return the seconds of ours, and how it computed."""
    backbone, weights, images = work.backbone, work.weights(), work.images()
    if work.is_lite:
        network = planning.lite_network(backbone.name, backbone.size, weights=weights)
    else:
        chosen = planning.plan(size=backbone.size, layer=work.layer, weights=weights)
        network = planning.vgg16_network(chosen, weights, backbone.size)
    network(images[: 2 * network.batch])  # builds it
    began = time.perf_counter()
    network(images)
    return time.perf_counter() - began, f"{network.chosen.backend}, {network.chosen.precision}"


def keras(work: Work) -> float:
    """Return the seconds of Keras' ``predict`` in float32."""
    backbone, weights = work.backbone, work.weights()
    if work.is_lite:
        lite = lite_weights.LITE[backbone.name]
        model = efficientnet_lite.keras_model(lite, weights, backbone.size)
    else:
        model = vgg16.keras_model(weights, work.layer, "avg", backbone.size)
    images = work.images().astype(np.float32)
    model.predict(images[:KERAS_BATCH], batch_size=KERAS_BATCH, verbose=0)  # compiles
    began = time.perf_counter()
    model.predict(images, batch_size=KERAS_BATCH, verbose=0)
    return time.perf_counter() - began


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Time each backbone on both, in turns."""
    rows = []
    for work in TINY if smoke else FULL:
        theirs, mine = alternately(
            repeats, functools.partial(keras, work), functools.partial(ours, work), smoke=smoke
        )
        seconds = statistics.median(one[0] for one in mine)
        per_second = [work.n_images / s for s in (statistics.median(theirs), seconds)]
        gflop = _floating_operations(work) / 1e9
        rows.append(
            Row(
                "backbones",
                f"features of {work.n_images} images by {work.name}, beside Keras' predict",
                statistics.median(theirs), seconds, 1.0, 0.0, 0.0,
                f"{per_second[1]:.0f} images/s by {mine[0][1]}, {per_second[0]:.0f} by Keras; "
                f"{gflop:.2f} GFLOP an image: {gflop * per_second[1]:.0f} GFLOP/s; bound by the "
                "convolutions",
            )
        )  # fmt: skip
    return rows


def _floating_operations(work: Work) -> float:
    """Return the multiplications and additions of one image."""
    sides, total = np.array(work.backbone.size), 0.0
    if work.is_lite:
        lite = lite_weights.LITE[work.backbone.name]
        weights = {key: np.ones(shape, np.float32) for key, shape in lite.shapes().items()}
        for step in efficientnet_lite.steps(lite, weights):
            sides = -(-sides // step.stride)
            total += 2.0 * step.kernel.size * sides.prod()
        return total
    shapes = artefacts.VGG16.content.shapes.values()
    kernels = iter([shape for shape in shapes if len(shape) == 4])
    for count in vgg16.layers_until(work.layer):
        for _ in range(count):
            total += 2.0 * np.prod(next(kernels)) * sides.prod()
        sides //= 2
    return total
