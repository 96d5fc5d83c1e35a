"""Forecasts of what a certificate costs now, and after some more labels to train on.

`alutils.guarantee.cost` prices one way of finishing. Here are the ways side by side, for several
targets: to stop training now, or after 50, 100 or 200 more labels, which cost labels themselves and
leave a better model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alutils.base.checks import check_count, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.guarantee.cost import Choice, Promise, Waiting, chosen
from alutils.guarantee.error_chances import ErrorChances
from alutils.guarantee.terms import allowed_errors

TARGETS = (0.95, 0.98, 0.99, 0.995)
MORE = (0, 50, 100, 200)
"""Labels to train on before one finishes."""
FALL, FALL_SPREAD = 1.0, 0.4
"""Of the error rate by the number of labels it is learned from: it falls as a power, in runs of the
tool on digits and letters mostly by 1 / n; the spread is that of the exponent's logarithm."""
WORTH = 0.95
"""Going on is advised if it is expected to take less than this share of the labels."""
WIDE = 3.0
"""An interval whose upper end is so many times its lower one is called wide."""


@dataclass(frozen=True)
class Row:
    """What finishing takes, in labels from now on.

    Attributes
    ----------
    train_more : labels to train on first
    by_hand, audit : pictures labelled by hand, and in the audit on average
    chance : that the audit accepts
    expected : labels in all on average, with what comes after a refusal
    low, high : it should take between so many, with a chance of 90%
    weighted, expected_wrong : of the plan, as in `alutils.guarantee.pool.Terms`
    """

    train_more: int
    by_hand: int
    audit: int
    chance: float
    expected: int
    low: int
    high: int
    weighted: bool
    expected_wrong: float


@dataclass(frozen=True)
class Forecast:
    """What it takes until at least ``target`` of the labels are certified to be right.

    ``rows`` are for each number of labels to train on first, and ``best`` is the place among them
    of the one that is advised; ``sentence`` says it.
    """

    target: float
    rows: tuple[Row, ...]
    best: int
    sentence: str

    @property
    def now(self) -> Row:
        """The way without more training."""
        return self.rows[0]


@dataclass(frozen=True)
class Forecasts:
    """Forecasts for several targets.

    Attributes
    ----------
    n_labelled, n_waiting : pictures with a label and without one
    attempt : which attempt it would be
    level : of all attempts together
    targets : one forecast for each
    note : what the forecasts rest on
    """

    n_labelled: int
    n_waiting: int
    attempt: int
    level: float
    targets: tuple[Forecast, ...]
    note: str

    def of(self, target: float) -> Forecast:
        """Return the forecast for a target; ParameterError for one that was not asked for."""
        for each in self.targets:
            if each.target == target:
                return each
        known = ", ".join(f"{each.target:g}" for each in self.targets)
        raise ParameterError("target", target, f"expected one of {known}")


@dataclass(frozen=True)
class Pool:
    """The pool that a certificate would be about.

    Attributes
    ----------
    n_labelled, n_waiting : pictures with a label of people, and without one
    attempt : which attempt this would be, from 1 on
    level : of all attempts together
    spare : errors that are kept back for pictures that nobody can name
    """

    n_labelled: int
    n_waiting: int
    attempt: int = 1
    level: float = 0.95
    spare: int = 0

    def promise(self, target: float) -> Promise:
        """Return what is to be proved."""
        allowed = allowed_errors(self.n_labelled + self.n_waiting, target) - self.spare
        return Promise.at(max(allowed, 0), self.level, self.attempt)


def forecasts(
    pool: Pool,
    waiting: Waiting,
    chances: ErrorChances,
    *,
    n_judged: int,
    targets: Sequence[float] = TARGETS,
    more: Sequence[int] = MORE,
    seed: int = 0,
) -> Forecasts:
    """Forecast what certificates cost.

    Parameters
    ----------
    pool : what they would be about
    waiting : what the model says of the pictures that wait
    chances : how likely it is wrong about one
    n_judged : labels that this was learned from
    targets : shares of right labels
    more : labels to train on first, rising, 0 first; those that are not there are left out
    seed : of the simulations

    Returns
    -------
    Forecasts
    """
    for target in targets:
        check_open_fraction("targets", target)
    check_count("n_judged", n_judged)
    if list(more)[:1] != [0]:
        raise ParameterError("more", more, "expected rising numbers that begin with 0")
    p = chances.of(waiting.margin)
    ways = [
        (n, *_after(waiting, p, n, pool.n_labelled, seed))
        for n in more
        if n < max(pool.n_waiting, 1)
    ]
    found = []
    for target in targets:
        rows = tuple(
            _row(n, chosen(left, chance, pool.promise(target), seed=seed))
            for n, left, chance in ways
        )
        cheapest = min(range(len(rows)), key=lambda i: rows[i].expected)
        best = cheapest if rows[cheapest].expected < WORTH * rows[0].expected else 0
        found.append(Forecast(target, rows, best, _sentence(target, rows, best)))
    note = (
        f"From what models that had not seen them said of {n_judged:,} labelled pictures. Later "
        "rows suppose that the model goes on learning as models like it did."
    )
    return Forecasts(pool.n_labelled, pool.n_waiting, pool.attempt, pool.level, tuple(found), note)


def _after(
    waiting: Waiting, chances: np.ndarray, more: int, n_labelled: int, seed: int
) -> tuple[Waiting, np.ndarray]:
    """Return what waits after ``more`` labels, and how likely a better model is wrong about it."""
    if not more:
        return waiting, chances
    left = waiting.after(more)
    rng = np.random.default_rng([seed, 1])
    exponent = FALL * np.exp(FALL_SPREAD * rng.standard_normal((len(chances), 1)))
    scale = (max(n_labelled, 1) / (max(n_labelled, 1) + more)) ** exponent
    kept = chances[:, len(waiting.size) - len(left.size) :] * scale
    return left, kept


def _row(train_more: int, choice: Choice) -> Row:
    low, high = choice.interval
    # The average may lie outside where few ways cost very much: then the interval is held open.
    low, high = min(low, round(choice.expected)), max(high, round(choice.expected))
    return Row(
        train_more,
        choice.by_hand,
        round(choice.audit),
        round(choice.chance, 3),
        round(train_more + choice.expected),
        train_more + low,
        train_more + high,
        choice.weighted,
        choice.expected_wrong,
    )


def _sentence(target: float, rows: tuple[Row, ...], best: int) -> str:
    """Say what is advised, and how sure it is."""
    now, then, share = rows[0], rows[best], f"{100 * target:.12g}%"
    said = (
        f"{share} right: finishing now should take about {now.expected:,} more labels "
        f"({now.low:,} to {now.high:,}), {now.by_hand:,} by hand and about {now.audit:,} in the "
        f"audit, which accepts with a chance of {now.chance:.0%}."
    )
    if not now.audit:
        said = (
            f"{share} right: the model is not good enough yet to save labels; finishing now takes "
            f"{now.expected:,} more labels by hand."
        )
    if best:
        said += (
            f" Training on {then.train_more:,} more first should bring it down to about "
            f"{then.expected:,} in all."
        )
    else:
        said += " Training on more labels first should save little."
    if now.high > WIDE * max(now.low, 1):
        said += " Little is known yet, so this can be far off."
    return said
