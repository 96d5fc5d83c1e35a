"""The pages that people see. They work without scripts where a form is enough."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, render_template, request, session

from alutils.base.files import display_path
from alutils.labelling.model.reading import State
from alutils.labelling.store.names import checked_name, checked_person
from alutils.labelling.store.records import Filter, Item, LabellingError
from alutils.labelling.web.addresses import address, go_to, relative
from alutils.labelling.web.api import sent_files, take, tool
from alutils.labelling.web.begin import is_new
from alutils.labelling.web.people import View, ask_who, place

blueprint = Blueprint("pages", __name__)

WAIT_S = 1.5  # for the model's answer to a picture that has just come
_NAP_S = 0.05
MOST_TRIES = 10  # of the page that waits for it, before it asks the person instead

blueprint.before_request(ask_who)


@blueprint.app_context_processor
def common() -> dict[str, Any]:
    """Give every page what its frame shows."""
    store = tool().store
    return {
        "url_for": address,  # in place of Flask's
        "root": relative("/"),
        "person": session.get("person"),
        "project": store.folder.resolve().name,
        "project_id": store.project_id,
    }


@blueprint.route("/who", methods=["GET", "POST"])
def who() -> View:
    """Name oneself."""
    back = place(request.values.get("next", "/"))
    if request.method == "GET":
        return render_template("who.html", next=back)
    session["person"] = checked_person(request.form.get("name", ""))
    session.permanent = True
    if back == "/" and tool().first_steps and is_new(tool().store):
        back = "/begin"
    return go_to(back)


@blueprint.get("/")
def queue() -> View:
    """Show the queue."""
    return render_template("queue.html")


@blueprint.get("/review")
def review() -> View:
    """Show the grid, to check and mend; it opens with what there is."""
    store = tool().store
    source = "auto" if store.reader.count(Filter(source="auto")) else "any"
    return render_template("review.html", classes=store.classes.all(), source=source)


@blueprint.get("/review/doubtful")
def review_doubtful() -> View:
    """Show the labels that something speaks against, and how far people agree."""
    return render_template("doubtful.html", share=tool().store.seconds.share())


@blueprint.route("/add", methods=["GET", "POST"])
def add() -> View:
    """Upload many; see what became of the watched folder."""
    results = [take(file) for file in sent_files("files")] if request.method == "POST" else []
    status = tool().desk.status()
    return render_template("add.html", results=results, watched=status.get("folder"))


@blueprint.get("/export")
def exports() -> View:
    """Say where the labels are, and give them as files."""
    progress = tool().store.reader.progress()
    classes = display_path(tool().store.files.classes)
    return render_template("export.html", progress=progress, classes=classes)


@blueprint.get("/classes")
def classes() -> View:
    """Change the classes."""
    return render_template("classes.html")


# --- the report's flow: one picture ---------------------------------------------------------------


@blueprint.route("/one", methods=["GET", "POST"])
def one() -> View:
    """Choose a picture, and see what it is."""
    if request.method == "GET":
        return _one_form()
    taken = take(sent_files("file")[0], "single")
    if "error" in taken:
        return _one_form(taken["error"]), 422
    if tool().store.reader.item(taken["id"]).label is None:
        tool().store.queue.claim(session["person"], taken["id"])
    item = _predicted(taken["id"])
    _file_if_sure(item)
    return go_to(f"/one/{item.id}")


@blueprint.get("/one/<int:item>")
def one_picture(item: int) -> View:
    """Show what the model says, where the picture is now, or a box to type its class."""
    tries = request.args.get("tries", 0, type=int)
    return _one_page(tool().store.reader.item(item), tries=tries)


@blueprint.post("/one/<int:item>")
def one_label(item: int) -> View:
    """Take the class that was typed, or the model's label back; else ask the model again."""
    store, person = tool().store, session["person"]
    if request.form.get("revoke"):
        store.models.revoke(person, items=[item])
        return go_to(f"/one/{item}")
    label = request.form.get("label")
    if label is None:
        _file_if_sure(_predicted(item))
        tries = request.args.get("tries", 0, type=int) + 1
        return go_to(f"/one/{item}?tries={tries}")
    try:
        label = checked_name(label)
        if request.form.get("add"):
            store.classes.add([label])
        found = store.reader.item(item)
        if found.label is None and not found.rejected:
            store.queue.label(person, item, label)
        else:
            store.queue.relabel(person, [item], label)
    except LabellingError as error:
        new = label not in {c.name for c in store.classes.all()}
        return _one_page(store.reader.item(item), problem=str(error), typed=label, offer=new), 400
    return go_to(f"/one/{item}")


@blueprint.post("/reading")
def reading() -> View:
    """Decide how models see the pictures, for a page that goes without scripts."""
    form = request.form
    choice = None if form.get("again") else form.get("choice", "")
    decided = {"kind": form.get("kind", ""), "choice": choice}
    tool().desk.answer("reading_decide", session["person"], decided)
    return go_to(place(form.get("next", "/")))


def _reading() -> State | None:
    loop = tool().desk.loop
    return None if loop is None else loop.training.reading.state


def _one_form(problem: str | None = None) -> str:
    return render_template(
        "one.html", item=None, problem=problem, threshold=tool().threshold, reading=_reading()
    )


def _one_page(item: Item, tries: int = MOST_TRIES, **more: Any) -> str:
    store = tool().store
    first = next((e for e in store.reader.events(item.id) if e.kind in ("label", "auto")), None)
    folder = next((c.folder for c in store.classes.all() if c.name == item.label), None)
    return render_template(
        "one.html",
        item=item,
        folder=folder,
        path=display_path(store.files.classes / folder) if folder else None,
        waiting=tries < MOST_TRIES and _is_waited_for(item),
        sure=_is_sure(item),
        threshold=tool().threshold,
        judged=first,
        reading=_reading(),
        classes=store.classes.all(),
        **more,
    )


def _is_sure(item: Item) -> bool:
    return item.confidence is not None and item.confidence >= tool().threshold


def _is_waited_for(item: Item) -> bool:
    if item.label is not None or item.hidden or item.predicted is not None:
        return False
    loop = tool().desk.loop
    if loop is None or loop.training.reading.is_odd(item.id):
        return False
    return loop.training.bringing.is_coming or tool().store.models.present() is not None


def _predicted(item: int) -> Item:
    """Return a picture as soon as the model has answered, or after a while without."""
    end = time.monotonic() + WAIT_S
    found = tool().store.reader.item(item)
    if (loop := tool().desk.loop) is not None:
        loop.poke()
    while _is_waited_for(found) and time.monotonic() < end:
        time.sleep(_NAP_S)
        found = tool().store.reader.item(item)
    return found


def _file_if_sure(item: Item) -> None:
    """Put a picture into its class folder where the model is sure, as the report does.

    It is an automatic label, at the threshold that the tool was started with: the model must not
    learn from its own answers.
    """
    if item.label is None and _is_sure(item):
        tool().store.models.auto_label_single(session["person"], item.id, tool().threshold)
