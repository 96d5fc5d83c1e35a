"""Learning curves of query strategies: one strategy on one data set from one seed.

`run` is a cell of the sweep behind ``results/strategies.csv``. A setting is a data set and what is
seen of it; every strategy meets the same first labels, the same pool and the same test images on a
seed, so that strategies are compared in pairs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils.active.loops.pool import check_loop
from alutils.active.strategies import registry
from alutils.base.checks import check_count, check_known
from alutils.base.errors import ParameterError
from alutils.data import loading, mnist
from alutils.data.dataset import as_float
from alutils.experiments.strategies import comparison, features
from alutils.stats.tables import Vocabulary

SETTINGS = ("mnist_pixels", "mnist_vgg16", "letters_vgg16")
"""Softmax regression on pixels of MNIST, on VGG16 features of MNIST, on VGG16 features of letters.
"""
VOCABULARY = Vocabulary(protocols=SETTINGS)
DRAWN_FROM = 12_000
"""The first so many training and half as many test digits: the draws of all seeds share these, so
that their VGG16 features are computed once."""
TEST_SHARE = 0.3
"""The share of a data set without test images of its own that tests, as in the report."""


@dataclass(frozen=True)
class Settings:
    """Parameters of a cell; ParameterError or ValueError for what `run` could not do.

    Attributes
    ----------
    setting : one of ``SETTINGS``
    strategy : one of `registry.STRATEGIES`
    seed : of the pool, the first labels (``batch`` of them, at random, the same for every strategy)
        and the strategy's own chance
    batch, budget : labels a round and in all
    n_pool : items in the pool, at most; fewer where the data set holds fewer
    letters : data set of the letters setting, as `loading.load` takes it
    """

    setting: str = "mnist_pixels"
    strategy: str = "margin"
    seed: int = 0
    batch: int = 50
    budget: int = 750
    n_pool: int = 4000
    letters: str = "rendered"

    def __post_init__(self) -> None:
        check_known("setting", self.setting, SETTINGS)
        registry.get(self.strategy)
        check_count("seed", self.seed)
        if not 1 <= self.n_pool <= DRAWN_FROM:
            raise ParameterError("n_pool", self.n_pool, f"expected 1 to {DRAWN_FROM}")
        check_loop(self.n_pool, self.batch, self.budget)
        if not self.letters:
            raise ParameterError("letters", self.letters, "expected a data set, such as rendered")


@dataclass(frozen=True)
class Source:
    """All that draws are made from: (n_items, n_features) float32, (n_items,) int64 and more.

    ``train`` and ``test`` are items for pools, and for testing where that is a part of its own;
    without test items each draw keeps ``TEST_SHARE`` of its items back.
    """

    x: np.ndarray
    labels: np.ndarray
    n_classes: int
    train: np.ndarray
    test: np.ndarray
    provenance: str


def prepare(setting: str, letters: str) -> dict[str, str]:
    """Download and compute what a setting needs, once, before many runs share it."""
    return {"images": source(setting, letters).provenance}


def source(setting: str, letters: str = "rendered") -> Source:
    """Return what a setting's draws are made from; features come out of their cache."""
    if setting != "letters_vgg16":
        return _digits(setting)
    data = loading.load(letters)
    everything, none = np.arange(len(data.labels)), np.empty(0, np.int64)
    x = features.vgg16(data.images)
    return Source(x, data.labels, len(data.classes), everything, none, data.provenance)


@functools.cache  # MNIST is always the same bytes: a process reads it once, not in every cell
def _digits(setting: str) -> Source:
    train, test = mnist.mnist()
    n_test = DRAWN_FROM // 2
    images = np.concatenate([train.images[:DRAWN_FROM], test.images[:n_test]])
    labels = np.concatenate([train.labels[:DRAWN_FROM], test.labels[:n_test]])
    x = as_float(images) if setting == "mnist_pixels" else features.vgg16(images)
    items = np.arange(len(labels))
    return Source(
        x, labels, len(train.classes), items[:DRAWN_FROM], items[DRAWN_FROM:], train.provenance
    )


def run(settings: Settings) -> pd.DataFrame:
    """Run one strategy until its budget is spent; measure the test accuracy after every round.

    Rows are of the long results table; ``protocol`` is the setting, ``arm`` the strategy.
    ValueError for a pool smaller than the budget.
    """
    seed, strategy = settings.seed, settings.strategy
    origin = source(settings.setting, settings.letters)
    rng = np.random.default_rng([seed, 0])
    order = rng.permutation(origin.train)
    test = origin.test
    if not len(test):
        n_test = round(TEST_SHARE * len(order))
        test, order = order[:n_test], order[n_test:]
    pool = order[: settings.n_pool]
    x, x_test = features.scaled(origin.x[pool], origin.x[test])
    drawn = comparison.Draw(
        x, origin.labels[pool], x_test, origin.labels[test], np.asarray(origin.x[pool]),
        origin.n_classes,
    )  # fmt: skip
    rows = comparison.learning_curve(
        drawn, strategy, [seed, 1], batch=settings.batch, budget=settings.budget
    )
    return rows[["round", "n_human", "value"]].assign(
        protocol=settings.setting, arm=strategy, seed=seed, n_auto=0, split="test",
        metric="accuracy", n_eval=len(test),
    )  # fmt: skip
