"""A whole pool labelled with a promise, answer by answer: what to ask next, and what is decided.

A `Finishing` is fixed before its first answer: by its terms, by what a final model says of the
items that wait, and by a generator. These settle which items are labelled by hand, which are
audited in which order, and in which order people get both, so that nobody can tell one from the
other by its place. All the rest follows from the answers, in whatever order they come: whoever
keeps these can go on another day, on another machine.

What counts as wrong in the audit: an item that nobody can name, and one whose first answer or whose
present answer is not what the model said. So a label that is mended afterwards, with the prediction
in sight, does not mend the audit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from alutils.active.strategies import uncertainty
from alutils.base.checks import known_values
from alutils.base.errors import ParameterError
from alutils.guarantee.audit import CERTIFIED, GO_ON, REFUSED, Audit
from alutils.guarantee.audit_slice import check_within
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.terms import UNNAMED, Terms, allowed_errors, unsure_first
from alutils.guarantee.weighted import WeightedPlan

NOTHING, CANNOT_TELL = -2, -1
"""Stand among the answers for an item without one, and for one that nobody can name."""


@dataclass(frozen=True, eq=False)
class Said:
    """What a model says of items: (n,) arrays.

    ``predicted`` is a class's number, ``confidence`` the probability that the model gives it,
    ``margin`` how far it stands above the next one, negated: the higher, the less sure.
    """

    predicted: np.ndarray
    confidence: np.ndarray
    margin: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray) -> Said:
        """Take (n, n_classes) probabilities down to what is needed of them."""
        p = known_values("probabilities", probabilities)
        if not len(p):
            none = np.empty(0)
            return cls(none.astype(np.int64), none, none)
        return cls(p.argmax(axis=1), p.max(axis=1).astype(float), uncertainty.margin(p))

    def at(self, places: np.ndarray) -> Said:
        """Return what is said of some of the items."""
        return Said(self.predicted[places], self.confidence[places], self.margin[places])

    def __len__(self) -> int:
        return len(self.predicted)


class Finishing:
    """An attempt to label a pool with a promise, driven answer by answer.

    Parameters
    ----------
    terms : what is promised, and how it is gone about
    said : what the final model says of the items that wait; probabilities, (n, n_classes), will do
    n_before : other labels that the promise is about: people gave them before
    rng : of the draws; one that neither the model nor its training drew from
    plan : of the audit; made by the terms if None
    portion : as in `alutils.guarantee.audit.Audit`

    Attributes
    ----------
    by_hand, left : places of the items that are labelled by hand, least sure first, and of the
        others, which the model is to label
    first, now : (n,) int64, each item's first answer and its present one: a class's number,
        `CANNOT_TELL` or `NOTHING`

    An example, with the truth at hand:

    >>> attempt = Finishing(Terms(0.99, by_hand=100), probabilities, n_before, rng)
    >>> while attempt.decision == GO_ON:
    ...     places = attempt.next(10)
    ...     attempt.answer(places, truth[places])
    """

    def __init__(
        self,
        terms: Terms,
        said: Said | np.ndarray,
        n_before: int,
        rng: np.random.Generator,
        *,
        plan: AuditPlan | WeightedPlan | None = None,
        portion: int = 1,
    ) -> None:
        self.terms, self.n_items = terms, n_before
        self.said = said if isinstance(said, Said) else Said.of(said)
        n = len(self.said)
        self.n_items += n
        self.by_hand, left = unsure_first(self.said.margin, terms.by_hand)
        self.left = np.sort(left)
        doubt = np.maximum(1 - self.said.confidence[self.left], 0)
        self.plan = plan or terms.plan(self.n_items - terms.room, len(self.left), doubt)
        if self.plan.population != len(self.left):
            raise ParameterError(
                "plan", self.plan.population, f"expected one for {len(self.left)} items"
            )
        mixing = rng.spawn(1)[0]  # the order of the questions has no part in the audit's draws
        self._audit = Audit(self.plan, rng, portion)
        self.first, self.now = np.full((2, n), NOTHING, np.int64)
        self._order = self._mixed(mixing)

    def _mixed(self, rng: np.random.Generator) -> np.ndarray:
        """Return the items by hand among those that the audit needs at the least, at random."""
        audit = self.left[self._audit.next(self.plan.population)]
        is_audit = rng.permutation(np.arange(len(self.by_hand) + len(audit)) < len(audit))
        order = np.empty(len(is_audit), np.int64)
        order[is_audit], order[~is_audit] = audit, rng.permutation(self.by_hand)
        return order

    # --- questions and answers ----------------------------------------------------------------

    def wanted(self) -> np.ndarray:
        """Return the places of all items that it still takes at the least, in their order."""
        return self._wanted(self.plan.population)

    def _wanted(self, ahead: int) -> np.ndarray:
        """Return the same, looking ahead so many of the audit's draws."""
        if self.decision != GO_ON:
            return np.empty(0, np.int64)
        needed = self.left[self._audit.next(ahead)]
        later = needed[~np.isin(needed, self._order)]
        wanted = np.zeros(len(self.said), bool)
        wanted[self.by_hand] = self.now[self.by_hand] == NOTHING
        wanted[needed] = True
        return np.concatenate([self._order[wanted[self._order]], later])

    def next(self, n: int = 1) -> np.ndarray:
        """Return the places of the next ``n`` items to ask about, none once it is decided."""
        return self._wanted(n)[:n]

    def answer(self, places: np.ndarray, told: np.ndarray) -> None:
        """Take in answers, new ones or others than before; ParameterError for what is none.

        places : (n,) int, of any items
        told : (n,) int, class numbers, or `CANNOT_TELL`
        """
        places, told = np.asarray(places, np.int64), known_values("told", told)
        fits = told.shape == places.shape and np.issubdtype(told.dtype, np.integer)
        if not fits or (told < CANNOT_TELL).any():
            raise ParameterError("told", told, "expected a class's number, or -1, for each place")
        if len(places):
            check_within("places", places, len(self.said))
        new = places[self.first[places] == NOTHING]
        self.now[places] = told
        self.first[new] = self.now[new]
        self._look(places)

    def take_back(self, places: np.ndarray) -> None:
        """Take back answers; the first answer stays the first."""
        places = np.asarray(places, np.int64)
        self.now[places] = NOTHING
        self._look(places)

    def restore(self, first: np.ndarray, now: np.ndarray, lost: np.ndarray | None = None) -> None:
        """Take over all answers at once, as they were kept.

        first, now : (n,) int64, as the attributes
        lost : (n,) bool, items that nobody can look at any more. They count as such that nobody
            can name: those by hand, those with an answer, and those that the audit has drawn. Of
            the others nothing is known: they stay without an answer
        """
        self.first, self.now = np.array(first, np.int64), np.array(now, np.int64)
        everything = np.arange(len(self.said))
        if lost is None or not lost.any():
            self._look(everything)
            return
        unanswered = lost & (self.now == NOTHING)
        self.now[lost] = CANNOT_TELL
        self.first[lost & (self.first == NOTHING)] = CANNOT_TELL
        self._look(everything)
        reached = np.concatenate([self.by_hand, self.left[self._audit.used]])
        nothing_known = unanswered & ~np.isin(everything, reached)
        self.first[nothing_known] = first[nothing_known]
        self.now[nothing_known] = NOTHING

    def _look(self, places: np.ndarray) -> None:
        audited = places[np.isin(places, self.left)]
        there = audited[self.now[audited] != NOTHING]
        gone = audited[self.now[audited] == NOTHING]
        if len(gone):
            self._audit.forget(np.searchsorted(self.left, gone))
        if len(there):
            self._audit.answer(np.searchsorted(self.left, there), self.is_wrong(there))

    def is_wrong(self, places: np.ndarray) -> np.ndarray:
        """Return which answered items count as wrong in an audit, (n,) bool."""
        predicted = self.said.predicted[places]
        return (self.first[places] != predicted) | (self.now[places] != predicted)

    # --- where it stands ----------------------------------------------------------------------

    @property
    def decision(self) -> str:
        """``go on``, ``certified`` or ``refused``; no answer that is added changes the last two."""
        if self._audit.decision == REFUSED or self.too_many_rejected:
            return REFUSED
        answered = (self.now[self.by_hand] != NOTHING).all()
        return CERTIFIED if answered and self._audit.decision == CERTIFIED else GO_ON

    @property
    def too_many_rejected(self) -> bool:
        """Whether so many items could not be named that the plan allows too much.

        Those by hand; of the audit only where the plan counts errors that are found as corrected.
        """
        if isinstance(self.plan, AuditPlan) and self.plan.withheld is not None:
            unnamed = int((self.now[self.left] == CANNOT_TELL).sum())
            if unnamed > UNNAMED:
                return True
        return self.granted < min(self.plan.allowed, self.plan.population)

    @property
    def granted(self) -> int:
        """How many errors the promise grants among the labels, without those that nobody can name.

        Of the items by hand alone: one of the audit that nobody can name counts as an error of the
        model and gets no label, which takes at most as much away as it gives.
        """
        rejected = int((self.now[self.by_hand] == CANNOT_TELL).sum())
        return allowed_errors(self.n_items - rejected, self.terms.target)

    @property
    def audited(self) -> np.ndarray:
        """Places of the items of the audit that have an answer."""
        return self.left[self.now[self.left] != NOTHING]

    @property
    def errors(self) -> int:
        """How many of them count as wrong."""
        return int(self.is_wrong(self.audited).sum())

    @property
    def rest(self) -> np.ndarray:
        """Places of the items that the model labels if it is certified."""
        return self.left[self.now[self.left] == NOTHING]

    @property
    def n_answered(self) -> int:
        """How many items have an answer."""
        return int((self.now != NOTHING).sum())

    def still(self) -> tuple[int, int]:
        """Return how many more answers it takes, at the least and at most."""
        if self.decision != GO_ON:
            return 0, 0
        by_hand = int((self.now[self.by_hand] == NOTHING).sum())
        least = len(self.wanted())
        return least, max(least, by_hand + self._audit.may_still_take)

    def estimate(self) -> tuple[float, float, float]:
        """Return which share of the model's labels is wrong by the audit, and a 95% interval.

        An account of what was seen, not a promise: it does not allow for when the audit ended.
        """
        drawn = self.left[self._audit.used]
        if not len(drawn):
            return 0.0, 0.0, 1.0
        wrong = self.is_wrong(drawn)
        if isinstance(self.plan, AuditPlan):
            interval = stats.binomtest(int(wrong.sum()), len(wrong)).proportion_ci(0.95)
            return float(wrong.mean()), float(interval.low), float(interval.high)
        shares = wrong / self.plan.rates[self._audit.used]
        error = 1.96 * float(shares.std()) / len(shares) ** 0.5 + 3 / len(shares)
        share = float(shares.mean())
        return min(share, 1.0), max(share - error, 0.0), min(share + error, 1.0)
