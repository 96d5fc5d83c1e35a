"""What notebook 01 says and shows: right values, kept by all that they depend on."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from alutils.base.content import content_digest
from alutils.base.files import repository_root
from alutils.data import mnist
from alutils.experiments import article
from alutils.experiments.article import (
    inputs,
    many_runs,
    one_run,
    procedure,
    replication,
    sound_runs,
    todays_methods,
)
from alutils.runs.notebook import runs
from alutils.stats import intervals

COUNTS = {"all": 36, "random": 30, "first": 15, "active": 34, "auto_at_once": 34}
COUNTS["auto_confident_first"] = 35


def of_40(train=120, test=40, **sizes):
    """Return 120 training and 40 test digits; sizes of the loop as asked for."""
    digits = mnist.mnist_article()
    parts = [data.take(np.arange(n)) for data, n in zip(digits, (train, test), strict=True)]
    sizes = {"n_train": 60, "n_test": 40, "batch": 10, "budget": 30} | sizes
    return inputs.Digits(*parts, **sizes)


def runs_of(counts, kind="noise", arm="active"):
    """Return replicates whose last rounds have these counts of 40 for an arm, `COUNTS` for others.

    Each automatic label of the last round of confident first is wrong, and no other.
    """
    rows = []
    for replicate, n_right in enumerate(counts):
        for name, usual in COUNTS.items():
            n_auto = {"auto_at_once": [30], "auto_confident_first": [10, 20, 30]}.get(name, [0])
            for number, n in enumerate(n_auto):
                rows.append(
                    {
                        "replicate": replicate, "arm": name, "round": number,
                        "n_human": {"all": 60, "first": 10}.get(name, 30), "n_auto": n,
                        "n_right": n_right if name == arm else usual, "n_stop": 40,
                        "n_auto_wrong": 10 if n == 30 else 0,
                        "n_right_test": float(n_right if name == arm else usual), "n_test": 40,
                    }
                )  # fmt: skip
    return replication.Replicates(kind, of_40(), 1e-6, pd.DataFrame(rows))


@pytest.fixture
def one():
    table = runs_of([COUNTS["active"]]).table.drop(columns="replicate")
    confidence = pd.DataFrame({"n_human": [10, 10, 30], "confidence": [0.3, 0.8, 0.95]})
    return one_run.OneRun(of_40(), table, confidence)


@pytest.mark.parametrize(
    ("below", "equal", "percentile"), [(199, 1, "99.8"), (198, 2, "99.5"), (100, 0, "50.0")]
)
def test_figure_table_and_sentence_name_the_same_percentile(one, below, equal, percentile):
    counts = [30] * below + [34] * equal + [38] * (200 - below - equal)
    noise, draws = runs_of(counts), runs_of([33, 34], "draws")
    found = article.worth(one, noise, draws)
    assert f"stands at percentile {percentile}: {200 - below} of 200 replicates" in found.text
    texts = [text.get_text() for panel in found.figure.axes for text in panel.texts]
    assert texts[procedure.ARMS.index("active") - 1] == percentile  # the first has its own panel
    (table,) = found.tables.values()
    assert f"{table.set_index('arm')['percentile']['active'].iloc[0]:.1f}" == percentile
    shown = article.percentiles(one, noise, draws).table
    assert f"{shown['percentile'].iloc[3]:.1f}" == percentile


def test_one_run_that_falls_is_not_said_to_rise(one):
    one.table.loc[one.table["arm"] == "first", "n_right"] = 36
    assert "take the share of 40 test digits right from 90.0% to 85.00%" in (
        article.one_curve(one).text
    )


def test_shares_of_the_test_digits_are_the_one_unit_of_all_figures(one):
    noise, draws = runs_of([30, 34]), runs_of([33, 34], "draws")
    found = [article.worth(one, noise, draws), article.every_round(one, noise, draws)]
    found += [article.one_curve(one)]
    for finding in found:
        names = [f"{p.get_xlabel()} {p.get_ylabel()}" for p in finding.figure.axes]
        assert any("share of 40 test digits right (%)" in name for name in names)
        assert "of 40 test digits right" in finding.text or "points" in finding.text
    low, high = 100 * 30 / 40, 100 * 34 / 40
    assert f"from {low:.1f}% to {high:.1f}% of 40 test digits" in found[0].text


def test_wrong_automatic_labels_are_counted_part_by_part():
    # Of 40 labels, ten a round, 0, 1, 3 and 6 more are wrong.
    table = pd.DataFrame(
        {
            "replicate": 0, "arm": "auto_confident_first",
            "n_auto": [10, 20, 30, 40], "n_auto_wrong": [0, 1, 4, 10],
        }
    )  # fmt: skip
    by_round = many_runs.wrong_by_part(table)  # no more parts than rounds
    assert list(by_round["share"]) == [0, 10, 30, 60] and list(by_round["part"]) == [1, 2, 3, 4]
    halves = many_runs.wrong_by_part(table, parts=2)
    assert list(halves["share"]) == [5, 45]
    thirds = many_runs.wrong_by_part(table, parts=3)  # a round in two parts is shared out
    assert thirds["share"].sum() / 3 * 40 / 100 == pytest.approx(10)
    assert thirds["share"].iloc[0] == pytest.approx(100 * (1 / 3) / (40 / 3))


def test_the_figure_of_wrong_labels_says_where_they_are():
    found = article.wrong_labels(runs_of([30, 31]), runs_of([30, 31], "draws"))
    assert "10 of 30 are wrong, and 0 of these are in the more confident half" in found.text
    assert "In the first part 0.0% are wrong, in the last 100%" in found.text
    panel = found.figure.axes[0]
    heights = [bar.get_height() for bar in panel.patches]
    assert heights == pytest.approx([0, 0, 100] * 2)
    assert panel.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("wrong", "early", "says"),
    [
        # Ten labels a round: 15 are in the first half, of which five of the second round.
        ([0, 4, 10], 2, "Confidence sorts the automatic labels: 10 of 30 are wrong, and 2 of"),
        ([6, 8, 8], 7, "Confidence does not sort the automatic labels: 8 of 30 are wrong, and 7"),
        ([3], 1.5, "whether confidence sorts them cannot be seen"),
    ],
)
def test_the_more_confident_half_ends_at_the_middle_label(wrong, early, says):
    runs_ = runs_of([30, 31])
    auto = runs_.table["arm"] == "auto_confident_first"
    one = runs_.table[auto & (runs_.table["round"] < len(wrong))].copy()
    one["n_auto_wrong"] = [*wrong, *wrong]
    noise = replication.Replicates(
        "noise", runs_.digits, 1e-6, pd.concat([runs_.table[~auto], one])
    )
    assert list(many_runs.wrong_in_first_half(noise.table)) == [early, early]
    assert says in article.wrong_labels(noise, noise).text


def test_where_nothing_is_left_to_label_there_is_nothing_wrong():
    digits = of_40(train=100, n_train=30, n_test=40)
    noise = article.replicates("noise", digits, n=2, seed=0, noise=1e-6)
    found = article.wrong_labels(noise, noise)
    assert found.figure is None and "no automatic labels" in found.text


@pytest.mark.parametrize(
    ("active", "says"),
    [
        ((60, 70, 80), "The mean of active labels is never below that of random ones"),
        ((40, 70, 80), "above that of random ones for good only after 10 labels"),
        ((60, 70, 74), "below that of random ones at the end"),
    ],
)
@pytest.mark.parametrize(("low", "verdict"), [(-0.01, "inconclusive"), (0.001, "supported")])
def test_what_only_means_show_is_said_of_means_beside_the_verdict(active, says, low, verdict):
    counts = [10, 20, 30]
    at = {"random": pd.Series([50, 60, 75], counts), "active": pd.Series(active, counts)}
    found = intervals.Paired(0.02, low, 0.05, 0.1, 0.1, 3)
    text = sound_runs._about_curve(at, found, 30)
    assert says in text and text.startswith("The mean of active labels is")
    assert f"+2.0 points ({100 * low:+.1f} to +5.0)" in text
    assert text.endswith(f"The claim that active labels are better is {verdict}.")


@pytest.fixture(scope="module")
def sound():
    return article.replicates("sound", of_40(), n=3, seed=0)


def test_the_sound_curve_shows_random_and_active_at_the_same_counts_with_intervals(sound):
    found = article.sound_curve(sound)
    panel = found.figure.axes[0]
    lines = {line.get_label(): line for line in panel.lines}
    assert set(lines) == {"random", "active"} and len(panel.collections) == 2  # a band each
    for line in lines.values():
        assert list(line.get_xdata()) == [10, 20, 30]
    assert panel.get_xscale() == panel.get_yscale() == "linear"
    (table,) = found.tables.values()
    last = sound.last.set_index(["arm", "replicate"])["n_right_test"] / 40
    for arm in ("random", "active"):
        mean = table[(table["arm"] == arm) & (table["n"] == 30)]["mean"].item()
        assert mean == pytest.approx(100 * last[arm].mean(), abs=1e-3)


def test_the_sound_claims_are_paired_on_the_draw(sound):
    of = sound_runs.accuracies(sound)
    mean = (of["active"] - of["random"]).mean()
    assert f"Active minus random: {100 * mean:+.1f} points" in article.sound(sound).text
    assert {row["n_eval"] for row in article.sound(sound).rows if row["split"] == "test"} == {40}
    text = article.sentences(sound).text
    assert text.count("The claim is ") == 3 and "holds" not in text


def test_what_a_kept_batch_depends_on_is_in_its_key():
    keys = []

    def key(function, *arguments, **named):
        keys.append(content_digest(function, arguments, named))
        return pd.DataFrame({"replicate": [0]})

    given = {"seed": 0, "noise": 1e-6}
    for kind in replication.KINDS:
        article.replicates(kind, of_40(), n=2, keep=key, **given)
    changes = [{"batch": 5}, {"budget": 20}, {"n_train": 50}, {"n_test": 30}, {"train_start": 3}]
    changes += [{"test_start": 1, "n_test": 39}, {"train": 110}]
    for change in changes:
        article.replicates("noise", of_40(**change), n=2, keep=key, **given)
    for change in ({"seed": 1}, {"noise": 0.5}, {"n": 3}):
        article.replicates("noise", of_40(), **{"n": 2, **given, **change}, keep=key)
    assert len(set(keys)) == len(keys) == 3 + len(changes) + 3
    article.replicates("noise", of_40(), n=2, keep=key, **given)
    assert keys[-1] == keys[0]  # the same values, other objects


def notebook_cells():
    path = repository_root() / "notebooks" / runs.NOTEBOOKS["mnist"]
    cells = json.loads(path.read_text())["cells"]
    return {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}


def test_a_parameter_changed_in_a_live_kernel_never_gives_the_finding_of_the_old_one(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ALUTILS_RUN_DIR", str(tmp_path))
    cells, kernel = notebook_cells(), {"article": article}
    small = "n_train = 60\nn_test = 40\nbudget = 30\nreplicates = 2"
    first = ["parameters", small, "start", "table", "replicates"]
    for name in first:
        exec(cells.get(name, name), kernel)
    old = kernel["under_noise"].table
    assert old["replicate"].nunique() == 2
    for change in ("noise = 0.5", "seed = 99", "batch = 5", "budget = 20", "n_train = 50"):
        name = change.split()[0]
        before = kernel[name]
        exec(change, kernel)
        with pytest.raises(runs.RunError, match=f"{name} changed from"):
            exec(cells["replicates"], kernel)
        kernel[name] = before
    # Begun again with another noise, in the same folder: other numbers, not the kept ones.
    for name in ["noise = 0.5", "start", "table", "replicates"]:
        exec(cells.get(name, name), kernel)
    assert kernel["under_noise"].noise == 0.5
    assert not kernel["under_noise"].table.equals(old)


def test_todays_methods_get_as_many_labels_from_the_pools_of_the_sound_protocol():
    digits = of_40(batch=10, budget=30)
    done = article.better(digits, seeds=2, seed=4, steps=3)
    assert (done.table["n_human"] == 30).all() and (done.table["n_test"] == 40).all()
    assert done.seeds == 2
    pairs = set(zip(done.table["asked"], done.table["classifier"], strict=True))
    plain = {(asked, name) for asked in todays_methods.ASKED for name in ("softmax", "rbf_svm")}
    networks = {
        (asked, name)
        for asked in ("random", "margin")
        for name in ("network", "network_unlabelled")
    }
    assert pairs == plain | networks
    assert set(done.table["seed"]) == {4, 5}  # the draws of the sound protocol from there
    drawn, validation = replication.draw("sound", digits, replication.generator("sound", 5))
    np.testing.assert_array_equal(todays_methods.pool_of(digits, 5), drawn)
    asked = todays_methods.choose_labels(digits, 5)
    for name in todays_methods.ASKED:
        items = asked[name]
        assert items.nunique() == 30 and items.max() < 60
        np.testing.assert_array_equal(items[:10], np.arange(10))  # the same first batch for all
    assert not set(drawn) & set(validation)
    rows = list(todays_methods.metrics(done.table))
    assert {row["arm"] for row in rows} == {f"{asked}_{name}" for asked, name in pairs}


def test_the_best_method_is_the_one_with_the_highest_mean_and_stands_beside_the_published(
    one, sound
):
    rows = [
        (asked, classifier, seed, 20 + seed + (10 if asked == "margin" else 0) + 2 * number)
        for number, classifier in enumerate(todays_methods.CLASSIFIERS)
        for asked in ("random", "margin")
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["asked", "classifier", "seed", "n_right"])
    done = todays_methods.Better(of_40(), table.assign(n_human=30, n_test=40))
    found = article.compared_methods(one, sound, done)
    best = 100 * (20 + 0.5 + 10 + 6) / 40
    assert "small network with unlabelled images, on labels chosen by margin" in found.text
    assert f"is the best: {best:.1f}% of 40 test digits" in found.text
    assert sound.n == 3  # one more than today's methods have: it does not count
    active = 100 * sound_runs.accuracies(sound)["active"].loc[[0, 1]].mean()
    assert (
        f"On the same draws (2) the article's active learning, soundly measured, gets "
        f"{active:.1f}%" in found.text
    )
    assert set(found.tables["mnist_better"]["seeds"]) == {2}
    lines = {line.get_label(): line for line in found.figure.axes[0].lines}
    drawn = {name: line.get_xdata()[0] for name, line in lines.items() if "labels, this" in name}
    assert drawn == {
        "30 active labels, this run": pytest.approx(100 * COUNTS["active"] / 40),
        "all 60 labels, this run": pytest.approx(100 * COUNTS["all"] / 40),
    }


def test_the_certified_result_is_that_of_the_label_costs():
    table = pd.read_csv(repository_root() / "results" / "label_costs_summary.csv")
    ours = table[(table["protocol"] == "article") & (table["arm"] == "active_unlabelled")]
    mean = ours.set_index("metric")["mean"]
    text = article.certified().text
    assert f"gets {mean['accuracy']:.1%} of MNIST's test digits right" in text
    assert f"trained on {mean['n_human']:.0f} labels" in text and "4,000 digits" in text


def test_one_class_among_the_labels_is_enough_for_every_method():
    train, test = mnist.mnist_article()
    same = train.take(np.flatnonzero(train.labels == 7)[:40])
    digits = inputs.Digits(same, test, n_train=20, n_test=10, batch=2, budget=4)
    asked = todays_methods.choose_labels(digits, 0)
    for name in ("softmax", "rbf_svm"):
        done = todays_methods.train_classifier(name, digits, asked, 0)
        assert (done["n_right"] == (test.labels == 7).sum()).all()


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Give a repository with the published counts and the reference tables, to be changed."""
    (tmp_path / "results").mkdir()
    (tmp_path / "notebooks").mkdir()
    names = (
        "published", "mnist", "mnist_percentiles", "mnist_replicates", "mnist_sound_differences",
    )  # fmt: skip
    for name in names:
        shutil.copy(repository_root() / "results" / f"{name}.csv", tmp_path / "results")
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    return tmp_path / "results"


def test_the_answer_comes_out_of_the_reference_tables(results):
    exact, one_draw, sound_line = article.answer().lines
    assert exact.startswith("**Exact.** All 6 published counts come out: 369, 335, 152, 359, 359,")
    row = pd.read_csv(results / "mnist_percentiles.csv").query("arm == 'active'").iloc[0]
    assert f"the published 89.75% stands at percentile {row['percentile']:.1f}" in one_draw
    assert "and 2 of them reach it (0.1% to 3.6% of such runs)" in one_draw
    assert f"{row['lowest'] / 4:.1f}% to {row['highest'] / 4:.1f}% of 400 test digits" in one_draw
    first = pd.read_csv(results / "mnist_sound_differences.csv").iloc[0]
    assert f"Active minus random labels: {100 * first['mean']:+.1f} points" in sound_line
    assert "where the article shows +6.0" in sound_line


def test_the_answer_says_so_where_a_count_is_missed_and_where_there_are_no_results(results):
    text = (results / "mnist.csv").read_text()
    wrong, n = re.subn(r"(,published,active,.*,n_right),359\.0", r"\1,358.0", text)
    assert n == 1
    (results / "mnist.csv").write_text(wrong)
    assert article.answer().lines[0].startswith("**Not exact.** 5 of the 6 published counts")
    (results / "mnist.csv").unlink()
    (line,) = article.answer().lines
    assert "python -m alutils reference mnist" in line
