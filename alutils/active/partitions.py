"""Features, scores and the best of a pool that is too large to be held at once.

A pool on one disk is read in blocks (`streamed_top`); one on a cluster is a ``dask.array`` whose
partitions are worked on where they lie (`features`, `scores`, `top_of`). Both give the same as for
the whole, however it is divided: highest first, the lower index first among equals (where
`alutils.active.strategies.uncertainty.top` draws).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alutils.active.strategies.uncertainty import check_batch

if TYPE_CHECKING:  # half a second that only a cluster is worth
    import dask.array as da
    from distributed import Client

Score = Callable[[np.ndarray], np.ndarray]  # (n, ...) rows -> (n,) numbers, a row by itself


@dataclass(frozen=True)
class Top:
    """The highest scores of a pool; highest first, the lower row first among equals."""

    items: np.ndarray  # (k,) int64 rows of the pool
    scores: np.ndarray  # (k,) float


def streamed_top(rows: np.ndarray, score: Score, k: int, *, rows_at_once: int = 1 << 16) -> Top:
    """Score the rows of an array block by block and keep the ``k`` highest.

    Parameters
    ----------
    rows : (n, ...) array, a memory-map for one. A whole ``np.memmap`` is read from its file, so
        that memory holds three blocks and not the pages of the map.
    score : of a block; a function of `alutils.active.strategies.uncertainty`, or
        ``lambda x: margin(classifier.predict_proba(x))``
    k : how many, 1 to n
    rows_at_once : in a block

    Raises
    ------
    ValueError
        for NaN (its row is named), a ``k`` that is not 1 to n, and a score that does not give a
        number a row. What the score itself refuses names a row of its block, and where that begins.
    """
    check_batch(k, len(rows))
    if rows_at_once < 1:
        raise ValueError(f"rows_at_once={rows_at_once}: expected 1 or more.")
    best: Top | None = None
    for start, block in _blocks(rows, rows_at_once):
        scores = _scored(block, score, start)
        floor = best.scores[-1] if best is not None and len(best.items) == k else None
        found = _best(scores, start, min(k, len(block)), floor)
        best = found if best is None else _merged([best, found], k)
    assert best is not None  # a batch fits the pool, so there is a block
    return best


def scores(pool: da.Array, score: Score) -> da.Array:
    """Return the scores of a pool in partitions, to be computed where these lie.

    (n, ...) dask array in, (n,) float64 dask array out, in which every float32 is exact. Workers
    must be able to import or unpickle ``score``, which is as in `streamed_top`.
    """
    axes = list(range(1, pool.ndim))
    whole_rows = pool.rechunk(dict.fromkeys(axes, -1))
    return whole_rows.map_blocks(
        _scored, score, drop_axis=axes, dtype=np.float64, meta=np.empty(0)
    )  # fmt: skip


def top_of(scores: da.Array, k: int, client: Client | None = None, *, split_every: int = 8) -> Top:
    """Choose the ``k`` highest of scores in partitions, by a tree in which only ``k`` travel.

    Parameters
    ----------
    scores : (n,) dask array, from `scores` for one
    k : how many, 1 to n
    client : of the cluster that computes; None: Dask's scheduler of this process
    split_every : partitions, or answers of partitions, that one task puts together

    ValueError as `streamed_top`; also where the lengths of partitions are unknown.
    """
    from dask import delayed

    if scores.ndim != 1 or np.isnan(scores.shape[0]):
        raise ValueError(
            f"scores: a dask array of shape {scores.shape}; expected (n,) with partitions of known "
            "length (`compute_chunk_sizes()` finds them)."
        )
    if split_every < 2:
        raise ValueError(f"split_every={split_every}: expected 2 or more.")
    check_batch(k, scores.shape[0])
    lengths = scores.chunks[0]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    level = [
        delayed(_best)(block, start, min(k, length))
        for block, start, length in zip(scores.to_delayed(), starts, lengths, strict=True)
        if length
    ]
    while len(level) > 1:
        groups = [level[i : i + split_every] for i in range(0, len(level), split_every)]
        level = [delayed(_merged)(group, k) for group in groups]
    return level[0].compute() if client is None else client.compute(level[0]).result()


def features(images: da.Array, **options: Any) -> da.Array:
    """VGG16 features of images in partitions, each computed and cached where it lies.

    (n, h, w[, c]) dask array in, (n, channels) float32 dask array out. ``options`` are those of
    `alutils.models.embeddings.features`: name ``backend`` and ``precision`` where machines differ,
    "auto" chooses on each for itself.
    """
    from alutils.base import artefacts
    from alutils.models.backbones import vgg16

    weights = options.get("weights")
    shapes = artefacts.VGG16.content.shapes.values() if weights is None else map(np.shape, weights)
    channels = vgg16.channels(options.get("layer", "block5"), list(shapes))
    whole = images.rechunk(dict.fromkeys(range(1, images.ndim), -1))
    blocks = whole.reshape(len(whole), *whole.shape[1:3], -1)  # of as many axes, grey or not
    return blocks.map_blocks(
        _features, options, drop_axis=[1, 2, 3], new_axis=1, dtype=np.float32,
        chunks=(blocks.chunks[0], (channels,)), meta=np.empty((0, 0), np.float32),
    )  # fmt: skip


def _features(block: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    from alutils.models import embeddings

    return np.asarray(embeddings.features(block, progress=False, **options))


def _scored(
    block: np.ndarray, score: Score, start: int = 0, block_info: dict[Any, Any] | None = None
) -> np.ndarray:
    """Return a block's scores as float64, in which the order of float32 is the same.

    Dask fills in ``block_info``, which says where the block begins.
    """
    if block_info:
        start = block_info[0]["array-location"][0][0]
    try:
        found = np.asarray(score(block), np.float64)
    except ValueError as error:
        where = f"rows {start} to {start + len(block)} of the pool, counted from {start}"
        raise ValueError(f"{where}: {error}") from error
    if found.shape != (len(block),):
        raise ValueError(
            f"the score of {len(block)} rows came with shape {found.shape}; expected "
            f"({len(block)},), a number for each row."
        )
    return found


def _best(scores: np.ndarray, start: int, k: int, floor: float | None = None) -> Top:
    """Return the highest of a block that begins at row ``start``: over ``floor`` if given."""
    scores = np.asarray(scores)
    if scores.ndim != 1:
        raise ValueError(f"scores: an array of shape {scores.shape}; expected (n,).")
    if np.isnan(scores).any():
        row = start + int(np.isnan(scores).argmax())
        raise ValueError(
            f"scores: row {row} is NaN ({np.count_nonzero(np.isnan(scores))} of {len(scores)} in "
            f"its block, which begins at {start}); look at what the scores are made from."
        )
    enough = scores >= -np.inf if floor is None else scores > floor
    candidates = np.flatnonzero(enough)
    if len(candidates) > k:  # a sort of few
        lowest = np.partition(scores[candidates], -k)[-k]
        candidates = candidates[scores[candidates] >= lowest]
    return _merged([Top(candidates + start, scores[candidates])], k)


def _merged(parts: list[Top], k: int) -> Top:
    items = np.concatenate([part.items for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    order = np.lexsort((items, -scores))[:k]
    return Top(items[order], scores[order])


def _blocks(rows: np.ndarray, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield where each block begins, and the block, read while the one before is worked on."""
    read = _reader(rows)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(read, 0, n)
        for start in range(0, len(rows), n):
            block = coming.result()
            coming = ahead.submit(read, start + n, start + 2 * n)  # empty after the last
            yield start, block


def _reader(rows: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """Return a function that reads rows from one number to another, as far as there are any."""
    # A part of a memory-map has the file's offset of the whole; changes to a private one ("c") are
    # not in the file; both are read through the map.
    if (
        not isinstance(rows, np.memmap)
        or isinstance(rows.base, np.ndarray)
        or rows.mode == "c"
        or rows.filename is None
        or not rows.flags.c_contiguous
    ):
        return lambda start, stop: np.asarray(rows[start:stop])
    path, begins = rows.filename, rows.offset
    n_numbers = int(np.prod(rows.shape[1:], dtype=np.int64))

    def read(start: int, stop: int) -> np.ndarray:
        offset = begins + start * n_numbers * rows.dtype.itemsize
        count = max(0, min(stop, len(rows)) - start) * n_numbers
        numbers = np.fromfile(path, rows.dtype, count=count, offset=offset)
        return numbers.reshape(-1, *rows.shape[1:])

    return read
