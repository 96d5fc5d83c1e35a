"""Locks between processes: each is a file, held until it is released or its process has ended.

By `filelock`: the system's own locks, which end with their process however it ends; where there are
none, a file that names its process, which others clear away when that process is no more.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


class HeldError(RuntimeError):
    """Someone holds the lock: ``own`` if it is this very process, ``holder`` says which it is."""

    def __init__(self, path: Path, own: FileLock | None) -> None:
        self.own, self.holder = own, _process_in(path)
        super().__init__(f"{path}: {self.holder} holds it")


def hold(path: Path) -> FileLock:
    """Take the lock of a file, made if need be, at once or not at all.

    Its folder must be there. The file stays when the lock is released, which any thread may do by
    ``release()``; it is also released when nothing refers to it any more. Processes that are
    started meanwhile do not inherit it. HeldError if another process has it, or this one.
    """
    lock = FileLock(path, thread_local=False, is_singleton=True)  # one object for each file
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not path.exists():  # the system said no, and not another process
            raise OSError(f"{path.parent}: nothing can be written there") from None
        raise HeldError(path, own=None) from None
    if lock.lock_counter > 1:  # this process had it
        lock.release()
        raise HeldError(path, own=lock)
    if _process_in(path) != f"process {os.getpid()}":
        with suppress(PermissionError):  # Windows locks the content, too
            path.write_text(str(os.getpid()), encoding="utf-8")
    return lock


def wait(path: Path, tell: Callable[[], None]) -> AbstractContextManager[object]:
    """Take the lock of a file as soon as it is free; other threads of this process wait, too.

    ``tell`` is called once if there is anybody to wait for.
    """
    lock = FileLock(path)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        tell()
        return lock.acquire()


def _process_in(path: Path) -> str:
    """Return which process the file of a lock names, in words."""
    try:
        number = path.read_text(encoding="utf-8").split("\n")[0]
    except (OSError, UnicodeDecodeError):
        number = ""
    return f"process {number}" if number.isdecimal() else "another process"
