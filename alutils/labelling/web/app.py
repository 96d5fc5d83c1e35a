"""The labelling tool as a web application; `alutils.labelling.web.serve` runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from flask import Flask, Response, current_app, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException

from alutils.labelling.model.desk import Desk
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.records import ConflictError, LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web import api, pages
from alutils.labelling.web.api import Tool, tool
from alutils.labelling.web.pictures import MOST_BYTES
from alutils.labelling.web.security import PROJECT_HEADER, Access, protect

MOST_FILES = 100  # in one request; the page sends them one by one
MOST_BODY = 2 * MOST_BYTES
MOST_TEXT = 2**18  # bytes of a form or of JSON
_THRESHOLD = 0.6  # the report's
# Pictures that are decoded at a time: one of the most pixels needs 600 MB where it is transparent.
DECODERS = 2


class OtherProjectError(ConflictError):
    """A page sends this that was opened when another project was served at this address."""

    code = "project"  # keeps the page from taking it for a refusal of the label itself


def create_app(
    store: Store,
    loop: LabellingLoop | None = None,
    *,
    access: Access,
    threshold: float = _THRESHOLD,
    more: Mapping[str, Callable[[], Any]] | None = None,
    decoders: threading.Semaphore | None = None,
) -> Flask:
    """Make the application.

    Parameters
    ----------
    store, loop, more : as for `alutils.labelling.model.desk.Desk`
    access : who may come in, from `alutils.labelling.web.security.access`
    threshold, decoders : as for `Tool`; by default for `DECODERS` pictures at a time
    """
    app = Flask(__name__)
    app.extensions["labelling"] = Tool(
        Desk(store, loop, more), threshold, decoders or threading.Semaphore(DECODERS)
    )
    app.config.update(
        MAX_CONTENT_LENGTH=MOST_BODY,
        MAX_FORM_MEMORY_SIZE=MOST_TEXT,
        MAX_FORM_PARTS=MOST_FILES + 20,
        WTF_CSRF_TIME_LIMIT=None,  # people label all afternoon; the token ends with the session
    )
    cast("DefaultJSONProvider", app.json).sort_keys = False
    protect(app, access, store.project_id)
    app.before_request(_limit_what_is_no_upload)
    app.before_request(_check_project)  # before the CSRF token, whose text would not tell
    CSRFProtect(app)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(pages.blueprint)
    app.add_url_rule("/health", "health", lambda: {"status": "ok"})
    app.register_error_handler(LabellingError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)
    return app


def _limit_what_is_no_upload() -> None:
    """Allow large bodies only where files are in them: all else is read into memory at once."""
    if request.mimetype != "multipart/form-data":
        request.max_content_length = MOST_TEXT


def _check_project() -> None:
    """Refuse what a page of another project sends: its numbers mean other pictures here."""
    store = tool().store
    meant = request.headers.get(PROJECT_HEADER)
    if meant is not None and meant != store.project_id:
        raise OtherProjectError(
            f"this page belongs to another project than {store.folder.resolve().name!r}, which is "
            "served here now; nothing was written. What was not saved is kept in this browser "
            "until its own project is served at this address again"
        )


def _refused(error: LabellingError) -> tuple[Response | str, int]:
    return _told(HTTPStatus(error.status), str(error), getattr(error, "code", None))


def _http_error(error: HTTPException) -> tuple[Response | str, int] | HTTPException:
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


def _fault(error: Exception) -> tuple[Response | str, int]:
    current_app.logger.error("%s %s", request.method, request.path, exc_info=error)
    text = "the tool has a fault here; nothing was lost. The terminal says more."
    return _told(HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _told(status: HTTPStatus, text: str, code: str | None = None) -> tuple[Response | str, int]:
    """Tell programs in JSON and people in a page."""
    if request.path.startswith("/api/"):
        more = {} if code is None else {"code": code}
        return jsonify(error=text, status=int(status), **more), int(status)
    page = render_template("error.html", title=status.phrase, text=text, status=int(status))
    return page, int(status)
