"""Rejected pictures: an answer of its own, taken back, and out of what labels count in."""

import hashlib
import io
import re

import numpy as np
import pytest
from finish_helpers import project
from PIL import Image

from alutils.labelling.finish.project import Finish
from alutils.labelling.store.records import ConflictError, Filter
from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access


@pytest.fixture
def store(tmp_path):
    """Six pictures; 1 is A, 2 is B by ann."""
    with Store.open(tmp_path, ["A", "B"], seed=0, random_rate=0) as opened:
        for i in range(1, 7):
            file = io.BytesIO()
            Image.fromarray(np.full((3, 3), i, np.uint8)).save(file, "PNG")
            data = file.getvalue()
            opened.pictures.add(data, hashlib.sha256(data).hexdigest(), f"{i}.png", 3, 3)
        opened.queue.label("ann", 1, "A")
        opened.queue.label("ann", 2, "B")
        yield opened


def rejected(store):
    return {i.id for i in store.reader.page(Filter(source="rejected"), limit=100).items}


def test_a_rejected_picture_does_not_come_again_and_says_why(store):
    event = store.queue.reject("bob", 3, "bad picture", "k")
    assert (event.kind, event.why, event.label) == ("reject", "bad picture", None)
    assert store.queue.reject("bob", 3, "bad picture", "k") == event
    assert {i.id for i in store.queue.hand_out("eve", 10)} == {4, 5, 6}
    progress = store.reader.progress()
    assert (progress.rejected, progress.remaining) == (1, 3)
    assert rejected(store) == {3}
    for act in (store.queue.skip, store.queue.reject):
        with pytest.raises(ConflictError, match="was rejected"):
            act("eve", 3)


def test_a_rejected_picture_comes_back_by_undo_first_of_all(store):
    store.queue.reject("bob", 5)
    (back,) = store.queue.undo("bob")
    assert (back.id, back.rejected) == (5, False)
    assert store.queue.hand_out("bob", 1)[0].id == 5


def test_in_the_grid_labels_are_rejected_all_or_none_and_come_back(store):
    store.queue.hand_out("eve", 1)
    held = next(i.id for i in store.reader.page(limit=10).items if i.person == "eve")
    with pytest.raises(ConflictError, match="'eve' has it"):
        store.grid.reject("bob", [1, held])
    assert rejected(store) == set()
    assert store.grid.reject("bob", [1, 2], "none of these") == 2
    assert store.grid.reject("bob", [1, 2], "none of these") == 0
    assert rejected(store) == {1, 2}
    assert not store.reconcile()
    assert not list(store.files.classes.rglob("*.png"))
    assert [i.label for i in store.queue.undo("bob")] == ["A", "B"]
    assert rejected(store) == set()
    assert not store.reconcile()


def test_a_rejected_picture_gets_a_label_in_the_grid_and_back(store):
    store.queue.reject("bob", 3, "blurred")
    store.queue.relabel("ann", [3], "A")
    assert (rejected(store), store.reader.item(3).label) == (set(), "A")
    store.queue.undo("ann")
    assert (rejected(store), store.reader.item(3).label) == ({3}, None)


def test_pictures_of_an_open_attempt_are_answered_in_the_queue_only(tmp_path):
    store, loop, _ = project(tmp_path / "more")
    with store:
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=10, person="ann")
        (handed,) = finish.next("bob", 1)
        with pytest.raises(ConflictError, match="attempt to finish"):
            store.grid.reject("bob", [handed.id])
        event = store.queue.reject("bob", handed.id)
        assert event.plan is not None
        assert event.hidden


def test_the_random_sample_has_no_rejected_pictures(store):
    with Store.open(store.folder / "more", ["A", "B"], seed=0, random_rate=1) as other:
        for i in range(5):
            file = io.BytesIO()
            Image.fromarray(np.full((3, 3), i, np.uint8)).save(file, "PNG")
            data = file.getvalue()
            other.pictures.add(data, hashlib.sha256(data).hexdigest(), f"{i}.png", 3, 3)
        first, second, third = other.queue.hand_out("ann", 3)
        other.queue.label("ann", first.id, "A")
        other.queue.reject("ann", second.id)
        other.queue.label("ann", third.id, "B")
        assert other.sample.labelled().tolist() == [first.id, third.id]


def test_nothing_is_learned_from_a_rejected_picture(store):
    store.grid.reject("bob", [1])
    assert store.reader.snapshot()["label"].tolist() == [-1, 1, -1, -1, -1, -1]


def test_on_its_own_page_a_rejected_picture_gets_a_label_after_all(store):
    store.queue.reject("bob", 3)
    browser = create_app(store, access=access("127.0.0.1", bytes(32))).test_client()
    token = re.search(r'name="csrf-token" content="([^"]*)"', browser.get("/who").text)[1]
    browser.post("/who", data={"name": "Ada", "csrf_token": token})
    answer = browser.post("/one/3", data={"label": "B", "csrf_token": token})
    assert answer.status_code == 302
    assert store.reader.item(3).label == "B"
