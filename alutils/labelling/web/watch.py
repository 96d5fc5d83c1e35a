"""The project's folder: pictures that lie in it or come into it are taken in by themselves."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from alutils.labelling.store.files import FOLDER
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web import pictures
from alutils.labelling.web.pictures import PictureError

_log = logging.getLogger("alutils")

EVERY_S = 2.0
SETTLED_S = 1.0  # a file that was changed since may still be copied
MOST_SHOWN = 200  # refusals in the status

_State = tuple[int, int]  # size in bytes, time of change in nanoseconds


class Watcher:
    """Looks into a folder, and the folders below it, for pictures; every file is read once.

    Hidden files and folders are passed over, and so is the tool's own folder. What cannot be used
    is remembered with its reason, and read again when it has changed.

    Parameters
    ----------
    store : gets the pictures; its folder is the one that is watched
    every_s : between two looks
    decoders : is held while a picture is decoded, so that few are at a time; None for no limit
    """

    def __init__(
        self, store: Store, every_s: float = EVERY_S, decoders: threading.Semaphore | None = None
    ) -> None:
        self.store, self.folder = store, store.folder.resolve()
        self._every_s = every_s
        self._decoders: AbstractContextManager[object] = decoders or nullcontext()
        self._seen = store.pictures.seen_files()
        self._last_look: dict[str, _State] = {}
        self._source = "folder"  # at the first look, "watched" later
        self._error = ""
        self._busy = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watched folder", daemon=True)

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the picture that is being read."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def status(self) -> dict[str, Any]:
        """Tell what was taken and what was refused, and whether it is still reading."""
        seen = list(self._seen.values())
        problems = [problem for _, _, problem in seen if problem is not None]
        return {
            "folder": str(self.folder),
            "taken": len(seen) - len(problems),
            "n_problems": len(problems),
            "problems": problems[:MOST_SHOWN],
            "busy": self._busy,
            "error": self._error,
        }

    def look(self) -> int:
        """Take in what is new and whole; returns how many files were read."""
        n, now = 0, time.time_ns()
        states: dict[str, _State] = {}
        for path, about in _files(self.folder):
            name = str(path.relative_to(self.folder))
            state = (about.st_size, about.st_mtime_ns)
            if self._seen.get(name, ())[:2] == state:
                continue
            is_settled = now - about.st_mtime_ns > SETTLED_S * 1e9
            if not is_settled and self._last_look.get(name) != state:
                states[name] = state
                continue
            if self._stop.is_set():
                break
            self._take(path, name, state)
            n += 1
        self._last_look = states
        return n

    def _take(self, path: Path, name: str, state: _State) -> None:
        problem = None
        try:
            with self._decoders:
                picture = pictures.read(path)
        except PictureError as error:
            if not path.exists():
                return  # it was here a moment ago
            problem = str(error)
        else:
            self.store.pictures.add(*picture.to_keep(), self._source)
        self.store.pictures.note_file(name, *state, problem)
        self._seen[name] = (*state, problem)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._busy = True
            try:
                self.look()
                self._error = ""
                self._source = "watched"
            except Exception as error:
                # A full disk, say, or a fault here: it is told, and tried again.
                is_fault = not isinstance(error, OSError | sqlite3.Error | LabellingError)
                fault = f"a fault in the tool ({type(error).__name__}: {error})"
                told = fault if is_fault else str(error)
                if told != self._error:
                    _log.warning("%s: %s; trying again", self.folder, told, exc_info=is_fault)
                self._error = told
            self._busy = False
            self._stop.wait(self._every_s)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Regular files, folder by folder in the order of their names; links to folders are not walked.

    `OSError` if the folder itself cannot be read; one below it that cannot is passed over.
    """
    os.listdir(folder)  # noqa: PTH208 - os.walk is silent about a folder that is gone
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and Path(where, f) != folder / FOLDER
        )
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(where, name)
            try:
                about = path.stat()
            except OSError:  # a link to nowhere, or gone
                continue
            if stat.S_ISREG(about.st_mode):
                yield path, about
