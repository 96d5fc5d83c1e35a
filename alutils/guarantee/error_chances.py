"""How likely a model is wrong about each picture that waits, learned from what is labelled.

The labels there are come mostly from pictures that the model was unsure of, and models that have
not seen them (out of fold) say of each how sure they are. So the chance of an error is fitted as a
function of that margin, not as one share: it is then applied to the margins of what waits, which
are mostly large. A picture that was asked for because a model was unsure is still harder than
another one with the same margin; how much harder is fitted, too, from those among the labels that
no doubt has picked. Few labels leave much open, which is why no curve is chosen: many are drawn
from the posterior, and all that follows is computed with each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import expit

from alutils.base.checks import check_count
from alutils.base.errors import ParameterError

DRAWS = 200
"""Curves that are drawn, where nothing else is said."""
FLOOR = 1e-5
"""What a margin of one is short of it: single precision knows no less."""
_MIDDLE = np.array([0.0, 0.25, 0.8, -0.4, np.log(4e-4)])
_SPREAD = np.array([0.7, 0.2, 0.3, 0.25, 1.0])
_OF_MANY = np.array([0.0, 0.25, 1.4, -0.5, np.log(4e-4)])
"""What is believed before the first label: models know a little better than they say, queued
pictures are wrong more often, above all where the model is sure, and one in 2,500 is wrong however
sure it is. The last is for models that are the mean of several, of which only one had not seen a
labelled picture and could judge it: then the others make up for more of its errors. So it was in
runs of the tool on digits and letters, with weak and strong learners."""
_TRIED, _HEAVY, _WIDER = 8, 5.0, 1.2
"""Candidates for each draw, the degrees of freedom that they are drawn with, and how much wider."""


@dataclass(frozen=True)
class Judged:
    """Labelled pictures, and what models that have not seen them say of them.

    Attributes
    ----------
    margin : (n,) float, between the two likeliest classes, from 0 to 1
    wrong : (n,) bool, whether the likeliest is not the label
    at_random : (n,) bool, which of them no model's doubt has picked: at random, or typical ones
    of_many : whether the model is the mean of several, and one of these judged each picture
    """

    margin: np.ndarray
    wrong: np.ndarray
    at_random: np.ndarray
    of_many: bool = False

    def __post_init__(self) -> None:
        shape = np.shape(self.margin)
        for name in ("wrong", "at_random"):
            if np.shape(getattr(self, name)) != shape or len(shape) != 1:
                raise ParameterError(
                    name, np.shape(getattr(self, name)), f"expected one for each margin, {shape}"
                )


@dataclass(frozen=True)
class ErrorChances:
    """Curves of the chance of an error by margin, as many of each as it deserves.

    ``parameters`` is (n_draws, 5) float; `fitted` makes one.
    """

    parameters: np.ndarray

    def of(self, margin: np.ndarray) -> np.ndarray:
        """Return (n_draws, n) float: the chance that each of these is wrong, by each curve."""
        return _chance(self.parameters, doubt_of(margin), np.zeros(len(margin)))


def fitted(judged: Judged, draws: int = DRAWS, seed: int = 0) -> ErrorChances:
    """Draw curves from what labelled pictures tell; without a single one, from what is usual.

    Parameters
    ----------
    judged : the labelled pictures
    draws : how many curves
    seed : of the draws: the same labels give the same curves

    Notes
    -----
    The chance is ``floor + (1 - floor) * sigmoid(a + b * doubt)``, for queued pictures with another
    a and another b, under normal priors on a, log b, what is added to both, and log floor. Draws
    come from a wide t distribution around the posterior's mode and are resampled by how likely each
    is (Rubin 1988).
    """
    check_count("draws", draws, 1)
    doubt = doubt_of(judged.margin)
    middle = _OF_MANY if judged.of_many else _MIDDLE
    queued, wrong = ~np.asarray(judged.at_random, bool), np.asarray(judged.wrong, bool)

    def log_posterior(parameters: np.ndarray) -> np.ndarray:
        p = _chance(parameters, doubt, queued.astype(float))
        likelihood = np.where(wrong, np.log(p), np.log1p(-p)).sum(axis=1)
        return likelihood - 0.5 * (((parameters - middle) / _SPREAD) ** 2).sum(axis=1)

    found = optimize.minimize(lambda each: -log_posterior(each[None])[0], middle, method="BFGS")
    rng, n, size = np.random.default_rng(seed), _TRIED * draws, len(middle)
    steps = rng.standard_normal((n, size)) / np.sqrt(rng.chisquare(_HEAVY, n) / _HEAVY)[:, None]
    wide = _WIDER * np.linalg.cholesky(found.hess_inv + 1e-9 * np.eye(size))
    tried = found.x + steps @ wide.T
    proposed = -(_HEAVY + size) / 2 * np.log1p((steps**2).sum(axis=1) / _HEAVY)
    weight = log_posterior(tried) - proposed
    weight = np.exp(weight - weight.max())
    return ErrorChances(tried[rng.choice(n, draws, p=weight / weight.sum())])


def margin_of(probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) float, between the two likeliest classes of (n, n_classes) probabilities."""
    top = np.sort(np.asarray(probabilities, float), axis=1)[:, -2:]
    return np.clip(top[:, -1] - top[:, 0], 0, 1)


def doubt_of(margin: np.ndarray) -> np.ndarray:
    """Return how doubtful a margin is: the log odds of an error, were there two classes only."""
    margin = np.clip(np.asarray(margin, float), 0, 1)
    return np.asarray(np.log((1 - margin + FLOOR) / (1 + margin)))


def _chance(parameters: np.ndarray, doubt: np.ndarray, queued: np.ndarray) -> np.ndarray:
    """Return (n_draws, n) float, strictly between 0 and 1."""
    a, log_b, more_a, more_b, log_floor = (each[:, None] for each in parameters.T)
    floor, slope = (
        np.exp(np.minimum(log_floor, -0.1)),
        np.exp(np.clip(log_b + more_b * queued, -5, 5)),
    )
    p = floor + (1 - floor) * expit(a + more_a * queued + slope * doubt)
    return np.clip(p, 1e-12, 1 - 1e-9)
