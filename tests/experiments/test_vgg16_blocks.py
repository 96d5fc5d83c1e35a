"""Features of VGG16 at each depth: the rows of a cell, and what it refuses."""

import numpy as np
import pytest

from alutils.base.errors import ParameterError
from alutils.data import loading, mnist
from alutils.experiments.strategies import vgg16_blocks
from alutils.models import embeddings
from alutils.stats import tables


def run(**parameters):
    return vgg16_blocks.run(vgg16_blocks.Settings(**parameters))


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    """Put 500 of the article's digits in the place of letters, and pixels in that of features."""
    train, _ = mnist.mnist_article()
    some = train.take(np.arange(500))
    monkeypatch.setattr(loading, "load", lambda spec: some)
    asked = []

    def features(images, *, layer, precision):
        asked.append((layer, precision))
        return images.reshape(len(images), -1).astype(np.float32)

    monkeypatch.setattr(embeddings, "features", features)
    return asked


def test_a_cell_is_one_accuracy_on_a_fifth_held_out(digits):
    rows = run(block="block3", n_labels=300, seed=2)
    assert digits == [("block3", "float32")]
    tidy = tables.tidy(rows, vgg16_blocks.VOCABULARY, run_id="x", experiment="vgg16_blocks")
    assert tidy[["arm", "n_human", "n_eval"]].to_numpy().tolist() == [["block3", 300, 100]]
    assert 0.6 < tidy["value"].iloc[0] <= 1
    again = run(block="block3", n_labels=300, seed=2)
    assert again["value"].iloc[0] == rows["value"].iloc[0]


def test_all_blocks_meet_the_same_letters_on_a_seed_and_more_labels_help():
    few, same, more = (
        run(block=block, n_labels=n, seed=1)["value"].iloc[0]
        for block, n in (("block1", 20), ("block2", 20), ("block1", 400))
    )
    assert few == same < more


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": "block6"}, "block=block6"),
        ({"n_labels": 0}, "n_labels=0"),
        ({"n_labels": 401}, "n_labels=401.*400"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_values_that_cannot_be_used_are_named(change, message):
    with pytest.raises(ParameterError, match=message):
        run(**change)
