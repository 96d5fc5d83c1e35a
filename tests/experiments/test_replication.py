"""Replicates: the same whatever else happens, and resumable."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.data import mnist
from alutils.data.dataset import as_float
from alutils.experiments.article import inputs, procedure, replication
from alutils.models.softmax_fast import SparseImages, SparseSoftmax
from alutils.stats import intervals

replicates = replication.replicates


@pytest.fixture(scope="module")
def few():
    train, test = mnist.mnist_article()
    train = train.take(np.arange(300))
    return inputs.Digits(train, test, n_train=150, n_test=60, batch=10, budget=30)


@pytest.mark.parametrize("kind", replication.KINDS)
def test_the_first_replicates_do_not_depend_on_how_many_follow(few, kind):
    three = replicates(kind, few, n=3, seed=5, noise=1e-6).table
    two = replicates(kind, few, n=2, seed=5, noise=1e-6).table
    assert three[three["replicate"] < 7].equals(two)


@pytest.mark.parametrize("kind", replication.KINDS)
def test_runs_with_other_seeds_share_a_seed_only_where_they_share_the_draw(few, kind):
    """`compare` pairs runs by the seeds of their rows."""
    first, later = (replicates(kind, few, n=2, seed=seed, noise=1e-6) for seed in (5, 6))
    rows = [pd.DataFrame(runs.rows("test", "test_all")) for runs in (first, later)]
    assert [set(table["seed"]) for table in rows] == [{5, 6}, {6, 7}]
    by = [runs.table.groupby("replicate") for runs in (first, later)]
    same = [draws.get_group(6).reset_index(drop=True) for draws in by]
    assert same[0].equals(same[1])
    others = [
        draws.get_group(n).drop(columns="replicate").reset_index(drop=True)
        for draws, n in zip(by, (5, 7), strict=True)
    ]
    assert not others[0].equals(others[1])


def test_each_replicate_has_all_arms_and_all_rounds(few):
    done = replicates("draws", few, n=2, seed=0)
    one = done.table[done.table["replicate"] == 1]
    assert done.n == 2 and set(one["arm"]) == set(procedure.ARMS)
    last = one.groupby("arm").last()
    assert last.loc["auto_at_once", "n_auto"] == 120
    assert last.loc["all", "n_human"] == 150
    assert one[one["arm"] == "active"]["n_right_test"].notna().all()


def test_noise_leaves_the_data_alone_and_moves_only_what_is_chaotic(few):
    quiet = replicates("noise", few, n=2, seed=0, noise=0.0).table
    first, second = (quiet[quiet["replicate"] == i].drop(columns="replicate") for i in (0, 1))
    assert first.reset_index(drop=True).equals(second.reset_index(drop=True))


def test_digits_that_lack_a_class_are_tested_on_all_classes():
    train, test = mnist.mnist_article()
    train = train.take(np.flatnonzero(train.labels < 5)[:60])
    lacking = inputs.Digits(train, test, n_train=60, n_test=20, batch=10, budget=30)
    table = replicates("noise", lacking, n=1, seed=0, noise=1e-6).table
    assert (table.dropna()["n_right_test"] <= (test.labels < 5).sum()).all()


@pytest.mark.parametrize("n_test", [60, 123, 270])
@pytest.mark.parametrize("test_start", [0, 130])
def test_every_test_digit_is_counted_and_shares_are_of_what_was_counted(few, n_test, test_start):
    digits = dataclasses.replace(few, n_test=n_test, test_start=test_start)
    rows = pd.DataFrame(
        replicates("noise", digits, n=1, seed=0, noise=0.0).rows("test", "test_all")
    )
    # The same by hand: without noise the weights start at zero.
    stop = SparseImages.from_dense(digits.x_test), digits.y_test
    classifier = SparseSoftmax(*stop)
    n_right, _ = classifier.fit(SparseImages.from_dense(digits.x), digits.y)
    logits = classifier.weights.logits(as_float(digits.test.images))
    n_right_all = int((logits.argmax(axis=1) == digits.test.labels).sum())
    of_all = rows[rows["arm"] == "all"].set_index(["split", "metric"])
    for split, right, n in (("test", n_right, n_test), ("test_all", n_right_all, 400)):
        assert of_all.loc[(split, "n_right"), "value"] == right
        assert of_all.loc[(split, "accuracy"), "value"] == right / n
        assert (of_all.loc[split, "n_eval"] == n).all()
    assert rows.loc[rows["metric"] == "accuracy", "value"].min() > 0.2  # of the digits, not fewer


def test_random_labels_are_trained_on_at_every_label_count_of_the_sound_protocol(few):
    done = replicates("sound", few, n=1, seed=3)
    random = done.table[done.table["arm"] == "random"]
    active = done.table[done.table["arm"] == "active"]
    assert list(random["n_human"]) == list(active["n_human"]) == [10, 20, 30]
    # The same by hand, from zero each time.
    rng = replication.generator("sound", 3)
    drawn, validation = replication.draw("sound", few, rng)
    x, y = replication.sparse(few.train), few.train.labels
    x_test = as_float(few.test.images)
    for n, counted in zip(random["n_human"], random["n_right_test"], strict=True):
        classifier = SparseSoftmax(x[validation], y[validation])
        classifier.fit(x[drawn[:n]], y[drawn[:n]])
        predicted = classifier.weights.logits(x_test).argmax(axis=1)
        assert counted == (predicted == few.test.labels).sum()


def test_validation_digits_are_never_trained_on(few, monkeypatch):
    stops, seen = [], []

    class Recorder(replication.SparseSoftmax):
        def __init__(self, x_stop, y_stop, **options):
            stops.append(set(x_stop.rows))
            super().__init__(x_stop, y_stop, **options)

        def fit(self, x, y):
            seen.append(set(x.rows))
            return super().fit(x, y)

    monkeypatch.setattr(replication, "SparseSoftmax", Recorder)
    replicates("sound", few, n=1, seed=0)
    assert all(len(stop) == 60 for stop in stops)
    assert max(len(rows) for rows in seen) == 150
    assert not set.union(*stops) & set.union(*seen)


def test_validation_takes_its_digits_from_training_where_there_are_no_others():
    train, test = mnist.mnist_article()
    train = train.take(np.arange(150))
    tight = inputs.Digits(train, test, n_train=150, n_test=50, batch=10, budget=30)
    done = replicates("sound", tight, n=1, seed=0)
    assert done.table.groupby("arm").last().loc["all", "n_human"] == 100
    assert done.digits is tight


def test_a_killed_replicate_run_ends_with_the_undisturbed_table(few, monkeypatch):
    monkeypatch.setattr(replication, "BATCH", 2)
    undisturbed = replicates("draws", few, n=5, seed=0).table
    kept, computed = {}, []

    def keep(function, kind, digits, first, *more):
        if first not in kept:
            if len(computed) == 2:
                raise KeyboardInterrupt
            computed.append(first)
            kept[first] = function(kind, digits, first, *more)
        return kept[first]

    with pytest.raises(KeyboardInterrupt):
        replicates("draws", few, n=5, seed=0, keep=keep)
    computed.clear()
    resumed = replicates("draws", few, n=5, seed=0, keep=keep).table
    assert len(computed) == 1  # the first two batches were not done again
    assert resumed.equals(undisturbed)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"kind": "nois"}, "kind=nois"), ({"n": 0}, "n=0"), ({"seed": -1}, "seed=-1")],
)
def test_what_cannot_be_replicated_is_refused(few, change, message):
    with pytest.raises(ParameterError, match=message):
        replicates(**{"kind": "noise", "digits": few, "n": 1, "seed": 0, **change})


def test_paired_differences_are_the_textbooks():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 30), rng.normal(0, 1, 30)
    result = intervals.paired(a, b)
    difference = a - b
    half = 2.045229642132703 * difference.std(ddof=1) / np.sqrt(30)  # t quantile, 29 degrees
    assert result.mean == pytest.approx(difference.mean())
    assert (result.low, result.high) == pytest.approx(
        (difference.mean() - half, difference.mean() + half)
    )
    assert (result.p < 0.05) == (result.low > 0 or result.high < 0)


@pytest.mark.parametrize(
    ("shift", "verdict"), [(1.0, "supported"), (-1.0, "contradicted"), (0.0, "inconclusive")]
)
def test_a_claim_is_supported_only_where_the_whole_interval_is_on_its_side(shift, verdict):
    noise = np.tile([0.1, -0.1], 10)
    result = intervals.paired(noise + shift, np.zeros(20))
    assert result.verdict == verdict
    assert result.sentence("a beats b", 10_000).endswith(f"The claim is {verdict}.")


def test_re_splits_of_one_sample_do_not_make_a_claim_of_nothing():
    # Two fixed readers, equally good on all letters: of 400 samples of 2,000 letters, each split
    # 30 times, few may let a claim hold. Uncorrected most do.
    rng, n, n_test = np.random.default_rng(0), 2_000, 600
    held = {0.0: 0, n_test / (n - n_test): 0}
    for _ in range(400):
        who_is_right = rng.choice([-1.0, 0.0, 1.0], n, p=[0.05, 0.9, 0.05])
        splits = rng.permuted(np.tile(who_is_right, (30, 1)), axis=1)[:, :n_test].mean(axis=1)
        for ratio in held:
            held[ratio] += intervals.paired(splits, np.zeros(30), ratio).verdict != "inconclusive"
    uncorrected, corrected = held.values()
    assert uncorrected > 0.4 * 400
    assert corrected <= 0.08 * 400


def test_the_correction_for_re_splits_is_nadeau_and_bengios():
    ours = np.random.default_rng(1).normal(0.02, 0.02, 10)
    result = intervals.paired(ours, np.zeros(10), test_to_train=0.5)
    error = np.sqrt((1 / 10 + 0.5) * ours.var(ddof=1))
    half = 2.262157162740992 * error  # t quantile, 9 degrees
    assert (result.low, result.high) == pytest.approx((ours.mean() - half, ours.mean() + half))
    assert (result.p < 0.05) == (result.low > 0 or result.high < 0)
    assert np.isnan(result.p_signed_rank) and result.test_to_train == 0.5
    plain = intervals.paired(ours, np.zeros(10))
    test = stats.ttest_1samp(ours, 0)
    assert plain.p == pytest.approx(test.pvalue)
    assert plain.p_signed_rank == stats.wilcoxon(ours).pvalue


def test_a_sentence_says_what_its_interval_is_for():
    ours = np.array([0.1, 0.2, 0.15])
    assert "on the same 1,000 test images" in intervals.paired(ours, 0 * ours).sentence("a", 1000)
    again = intervals.paired(ours, 0 * ours, 0.4).sentence("a", 1000)
    assert "for other images of this kind: 3 re-splits of one data set, 1,000 test images" in again


@pytest.mark.parametrize("ratio", [-0.1, np.nan, np.inf])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(ValueError, match="test_to_train="):
        intervals.paired(np.arange(3), np.zeros(3), ratio)


def test_equal_arms_differ_by_nothing():
    same = np.array([0.5, 0.7, 0.6])
    result = intervals.paired(same, same)
    assert (result.mean, result.low, result.high, result.p) == (0, 0, 0, 1)
    assert result.verdict == "inconclusive"


@pytest.mark.parametrize("n", [0, 1])
def test_a_pair_of_one_seed_is_no_comparison(n):
    with pytest.raises(ValueError, match="at least 2"):
        intervals.paired(np.zeros(n), np.zeros(n))


def test_percentiles_count_ties_half():
    assert intervals.percentile_of(2, np.array([1, 2, 2, 3])) == 50
    assert intervals.percentile_of(9, np.array([1, 2])) == 100
