"""Every item of a pool labelled: the unsure by hand, the rest by the model, with a certificate.

What `finish` promises is about the whole pool: *of all its labels, those of people and those of the
model, at least ``target`` are right*. After the last training the most unsure items are labelled by
hand. Of what then is left a random sample is audited, in an order and by a plan that are fixed
before its first label (`alutils.audit_plans`). Only if the plan accepts does the model label the
others. The sample is drawn after the model is final and from what it is to label: which items were
asked for before cannot bias it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from alutils import oracles, queries
from alutils.audit_plans import AuditPlan, plan_audit
from alutils.audits import check_count, check_open_fraction
from alutils.labels import Source
from alutils.oracles import Oracle
from alutils.parameters import ParameterError
from alutils.scenarios import PoolState

_planned = functools.lru_cache(maxsize=256)(plan_audit)  # simulations ask for one plan often

PIECE = 50
"""Audit labels asked for at a time."""
SPENT_FIRST = 0.8
"""The share of the risk that the first attempt gets, and the second of what then is left ..."""


@dataclass(frozen=True)
class Finished:
    """What labelling the rest of a pool came to.

    Attributes
    ----------
    certified : whether the promise holds, and the model has labelled what was left
    by_hand, audited : (n,) int64, the items that people labelled, in the order they were asked for
    errors : audited items that the model had wrong; they bear the human label
    plan : of the audit
    target, level : of the promise; ``plan.level`` is the higher one that this attempt was held to
    n_items : labels that the promise is about
    """

    certified: bool
    by_hand: np.ndarray
    audited: np.ndarray
    errors: int
    plan: AuditPlan
    target: float
    level: float
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
                f"At least {_percent(self.target)} of all {self.n_items:,} labels are right "
                f"(confidence {_percent(self.level)}): {audit}."
            )
        return (
            f"No certificate that {_percent(self.target)} of {self.n_items:,} labels are right: "
            f"{audit}. Train on more labels, or label more of the unsure items by hand, and try "
            "again."
        )


def _percent(share: float) -> str:
    """Return a share in per cent, never rounded up to more than it is."""
    return f"{100 * share:.12g}%"


def allowed_errors(n_items: int, target: float) -> int:
    """Return how many of ``n_items`` labels may be wrong where a share of ``target`` is right."""
    # In fractions: 1 - 0.99 is more than 0.01, and 0.07 * 100 more than 7.
    return int(n_items * (1 - Fraction(str(float(target)))))


def attempt_level(level: float, attempt: int) -> float:
    """Return the level that the ``attempt``-th audit is held to, so that all together keep it.

    Parameters
    ----------
    level : of the promise, whatever the number of attempts
    attempt : from 1 on; the first gets `SPENT_FIRST` of the risk ``1 - level``, the second as much
        of what is left, and so on
    """
    check_open_fraction("level", level)
    if attempt < 1:
        raise ParameterError("attempt", attempt, "expected 1 or more")
    return 1 - (1 - level) * SPENT_FIRST * (1 - SPENT_FIRST) ** (attempt - 1)


def finish(
    state: PoolState,
    probabilities: np.ndarray,
    oracle: Oracle,
    rng: np.random.Generator,
    *,
    target: float,
    level: float = 0.95,
    by_hand: int = 0,
    expected_wrong: float = 0.002,
    most: int | None = None,
    attempt: int = 1,
) -> Finished:
    """Label what is left of a pool, if an audit says that the model may.

    Parameters
    ----------
    state : after the last training; changed in place. All its items are what the promise is about:
        each waits in ``state.pool``, bears a human label, or was asked for and not answered
    probabilities : (n_unlabelled, n_classes), what the model says of ``state.pool``, in its order
    oracle : gives the human labels, which are taken for right; what it does not answer counts as
        wrong, and joins ``state.declined``
    rng : of the audit's order; one that neither the model nor its training drew from
    target : share of all labels that is to be right
    level : probability, at least, that no such promise is given where it is false
    by_hand : items labelled by hand before the audit, those with the smallest margin between the
        two likeliest classes first
    expected_wrong : share of the model's labels that is guessed to be wrong then. The plan costs
        fewest labels if that is so; the promise holds whatever is true
    most : audit labels at most, before the attempt is given up; chosen by the plan if None
    attempt : which one this is on this pool, from 1 on: every failed one costs some of the risk,
        and so does one that was broken off in its audit

    Returns
    -------
    Finished. If it is not certified, the labels given by hand and in the audit are kept, and no
    item has the model's label.

    Raises
    ------
    ParameterError
        For values that do not fit, before anybody is asked; for a state with items that neither
        wait nor were asked for, which no audit would see. Whatever else goes wrong, each answer
        that came is in ``state``.
    """
    check_open_fraction("target", target)
    check_count("by_hand", by_hand)
    pool, book, n_items = state.pool, state.book, len(state.book)
    if probabilities.shape[:1] != pool.shape:
        raise ParameterError(
            "probabilities", probabilities.shape, f"expected a row for each of {len(pool)} items"
        )
    known = len(pool) + book.n_human + len(state.declined)
    if known != n_items:
        raise ParameterError(
            "state",
            f"{n_items - known} of {n_items} items",
            "they neither wait in the pool nor were they asked for, so no audit would see them",
            "start with a state over the items of this pool alone, without automatic labels",
        )
    held_to, predicted = attempt_level(level, attempt), probabilities.argmax(axis=1)
    order = np.argsort(-queries.margin(probabilities), kind="stable")[:by_hand]
    left = np.delete(np.arange(len(pool)), order)

    def plan() -> AuditPlan:
        allowed = allowed_errors(n_items, target) - len(state.declined)
        if allowed < 0:
            raise ParameterError(
                "target", target, f"{len(state.declined)} items were not answered, too many for it"
            )
        end = None if most is None else min(most, len(left))
        return _planned(len(left), allowed, level=held_to, rate=expected_wrong, most=end)

    def ask(places: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Write the answers down; return which of them the model has right."""
        items = pool[places]
        told = oracles.checked(oracle(items), items, probabilities.shape[1])
        book.add(items[told >= 0], told[told >= 0], Source.HUMAN, number)
        state.declined = np.concatenate([state.declined, items[told < 0]])
        state.pool = pool[np.sort(rest)]
        return told == predicted[places]

    number = int(book.round.max(initial=-1)) + 1
    plan()  # says what does not fit before anybody is asked
    ask(order, left)
    planned = plan()  # fewer errors are allowed where some had no answer
    waiting = rng.permutation(left)
    n = errors = 0
    while planned.decision(n, errors) == "go on":
        # In pieces, so that nobody labels on where the audit is refused already.
        sample = waiting[n : min(planned.next_look(n, errors), n + PIECE)]
        right = ask(sample, waiting[n + len(sample) :])
        n, errors = n + len(sample), errors + int((~right).sum())
    certified = planned.decision(n, errors) == "certified"
    if certified:
        rest = np.sort(waiting[n:])
        book.add(pool[rest], predicted[rest], Source.AUTO, number)
        state.pool = pool[:0]
    audited = pool[waiting[:n]]
    return Finished(certified, pool[order], audited, errors, planned, target, level, n_items)
