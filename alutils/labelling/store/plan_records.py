"""What an attempt to finish is, and where it stands: the records of `plans`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from alutils.base.errors import ParameterError
from alutils.guarantee.finishing import CANNOT_TELL, Finishing, Said
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.terms import Terms, allowed_errors
from alutils.guarantee.weighted import WeightedPlan


@dataclass(frozen=True)
class Plan:
    """An attempt to finish, as it is kept."""

    number: int
    attempt: int  # which attempt of the project it is if it counts, from 1 on
    state: str  # `OPEN`, `CERTIFIED`, `REFUSED` or `STOPPED`
    target: float
    level: float  # of all attempts of the project together
    terms: dict[str, Any]  # as `Draft.as_json`
    seed: str  # hexadecimal
    model: str  # SHA-256
    at: float  # seconds since 1970
    person: str
    begun: float | None  # when its first picture was handed out: from then on it counts
    ended: float | None
    certificate: dict[str, Any] | None  # of one that was certified or refused


@dataclass(frozen=True, eq=False)
class Draft:
    """What a plan is made of.

    Attributes
    ----------
    terms : of the attempt
    plan : of its audit
    items : (n,) int64, the numbers of the pictures that wait and that the model knows, ascending
    said : what the model says of them; classes by their numbers in the project
    before : (m,) int64, the numbers of those that people had labelled, without those whose labels
        stand for an earlier certificate already
    position : the last event before
    outside : how many pictures wait that the model does not know
    versions : of the programs that made it
    reading : what people decided of how the model sees the pictures, a sentence each
    """

    terms: Terms
    plan: AuditPlan | WeightedPlan
    items: np.ndarray
    said: Said
    before: np.ndarray
    position: int
    outside: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    reading: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what does not belong to single pictures, as JSON's types."""
        plan = self.plan
        if isinstance(plan, WeightedPlan):
            parts = {name: getattr(plan, name) for name in ("allowed", "level", "bet", "most")}
            how = {"kind": "weighted", **parts}
        else:
            how = {"kind": "uniform", **plan.to_dict()}
        counts = {"waiting": len(self.items), "before": len(self.before)}
        terms = asdict(self.terms)
        return {
            "terms": terms, "plan": how, **counts, "position": self.position,
            "outside": self.outside, "versions": self.versions, "reading": list(self.reading),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Look:
    """Where an open attempt stands."""

    decision: str  # as `alutils.guarantee.finishing.Finishing.decision`
    wanted: np.ndarray  # (k,) int64, the pictures that it still takes at the least, in their order
    answered: int
    by_hand_left: int
    least: int  # answers that it still takes
    most: int
    missing: int  # pictures without their file, if it would be refused for these alone


def read_terms(terms: dict[str, Any], rates: np.ndarray) -> tuple[Terms, AuditPlan | WeightedPlan]:
    """Read what `Draft.as_json` wrote; ParameterError for a plan that does not hold its level.

    ``rates`` are those of a weighted plan's pictures, in their order.
    """
    how = dict(terms["plan"])
    kind = how.pop("kind", None)
    if kind == "uniform":
        return Terms(**terms["terms"]), AuditPlan.from_dict(how)
    if kind == "weighted":
        return Terms(**terms["terms"]), WeightedPlan(rates, **how)
    raise ParameterError("plan", kind, "expected uniform or weighted")


def holds_without(
    attempt: Finishing, items: np.ndarray, lost: Collection[int], n_more: int
) -> bool:
    """Tell whether a certified attempt keeps its promise where some labels are not there.

    Parameters
    ----------
    items : the pictures of the attempt
    lost : those without their file, which the model does not label
    n_more : labels from before that are gone, too
    """
    n_lost = int(np.isin(items[attempt.rest], list(lost)).sum()) + n_more
    rejected = int((attempt.now == CANNOT_TELL).sum())
    granted = allowed_errors(attempt.n_items - rejected - n_lost, attempt.terms.target)
    return may_be_wrong(attempt, items, lost) <= granted


def may_be_wrong(attempt: Finishing, items: np.ndarray, lost: Collection[int]) -> int:
    """Return how many labels of a certified attempt may be wrong.

    Those that the audit allows, without the errors that it saw; a file that was lost is no error
    that it saw.
    """
    seen = attempt.audited[~np.isin(items[attempt.audited], list(lost))]
    n_seen = int(attempt.is_wrong(seen).sum())
    return max(min(attempt.plan.allowed, len(attempt.left)) - n_seen, 0)
