"""What the panel says of the model: one line, and more for those who ask."""

from dataclasses import fields, replace

import pytest

from alutils.labelling.model.contest import QUICK
from alutils.labelling.model.facts import Share
from alutils.labelling.model.status import Status
from alutils.labelling.model.words import model_text
from alutils.labelling.store.records import Progress
from alutils.stats.learning_curve import Estimate

NOTHING = Share(0, 0)
STATUS = Status(
    state="waiting", problem="", model="", brought=False, name="", n_trained=0, n_new=0,
    features_done=0, features_total=0, backbone="", beside="", right=None, pool=NOTHING,
    labelled=NOTHING, points=(), advice="",
)  # fmt: skip
MODEL = replace(STATUS, model="a" * 64, name=QUICK, n_trained=40)


def progress(total=100, human=0, per_class=None, **more):
    given = {"total": total, "human": human, "per_class": per_class or {}, "per_person": {}, **more}
    return Progress(**{field.name: given.get(field.name, 0) for field in fields(Progress)})


def seen(status, now, **more):
    return [line["text"] for line in model_text(status, now, **more) if not line["more"]]


@pytest.mark.parametrize(
    ("human", "per_class", "line"),
    [
        (0, {}, "after 20 more labels of two classes or more."),
        (7, {"A": 7}, "after 13 more labels of two classes or more."),
        (7, {"A": 6, "B": 1}, "after 13 more labels."),
        (19, {"A": 9, "B": 10}, "after 1 more label."),
        (25, {"A": 25, "B": 0}, "as soon as a second class has a label."),
        (20, {"A": 12, "B": 8}, "The first model is on its way."),
    ],
)
def test_the_first_model_is_counted_down_to_what_it_truly_takes(human, per_class, line):
    (said,) = seen(STATUS, progress(human=human, per_class=per_class), first=20)
    assert said.endswith(line)


def test_while_pictures_are_read_all_that_come_are_counted():
    assert seen(STATUS, progress(25), to_read=1975)[0] == "2,000 pictures are being read."
    reading = replace(STATUS, state="features", features_done=512, features_total=600)
    assert seen(reading, progress(600), to_read=1400)[0] == "512 of 2,000 pictures are read."
    assert "read" not in seen(MODEL, progress(600))[0]
    assert seen(None, progress(10), to_read=5)[0] == "10 of 15 pictures are read."


def test_how_good_the_model_is_stands_in_one_line():
    good = replace(MODEL, right=Estimate(0.97, 0.912, 0.986), labelled=Share(30, 40))
    assert seen(good, progress()) == [
        "The model is right on about 97% of all pictures (likely 91% to 99%)."
    ]
    early = replace(MODEL, pool=Share(5, 6), labelled=Share(30, 40))
    assert seen(early, progress()) == [
        "The model is right on 75% of the 40 labelled pictures, mostly the hard ones."
    ]
    assert seen(MODEL, progress()) == [
        "How good the model is cannot be told before there are labels of yours."
    ]


def test_the_rest_is_in_the_fold_and_what_is_wrong_comes_first():
    status = replace(
        MODEL, problem="It broke.", pool=Share(58, 60), labelled=Share(30, 40), advice="Go on.",
        backbone="Features: pixels.", state="training",
    )  # fmt: skip
    lines = model_text(status, progress(judged=30, right=24))
    assert lines[0] == {"kind": "bad", "text": "It broke.", "more": False}
    folded = " ".join(line["text"] for line in lines if line["more"])
    for part in ("At work: the quick learner", "96.7%", "Go on.", "pixels", "learns", "for 80%"):
        assert part in folded


def test_without_a_model_there_is_nothing_to_fold():
    assert [line["more"] for line in model_text(None, progress())] == [False]
