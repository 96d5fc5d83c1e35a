"""Files of an open project are moved, replaced, removed: what is told as saved is saved."""

import logging
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from label_helpers import fill

from alutils.labelling.store import keeper as keeping
from alutils.labelling.store.backups import all_backups
from alutils.labelling.store.keeper import Keeper
from alutils.labelling.store.records import UnavailableError
from alutils.labelling.store.store import Store

CLASSES = ["A", "B", "C"]


class Site:
    """A project that is open, with its keeper; ten pictures, three of them labelled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "labelling"
        self.path = self.root / "labels.sqlite"
        self.log = self.root / "labels.sqlite-wal"
        self.store = Store.open(folder, CLASSES, seed=1, twice=0, random_rate=0)
        fill(self.store, 10)
        self.keeper = Keeper(self.store)
        for item in (1, 2, 3):
            self.label(item)

    def label(self, item: int) -> None:
        self.store.queue.label("ann", item, "ABC"[item % 3], f"key {item}")

    def refused(self, words: str) -> None:
        """See that nothing is taken and nothing is told as the truth."""
        for ask in (lambda: self.label(4), self.store.reader.progress,
                    lambda: self.store.pictures.add(b"x", "a" * 64, "x.png", 1, 1),
                    lambda: self.store.queue.hand_out("bob", 1)):  # fmt: skip
            with pytest.raises(UnavailableError, match=words):
                ask()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "pictures")
    yield made
    made.store.close()


def labels(path: Path) -> int:
    """Count the labels in a database, which must be sound."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return connection.execute("SELECT count(label) FROM items").fetchone()[0]


def move(one: Path, other: Path) -> None:
    one.rename(other)


# --- the folder, the file, the log ----------------------------------------------------------------


@pytest.mark.parametrize("what", ["folder", "root", "path"])
def test_what_was_moved_away_and_comes_back_goes_on(site, tmp_path, what, caplog):
    place = getattr(site, what)
    move(place, tmp_path / "elsewhere")
    site.refused("is not there any more")
    site.keeper.look()
    site.keeper.look()
    assert not place.exists()  # nobody has made it anew
    move(tmp_path / "elsewhere", place)
    site.label(4)
    site.keeper.look()
    assert site.store.reader.progress().human == 4
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 2 and "is not there any more" in told[0] and "there again" in told[1]
    site.keeper.end()
    site.store.close()
    assert labels(site.path) == 4


@pytest.mark.parametrize("what", ["folder", "root"])
def test_another_folder_in_its_place_gets_nothing(site, tmp_path, what):
    place = getattr(site, what)
    move(place, tmp_path / "elsewhere")
    place.mkdir()
    (site.root).mkdir(exist_ok=True)
    shutil.copytree(
        tmp_path / "elsewhere" / ("labelling" if what == "folder" else ""), site.root,
        dirs_exist_ok=True,
    )  # fmt: skip
    log = site.log.read_bytes()  # of a copy that is as good as any other project
    assert log
    site.refused("replaced by another one")
    with pytest.raises(UnavailableError, match=r"not every answer .* replaced by another"):
        site.keeper.end()
    site.store.close()
    assert site.log.read_bytes() == log
    assert labels(site.path) == 3


def test_a_folder_that_was_removed_leaves_a_copy_of_the_labels_beside_it(site, tmp_path):
    shutil.rmtree(site.folder)
    site.refused("is not there any more")
    with pytest.raises(UnavailableError, match=r"not every answer .* is in .*pictures-labels-"):
        site.keeper.end()
    (copy,) = tmp_path.glob("pictures-labels-*.sqlite")
    assert labels(copy) == 3


def replaced(site: Site, other: Path) -> None:
    other.replace(site.path)


def written_over(site: Site, other: Path) -> None:
    site.path.write_bytes(other.read_bytes())  # the same file, another content


def written_over_in_its_log_too(site: Site, other: Path) -> None:
    site.store.database.checkpoint()
    site.path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("how", [replaced, written_over, written_over_in_its_log_too])
@pytest.mark.parametrize("which", ["older copy", "other project", "no database"])
def test_a_file_in_the_place_of_the_database_stops_everything_and_both_are_kept(
    site, tmp_path, how, which
):
    other = tmp_path / "other"
    if which == "older copy":
        site.store.database.checkpoint()
        shutil.copyfile(site.path, other)
        site.label(5)
        site.store.database.checkpoint()
        site.label(6)
    elif which == "other project":
        Store.open(tmp_path / "two", ["X"]).close()
        shutil.copyfile(tmp_path / "two" / "labelling" / "labels.sqlite", other)
    else:
        other.write_bytes(b"no database" * 1000)
    content = other.read_bytes()
    n = 5 if which == "older copy" else 3
    how(site, other)
    site.refused("while the tool runs; end the tool and start it again")
    site.keeper.look()
    with pytest.raises(UnavailableError, match="not every answer"):
        site.keeper.end()
    site.store.close()
    assert site.path.read_bytes() == content  # nothing was written into it
    assert not site.log.exists()  # which SQLite would write over what was put there
    if how is replaced:
        assert max(b.labels for b in all_backups(site.root)) == n


def test_the_same_content_by_another_time_is_no_reason_to_stop(site):
    site.store.database.checkpoint()
    os.utime(site.path, (1, 1))
    site.label(4)
    site.path.write_bytes(site.path.read_bytes())
    site.label(5)
    site.keeper.end()
    site.store.close()
    assert labels(site.path) == 5


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_log_that_is_gone_is_noticed_and_what_was_in_it_is_saved(site, how, caplog):
    assert site.log.stat().st_size
    site.log.unlink()
    if how == "replaced":
        site.log.write_bytes(b"")
    site.refused("its log")
    site.keeper.look()
    assert "is in the backup" in caplog.text
    with pytest.raises(UnavailableError, match="its log"):
        site.keeper.end()
    site.store.close()
    assert labels(site.path) == 3
    assert all_backups(site.root)[0].labels == 3
    with Store.open(site.folder) as again:
        assert not again.reconcile()


@pytest.mark.parametrize("share", [0, 0.6])
@pytest.mark.parametrize("emptied_before", [False, True])
def test_a_log_that_was_cut_short_is_not_told_as_saved(site, share, emptied_before, caplog):
    if emptied_before:
        site.store.database.checkpoint()
        site.label(5)
    os.truncate(site.log, int(site.log.stat().st_size * share))
    site.refused("its log, .* was cut short")
    site.keeper.look()
    assert "was cut short" in caplog.text
    with pytest.raises(UnavailableError, match=r"not every answer is in its place.*cut short"):
        site.keeper.end()
    site.store.close()
    assert "every label is on the disk" not in caplog.text
    if emptied_before:  # the file alone has the first three, the class folders the last one
        with Store.open(site.folder) as again:
            again.reconcile()
            assert {i.id: i.label for i, _ in again.reader.labelled()} == {
                1: "B", 2: "C", 3: "A", 5: "C",
            }  # fmt: skip


def test_a_move_in_the_moment_of_writing_is_not_told_as_saved(site, tmp_path, monkeypatch):
    def step(name):
        if name == "before commit":
            monkeypatch.undo()
            move(site.folder, tmp_path / "elsewhere")

    monkeypatch.setattr(site.store.database, "step", step)
    with pytest.raises(UnavailableError, match="is not there any more"):
        site.label(4)
    move(tmp_path / "elsewhere", site.folder)
    site.label(4)  # sent again by the page, with its key
    assert len(site.store.reader.events(4)) == 1


def test_threads_that_ask_meanwhile_see_no_fault_when_the_log_is_emptied(site):
    failed, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                site.store.reader.progress()
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for item in range(4, 9):
        site.label(item)
        site.store.database.checkpoint()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert site.store.database.opened.spoiled == ""


# --- the log into the file, backups ---------------------------------------------------------------


def test_when_nobody_answers_the_file_alone_holds_everything(site, tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    site.keeper.look()
    assert site.log.stat().st_size  # somebody may be answering
    now[0] += keeping.IDLE_S
    site.keeper.look()
    shutil.copyfile(site.path, tmp_path / "alone")
    assert labels(tmp_path / "alone") == 3


def test_a_long_log_is_emptied_while_people_answer(site, monkeypatch):
    from alutils.labelling.store import database

    monkeypatch.setattr(database, "_LONGEST_LOG", 1)
    monkeypatch.setattr(database, "_BETWEEN_S", -1.0)
    site.label(4)
    assert site.log.stat().st_size == 0
    site.label(5)
    assert labels(site.path) == 5


def test_backups_are_made_after_many_answers_after_minutes_and_at_the_end(site, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(keeping, "ANSWERS", 2)
    site.keeper = Keeper(site.store)
    site.keeper.look()
    assert [b.labels for b in all_backups(site.root)] == [3]
    site.label(4)
    site.keeper.look()
    assert len(all_backups(site.root)) == 1
    site.label(5)
    site.keeper.look()
    assert [b.labels for b in all_backups(site.root)] == [5, 3]
    site.label(6)
    now[0] += 60 * keeping.MINUTES
    site.keeper.look()
    site.keeper.look()
    assert [b.labels for b in all_backups(site.root)] == [6, 5, 3]
    site.label(7)
    site.keeper.end()
    backups = all_backups(site.root)
    # the newest three; the first of them all is the last of no day and no week
    assert [b.labels for b in backups] == [7, 6, 5] and backups[0].why == "at-the-end"
    for backup in backups:
        assert labels(backup.path) == backup.labels
        assert not list(site.root.glob("backups/*-wal")) + list(site.root.glob("backups/.*"))


def test_what_a_killed_session_left_gets_a_backup_and_where_nothing_is_new_none_is_made(site):
    site.store.close()
    for _ in range(3):
        with Store.open(site.folder) as store:
            Keeper(store).end()
        (backup,) = all_backups(site.root)
        assert backup.labels == 3


@pytest.mark.parametrize("act", ["merge", "delete", "import"])
def test_before_what_changes_many_labels_a_backup_is_made(site, act):
    from alutils.labelling.exchange.importing import Choices, from_bytes

    def bring(text: bytes) -> None:
        from_bytes(site.store, text, "x.csv", Choices()).write()

    refused, done = {
        "merge": (lambda: site.store.class_changes.merge("ann", "A", "A"),
                  lambda: site.store.class_changes.merge("ann", "A", "B")),
        "delete": (lambda: site.store.class_changes.delete("ann", "A"),
                   lambda: site.store.class_changes.delete("ann", "A", take_back=True)),
        "import": (lambda: bring(b"name,label\nC-005.png,none\n"),
                   lambda: bring(b"name,label\nC-005.png,A\n")),
    }[act]  # fmt: skip
    with pytest.raises(Exception, match=r"itself|pictures have it|cannot be taken"):
        refused()
    assert not all_backups(site.root)
    done()
    (backup,) = all_backups(site.root)
    assert backup.labels == labels(backup.path) == 3
    assert backup.why.startswith("before-")


def test_a_backup_that_cannot_be_written_is_said_once_and_labelling_goes_on(
    site, monkeypatch, caplog
):
    monkeypatch.setattr(keeping, "ANSWERS", 1)
    (site.root / "backups").write_bytes(b"")  # a file where the folder should be
    site.label(4)
    for _ in range(3):
        site.keeper._saved_at -= 3600
        site.keeper.look()
    told = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1 and "backups" in told[0].getMessage()
    site.label(5)
    site.keeper.end()
    assert "every label is on the disk, but" in caplog.text


@pytest.mark.parametrize("page", [2, 5, -1])
def test_a_damage_that_came_while_it_ran_is_found_by_the_next_backup(site, page, caplog):
    site.keeper._back_up(site.store.reader.position(), 0)
    site.store.database.checkpoint()
    about = site.path.stat()
    n = about.st_size // 4096
    content = bytearray(site.path.read_bytes())
    place = (page % n) * 4096
    content[place : place + 4096] = b"\xff" * 4096
    site.path.write_bytes(content)
    os.utime(site.path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as when a disk goes bad
    site.keeper._saved = (0, 0, 0)
    site.keeper._saved_at -= 60 * keeping.MINUTES
    site.keeper.look()
    assert "is damaged" in caplog.text and "3 labels" in caplog.text
    site.refused("it was damaged")
    assert [b.labels for b in all_backups(site.root)] == [3]  # a bad copy pushes out no good one
    site.store.close()
    assert site.path.read_bytes() == content


# --- the tool itself ------------------------------------------------------------------------------


def test_pages_open_while_the_database_is_away_and_requests_are_told_503(site, tmp_path):
    from alutils.labelling.web.app import create_app
    from alutils.labelling.web.security import access, project_secret

    who = access("127.0.0.1", project_secret(site.root))
    client = create_app(site.store, access=who).test_client()
    with client.session_transaction(base_url="http://127.0.0.1") as session:
        session["person"] = "ann"
    site.folder.rename(tmp_path / "elsewhere")
    assert client.get("/", base_url="http://127.0.0.1").status_code == 200
    for path in ("/api/status", "/review", "/progress", "/pictures/1", "/export/csv"):
        answer = client.get(path, base_url="http://127.0.0.1")
        assert answer.status_code == 503 and "is not there any more" in answer.text, path
    assert client.get("/health", base_url="http://127.0.0.1").status_code == 200
    assert not site.folder.exists()
    (tmp_path / "elsewhere").rename(site.folder)
    assert client.get("/api/status", base_url="http://127.0.0.1").status_code == 200
