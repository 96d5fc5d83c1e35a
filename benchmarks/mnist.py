"""The article's table: its own procedure, the exact engine, and the replicate engine."""

from __future__ import annotations

import functools
import statistics
import time
from dataclasses import dataclass

import numpy as np

from alutils.data import mnist
from alutils.data.dataset import as_float
from benchmarks.timing import Row, alternately, machine_rates


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes
    ----------
    n_train, n_stop, batch, budget : the article's by default
    replicates : of which one is the replicate engine's time
    """

    n_train: int = 4000
    n_stop: int = 400
    batch: int = 10
    budget: int = 400
    replicates: int = 32

    def digits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return (n, 28, 28) uint8 images and (n,) labels, to train on and to stop by."""
        train, test = mnist.mnist_article()
        n, m = self.n_train, self.n_stop
        return train.images[:n], train.labels[:n], test.images[:m], test.labels[:m]


TINY = Sizes(n_train=120, n_stop=50, batch=20, budget=60, replicates=2)


def _baseline(sizes: Sizes) -> dict:
    from benchmarks import article_tf1

    digits = sizes.digits()
    start = time.perf_counter()
    counts, steps = article_tf1.run(*digits, sizes.batch, sizes.budget)
    took = time.perf_counter() - start
    return {"s": took, "counts": {arm: n for arm, (n, _) in counts.items()}, "steps": steps}


def _exact(sizes: Sizes) -> dict:
    from alutils.base.tensorflow import import_tensorflow
    from alutils.experiments.article import procedure

    images, y, stop, y_stop = sizes.digits()
    import_tensorflow()  # the baseline's import is not in its time either
    x, x_stop = as_float(images), as_float(stop)
    start = time.perf_counter()
    outcome = procedure.exact(x, y, x_stop, y_stop, batch=sizes.batch, budget=sizes.budget)
    took = time.perf_counter() - start
    passes = []
    for step in outcome.steps:
        _, steps = step.round.trained
        passes.append((steps, step.round.n_human + step.round.n_auto))
    return {"s": took, "counts": outcome.n_right(), "passes": passes}


def _replicates(sizes: Sizes) -> dict:
    from alutils.experiments import article

    n = {"n_train": sizes.n_train, "n_test": sizes.n_stop}
    train, test = mnist.mnist_article()
    test = test.take(np.arange(sizes.n_stop))  # nothing else is counted
    first = article.Digits(train, test, **n, batch=20, budget=20)
    noise = {"seed": 0, "noise": 1e-6}
    article.replicates("noise", first, n=2, **noise)  # compiles, or reads what was compiled
    digits = article.Digits(train, test, **n, batch=sizes.batch, budget=sizes.budget)
    start = time.perf_counter()
    article.replicates("noise", digits, n=sizes.replicates, **noise)
    return {
        "s": (time.perf_counter() - start) / sizes.replicates,
        "density": float((digits.x > 0).mean()),
    }


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Run all three in turns, each in a fresh process, and compare medians."""
    sizes = TINY if smoke else Sizes()
    works = (functools.partial(work, sizes) for work in (_baseline, _exact, _replicates))
    baseline, exact, replicates = alternately(repeats, *works, smoke=smoke)
    if any(ours["counts"] != theirs["counts"] for ours in exact for theirs in baseline):
        raise AssertionError(
            f"the exact engine counts {exact[0]['counts']}, the article's procedure "
            f"{baseline[0]['counts']}: a faster engine that is not exact is no faster engine"
        )
    flops, traffic = machine_rates(smoke)
    # A step multiplies the labelled rows twice (logits, gradient) and the test rows once.
    rows = sum(steps * (2 * labelled + sizes.n_stop) for steps, labelled in exact[0]["passes"])
    products, bytes_read = rows * 784 * 10 * 2 / flops, rows * 784 * 4 / traffic
    density = replicates[0]["density"]
    # The replicate engine has 16 lanes instead of 10 classes, takes only pixels that are not zero,
    # and reads six bytes a pixel, once where a step's two passes could share them.
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
            f"the same table as one of {sizes.replicates} replicates",
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
