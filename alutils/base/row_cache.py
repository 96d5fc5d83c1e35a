"""Arrays that are computed once, block by block, and kept on disk under what they were made from.

`CachedRows` is a whole array, `KeyedRows` holds rows by the key of what each was made from.

An array of many rows lies in one ``.npy`` file beside a seal, a ``.json`` file with what it was
made from and the SHA-256 of every block of rows. It is opened as a memory-map, and only if every
block still has its hash: a file that was cut, damaged or put there by something else is computed
again. A computation that was killed goes on after its last good block.
"""

import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.base import locks
from alutils.base.files import atomic_file, write_atomically
from alutils.base.manifest import digest
from alutils.base.npz import read_arrays

_log = logging.getLogger("alutils")


@dataclass(frozen=True)
class CachedRows:
    """One array in the cache.

    Parameters
    ----------
    folder : of the files; made when something is written
    identity : what the array is computed from, as JSON can hold it. Equal identities must give
        equal arrays; the files are named after its hash
    shape, dtype : of the array; rows first, at least one row
    block : rows that are written, and hashed, at a time; at most so many are lost when killed
    """

    folder: Path
    identity: dict
    shape: tuple[int, ...]
    dtype: np.dtype
    block: int

    def get(self, produce: Callable[[int], Iterator[np.ndarray]]) -> np.ndarray:
        """Return the array as a read-only memory-map, computed before where it has to be.

        ``produce(start)`` yields the rows from ``start`` on, a multiple of `block`, in arrays of
        `block` rows (the last may be shorter). Not called where the cache has everything.

        Raises
        ------
        ValueError
            If ``produce`` yields something of another shape or dtype, or too little.
        OSError
            If the folder cannot be written. What was finished stays and is used the next time.
        """
        if self._fault() is None:
            return self._open()
        self.folder.mkdir(parents=True, exist_ok=True)
        lock, told = self._path("lock"), "another process computes %s: waiting for it"
        # Another process may be at it, or just have ended it.
        with locks.wait(lock, lambda: _log.warning(told, lock.stem)):
            fault = self._fault()
            if fault is not None:
                if self._path("npy").exists():
                    _log.warning("%s is computed again: %s", self._path("npy").name, fault)
                self._write(produce)
            return self._open()

    # --- names and form of the files -------------------------------------------------------------

    def _path(self, ending: str) -> Path:
        described = json.dumps([self.identity, *self._form()], sort_keys=True)
        return self.folder / f"{hashlib.sha256(described.encode()).hexdigest()}.{ending}"

    def _form(self) -> tuple[list[int], str, int]:
        return list(self.shape), np.dtype(self.dtype).str, self.block

    def _header(self) -> bytes:
        file = io.BytesIO()
        form = {"descr": self._form()[1], "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, form)
        return file.getvalue()

    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def _blocks(self) -> list[slice]:
        ends = [*range(self.block, self.shape[0], self.block), self.shape[0]]
        return [slice(i * self.block, end) for i, end in enumerate(ends)]

    # --- reading ---------------------------------------------------------------------------------

    def _open(self) -> np.ndarray:
        return np.load(self._path("npy"), mmap_mode="r")

    def _fault(self) -> str | None:
        """Why the files cannot be used; None where they can."""
        data, header = self._path("npy"), self._header()
        try:
            seal = json.loads(self._path("json").read_text())
            with data.open("rb") as file:
                found = file.read(len(header))
        except FileNotFoundError as error:
            return f"{Path(error.filename).suffix} file missing"
        except (OSError, ValueError) as error:
            return f"unreadable ({error})"
        size = len(header) + self.shape[0] * self._row_bytes()
        if data.stat().st_size != size:
            return f"it has {data.stat().st_size} bytes, expected {size}"
        if found != header:
            return "its header is not the expected one"
        if not isinstance(seal, dict) or seal.get("identity") != self.identity:
            return "its seal names another origin"
        rows = self._open()
        with ThreadPoolExecutor() as threads:  # hashing lets other threads run
            hashes = list(threads.map(lambda part: _sha256(rows[part]), self._blocks()))
        if seal.get("blocks") != hashes:
            return "its content is not what was written"
        return None

    # --- writing ---------------------------------------------------------------------------------

    def _write(self, produce: Callable[[int], Iterator[np.ndarray]]) -> None:
        partial, journal, header = self._path("partial"), self._path("journal"), self._header()
        done = self._finished(partial, journal)
        missing = self._blocks()[len(done) :]
        with partial.open("r+b" if done else "wb") as data, journal.open("w") as hashes:
            # Plain writes, not a memory-map: a full disk is then an error and not a crash.
            data.write(header)
            start = missing[0].start if missing else self.shape[0]
            data.truncate(data.seek(len(header) + start * self._row_bytes()))
            hashes.writelines(f"{sha256}\n" for sha256 in done)
            hashes.flush()
            coming = produce(start) if missing else iter(())
            for part in missing:
                rows = next(coming, np.empty(0))
                expected = (part.stop - part.start, *self.shape[1:])
                if rows.shape != expected or rows.dtype != self.dtype:
                    raise ValueError(
                        f"rows {part.start} to {part.stop} came as {rows.dtype} {rows.shape}, "
                        f"expected {np.dtype(self.dtype)} {expected}"
                    )
                data.write(np.ascontiguousarray(rows).data)
                data.flush()
                done.append(_sha256(rows))
                hashes.write(f"{done[-1]}\n")
                hashes.flush()
        # Killed between these steps, the next run finds all blocks finished and only seals them.
        seal = json.dumps({"identity": self.identity, "blocks": done}, indent=1)
        write_atomically(self._path("json"), seal)
        partial.replace(self._path("npy"))
        journal.unlink()

    def _finished(self, partial: Path, journal: Path) -> list[str]:
        """Hashes of the leading blocks that a killed run left whole."""
        done: list[str] = []
        with suppress(FileNotFoundError, UnicodeDecodeError):
            written = journal.read_text(encoding="utf-8").split()
            with partial.open("rb") as data:
                if data.read(len(self._header())) == self._header():
                    for part, sha256 in zip(self._blocks(), written, strict=False):
                        rows = data.read((part.stop - part.start) * self._row_bytes())
                        if _sha256(rows) != sha256:
                            break
                        done.append(sha256)
        return done


class KeyedRows:
    """Rows of numbers by a key each, such as the hash of a picture, for items that come bit by bit.

    All rows lie in memory; each `add` writes one ``.npz`` file, and the next start makes one of
    many. A damaged file is dropped with a warning: its rows are missing again.

    Parameters
    ----------
    folder : of the files; made when something is written
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._row: dict[str, int] = {}
        self._rows = np.empty((0, 0), np.float32)
        self._load()

    def __len__(self) -> int:
        return len(self._row)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that have no row yet."""
        return [each for each in keys if each not in self._row]

    def has(self, keys: Sequence[str]) -> np.ndarray:
        """(n,) bool, which keys have a row."""
        return np.array([each in self._row for each in keys], bool)

    def get(self, keys: Sequence[str]) -> np.ndarray:
        """(n, columns) float32; KeyError for a key that has no row."""
        return self._rows[[self._row[each] for each in keys]]

    def add(self, keys: Sequence[str], rows: np.ndarray) -> None:
        """Keep (n, columns) float32 rows of new keys, in memory and on disk.

        ValueError for values that are not finite, or not one row for each key.
        """
        self._hold(keys, rows)
        self._write(keys, rows)

    def _hold(self, keys: Sequence[str], rows: np.ndarray) -> None:
        if rows.ndim != 2 or len(rows) != len(keys) or not np.isfinite(rows).all():
            raise ValueError(
                f"rows {rows.shape} of {len(keys)} items hold values that are not finite, or are "
                "not one row each: what computes them is damaged, load it again"
            )
        first, last = len(self._row), len(self._row) + len(keys)
        if last > len(self._rows):  # grows by doubling, so that adding stays cheap
            larger = np.empty((max(last, 2 * len(self._rows)), rows.shape[1]), np.float32)
            larger[:first] = self._rows[:first] if first else 0
            self._rows = larger
        self._rows[first:last] = rows
        self._row.update(zip(keys, range(first, last), strict=True))

    def _write(self, keys: Sequence[str], rows: np.ndarray) -> Path:
        path = self.folder / f"{digest(*keys)[:32]}.npz"
        with atomic_file(path) as file:
            np.savez(file, sha256=np.array(keys), rows=rows)
        return path

    def _load(self) -> None:
        files = sorted(self.folder.glob("*.npz"))
        for path in files:
            try:
                kept = read_arrays(path)
                keys, rows = kept["sha256"].tolist(), kept["rows"]
                new = [i for i, key in enumerate(keys) if key not in self._row]
                self._hold([keys[i] for i in new], rows[new])
            except (OSError, ValueError, KeyError, IndexError) as error:
                _log.warning("%s is damaged (%s): its rows are computed again", path, error)
                path.unlink(missing_ok=True)
        if len(files) > 1 and self._row:
            whole = self._write(list(self._row), self._rows[: len(self._row)])
            for path in files:
                if path != whole:
                    path.unlink(missing_ok=True)


def _sha256(rows: np.ndarray | bytes) -> str:
    content = rows if isinstance(rows, bytes) else np.ascontiguousarray(rows).data
    return hashlib.sha256(content).hexdigest()
