"""What an audit says of a model's thresholds: a certificate, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from alutils.base.checks import check_count, check_fraction, check_keys, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.audit_slice import check_confidences, check_thresholds

MOST_LABELS = 10**9
"""A forecast of more labels than this says never."""


@dataclass(frozen=True)
class Tested:
    """What the audit says of one threshold.

    ``n`` audited items lie at or above it, the model has ``errors`` of them wrong, and ``bound`` is
    a lower bound at the certificate's level on the share of right labels.
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
    threshold : None where none could be certified
    target, level : share of right labels that is promised, and confidence of the promise
    n_audit : labels in the audit
    tested : the thresholds looked at, in order; all passed but perhaps the last
    model, data : str, hashes of the model and of the pool for which alone this holds
    date : str, ISO 8601 in UTC
    missing : int, more audit labels that would certify the first threshold if the model had none
        of them wrong; None where there is a threshold, or no audited item reached the first one
    promise : str, of what ``target`` is the share: ``model``, all items that the model may be given
        at or above the threshold; else of one pool, see `alutils.guarantee.thresholds.certify_pool`
    rule : str, how ``bound`` was computed: ``once``, for one look, ``anytime``, for any number
    attempt : which attempt on its pool it was, where these are counted; else None, the only one.
        The bounds are at the level that it was held to, ``level`` is that of all attempts together
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
    promise: str = "model"
    rule: str = "once"
    attempt: int | None = None

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
        least = math.inf if self.threshold is None else self.threshold
        return check_confidences("confidence", confidence) >= least

    def sentence(self) -> str:
        """Return the finding in one plain sentence."""
        seen = f"{self.errors} of {self.n} audited items at or above"
        if self.threshold is not None:
            return (
                f"Certified from confidence {self.threshold:g} on: at least {self.target:.4g} "
                f"right ({seen} it were wrong; bound {self.bound:.4f} at level {self.level:g}), "
                f"{self.coverage:.1%} of the audit."
            )
        more = "no audited item reached it"
        if self.missing is not None:
            more = f"{self.missing} more audit labels without an error would do"
            if self.rule == "once":
                more += ", drawn anew and counted as another attempt"
        return (
            f"No threshold certified: {seen} {self.tested[0].threshold:g} were wrong, bound "
            f"{self.bound:.4f}, asked {self.target:.4g} at level {self.level:g}; {more}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as JSON's types."""
        return asdict(self) | {"tested": [asdict(row) for row in self.tested]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Certificate:
        """Read what `to_dict` wrote; ParameterError for one that was damaged or changed by hand.

        That is one with other keys or types, or one that contradicts itself.
        """
        values = {"attempt": None} | dict(values)  # those written before attempts were counted
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
        if self.attempt is not None:
            check_count("attempt", self.attempt, 1)
        for name in ("model", "data", "date", "promise", "rule"):
            if not isinstance(getattr(self, name), str):
                raise ParameterError(name, getattr(self, name), "expected text")
        for row in self.tested:
            if not row.errors <= row.n <= self.n_audit:
                raise ParameterError("tested", row, "expected errors <= n <= n_audit")
        check_thresholds(tuple(row.threshold for row in self.tested))
        passed = [row.threshold for row in self.tested if row.bound >= self.target]
        last, not_last = passed[-1] if passed else None, self.tested[:-1]
        if self.threshold != last or any(row.bound < self.target for row in not_last):
            raise ParameterError(
                "threshold",
                self.threshold,
                f"does not follow from its own tests, of which {passed or 'none'} passed",
                "certify again",
            )


def fixed_sequence(passed: np.ndarray) -> np.ndarray:
    """Return how many tests pass before the first that fails.

    passed : (..., n_tests) bool, in the order in which the tests are made; (...,) int64 comes back.
    What passes after a failure does not count: that is what keeps the level without a correction.
    """
    return np.logical_and.accumulate(passed, axis=-1).sum(axis=-1)


def last_passed(passed: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return (...,) float, the threshold that each audit certifies; NaN where the first fails.

    passed : (..., n_thresholds) bool, whether the test of each threshold passes
    """
    return np.append(thresholds, np.nan)[fixed_sequence(passed) - 1]


def certificate(
    thresholds: Sequence[float],
    n: np.ndarray,
    errors: np.ndarray,
    bound: np.ndarray,
    *,
    target: float,
    n_audit: int,
    passes: Callable[[int, int], bool],
    **about: Any,
) -> Certificate:
    """Return the certificate, or the refusal, that follows from the tests of thresholds.

    Parameters
    ----------
    thresholds, n, errors, bound : (n_thresholds,), the tests in their order; those after the first
        that fails are left out
    target, n_audit, about : fields of the `Certificate`
    passes : whether a number of labels checked and of errors among them would do; the forecast
        after a refusal is made with it
    """
    count = int(fixed_sequence(np.asarray(bound) >= target))
    rows = list(zip(thresholds, n, errors, bound, strict=True))[: count + 1]
    tested = tuple(Tested(float(t), int(m), int(e), float(b)) for t, m, e, b in rows)
    missing, first = None, tested[0]
    if not count and first.n:
        more = fewest(lambda more: passes(first.n + more, first.errors))
        # Of the audit labels to come, only this share will count.
        missing = None if more is None else math.ceil(more / (first.n / n_audit))
    threshold = tested[count - 1].threshold if count else None
    return Certificate(threshold, target, n_audit=n_audit, tested=tested, missing=missing, **about)


def needed(passes: Callable[[int, int], bool], target: float, errors: int) -> int:
    """Return how many labels do with so many errors; ParameterError where hardly any would."""
    check_open_fraction("target", target)
    check_count("errors", errors)
    more = fewest(lambda more: passes(errors + 1 + more, errors))
    if more is None:
        raise ParameterError(
            "target", target, f"would take over {MOST_LABELS:,} labels", "ask less"
        )
    return errors + 1 + more


def fewest(passes: Callable[[int], bool]) -> int | None:
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
