"""The labelling queue in plain requests and answers: what the web pages and the widget both use.

A request is an action's name and a dictionary, an answer is a dictionary; both can be written as
JSON. Nothing in a request is believed: names, types and values are checked here or in the store.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from alutils.labelling.finish import forecast_picture
from alutils.labelling.finish.project import Finish
from alutils.labelling.model.curve_picture import drawn
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.people_desk import PeopleDesk
from alutils.labelling.model.settings import RETRAIN_AFTER
from alutils.labelling.model.words import model_text
from alutils.labelling.store.records import (
    Event,
    Filter,
    Item,
    LabellingError,
    UnknownError,
    checked_number,
)
from alutils.labelling.store.store import Store

MOST_AT_ONCE = 200  # pictures in one request
ACTIONS = (
    "next", "label", "skip", "reject", "undo", "release", "relabel", "reject_these", "revoke",
    "page", "history", "add_class", "class_rename", "class_merge", "class_delete", "class_order",
    "class_key", "class_undo", "reading_decide", "finish_forecast", "finish_plan", "finish_state",
    "finish_stop", "status",
)  # fmt: skip
_SHOWN = (
    "id", "name", "width", "height", "source", "hidden", "label", "label_source", "rejected",
    "predicted", "confidence", "skipped",
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
        self.finish = Finish(store, loop)
        self.actions: dict[str, Callable[..., Answer]] = {
            name: getattr(self, f"_{name}") for name in ACTIONS
        }
        self.people = PeopleDesk(store, loop, shown)
        self.actions |= self.people.actions
        self._arguments = {
            name: dict(list(inspect.signature(act).parameters.items())[1:])
            for name, act in self.actions.items()
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
        act, arguments = self.actions[action], self._arguments[action]
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
        return {"items": self._with_notes(items)}

    def _with_notes(self, items: Sequence[Item]) -> list[Answer]:
        # What others noted of a picture that is asked again would tell what they said.
        notes = self.people.notes([item.id for item in items if not item.hidden])
        return [shown(item) | {"notes": notes.get(item.id, [])} for item in items]

    def _label(self, person: str, item: int, label: str, key: str) -> Answer:
        return self._answered(self.store.queue.label(person, item, label, _key(key)))

    def _skip(self, person: str, item: int, key: str) -> Answer:
        event = self.store.queue.skip(person, item, _key(key))
        return {"event": _event(event, event.hidden)}

    def _reject(self, person: str, item: int, key: str, why: str = "") -> Answer:
        return self._answered(self.store.queue.reject(person, item, why, _key(key)))

    def _answered(self, event: Event) -> Answer:
        if event.plan is not None:
            self.finish.answered()
        return {"event": _event(event, event.plan is not None)}

    def _undo(self, person: str, key: str) -> Answer:
        return {"items": [shown(item) for item in self.store.queue.undo(person, _key(key))]}

    def _release(self, person: str, items: list[int] | None = None) -> Answer:
        chosen = None if items is None else _items(items)
        return {"released": self.store.queue.release(person, chosen)}

    def _relabel(self, person: str, items: list[int], label: str, key: str) -> Answer:
        events = self.store.queue.relabel(person, _items(items), label, _key(key))
        return {"items": [shown(self.store.reader.item(event.item)) for event in events]}

    def _reject_these(self, person: str, items: list[int], why: str = "") -> Answer:
        chosen = _items(items)
        self.store.grid.reject(person, chosen, why)
        return {"items": [shown(self.store.reader.item(item)) for item in chosen]}

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
        return {"items": self._with_notes(page.items), "after": page.after, "total": total}

    def _history(self, person: str, item: int) -> Answer:
        found = self.store.reader.item(item)
        events = [_event(event, found.hidden) for event in self.store.reader.events(item)]
        return {"item": shown(found), "events": events}

    def _add_class(self, person: str, name: str) -> Answer:
        (added,) = self.store.classes.add([name])
        return {"added": asdict(added)} | self._classes(f"{added.name} is there.")

    def _class_rename(self, person: str, name: str, new: str) -> Answer:
        self.store.class_changes.rename(person, name, new)
        return self._classes(f"{name} is {new} now.")

    def _class_merge(self, person: str, name: str, into: str) -> Answer:
        n = self.store.class_changes.merge(person, name, into)
        return {"changed": n} | self._classes(f"{name} is part of {into} now: {n:,} pictures.")

    def _class_delete(self, person: str, name: str, take_back: bool = False) -> Answer:
        n = self.store.class_changes.delete(person, name, take_back=take_back is True)
        return {"changed": n} | self._classes(f"{name} is deleted; {n:,} labels were taken back.")

    def _class_order(self, person: str, names: list[str]) -> Answer:
        self.store.class_changes.order(person, names)
        return self._classes("The classes are in this order now.")

    def _class_key(self, person: str, name: str, key: str | None) -> Answer:
        self.store.class_changes.key(person, name, key)
        return self._classes(f"{name} has the key {key} now." if key else f"{name} has no key now.")

    def _class_undo(self, person: str) -> Answer:
        return self._classes(self.store.class_changes.undo(person) or "Nothing left to undo.")

    def _classes(self, text: str) -> Answer:
        """Return the classes as they are after a change, and what was changed."""
        if self.loop is not None:
            self.loop.poke()
        return {"classes": [asdict(c) for c in self.store.classes.all()], "text": text}

    def _reading_decide(self, person: str, kind: str, choice: str | None) -> Answer:
        if self.loop is None:
            raise LabellingError("the tool was started without a model: nothing reads the pictures")
        self.loop.training.reading.decide(person, kind, choice)
        self.loop.poke()
        return {"reading": asdict(self.loop.training.reading.state)}

    def _finish_forecast(self, person: str) -> Answer:
        forecasts = self.finish.forecast()
        return asdict(forecasts) | {"picture": forecast_picture.drawn(forecasts)}

    def _finish_plan(self, person: str, target: float, by_hand: int | None = None) -> Answer:
        return {"state": asdict(self.finish.plan(target, by_hand=by_hand, person=person))}

    def _finish_state(self, person: str) -> Answer:
        return {"state": self._finish_now()}

    def _finish_stop(self, person: str) -> Answer:
        return {"state": asdict(self.finish.stop(person))}

    def _finish_now(self) -> Answer | None:
        state = self.finish.state()
        return None if state is None else asdict(state)

    def _status(self, person: str) -> Answer:
        return self.status() | {"person": person}

    def status(self) -> Answer:
        """How far the labelling is, the classes, and what the model does."""
        status = None if self.loop is None else self.loop.status()
        now = self.store.standing.progress()
        parts = {name: part() for name, part in self.more.items()}
        to_read = parts.get("folder", {}).get("to_read", 0)
        first = RETRAIN_AFTER if self.loop is None else self.loop.learning.retrain_after
        return {
            "progress": asdict(now),
            "finish": self._finish_now(),
            "classes": [asdict(c) for c in self.store.classes.all()],
            "reading": None if self.loop is None else asdict(self.loop.training.reading.state),
            "model": None if status is None else asdict(replace(status, points=())),
            "model_text": model_text(status, now, to_read=to_read, first=first),
            "curve": None if status is None else drawn(status.points),
            "guidelines": self.store.guidelines.version(),
            **parts,
        }


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
    return [checked_number(item, "picture", 1, 2**62, UnknownError) for item in items]


def _key(key: object) -> str:
    # A request without one could not be sent again safely after its answer was lost.
    if not isinstance(key, str) or not key.strip():
        raise LabellingError(f"key={key!r}: expected a text made up for this request, as a UUID")
    return key
