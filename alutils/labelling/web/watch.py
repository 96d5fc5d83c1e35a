"""The project's folder: pictures that lie in it or come into it are taken in by themselves."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from alutils.base.project_folder import is_project
from alutils.labelling.exchange import exporting
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web.decoders import Decoders
from alutils.labelling.web.pictures import Picture, PictureError

_log = logging.getLogger("alutils")

EVERY_S = 2.0
SETTLED_S = 1.0  # a file that was changed since may still be copied
MOST_SHOWN = 200  # refusals in the status

_State = tuple[int, int]  # size in bytes, time of change in nanoseconds


class Watcher:
    """Looks into a folder, and the folders below it, for pictures; every file is read once.

    Hidden files and folders are passed over, and so are folders that the tool made: projects, and
    what was exported out of this one. What cannot be used is remembered with its reason, and read
    again when it has changed. What is gone is noted.

    Parameters
    ----------
    store : gets the pictures; its folder is the one that is watched
    every_s : between two looks
    decoders : read the pictures; by default some of its own
    """

    def __init__(
        self, store: Store, every_s: float = EVERY_S, decoders: Decoders | None = None
    ) -> None:
        self.store, self.folder = store, store.folder.resolve()
        self._root, self._every_s = store.files.root.resolve(), every_s
        self._decoders, self._are_own = decoders or Decoders(1), decoders is None
        # Read once more: to know what is in them, or to have the picture again that was lost.
        again = store.sources.unmatched() | store.sources.without_copy()
        seen = store.sources.seen()
        self._seen = {name: about for name, about in seen.items() if name not in again}
        self._problems = {n: p for n, (_, _, p) in self._seen.items() if p is not None}
        self._there, self._gone = store.sources.there()  # files that pictures came from
        self._last_look: dict[str, _State] = {}
        self._source = "folder"  # at the first look, "watched" later
        self._error = ""
        self._to_read = 0
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
        if self._are_own:
            self._decoders.close()

    def status(self) -> dict[str, Any]:
        """Tell what was taken and refused, how many files wait, and whether it is still reading."""
        problems = list(self._problems.values())
        return {
            "folder": str(self.folder),
            "taken": len(self._seen) - len(problems),
            "to_read": self._to_read,
            "n_problems": len(problems),
            "problems": problems[:MOST_SHOWN],
            "busy": self._busy,
            "error": self._error,
        }

    @property
    def settling(self) -> bool:
        """Whether the last look has passed over files that may still be written."""
        return bool(self._last_look)

    def look(self) -> int:
        """Take in what is new and whole; returns how many files were read."""
        n, now = 0, time.time_ns()
        states: dict[str, _State] = {}
        settled: list[tuple[Path, str, _State]] = []
        listed, is_whole = self._list()
        new = [each for each in listed if self._seen.get(each[1], ())[:2] != each[2]]
        if is_whole:
            self._compare({name for _, name, _ in listed}, {name for _, name, _ in new})
        self._to_read = len(new)  # before the first is read, so that people see how many come
        for path, name, state in new:
            is_settled = now - state[1] > SETTLED_S * 1e9
            if not is_settled and self._last_look.get(name) != state:
                states[name] = state
            else:
                settled.append((path, name, state))
        with closing(self._decoders.read_all(path for path, _, _ in settled)) as read:
            for each in settled:
                if self._stop.is_set():
                    break
                self._take(*each, next(read))
                self._to_read -= 1
                n += 1
        self._last_look = states
        return n

    def _list(self) -> tuple[list[tuple[Path, str, _State]], bool]:
        """List the files: path, name below the folder, state; tell whether all could be listed."""
        errors: list[OSError] = []
        start = len(os.path.join(self.folder, ""))  # noqa: PTH118 - where names below it begin
        listed = [
            (path, str(path)[start:], (about.st_size, about.st_mtime_ns))
            for path, about in _files(self.folder, self._is_ours, errors.append)
        ]
        return listed, not errors

    def _is_ours(self, folder: Path, names: Collection[str]) -> bool:
        if exporting.MARK in names:
            return exporting.project_of(folder) == self.store.project_id
        return folder == self._root or is_project(folder)

    def _compare(self, listed: set[str], changed: set[str]) -> None:
        """Note which files are gone, and which came back as they were."""
        gone = self._there - listed
        # Not what lies there now and was refused: there the picture before is still gone.
        back = {n for n in self._gone & listed - changed if self._seen[n][2] is None}
        self.store.sources.set_gone(gone, True)
        self.store.sources.set_gone(back, False)
        self._there, self._gone = self._there - gone | back, self._gone - back | gone

    def _take(self, path: Path, name: str, state: _State, found: Picture | PictureError) -> None:
        problem = item = sha256 = None
        if isinstance(found, Picture):
            item = self.store.pictures.add(*found.to_keep(), self._source)
            sha256 = found.file_sha256
        elif path.exists():
            problem = str(found)
        else:
            return  # it was here a moment ago
        self.store.sources.note(name, *state, problem, item, sha256)
        self._seen[name] = (*state, problem)
        self._gone.discard(name)
        if problem is None:
            self._problems.pop(name, None)
            self._there.add(name)
        else:
            self._problems[name] = problem
            self._there.discard(name)

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


def _files(
    folder: Path,
    is_ours: Callable[[Path, Collection[str]], bool],
    on_error: Callable[[OSError], Any],
) -> Iterator[tuple[Path, os.stat_result]]:
    """Regular files, folder by folder in the order of their names; links to folders are not walked.

    ``is_ours`` says of a folder and the names of its files whether to pass it over. `OSError` if
    the folder itself cannot be read; one below it that cannot goes to ``on_error``.
    """
    os.listdir(folder)  # noqa: PTH208 - os.walk is silent about a folder that is gone
    for where, folders, names in os.walk(folder, onerror=on_error):
        if Path(where) != folder and is_ours(Path(where), names):
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(where, name)
            try:
                about = path.stat()
            except OSError:  # a link to nowhere, or gone
                continue
            if stat.S_ISREG(about.st_mode):
                yield path, about
