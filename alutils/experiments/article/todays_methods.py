"""The same labels, today's methods: other questions, other classifiers, the unlabelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alutils.active.loops.pool import PoolState, by_score, pool_based
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count
from alutils.data.dataset import as_float
from alutils.experiments.article.inputs import Digits
from alutils.experiments.article.replication import draw, generator
from alutils.experiments.base import Keep, compute
from alutils.models.estimator import Estimator

ASKED = ("random", "least_confident", "margin")
"""Which digits are labelled. The last two are what softmax regression asks for, round by round."""
CHOSEN = {"random": "at random", "least_confident": "by least confidence", "margin": "by margin"}
"""How sentences name the same."""
CLASSIFIERS = {
    "softmax": "softmax regression with a penalty",
    "rbf_svm": "support vector machine",
    "network": "small network",
    "network_unlabelled": "small network with unlabelled images",
}
"""What is trained on them, and what figures and sentences call it."""
SVM_C = 10.0
"""Penalty of the support vector machine; no test digit had a say in it."""


@dataclass(frozen=True)
class Better:
    """What `better` gives: asked, classifier, seed, n_human, n_right and n_test, a row each.

    ``seed`` is the number of the draw, as in `replication.Replicates`.
    """

    digits: Digits
    table: pd.DataFrame

    @property
    def seeds(self) -> int:
        return int(self.table["seed"].nunique())


def better(digits: Digits, *, seeds: int, seed: int, steps: int, keep: Keep = compute) -> Better:
    """Train today's classifiers on as many labels as the article's loop asks people for.

    Parameters
    ----------
    digits : what to draw from; all test digits are counted, and none of them decides anything
    seeds : draws of the pool, the same ones as the first of the sound protocol
    seed : number of the first draw
    steps : of the optimiser, for a network
    keep : keeps every classifier's result by itself, so that a killed run goes on
    """
    check_count("better_seeds", seeds, 1)
    check_count("steps", steps, 1)
    check_count("seed", seed)
    tables = []
    for number in range(seed, seed + seeds):
        asked = keep(choose_labels, digits, number)
        for classifier in CLASSIFIERS:
            needs = {"steps": steps} if classifier.startswith("network") else {}
            tables.append(keep(train_classifier, classifier, digits, asked, number, **needs))
    return Better(digits, pd.concat(tables, ignore_index=True))


def pool_of(digits: Digits, number: int) -> np.ndarray:
    """Return the places in ``digits.train`` of the pool of a draw of the sound protocol."""
    return draw("sound", digits, generator("sound", number))[0]


def choose_labels(digits: Digits, number: int) -> pd.DataFrame:
    """Return which digits are labelled: a column for each of `ASKED`, places in the pool."""
    drawn = pool_of(digits, number)
    x, y = as_float(digits.train.images[drawn]), digits.train.labels[drawn]
    asked = {"random": np.arange(digits.budget)}
    for name in ASKED[1:]:
        state = PoolState.start(len(x))
        rounds = pool_based(
            x, y.__getitem__, Estimator(digits.n_classes), by_score(getattr(uncertainty, name)),
            state, batch=digits.batch, budget=digits.budget,
        )  # fmt: skip
        for _ in rounds:
            pass
        asked[name] = state.book.order
    return pd.DataFrame(asked)


def train_classifier(
    classifier: str,
    digits: Digits,
    asked: pd.DataFrame,
    number: int,
    steps: int = 0,
) -> pd.DataFrame:
    """Train one classifier on each choice of labels, and count all test digits.

    A network is trained on the random labels and on those by the margin only: it takes long.
    """
    drawn = pool_of(digits, number)
    images, y = np.ascontiguousarray(digits.train.images[drawn]), digits.train.labels[drawn]
    is_network = classifier.startswith("network")
    records = []
    for name in ("random", "margin") if is_network else ASKED:
        items = asked[name].to_numpy()
        predict = _trained(classifier, images, y, items, digits.n_classes, number, steps)
        n_right = int(np.count_nonzero(predict(digits.test.images) == digits.test.labels))
        records.append(
            {
                "asked": name, "classifier": classifier, "seed": number,
                "n_human": len(items), "n_right": n_right, "n_test": len(digits.test),
            }
        )  # fmt: skip
    return pd.DataFrame(records)


def _trained(
    classifier: str,
    images: np.ndarray,
    y: np.ndarray,
    items: np.ndarray,
    n_classes: int,
    seed: int,
    steps: int,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a classifier's ``predict`` for (n, height, width) uint8 images."""
    if classifier.startswith("network"):
        from alutils.models.convnet import ConvNet

        unlabelled = images if classifier == "network_unlabelled" else None
        network = ConvNet(n_classes, unlabelled, seed=seed, steps=steps)
        return network.fit(images[items], y[items]).predict
    model: Any = Estimator(n_classes)
    if classifier == "rbf_svm" and len(np.unique(y[items])) > 1:  # it takes two classes and more
        from sklearn.svm import SVC

        model = SVC(C=SVM_C)
    model.fit(as_float(images[items]), y[items])
    return lambda images: model.predict(as_float(images))


def metrics(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Return the table of `Better` as rows of the long results table."""
    for row in table.to_dict("records"):
        n_test = row["n_test"]
        here = {
            "protocol": "better", "arm": f"{row['asked']}_{row['classifier']}",
            "seed": row["seed"], "n_human": row["n_human"], "split": "test", "n_eval": n_test,
        }  # fmt: skip
        yield {**here, "metric": "n_right", "value": row["n_right"]}
        yield {**here, "metric": "accuracy", "value": row["n_right"] / n_test}
