"""What is answered where a request cannot be done: a status, and a sentence that says why.

Programs get JSON, people a page. Only what nobody has foreseen is called a fault of the tool.
"""

from __future__ import annotations

import errno
import sqlite3
from http import HTTPStatus

from flask import Flask, Response, current_app, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from alutils.labelling.store.records import LabellingError
from alutils.labelling.web.pictures import MOST_BYTES

MOST_FILES = 100  # in one request; the page sends them one by one
MOST_BODY = 2 * MOST_BYTES
MOST_TEXT = 2**18  # bytes of a form or of JSON

Told = tuple[Response | str, int]
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def register(app: Flask) -> None:
    """Let an application answer errors."""
    app.register_error_handler(LabellingError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OSError, _disk)
    app.register_error_handler(sqlite3.Error, _database)
    app.register_error_handler(RecursionError, _too_deep)
    app.register_error_handler(Exception, _fault)


def _refused(error: LabellingError) -> Told:
    return _told(HTTPStatus(error.status), str(error), getattr(error, "code", None))


def _http_error(error: HTTPException) -> Told | HTTPException:
    if error.code is None or error.code < 400:
        return error  # a redirect
    text = error.description or error.name
    if isinstance(error, CSRFError):
        text = f"{text} Reload the page and do it again; what was labelled is kept."
    elif error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        text = (
            f"more than {MOST_BODY // 2**20} MiB or {MOST_FILES} files in one go, or over "
            f"{MOST_TEXT:,} bytes of text; send less, or put pictures into the project's folder"
        )
    elif error.code == HTTPStatus.NOT_FOUND:
        text = "there is no such page here; go on from the links above"
    return _told(HTTPStatus(error.code), text)


def _disk(error: OSError) -> Told:
    """Answer where files could not be read or written; what was begun has been taken back."""
    current_app.logger.warning("%s %s: %s", request.method, request.path, error)
    if error.errno in _FULL:
        return _told(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "the disk is full; nothing was written. Make room on it, and do it again",
        )
    return _told(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the project's files cannot be used now ({error.strerror or type(error).__name__}); "
        "see that its folder is where it was and may be written, and do it again",
    )


def _database(error: sqlite3.Error) -> Told:
    current_app.logger.warning("%s %s: %s", request.method, request.path, error)
    return _told(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the project's database cannot be used now ({error}); see that its folder is where it "
        "was, and do it again",
    )


def _too_deep(error: RecursionError) -> Told:
    return _told(HTTPStatus.BAD_REQUEST, "the request is nested too deep; send a plain object")


def _fault(error: Exception) -> Told:
    current_app.logger.error("%s %s", request.method, request.path, exc_info=error)
    text = "the tool has a fault here; nothing was lost. The terminal says more."
    return _told(HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _told(status: HTTPStatus, text: str, code: str | None = None) -> Told:
    """Tell programs in JSON and people in a page."""
    if request.path.startswith("/api/"):
        more = {} if code is None else {"code": code}
        return jsonify(error=text, status=int(status), **more), int(status)
    try:
        page = render_template("error.html", title=status.phrase, text=text, status=int(status))
    except (OSError, sqlite3.Error, LabellingError):  # its frame wants the project's files
        return Response(f"{text}\n", mimetype="text/plain"), int(status)
    return page, int(status)
