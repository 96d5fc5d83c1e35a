"""The random picks of the queue: what tells how good a model is on all pictures."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np

from alutils.labelling.store.database import Database
from alutils.labelling.store.reader import as_arrays

RATE = 0.1
"""The share of what is handed out that takes a step in the random order, once there is a model."""
_RATE, _PLACE = "random_rate", "random_place"
_ALL = "rejected IS NULL AND NOT unreadable AND source <> 'single'"
_FREE = f"""SELECT id FROM items WHERE {_ALL} AND label IS NULL AND skipped = 0
    AND (until IS NULL OR until <= ?) AND {{}}
    ORDER BY shuffle, id LIMIT 1"""


@dataclass
class RandomSample:
    """The first pictures of the project's random order.

    The queue hands out the hardest pictures, so what is labelled tells little about the others.
    Therefore the queue also walks, a step now and then, through all pictures in a random order that
    was drawn when they came in. A step whose picture has a label already costs nothing; else the
    picture is handed out. How far the walk has come does not depend on any label, so the pictures
    that it has passed are a random sample of all, each with the same probability. They train models
    as all others do: predict them out of fold.
    """

    database: Database

    def set_up(self, rate: float | None) -> None:
        """Keep the rate that is given, and `RATE` where none was before; within a transaction."""
        if rate is not None or not self.database.setting(_RATE):
            self.database.set_setting(_RATE, str(RATE if rate is None else rate))

    def rate(self) -> float:
        """Return the share of what is handed out that takes a step, from 0 to 1."""
        return float(self.database.setting(_RATE, "0"))

    def place(self) -> float:
        """Return how far the walk has come in the random order, from 0 to 1."""
        return float(self.database.setting(_PLACE, "0"))

    def step(self, connection: sqlite3.Connection, now: float) -> int | None:
        """Take a step, within a transaction.

        A picture that the walk has passed and that nobody holds comes first: it came in later, or
        was given back. ``now`` is in seconds since 1970.

        Returns
        -------
        the picture to hand out, None where the step's picture has its label or is held
        """
        place = self.place()
        behind = connection.execute(_FREE.format("shuffle <= ?"), (now, place)).fetchone()
        if behind is not None:
            return behind[0]
        query = f"SELECT min(shuffle) FROM items WHERE {_ALL} AND shuffle > ?"
        following = connection.execute(query, (place,)).fetchone()[0]
        if following is None:
            return None
        self.database.set_setting(_PLACE, repr(following))
        row = connection.execute(_FREE.format("shuffle = ?"), (now, following)).fetchone()
        return None if row is None else row[0]

    def labelled(self) -> np.ndarray:
        """Return (n,) int64: the pictures of the sample that may be judged by, in random order.

        All that the walk has passed, up to the first that waits for its label. What people skip is
        left out: the sample stands for the pictures that can be named.
        """
        rows = self.database.connection.execute(
            f"""SELECT id, label_source IS 'human' FROM items
            WHERE {_ALL} AND shuffle <= ? AND (label_source IS 'human' OR skipped = 0)
            ORDER BY shuffle, id""",
            (self.place(),),
        ).fetchall()
        found = as_arrays(rows, {"id": np.int64, "named": bool})
        return found["id"][np.logical_and.accumulate(found["named"])]

    def not_by_doubt(self) -> np.ndarray:
        """Return (n,) int64: pictures with people's labels that no model's doubt has picked.

        Those of the random sample, typical ones that came first, those that had their label before
        there was a model, and imported ones: as hard as others of which a model is as sure.
        """
        rows = self.database.connection.execute(
            """SELECT items.id FROM items JOIN events ON events.id = (
                SELECT min(id) FROM events AS first
                WHERE first.item = items.id AND first.kind IN ('label', 'import'))
            WHERE label_source = 'human'
                AND (rank < 0 OR events.kind = 'import' OR events.model IS NULL)"""
        )
        found = np.array([row[0] for row in rows], np.int64)
        return np.union1d(found, self.labelled())
