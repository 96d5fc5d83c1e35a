"""Certified projects: certificates go along, and hold whatever is done to classes afterwards."""

import csv
import json
import secrets
import shutil

import pytest
from finish_helpers import CLASSES, answer_all, project

from alutils.__main__ import main
from alutils.data import load
from alutils.labelling.exchange import backup, exporting, tables
from alutils.labelling.exchange.exporting import export
from alutils.labelling.exchange.importing import Choices, from_path
from alutils.labelling.finish import verify
from alutils.labelling.finish.project import Finish
from alutils.labelling.store.records import Filter
from alutils.labelling.store.store import Store


@pytest.fixture
def store(tmp_path):
    """Make a project of 240 pictures that is finished, with certificate 1."""
    opened, loop, truth = project(tmp_path / "pictures")
    finish = Finish(opened, loop)
    finish.plan(0.9, by_hand=10, person="ann")
    answer_all(finish, truth)
    assert finish.state().phase == "certified"
    yield opened
    opened.close()


def holds(path, store):
    verdict = verify.verify(verify.read(path), store)
    assert verdict.holds, verdict.lines
    return True


@pytest.mark.parametrize(
    ("kind", "place"),
    [("hf", "out/certificates"), ("csv", "out.certificates"), ("folders", "out/.certificates")],
)
def test_the_certificate_goes_along_and_is_verified(store, tmp_path, kind, place):
    export(store, kind, tmp_path / ("out.csv" if kind == "csv" else "out"))
    assert sorted(p.name for p in (tmp_path / place).iterdir()) == ["1.html", "1.json"]
    assert holds(tmp_path / place / "1.json", store)
    if kind == "folders":
        assert len(load(tmp_path / "out")) == 240


def test_each_label_says_under_which_certificate_it_is(store, tmp_path):
    store.queue.relabel("bob", [7], store.reader.item(8).label)  # later: under none
    export(store, "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        found = {int(row["id"]): row["certificate"] for row in csv.DictReader(file)}
    assert {item for item, number in found.items() if number != "1"} == {7}
    export(store, "hf", tmp_path / "out")
    lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["certificate"] == 1 for line in lines) == 239


def certificates(store):
    """Return label and certificate of each row of an export, by the picture's number."""
    return {row["id"]: (row["label"], row["certificate"]) for row in tables.rows(store)}


def test_a_label_that_comes_back_by_undo_is_under_no_certificate_that_attests_another(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(secrets, "token_hex", lambda n: f"{1:0{2 * n}x}")
    opened, loop, truth = project(tmp_path / "pictures")
    with opened as store:
        item = store.reader.page(Filter(source="human"), limit=1).items[0].id
        right = CLASSES[truth[item]]
        store.queue.relabel("ann", [item], next(c for c in CLASSES if c != right))
        store.queue.relabel("bob", [item], right)
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=5, person="ann")
        answer_all(finish, truth)
        assert certificates(store)[item] == (right, 1)
        assert store.queue.undo("bob") is not None
        found = certificates(store)
        assert found.pop(item) == (next(c for c in CLASSES if c != right), None)
        assert {number for _, number in found.values()} == {1}
        lines = dict(exporting.files_of(store, "hf"))["train/metadata.jsonl"].splitlines()
        assert [json.loads(line)["certificate"] for line in lines].count(None) == 1
        annotations = json.loads(dict(exporting.files_of(store, "coco"))["annotations.json"])
        assert [a["certificate"] for a in annotations["annotations"]].count(None) == 1
        table = dict(exporting.files_of(store, "folders"))[".labels.csv"].decode("utf-8-sig")
        assert [r["certificate"] for r in csv.DictReader(table.splitlines())].count("") == 1


def test_classes_that_exchanged_their_names_are_under_no_certificate(store):
    before = certificates(store)
    store.class_changes.rename("bob", "C", "Carl")
    assert {number for _, number in certificates(store).values()} == {1}, "it is the same class"
    for old, new in (("A", "other"), ("B", "A"), ("other", "B")):
        store.class_changes.rename("bob", old, new)
    found = certificates(store)
    for item, (label, _) in before.items():
        assert found[item] == ("Carl", 1) if label == "C" else found[item][1] is None


def test_a_certificate_holds_in_a_backup_that_is_put_back(store, tmp_path):
    export(store, "csv", tmp_path / "out.csv")
    backup.backup(store, tmp_path / "copy")
    store.close()
    shutil.rmtree(store.folder / "labelling")
    shutil.copytree(tmp_path / "copy" / "labelling", store.folder / "labelling")
    certificate = str(tmp_path / "out.certificates" / "1.json")
    assert main(["verify", certificate, str(store.folder)]) == 0


def test_an_attempt_goes_on_in_a_backup_and_is_certified(tmp_path):
    first, loop, truth = project(tmp_path / "pictures")
    with first:
        finish = Finish(first, loop)
        finish.plan(0.9, by_hand=10, person="ann")
        for item in finish.next("ann", 7):
            finish.answer("ann", item.id, CLASSES[truth[item.id]])
        backup.backup(first, tmp_path / "copy")
    with Store.open(tmp_path / "copy") as again:
        again.reconcile()
        finish = Finish(again)  # its models are not there any more: they are not needed
        assert finish.state().asked == 7
        answer_all(finish, truth)
        assert finish.state().phase == "certified"
        export(again, "csv", tmp_path / "out.csv")
        assert holds(tmp_path / "out.certificates" / "1.json", again)


def test_a_certificate_holds_whatever_is_done_to_classes_afterwards(store, tmp_path):
    export(store, "csv", tmp_path / "out.csv")
    certificate = tmp_path / "out.certificates" / "1.json"
    store.class_changes.rename("bob", "A", "Anna")
    assert holds(certificate, store)
    store.class_changes.merge("bob", "B", "Anna")
    assert holds(certificate, store)
    store.class_changes.delete("bob", "C", take_back=True)
    assert holds(certificate, store)
    for _ in range(3):
        assert store.class_changes.undo("bob")
        assert holds(certificate, store)
    store.grid.reject("bob", [1, 2, 3])
    assert holds(certificate, store)


def test_labels_that_come_in_afterwards_are_told_and_break_nothing(store, tmp_path):
    export(store, "csv", tmp_path / "out.csv")
    item = store.reader.item(5)
    other = next(c.name for c in store.classes.all() if c.name != item.label)
    (tmp_path / "in.csv").write_text(f"sha256,label\n{item.sha256},{other}\n")
    from_path(
        store, tmp_path / "in.csv", Choices(on_conflict="replace"), lambda path: ""
    ).write()  # fmt: skip
    assert holds(tmp_path / "out.certificates" / "1.json", store)


def test_a_finished_project_goes_into_another_and_stays_what_it_is(store, tmp_path):
    export(store, "jsonl", tmp_path / "out.jsonl")
    backup.backup(store, tmp_path / "bare")
    with Store.open(tmp_path / "bare") as other:
        items = [i.id for i in other.reader.page(limit=1000).items]
        n_auto, n_human = other.reader.progress().auto, other.reader.progress().human
        other.grid.reject("eve", items)
        assert other.reader.progress().rejected == len(items)
        from_path(
            other, tmp_path / "out.jsonl", Choices(on_conflict="replace"), lambda path: ""
        ).write()  # fmt: skip
        now = other.reader.progress()
        assert (now.auto, now.human, now.rejected) == (n_auto, n_human, 0)
        export(other, "csv", tmp_path / "again.csv")
    with (tmp_path / "again.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["certificate"] for row in csv.DictReader(file)} == {""}
