"""Facts about training pictures: few odd pictures change nothing, other pictures are noticed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alutils.base.errors import ParameterError
from alutils.models.seen import SAMPLE, Seen, background
from tests.conftest import SHARED


def letters(n: int = 60, side: int = 28, seed: int = 0) -> np.ndarray:
    """Return white strokes on black: a bar of random place and length in each picture."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, side, side), np.uint8)
    for image in images:
        row, column = rng.integers(side // 4, side // 2, 2)
        image[row : row + side // 4, column : column + side // 4] = rng.integers(200, 256)
        image[row, column] = 255
    return images


def photographs(n: int = 60, side: int = 40, seed: int = 0) -> list[np.ndarray]:
    """Return colour pictures without a plain background."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (side, side + int(k), 3), np.uint8) for k in rng.integers(0, 9, n)]


def test_the_same_kind_of_pictures_has_no_differences():
    seen = Seen.of(letters())
    assert seen.differences(seen) == []
    assert seen.differences(Seen.of(letters(seed=1))) == []
    assert Seen.of(photographs()).differences(Seen.of(photographs(seed=1))) == []


def test_real_letters_of_both_kinds_have_no_differences_one_by_one_either():
    if not (SHARED / "az_sample.npz").is_file():
        pytest.skip("real letters are not beside the repository (../shared/data)")
    with np.load(SHARED / "az_sample.npz") as data, np.load(SHARED / "mnist.npz") as digits:
        real, other = data["images"], digits["x_test"]
    seen = Seen.of(real)
    assert seen.differences(Seen.of(other)) == []
    assert not any(seen.differences(Seen.of(real[k : k + 1])) for k in range(0, 5000, 50))
    assert all(seen.compare(Seen.of(255 - real[k : k + 1])) for k in range(0, 5000, 50))


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda x: 255 - x, "background", "the model's pictures are light on dark; these are dark"),
        ((lambda x: (x > 127).astype(np.uint8)), "levels", "from 0 to 255; these only have 0 to 1"),
        (lambda x: (x > 127) / 1.0, "levels", "from 0 to 255; these only have 0 to 1"),
        (lambda x: x // 16, "levels", "these only have 0 to 15"),
        (lambda x: 100 + x // 8, "levels", "these only have 100 to 131"),
        (lambda x: np.stack([x, 0 * x, x], -1), "colour", "are grey; these are in colour"),
        (lambda x: x.repeat(3, 1).repeat(3, 2), "size", "28 × 28 pixels (height × width); these"),
        (lambda x: x[:, ::3, ::3], "size", "these are 10 × 10"),
        (lambda x: x.repeat(2, 2), "shape", "are square; these are wider, up to 2 times as wide"),
        (lambda x: np.pad(x, ((0, 0), (14, 14), (14, 14))), "ink", "another size or thickness"),
    ],
)  # fmt: skip
def test_what_a_model_has_not_seen_is_said(change, kind, says):
    found = Seen.of(letters()).compare(Seen.of(change(letters(seed=1))))
    assert [each.kind for each in found] == [kind]
    assert says in found[0].sentence


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: 255 - x, "are dark on light; these are light on dark"),
        (lambda x: (x > 127).astype(np.uint8), "only have levels from 0 to 1; these have 0 to 255"),
        (lambda x: np.stack([x, 0 * x, x], -1), "are in colour; these are grey"),
        (lambda x: x.repeat(2, 2), "are 2 times as wide as high; these are narrower, down to 1"),
    ],
)
def test_the_model_may_be_the_one_that_is_inverted_or_in_colour(change, says):
    (sentence,) = Seen.of(change(letters())).differences(Seen.of(letters(seed=1)))
    assert says in sentence


def test_a_part_of_the_pictures_is_enough_to_be_said_and_how_large_it_is():
    mixed = letters(seed=1)
    mixed[::2] = 255 - mixed[::2]
    (sentence,) = Seen.of(letters()).differences(Seen.of(mixed))
    assert sentence == "the model's pictures are light on dark; 50% of these are dark on light"


def test_a_few_odd_pictures_change_nothing():
    usual, odd = list(letters(500)), letters(4, seed=1)
    strange = [255 - odd[0], odd[1] // 255, odd[2].repeat(9, 0), np.stack([odd[3]] * 3, -1)]
    strange[3][0, 0, 0] = 9
    seen, plain = Seen.of([*usual, *strange]), Seen.of(usual)
    assert plain.differences(seen) == [] == seen.differences(plain)
    assert seen.one_size and seen.largest == (28, 28)
    assert seen.differences(Seen.of(255 - letters(seed=2))) != []
    assert seen.differences(Seen.of(letters(seed=2) // 255)) != []


def test_many_pictures_are_sampled_and_the_same_ones_each_time():
    images = letters(SAMPLE + 500)
    assert Seen.of(images) == Seen.of(images) == Seen.of(list(images))
    assert Seen.of(images).n == SAMPLE + 500


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))),
    arrays(np.uint8, st.tuples(*map(st.just, (2, 5, 4, 3)))),
)
def test_facts_survive_json_and_never_differ_from_themselves(grey, colour):
    seen = Seen.of([*grey, *colour])
    again = Seen.from_json(json.loads(json.dumps(seen.to_json())))
    assert again == seen
    assert seen.differences(again) == []


@given(arrays(np.uint8, (7, 7)))
def test_inverting_a_picture_swaps_its_background(picture):
    swapped = {"dark": "light", "light": "dark", "none": "none"}
    edge = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])
    if np.median(edge.astype(float)) * 2 != float(picture.min()) + float(picture.max()):
        assert background(255 - picture) == swapped[background(picture)]


def test_a_picture_of_one_level_has_no_background():
    assert background(np.full((5, 5), 7, np.uint8)) == "none"
    assert Seen.of(np.zeros((3, 5, 5), np.uint8)).ink is None


@pytest.mark.parametrize(
    "images", [[], np.zeros((0, 8, 8), np.uint8), np.zeros((2, 8)), [np.zeros((8, 8, 4))]]
)
def test_what_is_no_picture_is_refused(images):
    with pytest.raises(ParameterError, match="expected"):
        Seen.of(images)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", -1), ("n", 1.5), ("n", True), ("smallest", [28]), ("largest", "28"), ("colour", "no"),
        ("one_size", 1), ("dark", None), ("widest", float("nan")), ("lightest", True),
    ],
)  # fmt: skip
def test_damaged_facts_are_refused_by_name(name, value):
    facts = Seen.of(letters()).to_json() | {name: value}
    with pytest.raises(ParameterError, match=f"seen.{name}="):
        Seen.from_json(facts)


@pytest.mark.parametrize("facts", [{}, None, [], {"n": 3}, 7])
def test_what_holds_no_facts_is_refused(facts):
    with pytest.raises(ParameterError, match="expected the facts n, smallest"):
        Seen.from_json(facts)


TURNS = {
    "their rows and columns are swapped": lambda x: x.transpose(0, 2, 1),
    "they are turned a quarter to the left": lambda x: np.rot90(x, 1, (1, 2)),
    "they are turned a quarter to the right": lambda x: np.rot90(x, 3, (1, 2)),
    "they are upside down": lambda x: np.rot90(x, 2, (1, 2)),
    "they are mirrored, left to right": lambda x: x[:, :, ::-1],
    "they are mirrored, top to bottom": lambda x: x[:, ::-1],
    "they are turned a quarter and mirrored": lambda x: np.rot90(x, 2, (1, 2)).transpose(0, 2, 1),
}


@pytest.mark.parametrize("kind", ["letters", "digits"])
@pytest.mark.parametrize("how", TURNS)
def test_turned_pictures_are_noticed_and_straight_ones_of_few_classes_are_not(kind, how):
    if not (SHARED / "az_sample.npz").is_file():
        pytest.skip("real letters are not beside the repository (../shared/data)")
    name, keys = {"letters": ("az_sample.npz", ("images", "labels")),
                  "digits": ("mnist.npz", ("x_test", "y_test"))}[kind]  # fmt: skip
    with np.load(SHARED / name) as data:
        images, labels = (data[key] for key in keys)
    rng = np.random.default_rng(3)
    order = rng.permutation(len(images))[:3000]
    ours, theirs, labels = images[order[:1000]], images[order[1000:]], labels[order[1000:]]
    seen = Seen.of(ours)
    for n in (120, 400):
        found = seen.compare(Seen.of(TURNS[how](theirs[:n])))
        assert [each.kind for each in found] == ["turned"]
        assert found[0].sentence.endswith(how)
    for few in (1, 2, 4):
        chosen = np.isin(labels, rng.choice(np.unique(labels), few, replace=False))
        found = seen.compare(Seen.of(theirs[chosen]))
        assert not [each for each in found if each.kind == "turned"]


def test_a_few_pictures_do_not_tell_how_they_lie():
    seen = Seen.of(letters())
    assert seen.average is not None and Seen.of(letters(20)).average is None
    assert seen.differences(Seen.of(letters(20).transpose(0, 2, 1))) == []


def test_facts_of_older_models_are_read():
    facts = Seen.of(letters()).to_json()
    del facts["average"]
    assert Seen.from_json(facts).average is None
