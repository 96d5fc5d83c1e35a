"""Labels that go out: tables, folders of pictures, archives, backups; whole or not at all."""

import json
import zipfile

import pytest
from exchange_helpers import add, answers, png

from alutils.base.files import write_atomically
from alutils.data import loading
from alutils.data.class_names import NAMES
from alutils.labelling.exchange import backup, exporting
from alutils.labelling.exchange.exporting import MARK, export
from alutils.labelling.exchange.pictures import TABLE
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store


@pytest.fixture
def store(tmp_path):
    """Five pictures: 1 A, 2 b/c, 3 A, 4 rejected, 5 waits."""
    with Store.open(tmp_path / "pictures", ["A", "b/c"], seed=0, random_rate=0) as opened:
        for i in range(1, 6):
            add(opened, i, f"my {i}.jpg")
        for item, label in ((1, "A"), (2, "b/c"), (3, "A")):
            opened.queue.label("ann", item, label)
        opened.queue.reject("ann", 4, "bad picture")
        yield opened


def tree(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_class_folders_are_copies_that_load_reads(store, tmp_path):
    export(store, "folders", tmp_path / "out")
    assert tree(tmp_path / "out") == [
        MARK, NAMES, TABLE, "A/my 1-1.png", "A/my 3-3.png", "b_c/my 2-2.png",
    ]  # fmt: skip
    copy = tmp_path / "out" / "A" / "my 1-1.png"
    assert copy.read_bytes() == png(1)
    assert copy.stat().st_ino != store.pictures.path(1).stat().st_ino
    store.queue.label("ann", 5, "b/c")
    export(store, "folders", tmp_path / "out", overwrite=True)
    again = loading.load(tmp_path / "out")
    assert (len(again), again.classes) == (4, ("A", "b/c"))


def test_an_image_folder_has_its_metadata(store, tmp_path):
    export(store, "hf", tmp_path / "out")
    assert tree(tmp_path / "out") == [
        MARK, "README.md", "train/metadata.jsonl", "train/my 1-1.png", "train/my 2-2.png",
        "train/my 3-3.png",
    ]  # fmt: skip
    lines = (tmp_path / "out/train/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(r["file_name"], r["label"], r["label_source"], r["certificate"]) for r in rows] == [
        ("my 1-1.png", "A", "human", None), ("my 2-2.png", "b/c", "human", None),
        ("my 3-3.png", "A", "human", None),
    ]  # fmt: skip


def test_coco_names_categories_images_and_whole_picture_boxes(store, tmp_path):
    export(store, "coco", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "annotations.json").read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in found["categories"]}
    files = {i["id"]: i for i in found["images"]}
    assert sorted(names.values()) == ["A", "b/c"]
    told = {}
    for one in found["annotations"]:
        image = files[one["image_id"]]
        assert one["bbox"] == [0, 0, image["width"], image["height"]] == [0, 0, 6, 4]
        assert one["area"] == 24
        told[image["file_name"]] = names[one["category_id"]]
        assert (tmp_path / "out" / "images" / image["file_name"]).is_file()
    assert told == {"my 1-1.png": "A", "my 2-2.png": "b/c", "my 3-3.png": "A"}


@pytest.mark.parametrize("kind", exporting.KINDS)
def test_nothing_is_written_over_unless_it_is_asked_for(store, tmp_path, kind):
    out = tmp_path / ("out.npz" if kind == "npz" else "out")
    export(store, kind, out)
    store.queue.label("ann", 5, "b/c")
    with pytest.raises(LabellingError, match="is there already"):
        export(store, kind, out)
    export(store, kind, out, overwrite=True)
    if kind in exporting.FOLDERS:
        assert any("my 5-5.png" in name for name in tree(out))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["pictures", out.name])


def test_a_folder_that_is_no_export_is_never_written_over(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(LabellingError, match="not written by this command"):
        export(store, "folders", tmp_path / "mine", overwrite=True)
    with pytest.raises(LabellingError, match="is a folder"):
        export(store, "csv", tmp_path / "mine", overwrite=True)
    assert tree(tmp_path / "mine") == ["precious.txt"]


def test_the_tools_own_folder_is_no_place_for_an_export(store):
    with pytest.raises(LabellingError, match="own folder"):
        export(store, "csv", store.files.classes / "A" / "x.csv")


def test_a_failed_export_leaves_the_one_before(store, tmp_path, monkeypatch):
    export(store, "folders", tmp_path / "out")
    before = tree(tmp_path / "out")
    store.pictures.path(2).unlink()
    with pytest.raises(LabellingError, match="lost their file"):
        export(store, "folders", tmp_path / "out", overwrite=True)
    assert tree(tmp_path / "out") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pictures"]


def test_what_a_killed_export_left_is_cleared_away(store, tmp_path):
    (tmp_path / ".out.partial" / "A").mkdir(parents=True)
    write_atomically(tmp_path / ".out.partial" / "A" / "half.png", b"x")
    export(store, "folders", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pictures"]
    assert "A/half.png" not in tree(tmp_path / "out")


@pytest.mark.parametrize("kind", exporting.KINDS)
def test_nothing_labelled_is_said_and_nothing_written(tmp_path, kind):
    with Store.open(tmp_path / "pictures", ["A"]) as store:
        add(store, 1)
        if kind in ("csv", "jsonl"):
            return  # a table without rows is one
        with pytest.raises(LabellingError, match="no picture has a label"):
            export(store, kind, tmp_path / "out.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_an_unknown_kind_or_a_size_that_does_not_apply_is_refused(store, tmp_path):
    with pytest.raises(LabellingError, match="expected one of csv, jsonl, npz, folders, hf, coco"):
        export(store, "xml", tmp_path / "out")
    with pytest.raises(LabellingError, match="for npz files"):
        export(store, "hf", tmp_path / "out", size=(28, 28))


def test_an_archive_holds_the_same_files(store, tmp_path):
    exporting.write_archive(tmp_path / "out.zip", exporting.files_of(store, "hf"))
    export(store, "hf", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        assert sorted([*archive.namelist(), MARK]) == tree(tmp_path / "out")


# --- backup ---------------------------------------------------------------------------------------


def test_a_backup_is_a_project_with_everything_in_it(store, tmp_path):
    store.queue.relabel("bob", [1], "b/c")
    store.guidelines.path.write_text("# Which is which")
    backup.backup(store, tmp_path / "copy")
    before, history = answers(store), {i: store.reader.events(i) for i in range(1, 6)}
    store.queue.label("ann", 5, "A")  # later
    with Store.open(tmp_path / "copy", alone=True) as again:
        assert answers(again) == before
        assert {i: again.reader.events(i) for i in range(1, 6)} == history
        assert again.project_id == store.project_id
        assert "Which is which" in again.guidelines.html()
        mended = again.reconcile(check_content=True)
        assert (mended.missing, mended.recovered, mended.aside) == ([], [], [])
        assert len(list(again.files.classes.rglob("*.png"))) == 3
        assert [item.id for item in again.queue.undo("bob")] == [1]
        again.queue.label("eve", 5, "b/c")


def test_a_backup_put_in_the_place_of_a_lost_project_is_the_project(store, tmp_path):
    import shutil

    backup.backup(store, tmp_path / "copy")
    before = answers(store)
    store.close()
    shutil.rmtree(store.folder / "labelling")
    shutil.copytree(tmp_path / "copy" / "labelling", store.folder / "labelling")
    with Store.open(store.folder) as again:
        again.reconcile()
        assert answers(again) == before


def test_a_backup_tells_of_pictures_that_are_damaged_and_leaves_them_out(store, tmp_path):
    store.pictures.path(2).write_bytes(b"damaged")
    store.pictures.path(3).unlink()
    done = backup.backup(store, tmp_path / "copy")
    assert "2 pictures are missing or damaged" in done.lines[-1]
    assert "my 2.jpg, my 3.jpg" in done.lines[-1]
    with Store.open(tmp_path / "copy") as again:
        again.reconcile()
        assert again.reader.progress().unreadable == 2
        assert again.reader.item(2).label == "b/c"


def test_a_backup_writes_over_an_older_one_only_if_asked_and_tells_no_secret(store, tmp_path):
    (store.files.root / "secret").write_bytes(b"s" * 32)
    backup.backup(store, tmp_path / "copy")
    with pytest.raises(LabellingError, match="is there already"):
        backup.backup(store, tmp_path / "copy")
    backup.backup(store, tmp_path / "copy", overwrite=True)
    assert not any("secret" in name for name in tree(tmp_path / "copy"))
    assert not list(store.files.root.glob("tmp*"))


@pytest.mark.parametrize("kind", ["npz", "folders", "hf", "coco"])
def test_a_labelled_picture_without_its_file_is_named_and_nothing_written(store, tmp_path, kind):
    item = next(i for i in store.reader.page(limit=50).items if i.label)
    store.files.picture(item.sha256).unlink()
    out = tmp_path / "out.npz"  # a name that files and folders can have
    with pytest.raises(LabellingError, match=f"lost their file, the first '{item.name}'"):
        export(store, kind, out)
    assert not out.exists()
    export(store, "csv", tmp_path / "labels.csv")  # no pictures are in it
    store.grid.reject("ann", [item.id])
    export(store, kind, out)
