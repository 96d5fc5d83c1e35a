"""What VGG16 is worth at each depth: features of one block, softmax regression, random labels.

`run` is a cell of the sweep behind ``results/vgg16_blocks.csv``. The report takes the
features of the last block, which know most of ImageNet's objects and least of strokes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from alutils.base.checks import check_count
from alutils.base.errors import ParameterError, nearest
from alutils.data import loading
from alutils.experiments.label_costs.fewest_labels import TEST_SHARE
from alutils.experiments.strategies import curves
from alutils.models import embeddings, estimator

BLOCKS = ("block1", "block2", "block3", "block4", "block5")


def check(
    *, block: str = "block5", n_labels: int = 400, seed: int = 0, letters: str = "rendered"
) -> None:
    """Raise ParameterError for what `run` could not do; takes no time."""
    if block not in BLOCKS:
        raise ParameterError("block", block, nearest(str(block), BLOCKS))
    check_count("seed", seed)
    if n_labels < 1:
        raise ParameterError("n_labels", n_labels, "expected 1 or more")


def prepare(*, block: str = "block5", letters: str = "rendered", **others: Any) -> dict[str, str]:
    """Compute a block's features, once, before many runs share them; return the provenance."""
    data = loading.load(letters)
    _features(data.images, block)
    return {"images": data.provenance}


def run(
    *, block: str = "block5", n_labels: int = 400, seed: int = 0, letters: str = "rendered"
) -> pd.DataFrame:
    """Train on random labels, test on a fifth that is held out.

    Parameters
    ----------
    block : one of `BLOCKS`; its maps are averaged over the image
    n_labels : labels to train on
    seed : of the test part and the labels
    letters : data set, as `loading.load` takes it

    Returns
    -------
    one row of the long results table: the accuracy on the test letters, ``arm`` the block

    Raises
    ------
    ParameterError
        as `check`, and for more labels than there are
    """
    check(block=block, n_labels=n_labels, seed=seed)
    data = loading.load(letters)
    order = np.random.default_rng([seed, 9]).permutation(len(data))
    n_test = round(TEST_SHARE * len(data))
    test, train = order[:n_test], order[n_test:][:n_labels]
    if len(train) < n_labels:
        raise ParameterError("n_labels", n_labels, f"expected at most {len(order) - n_test}")
    x = _features(data.images, block)
    x_train, x_test = curves.scaled(x[train], x[test])
    classifier = estimator.Estimator(len(data.classes)).fit(x_train, data.labels[train])
    right = classifier.predict(x_test) == data.labels[test]
    return pd.DataFrame(
        [{
            "protocol": "letters", "arm": block, "seed": seed, "round": 0, "n_human": n_labels,
            "n_auto": 0, "split": "test", "metric": "accuracy", "value": right.mean(),
            "n_eval": n_test,
        }]
    )  # fmt: skip


def _features(images: np.ndarray, block: str) -> np.ndarray:
    return embeddings.features(images, layer=block, precision="float32")
