"""Who asks: every page but that of the name itself wants to know whose labels these are."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from flask import request, session
from werkzeug import Response

from alutils.labelling.web.addresses import go_to

View = str | Response | tuple[str, int]

# A place in this tool. Browsers pass over tabs and line ends, and take a backslash for "/": then
# another machine could follow on what looks like one "/".
_PLACE = re.compile(r"/(?!/)[^\x00-\x1f\x7f\\]*")


def ask_who() -> Response | None:
    """Ask for a name once, before a page; labels say whose they are."""
    if request.endpoint == "pages.who" or session.get("person"):
        return None
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return go_to(f"/who?{urlencode({'next': back})}")


def place(text: str) -> str:
    """Return where to go on: a place in this tool, and the queue instead of anywhere else."""
    return text if _PLACE.fullmatch(text) else "/"
