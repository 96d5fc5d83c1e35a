"""Letters for the report's experiments: what is drawn, and what is refused at the start."""

import numpy as np
import pytest
from feature_plan import PLAN

from alutils.base.errors import BadInput, ParameterError
from alutils.data.dataset import Dataset
from alutils.data.npz import write_npz
from alutils.experiments import report
from alutils.experiments.report import letters


def made_up(counts, side=12, shape=()):
    """Return a data set with so many images of each class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    images = rng.integers(0, 256, (len(labels), side, side, *shape), dtype=np.uint8)
    return Dataset(images, labels, tuple("ABCDEFGHIJ"[: len(counts)]), "mine", "mine")


def saved(tmp_path, data):
    path = tmp_path / "mine.npz"
    write_npz(data, path)
    return str(path)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([40, 3, 50], r"class B has 3: expected 10 pictures or more of each class"),
        ([9, 40, 0, 1], r"class A has 9, class D has 1: expected 10"),
        ([40], "one class .A., expected two classes or more"),
        ([0, 40], "one class .B., expected two classes or more"),
    ],
)
def test_a_class_with_too_few_pictures_is_named_before_any_work(tmp_path, counts, says):
    with pytest.raises(ParameterError, match=says) as refused:
        report.load_letters(saved(tmp_path, made_up(counts)))
    assert refused.value.name == "data"


def test_a_class_without_a_picture_is_left_out_and_said(tmp_path, caplog):
    loaded = report.load_letters(saved(tmp_path, made_up([20, 0, 30])))
    assert loaded.class_counts() == {"A": 20, "C": 30}
    assert "no picture of class B" in caplog.text


@pytest.mark.parametrize("n", [25, 29, 60, 200])
def test_so_many_letters_are_drawn_in_proportion_but_for_the_small_classes(tmp_path, n):
    path, counts = saved(tmp_path, made_up([300, 40, 12])), np.array([300, 40, 12])
    if n < 30:
        with pytest.raises(ParameterError, match=f"letters={n}: expected 30 or more"):
            report.load_letters(path, n)
        return
    drawn = report.load_letters(path, n)
    found = np.array(list(drawn.class_counts().values()))
    assert (found >= 10).all() and found.sum() >= n
    large = counts * n / counts.sum() > 10
    assert np.abs(found - counts * n / counts.sum())[large].max() <= 1


def test_pictures_of_several_kinds_become_letters_of_one(tmp_path):
    path = saved(tmp_path, made_up([12, 12], side=20, shape=(3,)))
    assert report.load_letters(path).images.shape == (24, 20, 20, 3)
    assert report.load_letters(path, colour="grey", size=28).images.shape == (24, 28, 28)
    with pytest.raises(BadInput, match="colour='pink'"):
        report.load_letters(path, colour="pink")


@pytest.mark.parametrize("counts", [[10, 10], [10, 25]])
def test_too_few_letters_for_a_first_training_are_refused_by_class(counts):
    data = made_up(counts)
    some = letters.Letters(data, np.zeros((len(data), 8), np.float32), PLAN)
    with pytest.raises(ParameterError, match="the smallest class, A, has 10") as refused:
        report.Study(some)
    assert refused.value.name == "data" and "add pictures" in str(refused.value)


@pytest.mark.parametrize(
    ("n_tsne", "perplexity", "neighbours", "says"),
    [
        (100, 40, 10, r"perplexity=40: takes maps of 122 letters"),
        (500, 30, 10, r"perplexity=30: takes maps of 92 letters or more, and 60 are mapped"),
        (500, 5, 30, r"n_neighbours=30: expected fewer than 30, half of the 60"),
    ],
)
def test_maps_that_cannot_be_made_are_refused_before_any_work(n_tsne, perplexity, neighbours, says):
    data = made_up([100, 50] if n_tsne == 100 else [30, 30])
    with pytest.raises(ParameterError, match=says):
        report.check_maps(data, n_tsne, perplexity, neighbours)
    report.check_maps(data, n_tsne, 5, 10)


def test_letters_with_other_features_are_other_letters_to_what_is_kept():
    from dataclasses import replace

    data = made_up([10, 10])
    one = letters.Letters(data, np.zeros((20, 8), np.float32), PLAN)
    other = letters.Letters(data, np.zeros((20, 8), np.float32), replace(PLAN, layer="block3"))
    assert one.content_hash() == letters.Letters(data, one.features, PLAN).content_hash()
    assert one.content_hash() != other.content_hash()
    assert (
        one.content_hash()
        != letters.Letters(data.take(np.arange(19)), one.features[:19], PLAN).content_hash()
    )
