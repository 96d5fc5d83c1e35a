"""The labelling tool as a web application; `alutils.labelling.web.serve` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from flask_wtf.csrf import CSRFProtect

from alutils.labelling.model.desk import Desk
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.progress import Overviews
from alutils.labelling.store.records import ConflictError
from alutils.labelling.store.store import Store
from alutils.labelling.web import api, begin, exchange, finish, pages, refusals
from alutils.labelling.web.addresses import Prefixed
from alutils.labelling.web.api import Tool, tool
from alutils.labelling.web.decoders import Decoders
from alutils.labelling.web.refusals import MOST_BODY, MOST_FILES, MOST_TEXT
from alutils.labelling.web.security import PROJECT_HEADER, Access, protect

_THRESHOLD = 0.6  # the report's


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
    decoders: Decoders | None = None,
    first_steps: bool = False,
    prefix: str = "",
) -> Flask:
    """Make the application.

    Parameters
    ----------
    store, loop, more : as for `alutils.labelling.model.desk.Desk`
    access : who may come in, from `alutils.labelling.web.security.access`
    threshold, decoders, first_steps : as for `Tool`; by default decoders of its own
    prefix : the path that a proxy puts before the tool's own, as `checked_prefix` gives it; pages
        need not know it, but with it cookies are sent to this tool alone
    """
    app = Flask(__name__)
    app.extensions["labelling"] = Tool(
        Desk(store, loop, more),
        threshold,
        decoders or Decoders(),
        Overviews(store, loop),
        first_steps,
    )
    app.config.update(
        MAX_CONTENT_LENGTH=MOST_BODY,
        MAX_FORM_MEMORY_SIZE=MOST_TEXT,
        MAX_FORM_PARTS=MOST_FILES + 20,
        SESSION_COOKIE_PATH=prefix or "/",
        WTF_CSRF_TIME_LIMIT=None,  # people label all afternoon; the token ends with the session
    )
    cast("DefaultJSONProvider", app.json).sort_keys = False
    protect(app, access, store.project_id)
    app.before_request(_limit_what_is_no_upload)
    app.before_request(_check_project)  # before the CSRF token, whose text would not tell
    CSRFProtect(app)
    for part in (api, begin, exchange, finish, pages):
        app.register_blueprint(part.blueprint)
    app.add_url_rule("/health", "health", lambda: {"status": "ok"})
    refusals.register(app)
    if prefix:
        app.wsgi_app = Prefixed(app.wsgi_app, prefix)  # type: ignore[method-assign]
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
