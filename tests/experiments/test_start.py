"""Notebook 00: a person's answers are never lost, and what is promised and written is so."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fair_rows import fair_rows
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from alutils import Estimator, PoolState, load, pool_based
from alutils.active import by_score, margin
from alutils.active.oracles import ABSTAINED
from alutils.base.errors import BadInput, ParameterError
from alutils.base.files import repository_root
from alutils.experiments import start
from alutils.experiments.label_costs import fair
from alutils.experiments.start import attempts
from alutils.experiments.start import pictures as start_pictures
from alutils.experiments.start.person import check_somebody_there
from alutils.guarantee.error_chances import Judged
from alutils.runs.notebook import headless

CLASSES = ("cat", "cow", "dog")


def pictures_of(n, labels=None):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    names = tuple(f"{i}.png" for i in range(n))
    return start.Pictures(images, names, CLASSES, labels, "animals", "local")


class Scripted:
    """Answers with lines prepared beforehand; counts what it was asked."""

    def __init__(self, *lines):
        self.lines, self.questions = list(lines), []

    def __call__(self, question):
        self.questions.append(question)
        return self.lines.pop(0)


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    monkeypatch.setattr("alutils.experiments.start.person.display_image", lambda png, alt: None)


def test_answers_are_kept_and_not_asked_for_again(tmp_path):
    pictures, journal = pictures_of(6), tmp_path / "labelled" / "answers.jsonl"
    first = Scripted("cat dog cow")
    assert start.Person(pictures, journal, first)(np.array([4, 0, 2])).tolist() == [0, 2, 1]
    # Another session, the pictures in another order: known by their content.
    turned = replace(pictures, images=pictures.images[::-1], names=pictures.names[::-1])
    second = Scripted("dog")
    assert start.Person(turned, journal, second)(np.array([1, 5, 4])).tolist() == [0, 2, 2]
    assert len(first.questions) == len(second.questions) == 1
    assert second.questions[0].startswith("1 to go")


def test_beginnings_of_names_will_do_and_wrong_lines_are_asked_for_again(tmp_path):
    ask = Scripted("cat dog", "ca horse -", "c dog -", "CA, d, -")
    person = start.Person(pictures_of(3), tmp_path / "a.jsonl", ask)
    assert person(np.arange(3)).tolist() == [0, 2, ABSTAINED]
    told = [question.split(" Again")[0] for question in ask.questions[1:]]
    assert told == [
        "2 answers to 3 pictures.",
        "'horse' is none of cat, cow, dog.",
        "'c' may be cat or cow.",
    ]
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3
    assert all("cat, cow, dog" in question for question in ask.questions)


def test_names_that_hold_spaces_stand_between_commas(tmp_path):
    pictures = replace(pictures_of(3), classes=("stop sign", "stop light"))
    ask = Scripted("stop sign, stop l, stop", "stop sign,stop l,-")
    person = start.Person(pictures, tmp_path / "a.jsonl", ask)
    assert person(np.arange(3)).tolist() == [0, 1, ABSTAINED]
    assert "commas between" in ask.questions[0]
    assert ask.questions[1].startswith("'stop' may be stop sign or stop light.")


def test_fewer_pictures_than_labels_are_refused_before_the_first_question(tmp_path):
    drawn(tmp_path, 60)
    told = r"budget=60: there are 60 pictures, and none would be left to the model; lower budget"
    with pytest.raises(ParameterError, match=told):
        start.read(str(tmp_path), "up,down", budget=60, size=8)
    assert len(start.read(str(tmp_path), "up,down", budget=40, size=8)) == 60


def test_class_folders_of_several_sizes_are_resized(tmp_path):
    truth = drawn(tmp_path / "loose", 12)
    for name, label in truth.items():
        place = tmp_path / "sorted" / label / name.replace("/", "-")
        place.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "loose" / name).rename(place)
    pictures = start.read(str(tmp_path / "sorted"), size=10)
    assert pictures.images.shape == (12, 10, 10) and pictures.classes == ("down", "up")


def test_a_sheet_can_be_answered_once_more(tmp_path, monkeypatch):
    monkeypatch.setattr("alutils.experiments.start.person.SHEET", 2)
    pictures, journal = pictures_of(5), tmp_path / "a.jsonl"
    ask = Scripted("<", "cat cat", "dog dog", "<", "cow dog", "<", "<", "cow cow", "dog cow", "cat")
    answers = start.Person(pictures, journal, ask)(np.arange(5)).tolist()
    assert answers == [1, 1, 2, 1, 0]
    # The last answer to a picture is the one that counts, in the next session, too.
    assert start.Person(pictures, journal, Scripted())(np.arange(5)).tolist() == answers


@pytest.mark.parametrize("cut", [2, 20, 60])
def test_a_line_cut_off_by_a_kill_is_asked_again_and_all_others_are_not(tmp_path, cut):
    pictures, journal = pictures_of(4), tmp_path / "a.jsonl"
    start.Person(pictures, journal, Scripted("cat cow dog cat"))(np.arange(4))
    journal.write_bytes(journal.read_bytes()[:-cut])
    ask = Scripted("dog")
    assert start.Person(pictures, journal, ask)(np.arange(4)).tolist() == [0, 1, 2, 2]
    assert len(ask.questions) == 1
    # The cut line does not swallow the one that was written behind it.
    again = Scripted()
    assert start.Person(pictures, journal, again)(np.arange(4)).tolist() == [0, 1, 2, 2]


def test_an_answer_of_another_class_than_those_named_now_is_refused(tmp_path):
    pictures, journal = pictures_of(2), tmp_path / "a.jsonl"
    start.Person(pictures, journal, Scripted("cow cat"))(np.arange(2))
    fewer = replace(pictures, classes=("cat", "dog"))
    with pytest.raises(ParameterError, match=r"classes=cat,dog: .*holds the answer cow; name all"):
        start.Person(fewer, journal, Scripted())(np.arange(2))


def test_where_nobody_sits_before_the_notebook_the_error_says_what_to_do(tmp_path):
    def nobody(_):
        raise RuntimeError("raw_input was called, but this frontend does not support it.")

    person = start.Person(pictures_of(2), tmp_path / "a.jsonl", nobody)
    with pytest.raises(ParameterError, match=r"nobody can be asked.*make lab"):
        person(np.arange(2))
    assert not (tmp_path / "a.jsonl").exists()


@given(st.lists(st.sampled_from([*CLASSES, "-"]), min_size=1, max_size=30))
def test_a_line_of_whole_names_is_read_as_it_stands(names):
    person = start.Person(pictures_of(1), None, input)
    assert person.read(" ".join(names), len(names)) == names


def drawn(folder, n):
    """Draw pictures of two kinds, bright above and bright below, of several sizes."""
    rng, truth = np.random.default_rng(1), {}
    (folder / "more").mkdir(parents=True)
    for i in range(n):
        side, upper = int(rng.integers(20, 40)), bool(rng.integers(2))
        image = rng.integers(0, 100, (side, side), dtype=np.uint8)
        half = slice(0, side // 2) if upper else slice(side // 2, None)
        image[half] += 120
        name = f"{'more/' * (i % 2)}{i}.png"
        Image.fromarray(image).save(folder / name)
        truth[name] = "up" if upper else "down"
    (folder / ".hidden.png").write_bytes(b"")
    return truth


def test_a_folder_of_pictures_is_labelled_from_the_first_answer_to_the_file(tmp_path, monkeypatch):
    truth = drawn(tmp_path / "mine", 120)
    pictures = start.read(str(tmp_path / "mine"), "down, up", size=8)
    assert pictures.labels is None and sorted(pictures.names) == sorted(truth)
    monkeypatch.setenv("ALUTILS_RUN_DIR", str(tmp_path))

    def answers(question):
        n = int(question.split(" answer")[0].split()[-1])
        return " ".join(truth[pictures.names[item]] for item in person_items[:n])

    class Reading(start.Person):
        def _answers(self, sheet, left):
            person_items[:] = sheet
            return super()._answers(sheet, left)

    person_items = []
    oracle = Reading(pictures, tmp_path / "out" / "answers.jsonl", answers)
    x = pictures.images.reshape(120, -1) / 255
    model, state, diary = Estimator(2), PoolState.start(120), start.Diary(pictures)
    for done in pool_based(x, oracle, model, by_score(margin), state, batch=10, budget=20):
        diary.note(done, model.predict_proba(x[state.pool]), state)
    assert [row["labels"] for row in diary.rows] == [10, 20]
    assert "How many of these are right, an audit says" in diary.curve().text
    p = model.predict_proba(x[state.pool])
    found = start.forecast(pictures, state, p, diary.judged, 0.9, out="out")
    assert "at least 90% of all 120 labels" in found.text and found.figure is not None
    attempt = finished(
        start.attempt(pictures, state, p, diary.judged, oracle, 0.9, seed=0, out="out"), oracle
    )
    assert attempt.decision == "certified"
    assert "At least 90% of all 120 labels are right" in start.finished(attempt).text
    wrote = start.write(attempt).text
    table = pd.read_csv(tmp_path / "out" / "labels.csv", keep_default_na=False)
    assert table["picture"].tolist() == list(pictures.names)
    n_model = int((table["by"] == "model").sum())
    assert n_model > 0 and f"{n_model:,} of the model" in wrote
    assert (table["by"] == "person").sum() == 120 - n_model
    named = table[table["label"] != ""]
    assert [truth[name] for name in named["picture"]] == named["label"].tolist()
    back = load(tmp_path / "out" / "labelled.npz")
    assert back.classes == ("down", "up") and len(back) == len(named)
    assert [back.classes[label] for label in back.labels] == named["label"].tolist()
    with np.load(tmp_path / "out" / "labelled.npz", allow_pickle=False) as arrays:
        assert arrays["paths"].tolist() == named["picture"].tolist()
        assert arrays["source"].tolist() == named["by"].tolist()


def finished(attempt, oracle):
    """Answer until it is decided."""
    while attempt.decision == "go on":
        items = attempt.next(20)
        attempt.answer(items, oracle(items))
    return attempt


JUDGED = Judged(np.full(50, 0.5), np.arange(50) < 10, np.zeros(50, bool))


def begin(out, n=600, pictures=None, p=None, oracle=None, seed=0, promise=0.9):
    """Begin an attempt about pictures that the model calls the first class."""
    pictures = pictures or pictures_of(n, np.zeros(n, np.int64))
    p = np.tile([0.98, 0.01, 0.01], (n, 1)) if p is None else p
    oracle = oracle or start.oracle(pictures, out)
    state = PoolState.start(n)
    return start.attempt(pictures, state, p, JUDGED, oracle, promise, seed=seed, out=out)


def cats(question):
    """Answer that all pictures of a sheet are cats."""
    return " ".join(["cat"] * int(question.split(" answer")[0].split()[-1]))


def test_few_attempts_at_a_false_promise_are_certified(tmp_path):
    n, n_wrong, false = 400, 41, 0  # 40 of 400 are allowed
    for seed in range(60):
        truth = np.zeros(n, np.int64)
        truth[np.random.default_rng(seed).permutation(n)[:n_wrong]] = 1
        pictures, out = pictures_of(n, truth), tmp_path / str(seed)
        oracle = start.oracle(pictures, out)
        attempt = finished(begin(out, n, pictures, seed=seed), oracle)
        items, label = attempt.by_model
        false += int((truth[items] != label).sum()) > 40
    assert false <= 7  # 2.4 expected at most


def test_an_attempt_is_the_same_when_the_notebook_is_run_again(tmp_path):
    first, again = begin(tmp_path), begin(tmp_path)
    assert first.number == again.number == 1
    assert first.next(30).tolist() == again.next(30).tolist()
    other = np.tile([0.97, 0.02, 0.01], (600, 1))
    second = begin(tmp_path, p=other)
    assert second.number == 2
    assert second.finishing.plan.level > first.finishing.plan.level
    # The same pictures in another order, or of another size, are the same pictures.
    turned = pictures_of(600, np.zeros(600, np.int64))
    turned = replace(turned, images=turned.images[::-1].copy())
    assert begin(tmp_path, pictures=turned).number == 3
    assert begin(tmp_path, promise=0.95).number == 4


def test_an_attempt_broken_off_goes_on_and_asks_nothing_again(tmp_path):
    pictures, asked = pictures_of(600), []

    def once(question):
        if len(asked) == 1:
            raise IndexError("the kernel died")
        asked.append(len(cats(question).split()))
        return cats(question)

    person = start.Person(pictures, tmp_path / "answers.jsonl", once)
    with pytest.raises(IndexError):
        finished(begin(tmp_path, pictures=pictures, oracle=person), person)
    asked.append(0)
    attempt = finished(begin(tmp_path, pictures=pictures, oracle=person), person)
    assert attempt.number == 1 and attempt.decision == "certified"
    assert sum(asked) == attempt.finishing.n_answered > asked[0]


def test_a_persons_answer_is_the_label_whatever_it_was_asked_for(tmp_path):
    pictures = pictures_of(600)
    person = start.Person(pictures, tmp_path / "answers.jsonl", Scripted("dog cow -"))
    person(np.array([5, 6, 7]))  # for a model that is no more; this one says cat

    person = replace(person, ask=cats)
    attempt = begin(tmp_path, pictures=pictures, oracle=person)
    assert attempt.finishing.n_items == 599  # nobody could name one
    finished(attempt, person)
    assert not set(attempt.items) & {5, 6, 7}
    start.write(attempt)
    rows = pd.read_csv(tmp_path / "labels.csv", keep_default_na=False)
    assert rows["label"][[5, 6, 7]].tolist() == ["dog", "cow", ""]
    assert rows["by"][[5, 6, 7]].tolist() == ["person", "person", "skipped"]
    assert (rows["by"] == "model").sum() == len(attempt.finishing.rest)


def test_a_refused_attempt_labels_nothing_and_says_how_to_go_on(tmp_path):
    truth = (np.random.default_rng(0).random(600) < 0.3).astype(np.int64)
    pictures = pictures_of(600, truth)
    oracle = start.oracle(pictures, tmp_path)
    attempt = begin(tmp_path, pictures=pictures, promise=0.95)
    attempt = finished(attempt, oracle)
    assert attempt.decision == "refused" and not len(attempt.by_model[0])
    text = start.finished(attempt).text
    assert text.startswith("Nothing is promised") and "Raise `budget`" in text
    start.write(attempt)
    by = pd.read_csv(tmp_path / "labels.csv", keep_default_na=False)["by"]
    assert (by == "model").sum() == 0
    assert (by == "person").sum() == attempt.finishing.n_answered


@pytest.mark.parametrize(
    ("data", "classes", "says"),
    [
        ("mnist_article", "cat,dog", "with classes= it is a folder of pictures"),
        ("{folder}", "", "holds pictures, and no folder for each class; name the classes"),
        ("{folder}", "cat", "expected two different names or more"),
        ("{folder}", "cat, cat", "expected two different names or more"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_once(tmp_path, data, classes, says):
    with pytest.raises(ParameterError, match=says):
        start.read(data.format(folder=tmp_path), classes)


def test_an_empty_folder_and_a_broken_picture_are_told(tmp_path):
    with pytest.raises(BadInput, match="no image can be used"):
        start.read(str(tmp_path), "cat,dog")
    drawn(tmp_path, 3)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(BadInput, match=r"broken\.png"):
        start.read(str(tmp_path), "cat,dog", size=8)
    assert len(start.read(str(tmp_path), "cat,dog", size=8, on_bad="skip")) == 3


@pytest.mark.parametrize(
    ("sides", "shape", "said"),
    [
        ([(28, 28)], (28, 28), "yours are taken as they are"),
        ([(20, 33)], (33, 20), "yours are taken as they are"),
        ([(100, 100)], (64, 64), "yours, of 100 × 100, are resized to 64 × 64"),
        ([(28, 28), (30, 28)], (64, 64), "yours, of several sizes, are resized to 64 × 64"),
    ],
)
@pytest.mark.parametrize("labelled", [False, True])
def test_small_pictures_of_one_size_are_taken_as_they_are(tmp_path, sides, shape, said, labelled):
    rng = np.random.default_rng(0)
    for i in range(8):
        width, height = sides[i % len(sides)]
        folder = tmp_path / ("ab"[i // 4] if labelled else ".")
        folder.mkdir(exist_ok=True)
        image = rng.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{i}.png")
    pictures = start.read(str(tmp_path), "" if labelled else "a,b")
    assert pictures.images.shape == (8, *shape) and pictures.sized == said


def test_another_size_loses_no_answer(tmp_path):
    drawn(tmp_path / "mine", 12)
    journal = tmp_path / "answers.jsonl"
    small = start.read(str(tmp_path / "mine"), "down,up", size=8)
    start.Person(small, journal, Scripted("up " * 12))(np.arange(12))
    for size in (0, 16):
        other = start.read(str(tmp_path / "mine"), "down,up", size=size)
        assert start.Person(other, journal, Scripted())(np.arange(12)).tolist() == [1] * 12


def test_a_folder_that_is_not_there_is_named_with_the_places_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for classes in ("cat,dog", ""):
        with pytest.raises(BadInput, match="no such file or folder") as caught:
            start.read("my/unlabelled", classes)
        for place in (tmp_path, repository_root()):
            assert str(place / "my" / "unlabelled") in str(caught.value)


def test_results_are_in_the_repository_wherever_the_notebook_stands(tmp_path, monkeypatch):
    monkeypatch.delenv("ALUTILS_RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    assert attempts.folder("labelled") == repository_root() / "labelled"
    assert attempts.folder(tmp_path / "there") == tmp_path / "there"


def test_a_run_by_itself_that_would_have_to_ask_is_refused_before_any_work(tmp_path):
    with pytest.raises(ParameterError, match="nobody can be asked"):
        headless.execute("start", "quick", {"classes": "cat,dog"}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "answers.jsonl").write_text("")
    check_somebody_there("cat,dog", str(tmp_path))


def test_every_line_of_the_journal_names_picture_class_and_content(tmp_path):
    start.Person(pictures_of(2), tmp_path / "a.jsonl", Scripted("cat -"))(np.array([1, 0]))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(line["picture"], line["class"]) for line in lines] == [
        ("1.png", "cat"),
        ("0.png", "-"),
    ]
    assert len({line["sha256"] for line in lines}) == 2


def test_what_a_person_skipped_is_marked_so(tmp_path):
    pictures, state = pictures_of(120, np.zeros(120, np.int64)), PoolState.start(120)
    state.declined, state.pool = state.pool[:3], state.pool[3:]
    p, oracle = np.tile([0.98, 0.01, 0.01], (117, 1)), start.oracle(pictures, tmp_path)
    attempt = start.attempt(pictures, state, p, JUDGED, oracle, 0.5, seed=0, out=tmp_path)
    items = attempt.next(2)
    attempt.answer(items, np.full(len(items), ABSTAINED))
    text = start.write(attempt).text
    assert f"{3 + len(items)} that people skipped" in text
    by = pd.read_csv(tmp_path / "labels.csv", keep_default_na=False)["by"]
    assert set(np.flatnonzero(by == "skipped")) == {0, 1, 2, *items.tolist()}


def test_the_answer_has_the_fewest_labels_of_all_pictures_that_were_compared(monkeypatch):
    table = pd.concat([fair_rows(), fair_rows("letters", 0.98, 5284)])
    monkeypatch.setattr(fair, "published", lambda: table)
    said = start.answer().lines[2]
    assert "30,000 digits took 1,050 human labels (4%) to be labelled, 99% right" in said
    assert "5,284 capital letters took 1,050 human labels (20%) to be labelled, 98% right" in said
    monkeypatch.setattr(fair, "published", lambda: None)
    assert "python -m benchmarks fair_costs" in start.answer().lines[2]


@pytest.mark.parametrize("name", ["mnist_article", "rendered"])
def test_titles_call_known_data_by_words_and_not_by_their_code_names(name):
    if name == "rendered":
        assert start_pictures.TITLES[name] == "Letters"
    else:
        assert start.read(name).name == "The article's digits"
