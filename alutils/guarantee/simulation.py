"""How often a rule for automatic labels breaks its promise: many audits where the truth is known.

A rule for thresholds takes `Audits` and says which threshold each of them leads to (`certified`,
`fixed`, `lowest_right`); `simulate` holds these against the truth. `simulate_pool` does the same
for an audit of a whole pool by a plan. Both come to `Outcomes`, which `Outcomes.summary` counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alutils.guarantee.audit import CERTIFIED, run_audit
from alutils.guarantee.audit_slice import counts_above, draw_audit
from alutils.guarantee.certificates import last_passed
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.thresholds import THRESHOLDS
from alutils.guarantee.weighted import WeightedPlan
from alutils.stats.intervals import lower_bound


@dataclass(frozen=True)
class Truth:
    """What is true of the items that a model may be given.

    ``confidence``, (k,) float, rises; ``share`` and ``right``, (k + 1,) float, are the share of all
    items at or above each, and the share of these that is right; at the end 0 and NaN, for nothing.
    """

    confidence: np.ndarray
    share: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray) -> Truth:
        """Return the truth about items: (n,) float, and (n,) bool or the chances of being right."""
        order, above = np.argsort(confidence, kind="stable"), np.arange(len(right), 0, -1)
        n_right = np.cumsum(right[order][::-1])[::-1]
        return cls(
            confidence[order], np.append(above / len(right), 0), np.append(n_right / above, np.nan)
        )

    def above(self, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of items at or above thresholds, and of right ones; NaN is no threshold.

        thresholds : (...,) float; both shares have its shape
        """
        place = np.searchsorted(self.confidence, thresholds)  # NaN comes last
        return self.share[place], self.right[place]


@dataclass(frozen=True)
class Audits:
    """Many audits of one model, (draws, n_audit) float and bool each.

    The audited items are in random order; ``right`` is whether the model seems right about them.
    """

    confidence: np.ndarray
    right: np.ndarray

    @classmethod
    def drawn(
        cls,
        confidence: np.ndarray,
        right: np.ndarray,
        n_audit: int,
        draws: int,
        rng: np.random.Generator,
    ) -> Audits:
        """Draw audits of ``n_audit`` of these items, (n,) float and bool, as `draw_audit` does."""
        items = np.stack([draw_audit(len(confidence), n_audit, rng) for _ in range(draws)])
        return cls(confidence[items], right[items])

    def beginnings(self, n: int) -> Audits:
        """Return the first ``n`` labels of each."""
        return Audits(self.confidence[:, :n], self.right[:, :n])


Rule = Callable[[Audits], np.ndarray]
"""Returns (draws,) or (draws, n_looks) float: the threshold after each audit, or at each look at
it; NaN for a refusal."""


def certified(
    target: float,
    level: float = 0.95,
    *,
    bound: Callable[..., float | np.ndarray] = lower_bound,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Rule:
    """Return the rule of `thresholds.certify` for many audits.

    With `anytime.anytime_lower_bound` it is that of `anytime.certify_anytime`.
    """

    def rule(audits: Audits) -> np.ndarray:
        n, errors = counts_above(audits.confidence, audits.right, thresholds)
        # The same counts turn up in many audits, and each bound takes a while.
        cells, place = np.unique(np.stack([n, errors]).reshape(2, -1), axis=1, return_inverse=True)
        passed = np.asarray(bound(*cells, level)) >= target
        return last_passed(passed[np.ravel(place)].reshape(n.shape), thresholds)

    return rule


def lowest_right(target: float, thresholds: Sequence[float] = THRESHOLDS) -> Rule:
    """Return the rule that takes the lowest threshold at which enough of the audit is right."""

    def rule(audits: Audits) -> np.ndarray:
        n, errors = counts_above(audits.confidence, audits.right, thresholds)
        good = (n > 0) & (n - errors >= target * n)
        last = len(thresholds) - 1 - good[:, ::-1].argmax(axis=1)
        return np.where(good.any(axis=1), np.asarray(thresholds)[last], np.nan)

    return rule


def fixed(threshold: float) -> Rule:
    """Return the rule that asks no audit."""
    return lambda audits: np.full(len(audits.right), threshold)


@dataclass(frozen=True)
class Outcomes:
    """What a rule came to in each of many audits: (draws,) arrays.

    ``broken`` is whether a promise was given and is false, ``coverage`` the share of the waiting
    items that the model labels (0 where ``refused``), ``right`` the share of these labels that is
    right (NaN where there are none), ``labels`` how many human labels it took.
    """

    broken: np.ndarray
    coverage: np.ndarray
    right: np.ndarray
    refused: np.ndarray
    labels: np.ndarray

    def summary(self) -> dict[str, float]:
        """Return the number of audits, means over them, Clopper and Pearson's 95% interval.

        ``right`` is the mean over audits with any automatic labels.
        """
        some = ~np.isnan(self.right)
        interval = stats.binomtest(int(self.broken.sum()), len(self.broken)).proportion_ci(0.95)
        return {
            "audits": len(self.broken),
            "broken": float(self.broken.mean()),
            "broken_low": float(interval.low),
            "broken_high": float(interval.high),
            "coverage": float(self.coverage.mean()),
            "right": float(self.right[some].mean()) if some.any() else math.nan,
            "refused": float(self.refused.mean()),
            "labels": float(self.labels.mean()),
        }


def simulate(rule: Rule, audits: Audits, truth: Truth, target: float) -> Outcomes:
    """Hold a rule for thresholds against the truth, audit by audit.

    Its promise is broken where less than ``target`` is right at or above a threshold that it names,
    at any look; what it labels is counted at the last look.
    """
    looks = rule(audits)
    looks = looks[:, None] if looks.ndim == 1 else looks
    coverage, right = truth.above(looks[:, -1])
    return Outcomes(
        broken=np.asarray((truth.above(looks)[1] < target).any(axis=1)),
        coverage=coverage,
        right=right,
        refused=np.isnan(looks[:, -1]),
        labels=np.full(len(looks), audits.right.shape[1]),
    )


def simulate_pool(
    plan: AuditPlan | WeightedPlan,
    wrong: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    by_hand: int = 0,
) -> Outcomes:
    """Audit the same items by a plan again and again, as `alutils.guarantee.pool.finish` does.

    Parameters
    ----------
    plan : of the audit; its promise is broken where it certifies, and more than ``plan.allowed`` of
        the labels that stand then are wrong
    wrong : (plan.population,) bool, which items the model has wrong
    by_hand : other items that wait, too, and were labelled by hand before
    """
    outcomes = [run_audit(plan, wrong, rng) for _ in range(draws)]
    certified = np.array([outcome.decision == CERTIFIED for outcome in outcomes])
    used = np.array([outcome.n_used for outcome in outcomes])
    wrong_left = int(wrong.sum()) - np.array([outcome.errors for outcome in outcomes])
    left = plan.population - used
    with np.errstate(invalid="ignore", divide="ignore"):
        right = np.where(certified, 1 - wrong_left / left, np.nan)
    return Outcomes(
        broken=certified & (wrong_left > plan.allowed),
        coverage=np.where(certified, left / (plan.population + by_hand), 0.0),
        right=right,
        refused=~certified,
        labels=used + by_hand,
    )
