"""The labelling tool under load: clients label through its web server while its models learn.

``python -m benchmarks.labelling`` starts ``python -m alutils label`` on a folder of rendered
letters, waits for its first model and until the strong learners train beside it, and lets several
clients label all of them, as fast as they get answers or at a pace (``--pace``, labels a second for
each; people give one or two). Every answer is checked. A client knows no more than a page does. The
same load on a page that does nothing but write a row is what the web server and the disk cost
alone. A retrain of the quick learner is measured beside scikit-learn's on the same features.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import multiprocessing
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from alutils.data.rendering import rendered_dataset
from alutils.labelling.model.at_work import AtWork, Labelled
from alutils.labelling.store.records import Model
from alutils.labelling.store.store import Store
from benchmarks.timing import Row, report, seconds

N_ITEMS, N_CLIENTS, FIRST = 10_000, 4, 120
RETRAINED = 1_000
"""Labels at which the quick learner is trained again."""
TINY = 60, 2, False
"""Pictures, clients and whether there is a model, in a smoke run."""
_HELD = 10  # pictures that a client fetches ahead, as the page does
_POLL_S = 4.0  # between two questions of a page for the status
_WAIT_S = 1_800


class Client:
    """A person at a browser: one connection, one cookie."""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._cookie = self._token = self._etag = ""
        form = {"name": name, "csrf_token": self._csrf(), "next": "/"}
        status, _ = self._send("POST", "/who", urlencode(form), "application/x-www-form-urlencoded")
        if status != 302:
            raise RuntimeError(f"{name} could not sign in: {status}")
        self._token = self._csrf()

    def _csrf(self) -> str:
        _, page = self._send("GET", "/who")
        return re.search(rb'name="csrf-token" content="([^"]+)"', page)[1].decode()

    def _send(
        self,
        method: str,
        path: str,
        body: str | None = None,
        kind: str = "application/json",
        known: str = "",
    ) -> tuple[int, bytes]:
        headers = {"Cookie": self._cookie, "X-CSRFToken": self._token, "If-None-Match": known}
        if body is not None:
            headers["Content-Type"] = kind
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        self._etag = answer.getheader("ETag", "")
        if cookie := answer.getheader("Set-Cookie"):
            self._cookie = cookie.split(";")[0]
        return answer.status, answer.read()

    def ask(self, action: str, **request: Any) -> dict[str, Any]:
        """Do one of the queue's actions; an answer other than 200 is an error."""
        status, text = self._send("POST", f"/api/{action}", json.dumps(request))
        if status != 200:
            raise RuntimeError(f"{action} {request}: {status} {text[:200]!r}")
        return json.loads(text)

    def look(self) -> int:
        """Ask for the status as a browser does, which keeps the last answer; return 200 or 304."""
        status, text = self._send("GET", "/api/status", known=self._etag)
        if status not in (200, 304):
            raise RuntimeError(f"status: {status} {text[:200]!r}")
        return status


@dataclass
class Load:
    """What clients saw: seconds of their requests, the pictures they labelled, what went wrong."""

    status_s: list[float] = field(default_factory=list)

    label_s: list[float] = field(default_factory=list)
    next_s: list[float] = field(default_factory=list)
    labelled: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def work(client: Client, seen: Load, most: int | None = None, pace: float | None = None) -> None:
    """Label until nothing is left, or so many pictures; the first letter of a name is its class."""
    n, due = 0, time.perf_counter()
    try:
        while most is None or n < most:
            start = time.perf_counter()
            items = client.ask("next", n=_HELD)["items"]
            seen.next_s.append(time.perf_counter() - start)
            if not items:
                return
            for item in items[: None if most is None else most - n]:
                if pace is not None:
                    due = max(due + 1 / pace, time.perf_counter())
                    time.sleep(max(0.0, due - time.perf_counter()))
                start = time.perf_counter()
                request = {"item": item["id"], "label": item["name"][0], "key": uuid.uuid4().hex}
                client.ask("label", **request)
                seen.label_s.append(time.perf_counter() - start)
                seen.labelled.append(item["id"])
                n += 1
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        seen.errors.append(str(error))


def watch(client: Client, seen: Load, is_over: threading.Event) -> None:
    """Ask for the status every few seconds, as each page does, until it is over."""
    try:
        while not is_over.wait(_POLL_S):
            start = time.perf_counter()
            client.look()
            seen.status_s.append(time.perf_counter() - start)
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        seen.errors.append(str(error))


def write_letters(folder: Path, n: int) -> None:
    """Write rendered letters as files whose names begin with their class."""
    letters = rendered_dataset(n, 0)
    order = np.random.default_rng(0).permutation(n)
    for number, i in enumerate(tqdm(order, "letters", leave=False)):
        name = f"{letters.classes[letters.labels[i]]}-{number:05d}.png"
        Image.fromarray(letters.images[i]).save(folder / name)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run the real command; gives its address and its process."""
    command = [sys.executable, "-m", "alutils", "label", str(folder), "--port", "0", *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise RuntimeError(f"the tool ended with {process.wait()} before it listened")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield found[0], psutil.Process(process.pid)
    finally:
        process.terminate()  # not Ctrl-C's signal: what a shell starts with "&" ignores that one
        process.wait(60)


def wait_for(what: str, url: str, is_there: Any) -> dict[str, Any]:
    """Ask for the status until it is as wanted."""
    client, end = Client(url, "benchmark"), time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        status = client.ask("status")
        if is_there(status):
            return status
        time.sleep(0.5)
    raise RuntimeError(f"{what}: not there after {_WAIT_S} s: {status}")


def rank_s(folder: Path, repeats: int) -> float:
    """Seconds to write new scores of all pictures, which is the queue's new order; the best."""
    rng = np.random.default_rng(0)
    with Store.open(folder) as store:
        items = store.reader.snapshot()["id"]
        classes = tuple(c.name for c in store.classes.all())
        times = []
        for k in range(repeats):
            model = Model(f"{k:064x}", classes, 0, "", "")
            predicted = rng.integers(0, len(classes), len(items))
            confidence = rng.random(len(items))
            times.append(
                seconds(
                    lambda m=model, p=predicted, c=confidence: store.models.set_scores(
                        m, items, p, c
                    )
                )
            )
    return min(times)


def sync_s(folder: Path, repeats: int = 50) -> float:
    """Seconds, median, of one write that is on the disk: a label cannot take less."""
    with (folder / "sync.tmp").open("wb") as file:

        def write() -> None:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

        times = [seconds(write) for _ in range(repeats)]
    (folder / "sync.tmp").unlink()
    return float(np.median(times))


def bare_database(path: Path) -> sqlite3.Connection:
    """Open a database that is as sure of what is written as the tool's."""
    database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    return database


def bare_server(path: Path, pipe: Any) -> None:
    """Serve a page that writes a row, and nothing else; tell its port through the pipe."""
    import flask
    from waitress import create_server

    app, lock = flask.Flask("bare"), threading.Lock()
    database = bare_database(path)
    database.execute("CREATE TABLE labels (item INTEGER, label TEXT)")

    @app.post("/label")
    def label() -> dict[str, Any]:
        request = flask.request.get_json()
        with lock:
            database.execute("INSERT INTO labels VALUES (:item, :label)", request)
        return {}

    server = create_server(app, host="127.0.0.1", port=0, threads=8)
    pipe.send(server.effective_port)
    server.run()


def bare_label_s(folder: Path, clients: int, n: int) -> float:
    """Seconds, 95th percentile, of a label request where a row is all that is written."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=bare_server, args=(folder / "bare.sqlite", theirs), daemon=True)
    server.start()
    theirs.close()  # so that a server that ends before it listens is noticed
    port, took = ours.recv(), []

    def ask() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for item in range(n // clients):
                body = json.dumps({"item": item, "label": "A"})
                start = time.perf_counter()
                connection.request("POST", "/label", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    took.append(time.perf_counter() - start)

    try:
        at_once([threading.Thread(target=ask) for _ in range(clients)])
    finally:
        server.terminate()
        server.join(60)
    with closing(bare_database(folder / "bare.sqlite")) as database:
        (written,) = database.execute("SELECT count(*) FROM labels").fetchone()
    if not len(took) == written == n // clients * clients:
        raise RuntimeError(f"the bare page wrote {written} rows, answered {len(took)}, of {n}")
    return float(np.quantile(took, 0.95))


def bare_order_s(folder: Path, n: int, repeats: int) -> float:
    """Seconds, the best, of writing two numbers in each of n rows, and nothing else."""
    rng, times = np.random.default_rng(0), []
    with closing(bare_database(folder / "order.sqlite")) as database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, predicted, confidence)")
        database.executemany("INSERT INTO items VALUES (?, 0, 0)", [(i,) for i in range(n)])
        for _ in range(repeats):
            rows = list(
                zip(rng.integers(0, 26, n).tolist(), rng.random(n).tolist(), range(n), strict=True)
            )

            def write(rows: list[tuple[int, float, int]] = rows) -> None:
                database.execute("BEGIN IMMEDIATE")
                database.executemany(
                    "UPDATE items SET predicted = ?, confidence = ? WHERE id = ?", rows
                )
                database.execute("COMMIT")

            times.append(seconds(write))
    return min(times)


def retrain_s(n_pictures: int, n_labels: int) -> tuple[float, float]:
    """Seconds of a retrain, and of scikit-learn's softmax regression trained and applied once.

    Ours is the training, the choice of who is at work out of fold, and the scores of all pictures.
    The features are the pixels of rendered letters, as many numbers as VGG16's block3 and 4 have.
    """
    from sklearn.linear_model import LogisticRegression

    letters = rendered_dataset(n_pictures, 0)
    x = letters.images.reshape(n_pictures, -1).astype(np.float32) / 255
    y = letters.labels[:n_labels].astype(np.int64)
    sha256 = [hashlib.sha256(row.tobytes()).hexdigest() for row in x]
    labelled = Labelled(
        np.arange(n_labels), sha256[:n_labels], x[:n_labels], y, list(letters.classes)
    )

    def ours() -> None:
        at_work = AtWork()
        at_work.train(labelled, None)
        at_work.choose(labelled)
        at_work.probabilities(sha256, x)

    def theirs() -> None:
        LogisticRegression(max_iter=1000).fit(x[:n_labels], y).predict_proba(x)

    return min(seconds(ours) for _ in range(3)), seconds(theirs)


def at_once(threads: list[threading.Thread]) -> None:
    """Start threads, and wait for all of them."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(
    repeats: int = 3,
    smoke: bool = False,
    *,
    n: int = N_ITEMS,
    clients: int = N_CLIENTS,
    with_model: bool = True,
    pace: float | None = None,
) -> list[Row]:
    """Run it once; ``repeats`` is for the new order.

    Parameters
    ----------
    repeats : how often a new order is written
    smoke : a few pictures, two clients, no model
    n, clients : pictures, and clients that label them
    with_model : whether the tool learns meanwhile
    pace : labels a second of each client; None: as fast as they are answered

    Raises
    ------
    RuntimeError
        For any request that failed, and any picture that two clients labelled.
    """
    if smoke:
        n, clients, with_model = TINY
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory() as bare:
        folder = Path(temporary)
        write_letters(folder, n)
        floor = sync_s(Path(bare))
        bare_label = bare_label_s(Path(bare), clients, n)
        bare_order = bare_order_s(Path(bare), n, repeats)
        # No picture is asked of two people: so one that is labelled twice was handed out twice.
        options = ["--twice", "0", *([] if with_model else ["--no-model"])]
        letters = ",".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        start = time.perf_counter()
        with serving(folder, "--classes", letters, *options) as (url, process):
            wait_for("pictures", url, lambda s: s["progress"]["total"] == n)
            taken_s = time.perf_counter() - start
            work(Client(url, "first"), first := Load(), min(FIRST, n // 2))
            if with_model:
                wait_for("model", url, lambda s: s["model"]["model"])
                wait_for("strong learners", url, lambda s: s["model"]["beside"])
            before = process.memory_info().rss
            loads = [Load() for _ in range(clients)]
            people = [Client(url, f"client {k}") for k in range(clients)]
            threads = [
                threading.Thread(target=work, args=(person, seen, None, pace))
                for person, seen in zip(people, loads, strict=True)
            ]
            is_over = threading.Event()
            pages = [
                threading.Thread(target=watch, args=(Client(url, f"client {k}"), seen, is_over))
                for k, seen in enumerate(loads)
            ]
            for page in pages:
                page.start()
            used = sum(process.cpu_times()[:2])
            wall = seconds(lambda: at_once(threads))
            used = sum(process.cpu_times()[:2]) - used
            is_over.set()
            for page in pages:
                page.join()
            after = process.memory_info().rss
            status = wait_for("end", url, lambda s: True)
            beside = "strong learners trained beside from the first label to the last"
            if not (with_model and status["model"]["beside"]):
                beside = "strong learners trained beside at the beginning"
        rank = rank_s(folder, repeats)
    counts = Counter(i for part in (first, *loads) for i in part.labelled)
    errors = [error for part in (first, *loads) for error in part.errors]
    twice = sum(count > 1 for count in counts.values())
    if errors or twice or len(counts) != n or status["progress"]["human"] != n:
        raise RuntimeError(
            f"{len(errors)} errors ({errors[:3]}), {twice} pictures labelled twice, {len(counts)} "
            f"of {n} labelled, {status['progress']['human']} in the database"
        )
    label_s = np.concatenate([part.label_s for part in loads])
    next_s = np.concatenate([part.next_s for part in loads])
    status_s = np.concatenate([part.status_s for part in loads])
    asked = ""
    if len(status_s):
        late = np.quantile(status_s, 0.95) * 1e3
        asked = f"the status, asked {len(status_s)} times meanwhile, 95% {late:.0f} ms; "
    note = (
        f"{clients} clients {'flat out' if pace is None else f'at {pace:g} a second'}, "
        f"{len(label_s):,} labels in {wall:.0f} s, no error, none twice; median "
        f"{np.median(label_s) * 1e3:.1f}, largest {label_s.max() * 1e3:.0f} ms; next pictures 95% "
        f"{np.quantile(next_s, 0.95) * 1e3:.0f} ms; {asked}{used / len(label_s) * 1e3:.1f} ms of "
        f"processor a label, learning included; memory {before / 2**20:.0f} MiB before, "
        f"{after / 2**20:.0f} after; {n / taken_s:.0f} pictures a second taken in; "
        f"{f'model learning meanwhile; {beside}' if with_model else 'without a model'}"
    )
    kind = ("" if with_model else "_no_model") + ("" if pace is None else "_paced")
    cpu = psutil.cpu_count() or 1
    note += f"; {psutil.getloadavg()[0]:.1f} processes wanted {cpu} processors at the end"
    p95 = float(np.quantile(label_s, 0.95))
    what = f"a label request among {n:,} pictures, 95th percentile, beside a page that writes a row"
    order = f"new scores and order of {n:,} pictures, written, beside plain rows of a database"
    one = "one transaction; the order is made with the scores, and both are checked"
    n_labels = min(RETRAINED, n // 2)
    ours, theirs = retrain_s(n, n_labels)
    retrain = (
        f"a retrain at {n_labels:,} labels of {n:,} pictures, out-of-fold choice and scores "
        "included, beside scikit-learn's LogisticRegression trained and applied once"
    )
    return [
        Row(
            "labelling_retrain",
            retrain,
            theirs,
            ours,
            0,
            0,
            0.0,
            "four trainings of ours, on one thread so that people have the others",
        ),
        Row(f"labelling_label{kind}", what, bare_label, p95, 0, 0, floor, note),
        Row(f"labelling_order{kind}", order, bare_order, rank, 0, 0, floor, one),
    ]


def main() -> None:
    """Run it and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labelling", description=__doc__)
    parser.add_argument("--items", type=int, default=N_ITEMS)
    parser.add_argument("--clients", type=int, default=N_CLIENTS)
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--pace", type=float, metavar="A_SECOND")
    options = parser.parse_args()
    rows = measure(
        n=options.items,
        clients=options.clients,
        with_model=not options.no_model,
        pace=options.pace,
    )
    print(report(rows))
    for row in rows:
        print(f"{row.benchmark}: {row.note}")


if __name__ == "__main__":
    main()
