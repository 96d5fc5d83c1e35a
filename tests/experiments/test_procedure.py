"""The article's six numbers, to the digit, and the engine against the article's own procedure."""

import numpy as np
import pytest

from alutils.base.errors import ParameterError
from alutils.base.files import repository_root
from alutils.data import dataset
from alutils.experiments.article import inputs, procedure
from alutils.models.softmax_exact import Rows, SoftmaxRegression
from alutils.models.softmax_fast import SparseImages, SparseSoftmax
from alutils.stats import compare


def published_counts() -> dict[str, int]:
    rows = compare.read_published(repository_root() / "results" / "published.csv")
    return {
        row["arm"]: int(float(row["value"]))
        for row in rows
        if row["experiment"] == "mnist" and row["metric"] == "n_right"
    }


@pytest.fixture(scope="module")
def outcome(digits):
    return procedure.exact(*digits)


@pytest.mark.slow
def test_the_six_published_counts_come_out_to_the_digit(outcome):
    assert outcome.n_right() == published_counts()
    assert set(outcome.n_right()) == set(procedure.ARMS)


@pytest.mark.slow
def test_every_arm_gives_the_labels_that_it_says(outcome):
    n_human = {arm: outcome.last(arm).round.n_human for arm in procedure.ARMS}
    n_auto = {arm: outcome.last(arm).round.n_auto for arm in procedure.ARMS}
    assert n_human == {
        "all": 4000, "random": 400, "first": 10,
        "active": 400, "auto_at_once": 400, "auto_confident_first": 400,
    }  # fmt: skip
    assert n_auto == {
        "all": 0, "random": 0, "first": 0,
        "active": 0, "auto_at_once": 3600, "auto_confident_first": 3600,
    }  # fmt: skip
    assert len(outcome.of("active")) == 40
    assert len(outcome.of("auto_confident_first")) == 360


@pytest.mark.slow
def test_no_item_is_labelled_twice_and_all_are_labelled_in_the_end(outcome):
    rounds = outcome.of("active") + outcome.of("auto_confident_first")
    items = np.concatenate([step.round.items for step in rounds])
    assert np.array_equal(np.sort(items), np.arange(4000))


@pytest.mark.slow
def test_the_last_weights_are_those_that_the_count_was_made_with(outcome, digits):
    _, _, x_test, y_test = digits
    for arm in procedure.ARMS:
        step = outcome.last(arm)
        n_right = int((step.weights.logits(x_test).argmax(axis=1) == y_test).sum())
        assert n_right == step.n_right


@pytest.mark.slow
def test_the_table_and_the_metrics_say_what_the_rounds_did(outcome, digits):
    _, _, x_test, y_test = digits
    table = procedure.table(outcome, x_test, y_test)
    counted = table.dropna(subset="n_right_test")
    assert (counted["n_right_test"] == counted["n_right"]).all()  # the same images here
    assert (counted["n_test"] == 400).all() and (table["n_stop"] == 400).all()
    assert (table.loc[table["n_right_test"].isna(), "n_test"] == 0).all()
    assert table.groupby("arm")["round"].count()["auto_confident_first"] == 360
    long = procedure.metrics(
        procedure.table(outcome), protocol="published", seed=0, stop_split="test"
    )
    right = {row["arm"]: row["value"] for row in long if row["metric"] == "n_right"}
    assert right == outcome.n_right()
    wrong = outcome.last("auto_at_once").n_auto_wrong
    precision = {row["arm"]: row["value"] for row in long if row["metric"] == "auto_precision"}
    assert precision["auto_at_once"] == 1 - wrong / 3600
    assert "active" not in precision


SLICES = [
    # train_start, n_train, test_start, n_test, batch, budget
    (1000, 2000, 0, 400, 10, 200),
    (2500, 900, 100, 123, 7, 98),
    (17, 400, 300, 100, 25, 75),
]


def both(digits, train_start, n_train, test_start, n_test, batch, budget):
    """Return the counts of our engine and of the article's own procedure on the same slice."""
    from benchmarks import article_tf1

    x, y, x_test, y_test = digits
    cut = slice(train_start, train_start + n_train)
    cut_test = slice(test_start, test_start + n_test)
    x, y, x_test, y_test = x[cut], y[cut], x_test[cut_test], y_test[cut_test]
    ours = procedure.exact(x, y, x_test, y_test, batch=batch, budget=budget).n_right()
    # The transcription divides by 255 itself, in float64, and takes 28 by 28 images.
    pixels, test_pixels = (np.rint(a * 255).reshape(-1, 28, 28) for a in (x, x_test))
    theirs, _ = article_tf1.run(pixels, y, test_pixels, y_test, batch, budget)
    return ours, {arm: n_right for arm, (n_right, _) in theirs.items()}


@pytest.mark.slow
@pytest.mark.parametrize("cut", SLICES)
def test_the_engine_agrees_with_the_articles_procedure_on_other_slices(digits, cut):
    ours, theirs = both(digits, *cut)
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize(
    "cut", [(20000, 4000, 5000, 400, 10, 400), (56000, 4000, 9000, 1000, 50, 1000)]
)
def test_the_engine_agrees_on_other_four_thousand(all_digits, cut):
    ours, theirs = both(all_digits, *cut)
    assert ours == theirs


@pytest.mark.slow
def test_the_sparse_engine_finds_the_published_counts_too(digits):
    x, y, x_test, y_test = digits
    stop = SparseImages.from_dense(x_test)
    run = procedure.run(lambda: SparseSoftmax(stop, y_test), SparseImages.from_dense(x), y)
    assert run.n_right() == published_counts()


@pytest.mark.slow
def test_a_budget_that_labels_everything_leaves_nothing_to_label_automatically(digits):
    x, y, x_test, y_test = (part[:60] for part in digits)
    done = procedure.exact(x, y, x_test, y_test, batch=20, budget=60)
    assert {done.last(arm).round.n_auto for arm in procedure.ARMS} == {0}
    assert done.n_right()["auto_at_once"] == done.n_right()["active"]


def test_one_image_and_one_class_are_enough(digits):
    x, y, x_test, y_test = digits
    same = np.flatnonzero(y == 3)[:5]
    stop = np.flatnonzero(y_test == 3)[:1]
    done = procedure.exact(x[same], y[same], x_test[stop], y_test[stop], batch=1, budget=2)
    assert done.last("auto_confident_first").n_auto_wrong == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": 4001}, "n_train=4001: from train_start=0 on, mnist_article_train holds 4000"),
        ({"train_start": 5000}, "holds 0 train images"),
        ({"test_start": 100, "n_test": 301}, "n_test=301"),
        ({"budget": 5000}, "budget=5000: the pool holds 4000 images (n_train); ask for 1 to 4000"),
        (
            {"budget": 3700},
            "the sound protocol keeps 400 (n_test) for validation; ask for 1 to 3600",
        ),
        ({"batch": 500}, "batch=500: the budget is 400 labels; ask for 1 to 400 a round"),
        ({"batch": 0}, "batch=0: the budget is 400 labels; ask for 1 to 400 a round"),
        ({"n_test": 0}, "n_test=0: from test_start=0 on"),
    ],
)
def test_a_slice_that_does_not_fit_is_refused_with_what_there_is(change, message):
    with pytest.raises(ParameterError) as error:
        inputs.digits("mnist_article", **{**inputs.SETTING, **change})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("batch", "budget", "message"),
    [(0, 10, "batch=0"), (10, 0, "budget=0"), (5, 101, "at most 100"), (60, 50, "batch=60")],
)
def test_a_loop_that_cannot_run_is_refused_before_any_work(digits, batch, budget, message):
    x, y, x_test, y_test = digits
    made = []

    def make():
        made.append(SoftmaxRegression(x_test, y_test))
        return made[-1]

    with pytest.raises(ValueError, match=message):
        procedure.run(make, Rows.of(x[:100]), y[:100], batch=batch, budget=budget)
    assert not made


def test_the_experiments_own_test_digits_come_first_and_all_are_there():
    cut = inputs.digits(test_start=200, n_train=300, n_test=150, batch=10, budget=20)
    x, y = cut.all_test()
    np.testing.assert_array_equal(x[:150], cut.x_test)
    np.testing.assert_array_equal(y[:150], cut.y_test)
    np.testing.assert_array_equal(y[:150], cut.test.labels[200:350])
    as_float = dataset.as_float(cut.test.images)
    assert len(x) == len(cut.test)
    np.testing.assert_array_equal(np.sort(x.sum(axis=1)), np.sort(as_float.sum(axis=1)))
    # What the article's own setting gives stays as it is.
    own = inputs.digits(n_train=300, budget=20)
    np.testing.assert_array_equal(own.all_test()[0], as_float)


def test_only_the_articles_own_setting_is_held_against_the_published_counts():
    assert inputs.digits().is_the_articles
    for change in ({"train_start": 1, "n_train": 3999}, {"batch": 20}, {"n_test": 399}):
        assert not inputs.digits(**change).is_the_articles


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ParameterError, match="data=fashion: expected mnist_article or mnist"):
        inputs.digits("fashion")
