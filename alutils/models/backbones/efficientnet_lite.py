"""EfficientNet-Lite on two runtimes, built from plain arrays: the backbone for photographs.

Each convolution is one step with its batch normalisation folded into it. Padding is TensorFlow's
"same" (where a side is uneven, more on the right and below), the activation is clipped at 6, and
images come in as (x - 127) / 128. The last maps are averaged: 1,280 numbers for each image.

Source: Tan and Le (2019); `alutils.base.lite_weights` holds the shape of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.base.errors import ParameterError
from alutils.base.lite_weights import Lite
from alutils.base.tensorflow import import_tensorflow
from alutils.models.backbones import runtimes
from alutils.models.backbones.runtimes import Network

EPSILON = 1e-3
"""Of batch normalisation, as the network was trained."""
MEAN, SCALE = 127.0, 128.0


@dataclass(frozen=True)
class Step:
    """One convolution with what follows it.

    Attributes
    ----------
    name : of the convolution in the weight file
    kernel : (out, in, height, width) float32; (maps, 1, height, width) where ``depthwise``
    bias : (out,) float32
    stride : of both sides
    depthwise : each map is convolved by itself
    clipped : to 0 to 6 afterwards
    begins, added : the input of this step is kept; what was kept is added to the output
    """

    name: str
    kernel: np.ndarray
    bias: np.ndarray
    stride: int = 1
    depthwise: bool = False
    clipped: bool = True
    begins: bool = False
    added: bool = False


def steps(lite: Lite, weights: Mapping[str, np.ndarray]) -> list[Step]:
    """Return the convolutions in their order, normalisation folded in.

    Parameters
    ----------
    lite : the size of the network
    weights : arrays of `Lite.shapes`, by name

    Raises
    ------
    ParameterError
        For an array that is missing, of a wrong shape or not float32.
    """
    _check(lite, weights)

    def step(convolution: str, normal: str, **how: Any) -> Step:
        gamma, beta, mean, variance = (
            weights[f"{normal}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        kernel = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        bias = beta - mean * scale
        return Step(convolution, kernel.astype(np.float32), bias.astype(np.float32), **how)

    found = [step("_conv_stem", "_bn0", stride=2)]
    for i, block in enumerate(lite.blocks()):
        at, first = f"_blocks.{i}.", {"begins": True}
        if block.has_expansion:
            found.append(step(f"{at}_expand_conv", f"{at}_bn0", **first))
            first = {}
        how = {"stride": block.stride, "depthwise": True, **first}
        found.append(step(f"{at}_depthwise_conv", f"{at}_bn1", **how))
        how = {"clipped": False, "added": block.is_added}
        found.append(step(f"{at}_project_conv", f"{at}_bn2", **how))
    return [*found, step("_conv_head", "_bn1")]


def _check(lite: Lite, weights: Mapping[str, np.ndarray]) -> None:
    for name, shape in lite.shapes().items():
        if name not in weights:
            raise ParameterError("weights", name, f"this array of {lite.name} is missing")
        found = weights[name]
        if found.shape != shape or found.dtype != np.float32:
            got, expected = f"{found.dtype} {found.shape}", f"float32 {shape}"
            raise ParameterError(f"weights[{name}]", got, f"expected {expected}")


# --- Keras ----------------------------------------------------------------------------------------


def keras_model(lite: Lite, weights: Mapping[str, np.ndarray], size: tuple[int, int]) -> Any:
    """Build the network as a Keras model: (n, height, width, 3) pixels in, (n, 1280) out."""
    import_tensorflow()
    import keras

    told = {"dtype": "float32", "data_format": "channels_last", "trainable": False}
    image = keras.Input((*size, 3), dtype="float32")
    x = keras.layers.Rescaling(1 / SCALE, -MEAN / SCALE, dtype="float32")(image)
    kept, arrays = None, []
    for step in steps(lite, weights):
        kept = x if step.begins else kept
        n, _, side, _ = step.kernel.shape
        how = {"padding": "same", "name": step.name.replace(".", "_").lstrip("_"), **told}
        if step.depthwise:
            x = keras.layers.DepthwiseConv2D(side, step.stride, **how)(x)
            arrays += [step.kernel.transpose(2, 3, 0, 1), step.bias]
        else:
            x = keras.layers.Conv2D(n, side, step.stride, **how)(x)
            arrays += [step.kernel.transpose(2, 3, 1, 0), step.bias]
        if step.clipped:
            x = keras.layers.ReLU(6.0, dtype="float32")(x)
        if step.added:
            x = keras.layers.Add(dtype="float32")([kept, x])
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", data_format="channels_last")(x)
    model = keras.Model(image, x, name=f"efficientnet_{lite.name}")
    model.set_weights(arrays)
    return model


def keras_network(
    lite: Lite, weights: Mapping[str, np.ndarray], shape: tuple[int, int, int], precision: str
) -> Network:
    """Network on Keras, in float32; ``shape`` is (batch, height, width)."""
    return runtimes.on_keras(keras_model(lite, weights, shape[1:]), shape[0], precision)


# --- OpenVINO -------------------------------------------------------------------------------------


def openvino_network(
    lite: Lite, weights: Mapping[str, np.ndarray], shape: tuple[int, int, int], precision: str
) -> Network:
    """Network on OpenVINO's CPU device; ``shape`` is (batch, height, width)."""
    from openvino import opset13 as ops

    image, x = runtimes.openvino_input(shape)
    x = ops.divide(ops.subtract(x, np.float32(MEAN)), np.float32(SCALE))
    kept = None
    for step in steps(lite, weights):
        kept = x if step.begins else kept
        x = _convolution(x, step)
        if step.added:
            x = ops.add(kept, x)
    return runtimes.on_openvino(image, ops.reduce_mean(x, ops.constant([2, 3])), precision)


def _convolution(x: Any, step: Step) -> Any:
    from openvino import opset13 as ops

    sides, one, none = [step.stride] * 2, [1, 1], [0, 0]
    if step.depthwise:
        kernel = ops.constant(np.ascontiguousarray(step.kernel[:, None]))
        x = ops.group_convolution(x, kernel, sides, none, none, one, "same_upper")
    else:
        kernel = ops.constant(step.kernel)
        x = ops.convolution(x, kernel, sides, none, none, one, "same_upper")
    x = ops.add(x, ops.constant(step.bias.reshape(1, -1, 1, 1)))
    return ops.clamp(x, 0.0, 6.0) if step.clipped else x
