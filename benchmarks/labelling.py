"""The labelling tool under load: clients label through its web server while its model learns.

``python -m benchmarks.labelling`` starts ``python -m alutils label`` on a folder of rendered
letters, waits for its first model, and lets several clients label all of them, as fast as they get
answers or at a pace (``--pace``, labels a second for each; people give one or two). Every answer is
checked. A client knows no more than a page does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from alutils.data.loading import load
from alutils.labelling.store.records import Model
from alutils.labelling.store.store import Store
from benchmarks.timing import Row, report, seconds

N_ITEMS, N_CLIENTS, FIRST = 10_000, 4, 60
LABEL_BAR_S, RANK_BAR_S = 0.05, 1.0
_HELD = 10  # pictures that a client fetches ahead, as the page does
_WAIT_S = 1_800


class Client:
    """A person at a browser: one connection, one cookie."""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._cookie = self._token = ""
        form = {"name": name, "csrf_token": self._csrf(), "next": "/"}
        status, _ = self._send("POST", "/who", urlencode(form), "application/x-www-form-urlencoded")
        if status != 302:
            raise RuntimeError(f"{name} could not sign in: {status}")
        self._token = self._csrf()

    def _csrf(self) -> str:
        _, page = self._send("GET", "/who")
        return re.search(rb'name="csrf-token" content="([^"]+)"', page)[1].decode()

    def _send(
        self, method: str, path: str, body: str | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        headers = {"Cookie": self._cookie, "X-CSRFToken": self._token}
        if body is not None:
            headers["Content-Type"] = kind
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        if cookie := answer.getheader("Set-Cookie"):
            self._cookie = cookie.split(";")[0]
        return answer.status, answer.read()

    def ask(self, action: str, **request: Any) -> dict[str, Any]:
        """Do one of the queue's actions; an answer other than 200 is an error."""
        status, text = self._send("POST", f"/api/{action}", json.dumps(request))
        if status != 200:
            raise RuntimeError(f"{action} {request}: {status} {text[:200]!r}")
        return json.loads(text)


@dataclass
class Load:
    """What clients saw: seconds of their requests, the pictures they labelled, what went wrong."""

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


def write_letters(folder: Path, n: int) -> None:
    """Write rendered letters as files whose names begin with their class."""
    letters = load("rendered")
    chosen = np.random.default_rng(0).choice(len(letters), n, replace=False)
    for number, i in enumerate(tqdm(chosen, "letters", leave=False)):
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
        process.send_signal(signal.SIGINT)
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


def measure(
    repeats: int = 3,
    *,
    n: int = N_ITEMS,
    clients: int = N_CLIENTS,
    with_model: bool = True,
    pace: float | None = None,
) -> list[Row]:
    """Run it once; ``repeats`` is for the new order.

    Raises
    ------
    RuntimeError
        For any request that failed, and any picture that two clients labelled.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_letters(folder, n)
        floor = sync_s(folder)
        options = [] if with_model else ["--no-model"]
        letters = ",".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        start = time.perf_counter()
        with serving(folder, "--classes", letters, *options) as (url, process):
            wait_for("pictures", url, lambda s: s["progress"]["total"] == n)
            taken_s = time.perf_counter() - start
            work(Client(url, "first"), first := Load(), FIRST)
            if with_model:
                wait_for("model", url, lambda s: s["model"]["model"])
            before = process.memory_info().rss
            loads = [Load() for _ in range(clients)]
            people = [Client(url, f"client {k}") for k in range(clients)]
            threads = [
                threading.Thread(target=work, args=(person, seen, None, pace))
                for person, seen in zip(people, loads, strict=True)
            ]
            wall = seconds(lambda: [[t.start() for t in threads], [t.join() for t in threads]])
            after = process.memory_info().rss
            status = wait_for("end", url, lambda s: True)
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
    note = (
        f"{clients} clients {'flat out' if pace is None else f'at {pace:g} a second'}, "
        f"{len(label_s):,} labels in {wall:.0f} s, no error, none twice; median "
        f"{np.median(label_s) * 1e3:.1f}, largest {label_s.max() * 1e3:.0f} ms; next pictures 95% "
        f"{np.quantile(next_s, 0.95) * 1e3:.0f} ms; memory {before / 2**20:.0f} MiB before, "
        f"{after / 2**20:.0f} after; {n / taken_s:.0f} pictures a second taken in; "
        f"{'model learning meanwhile' if with_model else 'without a model'}"
    )
    kind = ("" if with_model else "_no_model") + ("" if pace is None else "_paced")
    cpu = psutil.cpu_count() or 1
    note += f"; {psutil.getloadavg()[0]:.1f} processes wanted {cpu} processors at the end"
    p95 = float(np.quantile(label_s, 0.95))
    what = f"a label request among {n:,} pictures, 95th percentile, beside 50 ms"
    order = f"new scores and order of {n:,} pictures, written, beside 1 s"
    return [
        Row(f"labelling_label{kind}", what, LABEL_BAR_S, p95, 1, 0, floor, note),
        Row(f"labelling_order{kind}", order, RANK_BAR_S, rank, 1, 0, floor, "one transaction"),
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
