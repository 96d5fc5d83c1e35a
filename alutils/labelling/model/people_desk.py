"""Requests about what people say of each other's labels, notes and guidelines; part of the desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from alutils.labelling.model.doubtful import agreement_text, doubtful, people
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.records import Item, checked_number
from alutils.labelling.store.store import Store

MOST_DOUBTS = 500  # in one answer
MOST_CONFUSIONS = 10

Answer = dict[str, Any]


class PeopleDesk:
    """Answers requests as `alutils.labelling.model.desk.Desk`, which takes its `actions` over.

    Parameters
    ----------
    store, loop : the project and its model
    shown : turns a picture into what may be shown of it
    """

    def __init__(
        self,
        store: Store,
        loop: LabellingLoop | None,
        shown: Callable[[Item], Answer],
    ) -> None:
        self.store, self.loop, self._shown = store, loop, shown

    @property
    def actions(self) -> Mapping[str, Callable[..., Answer]]:
        """Functions by the action's name; their arguments are those of a request."""
        return {
            "doubtful": self._doubtful,
            "look_again": self._look_again,
            "settle": self._settle,
            "agreement": self._agreement,
            "note": self._note,
            "guidelines": self._guidelines,
        }

    def _doubtful(self, person: str, limit: int = 50) -> Answer:
        limit = checked_number(limit, "limit", 1, MOST_DOUBTS)
        doubts = None if self.loop is None else self.loop.training.doubts
        found = doubtful(self.store, doubts)
        return {
            "total": len(found),
            "n_new": 0 if self.loop is None else self.loop.training.n_new,
            "is_judging": self.loop is not None and self.loop.is_learning,
            "has_model": self.loop is not None and self.loop.training.held_out is not None,
            "doubts": [
                {
                    "item": self._item(doubt.item),
                    "score": doubt.score,
                    "suggested": doubt.suggested,
                    "folders": doubt.folders,
                    "reasons": [
                        asdict(reason) | {"other": self._item(reason.other)}
                        for reason in doubt.reasons
                    ],
                }
                for doubt in found[:limit]
            ],
        }

    def _item(self, item: int | None) -> Answer | None:
        return None if item is None else self._shown(self.store.reader.item(item))

    def _look_again(self, person: str) -> Answer:
        if self.loop is not None and self.store.plans.open() is None and self.loop.training.n_new:
            self.loop.learn()
        return self._doubtful(person)

    def _settle(self, person: str, item: int, label: str, key: str) -> Answer:
        number = self.store.reader.row(item)["id"]
        suspect = None if self.loop is None else self.loop.training.doubts.suspects.get(number)
        doubted = None if suspect is None else (suspect.suggested, suspect.confidence)
        (event,) = self.store.queue.relabel(person, [item], label, key, doubted=doubted)
        return {"item": self._item(event.item)}

    def _agreement(self, person: str) -> Answer:
        found = people(self.store)
        names = {c.number: c.name for c in self.store.classes.ever()}
        numbers = {
            name: None if value != value else value  # JSON has no NaN
            for name, value in asdict(found.agreement).items()
        }
        return numbers | {
            "unnamed": found.unnamed,
            "waiting": found.waiting,
            "confusions": [
                {"one": names[c.one], "other": names[c.other], "n": c.n, "share": c.share}
                for c in found.confusions[:MOST_CONFUSIONS]
            ],
            "text": agreement_text(found),
        }

    def _note(self, person: str, item: int, text: str) -> Answer:
        self.store.notes.add(person, item, text)
        return {"notes": self.notes([item]).get(item, [])}

    def _guidelines(self, person: str) -> Answer:
        guidelines = self.store.guidelines
        return {"html": guidelines.html(), "version": guidelines.version()}

    def notes(self, items: list[int]) -> dict[int, list[Answer]]:
        """Return notes by picture, as they are shown."""
        return {
            item: [{"person": n.person, "text": n.text, "when": n.when} for n in notes]
            for item, notes in self.store.notes.of(items).items()
        }
