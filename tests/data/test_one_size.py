"""Pictures of any size and kind, brought to one, as Pillow does it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from alutils.base.errors import BadInput, ParameterError
from alutils.data.one_size import to_one_size


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(
    sides=st.lists(st.tuples(st.integers(1, 40), st.integers(2, 40)), min_size=1, max_size=4),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    colour=st.booleans(),
)
def test_each_picture_is_what_pillow_makes_of_it(sides, size, colour):
    pictures = [
        noise(*side, *((3,) if i % 2 or side[1] in (1, 3) else ()), seed=i)
        for i, side in enumerate(sides)
    ]
    found = to_one_size(pictures, size, colour)
    assert found.shape == (len(sides), *size, *((3,) if colour else ())) and found.dtype == np.uint8
    for picture, given_back in zip(pictures, found, strict=True):
        image = Image.fromarray(picture).convert("RGB" if colour else "L")
        assert np.array_equal(given_back, np.asarray(image.resize(size[::-1], Image.BICUBIC)))


def test_pictures_that_fit_are_not_touched():
    grey, colour = noise(5, 12, 10), noise(5, 12, 10, 3)
    assert np.array_equal(to_one_size(grey, (12, 10), False), grey)
    assert np.array_equal(to_one_size(grey[..., None], (12, 10), False), grey)
    assert np.array_equal(to_one_size(colour, (12, 10), True), colour)
    assert np.array_equal(to_one_size(grey.astype(float), (12, 10), False), grey)
    assert to_one_size([], (12, 10), True).shape == (0, 12, 10, 3)


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        (np.full((2, 9, 9), 0.5), "fractions"),
        (np.full((2, 9, 9), -1), "from -1"),
        (np.full((2, 9, 9), np.nan), "nan"),
        (np.zeros((2, 9, 9), bool), "bool"),
        (np.zeros((2, 9)), "shape"),
        ([np.zeros((2, 9, 9, 9))], "shape"),
    ],
)
def test_what_is_no_picture_is_refused(pictures, says):
    with pytest.raises((BadInput, ParameterError, ValueError), match=says):
        to_one_size(pictures, (9, 9), False)
