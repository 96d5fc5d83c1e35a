"""How a project's pictures are read: what people decided where models had not seen their like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.models import Models
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.plans import Plans
from alutils.labelling.store.records import ConflictError

_DECIDED, _ASKED = "reading", "reading_asked"


@dataclass
class Readings:
    """The decisions of the project that a database holds."""

    database: Database
    plans: Plans
    models: Models

    def decided(self) -> dict[str, dict[str, Any]]:
        """Return the decisions, by what they are about.

        Each has ``choice``, ``person``, ``when``, and what the choice depends on: ``ground``,
        ``whole``.
        """
        return json.loads(self.database.setting(_DECIDED, "{}"))

    def decide(self, person: str, kind: str, choice: str | None, **depends: Any) -> None:
        """Write a decision down, None to take it back, and forget all scores.

        What models said before holds for pictures that were read in another way. ConflictError
        while an attempt to finish goes on: its model, and what it sees, are frozen.
        """
        person = checked_person(person)
        with self.database.transaction():
            if self.plans.open() is not None:
                raise ConflictError(
                    "An attempt to finish goes on, and its model sees the pictures as they were "
                    "when it began; stop it first, or wait until it has ended"
                )
            decided = self.decided()
            decided.pop(kind, None)
            if choice is not None:
                when = shown_time(self.database.clock())
                decided[kind] = {"choice": choice, "person": person, "when": when, **depends}
            self.database.set_setting(_DECIDED, json.dumps(decided))
            asked = self.asked()
            asked.pop(kind, None)
            self.database.set_setting(_ASKED, json.dumps(asked))
            self.models.forget_scores()
            self.database.step("reading decided")

    def asked(self) -> dict[str, dict[str, Any]]:
        """Return what is asked of pictures that came after others, by what it is about."""
        return json.loads(self.database.setting(_ASKED, "{}"))

    def ask(self, kind: str, question: Mapping[str, Any]) -> None:
        """Keep a question until it is decided, whatever is labelled meanwhile."""
        with self.database.transaction():
            asked = self.asked()
            asked.setdefault(kind, dict(question))
            self.database.set_setting(_ASKED, json.dumps(asked))
