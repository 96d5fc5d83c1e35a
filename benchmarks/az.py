"""The report's procedure in rounds: its own Keras way, and ours with features cold and cached."""

from __future__ import annotations

import functools
import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from alutils.base import artefacts
from alutils.experiments.report import splits
from benchmarks.timing import Row, alternately, in_fresh_process, machine_rates


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    By default a seventh of the report's size: its own way goes through the convolutions every
    epoch, and takes ten minutes with 3,640 and 3,640; both sides grow with the letters alike.

    Attributes
    ----------
    n_start, n_pool : letters labelled first and waiting
    rounds : networks trained
    made_up : whether VGG16's weights are random numbers, so that none are downloaded
    """

    n_start: int = 520
    n_pool: int = 520
    rounds: int = 3
    made_up: bool = False

    def letters(self) -> tuple[np.ndarray, np.ndarray, splits.Split]:
        """Return rendered letters, every class as frequent and which come first."""
        from alutils.data.rendering import rendered_dataset

        whole = rendered_dataset(self.n_start + self.n_pool, 0, balanced=True)
        start = splits.stratified(whole.labels, self.n_start, np.random.default_rng(0))
        pool = np.random.default_rng(1).permutation(np.setdiff1d(np.arange(len(whole)), start))
        nothing = np.empty(0, np.int64)
        return whole.images, whole.labels, splits.Split(start, pool, nothing, True, "")

    def weights(self) -> list[np.ndarray]:
        """Return VGG16's kernels and biases, in Keras' order."""
        if not self.made_up:
            return artefacts.vgg16_convolutions()
        rng, weights = np.random.default_rng(0), []
        for before, after in itertools.pairwise((3, *_CHANNELS)):
            kernel = rng.standard_normal((3, 3, before, after), np.float32)
            weights += [kernel * np.float32(np.sqrt(2 / (9 * before))), np.zeros(after, np.float32)]

        return weights


TINY = Sizes(n_start=26, n_pool=26, rounds=1, made_up=True)
_CHANNELS = (64, 64, 128, 128, *[256] * 3, *[512] * 6)
# Multiplications and additions of VGG16's convolutions, an image of 32 x 32 pixels.
_IMAGE_OPERATIONS = 2 * sum(
    (32 // 2**block) ** 2 * 9 * channels
    for block, channels in (
        (0, 3 * 64 + 64 * 64),
        (1, 64 * 128 + 128 * 128),
        (2, 128 * 256 + 2 * 256 * 256),
        (3, 256 * 512 + 2 * 512 * 512),
        (4, 3 * 512 * 512),
    )
)


def published_way(sizes: Sizes) -> tuple[float, list[dict[str, float]]]:
    """Return the seconds of the report's own procedure, and what each round did and took."""
    from benchmarks import report_keras

    images, labels, parts = sizes.letters()
    weights = sizes.weights()
    began = time.perf_counter()
    done = report_keras.run(
        images[parts.start], labels[parts.start], images[parts.pool], labels[parts.pool],
        weights, sizes.rounds,
    )  # fmt: skip
    return time.perf_counter() - began, done


def our_way(sizes: Sizes, cache: Path | Literal[False]) -> tuple[float, float, int]:
    """Return the seconds of ours, the last round's accuracy, and the images that were learnt from.

    Without a cache, features are computed and not kept; with one, they are read and checked.
    Compiled code is warm in both, as Keras' own is.
    """
    from alutils.experiments.report import loops
    from alutils.models import embeddings
    from alutils.models.dense_head import DenseHead

    images, labels, parts = sizes.letters()
    options = {"weights": sizes.weights(), "cache": cache, "progress": False}
    if cache:
        embeddings.features(images, **options)
    DenseHead(26, epochs=1).fit(np.ones((64, 512), np.float32), np.arange(64) % 26)
    began = time.perf_counter()
    features = embeddings.features(images, **options)
    done = loops.run_loop(
        "as_published", features, labels, parts, DenseHead(26), min_rounds=sizes.rounds - 1,
        max_rounds=sizes.rounds - 1,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return seconds, float(done.rounds["pool_accuracy"].iloc[-1]), int(done.rounds["n_human"].sum())


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Time both: the report's way once, which takes minutes, ours cold and cached in turns."""
    sizes = TINY if smoke else Sizes()
    theirs, logged = in_fresh_process(published_way, sizes, smoke=smoke)
    with tempfile.TemporaryDirectory() as folder:
        works = (functools.partial(our_way, sizes, cache) for cache in (False, Path(folder)))
        cold, cached = alternately(repeats, *works, smoke=smoke)
    stages = {
        name: sum(one[name] for one in logged)
        for name in ("prepare", "build", "fit", "predict", "loop")
    }
    split = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.items())
    operations, _ = machine_rates(smoke)
    features_floor = (sizes.n_start + sizes.n_pool) * _IMAGE_OPERATIONS / operations
    # A step: two products forward, three back, of which the first layer's input needs none.
    head = 2 * (3 * 128 * 26 + 2 * 512 * 128) * 10 * cached[0][2] / operations
    accuracy = [one[1] for one in (cold[0], cached[0])]
    what = (
        f"{sizes.rounds} rounds, {sizes.n_start:,} labelled letters and {sizes.n_pool:,} in the "
        "pool"
    )
    same = f"accuracy in the last round {logged[-1]['accuracy']:.3f} theirs, {accuracy[0]:.3f} ours"
    return [
        Row(
            "az_cold", f"{what}, features computed", theirs,
            statistics.median(one[0] for one in cold), 20, 20, features_floor + head,
            f"theirs: {split}; {same}; bound by the convolutions, once for each image",
        ),
        Row(
            "az_cached", f"{what}, features from the cache", theirs,
            statistics.median(one[0] for one in cached), 100, 300, head,
            "bound by the head's steps: 32 rows leave the units idle, Adam reads all weights",
        ),
    ]  # fmt: skip
