"""The right to believe automatic labels: thresholds certified on a random audit slice.

A model's own confidence promises nothing, and the items that active learning asked for cannot check
it: they were chosen because the model was unsure. So a slice of the pool is drawn at random,
labelled without showing the prediction, and never trained on. Of the thresholds on a preset,
falling list, each is tested in turn until the first fails, and the last that passed is certified:
*of the items at or above it, at least ``target`` are right*, wrong about this in at most
``1 - level`` of all audits.

What makes it valid, and what would break it:

* The list and the target are fixed before the audit is labelled. Then testing in a fixed order
  needs no correction: a false certificate means that the first false threshold on the list passed.
* The audit is a random sample of the very items to be labelled. It is, exactly, when it is drawn
  from what is left after the last query (`draw_audit`'s ``exclude``). One drawn at the start and
  kept aside is a sample of new items of the same kind instead; queries take the hard items from
  the others and not from it, so it errs on the careful side unless they do the contrary.
* One look. Whoever labels on and asks again needs `alutils.guarantee.anytime`.
* The audit's human labels are right. Wrong at random, they make the model look worse than it is,
  and little is certified until whoever disagrees with the model is asked once more. Wrong wherever
  the model is, they hide its errors and break the promise: ``benchmarks/guarantee.py`` shows both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from alutils.base.checks import check_count, check_fraction, check_keys, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.audits import (
    check_audit,
    check_confidences,
    check_thresholds,
    counts_above,
    draw_audit,
    reachable,
)
from alutils.stats.intervals import lower_bound

__all__ = ["Certificate", "Tested", "certify", "draw_audit", "labels_needed", "lower_bound"]

THRESHOLDS = tuple(round(0.99 - 0.005 * step, 3) for step in range(99))
"""Tested in this order where none are given, from .99 to .5. Fine steps cost no certainty."""

HIGHER = (0.999, 0.998, 0.995)
"""What `certify` falls back on, if asked to, where the first threshold on the list fails."""

MOST_LABELS = 10**9  # more than this is never, in a forecast


@dataclass(frozen=True)
class Tested:
    """What the audit says of one threshold.

    Attributes
    ----------
    threshold : float
    n, errors : int, audited items at or above it, and how many of these the model has wrong
    bound : float, lower bound at the certificate's level on the share of right labels
    """

    threshold: float
    n: int
    errors: int
    bound: float


@dataclass(frozen=True)
class Certificate:
    """A threshold above which automatic labels may be believed, or why there is none.

    Attributes
    ----------
    threshold : float, or None where none could be certified
    target : float, share of right labels that is promised
    level : float, confidence of the promise
    n_audit : int, labels in the audit
    tested : the thresholds looked at, in order; all passed but perhaps the last
    model, data : str, hashes of the model and of the pool for which alone this holds
    date : str, ISO 8601 in UTC
    missing : int, more audit labels that would certify the first threshold if the model had none
        of them wrong; None where there is a threshold, or no audited item reached the first one
    missing_at_rate : int, the same if errors stay as frequent as they were; None where that would
        never do
    promise : str, of what ``target`` is the share: ``model``, all items that the model may be given
        at or above the threshold; else of one pool, see `promises.certify_pool`
    rule : str, how ``bound`` was computed: ``once``, for one look, ``anytime``, for any number
    """

    threshold: float | None
    target: float
    level: float
    n_audit: int
    tested: tuple[Tested, ...]
    model: str = ""
    data: str = ""
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    missing: int | None = None
    missing_at_rate: int | None = None
    promise: str = "model"
    rule: str = "once"

    @property
    def decisive(self) -> Tested:
        """The threshold certified, or the one whose failure was the refusal."""
        if self.threshold is None:
            return self.tested[0]
        return next(row for row in self.tested if row.threshold == self.threshold)

    @property
    def n(self) -> int:
        """Audited items at or above the decisive threshold."""
        return self.decisive.n

    @property
    def errors(self) -> int:
        """How many of them the model has wrong."""
        return self.decisive.errors

    @property
    def bound(self) -> float:
        """Lower bound on the share of right labels at the decisive threshold."""
        return self.decisive.bound

    @property
    def coverage(self) -> float:
        """Share of the audit at or above the certified threshold; 0 for a refusal."""
        return 0.0 if self.threshold is None else self.n / self.n_audit

    def valid_for(self, model: str, data: str) -> bool:
        """Say whether automatic labels by this model on this data are certified."""
        same = bool(model) and bool(data) and (self.model, self.data) == (model, data)
        return same and self.threshold is not None

    def covers(self, confidence: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which items may be labelled automatically; none after a refusal."""
        confidence = check_confidences("confidence", confidence)
        if self.threshold is None:
            return np.zeros(len(confidence), bool)
        return confidence >= self.threshold

    def sentence(self) -> str:
        """Return the finding in one plain sentence."""
        seen = f"{self.errors} of {self.n} audited items at or above"
        if self.threshold is not None:
            return (
                f"Certified from confidence {self.threshold:g} on: at least {self.target:.4g} "
                f"right ({seen} it were wrong; bound {self.bound:.4f} at level {self.level:g}), "
                f"{self.coverage:.1%} of the audit."
            )
        more = (
            "no audited item reached it"
            if self.missing is None
            else f"{self.missing} more audit labels without an error would do"
        )
        return (
            f"No threshold certified: {seen} {self.tested[0].threshold:g} were wrong, bound "
            f"{self.bound:.4f}, asked {self.target:.4g} at level {self.level:g}; {more}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as JSON's types."""
        return asdict(self) | {"tested": [asdict(row) for row in self.tested]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Certificate:
        """Read what `to_dict` wrote.

        Raises
        ------
        ParameterError
            For keys missing or unknown, values of other types, and a certificate that contradicts
            itself: such a file was damaged or changed by hand, and believing it is not safe.
        """
        check_keys("certificate", values, cls)
        rows = values["tested"]
        if not isinstance(rows, list) or not rows:
            raise ParameterError("tested", rows, "expected a list of at least one threshold")
        for row in rows:
            if not isinstance(row, Mapping):
                raise ParameterError("tested", row, "expected an object for each threshold")
            check_keys("tested", row, Tested)
            for name in ("threshold", "bound"):
                check_fraction(name, row[name])
            for name in ("n", "errors"):
                check_count(name, row[name])
        certificate = cls(**(dict(values) | {"tested": tuple(Tested(**row) for row in rows)}))
        certificate._check()
        return certificate

    def _check(self) -> None:
        check_open_fraction("target", self.target)
        check_open_fraction("level", self.level)
        check_count("n_audit", self.n_audit)
        for name in ("model", "data", "date", "promise", "rule"):
            if not isinstance(getattr(self, name), str):
                raise ParameterError(name, getattr(self, name), "expected text")
        for row in self.tested:
            if not row.errors <= row.n <= self.n_audit:
                raise ParameterError("tested", row, "expected errors <= n <= n_audit")
        check_thresholds(tuple(row.threshold for row in self.tested))
        passed = [row.threshold for row in self.tested if row.bound >= self.target]
        if self.threshold != (passed[-1] if passed else None) or any(
            row.bound < self.target for row in self.tested[:-1]
        ):
            raise ParameterError(
                "threshold",
                self.threshold,
                f"does not follow from its own tests, of which {passed or 'none'} passed",
                "certify again",
            )


def labels_needed(target: float, level: float = 0.95, errors: int = 0) -> int:
    """Return how many checked labels, ``errors`` of them wrong, certify the target."""
    check_open_fraction("target", target)
    check_count("errors", errors)
    more = _fewest(lambda more: lower_bound(errors + 1 + more, errors, level) >= target)
    if more is None:
        raise ParameterError(
            "target", target, f"would take over {MOST_LABELS:,} labels", "ask less"
        )
    return errors + 1 + more


def certify(
    confidence: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    level: float = 0.95,
    thresholds: Sequence[float] = THRESHOLDS,
    pool: np.ndarray | None = None,
    rescue: float = 0.0,
    model: str = "",
    data: str = "",
) -> Certificate:
    """Certify the lowest threshold that the audit supports.

    Parameters
    ----------
    confidence : (n_audit,) float, highest probability of each audited item, by the model to certify
    right : (n_audit,) bool, whether that model's class is the human one
    target : share of right labels to promise for items at or above the threshold
    level : confidence of the promise
    thresholds : strictly descending, fixed before the audit was looked at
    pool : (n_pool,) float, confidences of all items that the audit was drawn from. With it, the
        list begins at the first threshold that so large an audit can be expected to decide: a model
        that is seldom sure would otherwise fail at one that few items reach. Which items were
        drawn plays no part in it, so the promise stands
    rescue : share of the risk ``1 - level`` kept back: if the first threshold fails, `HIGHER` ones
        are tested at this share of it. For models that are surer than right, a tenth is well spent
    model, data : hashes that the certificate is to bear

    Returns
    -------
    Certificate, with ``threshold=None`` where the first threshold fails

    Raises
    ------
    ParameterError
        NaN or confidences outside [0, 1], arrays of different lengths, an empty audit, a target or
        level outside (0, 1), thresholds not strictly descending.

    Source: fixed-sequence testing, Maurer, Hothorn and Lehmacher (1995); learn then test,
    Angelopoulos et al. (2021).
    """
    confidence, right = check_audit(confidence, right)
    check_open_fraction("target", target)
    check_open_fraction("level", level)
    thresholds = check_thresholds(thresholds)
    if pool is not None:
        thresholds = reachable(thresholds, pool, len(confidence), labels_needed(target, level))

    if not 0 <= rescue < 1:
        raise ParameterError("rescue", rescue, "expected a share from 0 to below 1", "try 0.1")

    def one(thresholds: Sequence[float], risk: float) -> Certificate:
        n, errors = counts_above(confidence, right, thresholds)
        rows = zip(thresholds, n, errors, lower_bound(n, errors, 1 - risk), strict=True)
        return certificate(
            fixed_sequence((Tested(t, int(m), int(e), float(b)) for t, m, e, b in rows), target),
            target=target,
            level=level,
            n_audit=len(confidence),
            passes=lambda n, errors: lower_bound(n, errors, 1 - risk) >= target,
            model=model,
            data=data,
        )

    risk = 1 - level
    main = one(thresholds, risk * (1 - rescue))
    higher = tuple(each for each in HIGHER if each > thresholds[0])
    if main.threshold is None and rescue and higher:
        rescued = one(higher, risk * rescue)
        return main if rescued.threshold is None else rescued
    return main


def fixed_sequence(tests: Iterable[Tested], target: float) -> tuple[Tested, ...]:
    """Take tests in their order, up to and including the first that fails."""
    tested = []
    for each in tests:
        tested.append(each)
        if each.bound < target:
            break
    return tuple(tested)


def certificate(
    tested: tuple[Tested, ...],
    *,
    target: float,
    level: float,
    n_audit: int,
    passes: Callable[[float, float], bool],
    **about: str,
) -> Certificate:
    """Return the certificate, or the refusal, that follows from a sequence of tests.

    Parameters
    ----------
    tested : what `fixed_sequence` gave
    target, level, n_audit, about : fields of the `Certificate`
    passes : whether a number of labels checked and of errors among them would do; forecasts after
        a refusal are made with it
    """
    passed = [row.threshold for row in tested if row.bound >= target]
    missing = at_rate = None
    first = tested[0]
    if not passed and first.n:
        above = first.n / n_audit  # of the audit labels to come, this share will count

        rate = first.errors / first.n

        def more_labels(each: float) -> int | None:
            more = _fewest(lambda more: passes(first.n + more, first.errors + more * each))
            return None if more is None else math.ceil(more / above)

        missing, at_rate = more_labels(0.0), more_labels(rate)
    return Certificate(
        threshold=passed[-1] if passed else None,
        target=target,
        level=level,
        n_audit=n_audit,
        tested=tested,
        missing=missing,
        missing_at_rate=at_rate,
        **about,
    )


def _fewest(passes: Callable[[int], bool]) -> int | None:
    """Return the least m >= 0 that passes, where all higher ones do too; None for hardly any."""
    low, high = -1, 0
    while not passes(high):
        low, high = high, 2 * high + 1
        if high > MOST_LABELS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
