"""A learning curve fitted to out-of-fold predictions: what twice as many labels would gain.

With few labels the error starts near one; later it falls mostly as ``a + b * n ** -c`` (Viering and
Loog 2023), towards a floor ``a`` that labels do not lower. Both are parts of one curve here,
``a + (1 - a) / (1 + (n / n0) ** c)``. A few points measured on one set of labels cannot tell its
three numbers exactly. So all curves on a grid are weighed by how well they fit, and what is told is
their middle and an interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alutils.base.checks import check_open_fraction
from alutils.base.errors import ParameterError

LEVEL = 0.9
"""Of the intervals: one in ten is expected to miss."""
_EXPONENTS = np.linspace(0.15, 1.5, 28)
_FLOORS = np.linspace(0.0, 0.9, 19)
"""The floor, as a share of the error at the largest number of labels measured."""
_DOUBT = 1.5
"""How much wider than the labels say, as a variance: real curves have another shape."""
_LEVELS, _WIDE = 61, 4.0
"""Errors at the largest number of labels that are tried, and how many standard errors off."""
_DRAWS = 4000


@dataclass(frozen=True)
class Estimate:
    """The middle of the curves that fit, and the interval at `LEVEL`."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """Curves that fit what was measured, as many of each as it deserves; `fitted` makes one.

    Attributes
    ----------
    n_labels : (n_sizes,) float, numbers of labels that models were trained on, ascending
    errors : (n_sizes,) float, their mean errors
    floor, last, exponent : (n_draws,) float: the floor, the error at the largest of the numbers
        of labels, and the exponent of each curve
    """

    n_labels: np.ndarray
    errors: np.ndarray
    floor: np.ndarray
    last: np.ndarray
    exponent: np.ndarray

    def error(self, n: float) -> np.ndarray:
        """Return (n_draws,) float: the error at ``n`` labels, by each curve."""
        if not n > 0:
            raise ParameterError("n", n, "expected a number of labels above 0")
        return _error(n / self.n_labels[-1], self.floor, self.last, self.exponent)

    def between(self, n: float, level: float = LEVEL) -> Estimate:
        """Return the error at ``n`` labels."""
        return _estimate(self.error(n), level)

    def reduction(self, n: float, more: float) -> np.ndarray:
        """Return (n_draws,) float, the share of the errors at ``n`` labels that ``more`` remove."""
        now = self.error(n)
        return np.where(now > 0, 1 - self.error(more) / np.maximum(now, 1e-12), 0.0)

    def gain(
        self,
        n: float,
        more: float,
        *,
        right: int | None = None,
        judged: int | None = None,
        level: float = LEVEL,
    ) -> Estimate:
        """Return the accuracy that training on ``more`` labels instead of ``n`` is to add.

        Parameters
        ----------
        n, more : numbers of labels
        right, judged : of pictures drawn at random, how many the model has right. The curve is
            fitted to what was labelled, which is mostly what is hard; with these numbers the gain
            is one on all pictures: the same share of errors goes, from the error that these have.
            None: on pictures like those that the curve was fitted to
        level : of the interval

        Source of the posterior of a share: Jeffreys (1946).
        """
        if right is None or judged is None:
            return _estimate(self.error(n) - self.error(more), level)
        if not 0 <= right <= judged:
            raise ParameterError("right", right, f"expected from 0 to judged={judged}")
        rng = np.random.default_rng(0)
        error = rng.beta(judged - right + 0.5, right + 0.5, len(self.floor))
        return _estimate(error * self.reduction(n, more), level)


def fitted(n_labels: np.ndarray, wrong: np.ndarray, fold: np.ndarray) -> LearningCurve:
    """Fit learning curves to out-of-fold predictions of models trained on parts of the labels.

    Parameters
    ----------
    n_labels : (n_sizes,) numbers of labels that the models were trained on, ascending, 2 sizes or
        more
    wrong : (n_sizes, n_items) bool, whether a model of each size that has not seen an item has it
        wrong
    fold : (n_items,) int, which items were held out together

    Returns
    -------
    LearningCurve

    Raises
    ------
    ParameterError
        For arrays that do not fit, or numbers of labels that do not rise.

    Notes
    -----
    All sizes are measured on the same items, so their errors rise and fall together: the
    covariance of the means is taken from the items, and widened where whole folds differ by more
    than their items explain (which shows how much the draw of the training labels matters).
    """
    n_labels, wrong = np.asarray(n_labels, float), np.asarray(wrong, float)
    fold = np.asarray(fold)
    if n_labels.ndim != 1 or len(n_labels) < 2 or (np.diff(n_labels) <= 0).any():
        raise ParameterError("n_labels", n_labels, "expected two or more rising numbers of labels")
    if wrong.ndim != 2 or len(wrong) != len(n_labels) or fold.shape != wrong.shape[1:]:
        raise ParameterError(
            "wrong", wrong.shape, f"expected {len(n_labels)} rows, and a fold for each column"
        )
    return _fit(n_labels, wrong.mean(axis=1), _covariance(wrong, fold))


def fitted_to_shares(n_labels: np.ndarray, errors: np.ndarray, judged: np.ndarray) -> LearningCurve:
    """Fit learning curves to shares of errors that were measured on samples.

    Parameters
    ----------
    n_labels : (n_sizes,) numbers of labels, ascending, 2 sizes or more
    errors : (n_sizes,) float, the share of errors at each
    judged : (n_sizes,) int, of how many items, 1 or more

    Returns
    -------
    LearningCurve; the samples are taken to be independent of each other

    Raises
    ------
    ParameterError
        For arrays that do not fit, or numbers of labels that do not rise.
    """
    n_labels, errors, judged = (np.asarray(each, float) for each in (n_labels, errors, judged))
    if n_labels.ndim != 1 or len(n_labels) < 2 or (np.diff(n_labels) <= 0).any():
        raise ParameterError("n_labels", n_labels, "expected two or more rising numbers of labels")
    if errors.shape != n_labels.shape or judged.shape != n_labels.shape or judged.min() < 1:
        raise ParameterError("errors", errors, "expected a share, and a number, for each size")
    # Half an error more and half a right answer more: no error at all is not taken for certain.
    share = (errors * judged + 0.5) / (judged + 1)
    return _fit(n_labels, errors, np.diag(share * (1 - share) / judged))


def _fit(n_labels: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> LearningCurve:
    """Weigh all curves on the grid by how well they fit mean errors with this covariance."""
    precision = np.linalg.pinv(covariance, hermitian=True)
    spread = _WIDE * float(np.sqrt(covariance[-1, -1]))
    low, high = max(mean[-1] - spread, 1e-4), min(mean[-1] + spread, 1 - 1e-4)
    share, exponent, last = (
        each.ravel()
        for each in np.meshgrid(_FLOORS, _EXPONENTS, np.linspace(low, max(high, low), _LEVELS))
    )
    curves = np.stack([_error(n / n_labels[-1], share * last, last, exponent) for n in n_labels], 1)
    left = mean - curves
    misfit = np.einsum("ki,ij,kj->k", left, precision, left) / _DOUBT
    # Curves that are all floor are rare: a high one counts less.
    weight = np.exp(-0.5 * (misfit - misfit.min())) * (1 - share)
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(weight), _DRAWS, p=weight / weight.sum())
    last, share = last[drawn], share[drawn]
    return LearningCurve(n_labels, mean, share * last, last, exponent[drawn])


def _error(times: float, floor: np.ndarray, last: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return the error at so many times the labels at which it is ``last``."""
    part = (last - floor) / (1 - floor)
    return floor + (1 - floor) / (1 + (1 - part) / part * times**exponent)


def _covariance(wrong: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return (n_sizes, n_sizes): of the mean errors."""
    n = wrong.shape[1]
    # Half an error more and half an answer more, so that no error at all is not taken for certain.
    padded = np.concatenate([wrong, np.eye(len(wrong)), 1 - np.eye(len(wrong))], axis=1)
    covariance = np.cov(padded) / n
    folds = [wrong[:, fold == each].mean(axis=1) for each in np.unique(fold)]
    if len(folds) > 2:
        # A fold's mean has n / folds items: by them alone it would vary so much.
        seen = np.var(folds, axis=0, ddof=1)
        expected = np.diag(covariance) * len(folds)
        covariance = covariance * max(1.0, float(np.mean(seen / expected)))
    return covariance


def _estimate(draws: np.ndarray, level: float) -> Estimate:
    check_open_fraction("level", level)
    low, middle, high = np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Estimate(float(middle), float(low), float(high))
