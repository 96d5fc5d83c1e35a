"""What notebook 06 shows: streams, made-up questions, people who err, when to stop."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from alutils.active.loops.pool import PoolState, pool_based
from alutils.active.oracles import ABSTAINED, Perfect
from alutils.base.content import content_digest
from alutils.base.errors import ParameterError
from alutils.data import loading
from alutils.experiments import scenarios
from alutils.experiments.scenarios import labellers, questions, reading, reference, stopping
from alutils.experiments.scenarios import streams as streaming
from alutils.experiments.strategies import comparison
from alutils.experiments.strategies.draws import Pools
from alutils.models.estimator import Estimator
from alutils.stats.intervals import paired


@pytest.fixture(scope="module")
def digits():
    return loading.load("mnist_article").take(np.arange(1500))


@pytest.fixture(scope="module")
def few(digits):
    return Pools(digits, n_pool=200, batch=20, budget=60, seeds=2, halved=True)


@pytest.fixture(scope="module")
def streams(digits):
    return scenarios.Streams(digits, n_stream=600, share=0.2, seeds=2)


@pytest.fixture(scope="module")
def flow(streams):
    return scenarios.flow(streams)


def check(finding):
    """Check that a finding has no code names in it, and that its shares are shares."""
    texts = [finding.text, finding.alt]
    if finding.figure is not None:
        finding.figure.canvas.draw()
        texts += [t.get_text() for t in finding.figure.findobj(Text)]
        for axes in finding.figure.axes:
            if "accuracy" in axes.get_ylabel():
                assert axes.get_ylim()[0] >= 0 and axes.get_ylim()[1] <= 1
    if finding.table is not None:
        texts.append("".join(map(str, finding.table.data.to_numpy().ravel())))
    assert not [text for text in texts if "_" in text]
    return finding


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"n_stream": 1501}, "n_stream=1501: there are 1500 images"),
        ({"share": 0.05}, "share=0.05: 30 of 600 arrivals may be asked for, expected 60"),
        ({"share": 0.0}, "share=0.0"),
        ({"seeds": 1}, "seeds=1"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_before_any_work(digits, changes, named):
    with pytest.raises(ParameterError, match=named):
        scenarios.Streams(digits, **{"n_stream": 600, "share": 0.2, "seeds": 2} | changes)


def test_a_streams_parts_depend_on_all_its_settings(digits, streams):
    def key(of, *arguments):
        return content_digest(streaming.stream_curve, (of, *arguments))

    base = key(streams, "fixed", "none", "all", 0)
    others = [
        key(scenarios.Streams(digits, n_stream=500, share=0.2, seeds=2), "fixed", "none", "all", 0),
        key(scenarios.Streams(digits, n_stream=600, share=0.3, seeds=2), "fixed", "none", "all", 0),
        key(streams, "variable", "none", "all", 0),
        key(streams, "fixed", "abrupt", "all", 0),
        key(streams, "fixed", "none", "window", 0),
        key(streams, "fixed", "none", "all", 1),
    ]
    again = scenarios.Streams(digits, n_stream=600, share=0.2, seeds=2)
    assert key(again, "fixed", "none", "all", 0) == base
    assert len({base, *others}) == len(others) + 1


def test_no_decider_asks_for_more_than_it_may(streams, flow):
    spent = flow.groupby(["decider", "drift", "memory", "seed"])["n_human"].max()
    assert spent.max() <= streams.budget == 120
    assert len(spent) == len(streaming.VARIANTS) * len(streaming.DECIDERS) * streams.seeds


def test_the_gains_of_streams_are_those_of_their_arrivals(streams, flow):
    found = check(scenarios.without_drift(streams, flow))
    own = flow[(flow["drift"] == "none") & (flow["memory"] == "all")]
    sums = (
        own.assign(right=own["value"] * own["n_eval"])
        .groupby(["seed", "decider"])
        .sum(numeric_only=True)
    )
    wide = (sums["right"] / sums["n_eval"]).unstack("decider")
    gap = paired(wide["variable"], wide["random"], streams.test_to_train)
    assert f"variable threshold {100 * gap.mean:+.1f} points" in found.text
    assert len(found.advice) == 1 and len(found.rows) == len(flow)
    for finding in (scenarios.drifts(streams, flow), scenarios.forgetting(streams, flow)):
        check(finding)
    table = check(scenarios.streams_table(streams, flow)).table.data
    assert len(table) == 16 and len(table.columns) <= 8


@pytest.mark.parametrize("n_stream", [600, 601, 800, 1000, 1499])
def test_no_step_of_a_stream_is_a_few_arrivals_only(digits, n_stream):
    of = scenarios.Streams(digits, n_stream=n_stream, share=0.2, seeds=2)
    table = streaming.stream_curve(of, "fixed", "none", "all", 0)
    steps = np.diff(table["n_seen"], prepend=0)
    assert len(steps) == streaming.STEPS and steps.sum() == n_stream
    assert steps.min() > steps.max() / 2


def test_after_the_change_the_old_labels_are_wrong(digits):
    sure = scenarios.Streams(digits, n_stream=1200, share=0.2, seeds=2)
    table = streaming.stream_curve(sure, "fixed", "abrupt", "all", 0)
    before = table[table["n_seen"] <= sure.half]["value"].iloc[-1]
    after = table[table["n_seen"] > sure.half]["value"].iloc[0]
    assert after < before / 2


@pytest.mark.parametrize("n_stream", [400, 601, 1000, 1499, 4000, 61])
def test_the_change_comes_where_a_step_ends_near_the_middle(digits, n_stream):
    many = digits if n_stream <= len(digits) else loading.load("mnist_article")
    of = scenarios.Streams(many, n_stream, share=1.0, seeds=2)
    ends = np.minimum(np.arange(1, streaming.STEPS + 1) * of.step, n_stream)
    assert of.half in ends and abs(of.half - n_stream / 2) <= of.step / 2
    arrivals = np.arange(n_stream)
    step_of = np.searchsorted(ends, arrivals, side="right")
    kept = of.after(pd.DataFrame({"n_seen": np.unique(ends)}))["n_seen"]
    counted = np.isin(ends[step_of], kept)
    assert np.array_equal(counted, arrivals >= of.half)


@pytest.mark.parametrize("n_stream", [601, 1000])
def test_what_is_told_of_the_time_after_a_change_has_no_arrival_from_before_it(digits, n_stream):
    of = scenarios.Streams(digits, n_stream, share=0.2, seeds=2)
    # As if every arrival before the change were right, and every one after it wrong.
    ends = np.append(np.arange(of.step, n_stream, of.step), n_stream)
    n_eval = np.diff(ends, prepend=0)
    right = np.clip(of.half - (ends - n_eval), 0, n_eval)
    spent = np.linspace(20, of.budget, len(ends)).astype(int)
    one = pd.DataFrame(
        {"n_seen": ends, "n_human": spent, "value": right / n_eval, "n_eval": n_eval}
    ).assign(round=range(len(ends)))
    table = pd.concat(
        one.assign(decider=name, drift=kind, memory=memory, seed=number)
        for kind, memory in streaming.VARIANTS
        for name in streaming.DECIDERS
        for number in of.numbers
    ).reset_index(drop=True)
    shown = scenarios.streams_table(of, table).table.data
    assert set(shown[f"after arrival {of.half:,}"]) == {"0.0%"}
    assert "0.0%" in (text := scenarios.drifts(of, table).text)
    assert set(re.findall(r"[\d.]+%", text)) == {"0.0%"}
    assert "+0.0 points (+0.0 to +0.0)" in scenarios.forgetting(of, table).text


def test_lookalikes_are_taken_for_the_class_whose_mean_is_nearest(few):
    one = few.draw(0)
    matrix = scenarios.lookalikes(one, 0.2)
    assert matrix.sum(axis=1) == pytest.approx(1) and np.diag(matrix) == pytest.approx(0.8)
    centres = np.stack([one.x[one.y == c].mean(axis=0) for c in range(10)])
    far = np.linalg.norm(centres[3] - centres, axis=1)
    far[3] = np.inf
    assert matrix[3].argsort()[-2] == far.argmin()


@pytest.mark.parametrize(("kind", "right"), [("perfect", 1), ("wrong", 0.8), ("lookalikes", 0.8)])
def test_people_are_right_as_often_as_is_said(few, kind, right):
    one = few.draw(0)
    person = labellers.oracle(kind, one, np.random.default_rng(0), 0.2, 0.5)
    said = np.concatenate([person(np.arange(len(one.y))) for _ in range(10)])
    assert np.mean(said == np.tile(one.y, 10)) == pytest.approx(right, abs=0.04)
    silent = labellers.oracle("silent", one, np.random.default_rng(0), 0.2, 0.5)
    assert np.mean(silent(np.arange(len(one.y))) == ABSTAINED) == pytest.approx(0.5, abs=0.12)


def test_answers_are_compared_at_the_same_numbers_of_labels(few):
    found = scenarios.answers(few, 0.2, 0.4)
    assert set(found.same.groupby("arm")["n_human"].unique().map(tuple)) == {(20, 40, 60)}
    people, worth = check(scenarios.people(found)), check(scenarios.worth_of_choosing(found))
    gap = reading.areas_apart(found.same, "margin_wrong", "random_wrong", few.test_to_train)
    assert f"at times wrong, 20%: {100 * gap.mean:+.1f} points" in worth.text
    assert "no answer, 40%" in people.text and len(worth.advice) == len(labellers.KINDS)
    paid = check(scenarios.costs_of_answers(few))
    assert len(paid.figure.axes) == 2 and len(paid.advice) == 1


def test_curves_are_read_off_on_straight_lines():
    table = pd.DataFrame({"arm": "a", "seed": 0, "n_human": [10, 20], "value": [0.2, 0.4]})
    read = reading.at_same(table, "n_human", [10, 15, 20])
    assert read["value"].tolist() == pytest.approx([0.2, 0.3, 0.4])


@pytest.mark.parametrize("places", [[10, 25], [5, 20], [10, 20, 20.5]])
def test_no_curve_is_read_off_where_it_does_not_go(places):
    table = pd.DataFrame(
        {"arm": list("aabb"), "seed": 0, "n_human": [5, 20, 10, 40], "value": [0.2, 0.4, 0.3, 0.5]}
    )
    assert reading.shared(table, "n_human") == (10, 20)
    with pytest.raises(ValueError, match="expected places from 10 to 20"):
        reading.at_same(table, "n_human", places)


@pytest.mark.parametrize("silent", [0.7, 0.8])
def test_curves_that_end_early_are_compared_as_far_as_all_of_them_go_and_that_is_said(
    digits, silent
):
    scarce = Pools(digits, n_pool=300, batch=10, budget=100, seeds=2, halved=True)
    found = scenarios.answers(scarce, 0.1, silent)
    ends = found.curves.groupby(["arm", "seed"])["n_human"].max()
    assert ends.min() < scarce.budget  # no answer is left that the pool could give
    assert found.last == ends.min() // 10 * 10 == found.same["n_human"].max()
    for finding in (scenarios.people(found), scenarios.worth_of_choosing(found)):
        assert f"Read off up to {found.last} of 100 labels" in check(finding).text
    assert f"Margin with {found.last} labels" in scenarios.people(found).text


@pytest.mark.parametrize(("silent", "batch"), [(0.9, 10), (0.95, 5), (0.6, 40)])
def test_too_few_answers_for_a_curve_are_refused_before_any_work(digits, silent, batch):
    pools = Pools(digits, n_pool=200, batch=batch, budget=80, seeds=2, halved=True)
    with pytest.raises(ParameterError, match=f"silent={silent}: of the 200 images"):
        scenarios.answers(pools, 0.1, silent, keep=lambda *_, **__: pytest.fail("work was done"))
    scenarios.check_answers(pools, 0.2)


@pytest.fixture(scope="module")
def reader():
    return scenarios.reader(loading.load("mnist_article"))


def test_the_reader_shares_no_digit_with_the_pool_and_answers_nine_in_ten(reader):
    assert len(reader.pool_x) == questions.POOL and len(reader.other_x) == questions.READ
    rows = [{x.tobytes() for x in part} for part in (reader.pool_x, reader.other_x, reader.new_x)]
    assert not rows[0] & rows[1] and not rows[1] & rows[2] and not rows[0] & rows[2]
    assert np.mean(reader(reader.new_x) != ABSTAINED) == pytest.approx(0.9, abs=0.01)
    assert "answers 90%" in reader.about().text


def test_people_cannot_read_most_made_up_digits(reader):
    found = check(scenarios.blends(reader, 40))
    assert "40 synthesised digits" in found.text
    share = int(found.text.partition("what ")[2].partition("%")[0])
    assert share > 30  # far more than the one in ten of real digits


def test_each_question_is_counted_whether_it_is_answered_or_not(reader):
    for arm in ("random", "nearest_real", "as_it_is"):
        table = questions.question_curve(reader, arm, 0)
        assert table["n_human"].tolist() == list(range(50, 201, 25))
        assert (table["n_eval"] == questions.READ).all()
    assert content_digest(reader) == content_digest(scenarios.reader(loading.load("mnist_article")))


def test_what_questions_buy_is_kept_by_the_reader_and_the_draw_alone(reader):
    asked = []

    def keep(function, *arguments, **named):
        asked.append((function, arguments, named))
        return pd.DataFrame({"value": [0.5, 0.6], "n_human": [50, 75], "n_eval": 9, "round": 0})

    curves = scenarios.bought(reader, 3, keep=keep)
    assert curves.groupby("arm")["seed"].unique().map(list).tolist() == [[0, 1, 2]] * 3
    assert {(f, a[0] is reader, len(a), len(n)) for f, a, n in asked} == {
        (questions.question_curve, True, 3, 0)
    }
    assert "(3 draws" in scenarios.what_questions_buy(curves).figure.get_suptitle()
    with pytest.raises(ParameterError, match="seeds=1"):
        scenarios.bought(reader, 1)


def watched(few, ended):
    """Return loops of 400 labels that rules ended: pairs of rule and labels of the loop by seed."""
    curves = pd.DataFrame(
        [(seed, n, 0.5 + n / 1000) for seed in few.numbers for n in (100, 200, 300, 395, 400)],
        columns=["seed", "n_human", "value"],
    )
    rows = [
        (seed, n, 0.895, rule, n + (200 if rule in stopping.VALIDATED else 0))
        for rule, labels in ended.items()
        for seed, n in zip(few.numbers, labels, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["seed", "n_human", "value", "rule", "labels"])
    longer = Pools(few.images, 500, 20, 400, few.seeds, halved=True)
    return stopping.Watched(longer, curves, table)


@pytest.mark.parametrize("validated", stopping.VALIDATED)
def test_rules_are_compared_by_all_labels_that_a_person_gives(few, validated):
    # By the loop's labels alone the first rule would be the one to use: 300 against 400.
    found = watched(few, {validated: [299, 301], "report": [395, 396]})
    points = check(scenarios.stopping_points(found))
    by_rule = points.table.data.loc[stopping.NAMES[validated]]
    assert by_rule["labels, mean"] == 500 and by_rule["of these validation"] == 200
    assert (by_rule["labels, fewest"], by_rule["labels, most"]) == (499, 501)
    (row,) = points.advice
    assert row.use == stopping.NAMES["report"]
    assert f"{stopping.NAMES[validated]} +104 labels" in row.because


def test_a_loop_that_rules_watch_counts_their_validation_labels(few):
    ended = scenarios.watch(few).ended
    extra = (ended["labels"] - ended["n_human"]).groupby(ended["rule"]).unique()
    assert len(extra)
    for rule, values in extra.items():
        assert list(values) == [200 if "validation labels" in stopping.NEEDS.get(rule, "") else 0]


def test_a_rule_that_watches_ends_where_it_would_have_ended_the_loop(few):
    watched = scenarios.watch(few)
    one = watched.pools.draw(0)
    rounds = pool_based(
        one.x, Perfect(one.y), Estimator(one.n_classes),
        comparison.query(one, "margin", [0, 1]), PoolState.start(len(one.y)),
        batch=few.batch, budget=watched.pools.budget, stop=stopping.rules(one)["target"],
    )  # fmt: skip
    *_, last = rounds
    ended = watched.ended[(watched.ended["rule"] == "target") & (watched.ended["seed"] == 0)]
    labels = ended["n_human"].tolist()
    assert labels == ([last.n_human] if last.stopped else [])
    check(scenarios.endings(watched))
    points = check(scenarios.stopping_points(watched))
    assert len(points.table.data) == len(stopping.NAMES) and len(points.table.data.columns) <= 8


def test_rules_need_validation_images_that_are_there(digits):
    small = Pools(digits.take(np.arange(1000)), 200, 20, 60, 2)
    with pytest.raises(ParameterError, match="300 test images"):
        scenarios.watch(small)


def test_the_answer_is_that_of_the_published_advice_and_else_names_the_command(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (line,) = scenarios.answer().lines
    assert reference.COMMAND in line
    (tmp_path / "results").mkdir()
    rows = [(f"{name}, 10%", "margin", "margin wins") for name in reference.OPENINGS]
    table = pd.DataFrame(rows, columns=["situation", "use", "because"])
    table.to_csv(tmp_path / "results" / "scenarios_advice.csv", index=False)
    lines = scenarios.answer().lines
    assert len(lines) == 3
    assert lines[0] == "**Who should decide on a stream? Margin.** Margin wins."
