"""Picture files in a folder and the folders inside it, read ahead in threads."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter, deque
from collections.abc import Collection, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from alutils.base.errors import BadInput
from alutils.base.manifest import cores
from alutils.base.project_folder import is_project
from alutils.data.decoding import BadPicture, decode, read_bytes
from alutils.data.streams.entry import Entry

_TASK_FILES, _TASK_BYTES = 32, 2**21  # that a thread reads at a time


class File(NamedTuple):
    """A file, by its name relative to the folder; ``problem`` is known without reading it."""

    name: str
    size: int
    changed_ns: int
    problem: str = ""


class FolderStream:
    """Picture files in a folder and the folders inside it, in the order of their names.

    Hidden files and folders are passed over, and so is what the labelling tool keeps beside
    pictures. Links are followed, each folder is read once.

    Parameters
    ----------
    path : folder, or one picture file
    leave_out : as in `open_stream`
    """

    def __init__(self, path: Path, leave_out: Collection[Path] = ()) -> None:
        self.path = path
        self._folder = path if path.is_dir() else path.parent
        if path.is_dir():
            self._files = list(walk(path, {_place(each) for each in leave_out}))
        else:
            about = path.stat()
            self._files = [File(path.name, about.st_size, about.st_mtime_ns)]
        if not self._files:
            raise BadInput(f"{path}: holds no file; expected pictures in it")
        sha = hashlib.sha256()
        for file in self._files:
            sha.update(os.fsencode(file.name) + f"\0{file.size}\0{file.changed_ns}\0".encode())
        self.identity = sha.hexdigest()

    @property
    def ascii(self) -> bool:
        """Whether all names are written in ASCII."""
        return all(file.name.isascii() for file in self._files)

    def __len__(self) -> int:
        return len(self._files)

    def sample(self) -> Generator[np.ndarray]:
        """Yield the pictures that can be read in a random order, the same one each time."""
        order = np.random.default_rng(0).permutation(len(self._files))
        with closing(self._entries(self._files[i] for i in order)) as entries:
            yield from (each.pixels for each in entries if each.pixels is not None)

    def read(self, start: int = 0) -> Generator[Entry]:
        """Yield the entries in their order; some files are read ahead, in threads."""
        return self._entries(self._files[start:])

    def file_name(self, number: int) -> str:
        """Return the file's own name; with a part of a hash where several files have that name."""
        whole = self._files[number].name
        name = PurePosixPath(whole)
        if self._names[name.name.casefold()] == 1:
            return name.name
        mark = hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]
        return f"{name.stem}-{mark}{name.suffix}"

    def content(self, number: int, pixels: np.ndarray) -> bytes:
        """Return the file's bytes, as they are."""
        return read_bytes(self._full(self._files[number]))

    @cached_property
    def _names(self) -> Counter[str]:
        return Counter(each.name.rpartition("/")[2].casefold() for each in self._files)

    def _full(self, file: File) -> str:
        return os.path.join(self._folder, file.name)  # noqa: PTH118 - a text, as others are here

    def _entries(self, files: Iterable[File]) -> Generator[Entry]:
        threads = min(4, cores())
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[list[Entry]]] = deque()
            try:
                for task in _tasks(files):
                    waiting.append(pool.submit(self._read_all, task))
                    if len(waiting) > 2 * threads:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _read_all(self, files: list[File]) -> list[Entry]:
        return [self._read(file) for file in files]

    def _read(self, file: File) -> Entry:
        if file.problem:
            return Entry(file.name, None, file.problem)
        path = self._full(file)
        try:
            return Entry(file.name, decode(read_bytes(path), path).pixels)
        except BadPicture as bad:
            return Entry(file.name, None, bad.problem)


def walk(top: Path, leave_out: Collection[tuple[int, int]] = ()) -> Iterator[File]:
    """List the files below a folder: its own in the order of their names, then each folder's.

    Parameters
    ----------
    top : the folder; OSError if it cannot be listed. One below it that cannot is an entry with a
        problem
    leave_out : device and number of files and folders that are passed over
    """
    seen = set(leave_out)
    below: list[tuple[str, str]] = [(str(top), "")]  # folders to list, and how their names begin
    while below:
        folder, prefix = below.pop()
        try:
            about = os.stat(folder)  # noqa: PTH116
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda each: each.name)
        except OSError as error:
            why = error.strerror or type(error).__name__
            if not prefix:
                raise
            yield File(prefix, 0, 0, f"is a folder that cannot be opened ({why})")
            continue
        inside = []
        for entry in found:
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if is_folder(entry):
                if not is_project(entry.path):
                    inside.append((entry.path, f"{name}/"))
            elif (file := _listed(entry, name, leave_out)) is not None:
                yield file
        below += reversed(inside)


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _listed(entry: os.DirEntry, name: str, leave_out: Collection[tuple[int, int]]) -> File | None:
    """Return a file as it is listed; None for one that is left out."""
    try:
        about = entry.stat()
    except OSError:  # what is wrong with it is said when it is read
        return File(name, 0, 0)
    if (about.st_dev, about.st_ino) in leave_out:
        return None
    if not stat.S_ISREG(about.st_mode):
        return File(name, 0, 0)
    return File(name, about.st_size, about.st_mtime_ns)


def _place(path: Path) -> tuple[int, int]:
    """Return what tells a file or folder from others; nothing has the one of what is not there."""
    try:
        about = path.stat()
    except OSError:
        return (-1, -1)
    return about.st_dev, about.st_ino


def _tasks(files: Iterable[File]) -> Iterator[list[File]]:
    """Deal files into lists that are read at a time: many small ones, or one large one."""
    task: list[File] = []
    size = 0
    for file in files:
        task.append(file)
        size += file.size
        if len(task) == _TASK_FILES or size >= _TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task
