"""Spoilt images, wrong labels, other classifiers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from alutils.data.dataset import as_float
from alutils.data.rendering import render_letters
from alutils.experiments.report import classifiers, robustness
from alutils.stats import tables
from alutils.stats.metrics import CLASSIFICATION, classification_metrics

KINDS = tuple(robustness.CORRUPTIONS)


@pytest.fixture(scope="module")
def letters():
    """Return 780 rendered letters, 30 of each class: images, labels."""
    return render_letters(np.full(26, 30), np.random.default_rng(0))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_level_zero_changes_nothing_and_the_original_is_left_alone(kind, letters):
    images = letters[0][:20]
    before = images.copy()
    spoil = robustness.CORRUPTIONS[kind].spoil
    assert np.array_equal(spoil(images, 0.0, rng()), images)
    spoil(images, robustness.CORRUPTIONS[kind].levels[-1], rng())
    assert np.array_equal(images, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", [False, True])
def test_more_of_a_kind_spoils_more(kind, colour, letters):
    images = letters[0][:60]
    images = np.repeat(images[..., None], 3, axis=3) if colour else images
    corruption = robustness.CORRUPTIONS[kind]
    change = []
    for level in corruption.levels:
        spoilt = corruption.spoil(images, level, rng())
        assert spoilt.dtype == np.uint8
        assert spoilt.shape == images.shape
        change.append(np.abs(spoilt.astype(float) - images).mean())
    assert change == sorted(change)
    assert change[0] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_spoils_the_same_way(kind, letters):
    corruption = robustness.CORRUPTIONS[kind]
    first, again = (corruption.spoil(letters[0][:9], corruption.levels[1], rng()) for _ in "ab")
    assert np.array_equal(first, again)


def test_noise_has_the_deviation_asked_for():
    grey = np.full((50, 28, 28), 128, np.uint8)
    noise = robustness.add_noise(grey, 20, rng()).astype(float) - 128
    assert noise.std() == pytest.approx(20, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.5)


def test_blur_keeps_the_ink(letters):
    blurred = robustness.blur(letters[0][:50], 1.0, rng())
    # what is blurred beyond the edge comes back, mirrored; rounding is all that is lost
    assert blurred.sum() == pytest.approx(letters[0][:50].sum(), rel=0.02)


def test_occlusion_covers_a_square_of_the_area_asked_for():
    white = np.full((30, 28, 28), 255, np.uint8)
    covered = (robustness.occlude(white, 0.1, rng()) == 0).sum((1, 2))
    assert covered.max() == 9**2  # nearest to a tenth of 784 pixels
    assert covered.min() > 0


def test_occlusion_always_takes_ink_and_survives_an_empty_image(letters):
    images = np.concatenate([letters[0][:40], np.zeros((1, 28, 28), np.uint8)])
    ink = images.sum((1, 2), dtype=int)
    left = robustness.occlude(images, 0.02, rng()).sum((1, 2), dtype=int)
    assert (left[:40] < ink[:40]).all()
    assert left[40] == 0


@pytest.mark.parametrize("spoil", [c.spoil for c in robustness.CORRUPTIONS.values()])
@pytest.mark.parametrize(
    ("images", "level", "message"),
    [
        (np.zeros((2, 28, 28)), 0.1, "expected uint8"),
        (np.zeros((2, 784), np.uint8), 0.1, "expected uint8, .n, height"),
        (np.zeros((2, 28, 28), np.uint8), -1.0, "level=-1.0"),
        (np.zeros((2, 28, 28), np.uint8), np.nan, "level=nan"),
    ],
)
def test_what_cannot_be_spoilt_is_refused(spoil, images, level, message):
    with pytest.raises(ValueError, match=message):
        spoil(images, level, rng())


def test_more_than_the_whole_image_cannot_be_covered():
    with pytest.raises(ValueError, match=r"level=1\.5"):
        robustness.occlude(np.zeros((2, 28, 28), np.uint8), 1.5, rng())


@pytest.mark.parametrize("share", [0, 0.01, 0.2, 1])
def test_exactly_the_share_of_labels_becomes_wrong(share):
    labels = rng(1).integers(0, 26, 1000)
    given = robustness.wrong_labels(labels, share, 26, rng())
    assert (given != labels).sum() == round(share * 1000)
    assert given.min() >= 0
    assert given.max() <= 25


def test_wrong_labels_are_any_other_class_and_more_of_them_include_the_fewer():
    labels = np.full(5000, 3)
    given = robustness.wrong_labels(labels, 1, 5, rng())
    assert np.bincount(given, minlength=5)[[0, 1, 2, 4]].min() > 1150  # 1,250 each, by chance
    few, many = (robustness.wrong_labels(labels, share, 5, rng()) for share in (0.02, 0.1))
    assert np.array_equal(few[few != labels], many[few != labels])


@pytest.mark.parametrize(("share", "n_classes"), [(-0.1, 3), (1.1, 3), (0.5, 1)])
def test_shares_that_are_none_are_refused(share, n_classes):
    with pytest.raises(ValueError, match="share="):
        robustness.wrong_labels(np.zeros(3, int), share, n_classes, rng())


def test_automatic_labels_are_counted_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.6, 0.4], [0.45, 0.55], [0.08, 0.92]])
    measured = robustness.measure(probabilities, np.array([0, 1, 0, 1]))
    assert measured["n_eval"] == 4
    assert measured["accuracy"] == 0.5
    assert measured["auto_coverage@0.6"] == 0.75  # 0.6 itself counts as confident
    assert measured["auto_precision@0.6"] == pytest.approx(2 / 3)
    assert measured["auto_coverage@0.9"] == 0.5
    assert measured["auto_precision@0.9"] == 1


def test_no_automatic_labels_have_no_precision():
    measured = robustness.measure(np.full((3, 4), 0.25), np.array([0, 1, 2]))
    assert measured["auto_coverage@0.6"] == 0
    assert np.isnan(measured["auto_precision@0.6"])


def test_spoilt_letters_are_read_worse_and_level_zero_is_the_clean_measure(letters):
    images, labels = letters
    model = KNeighborsClassifier(3).fit(as_float(images[:500]), labels[:500])
    seen = []

    def features(some):
        seen.append(len(some))
        return as_float(some)

    test = images[500:], labels[500:]
    table = robustness.under_corruption(model, *test, features, seed=0)
    assert list(table["kind"].unique()) == list(KINDS)
    clean = classification_metrics(test[1], model.predict(as_float(test[0])), 26)
    assert (table.loc[table["level"] == 0, "accuracy"] == clean["accuracy"]).all()
    worst = table.groupby("kind").last()["accuracy"]
    assert (worst < clean["accuracy"]).all()
    assert len(seen) == 1 + sum(len(c.levels) for c in robustness.CORRUPTIONS.values())


def test_wrong_labels_cost_accuracy_and_no_wrong_ones_is_plain_training(letters):
    images, labels = letters
    x = as_float(images)
    table = robustness.under_wrong_labels(
        x[:500], labels[:500], x[500:], labels[500:],
        lambda seed: KNeighborsClassifier(3),
        n_classes=26, seeds=(0, 1), shares=(0, 0.4),
    ).set_index(["share", "seed"])  # fmt: skip
    plain = KNeighborsClassifier(3).fit(x[:500], labels[:500]).score(x[500:], labels[500:])
    assert table.loc[(0, 0), "accuracy"] == pytest.approx(plain)
    mean = table.groupby("share")["accuracy"].mean()
    assert mean[0.4] < mean[0]


def test_every_usual_classifier_learns_letters_and_is_told_apart(letters):
    images, labels = letters
    train, test = np.arange(600), np.arange(600, 780)
    pixels = as_float(images)
    table = classifiers.compare_classifiers(
        {"pixels": pixels}, labels, train, test, classifiers.usual_classifiers(0), n_classes=26
    ).set_index("classifier")
    assert set(table.index) == set(classifiers.usual_classifiers(0))
    assert (table["accuracy"] > 0.35).all()  # chance is 0.04
    own = classifiers.usual_classifiers(0)["RBF SVM"]().fit(pixels[train], labels[train])
    assert table.loc["RBF SVM", "accuracy"] == own.score(pixels[test], labels[test])


def test_a_results_table_takes_the_rows(letters):
    images, labels = letters
    x = as_float(images)
    table = robustness.under_wrong_labels(
        x[:300], labels[:300], x[300:400], labels[300:400],
        lambda seed: KNeighborsClassifier(3),
        n_classes=26, seeds=(0, 1), shares=(0, 0.1),
    )  # fmt: skip
    arms = [f"wrong_labels_{share:g}" for share in table["share"]]
    rows = tables.long_rows(table, arms, protocol="sound", split="pool", n_human=300)
    tidy = tables.tidy(rows, run_id="r", experiment="az", round=0, n_auto=0)
    assert len(tidy) == len(table) * (len(CLASSIFICATION) + 2 * 2)
    one = tidy[(tidy["arm"] == "wrong_labels_0.1@0.9") & (tidy["seed"] == 1)]
    coverage = one.set_index("metric")["value"]["auto_coverage"]
    assert coverage == table[(table["share"] == 0.1) & (table["seed"] == 1)][
        "auto_coverage@0.9"
    ].item()  # fmt: skip


def test_a_head_without_predict_is_compared_too(letters):
    images, labels = letters

    class Head:
        def fit(self, x, y):
            self.model = KNeighborsClassifier(1).fit(x, y)

        def predict_proba(self, x):
            return self.model.predict_proba(x)

    both = {"head": Head, "its model": lambda: KNeighborsClassifier(1)}
    train, test = np.arange(600), np.arange(600, 780)
    table = classifiers.compare_classifiers(
        {"pixels": as_float(images)}, labels, train, test, both, n_classes=26
    )
    assert len(set(table["accuracy"])) == 1


def test_the_worst_level_is_told_as_it_is_where_nothing_is_labelled_any_more():
    table = pd.DataFrame(
        {
            "kind": ["noise"] * 3 + ["blur"] * 2,
            "level": [0.0, 1.0, 2.0, 0.0, 1.0],
            "auto_coverage@0.6": [0.9, 0.5, 0.0, 0.9, 0.4],
            "auto_precision@0.6": [0.99, 0.8, np.nan, 0.99, 0.7],
        }
    )
    worst = robustness.at_worst(table)
    assert worst["level"].to_dict() == {"noise": 2.0, "blur": 1.0}
    assert np.isnan(worst.loc["noise", "auto_precision@0.6"])  # not the 80% of a milder level
    assert robustness.describe(worst.loc["noise"], 0.6) == "no letter gets an automatic label"
    assert robustness.describe(worst.loc["blur"], 0.6).startswith("40% of the letters")
    assert "70.0% of these" in robustness.describe(worst.loc["blur"], 0.6)
