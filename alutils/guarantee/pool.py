"""Every item of a pool labelled: the unsure by hand, the rest by the model, with a certificate.

What `finish` promises is about the whole pool: *of all its labels, those of people and those of the
model, at least ``target`` are right*. After the last training the most unsure items are labelled by
hand. Of what then is left a random sample is audited, by a plan that is fixed before its first
label: every item as likely as any other (`alutils.guarantee.plans`), or the more likely the less
sure the model is (`alutils.guarantee.weighted`), which takes fewer labels where it knows what it
does not know. Only if the plan accepts does the model label the others. The sample is drawn after
the model is final and from what it is to label: which items were asked for before cannot bias it.
Errors that a uniform audit finds are corrected, and count for what may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from alutils.active import oracles
from alutils.active.attempts import Attempts
from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Oracle
from alutils.base.errors import ParameterError
from alutils.guarantee.audit import CERTIFIED, GO_ON
from alutils.guarantee.finishing import Finishing, Said
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.terms import Terms, percent, unsure_first
from alutils.guarantee.weighted import WeightedPlan

PIECE = 50
"""Audit labels asked for at a time."""


@dataclass(frozen=True)
class Finished:
    """What labelling the rest of a pool came to.

    If ``certified``, the promise holds, and the model has labelled what was left of the
    ``n_items`` that have a label then. People labelled the items ``by_hand`` and ``audited``, (n,)
    int64 in the order they were asked for; ``errors`` of these the model had wrong. ``plan.level``
    is the higher level that this attempt was held to.
    """

    certified: bool
    by_hand: np.ndarray
    audited: np.ndarray
    errors: int
    plan: AuditPlan | WeightedPlan
    terms: Terms
    n_items: int

    @property
    def n_human(self) -> int:
        """Human labels that this took, beside those before."""
        return len(self.by_hand) + len(self.audited)

    def sentence(self) -> str:
        """Return the result in words."""
        audit = (
            f"{len(self.audited):,} audited labels, {self.errors} of them wrong, of the "
            f"{self.plan.population:,} that the model is to label"
        )
        if self.certified:
            return (
                f"At least {percent(self.terms.target)} of all {self.n_items:,} labels are right "
                f"(confidence {percent(self.terms.level)}): {audit}."
            )
        return (
            f"No certificate that {percent(self.terms.target)} of {self.n_items:,} labels are "
            f"right: {audit}. {self._advice}"
        )

    @property
    def _advice(self) -> str:
        number = self.terms.attempt
        if number is None:
            return "It was to be the only attempt, so no other may follow."
        return (
            "Train on more labels, or label more of the unsure items by hand, and try again with "
            f"the same state: it has counted {number} attempt{'s' * (number > 1)}, and holds the "
            "next one to a stricter level."
        )


def finish(
    state: PoolState,
    probabilities: np.ndarray,
    oracle: Oracle,
    rng: np.random.Generator,
    terms: Terms,
) -> Finished:
    """Label what is left of a pool, if an audit says that the model may.

    If it does not, the labels given by hand and in the audit are kept, and no item has the model's.
    ``state.attempts`` counts: each attempt on this pool is held to a stricter level than the one
    before (`alutils.guarantee.terms.attempt_level`), whatever came of that, and the chance that any
    of them gives a false certificate is at most ``1 - terms.level``.

    Parameters
    ----------
    state : after the last training; changed in place. All its items are what the promise is about:
        each waits in ``state.pool``, bears a human label, or was asked for and not answered
    probabilities : (n_unlabelled, n_classes), what the model says of ``state.pool``, in its order
    oracle : gives the human labels, which are taken for right; what it does not answer counts as
        wrong, gets no label, and joins ``state.declined``
    rng : of the audit's draws; one that neither the model nor its training drew from
    terms : what is promised; ``terms.attempt`` is the least that this attempt's number may be, for
        attempts on this pool that ``state`` does not know of. Those of the result have the number

    Raises
    ------
    ParameterError
        Before anybody is asked, also for a state with items that no audit would see. Whatever else
        goes wrong, each answer that came is in ``state``.
    """
    _check_state(state, probabilities)
    terms = _numbered(terms, state.attempts)
    pool, book = state.pool, state.book
    said, n_classes = Said.of(probabilities), probabilities.shape[1]
    order, left = unsure_first(said.margin, terms.by_hand)
    left.sort()
    doubt = np.maximum(1 - said.confidence[left], 0)
    number = int(book.round.max(initial=-1)) + 1

    def plan() -> AuditPlan | WeightedPlan:
        return terms.plan(len(book), len(left), doubt, len(state.declined), answered_once=True)

    planned, unanswered = plan(), len(state.declined)  # says what does not fit before any question
    state.attempts.begin(terms.attempt or 1, only=terms.attempt is None)
    # Here nobody labels both at once, so that those by hand may all come before the plan is made.
    _ask(state, oracle, pool[order], n_classes, number)
    if len(state.declined) > unanswered:
        planned = plan()  # fewer errors are allowed now
    attempt = Finishing(
        replace(terms, by_hand=0), said.at(left), len(book) - len(left), rng,
        plan=planned, portion=PIECE,
    )  # fmt: skip
    asked = [left[:0]]
    # In pieces, so that nobody labels on where the audit is refused already.
    while attempt.decision == GO_ON:
        places = attempt.next(PIECE)
        attempt.answer(places, _ask(state, oracle, pool[left[places]], n_classes, number))
        asked.append(left[places])
    certified = attempt.decision == CERTIFIED
    if certified:
        rest = left[attempt.rest]
        book.add(pool[rest], said.predicted[rest], Source.AUTO, number)
        state.pool = pool[:0]
    audited = pool[np.concatenate(asked)]
    n_items = len(book) - len(state.declined)
    return Finished(certified, pool[order], audited, attempt.errors, planned, terms, n_items)


def _numbered(terms: Terms, attempts: Attempts) -> Terms:
    """Return the terms with the number of this attempt; ParameterError where none may follow."""
    number = attempts.next_number(terms.attempt or 1)
    if terms.attempt is not None:
        return replace(terms, attempt=number)
    if number > 1:
        raise ParameterError(
            "attempt", None, f"{number - 1} were made on this pool: expected none before an "
            "attempt that gets all of the risk", "leave attempt out: it is counted",
        )  # fmt: skip
    return terms


def _check_state(state: PoolState, probabilities: np.ndarray) -> None:
    if probabilities.shape[:1] != state.pool.shape:
        raise ParameterError(
            "probabilities",
            probabilities.shape,
            f"expected a row for each of {len(state.pool)} items",
        )
    n_items = len(state.book)
    known = len(state.pool) + state.book.n_human + len(state.declined)
    if known != n_items:
        raise ParameterError(
            "state",
            f"{n_items - known} of {n_items} items",
            "they neither wait in the pool nor were they asked for, so no audit would see them",
            "start with a state over the items of this pool alone, without automatic labels",
        )


def _ask(
    state: PoolState, oracle: Oracle, items: np.ndarray, n_classes: int, number: int
) -> np.ndarray:
    """Ask about items, write the answers into the state, and return them; -1 for none."""
    if not len(items):
        return np.zeros(0, np.int64)
    told = oracles.checked(oracle(items), items, n_classes)
    state.book.add(items[told >= 0], told[told >= 0], Source.HUMAN, number)
    state.declined = np.concatenate([state.declined, items[told < 0]])
    state.pool = state.pool[~np.isin(state.pool, items)]
    return told
