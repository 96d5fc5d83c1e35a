"""What models do: scores, automatic labels, and taking those back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.folders import ClassFolders
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.reader import Reader
from alutils.labelling.store.records import LabellingError, Model, UnknownError

_PRESENT = "(SELECT models.id FROM models JOIN meta ON value = sha256 WHERE meta.name = 'model')"
# What a person took back is the person's: only another model may label it again. The values are
# the least confidence and seconds since 1970.
_FREE = """label IS NULL AND NOT audit AND NOT unreadable AND confidence >= ?
    AND NOT EXISTS (SELECT 1 FROM events WHERE events.item = items.id AND events.kind = 'revoke'
        AND events.model = items.model)"""
# What one model says is in one order: what it has not seen has no score any more.
_FORGET = """UPDATE items SET predicted = NULL, confidence = NULL, model = NULL,
    rank = 2 + shuffle WHERE model IS NOT NULL"""
_OFFERED = f"{_FREE} AND source <> 'single' AND model = {_PRESENT} AND coalesce(until, 0) <= ?"


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
                certificate=json.loads(row["certificate"]),
            )
            for row in self.database.connection.execute(query)
        ]

    def set_scores(
        self, model: Model, items: np.ndarray, predicted: np.ndarray, confidence: np.ndarray
    ) -> None:
        """Write down what a model thinks of pictures; from then on the queue goes by it.

        Parameters
        ----------
        model : its ``when`` is set here
        items : (n,) int, numbers of pictures; those that are gone are passed over
        predicted : (n,) int, class numbers of the store
        confidence : (n,) float, 0 to 1

        Raises
        ------
        LabellingError
            For arrays that do not fit, a confidence that is no number from 0 to 1, a class that
            does not exist. Nothing is written then: the queue stays as it was.
        """
        items, predicted = np.asarray(items), np.asarray(predicted)
        confidence = np.asarray(confidence, float)
        if not (items.shape == predicted.shape == confidence.shape and items.ndim == 1):
            raise LabellingError(
                f"{items.shape} pictures, {predicted.shape} predictions, {confidence.shape} "
                "confidences: expected one each, in three arrays of one length"
            )
        bad = ~((confidence >= 0) & (confidence <= 1))
        if bad.any():
            raise LabellingError(
                f"model {model.sha256[:12]}: {np.count_nonzero(bad)} of {len(bad)} confidences are "
                f"no numbers from 0 to 1 ({confidence[bad][0]} is the first); train it again"
            )
        with self.database.transaction() as connection:
            n_classes = connection.execute("SELECT count(*) FROM classes").fetchone()[0]
            if len(predicted) and not 0 <= predicted.min() <= predicted.max() < n_classes:
                raise LabellingError(
                    f"predicted class {predicted.max()}: expected 0 to {n_classes - 1}; this model "
                    "has other classes"
                )
            number = self._write_model(connection, model)
            self.database.set_setting("model", model.sha256)
            connection.executemany(
                f"""UPDATE items SET predicted = ?1, confidence = ?2, model = {number},
                    rank = CASE WHEN audit THEN rank ELSE ?2 END WHERE id = ?3""",
                zip(predicted.tolist(), confidence.tolist(), items.tolist(), strict=True),
            )
            connection.execute(f"{_FORGET} AND model <> ?", (number,))
            self.database.step("scores written")

    def clear_scores(self) -> None:
        """Forget all scores and the model that gave them: the queue is in random order again."""
        with self.database.transaction() as connection:
            connection.execute(_FORGET)
            self.database.set_setting("model", "")

    def _write_model(self, connection: sqlite3.Connection, model: Model) -> int:
        """Write down a model, without a certificate; one that is there keeps all but its path."""
        unused = "" if self.database.version > 1 else ", '{}'"
        classes, now = json.dumps(list(model.classes)), self.database.clock()
        connection.execute(
            f"""INSERT INTO models VALUES (NULL, ?, ?, ?, ?, ?, '{{}}'{unused})
            ON CONFLICT (sha256) DO UPDATE SET path = excluded.path""",
            (model.sha256, classes, model.n_trained, now, model.path),
        )
        self.database.step("model written")
        query = "SELECT id FROM models WHERE sha256 = ?"
        return connection.execute(query, (model.sha256,)).fetchone()[0]

    def auto_label(self, model: str, threshold: float, certificate: Mapping[str, Any]) -> int:
        """Give every picture that the model is sure enough of the class that it predicts.

        Left alone: pictures with a label, of the audit slice, of source ``single``, those that a
        person holds, and those of which this model's label was taken back before.
        Whether the certificate is good is for the caller to say, see
        `alutils.labelling.model.auditing`.

        Parameters
        ----------
        model : SHA-256 of the model whose scores these are; another one is refused
        threshold : least confidence, over 0, at most 1
        certificate : why this is allowed; kept with the model

        Returns
        -------
        how many pictures were labelled; all of them or, after an error, none
        """
        if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise LabellingError(f"threshold={threshold!r}: expected more than 0, at most 1")
        if not certificate:
            raise LabellingError(
                "certificate is missing: pictures are labelled automatically only above a "
                "threshold that was certified"
            )
        with self.database.transaction() as connection:
            given = connection.execute(
                f"UPDATE models SET certificate = ? WHERE id = {_PRESENT} AND sha256 = ?",
                (json.dumps(dict(certificate), allow_nan=False), model),
            )
            if not given.rowcount:
                raise UnknownError(
                    f"model {str(model)[:12]}: the scores are no longer this model's; certify the "
                    "present one"
                )
            values = (threshold, self.database.clock())
            items = self._label_as_predicted(_OFFERED, values, threshold, hidden=True)
        self.folders.show(items)
        return len(items)

    def _label_as_predicted(
        self, condition: str, values: Sequence[object], threshold: float, *, hidden: bool
    ) -> list[int]:
        """Give the pictures of a condition their class, in a transaction; return which they are."""
        connection = self.database.connection
        last = self.reader.position()[0]
        connection.execute(
            f"""INSERT INTO events (item, kind, label, model, at, predicted, confidence,
                threshold, hidden)
            SELECT id, 'auto', predicted, model, ?, predicted, confidence, ?, ? FROM items
            WHERE {condition} ORDER BY id""",
            (self.database.clock(), threshold, hidden, *values),
        )
        self.database.step("events written")
        query = "SELECT id, item FROM events WHERE id > ? ORDER BY id"
        written = [tuple(row) for row in connection.execute(query, (last,))]
        connection.executemany(
            """UPDATE items SET label = predicted, label_source = 'auto', event = ?,
                person = NULL, until = NULL WHERE id = ?""",
            written,
        )
        self.database.step("items written")
        return [item for _, item in written]

    def n_offered(self, threshold: float) -> int:
        """Return how many pictures `auto_label` would label now from this confidence on."""
        query = f"SELECT count(*) FROM items WHERE {_OFFERED}"
        values = (threshold, self.database.clock())
        return self.database.connection.execute(query, values).fetchone()[0]

    def auto_label_single(self, person: str, item: int, threshold: float) -> bool:
        """Give one picture the class that the model predicts; returns whether it was labelled.

        It needs no certificate, as the person who has brought it sees the answer at once, and is an
        automatic label as all others: nobody's answer, never trained on, revocable. Left alone as
        in `auto_label`, but that it may be of source ``single`` and be held by this person.
        """
        person = checked_person(person)
        with self.database.transaction():
            row = self.reader.row(item)
            values = (threshold, row["id"], self.database.clock(), person)
            condition = f"{_FREE} AND id = ? AND (until IS NULL OR until <= ? OR person = ?)"
            # The person sees the answer.
            done = self._label_as_predicted(condition, values, threshold, hidden=False)
        self.folders.show(done)
        return bool(done)

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
