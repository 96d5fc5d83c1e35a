"""Wrong human labels: the search for them, simulated audits, and the sweep's cell as a whole."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alutils.active.oracles import Costly, Noisy, Perfect
from alutils.base import files
from alutils.base.errors import ParameterError
from alutils.data import mnist
from alutils.experiments.label_costs import noisy_humans, noisy_results
from alutils.experiments.label_costs.images import Images
from alutils.experiments.label_costs.noisy_humans import ARMS, MEASURED, TARGETS, Model
from alutils.guarantee.simulation import Audits
from alutils.guarantee.thresholds import THRESHOLDS, certify
from alutils.runs.sweeps import grids
from alutils.stats import tables

TINY = {
    "n_pool": 300, "batch": 30, "budget": 60, "steps": 20, "folds": 2, "fold_steps": 20,
    "final_steps": 20, "n_audit": 100, "audits": 20,
}  # fmt: skip


def run(**parameters):
    return noisy_humans.run(noisy_humans.Settings(**parameters))


class Script:
    """An oracle that gives each item's answers one after the other, and notes what it is asked."""

    def __init__(self, answers):
        self.answers = {item: list(given) for item, given in answers.items()}
        self.asked = []

    def __call__(self, items):
        self.asked.append(list(items))
        return np.array([self.answers[item].pop(0) for item in items], np.int64)


def made_up(n=3000, seed=0, n_classes=10):
    """Return a model whose errors grow towards low confidence."""
    rng = np.random.default_rng(seed)
    confidence = 1 - 0.6 * rng.beta(0.25, 2.0, n)
    truth = rng.integers(0, n_classes, n)
    off = rng.random(n) > 1 - 0.5 * (1 - confidence)
    predicted = (truth + off * rng.integers(1, n_classes, n)) % n_classes
    return Model(confidence, predicted, truth)


# --- answers --------------------------------------------------------------------------------------


def test_a_third_person_is_asked_only_where_two_differ_and_decides():
    people = Script({7: [1], 8: [5, 2], 9: [5, 6]})
    answers = noisy_humans.settled(np.array([1, 2, 2]), np.array([7, 8, 9]), people)
    assert answers.tolist() == [1, 2, 6]
    assert people.asked == [[7, 8, 9], [8, 9]]


def test_settling_keeps_the_answers_that_it_was_given():
    first = np.array([1, 2])
    noisy_humans.settled(first, np.array([0, 1]), Script({0: [3, 3], 1: [2]}))
    assert first.tolist() == [1, 2]


def test_the_search_is_judged_as_by_hand():
    is_wrong = np.array([True, False, True, False, True, False])
    found = noisy_humans.search_quality(np.array([4, 1, 0]), is_wrong)
    assert found == {
        "n_suspects": 3, "n_suspects_wrong": 2,
        "suspects_precision": 2 / 3, "suspects_recall": 2 / 3,
    }  # fmt: skip
    none = noisy_humans.search_quality(np.array([], int), is_wrong)
    assert np.isnan(none["suspects_precision"]) and none["suspects_recall"] == 0
    clean = noisy_humans.search_quality(np.array([2]), np.zeros(3, bool))
    assert clean["suspects_precision"] == 0 and np.isnan(clean["suspects_recall"])


# --- audits ---------------------------------------------------------------------------------------


def drawn(model, arm, rate=0.05, seed=0, n_audit=400, audits=60):
    oracle = Costly(
        Noisy.at_rate(Perfect(model.truth), rate, 10, np.random.default_rng([seed, 1])), 1.0
    )
    rng = np.random.default_rng([seed, 0])
    found = noisy_humans.simulate(model, oracle, arm, rng, n_audit, audits)
    return found, oracle.n_asked


@pytest.mark.parametrize(("arm", "rate"), [("right", 0.0), ("wrong", 0.01), ("asked_again", 0.05)])
def test_guarantees_are_those_of_certify_audit_by_audit(arm, rate):
    model = made_up()
    audits, _ = drawn(model, arm, rate)
    got = noisy_humans.guarantees(model, audits)
    seen = set()
    for target in TARGETS:
        certified, coverage, broken = [], [], []
        for confidence, right in zip(audits.confidence, audits.right, strict=True):
            threshold = certify(
                confidence, right, target=target, level=0.95, thresholds=THRESHOLDS
            ).threshold
            above = model.confidence >= (np.inf if threshold is None else threshold)
            true = model.predicted[above] == model.truth[above]
            certified.append(threshold is not None)
            coverage.append(above.mean())
            broken.append(bool(above.any()) and true.mean() < target)
        name = f"{100 * target:g}"
        assert got[f"certified_{name}"] == np.mean(certified)
        assert got[f"auto_coverage_{name}"] == pytest.approx(np.mean(coverage), abs=1e-12)
        assert got[f"broken_{name}"] == np.mean(broken)
        aboves = [model.confidence >= threshold for threshold in THRESHOLDS]
        true = [np.mean((model.predicted == model.truth)[above]) for above in aboves]
        assert got[f"untrue_{name}"] == np.mean([share < target for share in true])
        seen |= set(certified)
    assert True in seen  # else nothing was compared but refusals


def test_a_promise_that_right_looking_audits_make_is_broken_by_the_truth():
    """All answers are as the model says, half of them are wrong: only the truth can tell."""
    n = 600
    model = Model(np.full(n, 0.995), np.zeros(n, int), np.arange(n) % 2)
    fooled = Audits(np.full((3, 400), 0.995), np.ones((3, 400), bool))
    got = noisy_humans.guarantees(model, fooled)
    assert got["certified_99"] == got["broken_99"] == got["auto_coverage_99"] == 1
    honest = Model(model.confidence, model.truth, model.truth)
    assert noisy_humans.guarantees(honest, fooled)["broken_99"] == 0


def test_right_people_break_no_more_promises_than_the_level_allows():
    model = made_up(seed=3)
    audits, _ = drawn(model, "right", 0.0, n_audit=600, audits=300)
    got = noisy_humans.guarantees(model, audits, (0.98,))
    assert got["untrue_98"] > 0  # or nothing could be broken
    assert got["certified_98"] > 0.5
    broken = round(300 * got["broken_98"])
    assert stats.binomtest(broken, 300, 0.05, "greater").pvalue > 0.001


def test_an_audit_asks_again_whoever_disagrees_with_the_model_and_nobody_else():
    model = Model(np.full(4, 0.9), np.array([1, 1, 1, 1]), np.array([1, 1, 1, 2]))
    people = Script({0: [1], 1: [3, 1], 2: [3, 4], 3: [2, 2]})
    rng = np.random.default_rng(0)
    (right,) = noisy_humans.simulate(model, people, "asked_again", rng, 4, 1).right
    first, again = people.asked
    assert sorted(first) == [0, 1, 2, 3] and sorted(again) == [1, 2, 3]
    assert {item: bool(r) for item, r in zip(first, right, strict=True)} == {
        0: True, 1: True, 2: False, 3: False,
    }  # fmt: skip


def test_what_each_arm_asks_and_sees_is_what_chance_says():
    model = made_up(n=2000)
    perfect = Model(model.confidence, model.truth, model.truth)
    n, rate = 400 * 60, 0.05
    seen = {arm: drawn(perfect, arm, 0 if arm == "right" else rate) for arm in ARMS}
    wrong = {arm: (~audits.right).sum() for arm, (audits, _) in seen.items()}
    asked = {arm: n_asked for arm, (_, n_asked) in seen.items()}
    assert wrong["right"] == 0 and asked["right"] == asked["wrong"] == n
    # Of a model that is always right: an answer looks wrong where people were wrong as often as
    # needed; two of them differ unless both are right, or wrong alike.
    differ = 1 - (1 - rate) ** 2 - rate**2 / 9
    expected = {
        "wrong": rate, "asked_again": rate**2,
        "asked_everyone_twice": rate**2 / 9 + differ * rate,
    }  # fmt: skip
    for arm, p in expected.items():
        assert stats.binomtest(int(wrong[arm]), n, p).pvalue > 0.001, arm
    assert stats.binomtest(asked["asked_again"] - n, n, rate).pvalue > 0.001
    assert stats.binomtest(asked["asked_everyone_twice"] - 2 * n, n, differ).pvalue > 0.001


# --- a cell ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few_digits():
    """Let cells draw from the article's digits: no download."""
    patch = pytest.MonkeyPatch()
    train, test = mnist.mnist_article()

    def source(_, n_pool):
        pool = train.take(np.arange(n_pool))
        return Images(pool.images, pool.labels, test.images, test.labels, 10, "mnist")

    patch.setattr(noisy_humans, "source", source)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def cells(few_digits):
    """Return the rows of a tiny cell of each arm, people wrong very often."""
    return {arm: run(arm=arm, seed=1, wrong=0.2, **TINY) for arm in ARMS}


def of(rows):
    return rows.set_index("metric")["value"]


@pytest.mark.slow
def test_cells_are_rows_of_the_long_table(cells):
    for arm, rows in cells.items():
        table = tables.tidy(rows, noisy_humans.VOCABULARY, run_id="a", experiment="noisy_humans")
        assert set(table["arm"]) == {arm} and set(table["seed"]) == {1}
        searched = {metric for metric in MEASURED if "suspects" in metric}
        assert set(table["metric"]) == set(MEASURED) - (set() if arm == "asked_again" else searched)
        assert dict(zip(table["split"], table["n_eval"], strict=True)) == {
            "pool": 60, "test": 400, "audit": 20,
        }  # fmt: skip


@pytest.mark.slow
def test_a_seed_gives_the_same_cell_and_another_seed_another_one(cells):
    again = run(arm="asked_again", seed=1, wrong=0.2, **TINY)
    pd.testing.assert_frame_equal(again, cells["asked_again"])
    other = run(arm="asked_again", seed=2, wrong=0.2, **TINY)
    assert not of(other).equals(of(again))


@pytest.mark.slow
def test_arms_meet_the_same_wrong_answers_and_count_every_question(cells):
    right, wrong, again, twice = (of(cells[arm]) for arm in ARMS)
    assert right["wrong_labels_first"] == right["wrong_labels"] == 0
    assert wrong["wrong_labels_first"] == wrong["wrong_labels"] > 0
    assert again["wrong_labels_first"] == wrong["wrong_labels_first"]
    assert twice["wrong_labels"] < twice["wrong_labels_first"]
    assert right["human_answers"] == wrong["human_answers"] == 60 + 100
    # Everyone twice, and a third time where two differ, which people so often wrong do.
    assert (cells["asked_everyone_twice"]["n_human"] > 2 * 60).all()
    asked = cells["asked_again"]["n_human"].unique()
    suspects = again["n_suspects"]
    assert len(asked) == 1 and 60 + suspects <= asked[0] <= 60 + 2 * suspects
    assert again["human_answers"] > asked[0] + 100


@pytest.mark.slow
def test_only_suspects_are_asked_again_and_their_third_answers_are_trained_on(
    few_digits, monkeypatch
):
    """Suspects are the first ten labels, whatever they are, and every answer is wrong."""
    from alutils.guarantee import label_errors

    seen = {}

    def found(labels, probabilities):
        seen["labels"] = labels.copy()
        errors = label_errors.find_label_errors(labels, probabilities)
        return label_errors.LabelErrors(
            **{**vars(errors), "suspects": np.arange(10), "suggested": labels[:10]}
        )

    class Network(noisy_humans.ConvNet):
        def fit(self, x, y):
            seen["trained_on"] = y.copy()
            return super().fit(x, y)

    monkeypatch.setattr(noisy_humans, "find_label_errors", found)
    monkeypatch.setattr(noisy_humans, "ConvNet", Network)
    cell = run(arm="asked_again", seed=1, wrong=1.0, **TINY)
    rows = of(cell)
    assert rows["wrong_labels_first"] == 60 and rows["n_suspects"] == 10
    assert rows["suspects_precision"] == 1 and rows["suspects_recall"] == 10 / 60
    np.testing.assert_array_equal(seen["trained_on"][10:], seen["labels"][10:])
    changed = np.count_nonzero(seen["trained_on"][:10] != seen["labels"][:10])
    assert 1 <= changed <= cell["n_human"][0] - 60 - 10 <= 10  # a third answer each, at most


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"arm": "asked_agian"}, "arm=asked_agian.*asked_again"),
        ({"seed": -1}, "seed=-1"),
        ({"wrong": 1.5}, "wrong=1.5"),
        ({"wrong": float("nan")}, "wrong=nan"),
        ({"n_pool": 60_001}, "n_pool=60001"),
        ({"n_pool": 0}, "n_pool=0"),
        ({"batch": 0}, "batch=0"),
        ({"budget": 30_000}, "budget=30000"),
        ({"steps": 0}, "steps=0"),
        ({"fold_steps": 0}, "fold_steps=0"),
        ({"final_steps": -3}, "final_steps=-3"),
        ({"folds": 1}, "folds=1"),
        ({"folds": 601}, "folds=601"),
        ({"n_audit": 0}, "n_audit=0"),
        ({"n_audit": 19_401}, "n_audit=19401.*19400"),
        ({"audits": 0}, "audits=0"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_at_once(bad, message, monkeypatch):
    monkeypatch.setattr(noisy_humans, "source", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises((ParameterError, ValueError), match=message):
        run(**bad)


# --- the sweep and what it says -------------------------------------------------------------------


def test_the_sweep_file_has_every_arm_and_three_seeds():
    grid = grids.read(files.repository_root() / "notebooks" / "sweeps" / "noisy_humans.yaml")
    parameters = [cell.parameters for cell in grid.cells]
    assert {(p["arm"], p["seed"]) for p in parameters} == {(a, s) for a in ARMS for s in range(3)}
    assert {p["audits"] for p in parameters} == {1000} and {p["wrong"] for p in parameters} == {
        0.05
    }


def swept(coverage, n_seeds=3):
    """Return made-up rows: {arm: coverage of each seed}, everything else from the arm's place."""
    rows = []
    for place, arm in enumerate(ARMS):
        for seed in range(n_seeds):
            values = dict.fromkeys(MEASURED, 0.01 * place)
            values |= {"wrong_labels_first": 30.0, "human_answers": 1600.0 + 100 * place}
            values["auto_coverage_99"] = coverage[arm][seed]
            rows += [
                {"run_id": f"noisy_humans-{arm}{seed}", "arm": arm, "seed": seed, "metric": metric,
                 "value": value, "n_eval": 600}
                for metric, value in values.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


COVERAGE = {
    "right": [0.9, 0.92, 0.94], "wrong": [0.0, 0.0, 0.0], "asked_again": [0.8, 0.7, 0.9],
    "asked_everyone_twice": [0.5, 0.5, 0.5],
}  # fmt: skip


def test_the_summary_holds_means_and_student_intervals():
    table = swept(COVERAGE)
    timings = table[["run_id"]].drop_duplicates().assign(wall_s=[10.0, 20.0, 30.0] * 4)
    published = noisy_results.publish(table, timings)["summary"]
    told = published.set_index(["arm", "metric"])
    row = told.loc["asked_again", "auto_coverage_99"]
    half = stats.t.ppf(0.975, 2) * np.std([0.8, 0.7, 0.9], ddof=1) / np.sqrt(3)
    assert row["mean"] == pytest.approx(0.8) and row["seeds"] == 3
    assert row["low"] == pytest.approx(0.8 - half)
    assert row["high"] == 1 < 0.8 + half  # a share is 1 at most
    assert told.loc["wrong", "wall_s"]["mean"] == 20
    assert row["measured"] == "share labelled automatically, certified 99%"
    assert set(published["metric"]) == {*MEASURED, "wall_s"}


def test_one_seed_has_no_interval_and_undefined_values_are_not_counted():
    table = swept(COVERAGE, n_seeds=2)
    table.loc[(table["metric"] == "suspects_recall") & (table["seed"] == 0), "value"] = np.nan
    row = noisy_results.summary(table).set_index(["arm", "metric"]).loc["wrong", "suspects_recall"]
    assert (
        row["seeds"] == 1 and row["mean"] == 0.01 and np.isnan(row[["low", "high"]].tolist()).all()
    )


def test_the_finding_follows_the_table():
    figure, alt, finding = noisy_results.figures(swept(COVERAGE))["guarantee"]
    for text in (
        "92.0%",
        "5.0% of the labels are wrong",
        "80.0%",
        "1,800 human answers instead of 1,700",
        "do more than 3.0%",
    ):
        assert text in finding
    assert "1,900" in finding and len(alt) > 50
    assert "18 of 24 promises" in finding  # all but those of the first arm, where all is 0
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list(ARMS.values())
    other, _, said = noisy_results.figures(swept(COVERAGE | {"asked_again": [0.4] * 3}))[
        "guarantee"
    ]
    assert "40.0%" in said and "80.0%" not in said
    dots = [[c.lines[0].get_xdata()[2] for c in f.axes[0].containers] for f in (figure, other)]
    assert dots[0][0] == pytest.approx(80) and dots[1][0] == pytest.approx(40)


def test_no_share_and_no_interval_is_drawn_below_0_or_above_100():
    table = swept(COVERAGE | {"asked_again": [0.0, 0.0, 0.3], "right": [1.0, 1.0, 0.7]})
    broken = (table["metric"] == "broken_99") & (table["arm"] == "wrong")
    table.loc[broken, "value"] = [0.0, 0.0, 0.04]
    assert noisy_results.summary(table)["low"].min() == 0
    figure = noisy_results.figures(table)["guarantee"][0]
    for panel in figure.axes:
        assert panel.get_xlim()[0] == 0
        ends = [
            x
            for bars in panel.containers
            for segment in bars.lines[2][0].get_segments()
            for x in segment[:, 0]
        ]
        assert min(ends) == 0 and max(ends) <= 100
    drawn = figure.axes[1].containers[0].lines[2][0].get_segments()[1][:, 0]
    assert drawn[1] == pytest.approx(100 * (0.04 / 3 + 4.3027 * 0.04 / 3), rel=1e-3)


def test_a_sweep_that_lacks_an_arm_has_no_figure():
    table = swept(COVERAGE)
    with pytest.raises(ValueError, match="wrong: no rows"):
        noisy_results.figures(table[table["arm"] != "wrong"])
