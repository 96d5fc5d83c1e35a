"""The labelling queue in Jupyter: the same queue, store and model as in the browser.

>>> from alutils.labelling.widget import label
>>> widget = label("pictures", ["cat", "dog"])  # doctest: +SKIP
>>> widget  # doctest: +SKIP
>>> widget.close()  # ends the model and gives the project free for other programs  # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anywidget

from alutils.labelling.model.desk import Desk
from alutils.labelling.model.learner import classes_of
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web.watch import Watcher

_log = logging.getLogger("alutils")

_STATIC = Path(__file__).parent / "web" / "static"


class LabelWidget(anywidget.AnyWidget):
    """The queue of a project, to be shown in a cell; `label` makes one from a folder.

    Parameters
    ----------
    store : the project
    loop : the model; None to label without one
    person : whose labels these are
    """

    # A widget's script is one file: the queue, and what connects it to the kernel.
    _esm = "".join((_STATIC / name).read_text("utf-8") for name in ("queue.js", "widget.js"))
    _css = (_STATIC / "queue.css").read_text("utf-8")

    _started = ExitStack()  # what `label` has started for a widget; there is nothing for others

    def __init__(
        self, store: Store, loop: LabellingLoop | None = None, *, person: str = "notebook"
    ) -> None:
        self.person = checked_person(person)
        self.store, self.loop = store, loop
        self._desk = Desk(store, loop)
        super().__init__()
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
        self._started.close()


def label(
    folder: Path | str,
    classes: Sequence[str] | None = None,
    *,
    model: Path | str | None = None,
    learn: bool = True,
    person: str = "notebook",
) -> LabelWidget:
    """Open a folder of pictures for labelling in this notebook.

    Parameters
    ----------
    folder : of pictures, which are not touched; labels are kept in ``FOLDER/labelling``
    classes : names; those of the model or the project by default
    model : folder of a saved model to begin with
    learn : train a model on the labels in the background
    person : whose labels these are

    Returns
    -------
    ``widget.store`` is the project; ``widget.close()`` gives it free

    Raises
    ------
    LabellingError
        If the folder is no project and cannot become one, or another program has it open.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LabellingError(f"{folder}: no such folder; make it, and put pictures into it")
    if model is not None:
        classes = classes or classes_of(model)
    with ExitStack() as started:
        store = started.enter_context(Store.open(folder, classes))
        store.reconcile()
        loop = LabellingLoop(store, model_folder=model) if learn else None
        widget = LabelWidget(store, loop, person=person)
        for worker in (Watcher(store), loop):
            if worker is not None:
                worker.start()
                started.callback(worker.stop)
        widget._started = started.pop_all()
    return widget
