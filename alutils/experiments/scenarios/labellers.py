"""People who err, who do not always answer, and whose time costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active.oracles import Abstaining, Costly, Noisy, Oracle, Perfect
from alutils.base.errors import ParameterError
from alutils.experiments.advice import Advice, Advised, in_points
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.scenarios.reading import areas_apart, at_same, means, shared
from alutils.experiments.strategies import comparison
from alutils.experiments.strategies.draws import Pools, every_draw, long_rows, pool_curve
from alutils.models.estimator import Estimator
from alutils.plots import arm_name

KINDS = ("perfect", "wrong", "lookalikes", "silent")
ASKED = ("margin", "random")
EASY, HARD = 2.0, 6.0
"""Seconds that an image takes, and so many more at most the less sure a model is of it."""


def lookalikes(one: comparison.Draw, rate: float) -> np.ndarray:
    """Return a confusion matrix: each class is taken at a rate for the class most like it.

    The most alike is the class whose mean image is nearest. (n_classes, n_classes) float.
    """
    centres = np.stack([_centre(one, c) for c in range(one.n_classes)])
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    matrix = np.eye(one.n_classes) * (1 - rate)
    matrix[np.arange(one.n_classes), distance.argmin(axis=1)] = rate
    return matrix


def _centre(one: comparison.Draw, c: int) -> np.ndarray:
    own = one.x[one.y == c]
    return own.mean(axis=0) if len(own) else np.full(one.x.shape[1], 1e9)  # nothing looks like it


def oracle(
    kind: str, one: comparison.Draw, rng: np.random.Generator, rate: float, silent: float
) -> Oracle:
    """Return who answers: one of `KINDS`."""
    right = Perfect(one.y)
    match kind:
        case "wrong":
            return Noisy.at_rate(right, rate, one.n_classes, rng)
        case "lookalikes":
            return Noisy(right, lookalikes(one, rate), rng)
        case "silent":
            return Abstaining(right, silent, rng)
        case _:
            return right


def answered_curve(
    pools: Pools, strategy: str, kind: str, number: int, rate: float, silent: float
) -> pd.DataFrame:
    """Run one strategy on one draw with one kind of person; a row a round."""
    person = oracle(kind, pools.draw(number), np.random.default_rng([number, 3]), rate, silent)
    return pool_curve(pools, strategy, number, oracle=person)


def check_answers(pools: Pools, silent: float) -> None:
    """Raise ParameterError where so few questions are answered that no curve can be read off.

    Each image of a pool is asked about once; a curve takes the answers of two rounds.
    """
    share = 1 - silent
    sure = share * pools.room - 5 * np.sqrt(share * silent * pools.room)  # of every draw
    if sure < 2 * pools.batch:
        raise ParameterError(
            "silent",
            silent,
            f"of the {pools.room} images of a pool a person may name only {max(0, int(sure))}, and "
            f"two rounds take {2 * pools.batch} answers",
            "lower silent or batch, or raise n_pool",
        )


@dataclass(frozen=True)
class Answers:
    """Curves under each kind of answers, as run and read off at the same numbers of labels.

    They are read off as far as every curve goes: a pool can be used up before the budget is.
    """

    pools: Pools
    rate: float
    silent: float
    curves: pd.DataFrame
    same: pd.DataFrame

    @property
    def last(self) -> int:
        """The most labels at which all curves are read off."""
        return int(self.same["n_human"].max())

    @property
    def ended(self) -> str:
        """A sentence for curves that are not read off up to the budget; else empty."""
        if self.last == self.pools.budget:
            return ""
        return (
            f" Read off up to {self.last} of {self.pools.budget} labels: further on some pools "
            "have no image left to ask about."
        )

    def name(self, kind: str) -> str:
        """Return what a kind of person is called, with its rate."""
        rate = {"perfect": "", "silent": f", {self.silent:.0%}"}.get(kind, f", {self.rate:.0%}")
        return arm_name(kind) + rate


def answers(pools: Pools, rate: float = 0.1, silent: float = 0.3, keep: Keep = compute) -> Answers:
    """Run margin and random with each kind of person.

    Parameters
    ----------
    rate : of wrong answers, also of look-alikes taken for each other
    silent : share of questions that get no answer
    """
    check_answers(pools, silent)
    arms = {f"{name}_{kind}": (name, kind) for kind in KINDS for name in ASKED}
    curves = every_draw("answers", pools, arms, answered_curve, keep, rate=rate, silent=silent)
    # Without answers the labels of a round are fewer: all are read off at the same numbers.
    _, end = shared(curves, "n_human")
    places = np.arange(pools.batch, end + 1, pools.batch)
    if end == pools.budget:
        places = np.union1d(places, [end])  # the last round may be smaller
    return Answers(pools, rate, silent, curves, at_same(curves, "n_human", places))


def people(found: Answers) -> Finding:
    """Show margin and random under each kind of answers."""
    panels, ratio = {}, found.pools.test_to_train
    for name in ASKED:
        own = found.same[found.same["arm"].str.startswith(f"{name}_")]
        kinds = own.assign(arm=own["arm"].str.partition("_")[2])
        panels["asked by margin" if name == "margin" else "asked at random"] = means(kinds, ratio)
    loss = {
        kind: areas_apart(found.same, f"margin_{kind}", "margin_perfect", ratio, "last")
        for kind in KINDS[1:]
    }
    told = "; ".join(f"{found.name(kind)}: {in_points(result)}" for kind, result in loss.items())
    figure = plots.curve_panels(
        panels,
        f"Who answers: {found.rate:.0%} wrong, or {found.silent:.0%} not answered "
        f"({found.pools.seeds} draws, 95% interval of the mean)",
    )
    text = (
        f"Margin with {found.last} labels, against answers that are always right: {told}."
        f"{found.ended}"
    )
    alt = (
        "Learning curves of margin and of random under four kinds of answers: always right, at "
        "times wrong, look-alikes taken for each other, at times none."
    )
    rows = long_rows(found.curves, "people")
    return Finding(text, figure=figure, name="people", alt=alt, rows=rows)


def worth_of_choosing(found: Answers) -> Advised:
    """Show what margin gains over random under each kind of answers."""
    ratio = found.pools.test_to_train
    worth = {
        kind: areas_apart(found.same, f"margin_{kind}", f"random_{kind}", ratio) for kind in KINDS
    }
    told = "; ".join(f"{found.name(kind)}: {in_points(result)}" for kind, result in worth.items())
    figure = plots.differences({found.name(kind): result for kind, result in worth.items()})
    figure.axes[0].set(
        title="Margin less random", xlabel="difference in mean accuracy, points (95% interval)"
    )
    advice = tuple(
        Advice.compared(f"answers: {found.name(kind)}", "margin", "random", worth[kind])
        for kind in KINDS
    )
    return Advised(
        f"Margin less random, in mean accuracy over the curve: {told}.{found.ended}", figure=figure,
        name="people_worth",
        alt="Paired differences in mean accuracy between margin and random under four kinds of "
        "answers, with intervals.",
        advice=advice,
    )  # fmt: skip


def priced_curve(pools: Pools, strategy: str, number: int) -> pd.DataFrame:
    """Run one strategy where what is hard for a model that knows all takes a person longer."""
    one = pools.draw(number)
    p = np.sort(Estimator(one.n_classes).fit(one.x, one.y).predict_proba(one.x), axis=1)
    seconds = EASY + HARD * (1 - p[:, -1] + p[:, -2])
    return pool_curve(pools, strategy, number, oracle=Costly(Perfect(one.y), seconds))


def costs_of_answers(pools: Pools, keep: Keep = compute) -> Advised:
    """Show accuracy by label and by minute where hard images take longer."""
    paid = every_draw("paid by the second", pools, ("random", "margin"), priced_curve, keep)
    seconds = paid.groupby(["arm", "seed"])["seconds"]
    each = seconds.max().groupby("arm").mean() / pools.budget
    places = np.linspace(seconds.min().max(), seconds.max().min(), 12)
    by_time = at_same(paid, "seconds", places)
    ratio = pools.test_to_train
    drawn = means(by_time.assign(n_human=by_time["seconds"]), ratio)
    drawn["minutes"] = drawn["n_human"] / 60
    over = by_time.groupby(["arm", "seed"])["value"].mean().unstack("arm")
    by_label = areas_apart(paid, "margin", "random", ratio)
    in_time = pools.paired(over["margin"], over["random"])
    figure = plots.curve_panels(
        {"by label": means(paid, ratio), "by time": drawn},
        f"Hard images take longer: {EASY:g} to {EASY + HARD:g} seconds ({pools.seeds} draws)",
        x=["n_human", "minutes"],
        xlabel=["human labels", "minutes of labelling"],
    )
    text = (
        f"A label asked by margin takes {each['margin']:.1f} s, a random one {each['random']:.1f} "
        f"s. Margin less random: by label {in_points(by_label)}, by time {in_points(in_time)}."
    )
    advice = Advice.compared(
        "labels paid by the second, hard ones dearer", "margin", "random", in_time
    )
    return Advised(
        text, figure=figure, name="paid", rows=long_rows(paid, "paid"),
        alt="Test accuracy of margin and random, against labels on the left and against minutes "
        "of labelling on the right.",
        advice=(advice,),
    )  # fmt: skip
