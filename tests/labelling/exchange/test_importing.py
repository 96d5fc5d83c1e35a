"""Labels that come in from files: checked first, then written in one transaction."""

import hashlib
import io
import json
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from exchange_helpers import add, answers, png, state
from hypothesis import given, settings
from hypothesis import strategies as st
from label_helpers import DECODERS, auto_label, is_name, open_plan
from PIL import Image

from alutils.labelling.exchange import exporting, matching
from alutils.labelling.exchange.importing import Choices, from_bytes, from_path, undo
from alutils.labelling.model.doubtful import doubtful
from alutils.labelling.store.names import display_name
from alutils.labelling.store.records import (
    ConflictError,
    LabellingError,
    Model,
    UnavailableError,
)
from alutils.labelling.store.store import Store
from alutils.labelling.web.watch import Watcher


@pytest.fixture
def store(tmp_path):
    """Six pictures called 1.png to 6.png; 1 is A by ann, 2 rejected by ann."""
    with Store.open(tmp_path / "pictures", ["A", "B"], seed=0, random_rate=0) as opened:
        for i in range(1, 7):
            add(opened, i)
        opened.queue.label("ann", 1, "A")
        opened.queue.reject("ann", 2, "blurred")
        yield opened


def coming(store, text, **choices):
    return from_bytes(store, text.encode(), "labels.csv", Choices(**choices))


def label(store, item):
    return store.reader.item(item).label


def test_labels_are_written_with_who_said_so_and_folders_follow(store):
    text = "name,label,annotator\n3.png,A,\n4.png,B,eve\n1.png,A,\n"
    outcome = coming(store, text).write()
    assert (len(outcome.changes), outcome.same) == (2, 1)
    (three,), (four,) = store.reader.events(3), store.reader.events(4)
    assert (three.kind, three.label, three.person) == ("import", "A", "import: labels.csv")
    assert (four.kind, four.label, four.person) == ("import", "B", "eve")
    assert store.reader.item(4).label_source == "human"
    assert (store.files.classes / "B" / "4-4.png").is_file()
    assert not store.reconcile()


def test_a_check_writes_nothing(store):
    before = state(store)
    lines = coming(store, "name,label\n3.png,A\n4.png,C\n9.png,A\n1.png,B\n").check().lines()
    assert lines[0] == "1 label to write."
    assert sum(line.endswith("(1 line):") for line in lines) == 3
    assert state(store) == before


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("9.png,A", matching.UNKNOWN_PICTURE),
        ("4.png,C", matching.UNKNOWN_CLASS),
        ("1.png,B", matching.CONFLICT),
        ("2.png,A", matching.CONFLICT),
        ("3.png,B", matching.CONTRADICTION),
        ("4.png", "lines that cannot be read"),
    ],
)
def test_one_bad_line_stops_all_and_may_be_left_out(store, line, kind):
    before, text = state(store), f"name,label\n3.png,A\n{line}\n5.png,B\n"
    with pytest.raises(LabellingError, match=f"1 line cannot be taken.*{kind} .1."):
        coming(store, text).write()
    assert state(store) == before
    assert len(coming(store, text, leave_out=True).write().changes) == 2
    assert (label(store, 3), label(store, 5)) == ("A", "B")


def test_answers_that_are_there_are_kept_or_replaced(store):
    text = "name,label\n1.png,B\n2.png,A\n3.png,B\n"
    kept = coming(store, text, on_conflict="keep").write()
    assert (len(kept.changes), kept.kept) == (1, 2)
    assert (label(store, 1), label(store, 2)) == ("A", None)
    coming(store, text, on_conflict="replace").write()
    assert (label(store, 1), label(store, 2)) == ("B", "A")
    assert not store.reader.item(2).rejected
    assert store.reader.events(1)[-1].replaced == "A"
    assert not store.reconcile()


def test_a_label_may_be_replaced_by_a_rejection(store):
    coming(store, "name,label,rejected\n1.png,,none of these\n", on_conflict="replace").write()
    assert (label(store, 1), store.reader.item(1).rejected) == (None, True)
    assert store.reader.events(1)[-1].why == "none of these"
    assert not store.reconcile()


def test_an_import_is_taken_back_where_it_still_stands(store):
    before = answers(store)
    coming(store, "name,label\n1.png,B\n2.png,A\n3.png,A\n4.png,B\n", on_conflict="replace").write()
    coming(store, "name,label,rejected\n5.png,A,\n3.png,,blurred\n", on_conflict="replace").write()
    assert undo(store, "eve") == "labels.csv: 2 answers taken back."
    assert (label(store, 3), label(store, 5)) == ("A", None)
    store.queue.relabel("ann", [4], "A")
    assert undo(store, "eve") == "labels.csv: 3 answers taken back."
    assert undo(store, "eve") == ""
    now = answers(store)
    four = store.reader.item(4).sha256
    assert now.pop(four) == (("A", "human"), "ann")
    assert now == before
    assert not store.reconcile()
    assert {i.id for i in store.queue.hand_out("eve", 9)} == {3, 5, 6}


def test_new_classes_come_with_their_labels_or_not_at_all(store):
    outcome = coming(store, "name,label\n3.png,new\n", add_classes=True).write()
    assert outcome.new_classes == ["new"]
    assert label(store, 3) == "new"


def test_a_fault_in_the_middle_leaves_nothing(store, monkeypatch):
    before, text = state(store), "name,label\n3.png,new\n4.png,A\n"

    def full(name):
        if name == "items written":
            import sqlite3

            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.database, "step", full)
    with pytest.raises(UnavailableError):
        coming(store, text, add_classes=True).write()
    monkeypatch.undo()
    assert state(store) == before


def test_who_holds_a_picture_that_gets_its_label_hears_of_it(store):
    store.queue.hand_out("bob", 4)
    coming(store, "name,label\n3.png,A\n").write()
    with pytest.raises(ConflictError, match="has label 'A' already"):
        store.queue.label("bob", 3, "B")


def test_nothing_is_imported_while_an_attempt_to_finish_goes_on(store):
    with store.database.transaction() as connection:
        connection.execute("INSERT INTO models VALUES (NULL, 'm', '[]', 0, 0, '')")
    open_plan(store, [3, 4])
    with pytest.raises(ConflictError, match="attempt to finish"):
        coming(store, "name,label\n5.png,A\n").write()
    assert label(store, 5) is None


def test_names_that_lead_out_of_the_folder_are_only_names(store):
    text = (
        "path,label\n../../secret.png,A\n/etc/passwd,A\n..\\\\x.png,A\nC:\\\\x\\\\..\\\\y.png,A\n"
    )
    assert coming(store, text).check().kinds().keys() == {matching.UNKNOWN_PICTURE}


def test_paths_of_the_watched_folder_settle_equal_names(tmp_path):
    with Store.open(tmp_path, ["A", "B"]) as store:
        for folder, i in (("x", 1), ("y", 2)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "same.png").write_bytes(png(i))
        watcher = Watcher(store)
        while watcher.look() < 2:
            pass
        coming(store, "path,label\nx/same.png,A\n").write()
        assert label(store, 1) == "A"
        coming(store, f"path,label\n{tmp_path}/y/same.png,B\n").write()
        assert label(store, 2) == "B"
        assert matching.AMBIGUOUS in coming(store, "name,label\nsame.png,A\n").check().kinds()


def test_a_file_is_found_by_any_of_its_paths_and_by_its_own_hash(tmp_path):
    with Store.open(tmp_path, ["A", "B"]) as store:
        for name, i in (("one.png", 1), ("copy of one.png", 1)):
            (tmp_path / name).write_bytes(png(i))
        Image.open(io.BytesIO(png(2))).save(tmp_path / "two.bmp")
        sha256 = hashlib.sha256((tmp_path / "two.bmp").read_bytes()).hexdigest()
        watcher = Watcher(store)
        while watcher.look() < 3:
            pass
        coming(store, f"path,sha256,label\ncopy of one.png,,A\n,{sha256},B\n").write()
        assert store.reader.progress().per_class == {"A": 1, "B": 1}


def test_files_that_an_older_version_took_in_are_read_once_more_for_their_paths(tmp_path):
    with Store.open(tmp_path, ["A"]) as store:
        (tmp_path / "one.png").write_bytes(png(1))
        while Watcher(store).look() < 1:
            time.sleep(1)
        with store.database.transaction() as connection:
            connection.execute("DELETE FROM sources")
        assert store.sources.paths() == {}
        assert Watcher(store).look() == 1
        assert store.sources.paths() == {"one.png": 1}
        assert Watcher(store).look() == 0


def test_class_folders_are_read_by_what_is_in_their_files(store, tmp_path):
    sorted_ones = tmp_path / "sorted"
    for folder, i in (("A", 3), ("B", 4), ("B", 77)):
        (sorted_ones / folder / "deep").mkdir(parents=True, exist_ok=True)
        (sorted_ones / folder / "deep" / f"whatever{i}.png").write_bytes(png(i))
    (sorted_ones / "A" / "notes.txt").write_text("no picture")
    (sorted_ones / "beside.png").write_bytes(png(5))
    one = from_path(store, sorted_ones, Choices(leave_out=True), DECODERS.decoded_hash)
    outcome = one.check()
    assert outcome.unlabelled == 1
    assert len(outcome.problems) == 2
    one.write()
    assert (label(store, 3), label(store, 4)) == ("A", "B")
    with pytest.raises(LabellingError, match="no class folders"):
        from_path(store, tmp_path / "sorted" / "A" / "deep", Choices(), DECODERS.decoded_hash)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["train/3.png", "train/metadata.jsonl"], "are in train/metadata.jsonl, .* import"),
        (["test/4.png", "test/metadata.csv"], "are in test/metadata.csv, .* import"),
        (["images/3.png", "annotations.json"], "are in annotations.json"),
        (["train/A/3.png", "val/B/4.png"], "train, val are parts of a data set"),
        (["Test/A/3.png"], "Test are parts of a data set"),
    ],
)
def test_folders_that_are_no_classes_are_refused(store, tmp_path, paths, words):
    for path in paths:
        in_folders(tmp_path / "came", (path, int(path[-5]) if path.endswith("png") else 0))
    before = state(store)
    for choices in (Choices(), Choices(add_classes=True, leave_out=True)):
        with pytest.raises(LabellingError, match=words):
            from_path(store, tmp_path / "came", choices, DECODERS.decoded_hash)
    assert state(store) == before


@pytest.mark.parametrize("form", ["hf", "coco"])
def test_what_the_tool_exported_for_others_gives_no_class_called_as_a_folder(store, tmp_path, form):
    exporting.export(store, form, tmp_path / "out")
    with pytest.raises(LabellingError, match="its labels are in"):
        from_path(store, tmp_path / "out", Choices(add_classes=True), DECODERS.decoded_hash)
    if form == "hf":  # what the message names can be imported
        with Store.open(tmp_path / "other", ["A", "B"]) as other:
            for i in range(1, 7):
                add(other, i)
            metadata = tmp_path / "out" / "train" / "metadata.jsonl"
            from_path(other, metadata, Choices(), DECODERS.decoded_hash).write()
            assert label(other, 1) == "A"


def test_a_class_may_be_called_train(store, tmp_path):
    toys = in_folders(tmp_path / "toys", ("train/3.png", 3), ("test/deep/4.png", 4))
    from_path(store, toys, Choices(add_classes=True), DECODERS.decoded_hash).write()
    assert (label(store, 3), label(store, 4)) == ("train", "test")


@pytest.mark.parametrize("name", ["labels.csv", "out.npz", "labels.xlsx"])
def test_an_archive_is_called_so(store, name):
    file = io.BytesIO()
    np.savez(file, labels=np.arange(3))
    with pytest.raises(LabellingError, match=r"is a ZIP archive.*save it as CSV"):
        from_bytes(store, file.getvalue(), name, Choices())


def in_folders(place, *files):
    """Write pictures by their paths; return the folder."""
    for path, i in files:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(png(i))
    return place


def doubts(store):
    found = doubtful(store, None)
    return [(d.item, d.suggested, [r.text for r in d.reasons]) for d in found]


def test_one_picture_in_two_class_folders_is_a_doubt_to_settle_and_can_be_taken_back(
    store, tmp_path
):
    pets = in_folders(
        tmp_path / "pets", ("A/3.png", 3), ("B/copy.png", 3), ("B/1.png", 1), ("B/4.png", 4)
    )
    store.classes.add(["C"])
    clash = from_path(store, pets, Choices(), DECODERS.decoded_hash).check()
    assert clash.kinds().keys() == {matching.CONFLICT}, "another answer in the project stops it"
    (pets / "B" / "1.png").unlink()
    coming = from_path(store, pets, Choices(), DECODERS.decoded_hash)
    told = " ".join(coming.check().lines())
    assert "1 picture is in more than one class folder ('B/copy.png')" in told
    assert doubts(store) == []
    for _ in range(2):  # it is said once, however often it is imported
        from_path(store, pets, Choices(), DECODERS.decoded_hash).write()
        assert (label(store, 3), label(store, 4)) == ("A", "B")
        assert doubts(store) == [(3, "B", ["import: pets says B"])]
    assert undo(store, "ann") == "pets: 2 answers taken back."
    assert (label(store, 3), doubts(store)) == (None, [])
    store.queue.label("ann", 3, "C")
    assert doubts(store) == []
    store.queue.undo("ann")
    from_path(store, pets, Choices(), DECODERS.decoded_hash).write()
    store.queue.relabel("bob", [3], "B")
    assert doubts(store) == [], "settled"


def test_what_a_folder_says_makes_nobody_a_second_person(tmp_path):
    pets = in_folders(
        tmp_path / "pets", ("A/1.png", 1), ("B/1.png", 1), ("B/copy.png", 1), ("B/deep/1.png", 1)
    )
    with Store.open(tmp_path / "pictures", ["A", "B"]) as store:
        add(store, 1)
        from_path(store, pets, Choices(), DECODERS.decoded_hash).write()
        assert doubts(store) == [(1, "B", ["import: pets says B"])], "once, whatever the copies"
        with store.database.reading() as connection:
            assert not store.seconds.others(connection, "bob")
        store.queue.relabel("ann", [1], "A")
        assert doubts(store) == []


@pytest.mark.parametrize(("choice", "expected"), [("keep", "A"), ("replace", "B")])
def test_who_says_which_class_folder_counts_gets_no_doubt(store, tmp_path, choice, expected):
    pets = in_folders(tmp_path / "pets", ("A/3.png", 3), ("B/copy.png", 3))
    from_path(store, pets, Choices(on_conflict=choice), DECODERS.decoded_hash).write()
    assert (label(store, 3), doubts(store)) == (expected, [])


def test_a_table_with_two_answers_is_still_refused(store):
    outcome = coming(store, "name,label\n3.png,A\n3.png,B\n").check()
    assert outcome.kinds().keys() == {matching.CONTRADICTION} and not outcome.doubts


def test_class_folders_of_another_project_give_its_true_names(store, tmp_path):
    names = ["x/y", "X/Y", ".", ".5", "CON", "a.", "n" * 200, "👩👧"]
    with Store.open(tmp_path / "other", names, seed=0) as other:
        for i in range(1, 7):
            other.queue.label("ann", add(other, i), other.classes.all()[i].name)
        wanted = {i: other.reader.item(i).label for i in range(1, 7)}
        exporting.export(other, "folders", tmp_path / "out")
        shutil.copytree(other.files.classes, tmp_path / "copy")
        for folder in (tmp_path / "out", tmp_path / "copy"):
            replace = Choices(add_classes=True, on_conflict="replace")
            from_path(store, folder, replace, DECODERS.decoded_hash).write()
            assert {i: label(store, i) for i in wanted} == wanted
            undo(store, "ann")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("'+", "'+"),
        ("+", "+"),
        ("+", "'+"),
        ("'=x", "'=x"),
        ("=x", "'=x"),
        ("1", "1.0"),
        ("1.0", "1.0"),
    ],
)
def test_classes_with_signs_are_meant_as_they_are_and_as_older_tables_wrote_them(
    tmp_path, name, written
):
    with Store.open(tmp_path, [name, "A"]) as store:
        add(store, 1)
        coming(store, f"name,label\n1.png,{written}\n").write()
        assert label(store, 1) == name


def test_an_answer_that_a_program_lost_is_said(store):
    table = "path,file_sha256,picture_sha256,label,rejected\n3.png,,,,\n"
    (problem,) = coming(store, table).check().problems
    assert "neither a label nor a reason" in problem.text and "keep_default_na" in problem.text


def test_label_studio_tasks_find_their_pictures(store):
    result = [{"type": "choices", "value": {"choices": ["B"]}}]
    tasks = [
        {"data": {"image": "/data/upload/1/0a1b2c3d-3.png"}, "annotations": [{"result": result}]}
    ]
    coming(store, json.dumps(tasks)).write()
    assert label(store, 3) == "B"


def test_a_missing_file_is_said(store, tmp_path):
    with pytest.raises(LabellingError, match="no such file"):
        from_path(store, tmp_path / "none.csv", Choices(), DECODERS.decoded_hash)


def test_a_hundred_thousand_lines_are_written_in_one_go(tmp_path):
    from label_helpers import bare_pictures

    with Store.open(tmp_path, ["A", "B"]) as store:
        bare_pictures(store, 100_000)
        lines = [f"{i:064x},{'AB'[i % 2]}" for i in range(100_000)]
        folders, store.folders.show = [], lambda *given: folders.append(given)
        outcome = coming(store, "sha256,label\n" + "\n".join(lines)).write()
        assert len(outcome.changes) == 100_000
        assert store.reader.progress().per_class == {"A": 50_000, "B": 50_000}


# --- there and back -------------------------------------------------------------------------------

NAME = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=8
).filter(is_name)
ANSWER = st.one_of(
    st.tuples(st.just("label"), st.integers(0, 2)),
    st.tuples(st.just("reject"), st.sampled_from(["", "bad picture", "=1+1", "'x"])),
    st.just(None),
)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(NAME, min_size=3, max_size=3, unique_by=lambda n: n.strip()),
    files=st.lists(st.text(max_size=8), min_size=5, max_size=5),
    given_answers=st.lists(ANSWER, min_size=5, max_size=5),
    kind=st.sampled_from(["csv", "pandas", "jsonl", "folders"]),
)
def test_what_is_exported_and_imported_is_the_same(
    tmp_path_factory, names, files, given_answers, kind
):
    place = tmp_path_factory.mktemp("trip")
    with Store.open(place / "one") as one, Store.open(place / "two") as two:
        classes = one.classes.add(names)
        for i, (name, answer) in enumerate(zip(files, given_answers, strict=True)):
            item = add(one, i, display_name(name))
            if answer is not None and answer[0] == "label":
                one.queue.label("ann", item, classes[answer[1] % len(classes)].name)
            elif answer is not None:
                one.queue.reject("ann", item, answer[1])
        for i in reversed(range(5)):
            add(two, i, "other name")
        expected = answers(one)
        if not any(label for (label, _), _ in expected.values() if label is not True):
            return  # nothing to export
        exporting.export(one, "csv" if kind == "pandas" else kind, place / "out")
        if kind == "pandas":
            table = pd.read_csv(place / "out", dtype=str, keep_default_na=False)
            assert set(table["label"]) - {""} == {a for (a, _), _ in expected.values()} - {True}
            table.to_csv(place / "out", index=False)
        from_path(two, place / "out", Choices(add_classes=True), DECODERS.decoded_hash).write()
        found = answers(two)
        if kind == "folders":  # holds labels only
            assert found == {h: a for h, a in expected.items() if a[0][0] is not True}
            return
        told = {
            h: (a if a != (True, None) else (True, "rejected"), p) for h, (a, p) in expected.items()
        }
        assert found == told


@pytest.fixture
def half(store):
    """Let a model label 3 to 6, as A, B, A, B in turn of their numbers; 1 is ann's."""
    ids = np.arange(1, 7)
    store.models.set_scores(Model("m" * 64, ("A", "B"), 2, "", ""), ids, ids % 2, np.full(6, 0.9))
    assert auto_label(store, 0.5) == 4
    return store


@pytest.fixture
def other(tmp_path):
    """Open a project of the same pictures without a label."""
    with Store.open(tmp_path / "two", ["A", "B"]) as opened:
        for i in range(1, 7):
            add(opened, i)
        yield opened


def taken(store, path):
    """Import a file or folder; return what it says, and how many labels are whose afterwards."""
    outcome = from_path(store, path, Choices(), DECODERS.decoded_hash).write()
    progress = store.reader.progress()
    return " ".join(outcome.lines()), (progress.human, progress.auto)


@pytest.mark.parametrize(
    ("kind", "file"),
    [("csv", ""), ("jsonl", ""), ("folders", ""), ("folders", ".labels.csv"),
     ("hf", "train/metadata.jsonl")],
)  # fmt: skip
def test_automatic_labels_stay_automatic_on_their_way(half, other, tmp_path, kind, file):
    exporting.export(half, kind, tmp_path / "out")
    assert taken(half, tmp_path / "out" / file)[1] == (1, 4), "one's own export changes nothing"
    assert taken(other, tmp_path / "out" / file)[1] == (1, 4)
    assert {i: label(other, i) for i in range(3, 7)} == {i: "AB"[i % 2] for i in range(3, 7)}
    (event,) = other.reader.events(1)
    assert event.person == ("import: metadata.jsonl" if kind == "hf" else "ann")
    assert (other.reader.snapshot()["label"] >= 0).sum() == 1  # to be learned from
    assert other.models.revoke("ann") == 4
    assert not other.reconcile()


def test_a_picture_that_somebody_moved_to_another_class_of_an_export_is_that_persons(
    half, other, tmp_path
):
    exporting.export(half, "folders", tmp_path / "out")
    (tmp_path / "out" / "A" / "4-4.png").rename(tmp_path / "out" / "B" / "mine.png")
    # A copy beside the one that is there: the person's word counts, whichever comes first.
    shutil.copy(tmp_path / "out" / "A" / "6-6.png", tmp_path / "out" / "B" / "6-6.png")
    shutil.copy(tmp_path / "out" / "B" / "5-5.png", tmp_path / "out" / "A" / "5-5.png")
    told, counts = taken(other, tmp_path / "out")
    assert counts == (4, 1)
    assert "3 pictures in another class folder than the export's table says" in told
    assert {i: label(other, i) for i in (4, 5, 6)} == {4: "B", 5: "A", 6: "B"}
    assert doubts(other) == []


@pytest.mark.parametrize("is_export", [True, False])
def test_a_copy_of_class_folders_turns_no_automatic_label_into_a_persons(half, tmp_path, is_export):
    """Neither copies of working folders nor exports whose hidden files were lost confirm any."""
    exporting.export(half, "folders", tmp_path / "out")
    shutil.copytree(
        tmp_path / "out" if is_export else half.files.classes, tmp_path / "copy",
        ignore=shutil.ignore_patterns(".*"),
    )  # fmt: skip
    told, counts = taken(half, tmp_path / "copy")
    assert counts == (1, 4)
    assert "5 there already. 4 left automatic" in told
    (tmp_path / "copy" / "A" / "4-4.png").rename(tmp_path / "copy" / "B" / "4-4.png")
    replace = Choices(on_conflict="replace")
    from_path(half, tmp_path / "copy", replace, DECODERS.decoded_hash).write()
    assert (label(half, 4), half.reader.progress().human) == ("B", 2), "another class is somebody's"


@pytest.mark.parametrize("name", ["labelling/classes", "labelling", "labelling/classes/A", "link"])
def test_a_projects_own_folders_are_no_class_folders_to_import(half, other, tmp_path, name):
    (half.folder / "link").symlink_to(half.files.classes)
    before = state(other)
    for store in (half, other):
        with pytest.raises(LabellingError, match=r"a project's own folder.*export .* --to csv"):
            from_path(store, half.folder / name, Choices(), DECODERS.decoded_hash)
    assert state(other) == before


def test_an_export_that_has_lost_what_says_whose_its_labels_are_is_refused(half, other, tmp_path):
    exporting.export(half, "folders", tmp_path / "out")
    table = tmp_path / "out" / ".labels.csv"
    for text, message in (("path,label\n,A\n", "line 2: it names no picture"), ("", "is empty")):
        table.write_text(text)
        with pytest.raises(LabellingError, match=message):
            from_path(other, tmp_path / "out", Choices(), DECODERS.decoded_hash)
    table.unlink()
    with pytest.raises(LabellingError, match=r"\.labels\.csv.* is not there; bring it back"):
        from_path(other, tmp_path / "out", Choices(), DECODERS.decoded_hash)


@pytest.mark.parametrize(
    "line",
    [
        {"path": "x" * 5000, "label": "A"}, {"path": "a\0b.png", "label": "A"},
        {"path": "\ud800.png", "label": "A"}, {"name": "3.png", "rejected": "\ud800"},
        {"name": "3.png", "rejected": "x" * 10_000},
    ],
)  # fmt: skip
def test_odd_texts_are_problems_of_their_lines(store, line):
    text = json.dumps(line) + "\n" + json.dumps({"name": "4.png", "label": "B"})
    before = state(store)
    assert len(coming(store, text).check().problems) == 1
    assert state(store) == before
    coming(store, text, leave_out=True).write()
    assert (label(store, 3), label(store, 4)) == (None, "B")


def test_a_link_that_is_none_is_no_fault(store):
    tasks = [{"data": {"image": "http://[::1/3.png"}, "choice": "A"}]
    coming(store, json.dumps(tasks)).check()
