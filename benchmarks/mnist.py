"""The article's table: its own procedure, the exact engine, and the replicate engine."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.timing import Row, alternately, machine_rates

REPLICATES = 32


def _baseline() -> dict:
    from alutils.data import mnist
    from benchmarks import article_tf1

    train, test = mnist.mnist_article()
    start = time.perf_counter()
    counts, steps = article_tf1.run(train.images, train.labels, test.images, test.labels)
    took = time.perf_counter() - start
    return {"s": took, "counts": {arm: n for arm, (n, _) in counts.items()}, "steps": steps}


def _exact() -> dict:
    from alutils.base.tensorflow import import_tensorflow
    from alutils.data import dataset, mnist
    from alutils.experiments.article import procedure

    train, test = mnist.mnist_article()
    import_tensorflow()  # the baseline's import is not in its time either
    x, x_test = dataset.as_float(train.images), dataset.as_float(test.images)
    start = time.perf_counter()
    outcome = procedure.exact(x, train.labels, x_test, test.labels)
    took = time.perf_counter() - start
    passes = [(s.round.steps, s.round.n_human + s.round.n_auto) for s in outcome.steps]
    return {"s": took, "counts": outcome.n_right(), "passes": passes}


def _replicates() -> dict:
    from alutils.data import dataset, mnist
    from alutils.experiments.article import replication

    train, test = mnist.mnist_article()
    digits = replication.Digits(
        dataset.as_float(train.images),
        train.labels,
        dataset.as_float(test.images),
        test.labels,
        n_train=4000,
        n_stop=400,
    )
    replication.run("noise", digits, n=2, seed=1, budget=20, batch=20)  # compiles, or reads it
    start = time.perf_counter()
    replication.run("noise", digits, n=REPLICATES, seed=0)
    return {
        "s": (time.perf_counter() - start) / REPLICATES,
        "density": float((digits.x > 0).mean()),
    }


def measure(repeats: int = 3) -> list[Row]:
    """Run all three in turns, each in a fresh process, and compare medians."""
    baseline, exact, replicates = alternately(repeats, _baseline, _exact, _replicates)
    if any(ours["counts"] != theirs["counts"] for ours in exact for theirs in baseline):
        raise AssertionError(
            f"the exact engine counts {exact[0]['counts']}, the article's procedure "
            f"{baseline[0]['counts']}: a faster engine that is not exact is no faster engine"
        )
    flops, traffic = machine_rates()
    # A step multiplies the labelled rows twice (logits, gradient) and the 400 test rows once.
    rows = np.array([steps * (2 * labelled + 400) for steps, labelled in exact[0]["passes"]]).sum()
    products, bytes_read = rows * 784 * 10 * 2 / flops, rows * 784 * 4 / traffic
    density = replicates[0]["density"]
    # Of the replicate engine: 16 lanes instead of 10 classes, only pixels that are not zero; six
    # bytes a pixel, read once where a step's two passes could share them.
    sparse_products = rows * 784 * density * 16 * 2 / flops
    sparse_bytes = rows / 2 * 784 * density * 6 / traffic
    theirs = statistics.median(run["s"] for run in baseline)
    return [
        Row(
            "mnist_exact",
            "the article's whole table, all arms, to the digit",
            theirs,
            statistics.median(run["s"] for run in exact),
            2.5,
            4,
            max(products, bytes_read),
            f"{baseline[0]['steps']} Adam steps; products alone {products:.2g} s at the machine's "
            f"rate, reading the images {bytes_read:.2g} s; TensorFlow's kernels for 10 columns "
            "reach a fraction of the rate, and their order of summation has to stay",
        ),
        Row(
            "mnist_replicate",
            f"the same table as one of {REPLICATES} replicates",
            theirs,
            statistics.median(run["s"] for run in replicates),
            10,
            25,
            max(sparse_products, sparse_bytes),
            f"products over non-zero pixels {sparse_products:.2g} s, reading them "
            f"{sparse_bytes:.2g} s; a pixel costs two loads, an address and two multiply-adds in "
            "each pass, and the loads bound it",
        ),
    ]
