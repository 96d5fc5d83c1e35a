"""Pictures that differ from what a model has seen, or from each other, are told; others are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from alutils.base.errors import ParameterError
from alutils.data.mnist import mnist_article
from alutils.models.conversion import UNCHANGED, Conversion
from alutils.models.looks import Looks, row
from alutils.models.prediction import AS_THEY_ARE, CONVERSIONS
from alutils.models.unlike import against_seen, among_themselves, newcomers


def looks(images) -> Looks:
    return Looks(np.stack([row(image) for image in images]))


def strokes(n: int, seed: int = 0, ground: int = 0) -> list[np.ndarray]:
    """Return letters of a kind, light strokes of three forms on a background that is not black."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        image = Image.new("L", (28, 28), ground)
        draw = ImageDraw.Draw(image)
        x, y = rng.integers(5, 10, 2).tolist()
        ink = int(rng.integers(200, 256))
        if i % 3 == 0:
            draw.line([(x, 4), (x, 23), (x + 9, 23)], ink, 3)
        elif i % 3 == 1:
            draw.ellipse([x, y, x + 13, y + 13], outline=ink, width=3)
        else:
            draw.line([(x, y), (x + 12, y), (x, y + 12), (x + 12, y + 12)], ink, 3)
        noise = rng.normal(0, 4, (28, 28))
        found.append(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    return found


def photographs(n: int, seed: int = 0) -> list[np.ndarray]:
    """Return colour pictures as cameras give them: slopes of light, things, noise, any contrast."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        h, w = rng.integers(40, 90, 2)
        slope = np.linspace(0, rng.uniform(40, 200), w)[None, :, None] * rng.uniform(0.4, 1, 3)
        image = np.broadcast_to(slope, (h, w, 3)) + rng.uniform(0, 60)
        y, x = rng.integers(0, h // 2), rng.integers(0, w // 2)
        image = image.copy()
        image[y : y + h // 3, x : x + w // 3] = rng.uniform(0, 255, 3)
        found.append(np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8))
    return found


def digits(n: int = 300) -> np.ndarray:
    return mnist_article()[0].images[:n]


SETS = {
    "digits": lambda: list(digits()),
    "letters on black": lambda: strokes(120),
    "letters on grey": lambda: strokes(120, ground=90),
    "letters on white paper": lambda: [255 - each for each in strokes(120, ground=25)],
    "photographs": lambda: photographs(120),
    "uniform noise": lambda: list(
        np.random.default_rng(0).integers(0, 256, (90, 16, 16), np.uint8)
    ),
    "noise in colour": lambda: list(
        np.random.default_rng(0).integers(0, 256, (90, 8, 8, 3), np.uint8)
    ),
    "product photographs, on white and on black": lambda: [_product(i) for i in range(90)],
}


def _product(i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    image = np.full((40, 40, 3), 245 if i % 3 else 12, np.uint8)
    image[12:30, 10:28] = rng.integers(0, 256, 3)
    return image


@pytest.mark.parametrize("name", SETS)
def test_pictures_of_one_kind_raise_no_alarm(name):
    found = looks(SETS[name]())
    assert among_themselves(found) == []
    half = np.arange(len(found)) % 2 == 0
    assert against_seen(found.take(~half), found.take(half).seen()) == []
    assert newcomers(found.take(half), found.take(~half)) == []
    for n in (1, 2, 7):  # of few pictures, too
        assert among_themselves(found.take(np.arange(n))) == []
        assert against_seen(found.take(np.arange(n)), found.seen()) == []


LEFT_OUT = (AS_THEY_ARE, "stretch")
LETTERS = ("digits", "letters on black", "letters on grey", "letters on white paper")


@pytest.mark.parametrize("name", LETTERS)
@pytest.mark.parametrize("every", [1, 2, 40])
def test_negatives_are_found_one_by_one(name, every):
    usual = SETS[name]()
    seen = looks(usual).seen()
    odd = np.arange(len(usual)) % every == 0
    mixed = [255 - each if o else each for each, o in zip(usual, odd, strict=True)]
    (found,) = against_seen(looks(mixed), seen)
    assert found.kind == "background" and np.array_equal(found.odd, odd)
    assert found.ways[-1] == AS_THEY_ARE and found.ways[0].startswith("invert")
    if every > 1:
        (among,) = among_themselves(looks(mixed))
        assert among.kind == "background"
        assert np.array_equal(among.odd, odd) or (every == 2 and np.array_equal(among.odd, ~odd))


@pytest.mark.parametrize(
    ("scale", "high"),
    [(lambda x: x // 255, 1), (lambda x: x // 16, 15), (lambda x: 100 + x // 9, 128)],
    ids=["0 and 1", "12 bit in 16", "a narrow band"],
)
@pytest.mark.parametrize("every", [1, 2, 40])
def test_pictures_of_few_levels_are_found(scale, high, every):
    usual = [each // 128 * 255 for each in digits()]
    odd = np.arange(len(usual)) % every == 0
    mixed = [scale(each) if o else each for each, o in zip(usual, odd, strict=True)]
    (found,) = against_seen(looks(mixed), looks(usual).seen())
    assert (found.kind, found.ways) == ("levels", ("stretch-where-needed", AS_THEY_ARE))
    assert np.array_equal(found.odd, odd) and f"to {high}" in found.sentence
    (among,) = among_themselves(looks(mixed))
    assert among.kind == "levels" and np.array_equal(among.odd, odd)


@pytest.mark.parametrize(
    "turn",
    [lambda x: x.transpose(0, 2, 1), lambda x: x[:, :, ::-1], lambda x: np.rot90(x, 2, (1, 2))],
    ids=["rows and columns swapped", "mirrored", "upside down"],
)
@pytest.mark.parametrize("letters", [digits, lambda: np.stack(strokes(300))])
def test_pictures_that_lie_in_another_way_are_found(letters, turn):
    usual = letters()
    seen = looks(usual[:150]).seen()
    kinds = [each.kind for each in against_seen(looks(turn(usual[150:])), seen)]
    assert kinds == ["turned"]
    found = newcomers(looks(usual[:150]), looks(turn(usual[150:])))
    assert [each.kind for each in found] == ["turned"]


def test_a_picture_of_one_level_has_nothing_to_be_stretched():
    blank = [np.full((28, 28), level, np.uint8) for level in (0, 7, 255)]
    assert among_themselves(looks([*digits(40), *blank])) == []
    assert among_themselves(looks(blank)) == []
    assert np.array_equal(Conversion(("stretch-where-needed",))(blank[1]), blank[1])


@given(
    st.lists(st.sampled_from([n for n in CONVERSIONS if n not in LEFT_OUT]), unique=True),
    st.sampled_from(["dark", "light"]),
    st.integers(0, 20),
)
def test_facts_follow_a_conversion_as_the_pictures_do(steps, ground, seed):
    steps = tuple(name for name in CONVERSIONS if name in steps)
    conversion = Conversion(steps, (10.0, 240.0, 0.0, 255.0), ground, (0.0, 250.0))
    images = [*strokes(3, seed), *(255 - each for each in strokes(3, seed)), digits(1)[0] // 60]
    expected = looks([conversion(each) for each in images]).rows
    found = looks(images).converted(conversion).rows
    assert np.allclose(found[:, :7], expected[:, :7], atol=1.5)
    assert np.abs(found[:, 7:] - expected[:, 7:]).max() < 0.1


def test_a_conversion_that_cuts_levels_off_is_refused():
    with pytest.raises(ParameterError, match="stretch"):
        looks(digits(2)).converted(Conversion(("stretch",), (0.0, 15.0, 0.0, 255.0)))


def test_a_conversion_undoes_what_it_is_for_and_leaves_others():
    usual = digits(20)
    few = Conversion(("stretch-where-needed",), whole=(0.0, 255.0))
    other = Conversion(("invert-where-needed",), ground="dark")
    for each in usual:
        assert np.array_equal(other(255 - each), each) and np.array_equal(other(each), each)
        two = each // 128
        assert np.array_equal(few(two), two * 255) and np.array_equal(few(each), each)
    assert np.array_equal(UNCHANGED(usual[0]), usual[0])
    again = Conversion.from_json(other.to_json())
    assert again == other and Conversion.from_json(few.to_json()) == few
