"""The terms of a promise about a whole pool: what is promised, and how an attempt goes about it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from alutils.active.attempts import Attempts
from alutils.base.checks import check_count, check_fraction, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.plans import AuditPlan, plan_audit
from alutils.guarantee.weighted import WeightedPlan, plan_weighted_audit

_planned = functools.lru_cache(maxsize=256)(plan_audit)  # simulations ask for one plan often


@functools.lru_cache(maxsize=16)
def _planned_weighted(
    doubt: bytes, allowed: int, level: float, rate: float, most: int | None
) -> WeightedPlan | None:
    return plan_weighted_audit(np.frombuffer(doubt), allowed, level=level, rate=rate, most=most)


SPENT_FIRST, SPENT_NEXT = 0.95, 0.8
"""The share of the risk that the first attempt gets, and each later one of what then is left.

Labels grow with the log of one over the risk. Where a share p of first attempts is refused, the
mean over both attempts is least if the first gets 1 / (1 + p) of the risk: few are refused. Who
tries a third time has a model for which the promise hardly holds, and needs more left.
"""

UNNAMED = 10
"""Items of an audit that nobody can name, at most, where errors found count as corrected. They get
no label, so fewer errors are granted: at most ``ceil(UNNAMED * (1 - target))``, which are withheld
from those that count as corrected."""


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
        and so does one that was broken off in its audit. `alutils.guarantee.pool.finish` counts
        by itself, and takes this for the least that it may be. None for one that is never followed
        by another, and gets all of the risk
    room : so many of the items by hand may turn out to be such that nobody can name them. They get
        no label, so fewer errors are granted, and the plan is made for those
    """

    target: float
    level: float = 0.95
    by_hand: int = 0
    expected_wrong: float = 0.002
    most: int | None = None
    weighted: bool = False
    attempt: int | None = 1
    room: int = 0

    def __post_init__(self) -> None:
        check_open_fraction("target", self.target)
        check_open_fraction("level", self.level)
        check_count("by_hand", self.by_hand)
        check_count("room", self.room)
        check_fraction("expected_wrong", self.expected_wrong)
        if self.most is not None:
            check_count("most", self.most)
        if not isinstance(self.weighted, bool):
            raise ParameterError("weighted", self.weighted, "expected true or false")
        if self.attempt is not None:
            attempt_level(self.level, self.attempt)

    def plan(
        self,
        n_items: int,
        n_left: int,
        doubt: np.ndarray | None = None,
        n_declined: int = 0,
        *,
        answered_once: bool = False,
    ) -> AuditPlan | WeightedPlan:
        """Plan the audit of what the model is to label.

        n_items : labels that the promise is about
        n_left : how many of them the model is to give
        doubt : (n_left,) float, how likely it is to be wrong about each; for weighted terms alone
        n_declined : items that nobody could label, which count as wrong
        answered_once : whether the answers in the audit are the labels that stand. Then the errors
            found are corrected, and count for what may be wrong. Where people may change an answer
            with the prediction in sight, an error found need not be one corrected
        """
        allowed = allowed_errors(n_items, self.target) - n_declined
        if allowed < 0:
            raise ParameterError(
                "target", self.target, f"{n_declined} items were not answered, too many for it"
            )
        withheld = None
        if answered_once:
            withheld = math.ceil(UNNAMED * (1 - _exact(self.target)))
        level, rate = self.level, self.expected_wrong
        if self.attempt is not None:
            level = attempt_level(level, self.attempt)
        most = None if self.most is None else min(self.most, n_left)
        found = None
        if self.weighted and n_left:
            known = np.ascontiguousarray(doubt, float).tobytes()
            found = _planned_weighted(known, allowed, level, rate, most)
        return found or _planned(
            n_left, allowed, level=level, rate=rate, most=most, withheld=withheld
        )


def percent(share: float) -> str:
    """Return a share in per cent, never rounded up to more than it is."""
    return f"{100 * share:.12g}%"


def allowed_errors(n_items: int, target: float) -> int:
    """Return how many of ``n_items`` labels may be wrong where a share of ``target`` is right."""
    # In fractions: 1 - 0.99 is more than 0.01, and 0.07 * 100 more than 7.
    return int(n_items * (1 - _exact(target)))


def _exact(share: float) -> Fraction:
    return Fraction(str(float(share)))


def attempt_level(level: float, attempt: int) -> float:
    """Return the level that the ``attempt``-th audit is held to, so that all together keep it.

    The first gets `SPENT_FIRST` of the risk ``1 - level``, the second `SPENT_NEXT` of what is left,
    the third as much of what then is left, and so on: for ever, all of it.
    """
    check_open_fraction("level", level)
    check_count("attempt", attempt, 1)
    if attempt == 1:
        return 1 - (1 - level) * SPENT_FIRST
    left = (1 - level) * (1 - SPENT_FIRST) * (1 - SPENT_NEXT) ** (attempt - 2)
    return 1 - left * SPENT_NEXT


def counted_level(level: float, attempts: Attempts | None) -> tuple[float, int | None]:
    """Count an attempt; return the level that it is held to, and which one it is.

    Without ``attempts`` nothing is counted: it is the only one, and gets all of the risk.
    """
    check_open_fraction("level", level)
    if attempts is None:
        return level, None
    number = attempts.next_number()
    attempts.begin(number)
    return attempt_level(level, number), number


def unsure_first(margin: np.ndarray, by_hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of those labelled by hand and of the others, the highest margins first."""
    order = np.argsort(-margin, kind="stable")
    return order[:by_hand], order[by_hand:]
