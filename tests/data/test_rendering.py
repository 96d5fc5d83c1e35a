"""The rendered letters: repeatable, in the Kaggle set's format, and like real handwriting."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from alutils.data import glyphs, rendering
from alutils.data.glyphs import LETTERS, pen_paths, smoothed, thinned
from alutils.data.rendering import Hand, class_counts, render_letters, rendered_dataset

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "az_sample.npz"
needs_real_letters = pytest.mark.skipif(
    not REAL.is_file(), reason="the real letters for checking are not beside the repository"
)


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def letters():
    return render_letters(class_counts(2_600, balanced=True), generator(1))


@pytest.fixture(scope="module")
def real_letters():
    with np.load(REAL) as file:
        return file["images"], file["labels"].astype(np.int64), file["subset"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    return tmp_path


# --- how many of each class -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [26, 27, 100, 40_000, 372_450])
@pytest.mark.parametrize("balanced", [False, True])
def test_counts_sum_to_what_was_asked_and_leave_no_class_out(n, balanced):
    counts = class_counts(n, balanced)
    assert counts.sum() == n
    assert counts.min() >= 1
    assert counts.dtype == np.int64


def test_proportions_are_a_share_of_each_class_and_sum_to_one_but_for_their_rounding():
    assert tuple(rendering.AZ_PROPORTIONS) == LETTERS
    assert sum(rendering.AZ_PROPORTIONS.values()) == pytest.approx(1, abs=26 * 0.0005)


def test_imbalanced_counts_follow_the_kaggle_set():
    counts = dict(zip(LETTERS, class_counts(100_000), strict=True))
    total = sum(rendering.AZ_PROPORTIONS.values())
    for letter, share in rendering.AZ_PROPORTIONS.items():
        assert counts[letter] == pytest.approx(100_000 * share / total, abs=1.5)


def test_balanced_counts_differ_by_one_at_most():
    assert (class_counts(29_120, balanced=True) == 1_120).all()
    assert np.ptp(class_counts(1_000, balanced=True)) == 1


def test_no_class_falls_below_the_least_number():
    counts = class_counts(40_000, at_least=1_120)
    assert counts.sum() == 40_000
    assert counts.min() == 1_120
    assert counts[LETTERS.index("O")] > 3 * 1_120


def test_the_least_number_may_take_all_letters():
    assert (class_counts(260, at_least=10) == 10).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((25,), ValueError, "n=25.*26 letters or more"),
        ((-1,), ValueError, "n=-1.*0 or more"),
        ((2.5,), ValueError, r"n=2\.5.*whole number"),
        ((True,), ValueError, "n=True.*whole number"),
        (("100",), ValueError, "n=100.*whole number"),
        ((100, False, 4), ValueError, "at_least=4.*104 letters"),
        ((100, False, -1), ValueError, "at_least=-1"),
    ],
)
def test_impossible_counts_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        class_counts(*arguments)


# --- from a font to a path ------------------------------------------------------------------------


def test_a_bar_thins_to_its_centre_line():
    bar = np.zeros((20, 60), bool)
    bar[6:13, 5:55] = True
    rows, columns = np.nonzero(thinned(bar))
    assert set(rows) == {9}
    assert len(columns) == len(set(columns)) > 40


def test_thinning_keeps_pieces_and_holes():
    image = np.zeros((80, 160), np.uint8)
    cv2.circle(image, (40, 40), 25, 1, 9)
    cv2.line(image, (90, 10), (140, 70), 1, 9)
    before, after = (cv2.connectedComponents(m)[0] for m in (image, _as_bytes(thinned(image > 0))))
    assert before == after
    background = [
        cv2.connectedComponents(1 - m, connectivity=4)[0]
        for m in (image, _as_bytes(thinned(image > 0)))
    ]
    assert background[0] == background[1]


def _as_bytes(mask):
    return mask.astype(np.uint8)


def test_a_cross_splits_into_four_strokes():
    cross = np.zeros((41, 41), bool)
    cross[20, :] = cross[:, 20] = True
    assert sorted(len(path) for path in pen_paths(cross, shortest=0)) == [21] * 4


def test_a_short_branch_is_dropped_and_a_short_stroke_that_stands_alone_is_not():
    image = np.zeros((41, 41), bool)
    image[20, :] = True
    image[17:20, 25] = True  # a branch of four pixels, the crossing included
    image[5, 5:8] = True
    assert sorted(len(path) for path in pen_paths(image, shortest=0)) == [3, 4, 16, 26]
    assert sorted(len(path) for path in pen_paths(image, shortest=5)) == [3, 16, 26]


def test_a_closed_curve_is_one_stroke_that_ends_where_it_begins():
    image = np.zeros((60, 60), np.uint8)
    cv2.circle(image, (30, 30), 20, 1, 1)
    (path,) = pen_paths(thinned(image > 0), shortest=5)
    assert (path[0] == path[-1]).all()
    assert len(path) > 100


@pytest.mark.parametrize("points", [2, 3, 4, 7, 50])
def test_smoothing_keeps_the_ends_and_thins_out_the_rest(points):
    path = np.stack([np.arange(points), np.arange(points) % 2], 1).astype(float)
    smooth = smoothed(path)
    assert (smooth[[0, -1]] == path[[0, -1]]).all()
    assert 2 <= len(smooth) <= len(path)


def test_every_letter_has_several_forms_that_span_the_unit_square():
    for letter, forms in glyphs.capitals().items():
        assert len(forms) >= 4, letter
        for form in forms:
            assert np.ptp(form.points, axis=0).max() == pytest.approx(2, abs=1e-5)
            assert form.modes.shape == (len(form.points), 16)
            assert np.isfinite(form.outward).all()
            assert form.ends.size == 0 or form.ends.max() < len(form.points)


def test_free_ends_point_outwards():
    form = glyphs.glyph(glyphs._font("delius"), "L")
    top, right = np.argsort(form.points[form.ends][:, 0])
    assert len(form.ends) == 2
    assert form.outward[top] @ [0, -1] > 0.9
    assert form.outward[right] @ [1, 0] > 0.9


def test_a_closed_letter_has_no_free_end():
    assert len(glyphs.glyph(glyphs._font("delius"), "O").ends) == 0


def test_a_missing_font_says_what_to_install(monkeypatch):
    monkeypatch.setattr(glyphs, "FONTS", {"no-such-font": ""})
    with pytest.raises(RuntimeError, match=r"fontpkg-no-such-font is not installed.*pip install"):
        glyphs.font_versions()


def test_a_character_that_the_font_lacks_a_shape_for_is_refused():
    with pytest.raises(ValueError, match="draws nothing for ' '"):
        glyphs.glyph(glyphs._font("caveat"), " ")


# --- letters --------------------------------------------------------------------------------------


def test_letters_have_the_kaggle_format(letters):
    images, labels = letters
    assert images.shape == (2_600, 28, 28)
    assert images.dtype == np.uint8
    assert labels.shape == (2_600,)
    assert labels.dtype == np.int64
    assert (np.bincount(labels) == 100).all()


def test_ink_stays_in_the_central_box_and_fills_its_longer_side(letters):
    images, _ = letters
    border = images.copy()
    border[:, 4:24, 4:24] = 0
    assert not border.any()
    rows, columns = (images.max(axis) > 0 for axis in (2, 1))
    longer = np.maximum(*(side.sum(1) for side in (rows, columns)))
    assert (longer >= 18).all()
    assert (longer == 20).mean() > 0.9


def test_every_letter_has_ink_and_paper(letters):
    images, _ = letters
    assert (images.max((1, 2)) > 200).all()
    ink = (images > 127).mean((1, 2))
    assert ink.min() > 0.03
    assert ink.max() < 0.4


def test_the_same_seed_gives_the_same_letters():
    one, two = (render_letters(60, generator(7)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


def test_another_seed_gives_other_letters():
    (one, _), (two, _) = (render_letters([0] * 25 + [40], generator(seed)) for seed in (7, 8))
    assert not (one[:, None] == two[None]).all((2, 3)).any()


def test_no_two_letters_are_alike(letters):
    images, _ = letters
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_the_global_generator_is_neither_used_nor_moved():
    before = np.random.get_state()[1].copy()
    render_letters(26, generator())
    assert np.array_equal(np.random.get_state()[1], before)


def test_letters_come_in_random_order(letters):
    _, labels = letters
    assert len(np.unique(labels[:100])) > 20


def test_counts_for_each_class_are_kept():
    counts = np.arange(26)
    images, labels = render_letters(counts, generator())
    assert np.array_equal(np.bincount(labels, minlength=26), counts)
    assert len(images) == counts.sum()


def test_no_letters_at_all_is_an_empty_set():
    images, labels = render_letters([0] * 26, generator())
    assert images.shape == (0, 28, 28)
    assert labels.shape == (0,)


def test_a_wider_pen_leaves_more_ink():
    thin, thick = (
        render_letters([10] * 26, generator(3), Hand(width=width))[0].mean() for width in (1.2, 2.6)
    )
    assert thick > 1.3 * thin


def test_a_hand_that_does_not_vary_writes_a_form_the_same_way_every_time():
    hand = Hand(
        slant_spread=0, turn_spread=0, bend=0, overrun=0, ratio_spread=0, width_spread=0,
        pressure_spread=0, blur=(0.2, 0.2),
    )  # fmt: skip
    images, _ = render_letters([200] + [0] * 25, generator(), hand)
    different = np.unique(images.reshape(200, -1), axis=0)
    assert len(different) == len(glyphs.capitals()["A"])


@pytest.mark.parametrize(
    "counts", [[1] * 25, [1] * 27, [1.0] * 26, [-1] + [1] * 25, [[1] * 26], np.ones(26)]
)
def test_wrong_counts_are_refused(counts):
    with pytest.raises(ValueError, match="26 whole numbers"):
        render_letters(counts, generator())


@pytest.mark.parametrize("seed", [0, None, "abc", np.random.RandomState(0)])
def test_a_generator_is_asked_for(seed):
    with pytest.raises(TypeError, match="default_rng"):
        render_letters(26, seed)


# --- the data set and its cache -------------------------------------------------------------------


def test_the_data_set_says_that_it_is_rendered(cache):
    letters = rendered_dataset(100, seed=0)
    assert letters.provenance == "rendered"
    assert "rendered, not real" in letters.title("Letters")
    assert letters.classes == LETTERS
    assert list(letters.class_counts().values()) == class_counts(100).tolist()


def test_the_second_time_letters_come_from_the_cache(cache, monkeypatch):
    first = rendered_dataset(52, seed=3, balanced=True)
    monkeypatch.setattr(rendering, "render_letters", _must_not_be_called)
    assert rendered_dataset(52, seed=3, balanced=True).content_hash() == first.content_hash()
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


def _must_not_be_called(*_args, **_options):
    raise AssertionError("rendered again")


@pytest.mark.parametrize(
    "change", [{"n": 53}, {"seed": 4}, {"balanced": False}, {"n": 60, "at_least": 2}]
)
def test_letters_asked_for_otherwise_are_kept_apart(cache, change):
    asked = {"n": 52, "seed": 3, "balanced": True}
    one, two = rendered_dataset(**asked), rendered_dataset(**{**asked, **change})
    assert one.content_hash() != two.content_hash()
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("name, value", [("VERSION", 99), ("HAND", Hand(bend=0.3))])
def test_letters_of_another_renderer_are_not_used(cache, monkeypatch, name, value):
    rendered_dataset(52, seed=3)
    monkeypatch.setattr(rendering, name, value)
    rendered_dataset(52, seed=3)
    assert len(list(cache.iterdir())) == 2


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _other_text(path):
    path.write_text("not letters")


def _flip_a_pixel(path):
    with np.load(path) as file:
        parts = dict(file)
    parts["images"][0, 14, 14] ^= 1
    np.savez(path, **parts)


def _lose_the_hash(path):
    with np.load(path) as file:
        np.savez(path, images=file["images"], labels=file["labels"])


def _other_types(path):
    with np.load(path) as file:
        np.savez(path, images=file["images"] / 255, labels=file["labels"], sha256=file["sha256"])


def _flip_a_stored_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [_cut, _empty, _other_text, _flip_a_pixel, _lose_the_hash, _other_types, _flip_a_stored_byte],
)
def test_a_damaged_cache_file_is_noticed_and_made_again(cache, caplog, damage):
    good = rendered_dataset(52, seed=3)
    (path,) = cache.iterdir()
    damage(path)
    with caplog.at_level(logging.WARNING, logger="alutils"):
        assert rendered_dataset(52, seed=3).content_hash() == good.content_hash()
    assert "made again" in caplog.text
    caplog.clear()
    assert rendered_dataset(52, seed=3).content_hash() == good.content_hash()
    assert not caplog.records


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch, caplog):
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv("ALUTILS_CACHE", str(occupied / "cache"))
    with caplog.at_level(logging.WARNING, logger="alutils"):
        assert len(rendered_dataset(26, seed=0)) == 26
    assert "could not be kept" in caplog.text


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (1.5, ValueError), ("abc", ValueError)])
def test_a_seed_that_is_none_is_refused(cache, seed, error):
    with pytest.raises(error, match="seed="):
        rendered_dataset(26, seed)
    assert not list(cache.iterdir())


# --- beside real letters --------------------------------------------------------------------------


def _slant(image):
    moments = cv2.moments(image)
    return -moments["mu11"] / moments["mu02"]


def _stroke_width(image):
    fine = cv2.resize(image, (84, 84), interpolation=cv2.INTER_CUBIC)
    depth = cv2.distanceTransform((fine > 100).astype(np.uint8), cv2.DIST_L2, 3)
    ridge = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 0)]
    return 2 * np.median(ridge) / 3


STATISTICS = {
    "mean": lambda images: images.mean((1, 2)),
    "share of ink": lambda images: (images > 0).mean((1, 2)),
    "share of strong ink": lambda images: (images > 127).mean((1, 2)),
    "slant": lambda images: np.array([_slant(image) for image in images]),
    "stroke width": lambda images: np.array([_stroke_width(image) for image in images]),
}


@needs_real_letters
@pytest.mark.parametrize("name", STATISTICS)
def test_rendered_letters_look_like_real_ones_in_mean_and_spread(name, letters, real_letters):
    images, _, subset = real_letters
    real, rendered = (STATISTICS[name](some) for some in (images[subset == 0], letters[0]))
    # within a fifth of a real letter's spread for the mean, within a quarter for the spread
    assert abs(rendered.mean() - real.mean()) < 0.2 * real.std()
    assert 0.75 < rendered.std() / real.std() < 1.25


@pytest.mark.slow
@needs_real_letters
def test_a_network_that_saw_rendered_letters_alone_reads_real_ones(real_letters):
    import keras
    from keras import layers

    images, labels = render_letters([800] * 26, generator(11))
    keras.utils.set_random_seed(0)
    epochs, batch = 4, 128
    network = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(26, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(images) // batch)
    network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    network.fit(images[..., None], labels, batch_size=batch, epochs=epochs, verbose=0)

    real, expected, _ = real_letters
    read = network.predict(real[..., None], batch_size=512, verbose=0).argmax(1)
    assert (read == expected).mean() > 0.85
