"""What models do: scores, automatic labels, and taking those back."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from alutils.base.manifest import digest
from alutils.labelling.store.names import checked_name
from alutils.labelling.store.reading import FIRST_ANSWER, Reading, meta, set_meta
from alutils.labelling.store.records import LabellingError, Model, UnknownError

# Of model, least confidence, seconds since 1970. What a person took back is the person's: only
# another model may label it again.
_FREE = """label IS NULL AND NOT audit AND NOT unreadable AND confidence >= ?
    AND NOT EXISTS (SELECT 1 FROM events WHERE events.item = items.id AND events.kind = 'revoke'
        AND events.model = items.model)"""
_OFFERED = f"{_FREE} AND source <> 'single' AND model = ? AND (until IS NULL OR until <= ?)"


class Scoring(Reading):
    """Scores and automatic labels."""

    def show(self, items: Iterable[int], before: Iterable[int | None] = ()) -> None:
        """Make class folders follow the database; `alutils.labelling.store.store.Store` does it."""
        raise NotImplementedError

    def set_scores(
        self,
        model: Model,
        items: np.ndarray,
        predicted: np.ndarray,
        confidence: np.ndarray,
    ) -> None:
        """Write down what a model thinks of pictures; from then on the queue goes by it.

        Parameters
        ----------
        model : its ``when`` is set here; written over if it is known
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
        with self.transaction() as connection:
            n_classes = connection.execute("SELECT count(*) FROM classes").fetchone()[0]
            if len(predicted) and not 0 <= predicted.min() <= predicted.max() < n_classes:
                raise LabellingError(
                    f"predicted class {predicted.max()}: expected 0 to {n_classes - 1}; this model "
                    "has other classes"
                )
            number = self._write_model(connection, model)
            set_meta(connection, "model", model.sha256)
            # What the new model has not seen has no score any more: one order, one model.
            rows = zip(
                predicted.tolist(), confidence.tolist(), confidence.tolist(), items.tolist(),
                strict=True,
            )  # fmt: skip
            connection.executemany(
                f"""UPDATE items SET predicted = ?, confidence = ?, model = {number},
                    rank = CASE WHEN audit THEN rank ELSE ? END WHERE id = ?""",
                rows,
            )
            connection.execute(
                """UPDATE items SET predicted = NULL, confidence = NULL, model = NULL,
                    rank = 2 + shuffle WHERE model IS NOT NULL AND model <> ?""",
                (number,),
            )
            self.step("scores written")

    def clear_scores(self) -> None:
        """Forget all scores and the model that gave them: the queue is in random order again."""
        with self.transaction() as connection:
            connection.execute(
                """UPDATE items SET predicted = NULL, confidence = NULL, model = NULL,
                    rank = 2 + shuffle WHERE model IS NOT NULL"""
            )
            set_meta(connection, "model", "")

    def note_model(self, model: Model) -> None:
        """Write down what is known of a model: its certificate, how it does on the audit slice."""
        with self.transaction() as connection:
            self._write_model(connection, model)

    def _write_model(self, connection: sqlite3.Connection, model: Model) -> int:
        connection.execute(
            """INSERT INTO models (sha256, classes, n_trained, at, path, certificate, audit)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET
                path = excluded.path,
                certificate = iif(excluded.certificate = '{}', certificate, excluded.certificate),
                audit = iif(excluded.audit = '{}', audit, excluded.audit)""",
            (
                model.sha256,
                json.dumps(list(model.classes)),
                model.n_trained,
                self.clock(),
                model.path,
                json.dumps(dict(model.certificate), allow_nan=False),
                json.dumps(dict(model.audit), allow_nan=False),
            ),
        )
        self.step("model written")
        query = "SELECT id FROM models WHERE sha256 = ?"
        return connection.execute(query, (model.sha256,)).fetchone()[0]

    def audit(self) -> dict[str, np.ndarray]:
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
        rows = self.connection.execute(
            f"""SELECT items.id, coalesce(first.label, -1), items.predicted, items.confidence,
                first.label IS NOT NULL OR items.skipped > 0 FROM items
            LEFT JOIN events AS first ON first.id = {FIRST_ANSWER}
            WHERE items.audit AND items.predicted IS NOT NULL AND NOT items.unreadable
            ORDER BY items.shuffle, items.id"""
        ).fetchall()
        columns = list(zip(*rows, strict=True)) or [()] * 5
        kinds = {"id": np.int64, "label": np.int64, "predicted": np.int64, "confidence": float}
        kinds["answered"] = bool
        found = {n: np.array(c, k) for (n, k), c in zip(kinds.items(), columns, strict=True)}
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
        with self.transaction() as connection:
            asked = json.loads(meta(connection, "questions", "[]"))
            if [model, data] not in asked:
                asked.append([model, data])
                if ask:
                    set_meta(connection, "questions", json.dumps(asked))
            return asked.index([model, data]) + 1

    def was_asked(self, model: str, data: str | None = None) -> bool:
        """Tell whether `number_of_question` has counted this model, with this data or with any."""
        asked = json.loads(meta(self.connection, "questions", "[]"))
        return any(m == model and data in (d, None) for m, d in asked)

    def n_audit(self) -> int:
        """Return how many pictures the audit slice has, whether scored or not."""
        query = "SELECT count(*) FROM items WHERE audit AND NOT unreadable"
        return self.connection.execute(query).fetchone()[0]

    def data_hash(self) -> str:
        """Return a hash of which pictures there are, in which order they do not matter."""
        rows = self.connection.execute(
            "SELECT sha256 FROM items WHERE NOT unreadable ORDER BY sha256"
        )
        return digest(*(row[0] for row in rows))

    def auto_label(self, model: str, threshold: float, certificate: Mapping[str, Any]) -> int:
        """Give every picture that the model is sure enough of the class that it predicts.

        Left alone: pictures with a label, of the audit slice, of source ``single``, those that a
        person holds, and those of which this model's label was taken back before.
        Whether the certificate is good is for the caller to say, see
        `alutils.labelling.model.loop`.

        Parameters
        ----------
        model : SHA-256 of the model whose scores these are; another one is refused
        threshold : least confidence, over 0, at most 1
        certificate : why this is allowed; kept with the model

        Returns
        -------
        how many pictures were labelled; all of them or, after an error, none
        """
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not math.isfinite(threshold) or not 0 < threshold <= 1:
            raise LabellingError(f"threshold={threshold!r}: expected more than 0, at most 1")
        if not certificate:
            raise LabellingError(
                "certificate is missing: pictures are labelled automatically only above a "
                "threshold that was certified"
            )
        with self.transaction() as connection:
            present = connection.execute(
                """SELECT models.id FROM models JOIN meta ON meta.value = models.sha256
                WHERE meta.name = 'model' AND models.sha256 = ?""",
                (model,),
            ).fetchone()
            if present is None:
                raise UnknownError(
                    f"model {str(model)[:12]}: the scores are no longer this model's; certify the "
                    "present one"
                )
            connection.execute(
                "UPDATE models SET certificate = ? WHERE id = ?",
                (json.dumps(dict(certificate), allow_nan=False), present[0]),
            )
            values = (threshold, present[0], self.clock())
            items = self._label_as_predicted(connection, _OFFERED, values, threshold, hidden=1)
        self.show(items)
        return len(items)

    def _label_as_predicted(
        self,
        connection: sqlite3.Connection,
        condition: str,
        values: Sequence[object],
        threshold: float,
        hidden: int,
    ) -> list[int]:
        """Give the pictures of a condition their predicted class, and return which they were."""
        last = _last_event(connection)
        connection.execute(
            f"""INSERT INTO events (item, kind, label, model, at, predicted, confidence,
                threshold, hidden)
            SELECT id, 'auto', predicted, model, ?, predicted, confidence, ?, ? FROM items
            WHERE {condition} ORDER BY id""",
            (self.clock(), threshold, hidden, *values),
        )
        self.step("events written")
        items = self._items_since(connection, last)
        connection.executemany(
            """UPDATE items SET label = predicted, label_source = 'auto', event = ?,
                person = NULL, until = NULL WHERE id = ?""",
            [(event, item) for item, event in items],
        )
        self.step("items written")
        return [item for item, _ in items]

    def n_offered(self, threshold: float) -> int:
        """Return how many pictures `auto_label` would label now from this confidence on."""
        query = f"""SELECT count(*) FROM items WHERE {_OFFERED}"""
        with self.reading() as connection:
            present = connection.execute(
                "SELECT models.id FROM models JOIN meta ON value = sha256 WHERE name = 'model'"
            ).fetchone()
            values = (threshold, present and present[0], self.clock())
            return connection.execute(query, values).fetchone()[0]

    def auto_label_single(self, person: str, item: int, threshold: float) -> bool:
        """Give one picture the class that the model predicts, to show it to who has brought it.

        It needs no certificate, as the person sees the answer at once, and is an automatic label as
        all others: nobody's answer, never trained on, revocable. Left alone as in `auto_label`,
        but that it may be of source ``single`` and be held by this person.

        Parameters
        ----------
        person : who has brought it
        item : the picture's number
        threshold : least confidence, 0 to 1

        Returns
        -------
        whether it was labelled

        Raises
        ------
        UnknownError
            There is no such picture.
        """
        person = checked_name(person, "person", 100)
        with self.transaction() as connection:
            row = self._item_row(connection, item)
            done = self._label_as_predicted(
                connection,
                f"{_FREE} AND id = ? AND (until IS NULL OR until <= ? OR person = ?)",
                (threshold, row["id"], self.clock(), person),
                threshold,
                hidden=0,  # the person sees the answer
            )
        self.show(done)
        return bool(done)

    def revoke(
        self,
        person: str,
        *,
        items: Sequence[int] | None = None,
        model: str | None = None,
        threshold: float | None = None,
    ) -> int:
        """Take back automatic labels; those that a person has confirmed or changed stay.

        Parameters
        ----------
        person : who wants it
        items : only these pictures
        model : only those by this model
        threshold : only those given under this threshold

        Returns
        -------
        how many were taken back
        """
        person = checked_name(person, "person", 100)
        condition, values = "items.label_source = 'auto'", []
        if model is not None:
            condition += " AND models.sha256 = ?"
            values.append(model)
        if threshold is not None:
            condition += " AND events.threshold = ?"
            values.append(threshold)
        with self.transaction() as connection:
            if items is not None:
                for item in items:
                    self._item_row(connection, item)
                condition += " AND items.id IN (SELECT value FROM json_each(?))"
                values.append(json.dumps([int(item) for item in items]))
            last = _last_event(connection)
            connection.execute(
                f"""INSERT INTO events (item, kind, replaced, person, model, at, predicted,
                    confidence, threshold)
                SELECT items.id, 'revoke', items.event, ?, events.model, ?, events.predicted,
                    events.confidence, events.threshold
                FROM items JOIN events ON events.id = items.event
                LEFT JOIN models ON models.id = events.model
                WHERE {condition} ORDER BY items.id""",
                (person, self.clock(), *values),
            )
            self.step("events written")
            done = [item for item, _ in self._items_since(connection, last)]
            before = [
                connection.execute("SELECT label FROM items WHERE id = ?", (i,)).fetchone()[0]
                for i in done
            ]
            connection.executemany(
                "UPDATE items SET label = NULL, label_source = NULL, event = NULL WHERE id = ?",
                [(item,) for item in done],
            )
            self.step("items written")
        self.show(done, before)
        return len(done)

    @staticmethod
    def _items_since(connection: sqlite3.Connection, event: int) -> list[tuple[int, int]]:
        rows = connection.execute("SELECT item, id FROM events WHERE id > ? ORDER BY id", (event,))
        return [(row["item"], row["id"]) for row in rows]


def _last_event(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
