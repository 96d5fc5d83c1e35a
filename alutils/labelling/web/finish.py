"""The pages Finish, with the certificate's files, and Progress."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, abort, render_template
from werkzeug import Response

from alutils.labelling.finish import certificates
from alutils.labelling.model.progress import Overview
from alutils.labelling.web.api import tool
from alutils.labelling.web.people import View, ask_who

blueprint = Blueprint("finish", __name__)
blueprint.before_request(ask_who)
_KINDS = {
    "html": (certificates.as_page, "text/html"),
    "json": (certificates.as_json, "application/json"),
}


@blueprint.get("/finish")
def finish() -> View:
    """Show what a certificate costs, how far an attempt is, or how it ended."""
    return render_template("finish.html")


@blueprint.get("/finish/certificate.<kind>")
def certificate(kind: str) -> View:
    """Send the last certificate: ``html`` to read, ``json`` for programs."""
    found = tool().desk.finish.certificate()
    if found is None or kind not in _KINDS:
        abort(HTTPStatus.NOT_FOUND)
    made, mimetype = _KINDS[kind]
    answer = Response(made(found), mimetype=mimetype)
    if kind == "html":
        # The page is a file of its own, with its style in it; it asks for nothing else.
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
    return answer


@blueprint.get("/progress")
def progress() -> View:
    """Show how far the project is: classes, confusions, people, pace."""
    overview = tool().overviews.now()
    return render_template("progress.html", overview=overview, time_left=_in_words(overview))


def _in_words(overview: Overview) -> str:
    """Say how long it would take to label what waits, by hand and all of it."""
    left, minutes = overview.progress.remaining, overview.minutes_left
    if not left:
        return "No picture waits for a label."
    if minutes is None:
        return f"{left:,} pictures wait for a label."
    time = f"{max(minutes, 2):.0f} minutes" if minutes < 90 else f"{minutes / 60:.0f} hours"
    return (
        f"To label all {left:,} that wait by hand would take one person about {time}. The page "
        "Finish says how few of them are enough."
    )
