"""The labelling store: pictures, the queue, labels, automatic labels, class folders."""

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from label_helpers import auto_label

from alutils.labelling.store.database import Database
from alutils.labelling.store.files import Files
from alutils.labelling.store.records import (
    ConflictError,
    Filter,
    LabellingError,
    Model,
    UnavailableError,
    UnknownError,
)
from alutils.labelling.store.store import Store

HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x05\0\0\0\x06"  # as much of a PNG file as is looked at


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        self.now += 0.001
        return self.now


def add(store, i, name=None, source="upload"):
    data = HEAD + str(i).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    return store.pictures.add(data, sha256, f"{i}.png" if name is None else name, 5, 6, source)


def score(store, model="m" * 64, confidence=None):
    """Predict class i % 3 for picture i, with confidence i / n or as given."""
    ids = store.reader.snapshot()["id"]
    confidence = ids / len(ids) if confidence is None else np.asarray(confidence)
    store.models.set_scores(Model(model, ("A", "B", "C"), 0, "", ""), ids, ids % 3, confidence)


def content(store):
    """All rows and all files but the lock and the database: what a refused request must not change.

    Leases are left out: being shown a picture changes nothing.
    """
    tables = ("classes", "events", "items", "models")
    rows = {
        t: [tuple(r) for r in store.database.connection.execute(f"SELECT * FROM {t}")]
        for t in tables
    }
    root = store.files.root
    files = {str(p.relative_to(root)) for p in root.rglob("*") if not p.name.startswith("labels.")}
    return rows, files


def folders(store):
    """Return what is in the class folders: {(folder, file name)}."""
    return {(p.parent.name, p.name) for p in store.files.classes.rglob("*") if p.is_file()}


@pytest.fixture
def tmp_path():
    """Make a folder, in memory where that can be: thousands of syncs to a busy disk take long."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, ["A", "B", "C"], seed=0, clock=Clock(), random_rate=0) as opened:
        for i in range(1, 11):
            add(opened, i)
        yield opened


def test_each_project_has_an_id_of_its_own_and_keeps_it(tmp_path):
    with Store.open(tmp_path / "pictures") as one, Store.open(tmp_path / "two" / "pictures") as two:
        first = one.project_id
        assert len(set(first) - set("0123456789abcdef")) == 0
        assert len(first) == 32
        assert first != two.project_id
    with Store.open(tmp_path / "pictures") as again:
        assert again.project_id == first
    for path in (tmp_path / "pictures" / "labelling").glob("labels.sqlite*"):
        path.unlink()
    with Store.open(tmp_path / "pictures") as anew:
        assert anew.project_id != first


# --- pictures -------------------------------------------------------------------------------------


def test_the_same_picture_comes_in_once_and_keeps_its_number_and_label(store):
    store.queue.label("ann", 3, "B")
    before = content(store)
    assert add(store, 3, "another name.png") == 3
    assert content(store) == before
    assert store.pictures.known(store.reader.item(3).sha256) == 3
    assert store.pictures.known("0" * 64) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "abc"}, "64 hexadecimal"),
        ({"sha256": "../" + "a" * 61}, "64 hexadecimal"),
        ({"width": 0}, "width 0"),
        ({"height": 1.5}, "whole number"),
        ({"source": "web"}, "expected one of upload"),
    ],
)
def test_a_picture_that_cannot_be_is_refused_and_leaves_nothing(store, change, message):
    given = {"png": HEAD, "sha256": "a" * 64, "name": "x", "width": 5, "height": 6} | change
    before = content(store)
    with pytest.raises(LabellingError, match=message):
        store.pictures.add(**given)
    assert content(store) == before


def test_a_picture_whose_row_cannot_be_written_leaves_no_file(store, monkeypatch):
    before = content(store)

    def full(name):
        if name == "picture row":
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.database, "step", full)
    with pytest.raises(UnavailableError, match="disk is full"):
        add(store, 99)
    monkeypatch.undo()
    (_, files), (_, old) = content(store), before
    assert {f for f in files if f.endswith(".png")} == {f for f in old if f.endswith(".png")}
    assert content(store)[0] == before[0]


def test_a_failed_upload_leaves_the_picture_that_another_brought_meanwhile(store, monkeypatch):
    others = []

    def step(name):
        if name == "picture folder synced":  # ours is on the disk, so the other writes no file
            others.append(add(store, 99))
        elif name == "picture row" and others:
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.database, "step", step)
    monkeypatch.setattr(store.files, "step", step)
    with pytest.raises(UnavailableError, match="disk is full"):
        add(store, 99)
    monkeypatch.undo()
    assert store.pictures.known(store.reader.item(others[0]).sha256) == others[0]
    assert store.pictures.path(others[0]).is_file()
    assert not store.reconcile()


def test_a_picture_whose_file_another_took_away_meanwhile_is_written_again(store, monkeypatch):
    assert add(store, 99) == 11
    path, write = store.pictures.path(11), store.files.write_picture
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM sources WHERE item = 11")
        connection.execute("DELETE FROM items WHERE id = 11")
    first = []

    def wrote(content, sha256):
        there = write(content, sha256)
        if not first:  # another's failed upload had brought it, and takes it back just now
            first.append(there)
            path.unlink()
        return there

    monkeypatch.setattr(store.files, "write_picture", wrote)
    item = add(store, 99)
    assert first == [False]
    assert store.pictures.path(item).is_file()


def test_names_that_are_paths_or_worse_are_only_text(store, tmp_path):
    name = "../../etc/\0passwd\u202egnp.exe" + "x" * 300 + "\udcff.png"
    item = add(store, 50, name)
    store.queue.label("ann", item, "A")
    ((folder, file),) = folders(store)
    assert folder == "A"
    assert len(file.encode()) <= 255
    assert not set(file) & set("/\\\0\u202e")
    assert store.reader.item(item).name.startswith("../../etc/\0passwd")


# --- classes --------------------------------------------------------------------------------------


def test_names_of_classes_stay_as_given_and_numbers_as_they_were(tmp_path):
    with Store.open(tmp_path, ["x/y", "X:Y", "x_y"]) as store:
        pass
    with Store.open(tmp_path, ["new", "x_y"]) as store:
        found = store.classes.all()
    assert [c.name for c in found] == ["x/y", "X:Y", "x_y", "new"]
    assert [c.folder for c in found] == ["x_y", "X_Y-2", "x_y-3", "new"]
    assert [c.number for c in found] == [0, 1, 2, 3]


def test_keys_are_letters_of_the_names_and_never_doubled(tmp_path):
    classes = ["Apple", "A", "a", "Banana", "Ω", "7", *(f"no {i}" for i in range(40))]
    with Store.open(tmp_path, classes) as store:
        keys = {c.name: c.key for c in store.classes.all()}
    assert (keys["A"], keys["a"], keys["7"], keys["Banana"]) == ("A", "a", "7", "b")
    assert keys["Ω"] == "ω"
    assert keys["Apple"] == "p"  # A is the class A
    given = [key for key in keys.values() if key is not None]
    assert len(set(given)) == len(given) == 36 + 2  # a capital, and a letter of another script
    assert set(given) - {"A", "ω"} <= set("abcdefghijklmnopqrstuvwxyz0123456789")


@pytest.mark.parametrize("name", ["", "   ", None, 3, "x" * 301, "\ud800"])
def test_a_class_without_a_usable_name_is_refused(store, name):
    before = content(store)
    with pytest.raises(LabellingError, match="class"):
        store.classes.add(["good", name])
    assert content(store) == before


def test_a_text_is_not_taken_for_a_list_of_letters(store):
    with pytest.raises(LabellingError, match="a list of names"):
        store.classes.add("ABC")


# --- the queue ------------------------------------------------------------------------------------


def test_the_least_confident_come_first_and_what_was_skipped_last(store):
    score(store, confidence=[0.9, 0.2, 0.5, 0.1, 0.8, 0.3, 0.7, 0.6, 1.0, 0.4])
    assert [item.id for item in store.queue.hand_out("ann", 3)] == [4, 2, 6]
    store.queue.skip("ann", 4)
    store.queue.release("ann")
    assert [item.id for item in store.queue.hand_out("bob", 10)] == [2, 6, 10, 3, 8, 7, 5, 1, 9, 4]


def test_without_scores_the_order_is_drawn_once(store):
    first = [item.id for item in store.queue.hand_out("ann", 10)]
    assert sorted(first) == list(range(1, 11)) != first
    store.queue.release("ann")
    assert [item.id for item in store.queue.hand_out("bob", 10)] == first


def test_a_reload_gets_the_same_pictures_and_nobody_else_does(store):
    mine = [item.id for item in store.queue.hand_out("ann", 3)]
    assert [item.id for item in store.queue.hand_out("ann", 3)] == mine
    assert not set(mine) & {item.id for item in store.queue.hand_out("bob", 10)}
    assert store.reader.progress().held == 10
    assert store.queue.hand_out("carl", 1) == []


def test_after_the_lease_another_gets_it_and_the_first_cannot_label_it(store):
    (item,) = store.queue.hand_out("ann", 1)
    store.database.clock.now += store.queue.lease_s + 1
    assert item.id in {i.id for i in store.queue.hand_out("bob", 10)}
    with pytest.raises(ConflictError, match="'bob' has it"):
        store.queue.label("ann", item.id, "A")


def test_a_label_after_the_lease_counts_if_nobody_has_taken_it(store):
    (item,) = store.queue.hand_out("ann", 1)
    store.database.clock.now += store.queue.lease_s + 1
    assert store.queue.label("ann", item.id, "A").label == "A"


def test_claiming_a_picture_keeps_it_from_others(store):
    assert store.queue.claim("ann", 5).person == "ann"
    assert 5 not in {item.id for item in store.queue.hand_out("bob", 10)}
    with pytest.raises(ConflictError, match="'ann' has it"):
        store.queue.claim("bob", 5)
    assert [item.id for item in store.queue.hand_out("ann", 1)] == [5]


def test_a_filter_by_prediction_holds_for_what_is_handed_out(store):
    score(store)
    found = store.queue.hand_out("ann", 10, Filter(predicted="B", low=0.4, high=0.95))
    assert [item.id for item in found] == [4, 7]
    assert all(item.predicted == "B" for item in found)


@pytest.mark.parametrize("n", [0, -1, 1.5, "3", True, 10**9])
def test_a_number_of_pictures_that_cannot_be_is_refused(store, n):
    with pytest.raises(LabellingError, match="n "):
        store.queue.hand_out("ann", n)


@pytest.mark.parametrize("person", ["", "  ", None, 7, "x" * 101])
def test_somebody_without_a_name_gets_nothing(store, person):
    with pytest.raises(LabellingError, match="person"):
        store.queue.hand_out(person, 1)
    assert store.reader.progress().held == 0


# --- labels ---------------------------------------------------------------------------------------


def test_a_label_is_written_with_all_that_is_known_and_shown_in_its_folder(store):
    score(store)
    event = store.queue.label("ann", 4, "C")
    assert (event.kind, event.label, event.person) == ("label", "C", "ann")
    assert (event.predicted, event.confidence, event.model) == ("B", 0.4, "m" * 64)
    assert event.replaced is None
    item = store.reader.item(4)
    assert (item.label, item.label_source, item.person) == ("C", "human", None)
    assert folders(store) == {("C", "4-4.png")}
    assert store.pictures.path(4).samefile(store.files.classes / "C" / "4-4.png")


def test_the_same_request_is_done_once_and_answered_alike(store):
    first = store.queue.label("ann", 1, "A", "k")
    assert store.queue.label("ann", 1, "A", "k") == first
    assert len(store.reader.events(1)) == 1
    other = store.queue.label("bob", 2, "A", "k")  # another person's key is another key
    assert other.id != first.id
    store.queue.undo("ann", "u")
    store.queue.label("ann", 3, "B")
    assert [item.id for item in store.queue.undo("ann", "u")] == [1]
    assert store.reader.item(3).label == "B"


def test_a_key_that_was_used_for_something_else_is_refused(store):
    store.queue.label("ann", 1, "A", "k")
    before = content(store)
    with pytest.raises(ConflictError, match="used for something else"):
        store.queue.label("ann", 2, "A", "k")
    assert content(store) == before


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (lambda s: s.queue.label("ann", 99, "A"), UnknownError, "picture 99"),
        (lambda s: s.queue.label("ann", 0, "A"), UnknownError, "picture 0"),
        (lambda s: s.queue.label("ann", -1, "A"), UnknownError, "picture -1"),
        (lambda s: s.queue.label("ann", 2**70, "A"), UnknownError, "number from 1 to"),
        (lambda s: s.queue.label("ann", "1", "A"), UnknownError, "whole number"),
        (lambda s: s.queue.label("ann", 1.0, "A"), UnknownError, "whole number"),
        (lambda s: s.queue.label("ann", None, "A"), UnknownError, "whole number"),
        (lambda s: s.queue.label("ann", True, "A"), UnknownError, "whole number"),
        (lambda s: s.queue.label("ann", 2, "Z"), LabellingError, "expected one of A, B, C"),
        (lambda s: s.queue.label("ann", 2, "a"), LabellingError, "no such class"),
        (lambda s: s.queue.label("ann", 2, ""), LabellingError, "expected a name"),
        (lambda s: s.queue.label("ann", 2, None), LabellingError, "expected a name"),
        (lambda s: s.queue.label("ann", 2, 1), LabellingError, "expected a name"),
        (lambda s: s.queue.label("ann", 2, "A'; DROP TABLE items; --"), LabellingError, "no such"),
        (lambda s: s.queue.label("ann", 1, "A"), ConflictError, "has label 'B' already"),
        (lambda s: s.queue.skip("ann", 1), ConflictError, "has label 'B' already"),
        (lambda s: s.queue.skip("ann", 99), UnknownError, "picture 99"),
        (lambda s: s.queue.label("ann", 10, "A"), ConflictError, "'bob' has it"),
        (lambda s: s.queue.skip("ann", 10), ConflictError, "'bob' has it"),
        (lambda s: s.queue.label("ann", 2, "A", ""), LabellingError, "request key"),
        (lambda s: s.queue.label("ann", 2, "A", "k" * 201), LabellingError, "request key"),
        (lambda s: s.queue.relabel("ann", [2, 99], "A"), UnknownError, "picture 99"),
        (lambda s: s.queue.relabel("ann", [2, 10], "A"), ConflictError, "'bob' has it"),
        (lambda s: s.queue.relabel("ann", [2], "Z"), LabellingError, "no such class"),
        (lambda s: s.models.revoke("ann", items=[99]), UnknownError, "picture 99"),
        (lambda s: s.reader.events(99), UnknownError, "picture 99"),
        (lambda s: s.pictures.path(99), UnknownError, "picture 99"),
        (lambda s: s.reader.page(order="name"), LabellingError, "expected one of confidence"),
        (lambda s: s.reader.page(after="x"), LabellingError, "page before"),
        (lambda s: s.reader.page(limit=0), LabellingError, "limit 0"),
        (lambda s: s.reader.page(Filter(source="me")), LabellingError, "expected one of human"),
        (lambda s: s.reader.page(Filter(label="Z")), LabellingError, "no such class"),
        (lambda s: s.reader.page(Filter(low=float("nan"))), LabellingError, "from 0 to 1"),
        (lambda s: s.reader.page(Filter(high="1")), LabellingError, "from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(store, request_, error, message):
    store.queue.label("ann", 1, "B")
    store.queue.claim("bob", 10)
    before = content(store)
    with pytest.raises(error, match=message):
        request_(store)
    assert content(store) == before


def test_undo_goes_back_step_by_step_also_after_a_restart(store, tmp_path):
    store.queue.label("ann", 1, "A")
    store.queue.skip("ann", 2)
    store.queue.relabel("ann", [1], "B")
    store.queue.label("bob", 3, "C")
    store.close()
    with Store.open(tmp_path, lease_s=60) as again:
        assert [(i.id, i.label) for i in again.queue.undo("ann")] == [(1, "A")]
        assert folders(again) == {("A", "1-1.png"), ("C", "3-3.png")}
        assert [(i.id, i.skipped) for i in again.queue.undo("ann")] == [(2, 0)]
        assert [(i.id, i.label) for i in again.queue.undo("ann")] == [(1, None)]
        assert again.queue.undo("ann") == []
        assert folders(again) == {("C", "3-3.png")}
        assert [i.id for i in again.queue.hand_out("ann", 2)] == [1, 2]  # last undone, first shown
        assert [e.kind for e in again.reader.events(1)] == ["label", "relabel", "undo", "undo"]


def test_relabelling_many_is_one_step_of_undo(store):
    score(store)
    auto_label(store, 0.9)
    store.queue.relabel("ann", [1, 9, 10], "C")
    assert store.reader.progress().human == 3
    assert sorted(item.id for item in store.queue.undo("ann")) == [1, 9, 10]
    assert store.reader.item(1).label is None
    assert [(store.reader.item(i).label, store.reader.item(i).label_source) for i in (9, 10)] == [
        ("A", "auto"),
        ("B", "auto"),
    ]
    assert not store.reconcile()


def test_undo_passes_over_what_another_has_changed_since(store):
    store.queue.label("ann", 1, "A")
    store.queue.label("ann", 2, "B")
    store.queue.relabel("bob", [2], "C")
    assert [item.id for item in store.queue.undo("ann")] == [1]
    assert store.reader.item(2).label == "C"


def test_events_can_neither_be_changed_nor_removed(store):
    store.queue.label("ann", 1, "A")
    for change in ("UPDATE events SET label = 1", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            store.database.connection.execute(change)


# --- automatic labels -----------------------------------------------------------------------------


def test_automatic_labels_leave_alone_what_people_have_and_can_be_taken_back(store):
    score(store)
    store.queue.label("ann", 10, "C")
    store.queue.claim("bob", 9)
    assert auto_label(store, 0.7) == 2
    auto = store.reader.page(Filter(source="auto")).items
    assert [(item.id, item.label) for item in auto] == [(7, "B"), (8, "C")]
    (event,) = store.reader.events(7)
    assert (event.kind, event.model, event.confidence) == ("auto", "m" * 64, 0.7)
    assert folders(store) == {("C", "10-10.png"), ("B", "7-7.png"), ("C", "8-8.png")}
    store.queue.relabel("ann", [8], "C")  # confirmed: now it is a person's
    assert store.models.revoke("ann") == 1
    assert store.reader.item(7).label is None
    assert store.reader.item(8).label_source == "human"
    assert folders(store) == {("C", "10-10.png"), ("C", "8-8.png")}
    assert [e.kind for e in store.reader.events(7)] == ["auto", "revoke"]
    assert 7 in {item.id for item in store.queue.hand_out("carl", 10)}


def test_one_automatic_label_can_be_taken_back(store):
    score(store)
    auto_label(store, 0.7)
    assert store.models.revoke("ann", items=[8, 1]) == 1
    assert [item.id for item in store.reader.page(Filter(source="auto")).items] == [7, 9, 10]


@pytest.mark.parametrize(
    ("predicted", "confidence", "message"),
    [
        ([0] * 10, [0.5] * 9 + [np.nan], "no numbers from 0 to 1"),
        ([0] * 10, [0.5] * 9 + [1.01], "no numbers from 0 to 1"),
        ([0] * 9 + [3], [0.5] * 10, "other classes"),
        ([0] * 9 + [-1], [0.5] * 10, "other classes"),
        ([0] * 9, [0.5] * 10, "one each"),
    ],
)
def test_scores_that_cannot_be_leave_the_queue_as_it_was(store, predicted, confidence, message):
    score(store)
    before = content(store)
    with pytest.raises(LabellingError, match=message):
        store.models.set_scores(
            Model("n" * 64, ("A",), 0, "", ""), np.arange(1, 11), np.array(predicted), confidence
        )
    assert content(store) == before


def test_new_scores_replace_all_old_ones(store):
    score(store)
    store.models.set_scores(Model("n" * 64, ("A",), 5, "", ""), [3], [0], [0.25])
    assert [i.id for i in store.reader.page().items if i.confidence is not None] == [3]
    assert store.models.present().sha256 == "n" * 64
    store.models.clear_scores()
    assert store.models.present() is None
    assert all(item.predicted is None for item in store.reader.page().items)
    assert len(store.models.all()) == 2


def test_pages_show_every_picture_once_in_order(store):
    rng = np.random.default_rng(0)
    confidence = rng.choice([0.2, 0.5, 0.9], 10)
    score(store, confidence=confidence)
    for order, sign in (("confidence", 1), ("-confidence", -1), ("id", 0), ("-id", 0)):
        found, after = [], None
        while True:
            page = store.reader.page(order=order, limit=3, after=after)
            found += page.items
            after = page.after
            if after is None:
                break
        assert sorted(item.id for item in found) == list(range(1, 11))
        if sign:
            values = [sign * item.confidence for item in found]
            assert values == sorted(values)


# --- class folders --------------------------------------------------------------------------------


def test_reconcile_makes_the_folders_equal_the_database_and_deletes_nothing_foreign(store):
    for item, label in ((1, "A"), (2, "B"), (3, "C")):
        store.queue.label("ann", item, label)
    root, classes = store.files.root, store.files.classes
    (classes / "A" / "1-1.png").unlink()
    (classes / "B" / "2-2.png").rename(classes / "C" / "2-2.png")
    (classes / "C" / "3-3.png").unlink()
    (classes / "C" / "3-3.png").write_bytes(b"another picture")
    (classes / "strange" / "deep").mkdir(parents=True)
    (classes / "strange" / "deep" / "file").write_bytes(b"mine")
    (classes / "link").symlink_to(root)
    (classes / "A").rmdir()
    (store.files.images / "ab").mkdir(exist_ok=True)
    (store.files.images / "ab" / ".x.partial").write_bytes(b"half")
    lost = HEAD + b"without a row"
    sha256 = hashlib.sha256(lost).hexdigest()
    store.files.write_picture(lost, sha256)
    bad = store.files.picture("b" * 64)
    bad.parent.mkdir(exist_ok=True)
    bad.write_bytes(b"not what its name says")

    mended = store.reconcile()

    assert folders(store) == {("A", "1-1.png"), ("B", "2-2.png"), ("C", "3-3.png")}
    assert mended.partial == 1
    assert mended.recovered == [f"{sha256}.png"]
    assert (store.reader.item(11).sha256, store.reader.item(11).source) == (sha256, "recovered")
    assert (store.reader.item(11).width, store.reader.item(11).height) == (5, 6)
    aside = store.files.aside  # with the folders that it lay in
    assert (aside / "classes" / "C" / "3-3.png").read_bytes() == b"another picture"
    assert (aside / "classes" / "strange" / "deep" / "file").read_bytes() == b"mine"
    assert (aside / "images" / "bb" / bad.name).read_bytes() == b"not what its name says"
    assert (aside / "classes" / "link").is_symlink()
    # Somebody says C of a picture that the database calls B: which is right, a person must say.
    assert (aside / "classes" / "C" / "2-2.png").samefile(store.pictures.path(2))
    assert len(mended.aside) == 5
    assert not (classes / "strange").exists()
    assert not store.reconcile()


def test_a_lost_picture_comes_back_from_its_folder_or_is_kept_out_of_the_queue(store):
    store.queue.label("ann", 1, "A")
    copy = (store.files.classes / "A" / "1-1.png").read_bytes()
    for item in (1, 2):
        store.files.picture(store.reader.item(item).sha256).unlink()
    mended = store.reconcile()
    assert (mended.restored, mended.missing) == (["1.png"], ["2.png"])
    assert store.pictures.path(1).read_bytes() == copy
    assert 2 not in {item.id for item in store.queue.hand_out("bob", 10)}
    assert store.reader.progress().unreadable == 1
    assert add(store, 2) == 2  # brought again, it is there again
    assert store.reader.progress().unreadable == 0


def test_a_damaged_picture_is_found_when_contents_are_checked(store):
    path = store.pictures.path(1)
    path.write_bytes(b"damaged")
    assert not store.reconcile()
    mended = store.reconcile(check_content=True)
    assert mended.missing == ["1.png"]
    assert [moved for _, moved in mended.aside] == [f"aside/images/{path.parent.name}/{path.name}"]


def test_where_links_cannot_be_made_copies_are(store, monkeypatch):
    def refuse(*_):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    store.queue.label("ann", 1, "A")
    store.queue.label("ann", 2, "B")
    assert (store.files.classes / "A" / "1-1.png").stat().st_nlink == 1
    assert not store.reconcile()
    store.queue.undo("ann")
    assert folders(store) == {("A", "1-1.png")}
    (store.files.classes / "A" / "1-1.png").rename(store.files.classes / "A" / "x.png")
    store.reconcile()
    assert folders(store) == {("A", "1-1.png")}


def test_a_foreign_file_in_the_way_of_a_link_is_moved_not_overwritten(tmp_path):
    files = Files(tmp_path / "labelling")
    sha256 = hashlib.sha256(HEAD).hexdigest()
    files.write_picture(HEAD, sha256)
    (files.classes / "A").mkdir()
    (files.classes / "A" / "x.png").write_bytes(b"mine")
    moved = files.link(sha256, "A", "x.png")
    assert moved.read_bytes() == b"mine"
    assert (files.classes / "A" / "x.png").read_bytes() == HEAD
    files.unlink(sha256, "A", "x.png")
    (files.classes / "A").mkdir(exist_ok=True)
    (files.classes / "A" / "x.png").write_bytes(b"mine too")
    files.unlink(sha256, "A", "x.png")
    assert (files.classes / "A" / "x.png").read_bytes() == b"mine too"


def test_the_users_own_pictures_are_never_touched(tmp_path):
    (tmp_path / "mine.png").write_bytes(HEAD)
    with Store.open(tmp_path, ["A"]) as store:
        store.reconcile(check_content=True)
    assert (tmp_path / "mine.png").read_bytes() == HEAD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labelling", "mine.png"]


def test_a_label_counts_though_its_link_cannot_be_made_and_the_link_follows(store, monkeypatch):
    link = store.files.link

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.files, "link", full)
    assert store.queue.label("ann", 1, "A").label == "A"
    assert folders(store) == set()
    monkeypatch.setattr(store.files, "link", link)
    store.queue.label("ann", 2, "A")
    assert folders(store) == {("A", "1-1.png"), ("A", "2-2.png")}


def test_a_full_disk_is_said_and_changes_nothing(store):
    store.queue.label("ann", 1, "A")
    before = content(store)
    pages = store.database.connection.execute("PRAGMA page_count").fetchone()[0]
    store.database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UnavailableError, match=r"disk is full.*nothing was changed"):
        for i in range(1000):
            store.queue.relabel("ann", [1], "AB"[i % 2], "k" * 190 + str(i))
            before = content(store)
    assert content(store) == before
    store.database.connection.execute("PRAGMA max_page_count = 1000000")
    assert store.queue.label("ann", 10, "B").label == "B"
    assert not store.reconcile()


# --- opening --------------------------------------------------------------------------------------


def test_a_folder_that_is_no_project_of_ours_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LabellingError, match="is a file"):
        Store.open(tmp_path / "file")
    broken = tmp_path / "broken" / "labelling"
    broken.mkdir(parents=True)
    (broken / "labels.sqlite").write_bytes(b"this is not a database, however long it may be" * 99)
    with pytest.raises(LabellingError, match=r"damaged or no database"):
        Store.open(tmp_path / "broken")
    assert (broken / "labels.sqlite").read_bytes().startswith(b"this is not")


def test_a_newer_version_is_refused(tmp_path):
    Store.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "labelling" / "labels.sqlite") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'version'")
    connection.close()
    with pytest.raises(LabellingError, match="version 99"):
        Store.open(tmp_path)


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path):
    program = f"""from alutils.labelling.store.store import Store
import pathlib
store = Store.open(pathlib.Path({str(tmp_path)!r}))
print("open", flush=True)
input()"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(LabellingError, match="open in another process"):
            Store.open(tmp_path)
        other.kill()
        other.wait()
    Store.open(tmp_path).close()


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(tmp_path, share):
    with pytest.raises(LabellingError, match="expected 0 to 1"):
        Store.open(tmp_path, random_rate=share)


def test_settings_are_kept(tmp_path):
    Store.open(tmp_path, random_rate=0.3).close()
    with Store.open(tmp_path) as store:
        assert store.sample.rate() == 0.3


def test_files_of_a_watched_folder_are_remembered(store, tmp_path):
    store.sources.note("a.png", 5, 17)
    store.sources.note("b\udcff.png", 0, 3, "is empty")
    store.close()
    with Store.open(tmp_path) as again:
        assert again.sources.seen() == {
            "a.png": (5, 17, None),
            "b\udcff.png": (0, 3, "is empty"),
        }


# --- many at once ---------------------------------------------------------------------------------


def fill(store, n):
    """Enter n pictures' rows, without files, in one go: this is about the queue."""
    with store.database.transaction() as connection:
        connection.executemany(
            """INSERT INTO items (sha256, name, width, height, source, added, shuffle, rank)
            VALUES (?, ?, 1, 1, 'upload', '', ?, ?)""",
            [(f"{i:064x}", f"{i}.png", i / n, 2 + i / n) for i in range(n)],
        )


def test_ten_thousand_pictures_are_put_in_order_at_once(tmp_path):
    with Store.open(tmp_path, ["A", "B"], random_rate=0) as store:
        fill(store, 10_000)
        ids, rng = np.arange(1, 10_001), np.random.default_rng(0)
        for name in "mn":
            start = time.perf_counter()
            model = Model(name * 64, ("A", "B"), 0, "", "")
            store.models.set_scores(model, ids, ids % 2, rng.random(10_000))
            print(f"\n10,000 scores written in {time.perf_counter() - start:.3f} s")
        start = time.perf_counter()
        found = store.queue.hand_out("ann", 10)
        print(f"10 handed out in {1000 * (time.perf_counter() - start):.1f} ms")
    confidence = [item.confidence for item in found]
    assert confidence == sorted(confidence)


def test_four_people_label_without_a_picture_handed_out_twice(tmp_path_factory):
    took, errors = [], []
    disk = tmp_path_factory.mktemp("disk")  # a real one: this is about time
    with Store.open(disk, ["A", "B"], seed=0) as store:
        fill(store, 10_000)
        ids = np.arange(1, 10_001)
        model = Model("m" * 64, ("A", "B"), 0, "", "")
        store.models.set_scores(model, ids, ids % 2, np.linspace(0, 1, 10_000))

        def person(name, rng):
            try:
                for _ in range(50):
                    for item in store.queue.hand_out(name, 5):
                        start = time.perf_counter()
                        store.queue.label(name, item.id, rng.choice("AB"), str(item.id))
                        took.append(time.perf_counter() - start)
            except Exception as error:
                errors.append(error)

        threads = [
            threading.Thread(target=person, args=(f"p{i}", random.Random(i))) for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        progress = store.reader.progress()
        per_item = store.database.connection.execute(
            """SELECT max(n) FROM (SELECT count(*) AS n FROM events
            WHERE kind = 'label' GROUP BY item)"""
        )
        assert per_item.fetchone()[0] == 1
    assert progress.human <= len(took) == 4 * 50 * 5  # some were asked of a second person
    assert progress.human == sum(progress.per_person.values()) > 0.8 * len(took)
    print(f"\nlabel: 95% within {1000 * np.quantile(took, 0.95):.1f} ms, four at once")


PROCESS = """
import sys
from alutils.labelling.store.store import Store
folder, name = sys.argv[1:]
with Store.open(folder, alone=False) as store:
    for _ in range(15):
        for item in store.queue.hand_out(name, 5):
            store.queue.label(name, item.id, "A")
            print(item.id)
"""


def test_several_processes_may_share_a_project_if_asked_to(tmp_path):
    with Store.open(tmp_path, ["A"], twice=0, alone=False) as store:
        fill(store, 400)
    run = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("p0", "p1")
    ]
    said = [process.communicate(timeout=300) for process in run]
    assert [err for _, err in said] == ["", ""]
    first, second = (set(out.split()) for out, _ in said)
    assert len(first) == len(second) == 75
    assert not first & second


def test_a_project_that_another_process_is_making_is_waited_for(tmp_path):
    other = sqlite3.connect(tmp_path / "new.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ends = threading.Timer(0.3, other.execute, ["COMMIT"])
    ends.start()
    Database(tmp_path / "new.sqlite").close()
    ends.join()
    other.close()


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_labels(tmp_path):
    with Store.open(tmp_path, ["A", "B"], seed=0) as store:
        fill(store, 12_000)
        process, used = psutil.Process(), []
        for i in range(11_000):
            (item,) = store.queue.hand_out("ann", 1)
            store.queue.label("ann", item.id, "AB"[i % 2], str(i))
            if i % 1000 == 999:
                used.append(process.memory_info().rss / 2**20)
    print("\nMiB after each thousand labels:", [round(each) for each in used])
    assert used[-1] - used[0] < 20
