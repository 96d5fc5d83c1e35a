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
from alutils.base.checks import check_count, check_fraction, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.audit import CERTIFIED, GO_ON, Audit
from alutils.guarantee.plans import AuditPlan, plan_audit
from alutils.guarantee.weighted import WeightedPlan, plan_weighted_audit

_planned = functools.lru_cache(maxsize=256)(plan_audit)  # simulations ask for one plan often

PIECE = 50
"""Audit labels asked for at a time."""
SPENT_FIRST = 0.8
"""The share of the risk that the first attempt gets, and the second of what then is left ..."""


@dataclass(frozen=True)
class Terms:
    """What is promised of a pool's labels, and how the audit goes about it.

    Attributes
    ----------
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
        and so does one that was broken off in its audit. None for one that is never followed by
        another, and gets all of the risk
    """

    target: float
    level: float = 0.95
    by_hand: int = 0
    expected_wrong: float = 0.002
    most: int | None = None
    weighted: bool = False
    attempt: int | None = 1

    def __post_init__(self) -> None:
        check_open_fraction("target", self.target)
        check_open_fraction("level", self.level)
        check_count("by_hand", self.by_hand)
        check_fraction("expected_wrong", self.expected_wrong)
        if self.most is not None:
            check_count("most", self.most)
        if not isinstance(self.weighted, bool):
            raise ParameterError("weighted", self.weighted, "expected true or false")
        if self.attempt is not None:
            attempt_level(self.level, self.attempt)

    def plan(
        self, n_items: int, n_left: int, doubt: np.ndarray | None = None, n_declined: int = 0
    ) -> AuditPlan | WeightedPlan:
        """Plan the audit of what the model is to label.

        n_items : labels that the promise is about
        n_left : how many of them the model is to give
        doubt : (n_left,) float, how likely it is to be wrong about each; for weighted terms alone
        n_declined : items that nobody could label, which count as wrong
        """
        allowed = allowed_errors(n_items, self.target) - n_declined
        if allowed < 0:
            raise ParameterError(
                "target", self.target, f"{n_declined} items were not answered, too many for it"
            )
        level, rate = self.level, self.expected_wrong
        if self.attempt is not None:
            level = attempt_level(level, self.attempt)
        most = None if self.most is None else min(self.most, n_left)
        found = None
        if self.weighted and n_left:
            found = plan_weighted_audit(
                np.asarray(doubt), allowed, level=level, rate=rate, most=most
            )
        return found or _planned(n_left, allowed, level=level, rate=rate, most=most)


@dataclass(frozen=True)
class Finished:
    """What labelling the rest of a pool came to.

    If ``certified``, the promise holds, and the model has labelled what was left of the
    ``n_items``. People labelled the items ``by_hand`` and ``audited``, (n,) int64 in the order they
    were asked for; ``errors`` of these the model had wrong. ``plan.level`` is the higher level that
    this attempt was held to.
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
                f"At least {_percent(self.terms.target)} of all {self.n_items:,} labels are right "
                f"(confidence {_percent(self.terms.level)}): {audit}."
            )
        return (
            f"No certificate that {_percent(self.terms.target)} of {self.n_items:,} labels are "
            f"right: {audit}. Train on more labels, or label more of the unsure items by hand, and "
            "try again."
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

    The first gets `SPENT_FIRST` of the risk ``1 - level``, the second as much of what is left, and
    so on.
    """
    check_open_fraction("level", level)
    check_count("attempt", attempt, 1)
    return 1 - (1 - level) * SPENT_FIRST * (1 - SPENT_FIRST) ** (attempt - 1)


def finish(
    state: PoolState,
    probabilities: np.ndarray,
    oracle: Oracle,
    rng: np.random.Generator,
    terms: Terms,
) -> Finished:
    """Label what is left of a pool, if an audit says that the model may.

    If it does not, the labels given by hand and in the audit are kept, and no item has the model's.

    Parameters
    ----------
    state : after the last training; changed in place. All its items are what the promise is about:
        each waits in ``state.pool``, bears a human label, or was asked for and not answered
    probabilities : (n_unlabelled, n_classes), what the model says of ``state.pool``, in its order
    oracle : gives the human labels, which are taken for right; what it does not answer counts as
        wrong, and joins ``state.declined``
    rng : of the audit's draws; one that neither the model nor its training drew from

    Raises
    ------
    ParameterError
        Before anybody is asked, also for a state with items that no audit would see. Whatever else
        goes wrong, each answer that came is in ``state``.
    """
    _check_state(state, probabilities)
    pool, book = state.pool, state.book
    order, left = unsure_first(uncertainty.margin(probabilities), terms.by_hand)
    left.sort()
    predicted, n_classes = probabilities.argmax(axis=1), probabilities.shape[1]
    doubt = np.maximum(1 - probabilities[left].max(axis=1, initial=0).astype(float), 0)
    number = int(book.round.max(initial=-1)) + 1

    def plan() -> AuditPlan | WeightedPlan:
        return terms.plan(len(book), len(left), doubt, len(state.declined))

    def ask(places: np.ndarray) -> np.ndarray:
        """Write the answers down; return which of them the model has wrong."""
        return _ask(state, oracle, pool[places], n_classes, number) != predicted[places]

    planned, unanswered = plan(), len(state.declined)  # says what does not fit before any question
    ask(order)
    if len(state.declined) > unanswered:
        planned = plan()  # fewer errors are allowed now
    # In pieces, so that nobody labels on where the audit is refused already.
    audit = Audit(planned, rng, PIECE)
    while audit.decision == GO_ON:
        places = audit.next(PIECE)
        audit.answer(places, ask(left[places]))
    certified = audit.decision == CERTIFIED
    if certified:
        rest = np.delete(left, audit.answered)
        book.add(pool[rest], predicted[rest], Source.AUTO, number)
        state.pool = pool[:0]
    audited = pool[left[audit.answered]]
    return Finished(certified, pool[order], audited, audit.errors, planned, terms, len(book))


def unsure_first(margin: np.ndarray, by_hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of those labelled by hand and of the others, the highest margins first."""
    order = np.argsort(-margin, kind="stable")
    return order[:by_hand], order[by_hand:]


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
