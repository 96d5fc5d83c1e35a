"""Every item of a pool labelled: the unsure by hand, the rest by the model, with a certificate.

What `finish` promises is about the whole pool: *of all its labels, those of people and those of the
model, at least ``target`` are right*. After the last training the most unsure items are labelled by
hand. Of what then is left a random sample is audited, by a plan that is fixed before its first
label: every item as likely as any other (`alutils.guarantee.plans`), or the more likely the less
sure the model is (`alutils.guarantee.weighted`), which takes fewer labels where it knows what it
does not know. Only if the plan accepts does the model label the others. The sample is drawn after
the model is final and from what it is to label: which items were asked for before cannot bias it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from alutils.active import oracles
from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Oracle
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.plans import CERTIFIED, GO_ON, AuditPlan, plan_audit
from alutils.guarantee.weighted import WeightedPlan, plan_weighted_audit

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
    plan : of the audit, uniform or weighted
    target, level : of the promise; ``plan.level`` is the higher one that this attempt was held to
    n_items : labels that the promise is about
    """

    certified: bool
    by_hand: np.ndarray
    audited: np.ndarray
    errors: int
    plan: AuditPlan | WeightedPlan
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
    weighted: bool = False,
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
    rng : of the audit's draws; one that neither the model nor its training drew from
    target : share of all labels that is to be right
    level : probability, at least, that no such promise is given where it is false
    by_hand : items labelled by hand before the audit, those with the smallest margin between the
        two likeliest classes first
    expected_wrong : share of the model's labels that is guessed to be wrong then. The plan costs
        about the fewest labels if that is so; the promise holds whatever is true
    most : audit labels at most, before the attempt is given up; chosen by the plan if None
    weighted : whether the audit looks oftener where the model is less sure, by one minus its
        confidence. Fewer labels if it is wrong there mostly; the promise holds whatever is true.
        Where no such plan can be made, as for few items, the audit is uniform
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
    order = np.argsort(-uncertainty.margin(probabilities), kind="stable")[:by_hand]
    left = np.delete(np.arange(len(pool)), order)

    def plan() -> AuditPlan | WeightedPlan:
        allowed = allowed_errors(n_items, target) - len(state.declined)
        if allowed < 0:
            raise ParameterError(
                "target", target, f"{len(state.declined)} items were not answered, too many for it"
            )
        how = {"level": held_to, "rate": expected_wrong}
        how["most"] = None if most is None else min(most, len(left))
        found = None
        if weighted and len(left):
            doubt = np.maximum(1 - probabilities[left].max(axis=1).astype(float), 0)
            found = plan_weighted_audit(doubt, allowed, **how)
        return _planned(len(left), allowed, **how) if found is None else found

    def ask(places: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Write the answers down; return which of them the model has wrong."""
        items = pool[places]
        if not len(items):
            return np.zeros(0, bool)
        told = oracles.checked(oracle(items), items, probabilities.shape[1])
        book.add(items[told >= 0], told[told >= 0], Source.HUMAN, number)
        state.declined = np.concatenate([state.declined, items[told < 0]])
        state.pool = pool[np.sort(rest)]
        return told != predicted[places]

    number = int(book.round.max(initial=-1)) + 1
    planned, unanswered = plan(), len(state.declined)  # says what does not fit before any question
    ask(order, left)
    if len(state.declined) > unanswered:
        planned = plan()  # fewer errors are allowed now
    audit = (_Weighted if isinstance(planned, WeightedPlan) else _Uniform)(planned, rng)
    while audit.decision() == GO_ON:
        # In pieces, so that nobody labels on where the audit is refused already.
        sample = audit.draw()
        rest = np.setdiff1d(np.arange(len(left)), np.concatenate([audit.labelled, sample]))
        audit.tell(ask(left[sample], left[rest]))
    certified = audit.decision() == CERTIFIED
    if certified:
        rest = np.delete(left, audit.labelled)
        book.add(pool[rest], predicted[rest], Source.AUTO, number)
        state.pool = pool[:0]
    audited = pool[left[audit.labelled]]
    return Finished(certified, pool[order], audited, audit.errors, planned, target, level, n_items)


class _Uniform:
    """An audit by an `AuditPlan` while it goes on: items in a random order."""

    def __init__(self, plan: AuditPlan, rng: np.random.Generator) -> None:
        self.plan, self.order = plan, rng.permutation(plan.population)
        self.n = self.errors = 0

    @property
    def labelled(self) -> np.ndarray:
        """Places, in what is audited, of the items that have been told."""
        return self.order[: self.n]

    def decision(self) -> str:
        return self.plan.decision(self.n, self.errors)

    def draw(self) -> np.ndarray:
        """Go on; return the places of those that are asked for next."""
        end = min(self.plan.next_look(self.n, self.errors), self.n + PIECE)
        return self.order[self.n : end]

    def tell(self, wrong: np.ndarray) -> None:
        """Take in which of `draw` are wrong."""
        self.n, self.errors = self.n + len(wrong), self.errors + int(wrong.sum())


class _Weighted:
    """An audit by a `WeightedPlan` while it goes on: items drawn again and again."""

    def __init__(self, plan: WeightedPlan, rng: np.random.Generator) -> None:
        self.plan, self.rng = plan, rng
        self.labelled = np.empty(0, np.int64)
        self.wrong = np.zeros(plan.population, bool)
        self.n, self.found = 0, np.empty(0, np.int64)
        self.drawn = self.asked = self.found

    @property
    def errors(self) -> int:
        """Different items that are wrong."""
        return int(self.wrong.sum())

    def decision(self) -> str:
        return self.plan.decision(self.n, self.found, len(self.labelled))

    def draw(self) -> np.ndarray:
        """Draw on; return the places that nobody has told of yet, none if all have been told."""
        n = self.plan.draws_left(self.n, self.found)  # no more than may be needed
        self.drawn = self.plan.draw(min(n, PIECE), self.rng)
        self.asked = np.setdiff1d(self.drawn, self.labelled)
        return self.asked

    def tell(self, wrong: np.ndarray) -> None:
        """Take in which of `draw` are wrong."""
        self.labelled = np.concatenate([self.labelled, self.asked])
        self.wrong[self.asked] = wrong
        self.n += len(self.drawn)
        self.found = np.concatenate([self.found, self.drawn[self.wrong[self.drawn]]])
