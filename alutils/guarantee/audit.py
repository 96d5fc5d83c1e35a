"""One audit while it goes on: which items to ask people about next, and what has been decided.

An `Audit` is made from a plan (`alutils.guarantee.plans`, `alutils.guarantee.weighted`) and a
generator, which together settle the order of its draws before the first label. All the rest
follows from the answers: the same plan, seed and answers give the same audit, in whatever order
the answers came. Whoever keeps these three can go on with an audit another day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alutils.base.checks import check_count, known_values
from alutils.base.errors import ParameterError
from alutils.guarantee.audit_slice import check_within
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.weighted import WeightedPlan

CERTIFIED, GO_ON, REFUSED = "certified", "go on", "refused"

UNKNOWN = -1
"""Stands among the answers for an item that nobody has been asked about."""


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit came to: the decision, the labels it used and the errors among them."""

    decision: str
    n_used: int
    errors: int


class Audit:
    """An audit by a plan, driven answer by answer.

    Parameters
    ----------
    plan : fixed before the first label
    rng : of the draws; one that nothing which made the labels drew from
    portion : draws after which it is decided, fewer where fewer certify. People who label some at
        a time, without knowing how they do, may as well label all of these before a refusal; a
        certificate needs every draw and comes at the same one

    Attributes
    ----------
    answers : (population,) int8: 1 where an item's label is wrong, 0 where it is right, `UNKNOWN`
    outcome : so far; no label beyond the deciding draw counts

    An example, with the truth at hand:

    >>> audit = Audit(plan, np.random.default_rng(0))
    >>> while audit.decision == GO_ON:
    ...     places = audit.next(50)
    ...     audit.answer(places, is_wrong[places])
    """

    def __init__(
        self, plan: AuditPlan | WeightedPlan, rng: np.random.Generator, portion: int = 1
    ) -> None:
        check_count("portion", portion)
        self.plan, self._rng, self._portion = plan, rng, max(1, portion)
        self.answers = np.full(plan.population, UNKNOWN, np.int8)
        self._asked: list[np.ndarray] = [np.empty(0, np.int64)]
        self._drawn = np.empty(0, np.int64)
        self._draw()
        self._look()

    @property
    def decision(self) -> str:
        """``certified``, ``go on`` or ``refused``."""
        return self.outcome.decision

    @property
    def answered(self) -> np.ndarray:
        """Places of the items that have an answer, in the order in which these came."""
        return np.concatenate(self._asked)

    @property
    def may_still_take(self) -> int:
        """How many more labels it takes at most; items that are drawn again need none."""
        if self.decision != GO_ON:
            return 0
        end = self.plan.looks[-1] if isinstance(self.plan, AuditPlan) else self.plan.most
        return max(0, end - self._labels)

    @property
    def used(self) -> np.ndarray:
        """The places that were drawn so far, up to the deciding draw, again where drawn again."""
        return self._drawn[: self._n]

    @property
    def errors(self) -> int:
        """How many of all items with an answer are wrong."""
        return int((self.answers == 1).sum())

    def next(self, n: int = 1) -> np.ndarray:
        """Return the places of the items to ask about next, without drawing more than is needed.

        ``n`` draws are looked ahead, at most, but a portion at least. An item that is drawn again,
        or was answered before, is not asked for again; at least one item comes back until the audit
        is decided, then none.
        """
        if self.decision != GO_ON:
            return np.empty(0, np.int64)
        ahead = self._drawn[self._n : self._n + min(max(n, self._portion), self._left)]
        ahead = ahead[np.sort(np.unique(ahead, return_index=True)[1])]
        return ahead[self.answers[ahead] == UNKNOWN]

    def answer(self, places: np.ndarray, wrong: np.ndarray) -> None:
        """Take in which of these items are wrong; ParameterError for what cannot be an answer."""
        places, wrong = np.asarray(places, np.int64), known_values("wrong", wrong)
        if wrong.shape != places.shape or not np.isin(wrong, (0, 1)).all():
            raise ParameterError("wrong", wrong, "expected true or false for each place")
        if len(places):
            check_within("places", places, self.plan.population)
        self._asked.append(places[self.answers[places] == UNKNOWN])
        self.answers[places] = wrong
        self._look()

    def forget(self, places: np.ndarray) -> None:
        """Take back the answers about these items: they are asked for again where needed."""
        self.answers[np.asarray(places, np.int64)] = UNKNOWN
        known = [each[self.answers[each] != UNKNOWN] for each in self._asked]
        self._asked = [each for each in known if len(each)] or [np.empty(0, np.int64)]
        self._look()

    def _draw(self) -> None:
        self._drawn = np.concatenate([self._drawn, self.plan.draw(self._rng)])
        self._is_new = np.zeros(len(self._drawn), bool)
        self._is_new[np.unique(self._drawn, return_index=True)[1]] = True

    def _look(self) -> None:
        """Set the outcome after the portions whose items have answers, up to the deciding one."""
        while True:
            known = self.answers[self._drawn]
            unknown = np.flatnonzero(known == UNKNOWN)
            n = unknown[0] if len(unknown) else len(known)
            drawn, wrong, is_new = self._drawn[:n], known[:n] == 1, self._is_new[:n]
            labels = np.concatenate([[0], np.cumsum(is_new)])
            errors = np.concatenate([[0], np.cumsum(is_new & wrong)])
            left = np.ceil(self.plan.needed(drawn, wrong) - np.arange(n + 1))
            # A draw takes a label at most, so this gives up where the labels do not seem to do.
            refused = left > self.plan.most - labels
            ends = self._ends(left)
            decided = (left[ends] <= 0) | refused[ends]
            if decided.any() or len(unknown):
                break
            self._draw()
        at = int(ends[decided.argmax() if decided.any() else -1])
        decision = (REFUSED if refused[at] else CERTIFIED) if decided.any() else GO_ON
        self.outcome = AuditOutcome(decision, int(labels[at]), int(errors[at]))
        self._n, self._left = at, 0 if decided.any() else int(left[at])
        self._labels = int(labels[at])

    def _ends(self, left: np.ndarray) -> np.ndarray:
        """Return after how many draws portions end, up to the last that has all its answers."""
        if self._portion == 1:
            return np.arange(len(left))
        ends = [0]
        while left[ends[-1]] > 0:
            end = ends[-1] + int(min(left[ends[-1]], self._portion))
            if end >= len(left):
                break
            ends.append(end)
        return np.array(ends)


def run_audit(
    plan: AuditPlan | WeightedPlan, wrong: np.ndarray, rng: np.random.Generator
) -> AuditOutcome:
    """Return what an audit comes to where the truth is known: (population,) bool."""
    audit = Audit(plan, rng)
    while audit.decision == GO_ON:
        places = audit.next(plan.population)
        audit.answer(places, wrong[places])
    return audit.outcome
