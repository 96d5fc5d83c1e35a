"""How far a project is, asked by every page every few seconds: right, and counted seldom."""

import threading
from dataclasses import replace

import pytest
from label_helpers import DECODERS, auto_label, fill, scores

from alutils.labelling.store import standing
from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", ["A", "B", "C"], seed=0, twice=0) as opened:
        fill(opened, 8)
        yield opened


def counted(store, monkeypatch) -> list[int]:
    """Note every count of the whole project."""
    count, times = store.reader.progress, []

    def noted():
        times.append(1)
        return count()

    monkeypatch.setattr(store.reader, "progress", noted)
    return times


def test_it_is_what_counting_gives_after_every_change(store, monkeypatch):
    monkeypatch.setattr(standing, "CHEAP_S", 1e9)  # a small project, however slow the machine
    queue, changes = store.queue, store.class_changes
    one, two, three, four, *_ = (item.id for item in queue.hand_out("ann", 6))
    acts = [
        lambda: queue.label("ann", one, "A"), lambda: queue.label("ann", two, "B"),
        lambda: queue.skip("ann", three), lambda: queue.reject("ann", four, "blurred"),
        lambda: queue.undo("ann"), lambda: queue.release("ann"), lambda: queue.hand_out("bob", 2),
        lambda: store.classes.add(["D"]), lambda: changes.rename("ann", "A", "Z"),
        lambda: changes.merge("ann", "B", "Z"), lambda: scores(store, 0.9),
        lambda: auto_label(store, 0.5), lambda: store.models.revoke("ann"),
        lambda: fill(store, 12), lambda: queue.relabel("ann", [one, two], "C"),
        lambda: (store.files.picture(store.reader.item(one).sha256).unlink(), store.reconcile()),
        lambda: changes.undo("ann"), lambda: store.grid.reject("ann", [two]),
    ]  # fmt: skip
    for act in acts:
        act()
        now = store.standing.progress()
        assert replace(now, per_minute=0) == replace(store.reader.progress(), per_minute=0)


def test_nothing_is_counted_while_nothing_changes(store, monkeypatch):
    times = counted(store, monkeypatch)
    for _ in range(20):
        store.standing.progress()
    assert len(times) == 1
    store.queue.hand_out("ann", 3)  # what is held is always as of now
    assert store.standing.progress().held == 3 and len(times) == 1


def test_a_large_project_is_counted_seldom_while_people_label(store, monkeypatch):
    monkeypatch.setattr(standing, "CHEAP_S", 0.0)
    monkeypatch.setattr(standing, "SHARE", 1e-9)
    times = counted(store, monkeypatch)
    store.standing.progress()
    for item in store.queue.hand_out("ann", 5):
        store.queue.label("ann", item.id, "A")
        assert store.standing.progress().human == 0  # it will be told soon
    assert len(times) == 1
    monkeypatch.setattr(standing, "SHARE", 1e9)  # soon
    assert store.standing.progress().human == 5 and len(times) == 2


def test_an_old_answer_is_counted_anew(store, monkeypatch):
    times = counted(store, monkeypatch)
    store.standing.progress()
    monkeypatch.setattr(standing, "OLDEST_S", -1.0)
    store.standing.progress()
    assert len(times) == 2


def test_many_who_ask_at_once_have_one_count(store, monkeypatch):
    times = counted(store, monkeypatch)
    threads = [threading.Thread(target=store.standing.progress) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 1


def test_a_page_that_knows_the_answer_is_told_that_it_holds(store):
    app = create_app(store, access=access("127.0.0.1", bytes(32)), decoders=DECODERS)
    client = app.test_client()
    first = client.get("/api/status")
    assert first.status_code == 200 and first.headers["Cache-Control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.get("/api/status", headers=known)
    assert (again.status_code, again.data) == (304, b"")
    (item,) = store.queue.hand_out("ann", 1)
    changed = client.get("/api/status", headers=known)
    assert changed.status_code == 200 and changed.json["progress"]["held"] == 1
    store.queue.label("ann", item.id, "A")
    known = {"If-None-Match": changed.headers["ETag"]}
    assert client.get("/api/status", headers=known).status_code == 200
