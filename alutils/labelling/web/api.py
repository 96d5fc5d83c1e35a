"""What the pages' scripts ask for, in JSON, and the pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request, send_file, session
from werkzeug.datastructures import FileStorage

from alutils.labelling.model.desk import Desk
from alutils.labelling.model.progress import Overviews
from alutils.labelling.store.records import UnknownError
from alutils.labelling.store.store import Store
from alutils.labelling.web import pictures
from alutils.labelling.web.decoders import Decoders

blueprint = Blueprint("api", __name__)

SMALL = 256  # pixels a side of a small picture
_YEAR_S = 365 * 86_400


@dataclass(frozen=True)
class Tool:
    """What an application works with; kept as ``app.extensions["labelling"]``."""

    desk: Desk  # answers the queue's requests
    threshold: float  # confidence from which a single picture goes to its folder unasked
    decoders: Decoders  # read pictures
    overviews: Overviews  # what the page Progress shows
    first_steps: bool = False  # whether who comes to a new project is told how it goes

    @property
    def store(self) -> Store:
        return self.desk.store


def tool() -> Tool:
    """Return what the present application works with."""
    return current_app.extensions["labelling"]


def person() -> str:
    """Return who asks, or end with 401."""
    name = session.get("person")
    if not name:
        abort(HTTPStatus.UNAUTHORIZED, "it is not known who you are; say so on the page /who")
    return name


@blueprint.post("/api/<action>")
def act(action: str) -> dict[str, Any]:
    """Do one of the queue's actions; see `alutils.labelling.model.desk`."""
    if action not in tool().desk.actions:
        abort(HTTPStatus.NOT_FOUND)
    who = person()
    return tool().desk.answer(action, who, request.get_json())


@blueprint.get("/api/status")
def status() -> Response:
    """How far the labelling is; needs no name.

    Every page asks this every few seconds: one that has the present answer already gets 304.
    """
    answer = jsonify(tool().desk.status())
    answer.add_etag()
    answer.headers["Cache-Control"] = "private, no-cache"  # kept, and asked about each time
    answer.make_conditional(request)
    return answer


@blueprint.post("/api/pictures")
def add() -> dict[str, Any]:
    """Take in pictures; each is taken or refused by itself."""
    person()
    return {"pictures": [take(file) for file in sent_files("files")]}


def sent_files(field: str) -> list[FileStorage]:
    """Return the files of a form's field, or end with 400 if none was chosen."""
    files = [file for file in request.files.getlist(field) if file.filename]
    if not files:
        abort(HTTPStatus.BAD_REQUEST, "no file was chosen; choose one or more pictures")
    return files


def take(file: FileStorage, source: str = "upload") -> dict[str, Any]:
    """Decode a file and take it in as coming from this source; say what became of it."""
    data = file.stream.read(pictures.MOST_BYTES + 1)
    try:
        picture = tool().decoders.decode(data, file.filename or "")
    except pictures.PictureError as error:
        return {"name": error.name, "error": str(error)}
    known = tool().store.pictures.known(picture.sha256) is not None
    item = tool().store.pictures.add(*picture.to_keep(), source, picture.file_sha256)
    return {"name": picture.name, "id": item, "known": known, "notes": picture.notes}


@blueprint.get("/pictures/<int:item>")
def picture(item: int) -> Response:
    """Send a picture by its number; ``?small=1`` makes large ones smaller."""
    path, found = tool().store.pictures.path(item), tool().store.reader.item(item)
    version = found.sha256
    is_small = "small" in request.args and max(found.width, found.height) > SMALL
    try:
        file = io.BytesIO(tool().decoders.small(path, SMALL)) if is_small else path
    except pictures.PictureError as error:
        raise UnknownError(
            f"picture {item}: its file {error.problem}; bring the picture again"
        ) from error
    answer = send_file(
        file,
        mimetype="image/png",
        etag=f"{version}-{SMALL}" if is_small else version,
        conditional=True,
    )
    # A number names the same picture for ever in one project, but another in the next.
    is_named = request.args.get("v") == version[:16]
    answer.headers["Cache-Control"] = (
        f"private, max-age={_YEAR_S}, immutable" if is_named else "private, no-cache"
    )
    return answer
