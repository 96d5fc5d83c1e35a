"""Distorted images: the same ink, moved a little, and never from outside the picture."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from alutils.base.errors import ParameterError
from alutils.data.augmentation import DISTORTIONS, KNOTS, NONE, USUAL, Distortion, distort


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((6, 28, 28)), (0, 2, 2))
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def test_no_distortion_gives_the_images_as_fractions_in_the_order_asked_for(images):
    items = np.array([3, 0, 3])
    shown = distort(images, items, np.random.default_rng(1), NONE)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, images[items] / 255, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), size=st.tuples(st.integers(8, 40), st.integers(8, 40)))
def test_pixels_stay_between_black_and_white_at_any_size(seed, size):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (3, *size), dtype=np.uint8)
    shown = distort(images, rng.integers(0, 3, 5), rng)
    assert shown.shape == (5, *size)
    assert shown.min() >= 0
    assert shown.max() <= 1 + 1e-5


def test_the_same_seed_gives_the_same_copies_and_another_others(images):
    one, two, other = (distort(images, np.arange(6), np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion(20, 0, 0, 0, 0),
        Distortion(0, 0.3, 0, 0, 0),
        Distortion(0, 0, 0.3, 0, 0),
        Distortion(0, 0, 0, 3, 0),
        Distortion(0, 0, 0, 0, 2),
        USUAL,
    ],
)
def test_each_distortion_is_scipys_look_up_at_the_same_places(images, distortion):
    """The amounts are drawn again in the order of `distort`; SciPy looks them up."""
    seed, items = 5, np.array([0, 4, 2])
    shown = distort(images, items, np.random.default_rng(seed), distortion)
    rng, n, d = np.random.default_rng(seed), len(items), distortion
    angle = np.deg2rad(rng.uniform(-d.degrees, d.degrees, n))
    down, across = np.exp(rng.uniform(-d.scale, d.scale, (2, n)))
    shear = rng.uniform(-d.shear, d.shear, n)
    move = rng.uniform(-d.elastic, d.elastic, (n, 2, KNOTS, KNOTS))
    move += rng.uniform(-d.shift, d.shift, (n, 2, 1, 1))
    grid = np.stack(np.meshgrid(*(np.arange(28.0),) * 2, indexing="ij"))
    knots = grid * (KNOTS - 1) / 27
    for k in range(n):
        u, v = grid - 13.5
        turn = np.array(
            [[np.cos(angle[k]), -np.sin(angle[k])], [np.sin(angle[k]), np.cos(angle[k])]]
        )
        matrix = turn @ np.diag([down[k], across[k]])
        matrix[1, 0] += shear[k]
        places = np.einsum("ab,bij->aij", matrix, np.stack([u, v])) + 13.5
        places += [ndimage.map_coordinates(move[k, a], knots, order=1) for a in (0, 1)]
        padded = np.pad(images[items[k]].astype(float), 30)
        expected = ndimage.map_coordinates(padded, places + 30, order=1) / 255
        np.testing.assert_allclose(shown[k], expected, atol=2e-4)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_channels_of_a_colour_image_are_distorted_alike(images, name):
    items = np.array([0, 4, 2])
    one = distort(images, items, np.random.default_rng(5), DISTORTIONS[name])
    colour = np.stack([images, images[::-1], images], axis=-1)
    shown = distort(colour, items, np.random.default_rng(5), DISTORTIONS[name])
    assert shown.shape == (3, 28, 28, 3) and shown.flags.c_contiguous
    assert np.array_equal(shown[..., 0], one) and np.array_equal(shown[..., 2], one)
    assert not np.array_equal(shown[..., 1], one)


def test_mirrored_images_are_mirrored_and_so_many_of_them(images):
    items = np.arange(2000) % 6
    shown = distort(images, items, np.random.default_rng(0), Distortion(0, 0, 0, 0, 0, mirror=0.25))
    plain = images[items] / 255
    mirrored = np.abs(shown - plain[:, :, ::-1]).max(axis=(1, 2)) < 1e-5
    assert (mirrored | (np.abs(shown - plain).max(axis=(1, 2)) < 1e-5)).all()
    assert 0.2 < mirrored.mean() < 0.3


def test_beyond_the_edge_lies_black_or_the_edge_again():
    grey = np.full((1, 20, 20), 100, np.uint8)
    items, far = np.zeros(50, int), Distortion(20, 0.3, 0.1, 6, 1)
    black = distort(grey, items, np.random.default_rng(0), far)
    edge = distort(grey, items, np.random.default_rng(0), replace(far, edge=True))
    assert black.min() == 0
    np.testing.assert_allclose(edge, 100 / 255, atol=1e-6)


def test_strokes_become_a_pixel_wider_or_narrower():
    image = np.zeros((1, 12, 12), np.uint8)
    image[0, 3:9, 5:7] = 255  # 6 x 2 pixels
    how = Distortion(0, 0, 0, 0, 0, stroke=0.5)
    shown = distort(image, np.zeros(2000, int), np.random.default_rng(0), how)
    ink = shown.reshape(2000, -1).sum(axis=1).round().astype(int)
    assert set(ink) == {5 * 1, 6 * 2, 7 * 3}
    assert abs((ink == 12).mean() - 0.5) < 0.05
    wide, narrow = (shown[ink == n][0] > 0.5 for n in (21, 5))
    assert wide[3:10, 5:8].all() and narrow[4:9, 6].all()


def test_what_is_not_asked_for_draws_nothing(images):
    """So the distortions of earlier results are what they always were."""
    rng, d, n = np.random.default_rng(9), USUAL, 4
    distort(images, np.arange(n), rng)
    other = np.random.default_rng(9)
    for size in (n, (2, n), n, (n, 2, KNOTS, KNOTS), (n, 2, 1, 1)):
        other.uniform(-d.shift, d.shift, size)
    assert rng.bit_generator.state == other.bit_generator.state


def test_times_multiplies_every_amount_and_leaves_the_shares():
    one = Distortion(10, 0.2, 0.4, 2, 1, mirror=0.5, edge=True, stroke=0.4)
    assert one.times(0.5) == Distortion(5, 0.1, 0.2, 1, 0.5, mirror=0.5, edge=True, stroke=0.4)


@pytest.mark.parametrize("change", [{"mirror": 1.1}, {"stroke": -0.1}, {"edge": 1}])
def test_shares_that_are_none_are_refused_by_name(change):
    with pytest.raises(ParameterError, match=f"{next(iter(change))}="):
        Distortion(**change)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, True])
def test_amounts_that_are_none_are_refused_by_name(value):
    with pytest.raises(ParameterError, match="shift="):
        Distortion(shift=value)


@pytest.mark.parametrize(
    ("images", "items", "message"),
    [
        (np.zeros((2, 8, 8), np.float32), [0], "images=float32"),
        (np.zeros((2, 8, 8, 4), np.uint8), [0], "images="),
        (np.zeros((2, 8, 8, 3), np.float32), [0], "images="),
        (np.zeros((2, 8, 8), np.uint8), [2], "items=2"),
        (np.zeros((2, 8, 8), np.uint8), [-1], "items=-1"),
    ],
)
def test_other_images_and_items_are_refused(images, items, message):
    with pytest.raises(ParameterError, match=message):
        distort(images, np.array(items), np.random.default_rng(0))
