"""Undersampling, maps in two dimensions, and what imbalance does."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from alutils.data.dataset import Dataset
from alutils.data.rendering import class_counts
from alutils.experiments.report import exploration
from alutils.experiments.report.letters import without_empty_classes
from alutils.stats import tables
from alutils.stats.metrics import CLASSIFICATION, classification_metrics


def blobs(counts, spread, rng, d=8):
    """Return points (n, d) around a centre for each class, and their labels."""
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centres = 3 * rng.standard_normal((len(counts), d))
    return (centres[labels] + spread * rng.standard_normal((len(labels), d))), labels


def test_classes_without_items_are_left_out_and_named():
    images = np.zeros((9, 2, 2), np.uint8)
    labels = np.array([0, 2, 2, 0, 3, 3, 3, 2, 0])
    data = Dataset(images, labels, ("A", "B", "C", "D", "E"), "mine", "mine")
    kept, absent = without_empty_classes(data)
    assert (kept.classes, absent) == (("A", "C", "D"), ("B", "E"))
    names = [kept.classes[label] for label in kept.labels]
    assert names == [data.classes[label] for label in labels]
    assert kept.class_counts() == {"A": 3, "C": 3, "D": 3}
    assert without_empty_classes(kept) == (kept, ())
    # What the experiment on imbalance does with them next.
    shares = np.bincount(kept.labels, minlength=3)
    with pytest.raises(ValueError, match="4 or more"):
        exploration.imbalance_split(
            kept.labels, shares, n_train=4, n_test=4, rng=np.random.default_rng(0)
        )


def test_undersampling_keeps_as_many_of_each_class_as_the_smallest_has():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 9, 20]))
    kept = exploration.undersample(labels)
    assert np.bincount(labels[kept]).tolist() == [9, 9, 9]
    assert len(set(kept.tolist())) == 27


def test_undersampling_is_what_the_report_calls():
    from imblearn.under_sampling import RandomUnderSampler

    rng = np.random.default_rng(3)
    labels, images = np.repeat(np.arange(4), [30, 12, 7, 9]), rng.integers(0, 255, (58, 5))
    images_res, labels_res = RandomUnderSampler(random_state=42).fit_resample(images, labels)
    kept = exploration.undersample(labels, seed=42)
    assert np.array_equal(images[kept], images_res)
    assert np.array_equal(labels[kept], labels_res)


def test_undersampling_one_class_is_refused():
    with pytest.raises(ValueError, match="hold 1 classes"):
        exploration.undersample(np.zeros(5, int))


def test_a_map_keeps_clusters_that_are_there_and_makes_none_that_are_not():
    rng = np.random.default_rng(0)
    apart, labels = blobs([60, 60, 60], 0.3, rng)
    points = exploration.embed(apart, seed=0, perplexity=15)
    assert points.shape == (180, 2)
    assert exploration.label_agreement(points, labels, 3).share > 0.98
    mixed = rng.permutation(labels)
    agreement = exploration.label_agreement(points, mixed, 3)
    assert agreement.share == pytest.approx(agreement.chance, abs=0.06)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((50, 4), "takes 92 items"), ((200,), "expected"), ((200, 1), "d of 2 or more")],
)
def test_what_cannot_be_mapped_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        exploration.embed(np.zeros(shape), seed=0)


def test_agreement_counts_neighbours_by_hand():
    points = np.array([[0.0], [1.0], [2.1], [10.0], [11.0], [12.1]])
    labels = np.array([0, 0, 1, 1, 1, 1])
    agreement = exploration.label_agreement(points, labels, 3, k=2)
    # neighbours: 0 and 1 see each other and item 2; 2 sees 0 and 1; 3, 4, 5 see each other
    assert agreement.share == pytest.approx((0.5 + 0.5 + 0 + 1 + 1 + 1) / 6)
    assert agreement.by_class[:2] == pytest.approx([0.5, 0.75])
    assert np.isnan(agreement.by_class[2])
    assert agreement.chance == pytest.approx((2 * 1 + 4 * 3) / (6 * 5))


def test_agreement_does_not_count_the_item_itself_among_its_copies():
    points, labels = np.zeros((4, 2)), np.array([0, 1, 2, 3])
    assert exploration.label_agreement(points, labels, 4, k=3).share == 0


@pytest.mark.parametrize("k", [0, 4])
def test_too_many_neighbours_are_refused(k):
    with pytest.raises(ValueError, match="k from 1"):
        exploration.label_agreement(np.zeros((4, 2)), np.zeros(4, int), 1, k=k)


def test_rows_read_class_by_class_hold_few_classes():
    rng = np.random.default_rng(0)
    assert exploration.classes_in_first(np.full(26, 100), 250, 50, rng) == 3
    assert exploration.classes_in_first(np.array([1, 1]), 2, 10, rng) == 2


def test_a_split_for_imbalance_is_uneven_balanced_and_without_overlap():
    labels = np.repeat(np.arange(4), 500)
    split = exploration.imbalance_split(
        labels, [8, 4, 2, 1], n_train=300, n_test=120, rng=np.random.default_rng(1)
    )
    parts = (split.train, split.test, split.balanced_test)
    assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
    assert np.bincount(labels[split.train]).tolist() == [160, 80, 40, 20]
    assert np.bincount(labels[split.test]).tolist() == [64, 32, 16, 8]
    assert np.bincount(labels[split.balanced_test]).tolist() == [30] * 4


@pytest.mark.parametrize("counts", [[4, 4, 4], [4, 900, 40], [5, 7, 300], [30, 20, 10]])
def test_a_split_shrinks_to_what_small_classes_hold(counts):
    labels = np.repeat(np.arange(3), counts)
    split = exploration.imbalance_split(
        labels, counts, n_train=5000, n_test=1000, rng=np.random.default_rng(0)
    )
    for part, least in ((split.train, 2), (split.test, 1), (split.balanced_test, 1)):
        assert np.bincount(labels[part], minlength=3).min() >= least
    together = np.concatenate([split.train, split.test, split.balanced_test])
    assert len(np.unique(together)) == len(together)


def test_a_split_names_the_class_that_is_too_small():
    with pytest.raises(ValueError, match="class 1 has 3 items"):
        exploration.imbalance_split(
            np.repeat([0, 1], [50, 3]), [1, 1], n_train=9, n_test=3, rng=np.random.default_rng(0)
        )


@pytest.fixture(scope="module")
def imbalanced():
    """Return points of ten classes, as uneven as the letters, split and measured."""
    rng = np.random.default_rng(0)
    shares = class_counts(2000)[:10]
    x, labels = blobs([600] * 10, 3.0, rng)
    split = exploration.imbalance_split(labels, shares, n_train=800, n_test=600, rng=rng)
    table = exploration.imbalance_metrics(
        x, labels, split, lambda: LogisticRegression(max_iter=200), n_classes=10, seed=0
    )
    return x, labels, split, table


def test_guessing_the_largest_class_looks_good_only_by_accuracy_on_uneven_data(imbalanced):
    _, labels, split, table = imbalanced
    majority = table[table["arm"] == "majority"].set_index("test")
    share = np.bincount(labels[split.test]).max() / len(split.test)
    assert majority.loc["as found", "accuracy"] == pytest.approx(share)
    assert majority.loc["as found", "balanced_accuracy"] == pytest.approx(1 / 10)
    assert majority.loc["balanced", "accuracy"] == pytest.approx(1 / 10)
    assert (majority["mcc"] == 0).all()


def test_undersampled_training_uses_the_smallest_class_and_is_trained_on_it(imbalanced):
    x, labels, split, table = imbalanced
    smallest = np.bincount(labels[split.train]).min()
    row = table[(table["arm"] == "undersampled") & (table["test"] == "balanced")].iloc[0]
    assert row["n_human"] == 10 * smallest
    few = split.train[exploration.undersample(labels[split.train], 0)]
    model = LogisticRegression(max_iter=200).fit(x[few], labels[few])
    expected = classification_metrics(
        labels[split.balanced_test], model.predict(x[split.balanced_test]), 10
    )
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_as_few_labels_as_found_may_miss_a_class():
    x, labels = blobs([400, 400, 400], 0.5, np.random.default_rng(0))
    split = exploration.imbalance_split(
        labels, [200, 1, 1], n_train=300, n_test=60, rng=np.random.default_rng(0)
    )
    table = exploration.imbalance_metrics(
        x, labels, split, LogisticRegression, n_classes=3, seed=0
    ).set_index(["arm", "test"])
    assert table.loc[("as_found_few", "balanced"), "n_human"] == 6
    assert table.loc[("undersampled", "balanced"), "accuracy"] > 0.9


def test_a_results_table_takes_the_rows(imbalanced):
    table = imbalanced[3]
    part = table[table["test"] == "as found"]
    rows = tables.long_rows(part, part["arm"], protocol="sound", split="test")
    tidy = tables.tidy(rows, run_id="r", experiment="az_explore", round=0, n_auto=0)
    assert len(tidy) == len(CLASSIFICATION) * len(exploration.ARMS)
