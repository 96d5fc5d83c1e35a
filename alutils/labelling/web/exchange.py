"""Labels that go out and come in through a browser: downloads, and files of labels."""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, request, send_file
from werkzeug import Response

from alutils.labelling.exchange import arrays, backup, exporting, importing, tables
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web import api

blueprint = Blueprint("exchange", __name__)
BACKUP = "backup"


@blueprint.get("/export/<kind>")
def download(kind: str) -> Response:
    """Send the labels as a file; formats of folders as an archive."""
    api.person()
    if kind not in (*exporting.KINDS, BACKUP):
        abort(HTTPStatus.NOT_FOUND)
    name = f"labels.{kind}" if kind in exporting.FILES else f"{kind}.zip"
    with ExitStack() as written:
        folder = written.enter_context(tempfile.TemporaryDirectory())
        path = Path(folder) / name
        _write(api.tool().store, kind, path)
        answer = send_file(path, as_attachment=True, download_name=name)
        answer.call_on_close(written.pop_all().close)
    return answer


def _write(store: Store, kind: str, path: Path) -> None:
    if kind == "csv":
        tables.write_csv(store, path)
    elif kind == "jsonl":
        tables.write_json_lines(store, path)
    elif kind == "npz":
        sources = ("human",) if request.args.get("people") else ("human", "auto")
        arrays.write_dataset(store, path, size=_size(), keep=lambda i: i.label_source in sources)
    elif kind == BACKUP:
        with backup.files_of(store, []) as entries:
            exporting.write_archive(path, entries)
    else:
        exporting.write_archive(path, exporting.files_of(store, kind))


def _size() -> tuple[int, int] | None:
    text = request.args.get("size", "").strip()
    sides = re.fullmatch(r"([1-9]\d{0,3}) *[xX×] *([1-9]\d{0,3})", text)
    if text and not sides:
        raise LabellingError(f"size={text[:20]!r}: expected height x width in pixels, as 28x28")
    return (int(sides[1]), int(sides[2])) if sides else None


@blueprint.post("/api/import_undo")
def take_import_back() -> dict[str, Any]:
    """Take the last import back."""
    text = importing.undo(api.tool().store, api.person())
    if (loop := api.tool().desk.loop) is not None:
        loop.poke()
    return {"text": text or "Nothing left to take back."}


@blueprint.post("/api/import")
def import_labels() -> dict[str, Any]:
    """Hold a file of labels against the project, and write it if the form says so."""
    api.person()
    file = api.sent_files("file")[0]
    form = request.form
    choices = importing.Choices(
        add_classes=bool(form.get("add_classes")),
        on_conflict=form.get("on_conflict", "stop"),
        leave_out=bool(form.get("leave_out")),
    )
    data = file.stream.read(importing.MOST_BYTES)
    name = Path(file.filename or "labels").name
    coming = importing.from_bytes(api.tool().store, data, name, choices)
    is_written = bool(form.get("write"))
    outcome = coming.write() if is_written else coming.check()
    loop = api.tool().desk.loop
    if is_written and loop is not None:
        loop.poke()
    return {
        "lines": outcome.lines(),
        "writes": len(outcome.changes),
        "problems": len(outcome.problems),
        "written": is_written,
    }
