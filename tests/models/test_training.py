"""Training compares candidates on pictures that they have not seen, and says what it took."""

import numpy as np
import pytest

from alutils.base.errors import ParameterError
from alutils.models import candidates, load_model, training
from alutils.models.backbones.names import Backbone
from alutils.models.training import train_best

CLASSES = ("cross", "bar", "dot", "never")


def pictures(n, seed=0, noise=60, colour=False, side=12):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.integers(0, noise, (n, side, side))
    middle = side // 2
    x[y == 0, middle] += 180
    x[y == 0, :, middle] = 200
    x[y == 1, :, middle] += 180
    x[y == 2, middle - 1 : middle + 2, middle - 1 : middle + 2] += 180
    x = x.astype(np.uint8)
    return (np.stack([x] * 2 + [255 - x], axis=-1) if colour else x), y


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Train for seconds, on the pixels."""
    for name, value in {"STEPS": 120, "MEMBERS": 1}.items():
        monkeypatch.setattr(candidates, name, value)
    monkeypatch.setattr(training, "SHORT", 10)


def best(x, y, **options):
    return train_best(x, y, CLASSES, **({"backbones": ["pixels@12"], "progress": False} | options))


def test_what_is_taken_is_the_best_of_the_table_and_is_trained_on_all(tmp_path):
    x, y = pictures(60)
    found = best(x, y, quick=True)
    table = found.table
    full = table[table["training"] == "full"]
    taken = table[table["taken"]].iloc[0]
    single = full[~full["candidate"].str.startswith("average")]
    assert taken["accuracy"] >= single["accuracy"].max()
    assert (full["n_eval"] == 60).all() and taken["candidate"] in found.why
    assert found.model.n_trained == 60
    assert found.model.classes == CLASSES[:3]  # no picture of the fourth
    test, expected = pictures(90, seed=1)
    p = found.model.predict_proba(test)
    assert (p.argmax(axis=1) == expected).mean() > 0.9
    assert np.array_equal(load_model(found.model.save(tmp_path)).predict_proba(test), p)


def test_all_kinds_are_compared_where_there_are_pictures_without_labels():
    x, y = pictures(30)
    more, _ = pictures(60, seed=2)
    found = best(x, y, unlabelled=list(more), quick=True)
    names = " ".join(found.table["candidate"])
    for each in ("softmax regression", "label spreading", "small network", "average of"):
        assert each in names
    assert ", unlabelled)" in names


def made_up(right):
    """Return what makes candidates with so many of 90 pictures right, by distortion."""
    y = np.arange(90) % 3

    def network(material, distortion, **options):
        said = np.where(np.arange(90) < right[distortion], y, (y + 1) % 3)
        return candidates.Candidate(
            distortion, "network", lambda items, held_out: np.eye(3)[said[held_out]], lambda: None
        )

    return network


@pytest.mark.parametrize(
    ("right", "taken"),
    [
        ((80, 80, 80, 80), "pens"),  # of equal ones the widest
        ((80, 82, 80, 80), "pens"),  # that much is chance
        ((40, 82, 83, 50), "letters"),
        ((40, 41, 83, 50), "mirrored"),
        ((40, 41, 42, 83), "none"),
    ],
)
def test_the_widest_distortion_that_is_not_clearly_worse_is_taken(monkeypatch, right, taken):
    monkeypatch.setattr(
        candidates, "network", made_up(dict(zip(candidates.ON_GREY, right, strict=True)))
    )
    x, y = pictures(90)
    table = best(x, y, only="network").table
    assert table[table["training"] == "full"]["candidate"].tolist() == [taken]
    assert set(table[table["training"] == "short"]["candidate"]) == set(candidates.ON_GREY)


def test_the_same_seed_gives_the_same_model_and_table():
    x, y = pictures(30)
    one, same, other = (best(x, y, only="network", quick=True, rng=s) for s in (1, 1, 2))
    assert one.model.sha256 == same.model.sha256 != other.model.sha256
    timeless = [found.table.drop(columns="seconds") for found in (one, same)]
    assert timeless[0].equals(timeless[1])


def test_no_candidate_is_asked_about_a_picture_that_it_was_trained_on(monkeypatch):
    x, y = pictures(30)
    asked = []
    inner = candidates.on_features

    def watched(*arguments, **options):
        made = inner(*arguments, **options)

        def ask(items, held_out):
            assert not set(items) & set(held_out)
            asked.extend(held_out)
            return made.ask(items, held_out)

        return candidates.Candidate(made.name, made.kind, ask, made.finish)

    monkeypatch.setattr(candidates, "on_features", watched)
    best(x, y, only="softmax")
    assert sorted(asked) == list(range(30))


def test_pictures_of_another_origin_are_renumbered_with_the_classes():
    x, y = pictures(30)
    classes = ("never", "bar", "cross", "dot")
    place = np.array([2, 1, 3])
    prior = (np.concatenate([x, x[:5]]), np.concatenate([place[y], np.zeros(5, int)]))
    found = train_best(x, place[y], classes, prior=prior, only="network", quick=True,
                       progress=False)  # fmt: skip
    assert found.model.classes == ("bar", "cross", "dot")
    assert found.model.network.prior[1].max() == 2 and len(found.model.network.prior[0]) == 30


def test_colour_and_mixed_sizes_are_learned_from():
    x, y = pictures(30, colour=True)
    found = best(list(x[:15]) + [np.kron(each, np.ones((2, 2, 1), np.uint8)) for each in x[15:]],
                 y, only="network", quick=True)  # fmt: skip
    assert found.model.colour and found.model.predict_proba(x).shape == (30, 3)


def test_large_pictures_are_left_to_features():
    x, y = pictures(12, side=70)
    assert best(x, y, quick=True).model.kind == "features"
    with pytest.raises(ParameterError, match="70 x 70 pixels, the small network takes 64"):
        best(x, y, only="network")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": np.zeros(30, int)}, "all cross"),
        ({"y": np.arange(30)}, "positions in 4 classes"),
        ({"y": np.arange(30) % 3 - 1}, "positions in 4 classes"),
        ({"y": np.zeros(29, int)}, "one for each"),
        ({"y": np.linspace(0, 1, 30)}, "positions in 4 classes"),
        ({"x": pictures(9)[0], "y": pictures(9)[1]}, "10 or more"),
        ({"only": "average"}, "only=average"),
        ({"only": "spreading"}, "none are given"),
        ({"backbones": ["vgg61"]}, "backbone=vgg61"),
    ],
)
def test_what_cannot_be_learned_from_is_named(change, says):
    x, y = pictures(30)
    given = {"x": x, "y": y} | change
    with pytest.raises(ParameterError, match=says):
        best(given.pop("x"), given.pop("y"), **given)


def test_large_photographs_are_tried_at_two_resolutions_and_ties_go_to_the_quicker(monkeypatch):
    both = tuple(Backbone("pixels", (side, side)) for side in (6, 12))
    monkeypatch.setattr(training, "RESOLUTIONS", both)
    monkeypatch.setattr(training, "FOR_PHOTOGRAPHS", both[1])
    monkeypatch.setattr(training, "first_choice", lambda sizes, colour: (both[1], ""))
    x, y = pictures(60, noise=1)
    found = best(x, y, backbones=None, only="softmax")
    assert len(found.table) == 2 and (found.table["accuracy"] == 1).all()
    assert "pixels@6" in found.table[found.table["taken"]].iloc[0]["candidate"]
    assert len(best(x, y, backbones=None, only="softmax", quick=True).table) == 1
