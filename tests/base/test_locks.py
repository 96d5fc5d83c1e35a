"""Locks between processes: refused at once, named, and gone with their process."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from alutils.base import locks

HOLDER = """
import sys, time
from pathlib import Path
from alutils.base import locks
lock = locks.hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Return the path of a lock and the process that holds it."""
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.communicate()


def test_another_process_is_refused_at_once_and_told_who_holds_it_until_that_is_killed(other):
    path, process = other
    with pytest.raises(locks.HeldError, match=f"process {process.pid} holds it") as caught:
        locks.hold(path)
    assert caught.value.own is None
    process.kill()
    process.wait()
    locks.hold(path).release()


def test_this_process_gets_its_own_lock_back_and_any_thread_may_release_it(tmp_path):
    path = tmp_path / "lock"
    lock = locks.hold(path)
    with pytest.raises(locks.HeldError, match=f"process {os.getpid()} holds it") as caught:
        locks.hold(path)
    assert caught.value.own is lock
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    locks.hold(path).release()


@pytest.mark.parametrize("start", ["fork", "command"])
def test_a_child_does_not_keep_the_lock_of_its_parent(start, tmp_path):
    lock, path = locks.hold(tmp_path / "lock"), tmp_path / "lock"
    if start == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    read, write = os.pipe()
    code = "import sys; sys.stdin.read()"
    if start == "command":
        child = subprocess.Popen([sys.executable, "-c", code], stdin=read)
    elif not (child := os.fork()):
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        lock.release()
        locks.hold(path).release()
    finally:
        os.close(write)
        child.wait() if start == "command" else os.waitpid(child, 0)
        os.close(read)


def test_who_waits_is_told_once_and_gets_it_after_the_end_of_the_other(other):
    path, process = other
    told = []

    def tell() -> None:
        told.append(True)
        process.kill()

    with locks.wait(path, tell):
        assert told == [True]
    with locks.wait(path, tell):
        assert told == [True]


def test_threads_wait_for_each_other(tmp_path):
    order, waiting = [], threading.Event()

    def second() -> None:
        with locks.wait(tmp_path / "lock", waiting.set):
            order.append("second")

    with locks.wait(tmp_path / "lock", waiting.set):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


@pytest.mark.skipif(os.name != "posix", reason="/proc and read-only folders are Linux'")
def test_where_nothing_can_be_written_nobody_else_is_blamed():
    with pytest.raises(OSError, match=r"nothing can be written there|Permission|No such file"):
        locks.hold(Path("/proc/there.lock"))
