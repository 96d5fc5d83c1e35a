"""The audit slice: pictures drawn at random that check models, and what was asked of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from alutils.labelling.store.database import Database
from alutils.labelling.store.reader import FIRST_ANSWER, as_arrays
from alutils.labelling.store.records import LabellingError

AUDIT_SHARE, AUDIT_RATE = 0.1, 0.2


@dataclass
class AuditSlice:
    """The slice of the project that a database holds; it never trains a model."""

    database: Database

    def settings(self) -> dict[str, float]:
        """Return the project's ``audit_share`` and ``audit_rate``."""
        names = ("audit_share", "audit_rate")
        return {name: float(self.database.setting(name, "0")) for name in names}

    def set_up(self, share: float | None, rate: float | None) -> None:
        """Keep the settings that are given, and in a new project the usual ones for the others.

        Within a transaction.

        Raises
        ------
        LabellingError
            If pictures have been drawn with another share: no random sample would be left.
        """
        before = self.database.setting("audit_share")
        query = "SELECT 1 FROM items WHERE source <> 'single' LIMIT 1"
        is_drawn = before and self.database.connection.execute(query).fetchone()
        if share is not None and is_drawn and float(before) != share:
            raise LabellingError(
                f"audit_share={share}: this project's pictures were drawn into the audit slice "
                f"with {before}, and all must have the same chance; leave it out, or begin "
                "another project"
            )
        given = {"audit_share": (share, AUDIT_SHARE), "audit_rate": (rate, AUDIT_RATE)}
        for name, (value, usual) in given.items():
            if value is not None or not self.database.setting(name):
                self.database.set_setting(name, str(usual if value is None else value))

    def answers(self) -> dict[str, np.ndarray]:
        """Return the audit slice under the present scores, in its random order.

        Pictures that come in later take their places in that order, so that its first n are at any
        time n pictures drawn at random from all that there are now.

        Returns
        -------
        ``id`` (n,) int64; ``label`` (n,) int64, the first answer that a person gave without seeing
        the prediction, whatever the picture's label is now, -1 where there is none; ``predicted``
        (n,) int64, ``confidence`` (n,) float64; ``answered`` (n,) bool, whether somebody has,
        be it by skipping; ``asked`` (n,) bool, whether all pictures up to this one are answered:
        the part of the slice that nobody has chosen. Only pictures that the present model has
        scored.
        """
        rows = self.database.connection.execute(
            f"""SELECT items.id, coalesce(first.label, -1), items.predicted, items.confidence,
                first.label IS NOT NULL OR items.skipped > 0 FROM items
            LEFT JOIN events AS first ON first.id = {FIRST_ANSWER}
            WHERE items.audit AND items.predicted IS NOT NULL AND NOT items.unreadable
            ORDER BY items.shuffle, items.id"""
        ).fetchall()
        kinds: dict[str, type] = {"id": np.int64, "label": np.int64, "predicted": np.int64}
        found = as_arrays(rows, kinds | {"confidence": float, "answered": bool})
        found["asked"] = np.logical_and.accumulate(found["answered"])
        return found

    def number_of_question(self, model: str, data: str, ask: bool = True) -> int:
        """Return which question to the audit slice this is, from 1 on; each keeps its number.

        Each model that is certified with one audit takes a part of the risk of being wrong, so they
        are counted, over restarts too.

        Parameters
        ----------
        model, data : hashes
        ask : False to learn the number that it would get
        """
        with self.database.transaction():
            asked = json.loads(self.database.setting("questions", "[]"))
            if [model, data] not in asked:
                asked.append([model, data])
                if ask:
                    self.database.set_setting("questions", json.dumps(asked))
            return asked.index([model, data]) + 1

    def was_asked(self, model: str, data: str | None = None) -> bool:
        """Tell whether `number_of_question` has counted this model, with this data or with any."""
        asked = json.loads(self.database.setting("questions", "[]"))
        return any(m == model and data in (d, None) for m, d in asked)

    def size(self) -> int:
        """Return how many pictures the audit slice has, whether scored or not."""
        query = "SELECT count(*) FROM items WHERE audit AND NOT unreadable"
        return self.database.connection.execute(query).fetchone()[0]
