"""Whether bfloat16 pays here: measured for about a second, once on each machine, and kept.

Names of processors and kernels do not tell: with AMX bfloat16 takes a third of float32's time, with
AVX512-BF16 half of it on some processors and more than all of it on others.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from alutils.base import artefacts, manifest
from alutils.base.tensorflow import import_tensorflow
from alutils.models.backbones.runtimes import Network

_log = logging.getLogger("alutils")

FASTER, MOST_ERROR = 1.2, 0.02
"""Bfloat16 is taken from this gain in speed on, and up to this relative error of the features."""
_MEASURED_S = 1.0
"""For how long it is measured at least."""
_CONVOLUTION = ((64, 14, 14, 16), (3, 3, 16, 32))
"""Maps of a batch, and the kernel, in the small network's second layer."""


@dataclass(frozen=True)
class Trial:
    """The network that is measured.

    Attributes
    ----------
    shape : (batch, height, width) of the images
    channels : features of an image
    build : gives the network on OpenVINO in a precision
    most_error : relative error of the features up to which bfloat16 may be taken
    """

    shape: tuple[int, int, int]
    channels: int
    build: Callable[[str], Network]
    most_error: float = MOST_ERROR


@dataclass(frozen=True)
class Decision:
    """``float32`` or ``bfloat16``; the speedup and relative error of bfloat16's features."""

    precision: str
    speedup: float
    relative_error: float

    def __str__(self) -> str:
        return (
            f"measured here: bfloat16 at {self.speedup:.2f} times the speed of float32, relative "
            f"error {self.relative_error:.4f}"
        )


def decide(kernel: str, threads: int, weights_sha256: str, trial: Callable[[], Trial]) -> Decision:
    """Return what is decided for features on this machine, as `kept`.

    ``kernel`` and ``threads`` are those of `runtimes.openvino_cpu`; ``trial``, called to measure,
    gives the network that has the weights of this hash.
    """
    origin = {
        "backend": f"openvino {importlib.metadata.version('openvino')}",
        "cpu": manifest.machine()["cpu"],
        "kernel": kernel,
        "weights_sha256": weights_sha256,
    }

    def measured() -> Decision:
        made = trial()
        return _decision(*_measure(made, threads), made.most_error)

    return kept(origin, measured)


@functools.cache
def of_training() -> str:
    """Return ``bfloat16`` where it makes the small network's training faster, else ``float32``."""
    tf = import_tensorflow()
    devices = sorted(each.device_type for each in tf.config.list_logical_devices())
    origin = {
        "backend": f"tensorflow {tf.__version__}",
        "cpu": manifest.machine()["cpu"],
        "devices": " ".join(devices),
        "what": "training",
    }
    return kept(origin, lambda: _decision(*_measure_training(), MOST_ERROR)).precision


def kept(origin: Mapping[str, str], measure: Callable[[], Decision]) -> Decision:
    """Return what was decided for something on this machine, which is measured at the first call.

    The decision is a small JSON file beside the cached features, so that one machine always
    computes the same numbers. Delete it to have it measured again.
    """
    name = f"precision-{manifest.digest(*map(str, origin.values()))[:16]}.json"
    path = artefacts.cache_folder() / "features" / name

    def known() -> Decision | None:
        found = manifest.read_json(path)
        try:
            decision = Decision(**{key: found[key] for key in Decision.__dataclass_fields__})
        except KeyError:
            return None
        return decision if decision.precision in ("float32", "bfloat16") else None

    if (before := known()) is not None:
        return before
    decision = measure()
    if (other := known()) is not None:  # of a process that was at it at the same time
        return other
    try:
        manifest.write_json(path, dict(origin) | asdict(decision))
    except OSError as problem:
        _log.warning("%s cannot be kept, it is measured again next time: %s", path, problem)
    _log.info("%s: %s", decision.precision, decision)
    return decision


def _decision(speedup: float, error: float, most_error: float) -> Decision:
    is_better = speedup >= FASTER and error <= most_error
    return Decision("bfloat16" if is_better else "float32", round(speedup, 2), round(error, 5))


def _measure(trial: Trial, threads: int) -> tuple[float, float]:
    """Return how many times as fast bfloat16 is, and the relative error of its features."""
    rng, batch = np.random.default_rng(0), trial.shape[0]
    batches = rng.integers(0, 256, (max(4, threads), *trial.shape, 3)).astype(np.float32)
    runs, rows = {}, {}
    for precision in ("float32", "bfloat16"):
        network = trial.build(precision)
        rows[precision] = np.empty((len(batches) * batch, trial.channels), np.float32)
        network(batches[:1], rows[precision][:batch])  # the first run is slower
        runs[precision] = functools.partial(network, batches, rows[precision])
    return _speedup(runs), _off(rows["bfloat16"], rows["float32"])


def _measure_training() -> tuple[float, float]:
    """Return the same of the small network's second convolution and its gradients."""
    tf = import_tensorflow()
    rng = np.random.default_rng(0)
    real = [tf.constant(rng.normal(size=shape), tf.float32) for shape in _CONVOLUTION]
    runs, found = {}, {}

    @tf.function
    def gradients(x: Any, kernel: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            value = tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME") ** 2)
        return tape.gradient(value, [x, kernel])

    for precision in ("float32", "bfloat16"):
        inputs = [tf.cast(each, precision) for each in real]
        try:
            found[precision] = tf.cast(gradients(*inputs)[1], tf.float32).numpy()
        except tf.errors.OpError as problem:  # this TensorFlow, or this machine, cannot
            _log.info("bfloat16 cannot be trained with here: %s", problem)
            return 0.0, 0.0
        runs[precision] = lambda inputs=inputs: gradients(*inputs)[1].numpy()
    return _speedup(runs), _off(found["bfloat16"], found["float32"])


def _speedup(runs: Mapping[str, Callable[[], Any]]) -> float:
    """Return how many times as fast the run in bfloat16 is."""
    seconds = dict.fromkeys(runs, np.inf)
    begin, rounds = time.perf_counter(), 0
    # In turn, and the best of several: the machine may be busy with other things now and then.
    while rounds < 3 or time.perf_counter() - begin < _MEASURED_S:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
        rounds += 1
    return seconds["float32"] / seconds["bfloat16"]


def _off(rounded: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))
