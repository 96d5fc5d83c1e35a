"""A table of letters turned into PNG files in class folders, in a way that survives a kill."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from alutils.base import locks
from alutils.base.downloads import sha256_of_file
from alutils.base.errors import BadInput
from alutils.base.manifest import cores, read_json, write_json
from alutils.data.csv_letters import Chunk, csv_chunks, provenance_of
from alutils.data.dataset import LETTERS
from alutils.data.skips import Skips

NOTE = ".conversion.json"  # in the folder: which table it was made from, and how far it got

_FASTEST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class _Table:
    """What a first reading of a table found: nothing is written from one that cannot be used."""

    sha256: str
    n_rows: int  # skipped ones included: rows keep their numbers
    counts: dict[str, int]


def csv_to_png(
    csv: str | Path,
    folder: str | Path,
    on_bad: str = "error",
    progress: bool = True,
    *,
    provenance: str | None = None,
    report: Skips | None = None,
) -> dict[str, int]:
    """Write a table of letters as PNG files, white on black, in folders A to Z.

    The table is read once to the end before anything is written. The files come into a folder
    ``FOLDER.partial``, which takes its final name when it is complete. After a kill the same call
    goes on; it ends with the same files as one that was left alone. If it was complete already,
    nothing is done.

    Parameters
    ----------
    csv, on_bad, report : as in `alutils.data.csv_letters.csv_chunks`
    folder : to be made; may be there if it is empty
    progress : whether to show bars
    provenance : of the letters, noted in the folder for `alutils.data.folders.read_folder`; by
        default as for `alutils.data.csv_letters.read_csv`

    Returns
    -------
    dict, files written for each class, zeros included. The row's number in the table, from 0, names
    the file: ``A/000123.png``

    Raises
    ------
    BadInput
        If a row is bad and is not to be skipped, the folder holds something else, or another
        process is at it. Nothing has been written then.
    OSError
        If a file cannot be read or written: what is written stays, to go on with.
    """
    csv, folder = Path(csv), Path(folder).resolve()
    report = Skips() if report is None else report
    ours = folder.is_dir() and (read_json(folder / NOTE) or not any(folder.iterdir()))
    if folder.exists() and not ours:
        raise BadInput(
            f"{folder} is there and is not a conversion of a table; expected a folder to be made "
            "or an empty one: name another"
        )
    table = _survey(csv, on_bad, progress, report)
    if _is_complete(folder, table):
        return table.counts
    note = {"sha256": table.sha256, "provenance": provenance or provenance_of(csv)}
    partial = folder.with_name(folder.name + ".partial")
    with _locked(partial):
        if _is_complete(folder, table):  # by a process that ended between the two looks
            partial.rmdir()
            return table.counts
        before = _prepare(partial, note)
        with tqdm(
            total=table.n_rows, initial=before, desc="PNG", unit=" images", disable=not progress
        ) as bar:
            for rows_done in _write_all(csv, partial, before):
                write_json(partial / NOTE, note | {"rows_done": rows_done})
                bar.update(rows_done - bar.n)
        if _files(partial) != table.counts:
            raise BadInput(f"{csv} changed while it was read; delete {partial} and start again")
        write_json(partial / NOTE, note | {"rows_done": table.n_rows, "counts": table.counts})
        partial.replace(folder)
    return table.counts


def _survey(csv: Path, on_bad: str, progress: bool, report: Skips) -> _Table:
    counts = np.zeros(len(LETTERS), np.int64)
    with tqdm(desc="checking", unit=" rows", leave=False, disable=not progress) as bar:
        for chunk in csv_chunks(csv, on_bad, report=report):
            counts += np.bincount(chunk.labels, minlength=len(LETTERS))
            bar.update(len(chunk.labels))
    by_letter = dict(zip(LETTERS, counts.tolist(), strict=True))
    return _Table(sha256_of_file(csv), report.seen, by_letter)


def _is_complete(folder: Path, table: _Table) -> bool:
    note = read_json(folder / NOTE)
    if not note:
        return False
    if note.get("sha256") != table.sha256:
        raise BadInput(f"{folder} holds the letters of another table: name another, or delete it")
    found = _files(folder)
    if found != table.counts:
        raise BadInput(
            f"{folder} has been changed since it was made: it holds {sum(found.values()):,} PNG "
            f"files in its class folders, expected {sum(table.counts.values()):,}; delete it and "
            "convert again"
        )
    return True


def _files(folder: Path) -> dict[str, int]:
    return {letter: sum(1 for _ in (folder / letter).glob("*.png")) for letter in LETTERS}


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Hold a folder, made if need be, against other processes, until this one is done or dead."""
    partial.mkdir(parents=True, exist_ok=True)
    path = partial.with_name(partial.name + ".lock")
    try:
        lock = locks.hold(path)
    except locks.HeldError as error:
        raise BadInput(f"{partial}: another process is writing it; wait for its end") from error
    try:
        yield
    finally:
        if os.name == "posix":  # nobody gets in between; Windows takes the file away by itself
            path.unlink(missing_ok=True)
        lock.release()


def _prepare(partial: Path, note: dict[str, str]) -> int:
    """Make the class folders; the number of rows that an earlier attempt has done."""
    inside = {path.name for path in partial.iterdir()}
    if inside and NOTE not in inside and any(not name.endswith(".tmp") for name in inside):
        raise BadInput(
            f"{partial} is there, but not from an earlier attempt at this conversion; rename or "
            "delete it"
        )
    for leftover in partial.glob(".*.tmp"):  # of a note that was being written
        leftover.unlink()
    before = read_json(partial / NOTE)
    rows_done = before.get("rows_done", 0)
    if any(before.get(name) != value for name, value in note.items()):
        # of another table, or not known of which: its files must not mix with this one's
        for letter in LETTERS:
            shutil.rmtree(partial / letter, ignore_errors=True)
        rows_done = 0
    write_json(
        partial / NOTE, note | {"rows_done": rows_done}
    )  # first: it tells whose folder this is
    for letter in LETTERS:
        (partial / letter).mkdir(exist_ok=True)
    return rows_done


def _write_all(csv: Path, folder: Path, rows_done: int) -> Iterator[int]:
    """Write the letters of all rows but the first ones; after each chunk, how many are done."""
    workers = min(cores(), 8)
    with ThreadPoolExecutor(workers) as pool:
        # Bad rows were counted, or ended it all, at the first reading.
        for chunk in csv_chunks(csv, "skip", report=Skips(silent=True)):
            if chunk.rows[-1] >= rows_done:
                parts = [pool.submit(_write, chunk, folder, i, workers) for i in range(workers)]
                for part in parts:
                    part.result()
                yield int(chunk.rows[-1]) + 1


def _write(chunk: Chunk, folder: Path, first: int, step: int) -> None:
    """Write every step-th letter of a chunk from the first on, over what may be half-written."""
    for image, label, row in zip(*(part[first::step] for part in chunk), strict=True):
        is_good, png = cv2.imencode(".png", image, _FASTEST)
        if not is_good:
            raise RuntimeError(f"OpenCV could not encode row {row}")
        (folder / LETTERS[label] / f"{row:06d}.png").write_bytes(png)
