"""The digits of one experiment: which part of the data set is trained on, which part tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from alutils.base.errors import ParameterError
from alutils.data import mnist
from alutils.data.dataset import Dataset, as_float

SETTING = {
    "train_start": 0, "test_start": 0, "n_train": 4000, "n_test": 400, "batch": 10, "budget": 400,
}  # fmt: skip
"""The article's own; its six counts are published for it and for no other."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Two data sets, what of them one experiment takes, and how many labels it asks for.

    Attributes
    ----------
    train, test : everything that replicates may draw from
    train_start, n_train : the experiment's own training digits: the pool
    test_start, n_test : its own test digits
    batch, budget : human labels in a round, and in all

    Raises
    ------
    ParameterError
        for a slice that the data set does not hold, for a batch or a budget that does not fit it or
        does not fit what the sound protocol trains on: as many digits less the validation digits,
        where the data set has no others for those
    """

    train: Dataset
    test: Dataset
    train_start: int = 0
    test_start: int = 0
    n_train: int = 4000
    n_test: int = 400
    batch: int = 10
    budget: int = 400

    def __post_init__(self) -> None:
        for kind, data in (("train", self.train), ("test", self.test)):
            start, n = getattr(self, f"{kind}_start"), getattr(self, f"n_{kind}")
            left = max(0, len(data) - start)
            if not 1 <= n <= left:
                raise ParameterError(
                    f"n_{kind}", n,
                    f"from {kind}_start={start} on, {data.name} holds {left} {kind} images",
                    "ask for fewer, at least 1, or for all of MNIST with data=mnist",
                )  # fmt: skip
        name, size = self.train.name, len(self.train)
        kept = (
            f"of {name}'s {size} training images the sound protocol keeps {self.n_test} (n_test) "
            "for validation"
        )
        for parameter, most, why, more in (
            ("budget", self.n_train, f"the pool holds {self.n_train} images (n_train)", ""),
            ("budget", size - self.n_test, kept, ", or for all of MNIST with data=mnist"),
            ("batch", self.budget, f"the budget is {self.budget} labels", " a round"),
        ):
            value = getattr(self, parameter)
            if not 1 <= value <= most:
                remedy = f"ask for 1 to {most}{more}"
                if most < 1:
                    remedy = f"ask for fewer test digits than {size}, or for all with data=mnist"
                raise ParameterError(parameter, value, why, remedy)

    @property
    def is_the_articles(self) -> bool:
        """Whether these are the digits, the batch and the budget of the article."""
        return all(getattr(self, name) == value for name, value in SETTING.items())

    @property
    def n_classes(self) -> int:
        return len(self.train.classes)

    @cached_property
    def x(self) -> np.ndarray:
        """(n_train, n_features) float32 in [0, 1]: the pool."""
        return as_float(self.train.images[self._own("train")])

    @cached_property
    def y(self) -> np.ndarray:
        """(n_train,) int64: the true labels; what people would answer."""
        return self.train.labels[self._own("train")]

    @cached_property
    def x_test(self) -> np.ndarray:
        """(n_test, n_features) float32 in [0, 1]."""
        return as_float(self.test.images[self._own("test")])

    @cached_property
    def y_test(self) -> np.ndarray:
        return self.test.labels[self._own("test")]

    def all_test(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all test digits, (n, n_features) float32 and (n,) int64, its own before the rest.

        So the first ``n_test`` are those that a training as published is stopped by.
        """
        own = np.arange(self.test_start, self.test_start + self.n_test)
        order = np.concatenate([own, np.setdiff1d(np.arange(len(self.test)), own)])
        return as_float(self.test.images[order]), self.test.labels[order]

    def _own(self, kind: str) -> slice:
        start: int = getattr(self, f"{kind}_start")
        n: int = getattr(self, f"n_{kind}")
        return slice(start, start + n)


def digits(data: str = "mnist_article", **sizes: int) -> Digits:
    """Return the digits of an experiment.

    Parameters
    ----------
    data : ``mnist_article``, the article's 4,000 and 400, or ``mnist``, all 60,000 and 10,000
    sizes : of `Digits`; the article's own by default
    """
    if data not in ("mnist_article", "mnist"):
        raise ParameterError("data", data, "expected mnist_article or mnist")
    train, test = mnist.mnist() if data == "mnist" else mnist.mnist_article()
    return Digits(train, test, **sizes)
