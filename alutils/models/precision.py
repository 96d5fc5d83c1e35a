"""Whether bfloat16 pays here: measured for about a second, once on each machine, and kept.

Names of processors and kernels do not tell: with AMX bfloat16 takes a third of float32's time, with
AVX512-BF16 half of it on some processors and more than all of it on others.
"""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from alutils.base import artefacts, manifest
from alutils.models.backbones.runtimes import Network

_log = logging.getLogger("alutils")

FASTER, MOST_ERROR = 1.2, 0.02
"""Bfloat16 is taken from this gain in speed on, and up to this relative error of the features."""
_MEASURED_S = 1.0
"""For how long it is measured at least."""


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
    """Return what was decided on this machine, which is measured at the first call.

    The decision is a small JSON file beside the cached features, so that one machine always
    computes the same features. Delete it to have it measured again. ``kernel`` and ``threads`` are
    those of `runtimes.openvino_cpu`; ``trial``, called to measure, gives the network that has the
    weights of this hash.
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
    measured = trial()
    speedup, error = _measure(measured, threads)
    is_better = speedup >= FASTER and error <= measured.most_error
    decision = Decision("bfloat16" if is_better else "float32", round(speedup, 2), round(error, 5))
    if (other := kept()) is not None:  # of a process that was at it at the same time
        return other
    try:
        manifest.write_json(path, origin | asdict(decision))
    except OSError as problem:
        _log.warning("%s cannot be kept, it is measured again next time: %s", path, problem)
    _log.info("%s: %s", decision.precision, decision)
    return decision


def _measure(trial: Trial, threads: int) -> tuple[float, float]:
    """Return how many times as fast bfloat16 is, and the relative error of its features."""
    rng, batch = np.random.default_rng(0), trial.shape[0]
    batches = rng.integers(0, 256, (max(4, threads), *trial.shape, 3)).astype(np.float32)
    networks, seconds, rows = {}, {}, {}
    for precision in ("float32", "bfloat16"):
        networks[precision] = trial.build(precision)
        rows[precision] = np.empty((len(batches) * batch, trial.channels), np.float32)
        networks[precision](batches[:1], rows[precision][:batch])  # the first run is slower
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
