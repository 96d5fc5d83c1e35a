"""The labelling queue in plain requests and answers: what the web pages and the widget both use.

A request is an action's name and a dictionary, an answer is a dictionary; both can be written as
JSON. Nothing in a request is believed: names, types and values are checked here or in the store.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from alutils.labelling.model.auditing import Auditor
from alutils.labelling.model.loop import LabellingLoop, Status
from alutils.labelling.store.records import Event, Filter, Item, LabellingError, checked_number
from alutils.labelling.store.store import Store

MOST_AT_ONCE = 200  # pictures in one request
ACTIONS = (
    "next", "label", "skip", "undo", "release", "relabel", "revoke", "page", "history", "add_class",
    "certify", "auto", "status",
)  # fmt: skip
_SHOWN = (
    "id", "name", "width", "height", "source", "audit", "label", "label_source", "predicted",
    "confidence", "skipped",
)  # fmt: skip

Answer = dict[str, Any]


class Desk:
    """Answers what people ask."""

    def __init__(
        self,
        store: Store,
        loop: LabellingLoop | None = None,  # None to label without a model
        more: Mapping[str, Callable[[], Any]] | None = None,  # gives further parts of the status
    ) -> None:
        self.store, self.loop, self.more = store, loop, dict(more or {})
        self.actions: dict[str, Callable[..., Answer]] = {
            name: getattr(self, f"_{name}") for name in ACTIONS
        }

    def answer(self, action: str, person: str, request: Mapping[str, Any]) -> Answer:
        """Do what a person asks: a name in `actions`, and that action's own arguments.

        `LabellingError` for an action or argument that does not exist or has a wrong type, and as
        the store.
        """
        if not isinstance(action, str) or action not in self.actions:
            raise LabellingError(f"action={action!r}: expected one of {', '.join(self.actions)}")
        if not isinstance(request, Mapping):
            raise LabellingError(f"request={request!r}: expected an object with the arguments")
        act = self.actions[action]
        arguments = dict(list(inspect.signature(act).parameters.items())[1:])
        if unknown := sorted(str(name) for name in request if name not in arguments):
            expected = ", ".join(arguments) or "none"
            raise LabellingError(f"{action}: unknown argument {unknown[0]!r}; expected {expected}")
        for name, argument in arguments.items():
            if argument.default is inspect.Parameter.empty and name not in request:
                raise LabellingError(f"{action}: {name!r} is missing; give it")
        return act(person, **request)

    # --- actions: their arguments are what a request may have ---------------------------------

    def _next(self, person: str, n: int = 1, where: Mapping[str, Any] | None = None) -> Answer:
        n = checked_number(n, "n", 1, MOST_AT_ONCE)
        items = self.store.queue.hand_out(person, n, as_filter(where))
        return {"items": [shown(item) for item in items]}

    def _label(self, person: str, item: int, label: str, key: str) -> Answer:
        return {"event": _event(self.store.queue.label(person, item, label, _key(key)))}

    def _skip(self, person: str, item: int, key: str) -> Answer:
        event = self.store.queue.skip(person, item, _key(key))
        return {"event": _event(event, event.hidden)}

    def _undo(self, person: str, key: str) -> Answer:
        return {"items": [shown(item) for item in self.store.queue.undo(person, _key(key))]}

    def _release(self, person: str, items: list[int] | None = None) -> Answer:
        chosen = None if items is None else _items(items)
        return {"released": self.store.queue.release(person, chosen)}

    def _relabel(self, person: str, items: list[int], label: str, key: str) -> Answer:
        events = self.store.queue.relabel(person, _items(items), label, _key(key))
        return {"items": [shown(self.store.reader.item(event.item)) for event in events]}

    def _revoke(self, person: str, items: list[int] | None = None) -> Answer:
        chosen = None if items is None else _items(items)
        return {"revoked": self.store.models.revoke(person, items=chosen)}

    def _page(
        self,
        person: str,
        where: Mapping[str, Any] | None = None,
        order: str = "confidence",
        limit: int = 60,
        after: str | None = None,
    ) -> Answer:
        which, limit = as_filter(where), checked_number(limit, "limit", 1, MOST_AT_ONCE)
        page = self.store.reader.page(which, order=order, limit=limit, after=after)
        total = self.store.reader.count(which) if after is None else None
        return {"items": [shown(i) for i in page.items], "after": page.after, "total": total}

    def _history(self, person: str, item: int) -> Answer:
        found = self.store.reader.item(item)
        hidden = found.audit and found.label is None
        events = [_event(event, hidden) for event in self.store.reader.events(item)]
        return {"item": shown(found), "events": events}

    def _add_class(self, person: str, name: str) -> Answer:
        (added,) = self.store.classes.add([name])
        return {"added": asdict(added), "classes": [asdict(c) for c in self.store.classes.all()]}

    def _certify(self, person: str) -> Answer:
        certificate = self._auditor().certify()
        return {"threshold": certificate.threshold, "reason": certificate.sentence()}

    def _auto(self, person: str) -> Answer:
        return {"labelled": self._auditor().auto_label()}

    def _auditor(self) -> Auditor:
        if self.loop is None:
            raise LabellingError(
                "automatic labels: the tool was started without a model; start it with one"
            )
        return self.loop.auditor

    def _status(self, person: str) -> Answer:
        return self.status() | {"person": person}

    def status(self) -> Answer:
        """How far the labelling is, the classes, and what the model does and may do."""
        status = None if self.loop is None else self.loop.status()
        return {
            "progress": asdict(self.store.reader.progress()),
            "classes": [asdict(c) for c in self.store.classes.all()],
            "model": None if status is None else asdict(status),
            "model_text": model_text(status),
            "offers": self._offers(status),
            **{name: part() for name, part in self.more.items()},
        }

    def _offers(self, status: Status | None) -> list[Answer]:
        """Return what can be asked of the model now, with the texts of buttons."""
        if status is None or not status.model:
            return []
        if status.threshold is not None:
            n = self.store.models.n_offered(status.threshold)
            return [{"action": "auto", "text": f"Let the model label {n:,}"}] if n else []
        if status.missing == 0:
            return [{"action": "certify", "text": "Ask for a certificate"}]
        return []


_DOING = {
    "loading": "The model is being loaded.",
    "training": "The model learns from the new labels.",
    "scoring": "The pictures are put into their new order.",
}


def model_text(status: Status | None) -> list[Answer]:
    """Say in sentences what the model is, does and may do, each with its kind for the page."""
    if status is None:
        return [{"kind": "note", "text": "There is no model; pictures come in random order."}]
    lines = []
    if status.problem:
        lines.append({"kind": "bad", "text": status.problem})
    if status.state == "features":
        done = f"{status.features_done:,} of {status.features_total:,}"
        lines.append({"kind": "note", "text": f"The model reads the pictures: {done}."})
    elif status.state in _DOING:
        lines.append({"kind": "note", "text": _DOING[status.state]})
    if status.model:
        origin = "The model was brought along" if status.brought else (
            f"The model learnt from {status.n_trained:,} labels"
        )  # fmt: skip
        since = f"; {status.n_new:,} are new since" if status.n_new else ""
        lines.append({"kind": "note", "text": f"{origin}{since}."})
    elif not lines:
        text = "There is no model yet: it comes by itself, from the first labels of two classes."
        lines.append({"kind": "note", "text": text})
    if status.audit_labelled:
        share = status.audit_right / status.audit_labelled
        # Of the present model only once it was asked about, see `Status`.
        who = "it has" if status.audit_is_present else "the models of the time had"
        text = (
            f"On pictures drawn at random {who} {share:.0%} right ({status.audit_right:,} of "
            f"{status.audit_labelled:,}; 95% interval {status.audit_low:.0%} to "
            f"{status.audit_high:.0%})."
        )
        lines.append({"kind": "note", "text": text})
    if status.model:
        on = status.threshold is not None
        word = "Automatic labels are allowed" if on else "Automatic labels are off"
        lines.append({"kind": "good" if on else "note", "text": f"{word}. {status.reason}"})
        lines.append({"kind": "note", "text": status.advice})
    return lines


def shown(item: Item) -> Answer:
    """Return what may be shown of a picture."""
    return {name: getattr(item, name) for name in _SHOWN} | {"version": item.sha256[:16]}


def as_filter(where: object) -> Filter | None:
    """Turn a request's filter into one; `LabellingError` for names that filters do not have."""
    if where is None:
        return None
    if not isinstance(where, Mapping):
        raise LabellingError(f"where={where!r}: expected an object, as {{'source': 'auto'}}")
    known = {field.name for field in fields(Filter)}
    if unknown := sorted(map(str, where.keys() - known)):
        raise LabellingError(f"where: unknown {unknown[0]!r}; expected {', '.join(sorted(known))}")
    return Filter(**where)


def _event(event: Event, hidden: bool = False) -> Answer:
    """Return an event; without the prediction while the picture's is hidden."""
    parts = asdict(event)
    if hidden:
        parts |= {"predicted": None, "confidence": None}
    return parts


def _items(items: object) -> list[int]:
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_AT_ONCE:
        raise LabellingError(f"items: expected a list of 1 to {MOST_AT_ONCE} numbers of pictures")
    if len(set(map(repr, items))) != len(items):
        raise LabellingError("items: a picture is named twice; name each once")
    return items


def _key(key: object) -> str:
    # A request without one could not be sent again safely after its answer was lost.
    if not isinstance(key, str) or not key.strip():
        raise LabellingError(f"key={key!r}: expected a text made up for this request, as a UUID")
    return key
