"""What the report's experiments say they found, beside what was measured."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED
from feature_plan import PLAN

from alutils.base.errors import ParameterError
from alutils.base.files import repository_root
from alutils.data.dataset import LETTERS, Dataset
from alutils.data.rendering import render_letters
from alutils.experiments import report
from alutils.experiments.report import letters, loop_findings, loops, procedure, worries
from alutils.stats import tables

CODE_NAMES = re.compile(r"as_(logged|stated|published|intended|found)|\w+_\w+")


@pytest.fixture(scope="module")
def study():
    """Return 26 x 60 rendered letters; their features are their pixels, in two by two."""
    images, labels = render_letters(np.full(26, 60), np.random.default_rng(0))
    pixels = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    data = Dataset(images, labels.astype(np.int64), LETTERS, "rendered", "rendered")
    some = letters.Letters(data, pixels.astype(np.float32), PLAN)
    return report.Study(some, epochs=6, seeds=3, few=2)


@pytest.fixture(scope="module")
def first(study):
    return report.first_round(study)


@pytest.fixture(scope="module")
def table(study):
    return report.run_loops(study, 1)


def check(finding, rows=False):
    """Hold a finding against what every one of them promises."""
    assert finding.text.strip() and not CODE_NAMES.search(finding.text), finding.text
    if finding.figure is not None:
        texts = [
            t.get_text() for t in finding.figure.findobj(match=lambda o: hasattr(o, "get_text"))
        ]
        assert not [text for text in texts if CODE_NAMES.search(text)]
        sizes = [
            t.get_fontsize()
            for t in finding.figure.findobj(match=lambda o: hasattr(o, "get_fontsize"))
            if getattr(t, "get_text", str)().strip()
        ]
        assert min(sizes) >= 9
        assert any("rendered, not real handwriting" in text for text in texts)
    if rows:
        tables.tidy(
            finding.rows, report.VOCABULARY, run_id="r", experiment="az", round=0, n_auto=0, seed=0
        )
    return finding


# --- the published numbers ------------------------------------------------------------------------


def test_the_readable_loops_are_the_ones_of_the_experiments_and_a_wrong_one_is_noticed():
    def right(confidence, waiting):
        return [item for sure, item in zip(confidence, waiting, strict=True) if sure < 0.6]

    def faulty(confidence, waiting):
        moved, waiting = [], list(waiting)
        for i, sure in enumerate(confidence):
            if sure < 0.6 and i < len(waiting):
                moved.append(waiting.pop(i))
        return moved

    assert report.same_moves(faulty, right).text.startswith("In 1,000 of 1,000")
    assert not report.same_moves(right, right).text.startswith("In 1,000 of 1,000")


def test_the_published_log_is_the_one_that_the_report_prints():
    log = pd.read_csv(repository_root() / "results" / "published_log.csv")
    assert log["epoch"].tolist() == list(range(1, 11))
    source = SHARED.parent / "sources" / "000_f46707564e57f8e5.txt"
    if not source.is_file():
        pytest.skip("the report is not beside the repository (../shared/sources)")
    printed = re.findall(r"loss: ([\d.]+) - acc: ([\d.]+)", source.read_text(encoding="utf-8"))
    assert [(float(a), float(b)) for a, b in printed] == list(
        zip(log["loss"], log["accuracy"], strict=True)
    )


def test_the_log_stands_beside_ours_epoch_by_epoch(study, first):
    found = check(report.epoch_log(study, first))
    both = found.tables["az_epochs"]
    assert both["loss_published"].tolist()[:2] == [3.3551, 0.9424]
    np.testing.assert_allclose(both["loss_ours"][:6], first.history["loss"], atol=1e-6)
    assert "After epoch 6 the report logs 91.0%" in found.text


# --- the loops ------------------------------------------------------------------------------------


def test_the_rounds_are_recorded_and_shown_without_code_names(study, table):
    found = check(report.every_round(study, table), rows=True)
    html = found.table.to_html()
    assert "as intended" in html and not re.search(r"as_\w+", re.sub("<style.*?</style>", "", html))
    assert len(found.table.columns) <= 8
    assert set(table[table["setting"] == "as_logged"]["arm"]) == {"as_published"}
    assert set(table[table["setting"] == "as_stated"]["arm"]) == set(loop_findings.LOOP_NAMES)


def test_a_loop_that_has_ended_stays_ended():
    rounds = [
        (0, 0, True),
        (0, 1, False),
        (0, 2, False),
        (1, 0, False),
        (1, 1, True),
        (1, 2, False),
    ]
    table = pd.DataFrame(rounds, columns=["seed", "round", "stops"]).assign(arm="as_published")
    assert list(loop_findings.ended_by(table)) == [0.5, 1, 1]


@pytest.mark.parametrize(
    ("shift", "says"),
    [(0.2, "better than"), (-0.2, "worse than"), (0.0, "statistically tied with")],
)
def test_the_loop_is_called_what_its_interval_says(study, table, shift, says):
    even, share = table.copy(), 0.5 + shift * (table["arm"] == "as_published")
    luck = [np.random.default_rng(row.seed).random(row.n_test) for row in even.itertuples()]
    even["test_right"] = [loops.written(u < p) for u, p in zip(luck, share, strict=True)]
    assert f"The report's selection is {says} a random one" in report.differences(study, even).text


def test_what_was_moved_is_said_beside_chance_and_beside_the_first_letter(table):
    found = check(report.moved(table))
    moved = table[(table["n_moved"] > 0)].groupby("arm")["moved_unsure"].mean()
    ours, chance = moved["as_published"], moved["random_as_published"]
    assert f"{ours:.1%} were letters" in found.text and f"at random, {chance:.1%}" in found.text
    assert f"the difference is {100 * (ours - chance):+.1f} points" in found.text


def test_of_what_the_faulty_loop_moves_the_first_is_right_and_the_others_are_as_chance_has_it():
    from alutils.experiments.report.loops import moved_as_published

    rng, right, others = np.random.default_rng(0), [], []
    for _ in range(3000):
        low = rng.random(60) < 0.1
        moved = low[moved_as_published(low)]
        right += moved[:1].tolist()
        others += moved[1:].tolist()
    assert all(right)
    assert np.mean(others) == pytest.approx(0.1, abs=0.01)


def test_curves_have_bands_and_differences_intervals_with_the_verdict_that_they_give(study, table):
    curves = check(report.loop_curves(study, table))
    assert all(panel.collections for panel in curves.figure.axes)
    found = check(report.differences(study, table))
    rows = found.tables["az_differences"]
    for row in rows.itertuples():
        expected = {
            (True, True): "supported", (False, False): "contradicted",
        }.get((row.low > 0, row.high > 0), "inconclusive")  # fmt: skip
        assert row.verdict == expected
    tied = rows["low"].iloc[0] <= 0 <= rows["high"].iloc[0]
    assert ("statistically tied with" in found.text) == tied


def test_loops_that_cannot_be_tested_say_so(study, table):
    none = table.assign(n_test=0)
    for found in (report.loop_curves(study, none), report.differences(study, none)):
        assert found.figure is None and "no loop can be tested" in found.text
    assert "no test letters of their own" in report.on_test_letters(study, none).text


def test_published_and_ours_are_of_the_first_round_of_every_draw(study, table):
    found = check(report.against_published(study, table))
    both = found.tables["az_published"].set_index("number")
    mine = table[(table["setting"] == "as_logged") & (table["round"] == 0)]
    assert both.loc["accuracy", "ours"] == pytest.approx(mine["pool_accuracy"].mean())
    assert both.loc["accuracy", "published"] == 0.8346546310832025
    assert both.loc["unsure, truly", "published"] == pytest.approx(0.10146, abs=1e-5)
    check(report.on_test_letters(study, table))


# --- one model ------------------------------------------------------------------------------------


def test_the_model_that_is_looked_at_is_the_first_round_of_the_loops(study, first, table):
    row = table[(table["setting"] == "as_logged") & (table["seed"] == 0)].iloc[0]
    assert (first.predicted == first.pool_labels).mean() == row["pool_accuracy"]
    for function in (report.confusion_matrix, report.confused_pairs, report.per_class):
        check(function(study, first))


def test_mistakes_are_counted_by_hand(study, first):
    found = report.per_class(study, first).tables["az_per_class"].set_index("letter")
    of = first.pool_labels == LETTERS.index("Q")
    said = first.predicted == LETTERS.index("Q")
    assert found.loc["Q", "n"] == of.sum()
    assert found.loc["Q", "recall"] == pytest.approx((of & said).sum() / of.sum(), abs=1e-6)
    assert found.loc["Q", "precision"] == pytest.approx((of & said).sum() / said.sum(), abs=1e-6)


# --- the procedure and the worries ----------------------------------------------------------------


def test_the_procedure_is_told_step_by_step_and_its_bars_add_up_to_all_letters(study):
    done = report.follow_steps(study, 0.1, 0.05)
    steps = check(report.step_by_step(study, done))
    html = steps.table.to_html()
    assert all(f"{n}. " in html for n in range(1, 8))
    found = check(report.whole_procedure(study, done), rows=True)
    bars = [patch for patch in found.figure.axes[0].patches if patch.get_height() > 0]
    top = max(patch.get_y() + patch.get_height() for patch in bars)
    assert top == pytest.approx(100) and found.figure.axes[0].get_ylim()[0] == 0
    mean = found.tables["az_procedure"].groupby("threshold").mean().loc[procedure.SHOWN_AT]
    assert f"people label {mean['share_human']:.0%} of the letters" in found.text
    assert mean["accuracy"] == pytest.approx(1 - mean["auto_wrong"])


def test_the_report_s_head_has_one_accuracy_in_the_loops_and_among_the_classifiers(study, table):
    from alutils.experiments.report.classifiers import FEATURES, HEAD, classifiers_draw

    drawn = classifiers_draw(study.letters, "as_logged", 1, epochs=study.epochs)
    ours = drawn.set_index(["inputs", "classifier"])["accuracy"][FEATURES, HEAD]
    loop = table[(table["setting"] == "as_logged") & (table["seed"] == 1)]["pool_accuracy"].iloc[0]
    assert ours == loop


def test_classifiers_are_shown_with_the_network_and_its_number_of_draws(study, table):
    scores = report.compare_classifiers(study, 2, 1, 5)
    found = check(report.best_classifier(study, scores, table), rows=True)
    saved = found.tables["az_classifiers"].set_index(["inputs", "classifier"])["draws"]
    assert saved["raw pixels"].to_dict()["small network, letters distorted"] == 1
    assert saved["VGG16 features"].to_dict()["the report's head"] == 2
    assert found.tables["az_classifiers"]["n_human"].dtype == "int64"
    everywhere = table[table["setting"] == "as_logged"].groupby("seed")["pool_accuracy"].first()
    # The head has one draw more than the network: it stands beside it in the draw of both.
    head = scores[(scores["classifier"] == "the report's head") & (scores["seed"] == 0)]
    mine = head.set_index("inputs")["accuracy"]["VGG16 features"]
    network = scores["accuracy"].iloc[-1]
    assert f"In the same one draw the small network reads {network:.1%}" in found.text
    assert f"head {mine:.1%} ({everywhere.mean():.1%} in all 3 draws)" in found.text
    assert "range of 2 draws (small network: 1)" in found.figure.axes[0].get_title()
    check(report.two_tables(scores))


def test_worries_are_shown_and_recorded(study, first, monkeypatch):
    def look(images, preprocessing):
        pixels = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
        return pixels.reshape(len(images), -1).astype(np.float32)

    monkeypatch.setattr(worries, "_look", look)
    spoilt = check(report.spoilt(study, first))
    titles = [panel.get_title() for panel in spoilt.figure.axes]
    assert titles.count("clean") == 3
    check(report.corruption(study, first, 40), rows=True)
    check(report.wrong_labels(study), rows=True)


# --- the answers ----------------------------------------------------------------------------------


def test_the_answers_are_computed_from_the_results_and_name_a_figure_that_is_there():
    results = repository_root() / "results"
    answers = {"az_published": report.answer(), "az_explore_clusters": report.answer_explore()}
    for needs, answer in answers.items():
        if (results / f"{needs}.csv").is_file():
            assert len(answer.lines) == 3
            assert (results / "figures" / f"{answer.figure}.png").is_file()
    ours = pd.read_csv(results / "az_published.csv").set_index("number")["ours"]
    assert f"{ours['accuracy']:.1%} right in the pool" in answers["az_published"].lines[0]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Give a copy of results/, to be changed."""
    shutil.copytree(
        repository_root() / "results", tmp_path / "results",
        ignore=shutil.ignore_patterns("figures", "runs", "sweeps"),
    )  # fmt: skip
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    return tmp_path / "results"


def rewritten(path, where, **values):
    table = pd.read_csv(path)
    for name, value in values.items():
        table.loc[table.query(where).index, name] = value
    table.to_csv(path, index=False)


def test_the_answers_take_their_words_from_the_verdicts(copied):
    known = 0.8346546310832025
    pool = "metric == 'accuracy' and split == 'pool' and arm == 'as_published'"
    rewritten(copied / "az.csv", pool, value=known)
    assert report.answer().lines[0].startswith("**The published accuracy comes out**: 83.5%")
    rewritten(copied / "az.csv", pool, value=known - 0.02)
    assert (
        report.answer()
        .lines[0]
        .startswith("**Our accuracy differs from the published one by -2.0 points**: 81.5%")
    )
    for verdict, says in loop_findings.CHOICE.items():
        rewritten(copied / "az_differences.csv", "n > 0", verdict=verdict)
        assert f"**The loop's choice is {says} a random one**" in report.answer().lines[1]


def test_what_letters_look_like_is_said_in_words_that_fit_the_numbers(copied):
    clusters, uneven = copied / "az_explore_clusters.csv", copied / "az_explore_imbalance.csv"
    for share, says in ((0.9, "form clusters"), (0.3, "form loose"), (0.06, "form no clusters")):
        rewritten(clusters, "n_ == n_".replace("n_", "neighbours"), **{"same label": share})
        assert f"The letters {says}" in report.answer_explore().lines[0]
    for balanced, says in ((0.7, "flatters by 10.0"), (0.9, "is lower by 10.0"), (0.8, "does not")):
        rewritten(uneven, "arm == 'as_found'", accuracy=0.8, balanced_accuracy=balanced)
        assert report.answer_explore().lines[1].startswith(f"**Accuracy {says}")


def test_an_answer_without_results_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    assert "not in results/ yet" in report.answer().lines[0]
    assert "not in results/ yet" in report.answer_explore().lines[0]


# --- looking at letters ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mapped(study):
    return report.maps(study.letters, 400, 12, 5, 3)


def test_letters_are_looked_at_before_anything_is_learned(study):
    data = study.letters.data
    samples = check(report.samples(data, 16, 0))
    assert len(samples.figure.axes) == 16
    assert check_grid(samples.figure) == (4, 4)
    assert report.count_classes(data).text.startswith("1,560 letters (rendered")
    assert check(report.class_sizes(data)).text.startswith("Balanced: 60 of each class")
    uneven = report.class_sizes(
        data.take(np.flatnonzero((data.labels > 0) | (data.images[:, 14, 14] > 0)))
    )
    assert uneven.text.startswith("Imbalanced: 60 ")
    check(report.undersampling(data, 42))
    assert "hold 4.7 of 26 classes" in report.first_rows(42).text


def check_grid(figure):
    spec = figure.axes[0].get_subplotspec().get_gridspec()
    return spec.nrows, spec.ncols


def test_maps_are_of_random_letters_and_neighbours_are_counted_on_them(study, mapped):
    from alutils.experiments.report.exploration import label_agreement

    assert len(np.unique(mapped.letters.labels)) == 26  # whatever the order of the data set
    found = check(report.neighbours(mapped))
    rows = found.tables["az_clusters"].set_index(["input", "neighbours"])["same label"]
    again = label_agreement(mapped.layouts["raw pixels"], mapped.letters.labels, 26, 5)
    assert rows["raw pixels", "on the map"] == again.share
    assert len(found.table.columns) <= 8
    check(report.tsne(mapped))
    check(report.clusters_by_class(mapped))


def test_what_imbalance_does_is_shown_in_six_columns_and_recorded(study):
    results = report.train_uneven(study.letters, 300, 200, 2, 1)
    found = check(report.metrics(study.letters, results), rows=True)
    assert len(found.table.columns) == 7
    mean = results.groupby(["test", "arm"])["accuracy"].mean()
    assert f"accuracy is {mean['as found', 'as_found']:.1%}" in found.text
    check(report.dots(study.letters, results))
    for seed in (1, 2):  # which letters there are depends on the run's seed, too
        assert set(report.train_uneven(study.letters, 300, 200, 2, seed)["seed"]) == {
            1000 * seed, 1000 * seed + 1,
        }  # fmt: skip
    with pytest.raises(ParameterError, match="draws=1001"):
        report.train_uneven(study.letters, 300, 200, 1001, 0)
    gap = 100 * (mean["balanced", "undersampled"] - mean["balanced", "as_found_few"])
    assert (
        f"by {gap:+.1f} points against as few"
        in report.price(results).text.split("Tested balanced")[1]
    )


# --- what takes long is kept ----------------------------------------------------------------------


def test_what_takes_long_is_kept_in_a_part_a_draw_so_that_a_killed_run_goes_on(
    study, first, monkeypatch
):
    from alutils.base.content import content_digest

    keys = []

    def keep(function, *arguments, frames=1, **named):
        keys.append((function.__name__, content_digest(function, arguments, named)))
        return function(*arguments, **named)

    def look(images, preprocessing):
        pixels = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
        return pixels.reshape(len(images), -1).astype(np.float32)

    monkeypatch.setattr(worries, "_look", look)
    report.run_loops(study, 1, keep)
    report.follow_steps(study, 0.3, 0.3, keep)
    report.corruption(study, first, 30, keep)
    report.wrong_labels(study, keep)
    report.compare_classifiers(study, 1, 1, 3, keep)
    report.maps(study.letters, 200, 10, 5, 3, keep)
    report.train_uneven(study.letters, 300, 200, 2, 1, keep)
    assert len(set(keys)) == len(keys)
    parts = pd.Series([name for name, _ in keys]).value_counts().to_dict()
    assert parts == {
        "loops_draw": 2 * 3, "steps_draw": 2, "under_corruption": 1, "with_wrong_labels": 2,
        "classifiers_draw": 1, "network_draw": 1, "layout": 2, "imbalance_draw": 2,
    }  # fmt: skip
