"""How far a project is, for those who ask every few seconds: counted anew only where it must be."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from alutils.labelling.store.reader import Reader
from alutils.labelling.store.records import Progress

CHEAP_S = 0.005  # of the processor: what costs less is counted whenever something has changed
SHARE = 0.05  # of the processor's time, at most, that counting takes while things change
OLDEST_S = 10.0  # of an answer: the pace changes by itself

_Mark = tuple[int, ...]


class Standing:
    """Gives the progress of a project to many who ask.

    Nothing is counted while nothing has changed. While people label, a small project is counted at
    each question; a large one every second or so, which is soon enough to read.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader, self._lock = reader, threading.Lock()
        self._kept: tuple[_Mark, Progress] | None = None
        self._at = self._cost = 0.0

    def progress(self) -> Progress:
        """Return how far the labelling is; what people hold is always as of now."""
        with self._lock:  # who comes meanwhile has the same answer
            now, mark = time.monotonic(), self._mark()
            age = now - self._at
            is_soon = self._cost > CHEAP_S and age < self._cost / SHARE
            if self._kept is None or age > OLDEST_S or (mark != self._kept[0] and not is_soon):
                start = time.thread_time()
                self._kept = mark, self._reader.progress()
                self._at, self._cost = now, time.thread_time() - start
                return self._kept[1]
            found = self._kept[1]
        return replace(found, held=self._reader.held())

    def _mark(self) -> _Mark:
        """Return numbers of which one differs after each change that is counted."""
        return (*self._reader.position(), self._reader.unreadable())
