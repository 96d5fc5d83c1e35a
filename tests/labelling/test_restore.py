"""A database that cannot be used is refused with the way back, and a backup takes its place."""

import os
import random
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from label_helpers import fill

from alutils.__main__ import main
from alutils.labelling.store import places, restore
from alutils.labelling.store.backups import FOLDER, Backup, all_backups, not_needed
from alutils.labelling.store.keeper import Keeper
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

CLASSES = ["A", "B", "C"]


def project(folder, n=5, *, backup=True):
    """Make a project of six pictures, n of them labelled."""
    with Store.open(folder, CLASSES, seed=1, twice=0) as store:
        fill(store, 6)
        for item in range(1, n + 1):
            store.queue.label("ann", item, "ABC"[item % 3])
        if backup:
            Keeper(store).end()
    return folder / "labelling" / "labels.sqlite"


def told(folder):
    """Return who gave which label, and what the class folders show."""
    with Store.open(folder) as store:
        store.reconcile()
        answers = [(i.id, i.label, e.person) for i, e in store.reader.labelled()]
        shown = {(p.parent.name, p.name) for p in store.files.classes.rglob("*.png")}
        assert not store.reconcile()
    return answers, shown


# --- what cannot be used --------------------------------------------------------------------------


def a_folder(path):
    path.unlink()
    path.mkdir()


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("name,label\n1.png,cat\n")


def short(path):
    path.write_bytes(b"x")


def without_tables(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def anothers(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moz_places (a)")


def with_meta_of_its_own(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE meta (name TEXT, value TEXT); INSERT INTO meta VALUES ('version', 'x');"
        )


def cut(path):
    path.write_bytes(path.read_bytes()[:-5000])


def zeroed(path):
    content = bytearray(path.read_bytes())
    content[4096 : 3 * 4096] = bytes(2 * 4096)
    path.write_bytes(content)


def another_schema(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"added TEXT NOT NULL", b"addef TEXT NOT NULL"))


KINDS = {
    a_folder: "is a folder",
    empty: "is empty",
    text: "no database of the labelling tool",
    short: "no database of the labelling tool",
    without_tables: "is empty",
    anothers: "another program",
    with_meta_of_its_own: "its version is no number",
    cut: "is damaged",
    zeroed: "is damaged",
    another_schema: "its tables are not as they were made",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_of_unusable_database_has_its_sentence_and_the_backup_comes_back(
    tmp_path, kind, capsys
):
    path = project(tmp_path)
    before = told(tmp_path)
    kind(path)
    content = None if path.is_dir() else path.read_bytes()
    with pytest.raises(LabellingError):
        Store.open(tmp_path).close()  # else the command would serve for ever
    assert main(["label", str(tmp_path), "--no-model", "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert KINDS[kind] in error and "Traceback" not in error and "space on the disk" not in error
    assert "5 labels" in error and "--restore" in error
    assert path.is_dir() or path.read_bytes() == content
    assert main(["label", str(tmp_path), "--restore"]) == 0
    assert "5 labels, at the end" in capsys.readouterr().out
    assert main(["label", str(tmp_path), "--restore", "1"]) == 0
    lines = capsys.readouterr().out
    (kept,) = (tmp_path / "labelling" / "replaced").glob("*/labels.sqlite")
    assert str(kept.parent) in lines
    assert kept.is_dir() or kept.read_bytes() == content
    assert told(tmp_path) == before


@pytest.mark.parametrize("kind", [cut, text, empty], ids=lambda kind: kind.__name__)
def test_without_a_backup_the_class_folders_are_named_and_come_back(tmp_path, kind):
    path = project(tmp_path, backup=False)
    kind(path)
    with pytest.raises(LabellingError, match=r"no backup\. Move it away .* the 5 labels"):
        Store.open(tmp_path)
    path.rename(tmp_path / "away")
    answers, _ = told(tmp_path)
    assert sorted(label for _, label, _ in answers) == ["A", "B", "B", "C", "C"]


def test_an_empty_file_where_nothing_was_labelled_is_a_beginning(tmp_path):
    (tmp_path / "labelling").mkdir()
    (tmp_path / "labelling" / "labels.sqlite").write_bytes(b"")
    with Store.open(tmp_path, CLASSES) as store:
        assert len(store.classes.all()) == 3


@pytest.mark.skipif(os.name == "nt" or not os.geteuid(), reason="root may read and write all")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o200])
def test_a_file_that_may_not_be_used_says_so(tmp_path, mode):
    path = project(tmp_path)
    path.chmod(mode)
    with pytest.raises(LabellingError, match=r"may not be read and written .*chmod u\+rw"):
        Store.open(tmp_path)
    path.chmod(0o600)
    Store.open(tmp_path).close()


def test_a_file_that_may_not_be_used_says_so_to_everybody(tmp_path, monkeypatch):
    path = project(tmp_path)
    ask = os.access
    monkeypatch.setattr(os, "access", lambda p, *a: str(p) != str(path) and ask(p, *a))
    with pytest.raises(LabellingError, match=r"may not be read and written .*chmod u\+rw"):
        Store.open(tmp_path)


@pytest.mark.parametrize("draw", range(25))
def test_whatever_is_damaged_is_refused_or_sound(tmp_path, draw):
    rng = random.Random(draw)
    path = project(tmp_path)
    content = bytearray(path.read_bytes())
    kind = rng.choice(["bytes", "page", "cut", "more"])
    at = rng.randrange(len(content))
    if kind == "bytes":
        for _ in range(rng.choice([1, 10, 200])):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == "page":
        content[at // 4096 * 4096 : at // 4096 * 4096 + 4096] = rng.randbytes(4096)
    elif kind == "cut":
        del content[at:]
    else:
        content[at:at] = rng.randbytes(rng.choice([1, 4096]))
    path.write_bytes(content)
    try:
        store = Store.open(tmp_path)
    except LabellingError as error:
        assert "--restore" in str(error)
        restore.restore(places.find(tmp_path), restore.chosen(places.find(tmp_path), "1"))
        assert len(told(tmp_path)[0]) == 5
        return
    with store, closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]


# --- going back -----------------------------------------------------------------------------------


def test_going_back_behind_an_import_takes_its_labels_out_of_the_class_folders(tmp_path):
    from alutils.labelling.exchange.importing import Choices, from_bytes

    project(tmp_path, 2, backup=False)
    before = told(tmp_path)
    with Store.open(tmp_path) as store:
        from_bytes(store, b"name,label\nC-002.png,A\nA-003.png,B\n", "x.csv", Choices()).write()
    assert len(told(tmp_path)[0]) == 4
    backup = restore.chosen(places.find(tmp_path), "1")
    assert backup.why == "before-import"
    restore.restore(places.find(tmp_path), backup)
    assert told(tmp_path) == before  # a sound database explains the others: they are kept in it
    assert not list((tmp_path / "labelling").glob("aside/*"))


def test_labels_that_came_after_the_backup_are_read_back_where_the_database_was_lost(tmp_path):
    path = project(tmp_path, 3)
    with Store.open(tmp_path) as store:
        for item in (4, 5):
            store.queue.label("bob", item, "A")
    path.write_bytes(b"lost")
    lines = restore.restore(places.find(tmp_path), restore.chosen(places.find(tmp_path), "1"))
    assert any(line.startswith("2 labels that the database did not know") for line in lines)
    answers, _ = told(tmp_path)
    assert [a for a in answers if a[0] > 3] == [
        (4, "A", "import: class folders"), (5, "A", "import: class folders")
    ]  # fmt: skip


def test_a_log_that_is_lost_is_noticed_at_the_start_and_nothing_is_removed(tmp_path):
    path = project(tmp_path, 2)
    store = Store.open(tmp_path)
    store.database.checkpoint()
    for item in (3, 4, 5):
        store.queue.label("bob", item, "B")
    keeper = Keeper(store)
    keeper._back_up(store.reader.position(), 0)
    copy = tmp_path / "after a power cut"
    shutil.copytree(tmp_path / "labelling", copy / "labelling")
    store.close()
    (copy / "labelling" / "labels.sqlite-wal").unlink()
    with Store.open(copy) as again:
        assert again.reader.progress().human == 2
        assert "is older than the newest backup" in restore.behind(again)
        assert "5 labels" in restore.behind(again) and "--restore" in restore.behind(again)
    answers, _ = told(copy)
    assert len(answers) == 5
    restore.restore(places.find(copy), restore.chosen(places.find(copy), "1"))
    assert {person for _, _, person in told(copy)[0]} == {"ann", "bob"}
    with Store.open(copy) as again:
        assert restore.behind(again) == ""
    assert path.is_file()


def test_a_new_database_beside_old_backups_is_told_of_them_and_pushes_none_out(tmp_path):
    path = project(tmp_path)
    path.rename(tmp_path / "away")
    with Store.open(tmp_path, CLASSES) as store:
        assert "is of another project than the newest backup" in restore.behind(store)
        store.reconcile()
        item = store.reader.labelled()[0][0].id
        for number in range(9):
            store.queue.relabel("ann", [item], "AB"[number % 2])
            store.database.back_up()
    labels = [b.labels for b in all_backups(tmp_path / "labelling")]
    assert labels == [5, 5, 5, 5]  # three of the new one, the old one's


@pytest.mark.parametrize("which", ["0", "2", "x", "../labels.sqlite", "nothing.sqlite"])
def test_a_backup_that_is_not_there_is_refused(tmp_path, which, capsys):
    project(tmp_path)
    assert main(["label", str(tmp_path), "--restore", which]) == 2
    assert "expected a number from 1 to 1" in capsys.readouterr().err


def test_a_restore_names_what_it_needs(tmp_path, capsys):
    assert main(["label", "--restore"]) == 2
    assert "expected the folder of pictures" in capsys.readouterr().err
    assert main(["label", str(tmp_path), "--restore", "1"]) == 2
    assert "--restore 1: there is no backup yet" in capsys.readouterr().err
    assert main(["label", str(tmp_path), "--restore"]) == 0
    assert "There is no backup yet." in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    project(tmp_path)
    with Store.open(tmp_path), pytest.raises(LabellingError, match="is open in another"):
        restore.restore(places.find(tmp_path), restore.chosen(places.find(tmp_path), "1"))
    (backup,) = all_backups(tmp_path / "labelling")
    backup.path.write_bytes(backup.path.read_bytes()[:9000])
    before = told(tmp_path)
    with pytest.raises(LabellingError, match="is damaged"):
        restore.restore(places.find(tmp_path), backup)
    assert told(tmp_path) == before


def test_who_tries_one_backup_after_the_other_finds_all_of_them_again(tmp_path, capsys):
    project(tmp_path, 1)
    with Store.open(tmp_path) as store:
        for item, why in ((2, "before-import"), (3, "before-merge")):
            store.queue.label("ann", item, "A")
            store.database.back_up(why)
    wanted = {b.path.name for b in all_backups(tmp_path / "labelling")}
    assert len(wanted) == 3
    for _ in range(3):
        for name in sorted(wanted):
            assert main(["label", str(tmp_path), "--restore", name]) == 0
            assert "have other numbers now" in capsys.readouterr().out
            with Store.open(tmp_path) as store:  # and labels a little, to see
                store.queue.label("ann", 5, "B")
                Keeper(store).end()
            there = {b.path.name for b in all_backups(tmp_path / "labelling")}
            assert wanted <= there


def test_copies_from_before_a_restore_go_when_a_week_is_over(tmp_path):
    now = datetime(2026, 3, 18, 12, tzinfo=UTC)
    at = [now, *(now - timedelta(seconds=s) for s in range(1, 6))]
    old = [Backup(tmp_path / f"{n}", when, 5, "1f", "restored" if n in (0, 2) else "")
           for n, when in enumerate(at)]  # fmt: skip
    assert not_needed(old, old[0]) == [old[2]]  # the newest of those that were restored is enough
    later = [Backup(tmp_path / f"l{n}", now + timedelta(8, -n), 6, "1f", "") for n in range(4)]
    gone = not_needed([*later, *old], later[0])
    assert {old[4], old[5]} <= set(gone)


# --- which are kept -------------------------------------------------------------------------------


def test_the_newest_of_each_of_some_days_and_weeks_and_the_fullest_are_kept(tmp_path):
    now = datetime(2026, 3, 18, 12, tzinfo=UTC)
    found = []
    for hours in range(0, 24 * 60, 3):
        at = now - timedelta(hours=hours)
        labels = 999 if hours == 300 else 500 - hours // 3
        found.append(Backup(tmp_path / f"{hours}", at, labels, "1f", ""))
    found.append(
        Backup(tmp_path / "old tables", now - timedelta(900), 3, "1f", "before-version-2-goes")
    )
    found.append(Backup(tmp_path / "other", now - timedelta(901), 3, "2e", ""))
    gone = {b.path.name for b in not_needed(found, found[0])}
    kept = [b for b in found if b.path.name not in gone]
    assert [b.at for b in kept[:3]] == [now - timedelta(hours=h) for h in (0, 3, 6)]
    days = {b.at.date() for b in kept}
    assert {now.date() - timedelta(d) for d in (0, 1, 2)} <= days
    assert len({b.at.isocalendar()[:2] for b in kept if b.labels not in (3, 999)}) == 4
    assert {"300", "old tables", "other"} <= {b.path.name for b in kept}
    assert len(kept) <= 3 + 2 + 3 + 1 + 2
    assert all_backups(tmp_path) == [] and FOLDER == "backups"
