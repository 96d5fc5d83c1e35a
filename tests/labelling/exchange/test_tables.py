"""A labelled project as files that are read back."""

import csv
import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from alutils.data import loading
from alutils.labelling.exchange import arrays, tables
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def add(store, array, name):
    data = png(array)
    height, width = array.shape[:2]
    return store.pictures.add(data, hashlib.sha256(data).hexdigest(), name, width, height)


@pytest.fixture
def project(tmp_path):
    """Nine pictures, eight labelled; item i is filled with grey level 10 i."""
    with Store.open(tmp_path / "pictures", ["A", "b/c", "Ω"], seed=0) as store:
        for i in range(1, 10):
            add(store, np.full((6, 5), 10 * i, np.uint8), f"picture {i}.jpg")
        for i in range(1, 9):
            store.queue.label("ann", i, ["A", "b/c", "Ω"][i % 3])
        yield store


def test_an_npz_is_read_back_with_every_picture_under_its_label(project, tmp_path):
    assert arrays.write_dataset(project, tmp_path / "out.npz") == ""
    back = loading.load(tmp_path / "out.npz")
    assert len(back) == 8
    assert back.classes == ("A", "b/c", "Ω")
    assert back.provenance == "labelled"
    for image, label in zip(back.images, back.labels, strict=True):
        assert image.shape == (6, 5)
        assert label == image[0, 0] // 10 % 3


def test_class_folders_of_the_project_are_a_data_set_as_they_stand(project):
    back = loading.load(project.files.classes)
    assert back.classes == ("A", "b/c", "Ω")
    for image, label in zip(back.images, back.labels, strict=True):
        assert label == image[0, 0] // 10 % 3


def test_a_class_that_lost_its_last_picture_does_not_stop_the_folders_from_being_read(project):
    project.classes.add(["late"])
    project.queue.relabel("ann", [1], "late")
    project.queue.relabel("ann", [1], "b/c")
    assert loading.load(project.files.classes).classes == ("A", "b/c", "Ω")


def test_an_export_that_fails_leaves_nothing(project, tmp_path):
    project.files.picture(project.reader.item(3).sha256).unlink()
    with pytest.raises(LabellingError, match="lost their file"):
        arrays.write_dataset(project, tmp_path / "out.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_csv_and_json_lines_say_where_each_label_came_from(project, tmp_path):
    project.queue.relabel("bob", [2], "A")
    tables.write_csv(project, tmp_path / "labels.csv")
    tables.write_json_lines(project, tmp_path / "labels.jsonl")
    with (tmp_path / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    lines = (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    objects = [json.loads(line) for line in lines]
    assert tuple(table[0]) == tables.COLUMNS
    assert [int(row["id"]) for row in table] == [o["id"] for o in objects] == list(range(1, 9))
    assert (table[1]["label"], table[1]["person"], table[1]["replaced"]) == ("A", "bob", "Ω")
    assert [e["kind"] for e in objects[1]["events"]] == ["label", "relabel"]
    assert objects[1]["events"][0]["person"] == "ann"
    for row, one in zip(table, objects, strict=True):
        assert (project.files.root / row["file"]).is_file()
        assert (
            row["picture_sha256"] == one["picture_sha256"] == project.reader.item(one["id"]).sha256
        )


def test_what_others_said_and_notes_go_out_with_the_labels(project, tmp_path):
    with project.database.transaction() as connection:
        project.seconds.ask(connection, 1, "share")
        project.seconds.hold(connection, "bob", 1, 2e12, 0)
    project.queue.label("bob", 1, "Ω")
    with project.database.transaction() as connection:
        project.seconds.hold(connection, "cy", 1, 2e12, 0)  # the third
    project.queue.reject("cy", 1)
    project.notes.add("ann", 2, "cut off")
    project.notes.add("bob", 2, "no, it is whole")
    tables.write_csv(project, tmp_path / "x.csv")
    tables.write_json_lines(project, tmp_path / "x.jsonl")
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        one, two, *others = csv.DictReader(file)
    assert (one["label"], one["second"]) == ("b/c", "bob: Ω; cy: cannot name it")
    assert two["notes"] == "ann: cut off; bob: no, it is whole"
    assert {(row["second"], row["notes"]) for row in others} == {("", "")}
    first = json.loads((tmp_path / "x.jsonl").read_text("utf-8").splitlines()[0])
    assert first["second"] == one["second"] and first["notes"] is None


def test_a_file_name_that_is_a_formula_does_not_reach_a_spreadsheet(tmp_path):
    with Store.open(tmp_path, ["A"]) as store:
        item = add(store, np.zeros((3, 3), np.uint8), "=HYPERLINK(1),\n.png")
        store.queue.label("ann", item, "A")
        tables.write_csv(store, tmp_path / "x.csv")
        tables.write_json_lines(store, tmp_path / "x.jsonl")
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "'=HYPERLINK(1),\n.png"
    assert json.loads((tmp_path / "x.jsonl").read_text())["name"] == "=HYPERLINK(1),\n.png"


def test_pictures_of_another_size_are_left_out_and_said_so_or_resized(project, tmp_path):
    large = add(project, np.full((12, 10, 3), (200, 0, 0), np.uint8), "large.png")
    project.queue.label("ann", large, "A")
    note = arrays.write_dataset(project, tmp_path / "usual.npz")
    assert "1 of 9 pictures are not 6 x 5" in note
    assert len(loading.load(tmp_path / "usual.npz")) == 8
    note = arrays.write_dataset(project, tmp_path / "all.npz", size=(6, 5))
    back = loading.load(tmp_path / "all.npz")
    assert len(back) == 9
    assert back.images.shape == (9, 6, 5, 3)
    assert back.images[-1, 0, 0].tolist() == [200, 0, 0]
    assert "1 of 9 pictures were resized" in note


def test_only_some_labels_are_written_if_asked(project, tmp_path):
    arrays.write_dataset(project, tmp_path / "a.npz", keep=lambda item: item.label == "A")
    assert set(loading.load(tmp_path / "a.npz").labels.tolist()) == {0}


def test_nothing_labelled_is_said(tmp_path):
    with (
        Store.open(tmp_path, ["A"]) as store,
        pytest.raises(LabellingError, match="no picture has a label"),
    ):
        arrays.write_dataset(store, tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()
