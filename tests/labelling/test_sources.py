"""People's own files are found again by the labels: by path, and by the hash of their bytes."""

import csv
import hashlib
import io
import json
import os
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from label_helpers import encoded, letter

from alutils.data import load
from alutils.labelling.exchange import arrays, tables
from alutils.labelling.exchange.exporting import export
from alutils.labelling.exchange.importing import Choices, from_bytes
from alutils.labelling.store.backups import all_backups
from alutils.labelling.store.store import Store
from alutils.labelling.web import pictures
from alutils.labelling.web.watch import Watcher


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "pics", ["A", "B"], seed=0, random_rate=0, twice=0) as opened:
        yield opened


def put(store, name, seed, kind="PNG", hours=1):
    """Write a picture into the folder that nobody is still writing; return its file's hash."""
    path = store.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data := encoded(letter(seed), kind))
    os.utime(path, (1e9 + hours, 1e9 + hours))
    return hashlib.sha256(data).hexdigest()


def send(store, name, seed):
    picture = pictures.decode(data := encoded(letter(seed)), name)
    store.pictures.add(*picture.to_keep(), "upload", picture.file_sha256)
    return hashlib.sha256(data).hexdigest()


def label_all(store, label="A"):
    for item in store.queue.hand_out("ann", 100):
        store.queue.label("ann", item.id, label)


def rows(store, *columns):
    """Return columns of the exported CSV file, the files sorted."""
    text = tables.csv_table(tables.rows(store)).decode("utf-8-sig")
    found = csv.DictReader(io.StringIO(text, newline=""))
    return sorted(tuple(row[name] for name in columns) for row in found)


def test_every_file_has_a_row_with_its_path_and_the_hash_of_its_bytes(store):
    one = put(store, "left/0.png", 1)
    same = put(store, "right/copy.png", 1)
    other = put(store, "right/0.bmp", 1, "BMP")  # the same pixels, other bytes
    two = put(store, "right/1.png", 2)
    Watcher(store).look()
    label_all(store)
    assert rows(store, "path", "name", "file_sha256", "label", "gone") == [
        ("left/0.png", "0.png", one, "A", ""),
        ("right/0.bmp", "0.bmp", other, "A", ""),
        ("right/1.png", "1.png", two, "A", ""),
        ("right/copy.png", "copy.png", same, "A", ""),
    ]
    by_id = {r[0]: r[1] for r in rows(store, "id", "picture_sha256")}
    assert {store.reader.item(int(i)).sha256 for i in by_id} == set(by_id.values())


def test_labels_are_joined_to_the_files_of_the_folder(store, tmp_path):
    for name, seed in (("a/x.png", 1), ("a/y.png", 2), ("b/x.png", 3), ("b/same.png", 1)):
        put(store, name, seed)
    Watcher(store).look()
    label_all(store)
    export(store, "csv", tmp_path / "labels.csv")
    table = pd.read_csv(tmp_path / "labels.csv")
    there = [p.relative_to(store.folder).as_posix() for p in store.folder.glob("*/*.png")]
    joined = pd.DataFrame({"path": there}).merge(table, on="path")
    assert len(joined) == 4 and joined["label"].notna().all()
    for path, sha256 in zip(joined["path"], joined["file_sha256"], strict=True):
        assert hashlib.sha256((store.folder / path).read_bytes()).hexdigest() == sha256


def test_a_picture_that_was_sent_has_its_name_and_hash_and_no_path(store):
    sha256 = send(store, "mine.png", 1)
    send(store, "mine.png", 1)
    send(store, "again.png", 1)
    label_all(store)
    assert rows(store, "path", "name", "file_sha256") == [
        ("", "again.png", sha256), ("", "mine.png", sha256),
    ]  # fmt: skip
    both = put(store, "mine.png", 1)
    Watcher(store).look()
    assert ("mine.png", "mine.png", both) in rows(store, "path", "name", "file_sha256")


# --- files that change ----------------------------------------------------------------------------


def test_a_file_that_is_gone_is_told_only_where_no_other_is_left(store):
    sha256 = put(store, "a.png", 1)
    put(store, "copy.png", 1)
    Watcher(store).look()
    label_all(store)
    (store.folder / "copy.png").unlink()
    Watcher(store).look()
    assert rows(store, "path", "gone") == [("a.png", "")]
    (store.folder / "a.png").unlink()
    watcher = Watcher(store)
    watcher.look()
    (one, since), (other, before) = rows(store, "path", "gone")
    assert (one, other) == ("a.png", "copy.png") and since > before > "20"
    assert {row[0] for row in rows(store, "file_sha256")} == {sha256}
    put(store, "a.png", 1)  # it comes back as it was, while the same watcher looks on
    assert watcher.look() == 0
    assert rows(store, "path", "gone") == [("a.png", "")]


def test_a_file_that_was_moved_has_its_new_path(store):
    put(store, "a.png", 1)
    watcher = Watcher(store)
    watcher.look()
    label_all(store)
    (store.folder / "sorted").mkdir()
    (store.folder / "a.png").rename(store.folder / "sorted" / "b.png")
    assert watcher.look() == 1
    assert rows(store, "path", "name", "label", "gone") == [("sorted/b.png", "b.png", "A", "")]
    assert store.sources.paths()["a.png"] == store.sources.paths()["sorted/b.png"]


def test_a_file_that_holds_something_else_is_that_and_the_label_stays_with_the_picture(store):
    before = put(store, "a.png", 1)
    watcher = Watcher(store)
    watcher.look()
    label_all(store)
    after = put(store, "a.png", 2, hours=2)
    assert watcher.look() == 1
    ((path, sha256, gone),) = rows(store, "path", "file_sha256", "gone")
    assert (path, sha256) == ("a.png", before) and gone
    label_all(store, "B")
    found = rows(store, "path", "file_sha256", "label", "gone")
    assert ("a.png", after, "B", "") in found and len(found) == 2
    # The path is that of what lies there now, and the hash finds either.
    text = "path,label\na.png,A\n"
    (change,) = coming(store, text, on_conflict="replace").check().changes
    assert store.reader.item(change.present.item).label == "B"
    text = f"file_sha256,label\n{before},B\n"
    (change,) = coming(store, text, on_conflict="replace").check().changes
    assert store.reader.item(change.present.item).label == "A"


def coming(store, text, **choices):
    return from_bytes(store, text.encode(), "labels.csv", Choices(**choices))


@pytest.mark.parametrize("spoil", [b"", b"no picture", encoded(letter(1))[:80]])
def test_a_file_that_is_damaged_later_is_gone_and_stays_so_after_a_new_start(store, spoil):
    put(store, "a.png", 1)
    Watcher(store).look()
    label_all(store)
    (store.folder / "a.png").write_bytes(spoil)
    os.utime(store.folder / "a.png", (2e9, 2e9 - 1e9 + 5))
    for _ in range(2):
        Watcher(store).look()
        ((path, gone),) = rows(store, "path", "gone")
        assert path == "a.png" and gone


def test_a_file_that_was_only_touched_stays_what_it_is(store):
    put(store, "a.png", 1)
    watcher = Watcher(store)
    watcher.look()
    put(store, "a.png", 1, hours=2)
    assert watcher.look() == 1
    query = "SELECT count(*), count(gone) FROM sources"
    assert tuple(store.database.connection.execute(query).fetchone()) == (1, 0)


def test_what_cannot_be_looked_at_is_not_called_gone(store, monkeypatch):
    put(store, "deep/a.png", 1)
    watcher = Watcher(store)
    watcher.look()
    label_all(store)
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    watcher.look()
    monkeypatch.undo()
    assert rows(store, "path", "gone") == [("deep/a.png", "")]
    folder = store.folder.rename(store.folder.with_name("away"))
    with pytest.raises(OSError, match="No such file"):
        watcher.look()
    folder.rename(store.folder)
    assert rows(store, "path", "gone") == [("deep/a.png", "")]


# --- odd names ------------------------------------------------------------------------------------

ODD = [
    "=1+1.png", "+a.png", "-1.png", "@2x.png", "=cmd|' !A1'.png", "'quoted.png", "'=x.png",
    "with, comma.png", 'a "b".png', "two\nlines.png", "a\tb.png", " blank.png", "a\\b.png",
    "ünï/cödé.png", "u\u0308.png", "日本/語.png", "😀.png", "x" * 200 + ".png", "#?%20.png",
]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_whatever_a_file_is_called_its_row_leads_back_to_it(store, tmp_path):
    for seed, name in enumerate(ODD):
        put(store, name, seed)
    (store.folder / os.fsdecode(b"caf\xe9.png")).write_bytes(encoded(letter(99)))
    os.utime(store.folder / os.fsdecode(b"caf\xe9.png"), (1e9, 1e9))
    Watcher(store).look()
    label_all(store)
    tables.write_csv(store, tmp_path / "x.csv")
    table = pd.read_csv(tmp_path / "x.csv", dtype=str, keep_default_na=False)
    assert not table["path"].str.startswith(("=", "+", "-", "@", "\t")).any()
    assert not table["name"].str.startswith(("=", "+", "-", "@", "\t")).any()
    found = {str((store.folder / path).relative_to(store.folder)) for path in table["path"]}
    assert found == {*ODD, r"caf\xe9.png"}
    tables.write_json_lines(store, tmp_path / "x.jsonl")
    lines = (tmp_path / "x.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["path"] for line in lines} == {*ODD, r"caf\xe9.png"}
    for columns in (["path", "label"], ["file_sha256", "label"], ["picture_sha256", "label"]):
        table["label"] = "B"
        text = table[columns].to_csv(index=False)
        assert len(coming(store, text, on_conflict="replace").check().changes) == len(ODD) + 1


# --- other formats, and older projects ------------------------------------------------------------


@pytest.fixture
def labelled(store):
    """Two pictures of A: the first in two files, the second was sent."""
    put(store, "a/x.png", 1)
    put(store, "b/y.png", 1)
    Watcher(store).look()
    send(store, "sent.png", 2)
    label_all(store)
    return store


def test_an_npz_file_tells_the_files_of_each_image(labelled, tmp_path):
    arrays.write_dataset(labelled, tmp_path / "x.npz")
    assert len(load(tmp_path / "x.npz")) == 2
    with np.load(tmp_path / "x.npz") as found:
        assert found["path"].tolist() == ["a/x.png", ""]
        assert found["name"].tolist() == ["x.png", "sent.png"]
        assert found["other_path"].tolist() == ["b/y.png"] and found["other_image"].tolist() == [0]
        one = hashlib.sha256((labelled.folder / "a/x.png").read_bytes()).hexdigest()
        assert found["file_sha256"][0] == one == found["other_file_sha256"][0]
        assert len(found["picture_sha256"]) == 2


def test_folders_of_pictures_tell_the_files_too(labelled, tmp_path):
    for kind in ("hf", "coco", "folders"):
        export(labelled, kind, tmp_path / kind)
    meta = [json.loads(each) for each in (tmp_path / "hf/train/metadata.jsonl").open()]
    images = json.loads((tmp_path / "coco" / "annotations.json").read_text())["images"]
    for found in (meta, images):
        assert [one["path"] for one in found] == ["a/x.png", None]
        assert [[other["path"] for other in one["other_files"]] for one in found] == [
            ["b/y.png"],
            [],
        ]
        assert all(
            len(one[key]) == 64 for one in found for key in ("file_sha256", "picture_sha256")
        )
    table = pd.read_csv(tmp_path / "folders" / ".labels.csv")
    assert sorted(table["path"].dropna()) == ["a/x.png", "b/y.png"]
    assert all((tmp_path / "folders" / file).is_file() for file in table["file"])
    assert len(load(tmp_path / "folders")) == 2


V3_SEEN = """
ALTER TABLE seen ADD COLUMN item INTEGER REFERENCES items (id);
ALTER TABLE seen ADD COLUMN sha256 TEXT;
UPDATE seen SET (item, sha256) = (SELECT item, sha256 FROM sources WHERE sources.path = seen.path);
DROP TABLE sources;
UPDATE meta SET value = '3' WHERE name = 'version';
"""


def test_a_project_of_version_3_keeps_what_it_knew_of_files(labelled):
    before = [row for row in rows(labelled, "path", "file_sha256", "label") if row[0]]
    labelled.close()
    path = labelled.files.root / "labels.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(V3_SEEN)
    with Store.open(labelled.folder) as again:
        assert [row for row in rows(again, "path", "file_sha256", "label") if row[0]] == before
        assert ("", "sent.png", "") in rows(again, "path", "name", "file_sha256")
        assert Watcher(again).look() == 0
        # A file that is sent again is known from then on.
        sha256 = send(again, "sent.png", 2)
        assert ("", "sent.png", sha256) in rows(again, "path", "name", "file_sha256")
        assert [i.id for i in again.queue.undo("ann")]
    assert all_backups(labelled.files.root)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_command_reads_the_folder_before_it_exports(labelled, tmp_path, capsys):
    from alutils.__main__ import main

    labelled.close()
    shutil.move(labelled.folder / "b", labelled.folder / "c")
    out = tmp_path / "x.csv"
    assert main(["export", str(labelled.folder), "--to", "csv", "--out", str(out)]) == 0
    assert set(pd.read_csv(out)["path"].dropna()) == {"a/x.png", "c/y.png"}
