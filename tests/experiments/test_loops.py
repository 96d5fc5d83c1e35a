"""The report's loops, settings, procedure, and the reading of its numbers."""

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED

from alutils.data.rendering import class_counts
from alutils.experiments.report import loops, splits
from alutils.experiments.report import published as report_numbers
from alutils.models.dense_head import DenseHead

# --- the faulty loop ------------------------------------------------------------------------------


def literal_loop(predicted, test_x, test_y):
    """Transcribe the report's loop: what it appends, what it leaves, and its count."""
    train_x, train_y = np.empty((0, 1), int), np.empty((0, 1), int)
    count = 0
    for i, j in enumerate(predicted):
        if np.max(j) < 0.6:
            try:
                train_x = np.append(train_x, np.array([test_x[i]]), axis=0)
                train_y = np.append(train_y, np.array([test_y[i]]), axis=0)
                test_x = np.delete(test_x, i, axis=0)
                test_y = np.delete(test_y, i, axis=0)
                count += 1
            except IndexError:
                continue
    return train_x[:, 0], train_y[:, 0], test_x[:, 0], count


def test_the_loop_moves_what_the_reports_own_code_moves():
    rng = np.random.default_rng(0)
    for trial in range(300):
        n = int(rng.integers(1, 40))
        low = rng.random(n) < rng.random()
        confidence = np.where(low, 0.5, 0.7)[:, None]
        x = np.arange(n)[:, None]
        moved_x, moved_y, left, count = literal_loop(confidence, x, x + 100)
        ours = loops.moved_as_published(low)
        np.testing.assert_array_equal(ours, moved_x, err_msg=f"trial {trial}")
        np.testing.assert_array_equal(ours + 100, moved_y)
        np.testing.assert_array_equal(np.delete(np.arange(n), ours), left)
        assert len(ours) == count


def test_the_first_is_moved_rightly_and_the_next_is_a_neighbour():
    low = np.array([0, 1, 0, 1, 0, 0, 0, 1], bool)
    assert loops.moved_as_published(low).tolist() == [1, 4]  # not 3, and 7 + 2 is past the end
    assert loops.moved_as_published(np.zeros(5, bool)).tolist() == []
    assert loops.moved_as_published(np.ones(5, bool)).tolist() == [0, 2, 4]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.9])
def test_the_loop_counts_f_over_one_plus_f(share):
    low = np.random.default_rng(1).random(200_000) < share
    counted = len(loops.moved_as_published(low)) / len(low)
    assert counted == pytest.approx(low.mean() / (1 + low.mean()), abs=0.002)
    assert report_numbers.true_share(counted) == pytest.approx(low.mean(), abs=0.004)


# --- the published numbers ------------------------------------------------------------------------


def test_the_published_ratios_have_one_denominator_that_fits():
    for value, count in ((0.8346546310832025, 21_267), (0.09211145996860283, 2_347)):
        found = report_numbers.fractions_behind(value, multiple_of=26, at_most=26 * 1120)
        assert found == [(count, 25_480)]
        # no other denominator than its multiples, whatever divides it
        every = report_numbers.fractions_behind(value, at_most=100_000)
        assert [n for _, n in every] == [25_480, 50_960, 76_440]
    assert (92_736, 111_735) in report_numbers.fractions_behind(0.8299637535239629, at_most=372_450)
    assert round(0.3 * 372_450) == 111_735


def test_the_log_s_steps_leave_one_size_of_training_set():
    assert report_numbers.training_sizes(114, 32)[:: 3_648 - 3_617] == [3_617, 3_648]
    assert report_numbers.training_sizes(114, 32, multiple_of=26) == [3_640]
    assert 3_640 + 25_480 == 26 * 1_120


def test_a_ratio_is_found_among_fractions_and_a_wrong_digit_is_not():
    assert report_numbers.fractions_behind(1 / 3, at_most=9) == [(1, 3), (2, 6), (3, 9)]
    assert report_numbers.fractions_behind(0.3333, at_most=9_999) == []
    assert report_numbers.fractions_behind(0.0, at_most=2) == [(0, 1), (0, 2)]
    for bad in ({"value": 1.5}, {"value": float("nan")}, {"multiple_of": 0}, {"at_most": 0}):
        with pytest.raises(ValueError, match="expected"):
            report_numbers.fractions_behind(**{"value": 0.5, "multiple_of": 1, "at_most": 9} | bad)
    with pytest.raises(ValueError, match="steps=0"):
        report_numbers.training_sizes(0, 32)
    with pytest.raises(ValueError, match=r"counted=0\.6"):
        report_numbers.true_share(0.6)


def test_the_share_of_unsure_ones_was_over_the_stopping_rule():
    share = report_numbers.true_share(0.09211145996860283)
    assert share == pytest.approx(0.10146, abs=5e-6) and share > loops.STOP_SHARE
    # 10% or fewer would hardly have been counted as so many
    assert report_numbers.chance_of_count(2_347, 25_480, 2_548) < 0.01


def test_the_chance_of_a_count_is_what_simulation_finds():
    rng, n, unsure = np.random.default_rng(2), 120, 24
    counts = []
    for _ in range(20_000):
        low = np.zeros(n, bool)
        low[rng.choice(n, unsure, replace=False)] = True
        counts.append(len(loops.moved_as_published(low)))
    counts = np.array(counts)
    for k in range(15, 25):
        expected = report_numbers.chance_of_count(k, n, unsure)
        assert np.mean(counts >= k) == pytest.approx(expected, abs=0.015)
    assert report_numbers.chance_of_count(0, n, unsure) == 1
    assert report_numbers.chance_of_count(unsure + 1, n, unsure) == 0
    with pytest.raises(ValueError, match="n_unsure=121"):
        report_numbers.chance_of_count(1, 120, 121)


# --- the two settings -----------------------------------------------------------------------------


def labels_of(n, at_least=1):
    return np.random.default_rng(0).permutation(
        np.repeat(np.arange(26), class_counts(n, at_least=at_least))
    )


def check_split(labels, parts):
    """Hold a split against what every one of them promises."""
    together = np.concatenate([parts.start, parts.pool])
    assert len(np.unique(together)) == len(together)
    assert len(np.unique(parts.test)) == len(parts.test) == round(0.3 * len(labels))
    shares = np.bincount(labels, minlength=26) * 0.3
    assert np.abs(np.bincount(labels[parts.test], minlength=26) - shares).max() <= 1
    # the first labels are stratified: each class has its share of them, to one item
    wanted = np.bincount(labels[together], minlength=26) * len(parts.start) / len(together)
    assert np.abs(np.bincount(labels[parts.start], minlength=26) - wanted).max() < 1.0001


@pytest.mark.slow
def test_the_whole_data_set_is_split_into_the_published_numbers():
    # 372,450 letters with a smallest class of 1,120, as the published data
    labels = labels_of(372_450, at_least=1_120)
    assert np.bincount(labels).min() == 1_120
    logged = splits.split(labels, "as_logged", 0)
    check_split(labels, logged)
    assert (len(logged.start), len(logged.pool), len(logged.test)) == (3_640, 25_480, 111_735)
    assert set(np.bincount(labels[logged.start])) == {140}
    assert set(np.bincount(labels[logged.pool])) == {980}
    assert "scaled" not in logged.note and "of them among the former" in logged.note
    stated = splits.split(labels, "as_stated", 0)
    check_split(labels, stated)
    assert len(stated.start) == 2_038 and len(stated.pool) == 26 * 784 - 2_038
    assert not np.isin(stated.test, np.concatenate([stated.start, stated.pool])).any()
    assert "scaled" not in stated.note


@pytest.mark.parametrize("setting", list(splits.SETTINGS))
@pytest.mark.parametrize(
    ("n", "at_least", "balanced", "kept"),
    [(14_000, 370, True, True), (5_284, 85, False, True), (700, 10, True, False)],
)
def test_a_smaller_data_set_is_scaled_down_and_told_so(setting, n, at_least, balanced, kept):
    labels = labels_of(n, at_least)
    parts = splits.split(labels, setting, 3)
    check_split(labels, parts)
    assert "scaled down" in parts.note and parts.balanced == balanced
    assert (len(parts.start) == splits.SETTINGS[setting].n_start) == kept
    assert len(parts.pool) > 0.2 * len(parts.start)
    if balanced:
        sizes = np.bincount(labels[np.concatenate([parts.start, parts.pool])], minlength=26)
        assert len(set(sizes)) == 1
    again = splits.split(labels, setting, 3)
    other = splits.split(labels, setting, 4)
    np.testing.assert_array_equal(parts.start, again.start)
    np.testing.assert_array_equal(parts.pool, again.pool)
    assert not np.array_equal(np.sort(parts.start), np.sort(other.start))


def test_the_pool_is_in_no_order_of_classes():
    labels = np.sort(labels_of(5_000, 100))
    pool = labels[splits.split(labels, "as_stated", 0).pool]
    assert np.mean(np.diff(pool) >= 0) < 0.7


def test_a_data_set_without_some_letters_is_split_all_the_same():
    labels = labels_of(14_000, 370)
    labels = labels[labels > 3]
    parts = splits.split(labels, "as_logged", 0)
    assert set(np.unique(labels[parts.start])) == set(range(4, 26))


@pytest.mark.parametrize(
    ("labels", "setting", "says"),
    [
        (np.arange(26).repeat(2), "as_told", "arm=as_told"),
        (np.append(np.zeros(50, int), 1), "as_logged", "1 in the smallest class"),
        (np.zeros(9, int), "as_logged", "9 items"),
        (np.zeros(0, int), "as_logged", "0 items"),
    ],
)
def test_what_cannot_be_split_is_refused(labels, setting, says):
    with pytest.raises(ValueError, match=says):
        splits.split(labels, setting, 0)


def test_a_stratified_draw_holds_every_class_in_proportion():
    labels = np.repeat([0, 1, 2], [500, 300, 7])
    drawn = splits.stratified(labels, 81, np.random.default_rng(0))
    assert np.abs(np.bincount(labels[drawn]) - np.array([50.2, 30.1, 0.7])).max() < 1
    assert len(np.unique(drawn)) == 81
    assert len(splits.stratified(labels, 0, np.random.default_rng(0))) == 0
    with pytest.raises(ValueError, match="n=808"):
        splits.stratified(labels, 808, np.random.default_rng(0))


# --- the loops ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def letters():
    """Return features and labels of 1,500 made-up items of 26 classes, some hard to tell apart."""
    rng = np.random.default_rng(0)
    labels = labels_of(1_500, 40)
    centres = rng.normal(0, 1, (26, 24))
    centres[13:] = centres[:13] + rng.normal(0, 0.35, (13, 24))
    features = centres[labels] + rng.normal(0, 0.6, (len(labels), 24))
    return (5 * features).astype(np.float32), labels  # as large as features of VGG16


@pytest.fixture(scope="module")
def rounds(letters):
    """Return the rounds of all loops on two draws."""
    return pd.concat(
        [loops.run_loops(*letters, 26, "as_stated", seed, rounds=2) for seed in (0, 1)],
        ignore_index=True,
    )


def test_all_loops_of_a_draw_start_alike(rounds):
    first = rounds[rounds["round"] == 0]
    for _, of_seed in first.groupby("seed"):
        assert set(of_seed["arm"]) == set(loops.LOOPS)
        for column in ("n_human", "share_unsure", "pool_accuracy", "test_accuracy"):
            assert len(set(of_seed[column])) == 1
    assert first.groupby("arm")["pool_accuracy"].nunique().eq(2).all()  # two draws, two results


def test_loops_by_chance_label_as_many_as_those_they_are_compared_with(rounds):
    counts = rounds.pivot_table("n_human", ["seed", "round"], "arm")
    np.testing.assert_array_equal(counts["random"], counts["as_intended"])
    np.testing.assert_array_equal(counts["random_as_published"], counts["as_published"])
    assert counts["as_intended"].groupby("round").max().is_monotonic_increasing


def test_the_intended_loop_labels_the_unsure_ones_and_the_published_as_chance_does(rounds):
    moved = rounds[rounds["n_moved"] > 0]
    intended = moved[moved["arm"] == "as_intended"]
    np.testing.assert_allclose(intended["n_moved"] / intended["n_pool"], intended["share_unsure"])
    assert (intended["moved_unsure"] == 1).all()
    published = moved[moved["arm"] == "as_published"]
    np.testing.assert_allclose(
        published["n_moved"] / published["n_pool"], published["share_counted"]
    )
    # no better than chance: about the share of unsure ones in the pool
    assert (published["moved_unsure"] < published["share_unsure"] + 0.2).all()


def test_one_first_training_for_all_loops_changes_nothing(letters, rounds):
    features, labels = letters
    parts = splits.split(labels, "as_stated", 0)
    for arm in ("as_published", "as_intended"):
        head = loops.new_head(26, 0, 10)  # trained by the loop itself, the first time too
        alone = loops.run_loop(
            arm, features, labels, parts, head, min_rounds=2, max_rounds=2
        ).rounds
        shared = rounds[(rounds["seed"] == 0) & (rounds["arm"] == arm)]
        shared = shared.drop(columns="seed").reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, shared, check_exact=True)


def test_a_round_is_what_training_and_looking_by_hand_gives(letters):
    features, labels = letters
    parts = splits.split(labels, "as_stated", 5)
    done = loops.run_loop(
        "as_intended", features, labels, parts, DenseHead(26, rng=np.random.default_rng(9)),
        max_rounds=1,
    )  # fmt: skip
    head = DenseHead(26, rng=np.random.default_rng(9))
    head.fit(features[parts.start], labels[parts.start])
    probabilities = head.predict_proba(features[parts.pool])
    low = probabilities.max(1) < 0.6
    head.fit(
        np.concatenate([features[parts.start], features[parts.pool[low]]]),
        np.concatenate([labels[parts.start], labels[parts.pool[low]]]),
    )
    first, second = done.rounds.to_dict("records")
    assert first["share_unsure"] == low.mean() and first["n_moved"] == low.sum()
    assert first["pool_accuracy"] == (probabilities.argmax(1) == labels[parts.pool]).mean()
    kept = parts.pool[~low]
    expected = head.predict_proba(features[kept]).argmax(1) == labels[kept]
    assert second["pool_accuracy"] == expected.mean() and second["n_pool"] == len(kept)
    np.testing.assert_array_equal(done.pool, kept)
    assert done.labelled.tolist() == [*parts.start, *parts.pool[low]]
    test = head.predict_proba(features[parts.test]).argmax(1) == labels[parts.test]
    assert second["test_accuracy"] == test.mean() and second["n_test"] == len(parts.test)
    by_item = loops.right_items(second["test_right"], parts, len(labels))
    assert np.array_equal(np.flatnonzero(~np.isnan(by_item)), loops.untouched(parts))
    assert np.nanmean(by_item) == second["test_accuracy"]


def test_the_loop_ends_by_its_own_count(letters):
    features, labels = letters
    parts = splits.split(labels, "as_stated", 0)

    def rounds_of(loop, **options):
        head = DenseHead(26, rng=np.random.default_rng(0))
        return loops.run_loop(loop, features, labels, parts, head, **options).rounds

    first = rounds_of("as_intended", max_rounds=0).iloc[0]
    between = (first["share_counted"] + first["share_unsure"]) / 2
    # At a limit between the two counts, the published loop stops where the intended one goes on.
    assert len(rounds_of("as_published", stop_share=between)) == 1
    assert len(rounds_of("as_intended", stop_share=between)) > 1
    assert len(rounds_of("as_published", stop_share=between, min_rounds=2)) == 3
    # nothing is ever unsure at a threshold of zero: it ends, whatever it was told
    assert len(rounds_of("as_intended", threshold=0.0, stop_share=-1.0)) == 1


def test_test_letters_that_a_loop_can_touch_are_not_tested_on(letters):
    features, labels = letters
    parts = splits.split(labels, "as_stated", 0)
    touched = np.concatenate([parts.start[:50], parts.pool[:50], parts.test])
    shared = splits.Split(parts.start, parts.pool, touched, True, "")
    options = {"max_rounds": 0}
    one, two = (
        loops.run_loop("as_intended", features, labels, p, DenseHead(26, rng=1), **options)
        for p in (parts, shared)
    )
    for column in ("n_test", "test_accuracy", "test_f1_macro"):
        assert one.rounds[column][0] == two.rounds[column][0]


def test_letters_of_the_pool_are_not_called_test_letters(letters):
    # As on the real sample: too small for 3,640 first labels without the test letters.
    features, labels = letters
    parts = splits.split(labels, "as_stated", 0)
    inside = splits.Split(parts.start, parts.pool, parts.pool[:200], True, "")
    rounds = loops.run_loop(
        "as_published", features, labels, inside, DenseHead(26, rng=1), max_rounds=0
    ).rounds.assign(seed=0)
    assert rounds["n_test"].tolist() == [0] and rounds["test_accuracy"].isna().all()
    assert set(loops.metrics(rounds, "as_logged")["split"]) == {"pool"}


def test_a_wholly_unsure_pool_is_labelled_but_for_one(letters):
    options = {"epochs": 2, "rounds": 2, "threshold": 1.0}
    rounds = loops.run_loops(*letters, 26, "as_stated", 0, **options)
    last = rounds.groupby("arm").last()
    first = rounds[rounds["round"] == 0].set_index("arm")
    total = first.loc["as_intended", ["n_human", "n_pool"]].sum()
    assert last.loc["as_intended", ["n_human", "n_pool"]].tolist() == [total - 1, 1]
    assert last.loc["random", "n_human"] == total - 1
    assert last["pool_accuracy"].notna().all()


def test_loops_with_other_numbers_of_labels_are_not_compared(rounds):
    assert loops.comparable(rounds, "as_intended", "random")
    half = rounds.assign(
        n_human=rounds["n_human"].where(rounds["arm"] != "as_published", rounds["n_human"] // 2)
    )
    assert not loops.comparable(half, "as_intended", "as_published")
    assert not loops.comparable(half, "as_published", "as_intended")


def test_where_nothing_is_unsure_nothing_was_moved(letters):
    options = {"epochs": 2, "rounds": 2, "threshold": 0.0}
    rounds = loops.run_loops(*letters, 26, "as_stated", 0, **options)
    moved = loops.moved_unsure(rounds)
    assert list(moved.index) == list(loops.LOOPS) and moved.isna().all()
    assert (rounds["n_moved"] == 0).all() and loops.comparable(rounds, "as_intended", "random")


def test_rounds_after_a_loops_own_end_are_left_out():
    rounds = pd.DataFrame(
        {
            "seed": [0, 0, 0, 1, 1, 0],
            "arm": ["a", "a", "a", "a", "a", "b"],
            "round": [0, 1, 2, 0, 1, 0],
            "stops": [False, True, False, True, True, False],
        }
    )
    kept = loops.until_stop(rounds)
    assert list(zip(kept["seed"], kept["arm"], kept["round"], strict=True)) == [
        (0, "a", 0), (0, "a", 1), (1, "a", 0), (0, "b", 0),
    ]  # fmt: skip


def test_rounds_become_rows_of_the_results_table(rounds):
    from alutils.stats import tables

    long = loops.metrics(rounds, "as_stated")
    rows = tables.tidy(long, splits.VOCABULARY, run_id="r", experiment="az", n_auto=0)
    row = rounds[(rounds["arm"] == "as_published") & (rounds["round"] == 0)].iloc[0]

    def value(arm, split, metric):
        found = rows[
            (rows["arm"] == arm) & (rows["split"] == split) & (rows["metric"] == metric)
            & (rows["seed"] == 0) & (rows["round"] == 0)
        ]  # fmt: skip
        assert len(found) == 1
        return found.iloc[0]["value"]

    # each loop's own count of what is unsure
    assert value("as_published", "pool", "share_unsure") == row["share_counted"]
    assert value("as_intended", "pool", "share_unsure") == row["share_unsure"]
    assert value("as_published", "test", "f1_macro") == row["test_f1_macro"]


def test_a_loop_that_cannot_be_run_is_refused(letters):
    parts = splits.split(letters[1], "as_stated", 0)
    with pytest.raises(ValueError, match="loop=as_told"):
        loops.run_loop("as_told", *letters, parts, DenseHead(26))
    with pytest.raises(ValueError, match="the pool holds"):
        loops.run_loop("random", *letters, parts, DenseHead(26), counts=[10**6])


# --- real letters ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_on_real_letters_the_report_s_numbers_are_within_reach():
    path = SHARED / "az_sample.npz"
    if not path.is_file():
        pytest.skip("real letters are not beside the repository (../shared/data/az_sample.npz)")
    from alutils.models import embeddings

    with np.load(path) as file:
        features = np.asarray(embeddings.features(file["images"], progress=False))
        labels = file["labels"].astype(np.int64)
    first = pd.concat(
        [
            loops.run_loops(features, labels, 26, "as_logged", s, rounds=0, loops=["as_published"])
            for s in range(10)
        ]
    )
    assert set(first["n_human"]) == {3_640}
    assert abs(first["pool_accuracy"].mean() - 0.83465) < 0.025
    assert abs(first["share_unsure"].mean() - 0.09211) < 0.025
    assert abs(first["share_counted"].mean() - 0.09211) < 0.025
