"""The first page of a new project: the classes, their keys, and what happens; in three steps."""

from __future__ import annotations

import re

from flask import Blueprint, render_template, request

from alutils.labelling.store.records import Filter, LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web.addresses import go_to
from alutils.labelling.web.api import tool
from alutils.labelling.web.people import View, ask_who

blueprint = Blueprint("begin", __name__)
blueprint.before_request(ask_who)
_EXAMPLES = 6  # pictures that are shown


def is_new(store: Store) -> bool:
    """Tell whether a project has no classes yet, or nobody has labelled anything in it."""
    return not store.classes.all() or not store.reader.count(Filter(source="human"))


@blueprint.get("/begin")
def begin() -> View:
    """Show the three steps."""
    return _page()


@blueprint.post("/begin")
def add_classes() -> View:
    """Add the classes that were typed, one a line or with commas between."""
    typed = request.form.get("classes", "")
    names = [name for name in re.split(r"[,\r\n]+", typed) if name.strip()]
    try:
        if not names:
            raise LabellingError("no class was typed; give names, one a line")
        tool().store.classes.add(names)
    except LabellingError as error:
        return _page(problem=str(error), typed=typed), 400
    return go_to("/begin")


def _page(problem: str = "", typed: str = "") -> str:
    store, loop = tool().store, tool().desk.loop
    return render_template(
        "begin.html",
        classes=store.classes.all(),
        pictures=store.reader.page(order="id", limit=_EXAMPLES).items,
        n_pictures=store.reader.progress().total,
        has_model=store.models.present() is not None,
        first=None if loop is None else loop.learning.retrain_after,
        problem=problem,
        typed=typed,
    )
