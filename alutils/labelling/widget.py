"""The labelling queue in Jupyter: the same queue, store and model as in the browser.

>>> from alutils.labelling.widget import label
>>> widget = label("pictures", ["cat", "dog"])  # doctest: +SKIP
>>> widget  # doctest: +SKIP
>>> widget.close()  # ends the model and gives the project free for other programs  # doctest: +SKIP
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from alutils.labelling.model.desk import Desk
from alutils.labelling.model.loop import LabellingLoop, classes_of
from alutils.labelling.model.settings import Learning
from alutils.labelling.store import places, restore
from alutils.labelling.store.keeper import Keeper
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web.watch import Watcher
from alutils.models.backbones.names import Backbone

_log = logging.getLogger("alutils")

# Widgets that `label` has opened in this kernel and that are not closed, by project: a cell that
# is run again takes the place of its older widget, to which no name may lead any more.
_open: dict[Path, LabelWidget] = {}

_STATIC = Path(__file__).parent / "web" / "static"


def _one_file(*names: str) -> str:
    """Return the queue's style and scripts as one text: a widget's script imports nothing."""
    style = json.dumps((_STATIC / "queue.css").read_text("utf-8"))
    texts = [(_STATIC / name).read_text("utf-8") for name in names]
    scripts = (re.sub(r"^import .*\n", "", text, flags=re.MULTILINE) for text in texts)
    return f"const STYLE = {style};\n" + "".join(scripts)


class LabelWidget(anywidget.AnyWidget):
    """The queue of a project, to be shown in a cell; `label` makes one from a folder.

    Parameters
    ----------
    store : the project
    loop : the model; None to label without one
    person : whose labels these are
    """

    _esm = _one_file(
        "element.js", "attempt.js", "typeahead.js", "look.js", "notes.js", "guidelines.js",
        "reading.js", "keys.js", "finish_here.js", "queue.js", "widget.js",
    )  # fmt: skip
    # What the script keeps in the browser until it is acknowledged is this project's and person's.
    project = traitlets.Unicode().tag(sync=True)
    person = traitlets.Unicode().tag(sync=True)

    _started = ExitStack()  # what `label` has started for a widget; there is nothing for others

    def __init__(
        self, store: Store, loop: LabellingLoop | None = None, *, person: str = "notebook"
    ) -> None:
        self.store, self.loop = store, loop
        self._desk = Desk(store, loop)
        super().__init__(project=store.project_id, person=checked_person(person))
        self.on_msg(self._receive)

    def answer(self, message: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Answer a message of the widget's script.

        Parameters
        ----------
        message : ``{"id": text, "action": name, "request": arguments}``, as in
            `alutils.labelling.model.desk.Desk`, and one action more: ``picture`` with its number

        Returns
        -------
        content, buffers
            ``{"id": ..., "answer": ...}`` or ``{"id": ..., "error": text, "status": as in HTTP}``;
            a picture's PNG file
        """
        if not isinstance(message, dict) or not isinstance(message.get("id"), str):
            return {"id": "", "error": f"no request: {str(message)[:80]}", "status": 400}, []
        number, action = message["id"], message.get("action", "")
        request = message.get("request", {})
        try:
            if action == "picture":
                item: Any = request.get("item") if isinstance(request, dict) else None
                return {"id": number, "answer": {}}, [self.store.pictures.path(item).read_bytes()]
            return {"id": number, "answer": self._desk.answer(action, self.person, request)}, []
        except LabellingError as error:
            return {"id": number, "error": str(error), "status": error.status}, []
        except Exception as error:
            # The script must hear of it: it keeps what was not acknowledged, and sends it again.
            _log.exception("labelling widget: %s", action)
            return {"id": number, "error": f"a fault in the kernel: {error}", "status": 500}, []

    def _receive(self, _widget: Any, message: Any, _buffers: Any) -> None:
        content, buffers = self.answer(message)
        self.send(content, buffers)

    def close(self) -> None:
        """Take the widget off the page; end what `label` has started for it."""
        super().close()
        for folder in [each for each, widget in _open.items() if widget is self]:
            del _open[folder]
        self._started.close()


def label(
    folder: Path | str,
    classes: Sequence[str] | None = None,
    *,
    model: Path | str | None = None,
    learn: bool = True,
    person: str = "notebook",
    features: str | None = None,
    guidelines: Path | str | None = None,
    project: Path | str | None = None,
) -> LabelWidget:
    """Open a folder of pictures for labelling in this notebook.

    Parameters
    ----------
    folder : of pictures, which are not touched; labels are kept in ``FOLDER/labelling``
    classes : names; those of the model or the project by default
    model : folder of a saved model to begin with
    learn : train a model on the labels in the background
    person : whose labels these are
    features : what computes features, as ``vgg16-block3+4`` or ``lite0``; chosen by the pictures
        and the labels if not given
    guidelines : a Markdown file that says what belongs to which class, shown beside the pictures
    project : folder that labels are kept in instead, where the pictures' one cannot be written

    Returns
    -------
    ``widget.store`` is the project; ``widget.close()`` gives it free. A cell that is run again, or
    another one for the same folder, closes the older widget of this kernel and goes on with what
    was labelled in it.

    Raises
    ------
    LabellingError
        If the folder is no project and cannot become one, or another program has it open.
    """
    place = places.find(folder, project)
    if not place.folder.is_dir():
        raise LabellingError(f"{place.folder}: no such folder; make it, and put pictures into it")
    if model is not None:
        of_model = classes_of(model)  # is there one? before anything is written
        classes = classes or of_model
    person = checked_person(person)
    learning = Learning(features=None if features is None else Backbone.parse(features))
    if (older := _open.get(place.root.resolve())) is not None:  # after all that can be refused
        older.close()
    with ExitStack() as started:
        store = started.enter_context(
            Store.open(folder, classes, project=project, guidelines=guidelines)
        )
        for line in restore.mend_at_start(store):
            _log.warning("%s", line)
        keeper = Keeper(store)
        started.callback(keeper.end)
        loop = LabellingLoop(store, learning, model) if learn else None
        widget = LabelWidget(store, loop, person=person)
        for worker in (keeper, Watcher(store), loop):
            if worker is not None:
                worker.start()
                started.callback(worker.stop)
        widget._started = started.pop_all()
    _open[store.files.root.resolve()] = widget
    return widget
