"""Stronger promises from the same audit: class by class, for one finite pool, for every label.

`alutils.guarantee.thresholds` promises a share of right labels above one threshold for all classes,
for items of this kind however many there are. Here the promise is split by predicted class, or it
is about the very items of one pool, which an audit of some hundreds knows better than the binomial
bound says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from alutils.base.checks import check_count, check_fraction, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.anytime import anytime_wrong_at_most
from alutils.guarantee.audits import check_audit, check_confidences, check_thresholds, reachable
from alutils.guarantee.thresholds import (
    THRESHOLDS,
    Certificate,
    Tested,
    certificate,
    certify,
    fixed_sequence,
    labels_needed,
)
from alutils.stats.intervals import lower_bound

RULES = ("once", "anytime")
PROMISES = ("auto", "above", "everything")

FAR = 4.0
"""Standard deviations by which an audit may hold more items above a threshold than expected."""


@dataclass(frozen=True)
class ClassCertificates:
    """A certificate for each class with labels enough, and one for the others together.

    All hold at once, at ``level``.

    Attributes
    ----------
    classes : class number to its certificate
    rest : of all other classes together; None where there are none
    target, level : of the joint promise; each certificate bears the higher level that it was
        tested at
    """

    classes: dict[int, Certificate]
    rest: Certificate | None
    target: float
    level: float

    def covers(self, confidence: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which items, with these predicted classes, may be labelled."""
        confidence, predicted = check_confidences("confidence", confidence), np.asarray(predicted)
        none = np.zeros(len(confidence), bool)
        covered = none if self.rest is None else self.rest.covers(confidence)
        for number, each in self.classes.items():
            covered = np.where(predicted == number, each.covers(confidence), covered)
        return covered

    def to_dict(self) -> dict[str, Any]:
        """Return all certificates as JSON's types."""
        return {
            "classes": {str(number): each.to_dict() for number, each in self.classes.items()},
            "rest": None if self.rest is None else self.rest.to_dict(),
            "target": self.target,
            "level": self.level,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassCertificates:
        """Read what `to_dict` wrote."""
        if set(values) != {"classes", "rest", "target", "level"}:
            raise ParameterError("certificates", sorted(values), "expected what to_dict wrote")
        read = Certificate.from_dict
        return cls(
            classes={int(number): read(each) for number, each in values["classes"].items()},
            rest=None if values["rest"] is None else read(values["rest"]),
            target=values["target"],
            level=values["level"],
        )


def certify_per_class(
    confidence: np.ndarray,
    predicted: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    level: float = 0.95,
    thresholds: Sequence[float] = THRESHOLDS,
    model: str = "",
    data: str = "",
) -> ClassCertificates:
    """Certify a threshold for each predicted class that the audit holds enough items of.

    Parameters
    ----------
    confidence, right, target, level, thresholds, model, data : as in `certificates.certify`
    predicted : (n_audit,) int, the class that the model gives each audited item

    Returns
    -------
    ClassCertificates. The risk ``1 - level`` is split evenly over the classes tested alone and the
    rest (Bonferroni), so that all promises hold together. A class is tested alone if its audited
    items, all of them right and confident, could certify it at that share of the risk; the numbers
    of items decide this, never their errors or confidences, so the choice costs nothing.
    """
    confidence, right = check_audit(confidence, right)
    predicted = np.asarray(predicted)
    if predicted.shape != confidence.shape or not np.issubdtype(predicted.dtype, np.integer):
        raise ParameterError(
            "predicted",
            f"{predicted.dtype} of shape {predicted.shape}",
            f"expected a class number for each of the {len(confidence)} audited items",
        )
    check_open_fraction("target", target)
    check_open_fraction("level", level)
    numbers, counts = np.unique(predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    numbers, counts = numbers[order], counts[order]
    alone, each_level = 0, level
    # The more classes are tested alone, the more labels each needs: the most that still can be.
    for k in range(len(numbers), 0, -1):
        groups = k + (k < len(numbers))
        each_level = 1 - (1 - level) / groups
        if counts[k - 1] >= labels_needed(target, each_level):
            alone = k
            break
    else:
        each_level = level

    def one(chosen: np.ndarray) -> Certificate:
        return certify(
            confidence[chosen], right[chosen], target=target, level=each_level,
            thresholds=thresholds, model=model, data=data,
        )  # fmt: skip

    others = ~np.isin(predicted, numbers[:alone])
    return ClassCertificates(
        classes={int(number): one(predicted == number) for number in sorted(numbers[:alone])},
        rest=one(others) if others.any() else None,
        target=target,
        level=level,
    )


def wrong_at_most(population: int, n: int, errors: int, level: float = 0.95) -> int:
    """Return an upper bound on the wrong labels in a finite population, from a sample of it.

    Parameters
    ----------
    population : items in all, the sample included
    n, errors : size of the sample, drawn without replacement, and the wrong ones in it
    level : probability, at least, that no more are wrong in all

    Returns
    -------
    int from ``errors`` to ``population - (n - errors)``

    Source: Wright (1991), Buonaccorsi (1987): the exact hypergeometric bound.
    """
    for name, value in (("population", population), ("n", n), ("errors", errors)):
        check_count(name, value)
    check_open_fraction("level", level)
    if not errors <= n <= population:
        raise ParameterError(
            "n", n, f"expected at least errors={errors} and at most population={population}"
        )
    low, high = errors, population - (n - errors) + 1  # `low` wrong in all is possible, `high` not
    while high - low > 1:
        middle = (low + high) // 2
        rare = stats.hypergeom.cdf(errors, population, middle, n) <= 1 - level
        low, high = (low, middle) if rare else (middle, high)
    return low


def most_audited(population: int, above: int, n_audit: int) -> int:
    """Return how many of an audit lie above a threshold, at most, but for a freak draw.

    Parameters
    ----------
    population : items that the audit is drawn from
    above : how many of them are at or above the threshold
    n_audit : size of the audit

    Returns
    -------
    int: expectation and `FAR` standard deviations, rounded up, or all there can be
    """
    share = above / population
    left = (population - n_audit) / max(1, population - 1)  # a draw of everything has no spread
    spread = math.sqrt(n_audit * share * (1 - share) * left)
    return min(above, n_audit, math.ceil(n_audit * share + FAR * spread))


def certify_pool(
    pool: np.ndarray,
    audited: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    level: float = 0.95,
    thresholds: Sequence[float] = THRESHOLDS,
    promise: str = "auto",
    hand_labelled: int = 0,
    human_wrong: float = 0.0,
    rule: str = "once",
    model: str = "",
    data: str = "",
) -> Certificate:
    """Certify a threshold for the items of this very pool.

    Parameters
    ----------
    pool : (n_pool,) float, confidences of all items that the audit was drawn from, the audited
        ones included
    audited : (n_audit,) int, which of them were audited
    right : (n_audit,) bool, whether the model's class is the human one
    target, level, thresholds, model, data : as in `certificates.certify`
    promise : ``auto``: of the automatic labels, which the items at or above the threshold get
        that are not audited, a share of at least ``target`` is right. ``above``: of the model's
        labels for all items of this pool at or above it, audited ones included; this is certified
        with fewer labels. ``everything``: of all labels of the pool, when people label what is
        below the threshold too
    hand_labelled : for ``everything``, items outside ``pool`` with human labels: the training set
    human_wrong : for ``everything``, share of the human labels that are wrong, at most: a premise,
        which nothing here checks
    rule : ``once``, for one look at one audit, or ``anytime``, for looks as it grows: not with
        ``auto``, whose promise is reckoned for the audit's size. ``anytime`` tests the whole list

    Returns
    -------
    Certificate, its bound one on the promised share

    The test of a threshold asks whether so few errors would be rare if one more item were wrong
    than the promise allows. What the promise allows must not depend on the draw, or testing in a
    fixed order would not hold the level; it is therefore reckoned for the most audited items that
    a draw can be expected to put above the threshold, and a draw with more is refused.
    """
    pool = check_confidences("pool", pool)
    audited = np.asarray(audited)
    if not np.issubdtype(audited.dtype, np.integer) or audited.ndim != 1 or not len(audited):
        raise ParameterError("audited", audited, "expected indices into the pool", "label an audit")
    if audited.min() < 0 or audited.max() >= len(pool):
        worst = audited.min() if audited.min() < 0 else audited.max()
        raise ParameterError("audited", worst, f"expected items from 0 to {len(pool) - 1}")
    if len(np.unique(audited)) != len(audited):
        raise ParameterError("audited", len(audited), "expected each item once", "drop repeats")
    confidence, right = check_audit(pool[audited], right)
    check_open_fraction("target", target)
    check_open_fraction("level", level)
    check_count("hand_labelled", hand_labelled)
    check_fraction("human_wrong", human_wrong)
    if promise not in PROMISES:
        raise ParameterError("promise", promise, f"expected one of {', '.join(PROMISES)}")
    if rule not in RULES:
        raise ParameterError("rule", rule, f"expected one of {', '.join(RULES)}")
    if rule == "anytime" and promise == "auto":
        raise ParameterError("promise", promise, "no promise for any number of looks", "try above")
    thresholds = check_thresholds(thresholds)
    if promise != "everything" and rule == "once":
        thresholds = reachable(thresholds, pool, len(audited), labels_needed(target, level))

    at_most = anytime_wrong_at_most if rule == "anytime" else wrong_at_most

    def promised(above: int, most: int) -> tuple[float, int]:
        """Return the human labels that are wrong, at most, and of how many the target is."""
        if promise != "everything":
            return 0.0, above - most * (promise == "auto")
        total = len(pool) + hand_labelled
        return human_wrong * (total - above + most), total

    def test(threshold: float) -> Tested:
        above, chosen = int((pool >= threshold).sum()), confidence >= threshold
        n, errors = int(chosen.sum()), int((chosen & ~right).sum())
        # What is promised must not change from look to look either.
        most = above if rule == "anytime" else most_audited(len(pool), above, len(audited))
        by_people, total = promised(above, most)
        if n > most or total <= 0:
            return Tested(threshold, n, errors, 0.0)
        wrong = at_most(above, n, errors, level) + by_people
        return Tested(threshold, n, errors, max(0.0, (total - wrong) / total))

    first = int((pool >= thresholds[0]).sum())
    by_people, total = promised(first, most_audited(len(pool), first, len(audited)))
    allowed = (1 - target) * total - by_people
    return certificate(
        fixed_sequence(map(test, thresholds), target),
        target=target,
        level=level,
        n_audit=len(audited),
        # Forecast as for an endless pool: a little careful, and it needs no draw.
        passes=lambda n, errors: lower_bound(n, errors, level) >= 1 - allowed / first,
        promise=promise,
        rule=rule,
        model=model,
        data=data,
    )
