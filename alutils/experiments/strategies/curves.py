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
from alutils.data import fashion, loading, mnist
from alutils.data.dataset import as_float
from alutils.experiments.strategies import comparison, features
from alutils.stats.tables import Vocabulary

SETTINGS = (
    "mnist_pixels", "mnist_vgg16", "fashion_pixels", "fashion_vgg16", "letters_vgg16",
    "lower_pixels", "lower_vgg16",
)  # fmt: skip
"""A data set and what softmax regression sees of it, pixels or VGG16 features: digits, clothes,
capital letters, and small letters, which are a file of one's own."""
VOCABULARY = Vocabulary(protocols=SETTINGS)
DRAWN_FROM = 12_000
"""So many training and half as many test images: the draws of all seeds share these, so that their
VGG16 features are computed once. Of digits and clothes the first ones, of small letters a fixed
draw."""
_IN_TWO_PARTS = {"mnist": mnist.mnist, "fashion": fashion.fashion}
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
    letters : data set of the settings of capital and of small letters, as `loading.load` takes it
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
    name, seen = setting.rsplit("_", 1)
    if name in _IN_TWO_PARTS:
        return _with_test_images(name, seen)
    data = loading.load(letters)
    everything, none = np.arange(len(data.labels)), np.empty(0, np.int64)
    train, test = everything, none
    if name == "lower":
        kept = np.random.default_rng(0).permutation(len(data))[: DRAWN_FROM + DRAWN_FROM // 2]
        data, n_test = data.take(kept), len(kept) // 3
        train, test = everything[: len(kept) - n_test], everything[len(kept) - n_test : len(kept)]
    x = _seen(data.images, seen)
    return Source(x, data.labels, len(data.classes), train, test, data.provenance)


@functools.cache  # always the same bytes: a process reads them once, not in every cell
def _with_test_images(name: str, seen: str) -> Source:
    train, test = _IN_TWO_PARTS[name]()
    first, then = train.images[:DRAWN_FROM], test.images[: DRAWN_FROM // 2]
    labels = np.concatenate([train.labels[: len(first)], test.labels[: len(then)]])
    items = np.arange(len(labels))
    return Source(
        _seen(np.concatenate([first, then]), seen), labels, len(train.classes),
        items[: len(first)], items[len(first) :], train.provenance,
    )  # fmt: skip


def _seen(images: np.ndarray, seen: str) -> np.ndarray:
    return as_float(images) if seen == "pixels" else features.vgg16(images)


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
