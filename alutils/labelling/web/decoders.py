"""Decodes strangers' pictures in processes of their own, which can be killed.

A file can be made so that a decoder takes minutes, gigabytes, or the whole process with it. Here
such a file is refused with a sentence, and everything else goes on meanwhile.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from alutils.base import lifeline
from alutils.labelling.store.names import display_name
from alutils.labelling.store.records import UnavailableError
from alutils.labelling.web import decoder_work
from alutils.labelling.web.pictures import Picture, PictureError

AT_ONCE = 2
"""Processes. A picture of the most pixels needs a gigabyte where it is transparent."""
MOST_WAITING = 12
"""Requests that may wait for a process: each keeps a thread of the web server from others."""
_AHEAD, _AHEAD_BYTES = 8, 2**14  # jobs sent before their answers; less than a pipe holds
_LOOK_S = 0.1  # between two looks at the time that is left
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None  # what a process ends with that had its time


@dataclass(frozen=True)
class Limits:
    """What one picture may take."""

    cpu_s: float = 30.0  # of the processor: the largest photograph takes about ten
    wall_s: float = 120.0  # on a clock, which goes on where others take the processor
    memory: int = 2**31  # bytes


class BusyError(UnavailableError):
    """Too many pictures wait to be read."""


@dataclass
class _Job:
    """What a process is asked: see `alutils.labelling.web.decoder_work.answer`."""

    about: dict[str, Any]
    content: bytes = b""
    tries: int = 0  # processes that were started with it as their first


class _Worker:
    """A process; it is started with its first job, and again after it was ended."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._due: float | None = None  # when it must have answered, on the monotonic clock
        self._jobs: deque[_Job] = deque()  # those that are not answered

    @property
    def n_jobs(self) -> int:
        """How many jobs are not answered."""
        return len(self._jobs)

    def has_room(self, job: _Job) -> bool:
        """Whether one more job can be sent without waiting for the process to read it."""
        n_bytes = sum(len(repr(each.about)) for each in (job, *self._jobs))
        return not self._jobs or (len(self._jobs) < _AHEAD and n_bytes <= _AHEAD_BYTES)

    def send(self, job: _Job) -> None:
        """Send a job."""
        self._jobs.append(job)
        has_ended = self._process is None or self._process.poll() is not None
        if has_ended and len(self._jobs) == 1:
            self._start()
        elif not has_ended:
            self._write(job)
        # Else its answers are read first, and then it is started with the jobs that are left.

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the answer to the first job; a refusal where the process ended over it.

        A process that something else has ended, as a system without memory does, gets the job once
        more.
        """
        while True:
            try:
                self._due = time.monotonic() + self._limits.wall_s
                answer = decoder_work.receive(self._pipe("stdout"))
            except (EOFError, OSError, ValueError):
                first = self._jobs[0]
                if self._end() or first.tries > 1:
                    self._jobs.popleft()
                    answer = _too_costly(first.about)
                if self._jobs:
                    self._start()
                if not self._jobs or self._jobs[0] is not first:
                    return answer
            else:
                self._due = None
                self._jobs.popleft()
                return answer

    def _start(self) -> None:
        """Start the process, with all jobs that are not answered."""
        self._end()
        limits = [str(self._limits.cpu_s), str(self._limits.memory)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", decoder_work.__name__, *limits],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=lifeline.environment(),
            **lifeline.own_group(),
        )  # fmt: skip
        threading.Thread(
            target=_watch, args=(weakref.ref(self), self._process), daemon=True,
            name="decoder's time",
        ).start()  # fmt: skip
        weakref.finalize(self, _end_process, self._process)
        self._jobs[0].tries += 1
        self._due = time.monotonic() + self._limits.wall_s
        for job in self._jobs:
            self._write(job)

    def _write(self, job: _Job) -> None:
        try:
            decoder_work.send(self._pipe("stdin"), job.about, job.content)
        except (EOFError, OSError):  # it is gone, which `receive` finds
            return

    def _pipe(self, name: str) -> Any:
        if self._process is None:
            raise EOFError("it is gone")
        return getattr(self._process, name)

    def _end(self) -> bool:
        """End the process, whatever it is doing; returns whether it had come to a limit."""
        process, self._process = self._process, None
        late, self._due = self.is_late, None
        if process is None:
            return False
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        return late or code == _OUT_OF_TIME

    def kill(self) -> None:
        """End the process and forget its jobs."""
        self._end()
        self._jobs.clear()

    @property
    def is_late(self) -> bool:
        """Whether it should have answered by now."""
        due = self._due
        return due is not None and time.monotonic() > due


class Decoders:
    """Decodes pictures in a few processes; safe to use from many threads.

    They start when they are needed, and end with `close`, with this object, or with the program.

    Parameters
    ----------
    at_once : processes
    limits : of one picture
    most_waiting : requests that may wait; not counted is who reads many, by `read_all`
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        limits: Limits | None = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._workers = [_Worker(limits or Limits()) for _ in range(at_once)]
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._line = threading.BoundedSemaphore(most_waiting)

    def decode(self, data: bytes, name: str) -> Picture:
        """Decode bytes that were sent, as `alutils.labelling.web.pictures.decode` does.

        Raises
        ------
        PictureError
            If it is no picture that is taken, or takes more than its `Limits`.
        BusyError
            If too many wait.
        """
        with self._turn() as worker:
            job = _Job({"do": "decode", "name": display_name(name)}, data)
            return decoder_work.as_picture(*_answered(worker, job))

    def small(self, path: Path, side: int) -> bytes:
        """Return a stored picture as a PNG of at most so many pixels a side; raises as `decode`."""
        with self._turn() as worker:
            job = _Job({"do": "small", "path": str(path), "side": side})
            about, png = _answered(worker, job)
        if "problem" in about:
            raise PictureError(about["name"], about["problem"], about["hint"])
        return png

    def read(self, path: Path) -> Picture:
        """Read a picture's file, as `alutils.labelling.web.pictures.read` does.

        PictureError as `decode`.
        """
        (picture,) = self.read_all([path])
        if isinstance(picture, PictureError):
            raise picture
        return picture

    def decoded_hash(self, path: Path) -> str:
        """Return the hash under which a picture's file would be kept, '' if it cannot be taken."""
        try:
            return self.read(path).sha256
        except PictureError:
            return ""

    def read_all(self, paths: Iterable[Path]) -> Generator[Picture | PictureError]:
        """Read many files, ahead of what is done with them; gives pictures and refusals in order.

        The iterator holds one of the processes until it ends or is closed.
        """
        with self._worker() as worker, closing(_read_all(worker, paths)) as found:
            yield from found

    def close(self) -> None:
        """End the processes; nobody may be waiting for one."""
        for worker in self._workers:
            worker.kill()

    @contextmanager
    def _turn(self) -> Iterator[_Worker]:
        if not self._line.acquire(blocking=False):
            raise BusyError("too many pictures are being read now; try again in a moment")
        try:
            with self._worker() as worker:
                yield worker
        finally:
            self._line.release()

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        worker = self._free.get()
        try:
            yield worker
        finally:
            self._free.put(worker)


def _answered(worker: _Worker, job: _Job) -> tuple[dict[str, Any], bytes]:
    worker.send(job)
    return worker.receive()


def _read_all(worker: _Worker, paths: Iterable[Path]) -> Generator[Picture | PictureError]:
    def next_one() -> Picture | PictureError:
        try:
            return decoder_work.as_picture(*worker.receive())
        except PictureError as error:
            return error

    try:
        for path in paths:
            job = _Job({"do": "read", "path": str(path)})
            while not worker.has_room(job):
                yield next_one()
            worker.send(job)
        while worker.n_jobs:
            yield next_one()
    finally:
        if worker.n_jobs:  # nobody wants to know
            worker.kill()


def _too_costly(about: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the answer that stands for the one that did not come."""
    name = about.get("name") or Path(about["path"]).name
    problem = "would take too much time or memory to read"
    return {"name": name, "problem": problem, "hint": "open it and save it again as PNG"}, b""


def _watch(worker: weakref.ref[_Worker], process: subprocess.Popen[bytes]) -> None:
    """Kill a process that is late."""
    while process.poll() is None:
        found = worker()
        if found is not None and found.is_late:
            process.kill()
        del found
        time.sleep(_LOOK_S)


def _end_process(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:  # what was still to be written to it has nobody to read it
        return
