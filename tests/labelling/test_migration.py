"""Projects of older versions of the tool are brought to today's tables, and nothing is lost."""

import hashlib
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from label_helpers import encoded, letter

from alutils.labelling.store.backups import all_backups
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.schema import VERSION
from alutils.labelling.store.store import Store

OLD_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE classes (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE
);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    source TEXT NOT NULL,
    added TEXT NOT NULL,
    audit INTEGER NOT NULL,
    unreadable INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    label INTEGER REFERENCES classes (number),
    label_source TEXT CHECK (label_source IN ('human', 'auto')),
    event INTEGER REFERENCES events (id),   -- the one that gave the label
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    model INTEGER REFERENCES models (id),   -- the one that predicted
    shuffle REAL NOT NULL,                  -- drawn once from 0 to 1: the order without a model
    rank REAL NOT NULL,                     -- the order of the queue: confidence, else 2 + shuffle
    person TEXT,                            -- who holds it
    until REAL,                             -- how long, in seconds since 1970
    handed REAL,                            -- the order in which a person got pictures
    CHECK ((label IS NULL) = (label_source IS NULL) AND (label IS NULL) = (event IS NULL))
);
CREATE INDEX queue ON items (audit, skipped, rank) WHERE label IS NULL AND unreadable = 0;
CREATE INDEX held ON items (person) WHERE person IS NOT NULL;
CREATE INDEX random_order ON items (shuffle);
CREATE INDEX labelled ON items (label, confidence) WHERE label IS NOT NULL;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items (id),
    kind TEXT NOT NULL CHECK (kind IN ('label', 'skip', 'undo', 'auto', 'revoke', 'relabel')),
    label INTEGER REFERENCES classes (number),
    replaced INTEGER REFERENCES events (id),  -- the one whose label it took the place of
    undoes INTEGER UNIQUE REFERENCES events (id),
    batch INTEGER,                            -- the first event of those made in one go
    person TEXT,
    model INTEGER REFERENCES models (id),
    at REAL NOT NULL,                         -- seconds since 1970
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    threshold REAL,
    hidden INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX of_item ON events (item);
CREATE INDEX of_person ON events (person, id) WHERE person IS NOT NULL;
CREATE TABLE requests (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (person, key)
) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    classes TEXT NOT NULL,
    n_trained INTEGER NOT NULL,
    at REAL NOT NULL,
    path TEXT NOT NULL,
    certificate TEXT NOT NULL
);
CREATE TABLE seen (               -- files of the watched folder that need no second look
    path BLOB PRIMARY KEY,        -- bytes: not every file name is text
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,    -- nanoseconds since 1970
    problem TEXT                  -- why it was not taken in, NULL if it was
) WITHOUT ROWID;
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
    BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
    BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
"""
"""The tables of version 2, as they were."""
FIRST = OLD_TABLES.replace(
    "    certificate TEXT NOT NULL\n", "    certificate TEXT NOT NULL,\n    audit TEXT NOT NULL\n"
)
"""Those of version 1, with a column more among its models."""
PICTURES = [encoded(letter(i)) for i in range(4)]


def old_project(folder: Path, version: int) -> list[str]:
    """Make a project as an older version left it; return its pictures' hashes.

    Picture 1 is labelled by a person, 2 by a model, 3 and 4 wait; 1 and 3 are of the audit slice.
    """
    root = folder / "labelling"
    shas = [hashlib.sha256(data).hexdigest() for data in PICTURES]
    for sha256, data in zip(shas, PICTURES, strict=True):
        path = root / "images" / sha256[:2] / f"{sha256}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    more = ", '{}'" if version == 1 else ""
    with closing(sqlite3.connect(root / "labels.sqlite")) as connection:
        connection.executescript(FIRST if version == 1 else OLD_TABLES)
        connection.executescript(
            f"""PRAGMA journal_mode = WAL;
            INSERT INTO meta VALUES ('version', '{version}'), ('project', 'abc'),
                ('audit_share', '0.5'), ('audit_rate', '0.2'), ('random_rate', '0.1'),
                ('questions', '[]'), ('model', '{"f" * 64}');
            INSERT INTO classes VALUES (0, 'A', 'A', 'a'), (1, 'b/c', 'b_c', 'b');
            INSERT INTO models VALUES (1, '{"f" * 64}', '["A", "b/c"]', 20, 5.0, 'model',
                '{{}}'{more});
            INSERT INTO items (id, sha256, name, width, height, source, added, audit, predicted,
                confidence, model, shuffle, rank)
            VALUES (1, '{shas[0]}', '1.png', 28, 28, 'upload', '', 1, 0, 0.4, 1, 0.1, 2.1),
                (2, '{shas[1]}', '2.png', 28, 28, 'upload', '', 0, 1, 0.9, 1, 0.2, 0.9),
                (3, '{shas[2]}', '3.png', 28, 28, 'upload', '', 1, 0, 0.7, 1, 0.3, 2.3),
                (4, '{shas[3]}', '4.png', 28, 28, 'upload', '', 0, NULL, NULL, NULL, 0.4, 2.4);
            INSERT INTO events (id, item, kind, label, person, model, at, predicted, confidence,
                threshold, hidden)
            VALUES (1, 1, 'label', 0, 'ann', 1, 6.0, 0, 0.4, NULL, 1),
                (2, 2, 'auto', 1, NULL, 1, 7.0, 1, 0.9, 0.8, 1),
                (3, 3, 'skip', NULL, 'ann', 1, 8.0, 0, 0.7, NULL, 1);
            UPDATE items SET label = 0, label_source = 'human', event = 1 WHERE id = 1;
            UPDATE items SET label = 1, label_source = 'auto', event = 2 WHERE id = 2;
            UPDATE items SET skipped = 1 WHERE id = 3;
            INSERT INTO requests VALUES ('ann', 'k', '["label", 1, "A"]', '[1]');
            INSERT INTO seen VALUES (x'612e706e67', 5, 17, NULL);"""
        )
    return shas


def tables(connection):
    query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    return [row[0] for row in connection.execute(query)]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_project_is_opened_with_all_that_it_holds(tmp_path, version):
    shas = old_project(tmp_path, version)
    before = dump(tmp_path / "labelling" / "labels.sqlite")
    with Store.open(tmp_path) as store:
        assert store.project_id == "abc"
        assert [c.name for c in store.classes.all()] == ["A", "b/c"]
        items = [store.reader.item(i) for i in range(1, 5)]
        assert [i.sha256 for i in items] == shas
        assert [i.label for i in items] == ["A", "b/c", None, None]
        assert [i.label_source for i in items] == ["human", "auto", None, None]
        assert [i.predicted for i in items] == ["A", "b/c", "A", None]
        assert not any(i.hidden or i.rejected for i in items)
        (event,) = store.reader.events(2)
        assert (event.kind, event.confidence, event.threshold) == ("auto", 0.9, 0.8)
        assert store.models.present().n_trained == 20
        assert store.sources.seen() == {"a.png": (5, 17, None)}
        assert store.queue.label("ann", 1, "A", "k").id == 1  # a request that is sent again
        # Those of the old slice stand in the queue by their confidence, as all others.
        assert [i.id for i in store.queue.hand_out("bob", 3)] == [4, 3]
        assert not store.database.setting("audit_share")
        assert shown(store) == {("A", "1-1.png"), ("b_c", "2-2.png")}
        assert [item.id for item in store.queue.undo("ann")] == [1]
    with closing(sqlite3.connect(tmp_path / "labelling" / "labels.sqlite")) as connection:
        Store.open(tmp_path / "new").close()
        with closing(sqlite3.connect(tmp_path / "new" / "labelling" / "labels.sqlite")) as new:
            assert tables(connection) == tables(new)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        query = "SELECT value FROM meta WHERE name = 'version'"
        assert connection.execute(query).fetchone()[0] == str(VERSION)
    (backup,) = all_backups(tmp_path / "labelling")
    assert (backup.labels, backup.project, backup.why) == (
        2,
        "abc",
        f"before-version-{version}-goes",
    )
    assert dump(backup.path) == before


def shown(store):
    store.reconcile()
    return {(p.parent.name, p.name) for p in store.files.classes.rglob("*.png")}


@pytest.mark.parametrize("version", [1, 2])
def test_who_only_reads_migrates_nothing_and_is_told_how(tmp_path, version):
    old_project(tmp_path, version)
    path = tmp_path / "labelling" / "labels.sqlite"
    before = path.read_bytes()
    with pytest.raises(LabellingError, match=r"older tables.*open it once with .*alutils label"):
        Store.open_to_read(tmp_path)
    assert path.read_bytes() == before and not all_backups(tmp_path / "labelling")
    Store.open(tmp_path).close()
    with Store.open_to_read(tmp_path) as store:
        assert store.reader.progress().human == 1


def test_a_project_of_today_is_left_as_it_is(tmp_path):
    Store.open(tmp_path, ["A"]).close()
    before = dump(tmp_path / "labelling" / "labels.sqlite")
    Store.open(tmp_path).close()
    assert dump(tmp_path / "labelling" / "labels.sqlite") == before
    assert not list((tmp_path / "labelling").glob("*backup*"))


def test_a_migration_that_fails_changes_nothing_and_can_be_tried_again(tmp_path):
    old_project(tmp_path, 2)
    path = tmp_path / "labelling" / "labels.sqlite"
    before = dump(path)
    names, seen = [], set()

    def fail_at(n):
        def step(name):
            names.append(name)
            seen.add(name)
            if len(names) == n:
                raise sqlite3.OperationalError("disk full")

        return step

    for n in range(1, 1000):
        names.clear()
        try:
            Store.open(tmp_path, step=fail_at(n)).close()
        except (LabellingError, sqlite3.OperationalError):
            if "after migration" not in names:
                assert dump(path) == before, names[-1]
            continue
        break
    assert {"new table", "rows taken over", "migrated", "after migration"} <= seen
    with Store.open(tmp_path) as store:
        assert store.reader.progress().human == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_killed_at_every_point_of_the_migration_the_project_opens(tmp_path):
    for n in range(1, 1000):
        folder = tmp_path / str(n)
        shas = old_project(folder, 2)
        pid = os.fork()
        if not pid:
            left = [n]

            def step(name, left=left):
                left[0] -= 1
                if not left[0] or name == "after migration":
                    os.kill(os.getpid(), signal.SIGKILL if not left[0] else signal.SIGTERM)

            Store.open(folder, step=step)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with Store.open(folder) as store:
            items = store.reader.page(limit=10).items
            assert {i.sha256 for i in items} == set(shas)
            assert store.reader.progress().human == store.reader.progress().auto == 1
        if ended == -signal.SIGTERM:
            break
    assert n > 20


def test_tables_of_another_program_are_refused(tmp_path):
    root = tmp_path / "labelling"
    root.mkdir()
    with closing(sqlite3.connect(root / "labels.sqlite")) as connection:
        connection.execute("CREATE TABLE other (a)")
        connection.commit()
    with pytest.raises(LabellingError, match="version 0"):
        Store.open(tmp_path)
