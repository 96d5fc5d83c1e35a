"""What VGG16 is worth at each depth: features of one block, softmax regression, random labels.

`run` is a cell of the sweep behind ``results/vgg16_blocks.csv``. The report takes the
features of the last block, which know most of ImageNet's objects and least of strokes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alutils.base.checks import check_count, check_known
from alutils.base.errors import ParameterError
from alutils.data import loading
from alutils.experiments.held_out import held_out
from alutils.experiments.strategies import features
from alutils.models import estimator
from alutils.stats.tables import Vocabulary

BLOCKS = ("block1", "block2", "block3", "block4", "block5")
VOCABULARY = Vocabulary(protocols=("letters",))


@dataclass(frozen=True)
class Settings:
    """Parameters of a cell; ParameterError for what `run` could not do.

    Attributes
    ----------
    block : one of `BLOCKS`; its maps are averaged over the image
    n_labels : labels to train on
    seed : of the test part and the labels
    letters : data set, as `loading.load` takes it
    """

    block: str = "block5"
    n_labels: int = 400
    seed: int = 0
    letters: str = "rendered"

    def __post_init__(self) -> None:
        check_known("block", self.block, BLOCKS)
        check_count("seed", self.seed)
        check_count("n_labels", self.n_labels, 1)


def prepare(block: str, letters: str) -> dict[str, str]:
    """Compute a block's features, once, before many runs share them; return the provenance."""
    data = loading.load(letters)
    features.vgg16(data.images, block)
    return {"images": data.provenance}


def run(settings: Settings) -> pd.DataFrame:
    """Train on random labels, test on a fifth that is held out.

    One row of the long results table: the accuracy on the test letters, ``arm`` the block.
    """
    n_labels = settings.n_labels
    data = loading.load(settings.letters)
    test, rest = held_out(len(data), settings.seed)
    if len(rest) < n_labels:
        raise ParameterError("n_labels", n_labels, f"expected at most {len(rest)}")
    train = rest[:n_labels]
    x = features.vgg16(data.images, settings.block)
    x_train, x_test = features.scaled(x[train], x[test])
    classifier = estimator.Estimator(len(data.classes)).fit(x_train, data.labels[train])
    right = classifier.predict(x_test) == data.labels[test]
    return pd.DataFrame({"value": [right.mean()]}).assign(
        protocol="letters", arm=settings.block, seed=settings.seed, round=0, n_human=n_labels,
        n_auto=0, split="test", metric="accuracy", n_eval=len(test),
    )  # fmt: skip
