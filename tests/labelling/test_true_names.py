"""The tool's class folders are a data set with the true names of the classes."""

import json
import logging
import os

import pytest
from label_helpers import encoded, letter

from alutils.data import load
from alutils.data.class_names import NAMES
from alutils.labelling.store.store import Store
from alutils.labelling.web import pictures

HARD = [
    "A", "a", "ä", "Ä", ".", "..", ".5", "5", "/", "a/b", "a_b", "A/B", "\\", "x.", "x", "y...",
    "CON", "nul", "com1.txt", "-", "+", "=", "@", "class", "_", "a-2", "|", "?", "*", '"', "<b>",
    "n" * 200, "n" * 201, "ü" * 150, "😀" * 60, "👩👧", "日本", "~", "#", "%41", "a b", "labelling",
]  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "pics", HARD, seed=0, random_rate=0, twice=0) as opened:
        for i in range(2 * len(HARD)):
            picture = pictures.decode(encoded(letter(i, (4, 4))), f"{i}.png")
            opened.pictures.add(*picture.to_keep())
        yield opened


def label(store):
    """Give every class two pictures; return the pixels' sum by class."""
    found = {}
    for item in store.queue.hand_out("ann", 200):
        name = HARD[(item.id - 1) // 2]
        store.queue.label("ann", item.id, name)
    for i, name in enumerate(HARD):
        found[name] = {letter(2 * i + j, (4, 4)).tobytes() for j in (0, 1)}
    return found


def read(folder):
    data = load(folder)
    found = {name: set() for name in data.classes}
    for image, k in zip(data.images, data.labels, strict=True):
        found[data.classes[k]].add(image.tobytes())
    return found


def test_whatever_classes_are_called_their_folders_give_the_names_back(store):
    wanted = label(store)
    assert read(store.files.classes) == wanted
    folded = [path.name.casefold() for path in store.files.classes.iterdir()]
    assert len(set(folded)) == len(folded) == len(HARD) + 1, "also where case does not matter"


def test_the_names_follow_every_change_of_classes_and_mending_leaves_them(store):
    wanted = label(store)
    names = store.files.classes / NAMES
    before = names.read_bytes()
    assert not store.reconcile()
    assert names.read_bytes() == before
    store.class_changes.rename("ann", "a/b", "b:a")
    assert read(store.files.classes).keys() == wanted.keys() - {"a/b"} | {"b:a"}
    store.class_changes.merge("ann", "A/B", "+")
    assert "A/B" not in read(store.files.classes)
    store.class_changes.undo("ann")
    store.class_changes.undo("ann")
    assert read(store.files.classes) == wanted


@pytest.mark.parametrize("damage", [None, b"", b"[1]", b'{"_": "a", "_-2": "a"}', b"\xff" * 99])
def test_names_that_a_stranger_took_or_damaged_come_back(store, damage):
    wanted = label(store)
    names = store.files.classes / NAMES
    names.unlink()
    if damage is not None:
        names.write_bytes(damage)
    (store.files.classes / f".{NAMES}.0123.tmp").write_bytes(b"cut short")
    mended = store.reconcile()
    assert mended.aside == [] and mended.partial == 1
    assert read(store.files.classes) == wanted


def test_a_new_database_keeps_the_names_of_folders_that_it_does_not_know(store):
    label(store)
    store.close()
    before = json.loads((store.files.classes / NAMES).read_text())
    for path in store.files.root.glob("labels.sqlite*"):
        path.unlink()
    with Store.open(store.folder, ["new/one"]) as anew:
        anew.folders.tell_names()
    assert json.loads((store.files.classes / NAMES).read_text()) == before | {"new_one": "new/one"}


def test_a_label_counts_though_the_names_cannot_be_written_and_they_follow(
    store, monkeypatch, caplog
):
    from alutils.labelling.store import folders

    def full(*_):
        raise OSError(28, "No space left on device")

    (store.files.classes / NAMES).unlink(missing_ok=True)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(folders, "write_names", full)
        assert store.queue.label("ann", 1, "a/b").label == "a/b"
        assert "the names of classes are not in it" in caplog.text
    store.queue.label("ann", 2, "a/b")
    assert json.loads((store.files.classes / NAMES).read_text())["a_b"] == "a/b"


def test_a_project_among_class_folders_is_no_class(tmp_path):
    for k, name in enumerate(("cat", "dog")):
        for i in (1, 2):
            path = tmp_path / "pets" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(letter(10 * k + i)))
            os.utime(path, (1e9, 1e9))
    Store.open(tmp_path / "pets", ["cat", "dog"]).close()
    assert load(tmp_path / "pets").classes == ("cat", "dog")
    (tmp_path / "pets" / "labelling").rename(tmp_path / "pets" / "labelling-2")
    for i in (3, 4):
        path = tmp_path / "pets" / "labelling" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(letter(i)))
    assert load(tmp_path / "pets").classes == ("cat", "dog", "labelling")
