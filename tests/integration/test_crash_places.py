"""Whatever happens to the files at whatever point of writing: what was acknowledged comes back.

Beside `test_crash`, which kills the process: here it lives on while its folder is moved or removed,
its database replaced or written over, its log removed, its disk full.
"""

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from label_helpers import fill

from alutils.labelling.exchange.importing import Choices, from_bytes
from alutils.labelling.store import places, restore
from alutils.labelling.store.backups import all_backups
from alutils.labelling.store.keeper import Keeper
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder that is in use"),
]
CLASSES = ["A", "B", "C"]


@pytest.fixture
def disk():
    """Make a folder, in memory where that can be."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def begin(folder: Path) -> None:
    """Make a project with twelve pictures, two labelled, and an older copy of its database."""
    with Store.open(folder, CLASSES, seed=1, twice=0, random_rate=0) as store:
        fill(store, 12)
        for item in (1, 2):
            store.queue.label("ann", item, "A")
        Keeper(store).end()
    shutil.copyfile(folder / "labelling" / "labels.sqlite", folder.with_name("older"))


def work(store: Store, keeper: Keeper) -> dict[int, str]:
    """Do what writes, go on when something is refused; return the labels that were acknowledged."""
    said: dict[int, str] = {1: "A", 2: "A"}

    def label(item: int, name: str) -> None:
        store.queue.label("ann", item, name, f"key {item}")
        said[item] = name

    def relabel(item: int, name: str) -> None:
        store.queue.relabel("ann", [item], name)
        said[item] = name

    def merge() -> None:
        store.class_changes.merge("ann", "B", "C")
        said.update({item: "C" for item, name in said.items() if name == "B"})

    def bring() -> None:
        from_bytes(store, b"name,label\nA-009.png,A\nB-010.png,C\n", "x.csv", Choices()).write()
        said.update({10: "A", 11: "C"})

    def look() -> None:
        keeper._saved_at -= 3600  # a backup is due
        keeper.look()

    for act in (
        lambda: label(3, "B"), lambda: label(4, "C"), look, lambda: relabel(3, "A"),
        lambda: label(5, "B"), store.database.checkpoint, lambda: label(6, "C"), merge, look,
        bring, lambda: label(7, "A"),
    ):  # fmt: skip
        try:
            act()
        except (LabellingError, OSError):
            continue
    return said


def labels(store: Store) -> dict[int, str]:
    return {item.id: item.label for item, _ in store.reader.labelled()}


def is_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# --- things that happen ---------------------------------------------------------------------------


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def moved_and_another(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    (folder / "labelling").mkdir(parents=True)
    shutil.copyfile(folder.with_name("older"), folder / "labelling" / "labels.sqlite")


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def replaced(folder: Path) -> None:
    folder.with_name("older").replace(folder / "labelling" / "labels.sqlite")


def log_removed(folder: Path) -> None:
    (folder / "labelling" / "labels.sqlite-wal").unlink(missing_ok=True)


def file_removed(folder: Path) -> None:
    (folder / "labelling" / "labels.sqlite").unlink()


def come_back(folder: Path, what) -> None:
    """Do what a person does afterwards, as the tool says."""
    path = folder / "labelling" / "labels.sqlite"
    away = folder.with_name("moved")
    if away.exists():
        shutil.rmtree(folder, ignore_errors=True)
        away.rename(folder)
    if what is removed:
        (copy,) = folder.parent.glob("project-labels-*.sqlite")
        path.parent.mkdir(parents=True)
        copy.rename(path)
    elif what in (replaced, file_removed):
        newest = all_backups(path.parent)[0]
        restore.restore(places.find(folder), newest)


@pytest.mark.parametrize(
    "what", [moved, moved_and_another, removed, replaced, log_removed, file_removed],
    ids=lambda what: what.__name__,
)  # fmt: skip
def test_at_every_point_of_writing_what_was_acknowledged_comes_back(disk, what):
    refused = 0
    for n in range(1, 400, 3 if what is not log_removed else 2):
        parent = disk / str(n)
        folder = parent / "project"
        parent.mkdir()
        begin(folder)
        left = [n]

        def step(name, left=left, folder=folder):
            left[0] -= 1
            if left[0] == 0:
                what(folder)

        store = Store.open(folder, seed=1)
        keeper = Keeper(store)
        store.database.step = store.files.step = step
        object.__setattr__(store.database.backups, "step", step)
        said = work(store, keeper)
        keeper.look()
        try:
            keeper.end()
            is_safe = True
        except LabellingError as error:
            is_safe = False
            refused += 1
            assert "not every answer is in its place" in str(error)
        store.close()
        if left[0] > 0:
            assert is_safe and n > 20
            break
        # A log may be gone after the last look, which needs none.
        assert not is_safe or what is log_removed
        come_back(folder, what)
        is_sound(folder / "labelling" / "labels.sqlite")
        with Store.open(folder) as again:
            if what is not removed:  # else the pictures are gone with the folder
                again.reconcile()
            found = labels(again)
            # What was refused at its very end may be there, too; it is sent again, with its key.
            assert said.items() <= found.items() or _is_later(said, found), (n, said, found)
        shutil.rmtree(parent)
    assert refused > 10


def _is_later(said: dict[int, str], found: dict[int, str]) -> bool:
    """Tell whether what differs is what was written, and refused because the file had moved."""
    changed = {item for item, name in said.items() if found.get(item) != name}
    return all((said[item], found.get(item)) in (("B", "C"), ("B", "A")) for item in changed)


def test_with_a_full_disk_at_every_size_what_was_acknowledged_is_there(disk):
    import resource

    kinds = set()
    for limit in [*range(4096, 65536, 4096), *range(65536, 700_000, 8192)]:
        parent = disk / str(limit)
        folder = parent / "project"
        parent.mkdir()
        begin(folder)
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                store = Store.open(folder, seed=1)
                keeper = Keeper(store)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                said = work(store, keeper)
                try:
                    keeper.end()
                    safe = True
                except LabellingError:
                    safe = False
                os.write(writing, json.dumps([said, safe]).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        with os.fdopen(reading) as pipe:
            said, _safe = json.loads(pipe.read())
        said = {int(item): name for item, name in said.items()}
        with Store.open(folder) as again:
            again.reconcile()
            found = labels(again)
            assert said.items() <= found.items(), limit
            assert set(found) == set(said), limit  # what was refused is not there
        is_sound(folder / "labelling" / "labels.sqlite")
        for backup in all_backups(folder / "labelling"):
            is_sound(backup.path)
        assert not list(folder.rglob("*.partial"))
        kinds.add(len(said))
        shutil.rmtree(parent)
        if len(said) == 9:
            break
    assert {2, 9} <= kinds and len(kinds) > 3
