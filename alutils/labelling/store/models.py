"""What models do: scores, automatic labels, and taking those back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.folders import ClassFolders
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.reader import HIDDEN, Reader
from alutils.labelling.store.records import LabellingError, Model

_PRESENT = "(SELECT models.id FROM models JOIN meta ON value = sha256 WHERE meta.name = 'model')"
# What a person took back is the person's: only another model may label it again. The values are
# the least confidence, the picture's number, seconds since 1970, the person.
_FREE = f"""label IS NULL AND rejected IS NULL AND NOT unreadable AND NOT {HIDDEN}
    AND confidence >= ? AND id = ? AND (until IS NULL OR until <= ? OR person = ?)
    AND NOT EXISTS (SELECT 1 FROM events WHERE events.item = items.id AND events.kind = 'revoke'
        AND events.model = items.model)"""
# What one model says is in one order: what it has not seen has no score any more. Ranks below 0 are
# those of pictures that come first whatever a model says.
_FORGET = """UPDATE items SET predicted = NULL, confidence = NULL, model = NULL,
    rank = CASE WHEN rank < 0 THEN rank ELSE 2 + shuffle END WHERE model IS NOT NULL"""


@dataclass
class Models:
    """Scores, the models that gave them, and automatic labels."""

    database: Database
    reader: Reader
    folders: ClassFolders

    def present(self) -> Model | None:
        """Return the model that gave the present scores; None if none did."""
        return next(iter(self.all(f"id = {_PRESENT}")), None)

    def all(self, condition: str = "1") -> list[Model]:
        """All models that ever gave scores, oldest first; or those of an SQL condition."""
        query = f"SELECT * FROM models WHERE {condition} ORDER BY id"
        return [
            Model(
                sha256=row["sha256"],
                classes=tuple(json.loads(row["classes"])),
                n_trained=row["n_trained"],
                when=shown_time(row["at"]),
                path=row["path"],
            )
            for row in self.database.connection.execute(query)
        ]

    def set_scores(
        self,
        model: Model,
        items: np.ndarray,
        predicted: np.ndarray,
        confidence: np.ndarray,
        settings: Mapping[str, str] | None = None,
        unless: Callable[[], bool] = lambda: False,
        *,
        margin: np.ndarray | None = None,
    ) -> bool:
        """Write down what a model thinks of pictures; from then on the queue goes by it.

        Least margins come first, after the pictures of `put_first`.

        Parameters
        ----------
        model : its ``when`` is set here
        items : (n,) int, numbers of pictures; those that are gone are passed over
        predicted : (n,) int, class numbers of the store
        confidence : (n,) float, 0 to 1
        settings : of the project, kept in the same transaction
        unless : is asked within the transaction whether it comes too late: then nothing is written
        margin : (n,) float, 0 to 1, between the two likeliest classes; None: the confidence

        Returns
        -------
        whether it was written

        Raises
        ------
        LabellingError
            For arrays that do not fit, a confidence or margin that is no number from 0 to 1, a
            class that does not exist. Nothing is written then: the queue stays as it was.
        """
        items, predicted = np.asarray(items), np.asarray(predicted)
        confidence = np.asarray(confidence, float)
        margin = confidence if margin is None else np.asarray(margin, float)
        shapes = {each.shape for each in (items, predicted, confidence, margin)}
        if len(shapes) > 1 or items.ndim != 1:
            raise LabellingError(
                f"{items.shape} pictures, {predicted.shape} predictions, {confidence.shape} "
                f"confidences, {margin.shape} margins: expected one each, in arrays of one length"
            )
        for what, values in (("confidences", confidence), ("margins", margin)):
            bad = ~((values >= 0) & (values <= 1))
            if bad.any():
                raise LabellingError(
                    f"model {model.sha256[:12]}: {np.count_nonzero(bad)} of {len(bad)} {what} are "
                    f"no numbers from 0 to 1 ({values[bad][0]} is the first); train it again"
                )
        with self.database.transaction() as connection:
            if unless():
                return False
            n_classes = connection.execute("SELECT count(*) FROM classes").fetchone()[0]
            if len(predicted) and not 0 <= predicted.min() <= predicted.max() < n_classes:
                raise LabellingError(
                    f"predicted class {predicted.max()}: expected 0 to {n_classes - 1}; this model "
                    "has other classes"
                )
            number = self._write_model(connection, model)
            for name, value in {"model": model.sha256, **(settings or {})}.items():
                self.database.set_setting(name, value)
            connection.executemany(
                f"""UPDATE items SET predicted = ?1, confidence = ?2, model = {number},
                    rank = CASE WHEN rank < 0 THEN rank ELSE ?3 END WHERE id = ?4""",
                zip(*(a.tolist() for a in (predicted, confidence, margin, items)), strict=True),
            )
            connection.execute(f"{_FORGET} AND model <> ?", (number,))
            self.database.step("scores written")
        return True

    def put_first(self, items: np.ndarray, settings: Mapping[str, str]) -> None:
        """Let pictures come first in the queue, whatever a model says of them.

        Parameters
        ----------
        items : (n,) int, their numbers in the order to show them; those before lose their place
        settings : of the project, kept in the same transaction
        """
        with self.database.transaction() as connection:
            connection.execute(
                """UPDATE items SET rank = coalesce(confidence, 2 + shuffle)
                WHERE rank < 0 AND label IS NULL"""
            )
            ranks = np.arange(len(items)) / max(len(items), 1) - 1
            connection.executemany(
                "UPDATE items SET rank = ? WHERE id = ?",
                zip(ranks.tolist(), np.asarray(items).tolist(), strict=True),
            )
            for name, value in settings.items():
                self.database.set_setting(name, value)
            self.database.step("first pictures written")

    def clear_scores(self) -> None:
        """Forget all scores and the model that gave them: the queue is in random order again."""
        with self.database.transaction():
            self.forget_scores()

    def forget_scores(self) -> None:
        """Do what `clear_scores` does, within a transaction."""
        self.database.connection.execute(_FORGET)
        self.database.set_setting("model", "")

    def _write_model(self, connection: sqlite3.Connection, model: Model) -> int:
        """Write down a model; one that is there keeps all but its path."""
        classes, now = json.dumps(list(model.classes)), self.database.clock()
        connection.execute(
            """INSERT INTO models VALUES (NULL, ?, ?, ?, ?, ?)
            ON CONFLICT (sha256) DO UPDATE SET path = excluded.path""",
            (model.sha256, classes, model.n_trained, now, model.path),
        )
        self.database.step("model written")
        query = "SELECT id FROM models WHERE sha256 = ?"
        return connection.execute(query, (model.sha256,)).fetchone()[0]

    def give(
        self,
        connection: sqlite3.Connection,
        model: int,
        labels: Iterable[tuple[int, int, float]],
        *,
        threshold: float | None = None,
        plan: int | None = None,
        hidden: bool = True,
    ) -> list[int]:
        """Write automatic labels, within a transaction; return which pictures have one now.

        Whether that is allowed is for the caller to say; class folders follow afterwards.

        Parameters
        ----------
        model : number of the model in its table
        labels : picture, class number and confidence of each
        threshold, plan, hidden : of the events
        """
        at = self.database.clock()
        rows = [(item, label, model, at, c, threshold, hidden, plan) for item, label, c in labels]
        last = self.reader.position()[0]
        connection.executemany(
            """INSERT INTO events (item, kind, label, model, at, predicted, confidence, threshold,
                hidden, plan) VALUES (?1, 'auto', ?2, ?3, ?4, ?2, ?5, ?6, ?7, ?8)""",
            rows,
        )
        self.database.step("events written")
        query = "SELECT label, id, item FROM events WHERE id > ? ORDER BY id"
        written = [tuple(row) for row in connection.execute(query, (last,))]
        connection.executemany(
            """UPDATE items SET label = ?, label_source = 'auto', event = ?, person = NULL,
                until = NULL WHERE id = ?""",
            written,
        )
        self.database.step("items written")
        return [item for _, _, item in written]

    def auto_label_single(self, person: str, item: int, threshold: float) -> bool:
        """Give one picture the class that the model predicts; returns whether it was labelled.

        It needs no certificate, as the person who has brought it sees the answer at once. It is an
        automatic label as all others: nobody's answer, never trained on, revocable. Left alone are
        pictures that have a label, were rejected, wait in an open attempt to finish, or are held by
        another person, and those of which this model's label was taken back before.
        """
        person = checked_person(person)
        with self.database.transaction() as connection:
            number = self.reader.row(item)["id"]
            row = connection.execute(
                f"SELECT id, predicted, confidence, model FROM items WHERE {_FREE}",
                (threshold, number, self.database.steady(), person),
            ).fetchone()
            done = row is not None
            if done:
                labels = [(row["id"], row["predicted"], row["confidence"])]
                # The person sees the answer.
                self.give(connection, row["model"], labels, threshold=threshold, hidden=False)
        if done:
            self.folders.show([number])
        return done

    def revoke(self, person: str, items: Sequence[int] | None = None) -> int:
        """Take back automatic labels, all or only these pictures'; returns how many.

        Those that a person has confirmed or changed stay.
        """
        person = checked_person(person)
        condition = "items.label_source = 'auto'"
        values: list[str] = []
        with self.database.transaction() as connection:
            if items is not None:
                for item in items:
                    self.reader.row(item)
                condition += " AND items.id IN (SELECT value FROM json_each(?))"
                values.append(json.dumps([int(item) for item in items]))
            query = f"SELECT id, label FROM items WHERE {condition} ORDER BY id"
            before = {row["id"]: row["label"] for row in connection.execute(query, values)}
            connection.execute(
                f"""INSERT INTO events (item, kind, replaced, person, model, at, predicted,
                    confidence, threshold)
                SELECT items.id, 'revoke', items.event, ?, events.model, ?, events.predicted,
                    events.confidence, events.threshold
                FROM items JOIN events ON events.id = items.event
                WHERE {condition} ORDER BY items.id""",
                (person, self.database.clock(), *values),
            )
            self.database.step("events written")
            connection.executemany(
                "UPDATE items SET label = NULL, label_source = NULL, event = NULL WHERE id = ?",
                [(item,) for item in before],
            )
            self.database.step("items written")
        self.folders.show(before, before.values())
        return len(before)
