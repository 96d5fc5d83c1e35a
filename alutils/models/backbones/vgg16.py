"""VGG16's convolutions on two runtimes, built from plain arrays.

A layer is one block, ``"block3"``, or several side by side, ``"block3+4"``: one pass gives them
all. `alutils.models.backbones.runtimes` says what a network is.

Source: Simonyan and Zisserman (2015).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from alutils.base.errors import ParameterError
from alutils.base.tensorflow import import_tensorflow
from alutils.models.backbones import runtimes
from alutils.models.backbones.runtimes import Network

CONVOLUTIONS = {"block1": 2, "block2": 2, "block3": 3, "block4": 3, "block5": 3}  # each ends pooled


def check_weights(weights: Sequence[np.ndarray]) -> None:
    """Raise `ValueError` unless these are kernel and bias of 13 convolutions that fit together."""
    expected = 2 * sum(CONVOLUTIONS.values())
    if len(weights) != expected:
        raise ValueError(f"weights holds {len(weights)} arrays, expected {expected}")
    channels = 3
    for i in range(0, expected, 2):
        kernel, bias = weights[i : i + 2]
        if kernel.dtype != np.float32 or bias.dtype != np.float32:
            raise ValueError(f"weights[{i}] and [{i + 1}] are not both float32")
        if kernel.ndim != 4 or kernel.shape[:3] != (3, 3, channels):
            raise ValueError(
                f"weights[{i}] has shape {kernel.shape}, expected (3, 3, {channels}, channels out)"
            )
        channels = kernel.shape[3]
        if bias.shape != (channels,):
            raise ValueError(f"weights[{i + 1}] has shape {bias.shape}, expected ({channels},)")


def blocks(layer: str) -> tuple[str, ...]:
    """Return the blocks of a layer, first to last; ParameterError for other names.

    ``"block3"`` is one block, ``"block3+4"`` are two.
    """
    found = tuple(f"block{number}" for number in layer.removeprefix("block").split("+"))
    order = [list(CONVOLUTIONS).index(name) for name in found if name in CONVOLUTIONS]
    if not layer.startswith("block") or len(order) < len(found) or sorted(set(order)) != order:
        raise ParameterError(
            "layer", layer, "expected block1 to block5, or several in their order, as block3+4"
        )
    return found


def layers_until(last: str) -> list[int]:
    """Count the convolutions of each block up to and including `last`, a layer's last block."""
    names = list(CONVOLUTIONS)
    return [CONVOLUTIONS[name] for name in names[: names.index(blocks(last)[-1]) + 1]]


def channels(layer: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Return how many numbers a layer gives for an image, from the shapes of all 26 weights."""
    return sum(shapes[2 * sum(layers_until(block)) - 1][0] for block in blocks(layer))


def keras_model(
    weights: Sequence[np.ndarray], layer: str, pooling: str, size: tuple[int, int]
) -> Any:
    """Build the base as a Keras model: (n, height, width, 3) in, (n, channels) out.

    Layers are called as in `keras.applications`. They say their number type and the order of their
    dimensions, which Keras else takes from the user's settings.
    """
    import_tensorflow()
    import keras

    told = {"dtype": "float32", "data_format": "channels_last", "trainable": False}
    pool = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    kernels = iter(weights[0::2])
    image = keras.Input((*size, 3), dtype="float32")
    x, pooled = image, []
    for block, count in enumerate(layers_until(layer), 1):
        for i in range(1, count + 1):
            width, name = next(kernels).shape[3], f"block{block}_conv{i}"
            x = keras.layers.Conv2D(
                width, 3, padding="same", activation="relu", name=name, **told
            )(x)  # fmt: skip
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool", strides=2, **told)(x)
        if f"block{block}" in blocks(layer):
            pooled.append(pool[pooling](**told)(x))
    out = keras.layers.Concatenate(dtype="float32")(pooled) if len(pooled) > 1 else pooled[0]
    model = keras.Model(image, out, name=f"vgg16_{layer.replace('+', '_')}")
    model.set_weights(list(weights[: 2 * sum(layers_until(layer))]))
    return model


def keras_network(
    weights: Sequence[np.ndarray],
    *,
    layer: str,
    pooling: str,
    shape: tuple[int, int, int],
    precision: str,
) -> Network:
    """Network on Keras, in float32; `shape` is (batch, height, width)."""
    return runtimes.on_keras(keras_model(weights, layer, pooling, shape[1:]), shape[0], precision)


def openvino_network(
    weights: Sequence[np.ndarray],
    *,
    layer: str,
    pooling: str,
    shape: tuple[int, int, int],
    precision: str,
) -> Network:
    """Network on OpenVINO's CPU device; `shape` is (batch, height, width)."""
    from openvino import opset13 as ops

    pool = {"avg": ops.reduce_mean, "max": ops.reduce_max}[pooling]
    arrays = iter(weights)
    image, x = runtimes.openvino_input(shape)
    two, none, pooled = [2, 2], [0, 0], []
    for block, count in enumerate(layers_until(layer), 1):
        for _ in range(count):
            x = _convolution(x, next(arrays), next(arrays))
        x = ops.max_pool(x, two, [1, 1], none, none, two, "floor").output(0)
        if f"block{block}" in blocks(layer):
            pooled.append(pool(x, ops.constant([2, 3]), keep_dims=False))
    out = ops.concat(pooled, 1) if len(pooled) > 1 else pooled[0]
    return runtimes.on_openvino(image, out, precision)


def _convolution(x: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    from openvino import opset13 as ops

    one = [1, 1]
    filters = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    x = ops.convolution(x, filters, strides=one, pads_begin=one, pads_end=one, dilations=one)
    return ops.relu(ops.add(x, ops.constant(bias.reshape(1, -1, 1, 1))))
