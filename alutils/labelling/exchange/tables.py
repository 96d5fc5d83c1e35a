"""Labelled projects as tables that other programs read: CSV and JSON lines.

What is written is a copy of one moment, with where each label came from. There is a row for each of
the person's files, so that labels are joined to them by path or by hash.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alutils.base.csv_cells import below_cell, harmless
from alutils.base.files import atomic_file, write_atomically
from alutils.labelling.finish import records
from alutils.labelling.store.names import file_name
from alutils.labelling.store.sources import Source
from alutils.labelling.store.store import Store

COLUMNS = (
    "id", "path", "name", "file_sha256", "picture_sha256", "gone", "width", "height",
    "picture_source", "added", "label", "label_source", "rejected", "person", "model", "when",
    "predicted", "confidence", "threshold", "hidden", "replaced", "certificate", "file", "second",
    "notes",
)  # fmt: skip
OF_FILE = ("path", "name", "file_sha256", "gone")
"""The columns that tell a person's file; the others are those of the picture in it."""
_CLASSES = ("label", "predicted", "replaced")
_OF_EVENT = (
    "kind", "label", "replaced", "person", "model", "when", "confidence", "threshold", "plan",
    "why",
)  # fmt: skip
Row = dict[str, Any]


def rows(store: Store) -> Iterator[Row]:
    """Yield what is known of each file of each labelled or rejected picture; None for nothing.

    The keys are `COLUMNS`. ``path`` is that of the person's own file below the folder of pictures,
    ``file_sha256`` is of its bytes; a picture that was sent has no path, but a name. A picture that
    is in several files has a row for each. ``gone`` says since when a file is no longer there or
    holds something else; files that are gone are told only where no other is left.
    ``picture_sha256`` is that of the tool's own copy.

    ``rejected`` says why, and such a picture has no label. ``predicted``, ``confidence`` and
    ``model`` are those of the moment at which the answer was given; ``replaced`` is the class
    before; ``certificate`` is the number of the certificate that attests this label; ``file`` is
    the tool's own copy, relative to the project's folder; ``second`` says what other people
    answered, as ``bob: B; cy: cannot name it``, and ``notes`` what people wrote on it, as ``bob:
    cut off``.
    """
    for picture, files in pictures(store):
        for file in files:
            row = picture | file
            yield {name: row[name] for name in COLUMNS}


def pictures(store: Store) -> Iterator[tuple[Row, list[Row]]]:
    """Yield each labelled or rejected picture, and its files: at least one, with keys `OF_FILE`."""
    folders = {c.name: c.folder for c in store.classes.all()}
    sources, certified = store.sources.of(), _certified(store)
    seconds, notes = store.disputes.answers(), store.notes.of()
    for item, event in store.reader.labelled(rejected=True):
        values = asdict(item) | asdict(event)
        values |= {
            "id": item.id,
            "picture_sha256": item.sha256,
            "picture_source": item.source,
            "label": item.label,
            "rejected": (event.why or "rejected") if item.rejected else None,
            "certificate": certified.get(item.id),
            "file": None,
            "second": _said((p, a or "cannot name it") for p, a in seconds.get(item.id, ())),
            "notes": _said((note.person, note.text) for note in notes.get(item.id, ())),
        }
        if item.label is not None:
            values["file"] = f"classes/{folders[item.label]}/{file_name(item.name, item.id)}"
        files = sources.get(item.id) or [Source(item.id, None, item.name)]
        yield values, [_file(file) for file in files]


def _file(file: Source) -> Row:
    return {
        "path": file.path,
        "name": file.name,
        "file_sha256": file.sha256 or None,
        "gone": file.gone or None,
    }


def _said(parts: Iterable[tuple[str, str]]) -> str | None:
    return "; ".join(f"{person}: {text}" for person, text in parts) or None


def _certified(store: Store) -> dict[int, int]:
    """Return the number of the certificate by picture; a label changed since is under none.

    Nor is one that was there before the decision and came back after it by an undo: of the picture
    the certificate attests another class.
    """
    found: dict[int, int] = {}
    for plan in store.plans.certified():
        assert plan.certificate is not None
        attested = records.attested(store, plan)
        # A class may have got the name that another one had then.
        numbers = {name: int(number) for number, name in plan.certificate["classes"].items()}
        rows = store.database.connection.execute(
            """SELECT items.id, items.label, classes.name FROM items
            JOIN events ON events.id = items.event JOIN classes ON number = items.label
            WHERE events.id <= ? OR (events.plan = ? AND events.kind = 'auto')""",
            (plan.certificate["position"], plan.number),
        )
        for item, label, name in rows:
            if attested.get(item) == label == numbers.get(name, label):
                found[item] = plan.number
    return found


def csv_table(rows: Iterable[Row]) -> bytes:
    """Return rows as CSV, `COLUMNS` first, UTF-8 with a byte order mark, by which Excel knows it.

    Names of classes are written as they are: they are the project's own, and may be ``+`` or
    ``=``. Names of files come from strangers, and spreadsheets would run one that is a formula: a
    path that begins like one begins with ``./``, another text with an apostrophe. JSON lines hold
    all of them as they are.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(name, value) for name, value in row.items()})
    return codecs.BOM_UTF8 + text.getvalue().encode(errors="replace")


def _cell(column: str, value: Any) -> Any:
    if column == "path" and value is not None:
        return below_cell(value)
    return value if column in _CLASSES else harmless(value)


def write_csv(store: Store, path: Path) -> None:
    """Write a row for each file of each labelled or rejected picture, as `csv_table` does."""
    write_atomically(path, csv_table(rows(store)))


def write_json_lines(store: Store, path: Path) -> None:
    """Write an object for each file of each labelled or rejected picture, a line each.

    The picture's history is under ``events``.
    """
    history = store.reader.history()
    with atomic_file(path) as file:
        for row in rows(store):
            row["events"] = [
                {name: getattr(event, name) for name in _OF_EVENT} for event in history[row["id"]]
            ]
            file.write(json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n")
