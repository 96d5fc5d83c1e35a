"""What the networks share on each runtime: Keras, on the CPU or a GPU, and OpenVINO on the CPU.

A network here is a function: it takes prepared batches of one shape, float32 (batch, height, width,
3), and fills the rows of an array with their features; what the last batch has too much of is left
out. Runtimes are imported when they are used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.errors import ParameterError
from alutils.base.tensorflow import import_tensorflow

Network = Callable[[Iterable[np.ndarray], np.ndarray], None]


def keras_has_gpu() -> bool:
    """Whether TensorFlow sees a GPU; imports it, and only where there is an NVIDIA driver."""
    if not Path("/proc/driver/nvidia/version").exists():
        return False
    return bool(import_tensorflow().config.list_physical_devices("GPU"))


def on_keras(model: Any, batch: int, precision: str) -> Network:
    """Return a Keras model as a network, in float32; ``batch`` images in a forward pass."""
    if precision != "float32":
        raise ParameterError("precision", precision, "expected float32 with Keras")

    def run(batches: Iterable[np.ndarray], out: np.ndarray) -> None:
        # One batch at a time: `predict` spends as long again on feeding them.
        for i, images in enumerate(batches):
            rows = out[i * batch : (i + 1) * batch]
            rows[:] = model.predict_on_batch(images)[: len(rows)]

    return run


def on_openvino(image: Any, output: Any, precision: str) -> Network:
    """Return a graph of OpenVINO as a network; ``image`` is its input, of a fixed batch."""
    import openvino

    batch = image.get_output_shape(0)[0]
    queue = openvino.AsyncInferQueue(_compile(openvino.Core(), image, output, precision))

    def keep(request: openvino.InferRequest, rows: np.ndarray) -> None:
        rows[:] = request.get_output_tensor().data[: len(rows)]

    queue.set_callback(keep)

    def run(batches: Iterable[np.ndarray], out: np.ndarray) -> None:
        # The queue copies a batch and returns; the next is prepared while it computes.
        try:
            for i, images in enumerate(batches):
                queue.start_async({0: images}, out[i * batch : (i + 1) * batch])
        finally:
            queue.wait_all()

    return run


def openvino_input(shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Return the input of (batch, height, width) RGB images, and the same with channels first."""
    from openvino import Type
    from openvino import opset13 as ops

    image = ops.parameter([*shape, 3], Type.f32)
    return image, ops.transpose(image, ops.constant([0, 3, 1, 2]))


@functools.cache
def openvino_cpu() -> tuple[str, int]:
    """Name of the kernel that OpenVINO takes here for a bf16 convolution, and its threads.

    The name says which instructions it uses, as in ``brgconv_avx512_amx_bf16``; without any for
    bf16 it does not hold "bf16".
    """
    import openvino
    from openvino import Type
    from openvino import opset13 as ops

    core = openvino.Core()
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    image = ops.parameter([1, 64, 8, 8], Type.f32)
    one = [1, 1]
    x = ops.convolution(
        image, ops.constant(np.ones((64, 64, 3, 3), np.float32)), one, one, one, one
    )
    compiled = _compile(core, image, ops.relu(x), "bfloat16" if native else "float32")
    kernels = [
        node.get_rt_info()["primitiveType"].value
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].value == "Convolution"
    ]
    return " ".join(kernels), compiled.get_property("INFERENCE_NUM_THREADS")


def _compile(core: Any, image: Any, output: Any, precision: str) -> Any:
    import openvino
    from openvino import opset13 as ops

    model = openvino.Model([ops.result(output)], [image], "backbone")
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    return core.compile_model(
        model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": hint}
    )
