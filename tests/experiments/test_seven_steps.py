"""The report's seven steps, followed to their end."""

import numpy as np
import pytest

from alutils.active.labels import Source
from alutils.data.rendering import class_counts
from alutils.experiments.report import loops, seven_steps, splits
from alutils.models.dense_head import DenseHead


@pytest.fixture(scope="module")
def letters():
    """Return features and labels of 1,500 made-up items of 26 classes, some hard to tell apart."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(26), class_counts(1_500, at_least=40)))
    centres = rng.normal(0, 1, (26, 24))
    centres[13:] = centres[:13] + rng.normal(0, 0.35, (13, 24))
    features = centres[labels] + rng.normal(0, 0.6, (len(labels), 24))
    return (5 * features).astype(np.float32), labels  # as large as features of VGG16


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.9, 1.0])
def test_the_procedure_labels_everything_once_and_tells_how(letters, threshold):
    features, labels = letters
    parts = splits.split(labels, "as_stated", 0)
    book, outcome, rounds = seven_steps.label_everything(
        features, labels, parts, DenseHead(26, epochs=3), threshold=threshold, portion=0.1
    )
    items = np.concatenate([parts.start, parts.pool])
    assert (book.label[items] >= 0).all() and book.n_human + book.n_auto == len(items)
    others = np.setdiff1d(np.arange(len(labels)), items)
    assert (book.label[others] == -1).all()
    human = book.source == Source.HUMAN
    np.testing.assert_array_equal(book.label[human], labels[human])
    assert (book.source[parts.start] == Source.HUMAN).all()
    assert outcome["accuracy"] == (book.label[items] == labels[items]).mean()
    assert outcome["share_human"] == human.sum() / len(items)
    auto = book.source == Source.AUTO
    if threshold == 0:
        assert outcome["n_human"] == len(parts.start) and outcome["rounds"] == 1
        assert outcome["auto_precision"] == (book.label[auto] == labels[auto]).mean() < 1
    if threshold == 1:
        assert outcome["share_human"] > 0.9
    assert outcome["auto_coverage"] == auto.sum() / len(parts.pool)
    assert outcome["auto_wrong"] == (book.label[items] != labels[items]).mean()
    # The rounds add up to the labels that there are at the end.
    assert len(rounds) == outcome["rounds"]
    assert rounds["n_taken"].sum() == auto.sum()
    by_hand = rounds["n_asked"].sum() + rounds["n_last"].sum()
    assert len(parts.start) + by_hand == human.sum()
    assert (rounds["n_last"].iloc[:-1] == 0).all()


def test_all_thresholds_share_one_first_training_and_each_comes_out_as_alone(letters):
    from dataclasses import dataclass

    features, labels = letters

    @dataclass
    class Some:
        features: np.ndarray
        labels: np.ndarray
        classes: tuple[str, ...]

    options = {"portion": 0.1, "rest": 0.05}
    some = Some(features, labels, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    outcomes, rounds = seven_steps.steps_draw(some, "as_stated", 1, epochs=3, **options)
    assert outcomes["threshold"].tolist() == list(seven_steps.THRESHOLDS)
    assert set(rounds.groupby("threshold")["round"].max()) == set(outcomes["rounds"])
    parts, head = splits.split(labels, "as_stated", 1), loops.new_head(26, 1, 3)
    alone = seven_steps.label_everything(features, labels, parts, head, threshold=0.95, **options)
    shared = outcomes.set_index("threshold").loc[0.95]
    assert {name: shared[name] for name in alone.outcome if name != "threshold"} == {
        name: value for name, value in alone.outcome.items() if name != "threshold"
    }


def test_a_higher_threshold_buys_accuracy_with_labels(letters):
    features, labels = letters
    parts = splits.split(labels, "as_stated", 0)
    low, high = (
        seven_steps.label_everything(features, labels, parts, DenseHead(26, rng=0), threshold=t)[1]
        for t in (0.5, 0.95)
    )
    assert high["share_human"] > low["share_human"]
    assert high["auto_precision"] > low["auto_precision"]
    assert high["accuracy"] > low["accuracy"]


@pytest.mark.parametrize("bad", [{"threshold": 1.1}, {"portion": 0.0}, {"rest": -0.1}])
def test_shares_that_are_none_are_refused(letters, bad):
    parts = splits.split(letters[1], "as_stated", 0)
    with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
        seven_steps.label_everything(*letters, parts, DenseHead(26), **{"threshold": 0.9} | bad)
