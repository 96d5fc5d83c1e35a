"""The pages that people see. They work without scripts where a form is enough."""

from __future__ import annotations

import re
import tempfile
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    abort,
    redirect,
    render_template,
    request,
    send_file,
    session,
    url_for,
)  # fmt: skip
from werkzeug import Response

from alutils.base.files import display_path
from alutils.labelling.store import export
from alutils.labelling.store.names import checked_name, checked_person
from alutils.labelling.store.records import Item, LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web.api import sent_files, take, tool

blueprint = Blueprint("pages", __name__)

WAIT_S = 1.5  # for the model's answer to a picture that has just come
_NAP_S = 0.05
MOST_TRIES = 10  # of the page that waits for it, before it asks the person instead

# A place in this tool. Browsers pass over tabs and line ends, and take a backslash for "/": then
# another machine could follow on what looks like one "/".
_PLACE = re.compile(r"/(?!/)[^\x00-\x1f\x7f\\]*")

View = str | Response | tuple[str, int]


@blueprint.before_request
def ask_who() -> Response | None:
    """Ask for a name once; labels say whose they are."""
    if request.endpoint == "pages.who" or session.get("person"):
        return None
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return redirect(url_for("pages.who", next=back))


@blueprint.app_context_processor
def common() -> dict[str, Any]:
    """Give every page what its frame shows."""
    store = tool().store
    return {
        "person": session.get("person"),
        "project": store.folder.resolve().name,
        "project_id": store.project_id,
    }


@blueprint.route("/who", methods=["GET", "POST"])
def who() -> View:
    """Name oneself."""
    back = request.values.get("next", "/")
    if not _PLACE.fullmatch(back):
        back = "/"  # to this tool and nowhere else
    if request.method == "GET":
        return render_template("who.html", next=back)
    session["person"] = checked_person(request.form.get("name", ""))
    session.permanent = True
    return redirect(back)


@blueprint.get("/")
def queue() -> View:
    """Show the queue."""
    return render_template("queue.html")


@blueprint.get("/review")
def review() -> View:
    """Show the grid, to check and mend."""
    return render_template("review.html", classes=tool().store.classes.all())


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


@blueprint.get("/export/<kind>")
def download(kind: str) -> Response:
    """Send the labels as a file: ``csv``, ``jsonl`` or ``npz``."""
    write = {"csv": export.write_csv, "jsonl": export.write_json_lines, "npz": _write_npz}.get(kind)
    if write is None:
        abort(HTTPStatus.NOT_FOUND)
    with ExitStack() as written:
        folder = written.enter_context(tempfile.TemporaryDirectory())
        path = Path(folder) / f"labels.{kind}"
        write(tool().store, path)
        answer = send_file(path, as_attachment=True, download_name=path.name)
        answer.call_on_close(written.pop_all().close)
    return answer


def _write_npz(store: Store, path: Path) -> None:
    text = request.args.get("size", "").strip()
    sides = re.fullmatch(r"([1-9]\d{0,3}) *[xX×] *([1-9]\d{0,3})", text)
    if text and not sides:
        raise LabellingError(f"size={text[:20]!r}: expected height x width in pixels, as 28x28")
    size = (int(sides[1]), int(sides[2])) if sides else None
    sources = ("human",) if request.args.get("people") else ("human", "auto")
    export.write_dataset(store, path, size=size, keep=lambda item: item.label_source in sources)


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
    return redirect(url_for("pages.one_picture", item=item.id))


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
        return redirect(url_for("pages.one_picture", item=item))
    label = request.form.get("label")
    if label is None:
        _file_if_sure(_predicted(item))
        tries = request.args.get("tries", 0, type=int) + 1
        return redirect(url_for("pages.one_picture", item=item, tries=tries))
    try:
        label = checked_name(label)
        if request.form.get("add"):
            store.classes.add([label])
        if store.reader.item(item).label is None:
            store.queue.label(person, item, label)
        else:
            store.queue.relabel(person, [item], label)
    except LabellingError as error:
        new = label not in {c.name for c in store.classes.all()}
        return _one_page(store.reader.item(item), problem=str(error), typed=label, offer=new), 400
    return redirect(url_for("pages.one_picture", item=item))


def _one_form(problem: str | None = None) -> str:
    return render_template("one.html", item=None, problem=problem, threshold=tool().threshold)


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
        classes=store.classes.all(),
        **more,
    )


def _is_sure(item: Item) -> bool:
    return item.confidence is not None and item.confidence >= tool().threshold


def _is_waited_for(item: Item) -> bool:
    if item.label is not None or item.audit or item.predicted is not None:
        return False
    return tool().desk.loop is not None and tool().store.models.present() is not None


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
