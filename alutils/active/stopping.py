"""When to stop asking: rules that a loop shows each round to.

A rule is a callable ``rule(look)``; it gives the reason to stop, as a text, or None to go on. The
budget is the loop's own. `Plateau` and `StablePredictions` remember earlier rounds: one object for
each loop. Shown a round that does not come after the last one, they raise an error instead of
mixing two loops up.

These rules say when more labels seem to change little; none of them says that the model is right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction
from alutils.base.errors import ParameterError
from alutils.stats.intervals import lower_bound


@dataclass(frozen=True)
class Look:
    """What a rule sees of a round, after its training.

    Attributes
    ----------
    number : the round's number
    n_human, n_auto : labels from each source so far
    n_unlabelled : items of the pool without a label
    probabilities : gives the (n_unlabelled, n_classes) probabilities of these items; whatever is
        handed in is called when a rule first asks, and only once
    predict : takes features of any items, gives their (n,) int classes
    """

    number: int
    n_human: int
    n_auto: int
    n_unlabelled: int
    probabilities: Callable[[], np.ndarray]
    predict: Callable[[Any], np.ndarray]

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", functools.cache(self.probabilities))


Rule = Callable[[Look], str | None]


@dataclass(frozen=True)
class TargetAccuracy:
    """Stop when a validation set says that the accuracy is reached.

    Attributes
    ----------
    x, y : features and (n,) int labels of the validation set, never trained on
    target : accuracy, over 0 and at most 1
    level : confidence, such as 0.95: stop when the lower bound reaches the target (one-sided
        Clopper-Pearson); None: when the share of right ones does. The bound holds for one look;
        over many rounds, on the same validation set, it is broken more often than its level says.

    Source: Clopper and Pearson (1934).
    """

    x: Any
    y: np.ndarray
    target: float
    level: float | None = None

    def __post_init__(self) -> None:
        _check_validation(self.x, self.y)
        if not 0 < self.target <= 1:
            raise ParameterError("target", self.target, "expected an accuracy from 0 to 1")
        if self.level is None:
            return
        if not 0 < self.level < 1:
            raise ParameterError("level", self.level, "expected a confidence between 0 and 1")
        best = float(lower_bound(len(self.y), 0, self.level))
        if best < self.target:
            raise ParameterError(
                "target",
                self.target,
                f"{len(self.y)} validation items, all right, show {best:.6f} at the level "
                f"{self.level}",
                "give more of them, a lower target, or level=None",
            )

    def __call__(self, look: Look) -> str | None:
        n_right, n = _count_right(look, self.x, self.y), len(self.y)
        reached, kind = n_right / n, "accuracy"
        if self.level is not None:
            reached = float(lower_bound(n, n - n_right, self.level))
            kind = f"lower bound ({self.level}) of the accuracy"
        if reached < self.target:
            return None
        return f"{kind} {reached:.4f} on {n} validation items: the target is {self.target}"


@dataclass
class _Remembering:
    """A rule with a memory: it follows one loop."""

    _last: int | None = field(default=None, init=False, repr=False)

    def _follow(self, look: Look) -> None:
        if self._last is not None and look.number <= self._last:
            raise ValueError(
                f"{type(self).__name__}: shown round {look.number} after round {self._last}; it "
                "remembers the rounds of one loop: make a new one for every loop."
            )
        self._last = look.number


@dataclass
class Plateau(_Remembering):
    """Stop when the best validation accuracy no longer rises. Remembers: one object for each loop.

    Attributes
    ----------
    x, y : as `TargetAccuracy` has them
    patience : rounds in a row without a rise that end the loop, at least 1
    gain : a rise is more than this over the accuracy of the last rise; a fraction, such as 0.002.
        Small steps add up to a rise.
    """

    x: Any
    y: np.ndarray
    patience: int
    gain: float = 0.0
    _best: float = field(default=-np.inf, init=False, repr=False)
    _waited: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_validation(self.x, self.y)
        check_count("patience", self.patience, 1)
        check_fraction("gain", self.gain)

    def __call__(self, look: Look) -> str | None:
        self._follow(look)
        accuracy = _count_right(look, self.x, self.y) / len(self.y)
        if accuracy > self._best + self.gain:
            self._best, self._waited = accuracy, 0
            return None
        self._waited += 1
        if self._waited < self.patience:
            return None
        return (
            f"no rise of the validation accuracy over {self._best:.4f} by more than {self.gain} in "
            f"{self._waited} rounds"
        )


@dataclass
class StablePredictions(_Remembering):
    """Stop when successive models agree on a stop set. Remembers: one object for each loop.

    Attributes
    ----------
    x : features of the stop set; it needs no labels, and must not be asked about
    agreement : what Cohen's kappa must reach on average
    over : of how many successive pairs of models, at least 1

    Source: Bloodgood and Vijay-Shanker (2009): 0.99 on average over 3.
    """

    x: Any
    agreement: float = 0.99
    over: int = 3
    _predicted: np.ndarray | None = field(default=None, init=False, repr=False)
    _kappas: list[float] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.x):
            raise ParameterError("x", "empty", "the stop set holds no items", "give some hundreds")
        check_count("over", self.over, 1)
        check_fraction("agreement", self.agreement)

    def __call__(self, look: Look) -> str | None:
        self._follow(look)
        predicted = _predict(look, self.x)
        if self._predicted is not None:
            self._kappas.append(kappa(self._predicted, predicted))
        self._predicted = predicted
        latest = self._kappas[-self.over :]
        if len(latest) < self.over or np.mean(latest) < self.agreement:
            return None
        return (
            f"successive predictions of {len(predicted)} items agree: kappa {np.mean(latest):.4f} "
            f"on average over {self.over} rounds, at least {self.agreement}"
        )


@dataclass(frozen=True)
class FewUnsure:
    """Stop when at most a share of the unlabelled items has a confidence under a threshold.

    The report asks for 0.6 and 10%, the defaults. Its own loop counts otherwise: it shortens the
    pool while it counts, and so reports f / (1 + f) where f is the true share.
    """

    threshold: float = 0.6
    share: float = 0.1

    def __post_init__(self) -> None:
        check_fraction("threshold", self.threshold)
        check_fraction("share", self.share)

    def __call__(self, look: Look) -> str | None:
        if look.n_unlabelled == 0:
            return "every item of the pool has a label"
        confidence = uncertainty.checked(look.probabilities()).max(axis=1)
        n_unsure = int(np.count_nonzero(confidence < self.threshold))
        if n_unsure / look.n_unlabelled > self.share:
            return None
        return (
            f"{n_unsure} of {look.n_unlabelled} unlabelled items "
            f"({n_unsure / look.n_unlabelled:.2%}) have a confidence under {self.threshold}: at "
            f"most {self.share:.2%} may"
        )


def none_unsure(threshold: float) -> FewUnsure:
    """Return the rule that stops when no unlabelled item has a confidence under ``threshold``.

    Source: Zhu, Wang and Hovy (2008), "maximum uncertainty", with confidence for entropy.
    """
    return FewUnsure(threshold, share=0.0)


def kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Return the agreement, at most 1, of the (n,) int classes that two models predict for items.

    0 where chance explains it, also where both name one class throughout (0 / 0): a model that has
    learned nothing yet must not count as stable. Source: Cohen (1960).
    """
    classes, codes = np.unique([a, b], return_inverse=True)
    if len(classes) == 1:
        return 0.0
    first, second = (np.bincount(of, minlength=len(classes)) for of in codes.reshape(2, -1))
    by_chance = first @ second / len(a) ** 2
    return float((np.mean(a == b) - by_chance) / (1 - by_chance))


def _predict(look: Look, x: Any) -> np.ndarray:
    predicted = np.asarray(look.predict(x))
    if predicted.shape != (len(x),):
        raise ValueError(
            f"predict: an array of shape {predicted.shape} for {len(x)} items; expected "
            f"({len(x)},), a class for each."
        )
    return predicted


def _count_right(look: Look, x: Any, y: np.ndarray) -> int:
    return int(np.count_nonzero(_predict(look, x) == np.asarray(y)))


def _check_validation(x: Any, y: np.ndarray) -> None:
    if not len(y) or np.ndim(y) != 1 or len(x) != len(y):
        raise ParameterError(
            "y",
            f"{np.shape(y)} labels for {len(x)} items",
            "a validation set holds at least one item, with one label for each",
        )
