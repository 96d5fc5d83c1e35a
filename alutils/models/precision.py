"""Whether bfloat16 pays here: measured for about a second, once on each machine, and kept.

Names of processors and kernels do not tell: with AMX bfloat16 takes a third of float32's time, with
AVX512-BF16 half of it on some processors and more than all of it on others.
"""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from alutils.base import artefacts, manifest
from alutils.models.backbones import vgg16

_log = logging.getLogger("alutils")

FASTER, MOST_ERROR = 1.2, 0.02
"""Bfloat16 is taken from this gain in speed on, and up to this relative error of the features."""
_SHAPE, _MEASURED_S = (32, 32, 32), 1.0  # of a batch; for how long at least


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


def decide(
    kernel: str, threads: int, weights_sha256: str, load: Callable[[], Sequence[np.ndarray]]
) -> Decision:
    """Return what was decided on this machine, which is measured at the first call.

    The decision is a small JSON file beside the cached features, so that one machine always
    computes the same features. Delete it to have it measured again. ``kernel`` and ``threads`` are
    those of `vgg16.openvino_cpu`; ``load``, called to measure, gives the weights of this hash.
    """
    origin = {
        "backend": f"openvino {importlib.metadata.version('openvino')}",
        "cpu": manifest.machine()["cpu"],
        "kernel": kernel,
        "weights_sha256": weights_sha256,
    }
    name = f"precision-{manifest.digest(*map(str, origin.values()))[:16]}.json"
    path = artefacts.cache_folder() / "features" / name

    def kept() -> Decision | None:
        found = manifest.read_json(path)
        try:
            decision = Decision(**{key: found[key] for key in Decision.__dataclass_fields__})
        except KeyError:
            return None
        return decision if decision.precision in ("float32", "bfloat16") else None

    if (before := kept()) is not None:
        return before
    speedup, error = _measure(load(), threads)
    is_better = speedup >= FASTER and error <= MOST_ERROR
    decision = Decision("bfloat16" if is_better else "float32", round(speedup, 2), round(error, 5))
    if (other := kept()) is not None:  # of a process that was at it at the same time
        return other
    try:
        manifest.write_json(path, origin | asdict(decision))
    except OSError as problem:
        _log.warning("%s cannot be kept, it is measured again next time: %s", path, problem)
    _log.info("%s: %s", decision.precision, decision)
    return decision


def _measure(weights: Sequence[np.ndarray], threads: int) -> tuple[float, float]:
    """Return how many times as fast bfloat16 is, and the relative error of its features."""
    rng = np.random.default_rng(0)
    batches = rng.integers(0, 256, (max(4, threads), *_SHAPE, 3)).astype(np.float32)
    networks, seconds, rows = {}, {}, {}
    for precision in ("float32", "bfloat16"):
        networks[precision] = vgg16.openvino_network(
            weights, layer="block5", pooling="avg", shape=_SHAPE, precision=precision
        )
        rows[precision] = np.empty((len(batches) * _SHAPE[0], weights[-1].size), np.float32)
        networks[precision](batches[:1], rows[precision][: _SHAPE[0]])  # the first run is slower
        seconds[precision] = np.inf
    begin, rounds = time.perf_counter(), 0
    # In turn, and the best of several: the machine may be busy with other things now and then.
    while rounds < 3 or time.perf_counter() - begin < _MEASURED_S:
        for precision, network in networks.items():
            start = time.perf_counter()
            network(batches, rows[precision])
            seconds[precision] = min(seconds[precision], time.perf_counter() - start)
        rounds += 1
    exact, rounded = rows["float32"], rows["bfloat16"]
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    return float(seconds["float32"] / seconds["bfloat16"]), float(error)
