"""Killed at every point of writing and at random times, the labelling store loses nothing.

This file is also the program that is killed: ``python test_crash.py`` reads what to do from
its input, forks for each line, and says how the child ended. Forking saves the imports.
"""

import hashlib
import json
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from label_helpers import auto_label

from alutils.data.class_names import NAMES, read_names
from alutils.labelling.store.names import file_name
from alutils.labelling.store.records import ConflictError, Model
from alutils.labelling.store.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL and no fork"),
]
CLASSES = ["A", "b", "c/d"]
FOREIGN = b"somebody put this here"


def png(i):
    """Make a small valid PNG file, another one for each number."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + i.to_bytes(4, "big")))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def add(store, i, say):
    data = png(i)
    sha256 = hashlib.sha256(data).hexdigest()
    store.pictures.add(data, sha256, f"{i}.png", 4, 1)
    say({"picture": i, "sha256": sha256})


def read(path):
    """Return what was acknowledged; a line that the kill cut is none."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


# --- the program that is killed -------------------------------------------------------------------


def session(folder, step, say):
    """Do everything that writes once, saying each thing when it is acknowledged."""

    def events(found):
        for event in found if isinstance(found, list) else [found]:
            say({"event": event.id, "item": event.item, "kind": event.kind, "label": event.label})

    def undone(items):
        say({"undone": [item.id for item in items], "labels": [item.label for item in items]})

    with Store.open(folder, CLASSES, seed=1, step=step) as store:
        store.reconcile()
        for i in range(8):
            add(store, i, say)
        add(store, 0, say)
        held = [item.id for item in store.queue.hand_out("ann", 4)]
        events(store.queue.label("ann", held[0], "A", "1"))
        events(store.queue.label("ann", held[0], "A", "1"))
        events(store.queue.label("ann", held[1], "b"))
        events(store.queue.skip("ann", held[2]))
        undone(store.queue.undo("ann"))
        undone(store.queue.undo("ann", "2"))
        events(store.queue.relabel("ann", [held[0], held[3]], "c/d"))
        undone(store.queue.undo("ann"))
        scores = np.linspace(0.5, 1, 8)
        model = Model("f" * 64, tuple(CLASSES), 2, "", "")
        store.models.set_scores(model, np.arange(1, 9), np.arange(8) % 3, scores)
        store.queue.release("ann")
        auto_label(store, 0.6)
        say({"auto": [item.id for item in store.reader.page(limit=100).items if item.label]})
        store.models.revoke("ann")
        model = Model("e" * 64, tuple(CLASSES), 3, "", "")  # what was taken back waits for another
        store.models.set_scores(model, np.arange(1, 9), np.arange(8) % 3, scores)
        auto_label(store, 0.8)
        store.readings.ask("turned", {"after": 3})
        store.readings.decide("ann", "background", "invert-where-needed", ground="dark")
        say({"decided": "background"})
        # Strangers at work, so that reconcile has something to mend.
        root = store.files.root
        labelled = [item for item in store.reader.page(limit=100).items if item.label]
        (root / "classes" / "A").mkdir(exist_ok=True)
        (root / "classes" / "A" / "note.txt").write_bytes(FOREIGN)
        (root / "images" / "note.txt").write_bytes(FOREIGN)
        (root / "classes" / "A" / "copy.png").write_bytes(png(1))
        say({"foreign": 2})
        folders = {c.name: c.folder for c in store.classes.all()}
        for item in labelled[:2]:
            name = file_name(item.name, item.id)
            (root / "classes" / folders[item.label] / name).unlink(missing_ok=True)
        store.files.picture(labelled[-1].sha256).unlink()  # its link brings it back
        store.reconcile()


def load(folder, say, seed):
    """Label, skip, undo, score and add with six threads until the process is killed."""
    # No second questions: one whose label is taken back meanwhile is a conflict, and none is here.
    store = Store.open(folder, CLASSES, seed=seed, twice=0)
    store.reconcile()
    if seed == 1:
        for i in range(40):
            add(store, i, say)

    say({"ready": seed})

    def person(name, rng):
        while True:
            for item in store.queue.hand_out(name, 3):
                if rng.random() < 0.15:
                    event = store.queue.skip(name, item.id)
                else:
                    event = store.queue.label(name, item.id, rng.choice(CLASSES))
                say({"event": event.id, "item": event.item, "kind": event.kind,
                     "label": event.label})  # fmt: skip
            if rng.random() < 0.4:
                items = store.queue.undo(name)
                say({"undone": [i.id for i in items], "labels": [i.label for i in items]})

    def bring(first):
        for i in range(first, first + 10**6):
            add(store, i, say)

    def review(rng):
        while True:
            items = [item for item in store.reader.page(limit=50).items if item.label]
            for item in rng.sample(items, min(3, len(items))):
                try:
                    (event,) = store.queue.relabel("reviewer", [item.id], rng.choice(CLASSES))
                except ConflictError:  # taken back and held by its labeller in the meantime
                    continue
                say({"event": event.id, "item": event.item, "kind": event.kind,
                     "label": event.label})  # fmt: skip

    def model(rng):
        for number in range(10**6):
            now = store.reader.snapshot()
            head = Model(f"{seed}-{number}", tuple(CLASSES), 0, "", "")
            scores = rng.random(len(now["id"]))
            store.models.set_scores(head, now["id"], rng.integers(0, 3, len(scores)), scores)
            n = auto_label(store, 0.9)
            say({"auto": n, "taken back": store.models.revoke("reviewer")})
            auto_label(store, 0.99)
            time.sleep(0.02)

    jobs = [lambda n=n: person(f"p{n}", random.Random(seed * 10 + n)) for n in range(3)]
    jobs += [lambda: bring(1000 * seed + 100), lambda: review(random.Random(seed))]
    jobs.append(lambda: model(np.random.default_rng(seed)))

    def run(job):
        try:
            job()
        except BaseException:
            say({"failed": traceback.format_exc()})

    for job in jobs:
        threading.Thread(target=run, args=(job,)).start()


def child(order):
    """Work until the end, or until killed by itself at a step or by the parent."""
    out = os.open(order["acknowledged"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(out, b"\n")  # else the first line would go on with one that the last kill cut
    n = 0

    def step(name):
        nonlocal n
        n += 1
        if n == order.get("at"):
            os.write(out, (json.dumps({"killed at": name}) + "\n").encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def say(what):
        os.write(out, (json.dumps(what) + "\n").encode())

    if "seed" in order:
        load(Path(order["folder"]), say, order["seed"])
    else:
        session(Path(order["folder"]), step, say)


def is_at_work(path, seed):
    """Tell whether the child has had ten labels and skips acknowledged, or has failed."""
    lines = read(Path(path))
    since = lines[lines.index({"ready": seed}) :] if {"ready": seed} in lines else []
    return sum("event" in line for line in since) >= 10 or any("failed" in line for line in lines)


def serve():
    """Fork for each order on the input; answer with how the child ended."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            try:
                child(order)
                for thread in threading.enumerate():
                    if thread is not threading.current_thread():
                        thread.join()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        if "after" in order:
            while order["at_work"] and not is_at_work(order["acknowledged"], order["seed"]):
                time.sleep(0.005)
            time.sleep(order["after"])
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


# --- the tests ------------------------------------------------------------------------------------


class Server:
    """The program of this file, ready to fork."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )

    def run(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def disk():
    """Make a folder, in memory where that can be: a kill is no power cut, and syncs cost time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.process.stdin.close()
    running.process.wait(120)
    running.process.stdout.close()


def check(folder, said, in_flight):
    """Compare a reconciled project with what was acknowledged before the process was killed.

    Parameters
    ----------
    folder : of the project
    said : the lines that the process wrote
    in_flight : how many requests may have been done without being acknowledged

    Returns
    -------
    how many events there are
    """
    root = folder / "labelling"
    with closing(sqlite3.connect(root / "labels.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        classes = {r["number"]: r for r in connection.execute("SELECT * FROM classes")}
        items = {r["id"]: r for r in connection.execute("SELECT * FROM items")}
        events = {r["id"]: r for r in connection.execute("SELECT * FROM events ORDER BY id")}
        meta = dict(map(tuple, connection.execute("SELECT name, value FROM meta")))

    # A decision of how pictures are read is whole: with it, what models said before is forgotten.
    decided = json.loads(meta.get("reading", "{}"))
    assert "background" in decided or {"decided": "background"} not in said
    assert not decided or not any(row["predicted"] is not None for row in items.values())
    # No acknowledged label is lost, and the state of each picture is what its events make of it.
    acknowledged = {each["event"]: each for each in said if "event" in each}
    for number, each in acknowledged.items():
        found = events[number]
        assert (found["item"], found["kind"]) == (each["item"], each["kind"])
        assert found["label"] is None or each["label"] == classes[found["label"]]["name"]
    state = dict.fromkeys(items)
    for event in events.values():
        if event["kind"] not in ("skip", "second"):
            state[event["item"]] = event["label"]
    assert state == {number: row["label"] for number, row in items.items()}
    undone = sum(len(each["undone"]) for each in said if "undone" in each)
    assert sum(event["kind"] == "undo" for event in events.values()) >= undone
    by_people = [e for e in events.values() if e["kind"] in ("label", "skip", "relabel")]
    assert len(by_people) <= len(acknowledged) + in_flight

    # No picture is lost, overwritten or doubled.
    hashes = {row["sha256"] for row in items.values()}
    assert {each["sha256"] for each in said if "picture" in each} <= hashes
    files = [path for path in (root / "images").rglob("*") if not path.is_dir()]
    assert len(files) == len(items) == len(hashes)
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        assert path.parent.name == path.stem[:2]
    assert {path.stem for path in files} == hashes

    # The class folders are the database.
    wanted = {
        (classes[row["label"]]["folder"], file_name(row["name"], row["id"])): row["sha256"]
        for row in items.values()
        if row["label"] is not None
    }
    found = {
        (path.parent.name, path.name): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "classes").rglob("*")
        if not path.is_dir() and path != root / "classes" / NAMES
    }
    assert found == wanted
    told = read_names(root / "classes")
    assert {told.get(c["folder"], c["folder"]) for c in classes.values()} == {
        c["name"] for c in classes.values()
    }
    foreign = sum(each.get("foreign", 0) for each in said)
    kept = [p for p in root.rglob("*.txt") if p.read_bytes() == FOREIGN]
    assert len(kept) >= foreign
    assert not list(root.rglob("*.partial")) + list(root.rglob("*.tmp"))
    return len(events)


def mend(folder):
    """Open the project again, as the tool does, mend it, and see that this was enough."""
    with Store.open(folder, CLASSES) as store:
        store.reconcile()
        assert not store.reconcile(check_content=True)


def test_killed_at_every_point_of_writing_nothing_is_lost(server, disk):
    killed_at, sent_again = [], 0
    while True:
        at = len(killed_at) + 1
        folder, said = disk / str(at), disk / f"{at}.said"
        end = server.run(folder=str(folder), acknowledged=str(said), at=at)
        if end != 0:
            assert end == -signal.SIGKILL
        lines = read(said)
        mend(folder)
        n_events = check(folder, lines, in_flight=0 if end == 0 else 2)  # one request relabels two
        if end == 0:
            break
        killed_at.append(lines[-1]["killed at"])
        if n_events == 1:
            send_again(folder)
            sent_again += 1
    print(f"\nkilled at {len(killed_at)} points of {len(set(killed_at))} kinds")
    assert sent_again > 1
    assert {"picture synced", "picture renamed", "event written", "linked", "unlinked",
            "after commit", "scores written", "moved aside"} <= set(killed_at)  # fmt: skip


def send_again(folder):
    """Repeat the session's first label, whose answer may have been lost: it is given once."""
    with Store.open(folder, CLASSES) as store:
        (item,) = (i for i in store.reader.page(limit=100).items if i.label)
        event = store.queue.label("ann", item.id, "A", "1")
        assert [each.id for each in store.reader.events(item.id)] == [event.id]


def random_kills(server, disk, number, draw=5):
    """One project lives through all of it."""
    folder, rng, said = disk / "project", random.Random(draw), disk / "said"
    for seed in range(1, number + 1):
        end = server.run(
            folder=str(folder),
            acknowledged=str(said),
            seed=seed,
            at_work=rng.random() < 0.8,  # else it may be killed while it starts, or mends
            after=rng.uniform(0, 0.3),
        )
        assert end == -signal.SIGKILL
        failed = [line["failed"] for line in read(said) if "failed" in line]
        assert not failed, failed[0]
        mend(folder)
        check(folder, read(said), in_flight=5 * seed)
    events = sum("event" in line for line in read(said))
    print(f"\n{number} kills, {events} acknowledged labels and skips")
    assert events > 5 * number


def test_killed_at_random_times_under_load_nothing_is_lost(server, disk):
    random_kills(server, disk, 30)


@pytest.mark.slow
@pytest.mark.parametrize("draw", range(8))
def test_killed_at_200_random_times_under_load_nothing_is_lost(server, disk, draw):
    random_kills(server, disk, 25, draw)


if __name__ == "__main__":
    serve()
