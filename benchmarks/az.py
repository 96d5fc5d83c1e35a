"""The report's procedure in rounds: its own Keras way, and ours with features cold and cached."""

from __future__ import annotations

import argparse
import functools
import statistics
import time

import numpy as np

from alutils.experiments.report import splits
from alutils.models import embeddings
from benchmarks.timing import Row, alternately, in_fresh_process, machine_rates

# A seventh of the report's size: its own way goes through the convolutions every epoch, and takes
# ten minutes at full size (--start 3640 --pool 3640); both sides grow with the letters alike.
N_START, N_POOL, ROUNDS = 520, 520, 3
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


def letters(n_start: int, n_pool: int) -> tuple[np.ndarray, np.ndarray, splits.Split]:
    """Return rendered letters, every class as frequent, and which of them are labelled first."""
    from alutils.data.rendering import rendered_dataset

    whole = rendered_dataset(n_start + n_pool, 0, balanced=True)
    start = splits.stratified(whole.labels, n_start, np.random.default_rng(0))
    pool = np.random.default_rng(1).permutation(np.setdiff1d(np.arange(len(whole)), start))
    nothing = np.empty(0, np.int64)
    return whole.images, whole.labels, splits.Split(start, pool, nothing, True, "")


def published_way(n_start: int, n_pool: int, rounds: int) -> tuple[float, list[dict[str, float]]]:
    """Return the seconds of the report's own procedure, and what each round did and took."""
    from alutils.base import artefacts
    from benchmarks import report_keras

    images, labels, parts = letters(n_start, n_pool)
    weights = artefacts.vgg16_convolutions()
    began = time.perf_counter()
    done = report_keras.run(
        images[parts.start], labels[parts.start], images[parts.pool], labels[parts.pool],
        weights, rounds,
    )  # fmt: skip
    return time.perf_counter() - began, done


def our_way(n_start: int, n_pool: int, rounds: int, cached: bool) -> tuple[float, float, int]:
    """Return the seconds of ours, the last round's accuracy, and the images that were learnt from.

    Cold, features are computed and not kept; cached, they are read and checked. Compiled code is
    warm in both, as Keras' own is.
    """
    from alutils.base import artefacts
    from alutils.experiments.report import loops
    from alutils.models.dense_head import DenseHead

    images, labels, parts = letters(n_start, n_pool)
    artefacts.vgg16_convolutions()
    if cached:
        embeddings.features(images, progress=False)
    DenseHead(26, epochs=1).fit(np.ones((64, 512), np.float32), np.arange(64) % 26)
    began = time.perf_counter()
    options = {} if cached else {"cache": False}
    features = embeddings.features(images, progress=False, **options)
    done = loops.run_loop(
        "as_published", features, labels, parts, DenseHead(26), min_rounds=rounds - 1,
        max_rounds=rounds - 1,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return seconds, float(done.rounds["pool_accuracy"].iloc[-1]), int(done.rounds["n_human"].sum())


def measure(
    repeats: int, n_start: int = N_START, n_pool: int = N_POOL, rounds: int = ROUNDS
) -> list[Row]:
    """Time both; the report's own way takes minutes and is run once.

    Parameters
    ----------
    repeats : of ours, cold and cached in turns
    n_start, n_pool : letters labelled first and waiting
    rounds : networks trained
    """
    sizes = n_start, n_pool, rounds
    theirs, logged = in_fresh_process(published_way, *sizes)
    cold, cached = alternately(
        repeats,
        functools.partial(our_way, *sizes, False),
        functools.partial(our_way, *sizes, True),
    )
    stages = {
        name: sum(one[name] for one in logged)
        for name in ("prepare", "build", "fit", "predict", "loop")
    }
    split = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.items())
    operations, _ = machine_rates()
    features_floor = (n_start + n_pool) * _IMAGE_OPERATIONS / operations
    # A step: two products forward, three back, of which the first layer's input needs none.
    head = 2 * (3 * 128 * 26 + 2 * 512 * 128) * 10 * cached[0][2] / operations
    accuracy = [one[1] for one in (cold[0], cached[0])]
    what = f"{rounds} rounds, {n_start:,} labelled letters and {n_pool:,} in the pool"
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


def main() -> None:
    """Print what `measure` finds, with sizes of one's own."""
    from benchmarks.timing import report

    parser = argparse.ArgumentParser(prog="python -m benchmarks.az", description=__doc__)
    parser.add_argument("--start", type=int, default=N_START, help="letters labelled first")
    parser.add_argument("--pool", type=int, default=N_POOL, help="letters waiting")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="networks trained")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = measure(options.repeats, options.start, options.pool, options.rounds)
    print(report(rows))
    for row in rows:
        print(f"{row.benchmark}: {row.note}")


if __name__ == "__main__":
    main()
