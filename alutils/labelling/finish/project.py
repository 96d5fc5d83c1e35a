"""Finishing a project: the forecast, the plan that is frozen, its answers, and what they came to.

`Finish` is the one object behind the page, the widget, the command and Python. What it decides is
computed from the database, so it does not matter which of them was asked, or whether a program was
ended in between.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.audit import CERTIFIED, GO_ON
from alutils.guarantee.cost_forecasts import TARGETS, Forecasts
from alutils.guarantee.finishing import Finishing, Said
from alutils.guarantee.terms import Terms, allowed_errors, percent, unsure_first
from alutils.labelling.finish import certificates, records
from alutils.labelling.finish.forecast import Forecaster
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.plan_records import Draft, Look, Plan, holds_without
from alutils.labelling.store.plans import OPEN, REFUSED, STOPPED
from alutils.labelling.store.records import ConflictError, Event, Item, LabellingError
from alutils.labelling.store.store import Store

LEVEL = 0.95
"""The level of all attempts of a project together."""
LEAST_ROOM, ROOM = 3, 2.0
"""Pictures by hand that nobody may be able to name: at least so many, and so many times as many as
by the share of those rejected so far."""
TRIES = 3
_PHASES = {OPEN: "asking"}


@dataclass(frozen=True)
class PlanState:
    """Where an attempt to finish stands."""

    number: int
    attempt: int
    target: float
    level: float
    phase: str  # `asking`, `certified`, `refused` or `stopped`
    asked: int  # answers so far
    by_hand_left: int
    may_still_take_low: int
    may_still_take_most: int
    errors: int | None  # of the model in the audit; told only once it is decided
    labels: int | None  # labels that the certificate is about; None without one
    automatic: int | None  # those of them that the model gave
    text: tuple[str, ...]


class Finish:
    """Finishes one project; its parts can be asked from many threads and programs.

    Parameters
    ----------
    store : the project
    loop : its models; None where none are: then attempts go on, but none can be begun
    """

    def __init__(self, store: Store, loop: LabellingLoop | None = None) -> None:
        self.store, self.loop = store, loop
        self._forecaster = None if loop is None else Forecaster(store, loop.training)
        self._has_looked, self._settling = False, threading.Lock()
        if loop is not None:
            loop.also = self.settle

    # --- before -------------------------------------------------------------------------------

    def forecast(self, targets: Sequence[float] = TARGETS) -> Forecasts:
        """Forecast what certificates cost now, and after more labels to train on.

        Raises
        ------
        LabellingError
            Where there is no model yet.
        """
        self._check_read()
        attempt = self.store.plans.next_attempt()
        return self._needed_forecaster().forecasts(targets, attempt=attempt, level=LEVEL)

    def plan(self, target: float, *, by_hand: int | None = None, person: str) -> PlanState:
        """Begin an attempt: freeze the model, and write down what is asked and what is promised.

        Parameters
        ----------
        target : share of all labels that is to be right
        by_hand : pictures labelled by hand, the least sure first; None: as many as cost least
        person : who begins it

        Raises
        ------
        ConflictError
            Another attempt goes on, or people label faster than a plan can be made.
        LabellingError
            There is no model, nothing waits, or the promise is expected to be false.
        """
        person = checked_person(person)
        try:
            check_open_fraction("target", target)
            if by_hand is not None:
                check_count("by_hand", by_hand)
            self._check_none_open()
            forecaster = self._needed_forecaster()
            assert self.loop is not None
            # All labels that there are teach the model that is frozen.
            if self.loop.training.n_new or not self.loop.is_running:
                self.loop.work(train=bool(self.loop.training.n_new))
            self._check_read()
            for _ in range(TRIES):
                # Nobody in this process writes meanwhile; another may, then it is made again.
                with self.store.database.writing:
                    draft, model = self._draft(target, by_hand, forecaster)
                    if self._write(draft, model, person):
                        break
            else:
                raise ConflictError("The plan could not be made while others label; try again")
        except ParameterError as error:
            raise LabellingError(str(error)) from error
        state = self.state()
        assert state is not None
        return state

    def _check_none_open(self) -> None:
        if self.store.plans.open() is not None:
            raise ConflictError("An attempt to finish goes on already; answer on, or stop it first")

    def _check_read(self) -> None:
        """`LabellingError` while somebody has to decide how models see the pictures."""
        if self.loop is not None:
            self.loop.training.reading.check()

    def _needed_forecaster(self) -> Forecaster:
        if self._forecaster is None:
            raise LabellingError(
                "Finishing needs a model: the tool was started without one; start it with one"
            )
        return self._forecaster

    def _draft(
        self, target: float, by_hand: int | None, forecaster: Forecaster
    ) -> tuple[Draft, str]:
        """Make a plan for the project as it is now, and name its model."""
        assert self.loop is not None
        position = self.store.reader.position()[0]
        now, says = self.store.reader.snapshot(), self.loop.training.said
        present = self.store.models.present()
        if says is None or present is None or says.model != present.sha256:
            raise LabellingError(
                "There is no model yet that has read the pictures: label on, it comes by itself"
            )
        place = np.minimum(np.searchsorted(says.ids, now["id"]), len(says.ids) - 1)
        waits = now["waits"] & (says.ids[place] == now["id"])
        labelled = now["id"][now["label"] >= 0]
        items, before = now["id"][waits], np.setdiff1d(labelled, self.store.plans.counted())
        outside = int(now["waits"].sum()) - len(items)
        if outside and self.loop.is_running and self.loop.training.state != "waiting":
            raise ConflictError(
                f"The model has not read {outside:,} of the pictures yet; try again when it has"
            )
        if not len(items):
            raise LabellingError("No picture waits for a label that the model has read")
        numbers = {c.name: c.number for c in self.store.classes.ever()}
        if not set(says.classes) <= set(numbers):
            raise ConflictError(
                "The classes were changed; try again when the model has learnt them"
            )
        columns = np.array([numbers[name] for name in says.classes])
        said = Said.of(says.p[place[waits]])
        said = Said(columns[said.predicted], np.minimum(said.confidence, 1.0), said.margin)
        n_items, attempt = len(items) + len(before), self.store.plans.next_attempt()

        def spared(room: int) -> int:
            return allowed_errors(n_items, target) - allowed_errors(n_items - room, target)

        room = self._room(len(items) if by_hand is None else by_hand, len(labelled))
        choice = forecaster.choice(
            target, by_hand=by_hand, attempt=attempt, level=LEVEL, spare=spared(room)
        )
        n_by_hand = min(choice.by_hand, len(items))
        terms = Terms(
            target, LEVEL, n_by_hand, choice.expected_wrong, None, choice.weighted, attempt,
            min(room, self._room(n_by_hand, len(labelled))),
        )  # fmt: skip
        _, left = unsure_first(said.margin, n_by_hand)
        doubt = np.maximum(1 - said.confidence[np.sort(left)], 0)
        plan = terms.plan(n_items - terms.room, len(left), doubt)
        seen_as = tuple(each["text"] for each in self.loop.training.reading.state.decided)
        draft = Draft(
            terms, plan, items, said, before, position, outside, records.versions(), seen_as
        )
        return draft, says.model

    def _room(self, by_hand: int, n_labelled: int) -> int:
        """Return how many pictures by hand may turn out to be such that nobody can name them."""
        rejected = self.store.reader.progress().rejected
        share = rejected / max(rejected + n_labelled, 1)
        return min(by_hand, max(LEAST_ROOM, math.ceil(ROOM * share * by_hand)))

    def _write(self, draft: Draft, model: str, person: str) -> bool:
        """Write the plan down unless something has happened since; returns whether it was."""
        with self.store.database.transaction() as connection:
            self._check_none_open()
            present = self.store.models.present()
            same = self.store.reader.position()[0] == draft.position
            if not same or present is None or present.sha256 != model:
                return False
            query = "SELECT id FROM models WHERE sha256 = ?"
            number = connection.execute(query, (model,)).fetchone()[0]
            self.store.plans.write(connection, draft, secrets.token_hex(16), number, person)
        return True

    # --- while it goes on ---------------------------------------------------------------------

    def next(self, person: str, n: int = 1) -> list[Item]:
        """Hand out pictures of the attempt that goes on; none where others hold what it takes."""
        if self.store.plans.open() is None:
            raise LabellingError("No attempt to finish goes on; begin one first")
        return self.store.queue.hand_out(person, n)

    def answer(self, person: str, item: int, label: str | None) -> Event:
        """Take an answer; None for a picture that is none of the classes, or too bad to tell."""
        if label is None:
            event = self.store.queue.reject(person, item)
        else:
            event = self.store.queue.label(person, item, label)
        self.answered()
        return event

    def answered(self) -> None:
        """Decide the attempt if that was the last answer that it took.

        Where the models work in the background it is done there: all pictures are looked at again,
        and that would keep the one who answered waiting.
        """
        if self.loop is not None and self.loop.is_running:
            self.loop.poke()
        else:
            self.settle()

    def stop(self, person: str) -> PlanState:
        """Give the attempt up; its answers stay, and it counts if a picture was handed out."""
        checked_person(person)
        with self.store.database.transaction() as connection:
            plan = self.store.plans.open()
            if plan is None:
                raise ConflictError("No attempt to finish goes on; reload the page")
            self.store.plans.end(connection, plan, STOPPED)
        state = self.state()
        assert state is not None
        return state

    def settle(self) -> bool:
        """Decide the attempt that goes on if it has all its answers; returns whether it did.

        Before anything is labelled, all picture files are read: one that is missing or another one
        than it was counts as a picture that nobody can name.
        """
        if not self._settling.acquire(blocking=False):
            return False  # another thread is at it
        try:
            return self._settle()
        finally:
            self._settling.release()

    def _settle(self) -> bool:
        if not self._has_looked:
            certificates.write_missing(self.store)
            self._has_looked = True
        plan = self.store.plans.open()
        if plan is None or self.store.plans.look(plan).decision == GO_ON:
            return False
        if self.store.plans.look(plan).decision == CERTIFIED:
            self.store.reconcile(check_content=True)
        given: list[int] = []
        with self.store.database.transaction() as connection:
            now = self.store.plans.open()
            if now is None or now.number != plan.number:
                return False  # somebody else did
            if self.store.plans.look(now).decision == GO_ON:
                return False
            plan, lost = now, self.store.plans.unreadable(now.number)
            attempt = self.store.plans.replay(plan, lost)
            position = self.store.reader.position()[0]
            why = self._why_not(plan, attempt, lost, position)
            state = REFUSED if why else CERTIFIED
            core = records.core(self.store, plan, attempt, lost, state, position, why)
            if state == CERTIFIED:
                given = self._label_the_rest(plan, attempt, lost)
            self.store.plans.end(connection, plan, state, core)
        self.store.folders.show(given)
        if state == CERTIFIED:
            certificates.write(self.store, plan.number)
        return True

    def _why_not(self, plan: Plan, attempt: Finishing, lost: set[int], position: int) -> str:
        """Say why an attempt that is decided is refused, '' if it is not."""
        if attempt.too_many_rejected:
            return (
                "more pictures by hand could not be named, or lost their file, than the plan had "
                "room for."
            )
        if attempt.decision != CERTIFIED:
            return records.too_many_errors(attempt)
        # What the audit does not know: files that are missing now, labels from before taken back.
        before = self.store.plans.before(plan.number).tolist()
        labels = records.labels_at(self.store.database.connection, position)
        n_gone = len(before) - records.standing_before(before, labels, lost)
        items = self.store.plans.items(plan.number)
        if not holds_without(attempt, items, lost, n_gone):
            return "labels that people had given before were taken back or lost their file since."
        return ""

    def _label_the_rest(self, plan: Plan, attempt: Finishing, lost: set[int]) -> list[int]:
        connection, rest = self.store.database.connection, attempt.rest
        items, said = self.store.plans.items(plan.number), attempt.said
        labels = [
            (item, int(said.predicted[place]), float(said.confidence[place]))
            for item, place in zip(items[rest].tolist(), rest.tolist(), strict=True)
            if item not in lost
        ]
        query = "SELECT id FROM models WHERE sha256 = ?"
        model = connection.execute(query, (plan.model,)).fetchone()[0]
        return self.store.models.give(connection, model, labels, plan=plan.number)

    # --- what it came to ----------------------------------------------------------------------

    def state(self) -> PlanState | None:
        """Say where the last attempt stands; None before the first. Quick."""
        plan = self.store.plans.last()
        if plan is None:
            return None
        about: dict[str, Any] = {
            "number": plan.number, "attempt": plan.attempt, "target": plan.target,
            "level": plan.level, "phase": _PHASES.get(plan.state, plan.state),
        }  # fmt: skip
        if plan.state == OPEN:
            look = self.store.plans.look(plan)
            in_background = self.loop is not None and self.loop.is_running
            if look.decision != GO_ON and not in_background and self.settle():
                return self.state()
            return PlanState(
                **about, asked=look.answered, by_hand_left=look.by_hand_left,
                may_still_take_low=look.least, may_still_take_most=look.most, errors=None,
                labels=None, automatic=None, text=_asking(plan, look),
            )  # fmt: skip
        counts = (plan.certificate or {}).get("counts", {})
        asked = counts.get("by_hand", 0) + counts.get("audited", 0)
        if plan.certificate is None:
            asked = self.store.plans.n_answered(plan.number)
        is_certified = plan.state == CERTIFIED
        return PlanState(
            **about, asked=asked, by_hand_left=0, may_still_take_low=0, may_still_take_most=0,
            errors=counts.get("errors"), labels=counts.get("labels") if is_certified else None,
            automatic=counts.get("automatic") if is_certified else None,
            text=tuple(plan.certificate["text"]) if plan.certificate else _stopped(plan, asked),
        )  # fmt: skip

    def certificate(self) -> dict[str, Any] | None:
        """Return the last certificate that was given, with its pictures; None without one."""
        certified = self.store.plans.certified()
        return records.whole(self.store, certified[-1]) if certified else None


def _asking(plan: Plan, look: Look) -> tuple[str, ...]:
    if look.missing:
        return (
            f"The files of {look.missing:,} pictures of the attempt are missing. Bring the "
            "pictures again; without them it can only be stopped.",
        )
    if look.decision != GO_ON:
        return ("All answers are there. The files of the pictures are being looked at.",)
    outside = plan.terms["outside"]
    left_out = f"{outside:,} pictures that the model cannot read are no part of it."
    return (
        f"Attempt {plan.attempt}: {percent(plan.target)} of all labels right, at confidence "
        f"{percent(plan.level)} over all attempts of the project together.",
        "The pictures come in a mixed order and without the model's predictions. What you put off "
        "comes again later; reject what nobody could name.",
        *([left_out] if outside else []),
    )


def _stopped(plan: Plan, asked: int) -> tuple[str, ...]:
    counts = "counts as an attempt" if plan.begun is not None else "does not count as an attempt"
    return (
        f"The attempt was stopped after {asked:,} answers. It {counts}; its answers stay and train "
        "the model.",
    )
