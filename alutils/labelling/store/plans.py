"""Attempts to finish: what was fixed before their first answer, and where they stand by now.

A plan is written down whole before anybody is asked: terms, seed, the pictures that it is drawn
from and what the model says of each. Where it stands is never written but computed again from the
answers (`alutils.guarantee.finishing`), so that a crash, an answer taken back or a second program
on the project cannot make the two differ.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection
from typing import Any

import numpy as np

from alutils.guarantee.audit import GO_ON
from alutils.guarantee.finishing import CANNOT_TELL, NOTHING, Finishing, Said
from alutils.guarantee.weighted import WeightedPlan
from alutils.labelling.store.database import Database
from alutils.labelling.store.plan_records import Draft, Look, Plan, holds_without, read_terms
from alutils.labelling.store.records import ConflictError, LabellingError

BEFORE_PLAN = """EXISTS (SELECT 1 FROM plan_items JOIN plans ON plans.id = plan_items.plan
    WHERE plan_items.item = events.item AND state = 'open' AND place IS NULL)"""
"""The condition of events about pictures that had their labels before the attempt that goes on."""
OPEN, CERTIFIED, REFUSED, STOPPED = "open", "certified", "refused", "stopped"


class Plans:
    """The attempts to finish of the project that a database holds."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._one = threading.Lock()
        # What was computed last, for one plan and one last event.
        self._attempt: tuple[int, Finishing, np.ndarray] | None = None
        self._looked: tuple[tuple[int, int, str], Look] | None = None

    # --- what is written ----------------------------------------------------------------------

    def write(
        self, connection: sqlite3.Connection, draft: Draft, seed: str, model: int, person: str
    ) -> int:
        """Write a plan down, within a transaction; returns its number.

        What people hold is given back: from now on pictures come in the plan's order.

        Raises
        ------
        ConflictError
            Another attempt goes on.
        """
        if self.open() is not None:
            raise ConflictError("An attempt to finish goes on already; answer on, or stop it first")
        values = (
            self.next_attempt(), draft.terms.target, draft.terms.level,
            json.dumps(draft.as_json(), allow_nan=False), seed, model,
            self.database.clock(), person,
        )  # fmt: skip
        number = connection.execute(
            """INSERT INTO plans (attempt, state, target, level, terms, seed, model, at, person)
            VALUES (?, 'open', ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
            values,
        ).fetchone()[0]
        self.database.step("plan written")
        said, n = draft.said, len(draft.items)
        by_hand = np.zeros(n, bool)
        attempt = Finishing(
            draft.terms, said, len(draft.before), np.random.default_rng(0), plan=draft.plan
        )
        by_hand[attempt.by_hand] = True
        rates: list[float | None] = [None] * n
        if isinstance(draft.plan, WeightedPlan):
            for place, rate in zip(attempt.left.tolist(), draft.plan.rates.tolist(), strict=True):
                rates[place] = rate
        columns = (draft.items, np.arange(n), by_hand, said.predicted, said.confidence, said.margin)
        connection.executemany(
            f"""INSERT INTO plan_items (plan, item, place, by_hand, predicted, confidence, margin,
                rate) VALUES ({number}, ?, ?, ?, ?, ?, ?, ?)""",
            zip(*(column.tolist() for column in columns), rates, strict=True),
        )
        connection.executemany(
            f"INSERT INTO plan_items (plan, item) VALUES ({number}, ?)",
            [(item,) for item in draft.before.tolist()],
        )
        self.database.step("pictures of the plan written")
        connection.execute(
            """UPDATE items SET person = NULL, until = NULL
            WHERE person IS NOT NULL AND label IS NULL"""
        )
        return number

    def begin(self, connection: sqlite3.Connection, plan: Plan) -> None:
        """Note that a picture was handed out, within a transaction: the attempt counts."""
        if plan.begun is None:
            query = "UPDATE plans SET begun = ? WHERE id = ? AND begun IS NULL"
            connection.execute(query, (self.database.clock(), plan.number))
            self.database.step("plan begun")

    def end(
        self,
        connection: sqlite3.Connection,
        plan: Plan,
        state: str,
        certificate: dict[str, Any] | None = None,
    ) -> None:
        """Write down what an attempt came to, within a transaction."""
        text = None if certificate is None else json.dumps(certificate, allow_nan=False)
        changed = connection.execute(
            """UPDATE plans SET state = ?, ended = ?, certificate = ?
            WHERE id = ? AND state = 'open'""",
            (state, self.database.clock(), text, plan.number),
        )
        if changed.rowcount != 1:
            raise ConflictError("The attempt to finish has ended already; reload the page")
        self.database.step("plan ended")

    # --- what is read -------------------------------------------------------------------------

    def open(self) -> Plan | None:
        """Return the attempt that goes on; None if there is none."""
        return next(iter(self._of("state = 'open'")), None)

    def last(self) -> Plan | None:
        """Return the attempt that was begun last; None before the first."""
        return next(iter(self._of("1 ORDER BY plans.id DESC LIMIT 1")), None)

    def all(self) -> list[Plan]:
        """Return all attempts, oldest first."""
        return self._of("1 ORDER BY plans.id")

    def certified(self) -> list[Plan]:
        """Return the attempts that gave a certificate, oldest first."""
        return self._of(f"state = '{CERTIFIED}' ORDER BY plans.id")

    def plan(self, number: int) -> Plan:
        """Return one attempt; `LabellingError` if there is none of this number."""
        for plan in self._of("plans.id = ?", (number,)):
            return plan
        raise LabellingError(f"attempt {number}: there is none of this number in the project")

    def _of(self, condition: str, values: tuple[Any, ...] = ()) -> list[Plan]:
        rows = self.database.connection.execute(
            f"""SELECT plans.*, models.sha256 FROM plans JOIN models ON models.id = plans.model
            WHERE {condition}""",
            values,
        )
        return [
            Plan(
                number=row["id"], attempt=row["attempt"], state=row["state"], target=row["target"],
                level=row["level"], terms=json.loads(row["terms"]), seed=row["seed"],
                model=row["sha256"], at=row["at"], person=row["person"], begun=row["begun"],
                ended=row["ended"],
                certificate=None if row["certificate"] is None else json.loads(row["certificate"]),
            )
            for row in rows
        ]  # fmt: skip

    def next_attempt(self) -> int:
        """Return which attempt of the project the next one is; those that began count."""
        query = "SELECT 1 + count(*) FROM plans WHERE begun IS NOT NULL"
        return self.database.connection.execute(query).fetchone()[0]

    def items(self, plan: int) -> np.ndarray:
        """Return (n,) int64, the numbers of the pictures that waited, in the order of places."""
        query = "SELECT item FROM plan_items WHERE plan = ? AND place IS NOT NULL ORDER BY place"
        rows = self.database.connection.execute(query, (plan,))
        return np.array([row[0] for row in rows], np.int64)

    def before(self, plan: int) -> np.ndarray:
        """Return (m,) int64, the numbers of the pictures that people had labelled."""
        query = "SELECT item FROM plan_items WHERE plan = ? AND place IS NULL ORDER BY item"
        rows = self.database.connection.execute(query, (plan,))
        return np.array([row[0] for row in rows], np.int64)

    def said(self, plan: int) -> tuple[Said, np.ndarray, np.ndarray]:
        """Return what the model said, which are by hand, (n,) bool, and the audit's rates."""
        rows = self.database.connection.execute(
            """SELECT predicted, confidence, margin, by_hand, rate FROM plan_items
            WHERE plan = ? AND place IS NOT NULL ORDER BY place""",
            (plan,),
        ).fetchall()
        columns = list(zip(*rows, strict=True)) or [()] * 5
        kinds = (np.int64, float, float, bool)
        predicted, confidence, margin, by_hand = (
            np.array(column, kind) for column, kind in zip(columns, kinds, strict=False)
        )
        rates = np.array([rate for rate in columns[4] if rate is not None], float)
        return Said(predicted, confidence, margin), by_hand, rates

    def attempt(self, plan: Plan) -> Finishing:
        """Return a plan's attempt as it was before its first answer."""
        said, _, rates = self.said(plan.number)
        terms, how = read_terms(plan.terms, rates)
        rng = np.random.default_rng(int(plan.seed, 16))
        return Finishing(terms, said, plan.terms["before"], rng, plan=how)

    def answers(
        self, plan: int, items: np.ndarray, upto: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return first and present answers as `Finishing` takes them, by the plan's events.

        ``upto`` is the last event to go by; all if None.
        """
        first, now = np.full((2, len(items)), NOTHING, np.int64)
        end = 2**62 if upto is None else upto
        # Of what happened in the attempt alone: a label that is taken back may have been another's.
        rows = self.database.connection.execute(
            """SELECT item, kind, label, undoes, replaced, id FROM events
            WHERE plan = ? AND id <= ? AND kind IN ('label', 'relabel', 'reject', 'undo', 'import')
            ORDER BY id""",
            (plan, end),
        )
        before: dict[int, int] = {}  # by event: what the picture had before it
        for row in rows:
            at = int(np.searchsorted(items, row["item"]))  # they ascend
            if at == len(items) or items[at] != row["item"]:
                continue
            if row["kind"] == "undo":
                # What is none of these answers is taken back, too: a skip, a second person's word.
                now[at] = before.get(row["undoes"], now[at])
                continue
            before[row["id"]] = int(now[at])
            now[at] = CANNOT_TELL if row["kind"] == "reject" else row["label"]
            if first[at] == NOTHING:
                first[at] = now[at]
        return first, now

    def counted(self) -> np.ndarray:
        """Return (k,) int64, the pictures of certificates by which some automatic label stands.

        Their labels stand for no other certificate: else few right ones could bear out many.
        """
        rows = self.database.connection.execute(
            """SELECT DISTINCT plan_items.item FROM plan_items JOIN plans ON plans.id = plan
            WHERE state = 'certified' AND EXISTS (SELECT 1 FROM plan_items AS waited
                JOIN items ON items.id = waited.item WHERE waited.plan = plans.id
                AND waited.place IS NOT NULL AND label_source = 'auto')"""
        )
        return np.array([row[0] for row in rows], np.int64)

    def n_answered(self, plan: int) -> int:
        """Return how many pictures were answered in an attempt, also if that was taken back."""
        query = """SELECT count(DISTINCT item) FROM events
            WHERE plan = ? AND kind IN ('label', 'reject')"""
        return self.database.connection.execute(query, (plan,)).fetchone()[0]

    def _skips(self, plan: int) -> set[int]:
        query = "SELECT id FROM events WHERE plan = ? AND kind = 'skip'"
        return {row[0] for row in self.database.connection.execute(query, (plan,))}

    def contradicts(self, plan: int, item: int, label: int) -> bool:
        """Tell whether an answer to a picture of an audit is not what the model said."""
        query = "SELECT predicted FROM plan_items WHERE plan = ? AND item = ? AND NOT by_hand"
        row = self.database.connection.execute(query, (plan, item)).fetchone()
        return row is not None and row[0] != label

    def unreadable(self, plan: int) -> set[int]:
        """Return the pictures of a plan whose files are known to be missing."""
        rows = self.database.connection.execute(
            """SELECT items.id FROM items JOIN plan_items ON item = items.id
            WHERE unreadable <> 0 AND plan = ?""",
            (plan,),
        )
        return {row[0] for row in rows}

    def replay(self, plan: Plan, lost: Collection[int] = (), upto: int | None = None) -> Finishing:
        """Return a plan's attempt with the answers that there are.

        ``lost`` are pictures whose file is missing or another one: nobody can name them.
        """
        attempt, items = self.attempt(plan), self.items(plan.number)
        self._take(attempt, plan.number, items, lost, upto)
        return attempt

    def _take(
        self,
        attempt: Finishing,
        plan: int,
        items: np.ndarray,
        lost: Collection[int],
        upto: int | None = None,
    ) -> None:
        first, now = self.answers(plan, items, upto)
        attempt.restore(first, now, np.isin(items, list(lost)))

    def look(self, plan: Plan) -> Look:
        """Say where an open attempt stands; cheap where nothing has happened since.

        Within a transaction it must be asked before anything is written: what is rolled back would
        be remembered.
        """
        with self._one, self.database.reading() as connection:
            last, unreadable = connection.execute(
                """SELECT (SELECT coalesce(max(id), 0) FROM events),
                    (SELECT coalesce(group_concat(id), '') FROM
                        (SELECT id FROM items WHERE unreadable <> 0 ORDER BY id))"""
            ).fetchone()
            key = (plan.number, last, unreadable)
            if self._looked is not None and self._looked[0] == key:
                return self._looked[1]
            if self._attempt is None or self._attempt[0] != plan.number:
                self._attempt = plan.number, self.attempt(plan), self.items(plan.number)
            _, attempt, items = self._attempt
            lost = self.unreadable(plan.number) if unreadable else set()
            self._take(attempt, plan.number, items, lost)
            decision, missing = attempt.decision, 0
            n_before = len(lost.difference(items.tolist()))  # these had their labels before
            is_kept = decision == CERTIFIED and holds_without(attempt, items, lost, n_before)
            if lost and decision != GO_ON and not is_kept:
                # Files may come back, as with a drive: an attempt is not given up for these alone.
                self._take(attempt, plan.number, items, ())
                missing = 0 if attempt.decision == REFUSED else len(lost)
                decision = GO_ON if missing else REFUSED
            least, most = attempt.still()
            look = Look(
                missing=missing,
                decision=decision,
                wanted=items[attempt.wanted()],
                answered=attempt.n_answered,
                by_hand_left=int((attempt.now[attempt.by_hand] == NOTHING).sum()),
                least=least,
                most=most,
            )
            self._looked = key, look
            return look
