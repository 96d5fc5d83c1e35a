"""The table of labels: written batch by batch, and gone on with after whatever stopped it.

::

    labels.csv.unfinished   the rows so far
    labels.csv.json         what they are made from, and how much of them is whole
    labels.csv              all rows, once they are there

A batch is on the disk before its number is: what a killed process wrote beyond the last whole batch
is cut off, and written again.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alutils.base.errors import BadInput, ParameterError
from alutils.base.files import display_path
from alutils.base.locks import HeldError, hold
from alutils.base.manifest import read_json, write_json
from alutils.base.surfaces import Remedy

COLUMNS = ("path", "class", "confidence", "model", "problem")
_FORMAT = 1
_BOM = b"\xef\xbb\xbf"

_OTHER = {  # what a table was made from -> how a difference in it is said
    "model": "another model",
    "min_confidence": "another least confidence",
    "convert": "another conversion",
    "levels": "other levels",
    "copy_to": "other class folders",  # these first: in PICTURES they are no pictures of it
    "pictures": "other pictures (some were added, removed or changed since)",
}


def check_path(path: Path) -> None:
    """Raise ParameterError unless a table can be called so."""
    if path.suffix.lower() != ".csv" or path.is_dir():
        raise ParameterError("out", path, "expected the name of a file that ends in .csv")


class Table:
    """A table that is begun or gone on with; a context in which no other process has it.

    Parameters
    ----------
    path : of the finished table
    made_from : JSON-able facts, by the keys of `_OTHER`: a table goes on only where all are equal
    ascii : whether no name is written with other letters; where one is, the table begins with a
        byte order mark, by which Excel knows UTF-8
    overwrite : begin anew, whatever is there

    Attributes
    ----------
    n : entries that are written
    counts : of classes, and of whatever `add` is told
    begun : whether an earlier call began it; if not, `begin` comes before `add`
    complete : whether it is finished, by an earlier call perhaps

    Raises
    ------
    BadInput
        If the file is there and made from something else, or is not ours.
    """

    def __init__(
        self, path: Path, made_from: Mapping[str, Any], *, ascii: bool, overwrite: bool = False
    ) -> None:
        check_path(path)
        self.path, self.made_from = path, dict(made_from)
        self.rows = path.with_name(f"{path.name}.unfinished")
        self.state = path.with_name(f"{path.name}.json")
        self._start = _BOM * (not ascii) + _encoded([COLUMNS])
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = path.with_name(f".{path.name}.lock")
        try:
            self._lock = hold(self._lock_file)
        except HeldError as error:
            raise BadInput(f"{path}: {error.holder} is writing it; wait until it has ended") from (
                error
            )
        try:
            self._open(overwrite)
        except BaseException:
            self._release()
            raise

    def _open(self, overwrite: bool) -> None:
        kept = read_json(self.state)
        kept = kept if kept.get("format") == _FORMAT else {}
        done = kept.get("status") == "complete"
        if done and self.rows.exists():  # it was stopped just before it got its name
            self.rows.replace(self.path)
        self.complete = done and self.path.exists()
        self.begun = False
        other = _difference(kept.get("made_from", {}), self.made_from)
        same = bool(kept) and not other and (self.complete or self.rows.exists())
        if same and not done and self.rows.stat().st_size < kept["bytes"]:
            same, other = False, "it was changed since"
        if same and not (self.complete and overwrite):
            self.n, self.counts = int(kept["pictures"]), Counter(kept["counts"])
            self._bytes, self.begun = int(kept["bytes"]), True
            if not self.complete:
                os.truncate(self.rows, self._bytes)
            return
        ours = (self.path, self.rows) if kept else (self.path, self.rows, self.state)
        there = next((each for each in ours if each.exists()), None)
        if there is not None and not overwrite:
            how = "was begun" if there == self.rows else "is there already"
            why = f", from {other}" if other and kept else "" if kept else ", not by this command"
            raise BadInput(
                f"{display_path(there)}: {how}{why}; expected nothing there, or a table of the "
                "same model, pictures and options",
                "write to another file",
                Remedy("begin anew", "overwrite", True),
            )
        self.n, self.counts, self.complete = 0, Counter(), False
        self._bytes = len(self._start)

    def begin(self) -> None:
        """Write the first line."""
        self.state.unlink(missing_ok=True)
        self.rows.write_bytes(self._start)
        self.begun = True
        self._save("unfinished")

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *error: object) -> None:
        self._release()

    def _release(self) -> None:
        if os.name != "nt":  # where files that are in use cannot be removed
            self._lock_file.unlink(missing_ok=True)
        self._lock.release()

    def add(self, rows: Iterable[Sequence[str]], counts: Mapping[str, int]) -> None:
        """Add rows, of `COLUMNS`: all of them are on the disk when this returns, or none count."""
        rows = list(rows)
        data = _encoded(rows)
        with self.rows.open("r+b") as file:
            file.seek(self._bytes)
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self.n += len(rows)
        self._bytes += len(data)
        self.counts.update(counts)
        self._save("unfinished")

    def finish(self) -> None:
        """Give the table its name."""
        self._save("complete")
        self.rows.replace(self.path)
        self.complete = True

    def _save(self, status: str) -> None:
        facts = {"format": _FORMAT, "status": status, "made_from": self.made_from}
        facts |= {"pictures": self.n, "bytes": self._bytes, "counts": dict(self.counts)}
        write_json(self.state, facts)


def _encoded(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs first between what a table was made from and what it would be made from."""
    for name, words in _OTHER.items():
        if before.get(name) != now.get(name):
            old, new = (_shown(each.get(name)) for each in (before, now))
            return words if name == "pictures" else f"{words} ({old}, now {new})"
    return ""


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)[:60]
