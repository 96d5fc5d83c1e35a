"""A pool of 10,000,000 x 64 on disk, scored in a stream: seconds, memory, and the same top."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from alutils.active import partitions
from alutils.active.strategies import uncertainty
from alutils.base.manifest import peak_memory_mib
from benchmarks.timing import Row, in_fresh_process, seconds

N, TINY, N_CLASSES, K = 10_000_000, 20_000, 64, 1000
MEMORY_MIB = 1000
_ROWS = 100_000


def _make(path: Path, n: int) -> None:
    """Write (n, N_CLASSES) float32 probabilities, from sure to unsure, block by block."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in tqdm(range(0, n, _ROWS), desc="pool", unit="block", leave=False):
            p = rng.random((min(_ROWS, n - start), N_CLASSES), np.float32) ** 8
            p /= p.sum(axis=1, keepdims=True)
            file.write(np.ascontiguousarray(p))


def _map(path: str) -> np.ndarray:
    n = Path(path).stat().st_size // (4 * N_CLASSES)
    return np.memmap(path, np.float32, "r", shape=(n, N_CLASSES))


def _streamed(path: str) -> dict[str, Any]:
    rows = _map(path)
    uncertainty.margin(np.asarray(rows[:10]))  # compiles, or reads what was compiled
    before, start = peak_memory_mib(), time.perf_counter()
    found = partitions.streamed_top(rows, uncertainty.margin, K)
    took = time.perf_counter() - start
    return {"s": took, "before_mib": before, "peak_mib": peak_memory_mib(), "items": found.items}


def _whole(path: str) -> dict[str, Any]:
    """Do what one does who has memory for all: read, score, partition; then sort to be sure."""
    uncertainty.margin(np.asarray(_map(path)[:10]))
    start = time.perf_counter()
    scores = uncertainty.margin(np.fromfile(path, np.float32).reshape(-1, N_CLASSES))
    np.argpartition(scores, -K)
    took, peak = time.perf_counter() - start, peak_memory_mib()
    items = np.lexsort((np.arange(len(scores)), -scores))[:K]
    return {"s": took, "peak_mib": peak, "items": items}


def _read(path: str) -> float:
    """Return the seconds of reading the file once, in blocks."""
    block = np.empty(1 << 24, np.uint8)

    def read() -> None:
        with Path(path).open("rb", buffering=0) as file:
            while file.readinto(block):
                pass

    return seconds(read)


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Make the pool, score it in turns as a stream and as a whole, remove it."""
    n = TINY if smoke else N
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "pool")
        _make(Path(path), n)
        floors, streams, wholes = [], [], []
        for _ in range(repeats):
            floors.append(in_fresh_process(_read, path, smoke=smoke))
            streams.append(in_fresh_process(_streamed, path, smoke=smoke))
            wholes.append(in_fresh_process(_whole, path, smoke=smoke))
    for stream, whole in zip(streams, wholes, strict=True):
        if not np.array_equal(stream["items"], whole["items"]):
            raise AssertionError(f"the stream's top {K} are not those of the whole")
    peak = max(stream["peak_mib"] for stream in streams)
    if peak >= MEMORY_MIB and not smoke:  # of a process that has done other things, too
        raise AssertionError(f"peak memory {peak:.0f} MiB, expected less than {MEMORY_MIB}")
    before = max(stream["before_mib"] for stream in streams)
    held = statistics.median(whole["peak_mib"] for whole in wholes)
    return [
        Row(
            "pool_stream",
            f"margin of {n:,} x {N_CLASSES} float32 on disk, the top {K:,} in a stream",
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
