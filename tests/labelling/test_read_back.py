"""Class folders that no database explains are the last trace of labels: none is ever removed."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from label_helpers import fill, open_plan, scores

from alutils.labelling.exchange.importing import undo
from alutils.labelling.store.store import Store

CLASSES = ["A", "B", "C"]


def begin(folder, n=6, names="ABC"):
    """Label n pictures, each as its name begins, or as the names say."""
    with Store.open(folder, CLASSES, seed=1) as store:
        for item in fill(store, n):
            store.queue.label("ann", item, names[(item - 1) % 3])
        return labels(store)


def labels(store):
    """Return the labels of all pictures by the pictures' hashes."""
    items = store.reader.page(limit=1000, order="id").items
    return {item.sha256: item.label for item in items if item.label}


def shown(store):
    """Return what the class folders show: names of folders by the hashes of their files."""
    files = [path for path in store.files.classes.rglob("*.png") if path.is_file()]
    found = {hashlib.sha256(p.read_bytes()).hexdigest(): p.parent.name for p in files}
    assert len(found) == len(files)
    return found


def without_database(folder):
    for path in (folder / "labelling").glob("labels.sqlite*"):
        path.rename(folder / path.name)


def test_a_new_database_reads_all_labels_back_from_the_class_folders(tmp_path):
    before = begin(tmp_path)
    without_database(tmp_path)
    with Store.open(tmp_path) as store:
        mended = store.reconcile()
        assert labels(store) == shown(store) == before
        assert len(mended.read_back) == len(mended.recovered) == 6
        assert not mended.aside
        (event,) = store.reader.events(1)
        assert (event.kind, event.person) == ("import", "import: class folders")
        names = {item.name for item in store.reader.page(limit=9).items}
        assert "A-000.png" in names  # as it was called: the link's name tells
        assert not store.reconcile()
    assert sum("read back" in line for line in mended.lines()) == 1


@pytest.mark.parametrize("changed", ["renamed class", "new classes", "deep folders", "copies"])
def test_whatever_the_folders_are_called_they_are_read_back(tmp_path, changed):
    before = begin(tmp_path)
    classes = tmp_path / "labelling" / "classes"
    if changed == "renamed class":
        with Store.open(tmp_path) as store:
            store.class_changes.rename("ann", "A", "Größe 1:2")
    elif changed == "deep folders":
        (classes / "A" / "of yesterday").mkdir()
        for path in [p for p in (classes / "A").iterdir() if p.is_file()]:
            path.rename(classes / "A" / "of yesterday" / path.name)
    elif changed == "copies":  # a folder that was copied or synchronised has no hard links
        for path in list(classes.rglob("*.png")):
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
    without_database(tmp_path)
    with Store.open(tmp_path, ["X", "B"] if changed == "new classes" else None) as store:
        store.reconcile()
        name = "Größe 1:2" if changed == "renamed class" else "A"
        wanted = {sha256: name if label == "A" else label for sha256, label in before.items()}
        assert labels(store) == wanted
        assert len(shown(store)) == 6
        assert not store.reconcile()


def test_an_older_copy_of_the_database_gets_the_labels_that_came_later(tmp_path):
    with Store.open(tmp_path, CLASSES, seed=1) as store:
        fill(store, 6)
        for item in (1, 2):
            store.queue.label("ann", item, "A")
        store.database.checkpoint()
        shutil.copyfile(store.database.path, tmp_path / "older")
        for item in (3, 4, 5):
            store.queue.label("bob", item, "B")
        store.queue.relabel("bob", [1], "C")
        before = labels(store)
    shutil.copyfile(tmp_path / "older", tmp_path / "labelling" / "labels.sqlite")
    with Store.open(tmp_path) as store:
        mended = store.reconcile()
        now = labels(store)
        first = store.reader.item(1).sha256
        assert now == before | {first: "A"}  # which of the two is right, a person must say
        (moved,) = mended.aside
        assert moved[1].startswith("aside/classes/C/")
        assert len(mended.read_back) == 3
        assert not store.reconcile()


def test_a_database_of_another_project_removes_nothing(tmp_path):
    before = begin(tmp_path / "one")
    begin(tmp_path / "two", 2, "CBA")
    shutil.copyfile(*(tmp_path / n / "labelling" / "labels.sqlite" for n in ("two", "one")))
    with Store.open(tmp_path / "one") as store:
        mended = store.reconcile()
        kept = labels(store)
        assert set(kept) == set(before)
        aside = [path for path in store.files.aside.rglob("*") if path.is_file()]
        # The first picture is C in the database and A in its folder.
        assert [path.parent.name for path in aside] == ["A"]
        assert len(mended.read_back) == 4
        assert {**kept, hashlib.sha256(aside[0].read_bytes()).hexdigest(): "A"} == before


def test_what_the_database_explains_is_removed_as_before(tmp_path):
    begin(tmp_path)
    with Store.open(tmp_path) as store:
        link = next(store.files.classes.glob("A/*.png"))
        kept = link.with_name("kept")
        shutil.copyfile(link, kept)
        store.queue.undo("ann")
        store.class_changes.rename("ann", "A", "Z")
        (store.files.classes / "A").mkdir(exist_ok=True)
        kept = store.files.classes / "Z" / "kept"
        kept.rename(store.files.classes / "A" / "left by a crash.png")
        mended = store.reconcile()
        assert not mended.read_back and not mended.aside
        assert len(shown(store)) == 5
        assert not (store.files.classes / "A").exists()


def test_two_folders_for_one_picture_are_no_label_and_both_are_kept(tmp_path):
    begin(tmp_path)
    classes = tmp_path / "labelling" / "classes"
    link = next(classes.glob("A/*.png"))
    shutil.copyfile(link, classes / "B" / "another.png")
    without_database(tmp_path)
    with Store.open(tmp_path) as store:
        mended = store.reconcile()
        assert len(labels(store)) == 5
        assert {moved.split("/")[2] for _, moved in mended.aside} == {"A", "B"}
        assert not store.reconcile()


def test_a_rejected_picture_stays_rejected_and_the_file_is_kept(tmp_path):
    with Store.open(tmp_path, CLASSES, seed=1) as store:
        fill(store, 2)
        store.queue.reject("ann", 1, "blurred")
        path = store.files.classes / "B" / "by hand.png"
        path.parent.mkdir()
        shutil.copyfile(store.pictures.path(1), path)
        mended = store.reconcile()
        assert store.reader.item(1).rejected
        assert mended.aside == [("classes/B/by hand.png", "aside/classes/B/by hand.png")]


def test_during_an_attempt_to_finish_they_wait_where_they_are(tmp_path):
    with Store.open(tmp_path, CLASSES, seed=1) as store:
        fill(store, 6)
        scores(store, 0.9)
        plan = open_plan(store, [3, 4, 5])
        path = store.files.classes / "B" / "x.png"
        path.parent.mkdir()
        shutil.copyfile(store.pictures.path(3), path)
        mended = store.reconcile()
        assert (mended.waiting, path.is_file(), labels(store)) == (1, True, {})
        with store.database.transaction() as connection:
            connection.execute("UPDATE plans SET state = 'stopped' WHERE id = ?", (plan,))
        assert len(store.reconcile().read_back) == 1
        assert list(labels(store).values()) == ["B"]


def test_what_was_read_back_can_be_taken_back_as_any_import(tmp_path):
    begin(tmp_path)
    without_database(tmp_path)
    with Store.open(tmp_path) as store:
        store.reconcile()
        assert undo(store, "ann") == "class folders: 6 answers taken back."
        assert labels(store) == {}


def test_a_renamed_class_keeps_its_folders_name_for_later(tmp_path):
    with Store.open(tmp_path, ["a:b", "a?b"]) as store:
        store.class_changes.rename("ann", "a?b", "c")
    with closing(sqlite3.connect(tmp_path / "labelling" / "labels.sqlite")) as connection:
        query = "SELECT detail FROM class_events WHERE kind = 'rename'"
        assert json.loads(connection.execute(query).fetchone()[0])["folder"] == "a_b-2"
