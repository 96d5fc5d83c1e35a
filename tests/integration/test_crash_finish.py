"""Killed at every point of writing while a project is finished: no answer lost, no false promise.

A forked child works and kills itself at one step after the other; then the project is opened as the
tool opens it, and finished. Whatever certificate there is must be one that `verify` accepts.
"""

import json
import os
import secrets
import signal
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from finish_helpers import CLASSES, FrozenLoop, answer_all, project

from alutils.labelling.finish import certificates, verify
from alutils.labelling.finish.project import Finish
from alutils.labelling.store.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL and no fork"),
]
N = 60


@pytest.fixture
def disk():
    """Make a folder, in memory where that can be: a kill is no power cut, and syncs cost time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def small(folder, n_wrong=1):
    return project(folder, n=N, n_before=12, n_wrong=n_wrong)


def frozen(store, truth, n_wrong=1):
    """Return the model again, as after a restart."""
    waiting = sorted(truth)[12:]
    return FrozenLoop(store, truth, set(waiting[:n_wrong]))


def work(folder, truth, step, say, target):
    """Stop an attempt, make another, answer it with all that can be done to an answer."""
    # The same draws each time, so that each step is met at its number.
    secrets.token_hex = lambda n: f"{1:0{2 * n}x}"
    with Store.open(folder, step=step, seed=0) as store:
        store.reconcile()
        finish = Finish(store, frozen(store, truth))
        if store.plans.open() is None and store.plans.last() is None:
            finish.plan(target, by_hand=6, person="ann")
            say({"plan": 1})
            finish.stop("ann")
            finish.plan(target, by_hand=6, person="ann")
            say({"plan": 2})
        items = finish.next("ann", 4)
        for i, item in enumerate(items):
            if i == 0:
                store.queue.skip("ann", item.id)
                store.queue.undo("ann")
            if i == 1:
                event = store.queue.label("ann", item.id, CLASSES[(truth[item.id] + 1) % 3])
                say({"event": event.id, "item": item.id, "label": event.label})
                store.queue.undo("ann")
            event = finish.answer("ann", item.id, CLASSES[truth[item.id]])
            say({"event": event.id, "item": item.id, "label": event.label})
        while finish.state().phase == "asking":
            for item in finish.next("bob", 3):
                if finish.state().phase == "asking":
                    event = finish.answer("bob", item.id, CLASSES[truth[item.id]])
                    say({"event": event.id, "item": item.id, "label": event.label})


def killed(folder, truth, at, said, target):
    """Run the work in a child that is killed at its at-th step; return how it ended."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    left = [at]

    def say(what):
        os.write(out, (json.dumps(what) + "\n").encode())

    def step(name):
        left[0] -= 1
        if not left[0]:
            say({"killed at": name})
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        work(folder, truth, step, say, target)
    except BaseException:
        os._exit(1)
    os._exit(0)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def check(store, said, truth):
    """Compare what is kept with what was acknowledged, and hold each certificate to its proof."""
    events = {row["id"]: row for row in store.database.connection.execute("SELECT * FROM events")}
    numbers = {name: i for i, name in enumerate(CLASSES)}
    for each in said:
        if "event" in each:
            found = events[each["event"]]
            label = None if each["label"] is None else numbers[each["label"]]
            assert (found["item"], found["label"]) == (each["item"], label)
    plans = store.plans.all()
    assert len(plans) >= max((each["plan"] for each in said if "plan" in each), default=0)
    auto = store.database.connection.execute(
        "SELECT plan, count(*) FROM events WHERE kind = 'auto' GROUP BY plan"
    ).fetchall()
    certified = [plan for plan in plans if plan.state == "certified"]
    # Labels by the model and their certificate come together or not at all.
    assert {row[0] for row in auto} <= {plan.number for plan in certified}
    for plan in certified:
        path = certificates.path(store, plan.number)
        verdict = verify.verify(verify.read(path), store)
        assert verdict.holds, verdict
    return len(certified)


@pytest.mark.parametrize("target", [0.7, 0.97])
def test_killed_at_every_point_of_finishing_no_answer_is_lost_and_no_promise_is_false(disk, target):
    with closing(small(disk / "original")[0]) as store:
        truth = {i.id: None for i in store.reader.page(limit=100).items}
    rng = np.random.default_rng(0)
    truth = dict(zip(sorted(truth), rng.integers(0, 3, N).tolist(), strict=True))
    kinds, at = set(), 0
    while True:
        at += 1
        folder, said = disk / f"{at}", disk / f"{at}.said"
        os.system(f"cp -r {disk / 'original'} {folder}")
        end = killed(folder, truth, at, said, target)
        assert end in (0, -signal.SIGKILL)
        lines = read(said)
        kinds |= {each["killed at"] for each in lines if "killed at" in each}
        with Store.open(folder) as store:
            store.reconcile()
            finish = Finish(store, frozen(store, truth))
            finish.settle()
            check(store, lines, truth)
            last = store.plans.last()
            if last is None or last.state == "stopped":
                finish.plan(target, by_hand=6, person="ann")
            if store.plans.open() is not None:
                store.queue.release("bob")  # who would come back, or wait until it is over
                answer_all(finish, truth)
            check(store, lines, truth)
            assert finish.state().phase in ("certified", "refused")
            assert not store.reconcile(check_content=True)
        os.system(f"rm -r {folder}")
        if end == 0:
            break
    print(f"\nkilled at {at - 1} points of {len(kinds)} kinds")
    assert {"plan written", "pictures of the plan written", "plan begun", "plan ended",
            "event written", "item written", "before commit", "after commit"} <= kinds  # fmt: skip
    if target == 0.7:
        assert {"events written", "items written", "linked"} <= kinds


def test_two_servers_killed_at_random_times_finish_one_project(disk):
    """Two processes answer one attempt and are killed again and again until it is decided."""
    with closing(small(disk / "p")[0]) as store:
        ids = sorted(i.id for i in store.reader.page(limit=100).items)
    rng = np.random.default_rng(0)
    truth = dict(zip(ids, rng.integers(0, 3, N).tolist(), strict=True))
    with Store.open(disk / "p") as store:
        Finish(store, frozen(store, truth)).plan(0.7, by_hand=6, person="ann")
    said = disk / "said"

    def serve(name, at):
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        left = [at]

        def step(_):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        with Store.open(disk / "p", alone=False, step=step, lease_s=0.01) as store:
            finish = Finish(store)
            while finish.state().phase == "asking":
                for item in store.queue.hand_out(name, 2):
                    try:
                        event = finish.answer(name, item.id, CLASSES[truth[item.id]])
                    except ValueError:
                        continue  # the other one was faster
                    line = {"event": event.id, "item": item.id, "label": event.label}
                    os.write(out, (json.dumps(line) + "\n").encode())
                finish.settle()

    for turn in range(400):
        pids = []
        for name in ("ann", "bob"):
            pid = os.fork()
            if not pid:
                try:
                    serve(name, int(np.random.default_rng([turn, len(pids)]).integers(4, 25)))
                except BaseException:
                    os._exit(1)
                os._exit(0)
            pids.append(pid)
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        assert set(ends) <= {0, -signal.SIGKILL}
        if 0 in ends:
            break
    with Store.open(disk / "p") as store:
        store.reconcile()
        Finish(store).settle()
        assert check(store, read(said), truth) + (store.plans.last().state == "refused") == 1
    assert turn >= 2
