"""The experiment that counts labels: its rows, checked against the truth that it was given."""

import itertools

import numpy as np
import pandas as pd
import pytest

from alutils.base.errors import ParameterError
from alutils.data import loading, mnist
from alutils.experiments.label_costs import fewest_labels, images, results
from alutils.experiments.label_costs.fewest_labels import ARMS, OF_AN_AUDIT, VOCABULARY, Settings
from alutils.guarantee.audit import CERTIFIED, run_audit
from alutils.guarantee.plans import plan_audit
from alutils.guarantee.terms import allowed_errors
from alutils.guarantee.weighted import plan_weighted_audit
from alutils.stats import tables

TINY = {
    "setting": "letters", "first": 60, "batch": 60, "budget": 180, "members": 1, "steps": 30,
    "by_hand": 20, "target": 0.6, "audit": 60, "expected_wrong": 0.2, "most": 120, "n_pool": 700,
}  # fmt: skip

KINDS = {"random": ("",), "active_unlabelled": ("", "_uniform")}
"""Of audits: a weighted one comes with a uniform one to compare it with."""


def run(**parameters):
    return fewest_labels.run(Settings(**parameters))


@pytest.fixture(autouse=True)
def few_letters(monkeypatch):
    """Put the article's digits in the place of letters: they are in the repository."""
    train, _ = mnist.mnist_article()
    monkeypatch.setattr(loading, "load", lambda spec: train.take(np.arange(1000)))


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:
        train, _ = mnist.mnist_article()
        patch.setattr(loading, "load", lambda spec: train.take(np.arange(1000)))
        return {arm: run(arm=arm, weighted=len(kinds) > 1, **TINY) for arm, kinds in KINDS.items()}


def value(table, metric, number):
    row = table[(table["metric"] == metric) & (table["round"] == number)]
    assert len(row) == 1
    return row["value"].iloc[0]


@pytest.mark.slow
def test_rows_are_of_the_long_table_and_every_round_is_there(rows):
    for arm, table in rows.items():
        tidy = tables.tidy(table, VOCABULARY, run_id="x", experiment="fewest_labels")
        assert set(tidy["arm"]) == {arm}
        assert sorted(tidy["round"].unique()) == [0, 1, 2]
        assert list(tidy.groupby("round")["n_human"].first()) == [60, 120, 180]
        assert set(tidy["metric"]) == {
            "accuracy", "n_wrong", "auto_coverage", "auto_precision",
        } | {name + kind for name in OF_AN_AUDIT for kind in KINDS[arm]}  # fmt: skip


@pytest.mark.slow
def test_the_cost_is_what_was_trained_on_by_hand_and_audited(rows):
    certified = 0
    for arm, table in rows.items():
        for number, kind in itertools.product(range(3), KINDS[arm]):
            n_human = 60 * (1 + number)
            cost, audited, left = (
                value(table, name + kind, number)
                for name in ("labels_to_certify", "labels_audit", "wrong_left")
            )
            assert np.isnan(cost) == np.isnan(left)
            expected, chance = (
                value(table, name + kind, number) for name in ("labels_expected", "accept_chance")
            )
            assert expected >= n_human + TINY["by_hand"]
            assert 0 <= chance <= 1
            if not np.isnan(cost):
                certified += 1
                assert cost == n_human + TINY["by_hand"] + audited
                assert left <= value(table, "n_wrong", number)
    assert certified


def test_what_is_expected_of_an_audit_is_what_audits_of_the_same_model_come_to():
    rng = np.random.default_rng(0)
    doubt = rng.uniform(0, 0.02, 2000) ** 2 / 0.02
    wrong = rng.random(2000) < doubt
    plans = [
        plan_audit(2000, 40, rate=0.004, most=400),
        plan_weighted_audit(doubt, 40, rate=0.004, most=400),
    ]
    for plan in plans:
        labels, accepted = fewest_labels._expected(plan, wrong, np.random.default_rng(1))
        audits = [run_audit(plan, wrong, rng) for _ in range(2000)]
        assert labels == pytest.approx(np.mean([audit.n_used for audit in audits]), rel=0.1)
        certified = np.mean([audit.decision == CERTIFIED for audit in audits])
        assert accepted == pytest.approx(certified, abs=0.1)
        assert certified > 0.3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows_and_the_same_first_labels_for_all_arms(rows):
    again = run(arm="random", **TINY)
    pd.testing.assert_frame_equal(again, rows["random"])
    other = run(arm="random", seed=1, **TINY)
    assert value(other, "n_wrong", 0) != value(again, "n_wrong", 0)
    first = run(arm="active", **TINY)
    assert value(first, "accuracy", 0) == value(again, "accuracy", 0)


@pytest.mark.slow
def test_growth_makes_rounds_of_a_share_of_the_labels_so_far():
    table = run(arm="random", **(TINY | {"growth": 1.0, "budget": 300, "steps": 2, "audit": 0}))
    assert list(table.groupby("round")["n_human"].first()) == [60, 120, 240, 300]
    assert "auto_coverage" not in set(table["metric"])


@pytest.mark.slow
def test_one_more_training_on_the_whole_budget_comes_last():
    table = run(arm="random", **(TINY | {"budget": 60, "last_members": 2, "last_steps": 60}))
    assert list(table.groupby("round")["n_human"].first()) == [60, 60]
    assert value(table, "accuracy", 1) != value(table, "accuracy", 0)


def test_test_letters_are_a_fifth_and_none_of_the_pool():
    data = images.source("letters", seed=3)
    assert (len(data.labels), len(data.test_labels)) == (800, 200)
    pool = {image.tobytes() for image in data.images}
    assert not pool & {image.tobytes() for image in data.test_images}
    other = images.source("letters", seed=4)
    assert not np.array_equal(data.test_images, other.test_images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"setting": "digits"}, "setting=digits"),
        ({"arm": "actve"}, "arm=actve.*active"),
        ({"arm": "active_rendered"}, "rendered themselves"),
        ({"arm": "active_rendered", "setting": "mnist"}, "only letters"),
        ({"seed": -1}, "seed=-1"),
        ({"steps": 0}, "steps=0"),
        ({"target": 1.0}, "target=1"),
        ({"growth": 1.5}, "growth=1.5"),
        ({"expected_wrong": 0.0}, "expected_wrong=0"),
        ({"most": 0}, "most=0"),
        ({"batch": 0}, "batch=0"),
        ({"budget": 800}, "budget=800"),
        ({"budget": 700, "n_pool": 700}, "budget=700.*700 items"),
        ({"most": 1}, "most=1"),
        ({"expected_wrong": 0.5, "target": 0.9}, "expected_wrong=0.5.*target=0.9.*less than 0.1"),
        ({"expected_wrong": 0.02, "target": 0.98}, "expected_wrong=0.02.*target=0.98"),
        ({"setting": "article", "n_pool": 4001}, "article has 4000"),
        ({"setting": "article", "n_pool": 0, "budget": 5000}, "budget=5000"),
    ],
)
def test_values_that_cannot_be_used_are_refused_before_any_work(change, message):
    with pytest.raises((ParameterError, ValueError), match=message):
        Settings(**(TINY | change))


def made_up(protocol="mnist", n_eval=60_000):
    """Return rows as the sweep leaves them: two arms, three seeds, one of them refused."""
    records = []
    for arm, base in (("random", 6000), ("active_unlabelled", 700)):
        for seed in range(3):
            refused = arm == "random" and seed == 2
            for number, n_human in enumerate((base // 2, base, base)):
                key = {"arm": arm, "seed": seed, "round": number, "n_human": n_human, "n_auto": 0}
                last = number == 2
                wrong = np.nan if refused or not last else 650.0 - 100 * seed
                for metric, split, number_of, many in (
                    ("accuracy", "test", 0.8 + 0.05 * number + 0.01 * seed, 10_000),
                    (
                        "labels_to_certify",
                        "pool",
                        np.nan if np.isnan(wrong) else base + 900,
                        n_eval,
                    ),
                    ("labels_audit", "pool", 800.0, n_eval),
                    ("wrong_left", "pool", wrong, n_eval),
                ):
                    records.append(
                        key | {"metric": metric, "split": split, "value": number_of, "n_eval": many}
                    )
    table = pd.DataFrame(records).assign(protocol=protocol, experiment="fewest_labels")
    return table.assign(run_id=table["arm"] + table["seed"].astype(str))


def test_the_summary_counts_what_was_certified_and_what_was_broken():
    table = made_up()
    timings = pd.DataFrame({"run_id": table["run_id"].unique(), "wall_s": 60.0})
    summary = results.summary(table, timings).set_index(["arm", "metric"])
    assert allowed_errors(60_000, results.TARGETS["mnist"]) == 600
    assert summary.loc[("random", "certified"), "mean"] == pytest.approx(2 / 3)
    assert summary.loc[("random", "broken"), "mean"] == pytest.approx(
        1 / 3
    )  # 650 wrong, 600 may be
    assert summary.loc[("active_unlabelled", "certified"), "mean"] == 1
    cost = summary.loc[("random", "labels_to_certify")]
    assert (cost["seeds"], cost["of"], cost["mean"]) == (2, 3, 6900)
    assert summary.loc[("random", "n_human"), "mean"] == 6000
    assert summary.loc[("random", "wall_s"), "mean"] == 60


def test_labels_to_reach_stand_beside_what_was_published():
    table = made_up("letters", 4000)
    goal = results.published("letters")
    assert 0.83 < goal < 0.84
    summary = results.summary(table).set_index(["arm", "metric"])
    assert 350 < summary.loc[("active_unlabelled", "labels_to_reach"), "mean"] < 700
    assert results.published("mnist") is None


def test_the_curves_have_a_panel_a_setting():
    figures = results.figures(pd.concat([made_up(), made_up("letters", 4000)]))
    assert set(figures) == {"curves"}
    drawn, _, finding = figures["curves"]
    assert len(drawn.axes) == 2
    assert not [name for name in ARMS if "_" in name and name in finding]


def test_the_table_gives_the_size_of_the_pool_in_every_row_and_is_no_wider_than_eight_columns():
    table = pd.concat([made_up(), made_up("letters", 4227)])
    wrong = table[table["metric"] == "wrong_left"].assign(metric="n_wrong", value=100.0)
    shown = results.as_table(results.summary(pd.concat([table, wrong])))
    assert list(shown["pool, right"].unique()) == [
        "60,000 digits, 99%", "4,227 capital letters, 98%",
    ]  # fmt: skip
    assert len(shown) == 4 and len(shown.columns) <= 8
    first = shown.iloc[1]
    assert first["human labels for the whole pool, certified"].startswith(
        "1,600 (1,600 to 1,600), "
    )
    assert "2.7% of the pool" in first["human labels for the whole pool, certified"]
    assert first["audits that certified (of these, untrue)"] == "3 of 3 (1)"


def test_audits_draw_from_no_stream_of_a_network():
    """NumPy fills seeds up with zeros, so different lists can be one stream."""

    def beginning(*key):
        return tuple(np.random.default_rng(list(key)).integers(0, 2**62, 4))

    for seed in (0, 3):
        audits = {
            tuple(fewest_labels._audit_chance(seed, k).integers(0, 2**62, 4)) for k in range(30)
        }
        networks = {beginning(seed, m, *v) for m in range(20) for v in ((), (1,))}
        assert len(audits) == 30
        assert not audits & networks


def test_every_arm_has_a_name_and_rendered_characters_are_told_apart():
    for arm in ARMS:
        assert arm in results.ARMS
    assert [arm for arm, how in ARMS.items() if how.rendered] == ["active_rendered"]
