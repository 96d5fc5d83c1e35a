"""Notebook 00: a person's answers are never lost, and what is promised and written is so."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from alutils import Estimator, PoolState, load, pool_based
from alutils.active import by_score, margin
from alutils.active.oracles import ABSTAINED
from alutils.base.errors import BadInput, ParameterError
from alutils.experiments import start

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
    told = r"budget=50: with audit=20 it takes 70 pictures, and there are 60; lower budget or audit"
    with pytest.raises(ParameterError, match=told):
        start.read(str(tmp_path), "up,down", budget=50, audit=20, size=8)
    assert len(start.read(str(tmp_path), "up,down", budget=40, audit=20, size=8)) == 60


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
        n = int(question.split(" classes")[0].split()[-1])
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
    assert "How many of these are right, the audit says" in diary.curve().text
    p = model.predict_proba(x[state.pool])
    places = np.random.default_rng(0).choice(100, 60, replace=False)
    told = oracle(state.pool[places])
    found = start.promises(start.Audited(pictures, state, p, places, told, "out"), 0.9)
    assert "Audit: 0 of 60 random pictures read wrongly" in found.text
    wrote = start.write(start.Audited(pictures, state, p, places, told, "out"), 0.9).text
    table = pd.read_csv(tmp_path / "out" / "labels.csv", keep_default_na=False)
    assert table["picture"].tolist() == list(pictures.names)
    assert (table["by"] == "person").sum() == 80
    n_model = int((table["by"] == "model").sum())
    assert n_model > 0 and f"{n_model:,} of the model" in wrote
    named = table[table["label"] != ""]
    assert [truth[name] for name in named["picture"]] == named["label"].tolist()
    back = load(tmp_path / "out" / "labelled.npz")
    assert back.classes == ("down", "up") and len(back) == len(named)
    assert [back.classes[label] for label in back.labels] == named["label"].tolist()


def test_few_audits_of_one_model_break_their_promise(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    n, broken, given_at_all, audits = 800, 0, 0, 150
    confidence = 1 - 0.4 * rng.random(n) ** 3
    truth = np.where(rng.random(n) < confidence * 0.97, 0, 1)
    p = np.stack([confidence, 1 - confidence, np.zeros(n)], axis=1)
    pictures = pictures_of(n, truth)
    state = PoolState.start(n)
    for _ in range(audits):
        places = rng.choice(n, 150, replace=False)
        audited = start.Audited(pictures, state, p, places, truth[places], tmp_path)
        monkeypatch.setattr(start.Audited, "attempt", 1)  # each as if it were the only one
        _, chosen = audited.labels(0.9)
        assert not chosen[places].any()
        if chosen.any():
            given_at_all += 1
            broken += (truth[chosen] == 0).mean() < 0.9
    assert given_at_all > 10
    assert broken <= 0.1 * audits
    text = start.promises(
        start.Audited(pictures, state, p, places, truth[places], tmp_path), 0.9
    ).text
    assert "of 150 random pictures read wrongly" in text


def test_every_try_on_the_same_pictures_is_held_to_a_higher_level(tmp_path):
    n = 400
    pictures, state = pictures_of(n, np.zeros(n, np.int64)), PoolState.start(n)
    p = np.tile([0.98, 0.01, 0.01], (n, 1))
    rng = np.random.default_rng(0)

    def labelled(pictures=pictures):
        places = rng.choice(n, 70, replace=False)
        found = start.promises(
            start.Audited(pictures, state, p, places, np.zeros(70, int), tmp_path), 0.95
        )
        again = start.promises(
            start.Audited(pictures, state, p, places, np.zeros(70, int), tmp_path), 0.95
        )
        assert found.text == again.text  # a cell run again is no further try
        wrote = start.write(
            start.Audited(pictures, state, p, places, np.zeros(70, int), tmp_path), 0.95
        ).text
        count = re.search(r"for ([\d,]+) labels of the model", found.text)[1]
        assert f"{count} of the model" in wrote
        return int(count.replace(",", "")), found.text

    (first, text), (second, later) = labelled(), labelled()
    assert first == 330 and "tries" not in text  # 70 without an error do at 96%, not at 99.2%
    assert second == 0 and "over all 2 tries" in later
    others = replace(pictures, images=pictures.images[::-1].copy())
    assert labelled(others)[0] == 330


@pytest.mark.parametrize(("promise", "said"), [(0.995, "99.5%"), (0.985, "98.5%"), (0.95, "95%")])
def test_a_promise_is_said_as_it_is(tmp_path, promise, said):
    pictures, state = pictures_of(300, np.zeros(300, np.int64)), PoolState.start(300)
    p = np.tile([0.98, 0.01, 0.01], (300, 1))
    text = start.promises(
        start.Audited(pictures, state, p, np.arange(50), np.zeros(50, int), tmp_path), promise
    )
    assert f"At least {said} right is promised" in text.text


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


def test_every_line_of_the_journal_names_picture_class_and_content(tmp_path):
    start.Person(pictures_of(2), tmp_path / "a.jsonl", Scripted("cat -"))(np.array([1, 0]))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(line["picture"], line["class"]) for line in lines] == [
        ("1.png", "cat"),
        ("0.png", "-"),
    ]
    assert len({line["sha256"] for line in lines}) == 2


def test_what_a_person_skipped_is_marked_so(tmp_path):
    pictures, state = pictures_of(120), PoolState.start(120)
    state.declined, state.pool = state.pool[:3], state.pool[3:]
    p = np.tile([0.98, 0.01, 0.01], (117, 1))
    told = np.where(np.arange(80) < 2, ABSTAINED, 0)
    text = start.write(start.Audited(pictures, state, p, np.arange(80), told, tmp_path), 0.5).text
    assert "78 labels of people" in text and "5 that people skipped" in text
    by = pd.read_csv(tmp_path / "labels.csv", keep_default_na=False)["by"]
    assert (by == "skipped").tolist() == [i < 5 for i in range(120)]
