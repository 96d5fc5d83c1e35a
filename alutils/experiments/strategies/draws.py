"""Pools that are drawn from a data set, and learning curves on them.

Every seed draws a pool and test images anew; all strategies meet the same draws, so that they are
compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

from alutils.active.loops.pool import check_loop
from alutils.base.checks import check_count
from alutils.base.errors import ParameterError
from alutils.data import loading
from alutils.data.dataset import Dataset
from alutils.experiments.base import Keep, compute
from alutils.experiments.report import splits
from alutils.experiments.strategies import comparison
from alutils.experiments.strategies.curves import TEST_SHARE
from alutils.stats import intervals

one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")
"""Decorates what multiplies small matrices many times: several threads would wait for each other
longer than they work, and times would depend on who else uses the machine."""
MOST_TEST = 5000
"""A draw keeps so many images for testing, at most; of a small data set `TEST_SHARE`."""


@dataclass(frozen=True)
class Pools:
    """How pools are drawn from a data set, and what is spent on each.

    Attributes
    ----------
    images : what draws are made from
    n_pool : images in a pool, at most: the test images are kept back first
    batch, budget : labels a round and in all
    seeds, seed : how many draws, and the first of their numbers
    halved : whether each pixel is the mean of four, which keeps many runs short; images that cannot
        be halved stay as they are
    """

    images: Dataset
    n_pool: int
    batch: int
    budget: int
    seeds: int
    seed: int = 0
    halved: bool = False

    def __post_init__(self) -> None:
        check_count("seed", self.seed)
        check_count("seeds", self.seeds, 2)
        check_count("n_pool", self.n_pool, 1)
        present = np.unique(self.images.labels)
        if len(present) < 2:
            named = [self.images.classes[c] for c in present]
            raise ParameterError(
                "images",
                self.images.name,
                f"all {len(self.images)} are of the class {', '.join(named)}",
                "give images of two classes or more",
            )
        if self.budget > self.room:
            raise ParameterError(
                "budget",
                self.budget,
                f"a pool of {self.images.name or 'these images'} holds {self.room} of "
                f"{len(self.images)} images (n_pool={self.n_pool})",
                f"ask for at most {self.room} labels, or give more images",
            )
        check_loop(self.room, self.batch, self.budget)

    @property
    def numbers(self) -> range:
        """The seeds of the draws."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def n_test(self) -> int:
        """Test images of a draw."""
        return min(MOST_TEST, round(TEST_SHARE * len(self.images)))

    @property
    def room(self) -> int:
        """Images in the pool of a draw."""
        return min(self.n_pool, len(self.images) - self.n_test)

    @property
    def test_to_train(self) -> float:
        """Test images over the others, as `intervals.paired` takes it: draws re-split one set."""
        return self.n_test / (len(self.images) - self.n_test)

    @property
    def side(self) -> int:
        """Pixels along a side, as the classifier sees them."""
        height, *others = self.images.images.shape[1:]
        even = height % 2 == 0 and others == [height]
        return height // 2 if self.halved and even else height

    def draw(self, number: int) -> comparison.Draw:
        """Return the pool and the test images of a seed."""
        return comparison.draw(self.images, number, self.room, self.n_test, self.side)

    def paired(self, ours: np.ndarray, base: np.ndarray) -> intervals.Paired:
        """Compare two arms draw by draw, for other images of the kind than these."""
        return intervals.paired(ours, base, self.test_to_train)


def images(
    data: str, letters: str, n_letters: int, seed: int = 0, on_bad: str = "error"
) -> dict[str, Dataset]:
    """Load digits and letters.

    Parameters
    ----------
    data : ``mnist_article``, the article's 4,400 digits, or ``mnist``, all 70,000
    letters, on_bad : as `loading.load` takes them
    n_letters : so many are drawn, each class in proportion; 0 takes all
    """
    digits = loading.load(data)
    found = loading.load(letters, on_bad=on_bad)
    if 0 < n_letters < len(found):
        chosen = splits.stratified(found.labels, n_letters, np.random.default_rng(seed))
        found = found.take(np.sort(chosen))
    return {"digits": digits, "letters": found}


def pools(images: Mapping[str, Dataset], **sizes: Any) -> dict[str, Pools]:
    """Return `Pools` of each data set, of the same sizes; letters are halved."""
    return {name: Pools(own, halved=name == "letters", **sizes) for name, own in images.items()}


def smaller(of: Pools) -> Pools:
    """Return the same draws with each pixel the mean of four."""
    return replace(of, halved=True)


@one_thread
def pool_curve(pools: Pools, strategy: str, number: int, **options: Any) -> pd.DataFrame:
    """Run one strategy on one draw; a row a round, as `comparison.learning_curve` has it."""
    options = {"batch": pools.batch, "budget": pools.budget} | options
    return comparison.learning_curve(pools.draw(number), strategy, [number, 1], **options)


def every_draw(
    name: str,
    pools: Pools,
    arms: Mapping[str, tuple[Any, ...]] | Sequence[str],
    curve: Callable[..., pd.DataFrame] = pool_curve,
    keep: Keep = compute,
    **named: Any,
) -> pd.DataFrame:
    """Run every arm on every draw, each kept as a part of its own.

    Parameters
    ----------
    name : of what is done, for the progress bar
    arms : arm to what follows ``pools`` and precedes the number among ``curve``'s arguments; the
        arms' own names if a sequence
    curve, named : called as ``curve(pools, *arguments, number, **named)``
    """
    given = arms if isinstance(arms, Mapping) else {arm: (arm,) for arm in arms}
    on_pools = {arm: (pools, *arguments) for arm, arguments in given.items()}
    return every_number(name, pools.numbers, on_pools, curve, keep, **named)


def every_number(
    name: str,
    numbers: range,
    arms: Mapping[str, tuple[Any, ...]],
    curve: Callable[..., pd.DataFrame],
    keep: Keep = compute,
    **named: Any,
) -> pd.DataFrame:
    """Run every arm on every number, as `every_draw` does; ``curve(*arguments, number, **named)``.

    For curves that are not on `Pools`: what a part does not depend on must not be in its key.
    """
    frames = []
    with tqdm(total=len(arms) * len(numbers), desc=name, unit="curve", disable=None) as bar:
        for number in numbers:
            for arm, arguments in arms.items():
                frame = keep(curve, *arguments, number, **named)
                frames.append(frame.assign(arm=arm, seed=number))
                bar.update()
    table = pd.concat(frames, ignore_index=True)
    return table.assign(protocol="sound", split="test", metric="accuracy")


def long_rows(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return curves as rows of the results table, ``name`` before the arms."""
    columns = ["seed", "round", "n_human", "split", "metric", "value", "n_eval"]
    return table[columns].assign(protocol="sound", arm=f"{name}_" + table["arm"])
