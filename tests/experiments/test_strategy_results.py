"""What is said of learning curves, against closed forms and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alutils.active.strategies import registry
from alutils.base import manifest
from alutils.base.errors import ParameterError
from alutils.data.dataset import Dataset, as_float
from alutils.data.npz import write_npz
from alutils.experiments.strategies import comparison, curves, reference
from alutils.experiments.strategies import results as strategy_tables
from alutils.runs.publish import from_sweeps
from alutils.runs.sweeps import grids, sweep
from alutils.stats import intervals, tables


def table(curves_of, protocol="mnist_pixels", n_human=(10, 20, 40)):
    """Return rows of {(arm, seed): accuracies}."""
    return pd.DataFrame(
        {
            "protocol": protocol, "arm": arm, "seed": seed, "round": i, "n_human": n, "n_auto": 0,
            "split": "test", "metric": "accuracy", "value": value, "n_eval": 100,
        }
        for (arm, seed), values in curves_of.items()
        for i, (n, value) in enumerate(zip(n_human, values, strict=True))
    )  # fmt: skip


def test_the_area_of_a_straight_line_is_its_middle():
    rows = table({("random", 0): [0.2, 0.4, 0.8], ("margin", 0): [0.5, 0.5, 0.5]})
    areas = strategy_tables.areas(rows.sample(frac=1, random_state=0)).set_index("arm")
    assert areas.loc["random", "area"] == pytest.approx(0.5)
    assert areas.loc["margin", "area"] == pytest.approx(0.5)
    assert areas.loc["random", "last"] == 0.8


def test_labels_to_reach_are_read_off_between_rounds():
    rows = table({("a", 0): [0.2, 0.4, 0.8], ("b", 0): [0.9, 0.1, 0.1], ("c", 0): [0.1, 0.3, 0.2]})
    labels = strategy_tables.labels_to_reach(rows, 0.6).set_index("arm")["labels"]
    assert labels["a"] == pytest.approx(30) and labels["b"] == 10 and np.isnan(labels["c"])
    assert strategy_tables.labels_to_reach(rows, 0.3).set_index("arm")["labels"]["c"] == 20
    with pytest.raises(ValueError, match=r"target=1\.5"):
        strategy_tables.labels_to_reach(rows, 1.5)


def many(shift, n_seeds=12, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(0.5, 0.05, n_seeds)
    return table(
        {
            (arm, s): base[s] + gap + rng.normal(0, 0.005, 3)
            for arm, gap in {"random": 0.0, **shift}.items()
            for s in range(n_seeds)
        }
    )


def test_the_summary_tells_what_is_better_worse_and_neither():
    rows = many({"margin": 0.05, "bald": 0.0, "k_center_greedy": -0.05})
    out = strategy_tables.summary(rows, {("mnist_pixels", "margin"): 1.5}).set_index("arm")
    assert out["verdict"].to_dict() == {
        "margin": "better", "bald": "no better", "k_center_greedy": "worse", "random": "",
    }  # fmt: skip
    assert list(out.index) == ["margin", *out.index[1:3], "k_center_greedy"]
    assert (out["win"] + out["tie"] + out["loss"] == 12).all()
    assert (out.loc["margin", ["win", "loss"]] == [12, 0]).all()
    assert (out.loc["random", ["win", "tie", "loss"]] == [0, 12, 0]).all()
    assert out.loc["margin", "seconds"] == 1.5 and np.isnan(out.loc["bald", "seconds"])
    areas = strategy_tables.areas(rows).pivot(index="seed", columns="arm", values="area")
    test = stats.ttest_rel(areas["margin"], areas["random"])
    assert out.loc["margin", "p"] == pytest.approx(test.pvalue)
    assert out.loc["margin", "low"] == pytest.approx(test.confidence_interval(0.95).low)
    assert strategy_tables.no_better_than_random(out.reset_index()) == {
        "mnist_pixels": ["bald", "k_center_greedy"]
    }


def test_labels_that_few_seeds_reach_are_not_told_as_a_number():
    curves_of = {("random", s): [0.1, 0.2, 0.9 if s < 3 else 0.3] for s in range(7)}
    out = strategy_tables.summary(table(curves_of))
    assert np.isnan(out["labels_to_85"][0]) and out["reach_85"][0] == pytest.approx(3 / 7)
    curves_of |= {("random", s): [0.1, 0.2, 0.9] for s in range(4)}
    out = strategy_tables.summary(table(curves_of))
    assert 20 < out["labels_to_85"][0] < 40


def test_those_that_cannot_be_told_from_the_best_are_named():
    rows = many({"margin": 0.05, "badge": 0.0495, "bald": 0.0})
    out = strategy_tables.tied_for_best(rows)
    assert set(out["arm"]) == {"margin", "badge"} and out["arm"][0] == out["best"][0]
    assert (out["behind"] <= 0).all()


def test_mean_curves_have_students_interval():
    rows = many({})
    out = strategy_tables.mean_curves(rows).set_index("n_human")
    values = rows[rows["n_human"] == 20]["value"]
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert out.loc[20, ["mean", "low", "high"]].tolist() == pytest.approx(
        [values.mean(), low, high]
    )


def test_seeds_that_re_split_one_data_set_are_not_taken_for_independent_ones():
    rows = many({"margin": 0.004, "bald": 0.0})
    ratio = strategy_tables.TEST_TO_TRAIN["letters_vgg16"]
    assert ratio == pytest.approx(0.3 / 0.7)
    fixed = strategy_tables.summary(rows).set_index("arm")
    re_split = strategy_tables.summary(rows.assign(protocol="letters_vgg16")).set_index("arm")
    wider = (re_split["high"] - re_split["low"]) / (fixed["high"] - fixed["low"])
    assert wider[["margin", "bald"]].tolist() == pytest.approx([np.sqrt(1 + 12 * ratio)] * 2)
    assert fixed.loc["margin", "verdict"] == "better"
    assert re_split.loc["margin", "verdict"] == "no better"
    assert len(strategy_tables.tied_for_best(rows)) < 3
    assert len(strategy_tables.tied_for_best(rows.assign(protocol="letters"))) == 3
    own = strategy_tables.summary(rows, test_to_train={"mnist_pixels": ratio}).set_index("arm")
    assert own.loc["margin", "low"] == re_split.loc["margin", "low"]
    means = [
        strategy_tables.mean_curves(rows.assign(protocol=name))
        for name in ("mnist_pixels", "letters")
    ]
    fixed_width, wide = (mean["high"] - mean["low"] for mean in means)
    assert (wide / fixed_width).tolist() == pytest.approx([np.sqrt(1 + 12 * ratio)] * len(wide))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_bonferroni_does_and_nothing_out_of_order(p):
    p = np.array(p)
    rejected = intervals.holm(p)
    assert rejected[p <= 0.05 / len(p)].all()
    assert not rejected[p > 0.05].any()
    if rejected.any() and not rejected.all():
        assert p[rejected].max() <= p[~rejected].min()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table({("margin", 0): [0.1, 0.2, 0.3]}), "no curves of random"),
        (table({("random", 0): [0.1, 0.2, 0.3]}).query("round == 0"), "1 round"),
        (
            pd.concat(
                [
                    table({("random", 0): [0.1, 0.2, 0.3]}),
                    table({("margin", 0): [0.1, 0.2, 0.3]}, n_human=(5, 6, 7)),
                ]
            ),
            "different rounds",
        ),
        (
            table({("random", s): [0.1] * 3 for s in (0, 1)} | {("margin", 0): [0.1] * 3}),
            "margin lacks some seeds",
        ),
        (table({("random", 0): [0.1] * 3}).assign(metric="mcc"), "no rows"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        strategy_tables.summary(rows)


# --- the curves themselves ------------------------------------------------------------------------


def run(**parameters):
    return curves.run(curves.Settings(**parameters))


@pytest.fixture
def few_digits(digits, monkeypatch):
    """Let the curves draw from the article's digits: no download."""
    x, y, x_test, y_test = digits
    n, n_test = 600, 200
    both = np.concatenate([x[:n], x_test[:n_test]])
    labels = np.concatenate([y[:n], y_test[:n_test]])
    origin = curves.Source(both, labels, 10, np.arange(n), np.arange(n, n + n_test), "mnist")
    monkeypatch.setattr(curves, "source", lambda *_: origin)
    return origin


def test_a_curve_starts_alike_for_every_strategy_and_repeats_itself(few_digits):
    options = {"batch": 20, "budget": 60, "n_pool": 300, "seed": 3}
    margin = run(strategy="margin", **options)
    assert margin["n_human"].tolist() == [20, 40, 60]
    assert set(margin["protocol"]) == {"mnist_pixels"} and set(margin["n_eval"]) == {200}
    pd.testing.assert_frame_equal(margin, run(strategy="margin", **options))
    chance = run(strategy="random", **options)
    assert chance["value"][0] == margin["value"][0]
    assert not np.array_equal(chance["value"], margin["value"])
    assert not np.array_equal(
        margin["value"], run(strategy="margin", **options | {"seed": 4})["value"]
    )


def test_test_items_are_never_in_the_pool_where_there_are_none_of_their_own(
    few_digits, monkeypatch
):
    seen = []

    def watched(features, *arguments, **options):
        seen.append(features)
        return the_loop(features, *arguments, **options)

    the_loop = comparison.pool_based
    monkeypatch.setattr(comparison, "pool_based", watched)
    own = curves.Source(
        few_digits.x, few_digits.labels, 10, np.arange(800), np.empty(0, int), "mnist"
    )
    monkeypatch.setattr(curves, "source", lambda *_: own)
    rows = run(strategy="random", batch=10, budget=20, n_pool=4000)
    assert set(rows["n_eval"]) == {240} and len(seen[0]) == 560


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"setting": "mnist"}, "mnist_pixels"),
        ({"strategy": "badge2"}, "badge"),
        ({"seed": -1}, "seed=-1"),
        ({"batch": 0}, "batch=0"),
        ({"budget": 5000}, "budget=5000"),
        ({"n_pool": 20000}, "n_pool=20000"),
        ({"letters": ""}, "letters"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_at_once(bad, message, monkeypatch):
    monkeypatch.setattr(curves, "source", lambda *_: pytest.fail("work was begun"))
    with pytest.raises((ParameterError, ValueError), match=message):
        run(**bad)


def test_a_pool_smaller_than_the_budget_is_told(few_digits):
    with pytest.raises(ValueError, match="budget=700: the pool holds 600"):
        run(budget=700, batch=50)


def clothes(n):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 4, 4), dtype=np.uint8)
    return Dataset(images, np.arange(n) % 10, tuple("0123456789"), "fashion", "clothes")


def test_clothes_come_with_their_own_test_images(monkeypatch):
    parts = clothes(40), clothes(30)
    monkeypatch.setitem(curves._IN_TWO_PARTS, "fashion", lambda: parts)
    curves._with_test_images.cache_clear()
    try:
        origin = curves.source("fashion_pixels")
    finally:
        curves._with_test_images.cache_clear()
    assert origin.x.shape == (70, 16) and origin.provenance == "fashion"
    assert np.array_equal(origin.train, np.arange(40))
    assert np.array_equal(origin.x[origin.test[0]], as_float(parts[1].images[:1])[0])


def test_small_letters_are_drawn_once_and_tested_on_others(tmp_path, monkeypatch):
    path = write_npz(clothes(90), tmp_path / "lower.npz")
    monkeypatch.setattr(curves, "DRAWN_FROM", 40)
    one, again = (curves.source("lower_pixels", str(path)) for _ in range(2))
    assert len(one.train) == 40 and len(one.test) == 20
    assert not set(one.train) & set(one.test) and np.array_equal(one.x, again.x)
    monkeypatch.setattr(curves, "DRAWN_FROM", 400)
    few = curves.source("lower_pixels", str(path))
    assert len(few.train) == 60 and len(few.test) == 30


# --- publishing -----------------------------------------------------------------------------------


@pytest.fixture
def swept(tmp_path, few_digits, monkeypatch):
    """Return the folder of a small sweep of curves, and results/ of a repository to publish to."""
    content = {
        "name": "few", "experiment": "curve", "seeds": 2,
        "fixed": {"batch": 10, "budget": 30, "n_pool": 200},
        "grid": {"strategy": ["random", "margin"], "setting": ["mnist_pixels"]},
    }  # fmt: skip
    done = sweep.run(grids.parse(content), jobs=1, folder=tmp_path / "sweep")
    assert not done.failures
    (tmp_path / "results").mkdir()
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    return done.folder


def test_a_published_sweep_is_its_table_and_what_it_says(swept):
    written = from_sweeps.publish(swept)
    assert sorted(path.name for path in written) == [
        "few.csv", "few.manifest.json", "few_best.csv", "few_curves.csv", "few_gains.png",
        "few_summary.csv",
    ]  # fmt: skip
    texts = manifest.read_json(swept.parent / "results" / "findings.json")
    assert "margin" in texts["few_gains"]["finding"] and texts["few_gains"]["alt"]
    rows = tables.read(swept.parent / "results" / "few.csv")
    assert len(rows) == 2 * 2 * 3 and set(rows["arm"]) == {"random", "margin"}
    summary = pd.read_csv(swept.parent / "results" / "few_summary.csv")
    again = strategy_tables.summary(rows)
    np.testing.assert_allclose(summary["area"], again["area"], rtol=1e-5)
    assert (summary["seconds"] > 0).all()


def test_the_reference_tables_of_the_strategies_are_made_again_from_the_reference_curves():
    results = Path(__file__).parents[2] / "results"
    rows = tables.read(results / "strategies.csv")
    published = pd.read_csv(results / "strategies_summary.csv")
    seconds = published.set_index(["protocol", "arm"])["seconds"]
    runs_of = rows[["run_id", "protocol", "arm"]].drop_duplicates()
    took = seconds.loc[pd.MultiIndex.from_frame(runs_of[["protocol", "arm"]])].to_numpy()
    timings = pd.DataFrame({"run_id": runs_of["run_id"], "wall_s": took})
    made = strategy_tables.publish(rows, timings)
    assert list(made) == ["summary", "curves", "best"]
    for name, frame in made.items():
        there = pd.read_csv(results / f"strategies_{name}.csv")
        if name == "summary":
            there["verdict"] = there["verdict"].fillna("")  # of random, which has none
        pd.testing.assert_frame_equal(frame, there, rtol=1e-5, atol=1e-12, check_dtype=False)
    _, alt, finding = strategy_tables.figures(rows)["gains"]
    texts = manifest.read_json(results / "findings.json")
    assert texts["strategies_gains"] == {"alt": alt, "finding": finding, "of": "strategies"}


def test_the_grids_of_the_reference_benchmark_hold_every_strategy_setting_and_twenty_seeds():
    folder, seen = Path(__file__).parents[2] / "notebooks" / "sweeps", set()
    for name in ("strategies", reference.MORE):
        swept = [cell.parameters for cell in grids.read(folder / f"{name}.yaml").cells]
        settings = {cell["setting"] for cell in swept}
        assert {cell["strategy"] for cell in swept} == set(registry.STRATEGIES)
        assert len({cell["seed"] for cell in swept}) >= 20
        assert len(swept) == 20 * len(registry.STRATEGIES) * len(settings)
        seen |= settings
    assert seen == set(curves.SETTINGS) == set(strategy_tables.TITLES)
