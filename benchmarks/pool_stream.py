"""A pool of 10,000,000 x 64 on disk, scored in a stream: seconds, memory, and the same top."""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from alutils.active import partitions
from alutils.active.strategies import uncertainty
from benchmarks.timing import Row, in_fresh_process, seconds

N, N_CLASSES, K = 10_000_000, 64, 1000
MEMORY_MIB = 1000
_ROWS = 100_000


def _make(path: Path) -> None:
    """Write (N, N_CLASSES) float32 probabilities, from sure to unsure, block by block."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in tqdm(range(0, N, _ROWS), desc="pool", unit="block"):
            p = rng.random((_ROWS, N_CLASSES), np.float32) ** 8
            p /= p.sum(axis=1, keepdims=True)
            file.write(np.ascontiguousarray(p))


def _map(path: str) -> np.ndarray:
    return np.memmap(path, np.float32, "r", shape=(N, N_CLASSES))


def _peak_mib() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _streamed(path: str) -> dict[str, Any]:
    rows = _map(path)
    uncertainty.margin(np.asarray(rows[:10]))  # compiles, or reads what was compiled
    before, start = _peak_mib(), time.perf_counter()
    found = partitions.streamed_top(rows, uncertainty.margin, K)
    took = time.perf_counter() - start
    return {"s": took, "before_mib": before, "peak_mib": _peak_mib(), "items": found.items}


def _whole(path: str) -> dict[str, Any]:
    """Do what one does who has memory for all: read, score, partition; then sort to be sure."""
    uncertainty.margin(np.asarray(_map(path)[:10]))
    start = time.perf_counter()
    scores = uncertainty.margin(np.fromfile(path, np.float32).reshape(N, N_CLASSES))
    np.argpartition(scores, N - K)
    took, peak = time.perf_counter() - start, _peak_mib()
    items = np.lexsort((np.arange(N), -scores))[:K]
    return {"s": took, "peak_mib": peak, "items": items}


def _read(path: str) -> float:
    """Return the seconds of reading the file once, in blocks."""
    block = np.empty(1 << 24, np.uint8)

    def read() -> None:
        with Path(path).open("rb", buffering=0) as file:
            while file.readinto(block):
                pass

    return seconds(read)


def measure(repeats: int = 3) -> list[Row]:
    """Make the pool, score it in turns as a stream and as a whole, remove it."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "pool")
        _make(Path(path))
        floors, streams, wholes = [], [], []
        for _ in range(repeats):
            floors.append(in_fresh_process(_read, path))
            streams.append(in_fresh_process(_streamed, path))
            wholes.append(in_fresh_process(_whole, path))
    for stream, whole in zip(streams, wholes, strict=True):
        if not np.array_equal(stream["items"], whole["items"]):
            raise AssertionError(f"the stream's top {K} are not those of the whole")
    peak = max(stream["peak_mib"] for stream in streams)
    if peak >= MEMORY_MIB:
        raise AssertionError(f"peak memory {peak:.0f} MiB, expected less than {MEMORY_MIB}")
    before = max(stream["before_mib"] for stream in streams)
    held = statistics.median(whole["peak_mib"] for whole in wholes)
    return [
        Row(
            "pool_stream",
            f"margin of {N:,} x {N_CLASSES} float32 on disk, the top {K:,} in a stream",
            statistics.median(whole["s"] for whole in wholes),
            statistics.median(stream["s"] for stream in streams),
            0,
            0,
            statistics.median(floors),
            f"peak memory {peak:.0f} MiB ({before:.0f} before the first row), {held:.0f} where all "
            f"is held; the same {K:,} rows, to the index; the floor reads the file once, out of "
            "the page cache",
        )
    ]
