"""VGG16's convolutions on two runtimes, built from plain arrays.

A network here is a function: it takes prepared batches of one shape, float32 (batch, height, width,
3), and fills the rows of an array with their pooled features; what the last batch has too much of
is left out. Runtimes are imported when they are used.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from alutils.base.tensorflow import import_tensorflow

CONVOLUTIONS = {"block1": 2, "block2": 2, "block3": 3, "block4": 3, "block5": 3}  # each ends pooled
Network = Callable[[Iterable[np.ndarray], np.ndarray], None]


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


def layers_until(last: str) -> list[int]:
    """Count the convolutions of each block up to and including `last`."""
    names = list(CONVOLUTIONS)
    return [CONVOLUTIONS[name] for name in names[: names.index(last) + 1]]


# --- Keras ----------------------------------------------------------------------------------------


def keras_has_gpu() -> bool:
    """Whether TensorFlow sees a GPU; imports it, and only where there is an NVIDIA driver."""
    if not Path("/proc/driver/nvidia/version").exists():
        return False
    return bool(import_tensorflow().config.list_physical_devices("GPU"))


def keras_model(weights: Sequence[np.ndarray], layer: str, pooling: str, size: tuple[int, int]):
    """Build the base as a Keras model: (n, height, width, 3) in, (n, channels) out.

    Layers are called as in `keras.applications`. They say their number type and the order of their
    dimensions, which Keras else takes from the user's settings.
    """
    import_tensorflow()
    import keras

    told = {"dtype": "float32", "data_format": "channels_last", "trainable": False}
    kernels = iter(weights[0::2])
    image = keras.Input((*size, 3), dtype="float32")
    x = image
    for block, count in enumerate(layers_until(layer), 1):
        for i in range(1, count + 1):
            width, name = next(kernels).shape[3], f"block{block}_conv{i}"
            x = keras.layers.Conv2D(
                width, 3, padding="same", activation="relu", name=name, **told
            )(x)  # fmt: skip
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool", strides=2, **told)(x)
    pools = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    model = keras.Model(image, pools[pooling](**told)(x), name=f"vgg16_{layer}")
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
    if precision != "float32":
        raise ValueError(f"precision={precision!r}: expected 'float32' with Keras")
    model = keras_model(weights, layer, pooling, shape[1:])

    def run(batches: Iterable[np.ndarray], out: np.ndarray) -> None:
        # One batch at a time: `predict` spends as long again on feeding them.
        for i, batch in enumerate(batches):
            rows = out[i * shape[0] : (i + 1) * shape[0]]
            rows[:] = model.predict_on_batch(batch)[: len(rows)]

    return run


# --- OpenVINO -------------------------------------------------------------------------------------


@functools.cache
def openvino_cpu() -> tuple[str, int]:
    """Name of the kernel that OpenVINO takes here for a bf16 convolution, and its threads.

    The name says which instructions it uses, as in ``brgconv_avx512_amx_bf16``; without any for
    bf16 it does not hold "bf16".
    """
    import openvino
    from openvino import Type

    core = openvino.Core()
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    image, x = _parameter([1, 8, 8, 64], Type.f32)
    x = _convolution(x, np.ones((3, 3, 64, 64), np.float32), np.zeros(64, np.float32))
    compiled = _compile(core, x, image, "bfloat16" if native else "float32")
    kernels = [
        node.get_rt_info()["primitiveType"].value
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].value == "Convolution"
    ]
    return " ".join(kernels), compiled.get_property("INFERENCE_NUM_THREADS")


def openvino_network(
    weights: Sequence[np.ndarray],
    *,
    layer: str,
    pooling: str,
    shape: tuple[int, int, int],
    precision: str,
) -> Network:
    """Network on OpenVINO's CPU device; `shape` is (batch, height, width)."""
    import openvino
    from openvino import Type
    from openvino import opset13 as ops

    arrays = iter(weights)
    image, x = _parameter([*shape, 3], Type.f32)
    for count in layers_until(layer):
        for _ in range(count):
            x = _convolution(x, next(arrays), next(arrays))
        two, none = [2, 2], [0, 0]
        x = ops.max_pool(x, two, [1, 1], none, none, two, "floor").output(0)
    pool = {"avg": ops.reduce_mean, "max": ops.reduce_max}[pooling]
    x = pool(x, ops.constant([2, 3]), keep_dims=False)
    queue = openvino.AsyncInferQueue(_compile(openvino.Core(), x, image, precision))

    def keep(request: "openvino.InferRequest", rows: np.ndarray) -> None:
        rows[:] = request.get_output_tensor().data[: len(rows)]

    queue.set_callback(keep)

    def run(batches: Iterable[np.ndarray], out: np.ndarray) -> None:
        # The queue copies a batch and returns; the next is prepared while it computes.
        try:
            for i, batch in enumerate(batches):
                queue.start_async({0: batch}, out[i * shape[0] : (i + 1) * shape[0]])
        finally:
            queue.wait_all()

    return run


def _parameter(shape: list[int], kind):
    """Input of (n, height, width, channels), and the same with channels first."""
    from openvino import opset13 as ops

    image = ops.parameter(shape, kind)
    return image, ops.transpose(image, ops.constant([0, 3, 1, 2]))


def _convolution(x, kernel: np.ndarray, bias: np.ndarray):
    from openvino import opset13 as ops

    one = [1, 1]
    filters = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    x = ops.convolution(x, filters, strides=one, pads_begin=one, pads_end=one, dilations=one)
    return ops.relu(ops.add(x, ops.constant(bias.reshape(1, -1, 1, 1))))


def _compile(core, output, image, precision: str):
    import openvino
    from openvino import opset13 as ops

    model = openvino.Model([ops.result(output)], [image], "vgg16")
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    return core.compile_model(
        model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": hint}
    )
