"""Query synthesis: questions about images that nobody drew, and what they buy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active import toys
from alutils.active.loops import synthesis
from alutils.active.loops.pool import PoolState, pool_based
from alutils.active.oracles import ABSTAINED, Perfect
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count
from alutils.data.dataset import Dataset, as_float
from alutils.experiments.advice import Advice, Advised, in_points
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.scenarios.reading import areas_apart, means
from alutils.experiments.strategies import comparison
from alutils.experiments.strategies.draws import every_number, long_rows, one_thread
from alutils.models.estimator import Estimator

TREES = 100
POOL = 2000
"""Digits that may be asked about."""
READ = 2000
"""Digits that the reader was trained on, which are in no pool."""
NEW = 400
"""Digits that neither the reader nor the pool has seen: they set when the reader is unsure."""
ANSWERED = 0.9
"""Of new digits the reader answers so many."""
START, MORE, BATCH = 50, 150, 25
"""Labels to begin with, questions after them, questions a round."""
SHOWN = 8


@dataclass(frozen=True)
class Reader:
    """Stands in for a person: many trees, trained on digits that are in no pool.

    It will not answer where it is less sure than of nine in ten real digits that are new to it.

    Attributes
    ----------
    pool_x, pool_y : what may be asked about
    other_x, other_y : what the reader has seen; also the test images of what was learned
    new_x, new_y : real digits, new to the reader
    """

    pool_x: np.ndarray
    pool_y: np.ndarray
    other_x: np.ndarray
    other_y: np.ndarray
    new_x: np.ndarray
    new_y: np.ndarray
    n_classes: int
    seed: int

    @cached_property
    def trees(self):
        from sklearn.ensemble import ExtraTreesClassifier

        return ExtraTreesClassifier(TREES, random_state=self.seed).fit(self.other_x, self.other_y)

    @cached_property
    def _reads(self) -> synthesis.ReadBy:
        sure = self.trees.predict_proba(self.new_x).max(axis=1)
        return synthesis.ReadBy(self.trees.predict_proba, float(np.quantile(sure, 1 - ANSWERED)))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the (n,) labels of (n, n_features) points, `ABSTAINED` where it cannot read."""
        return self._reads(points)

    def about(self) -> Finding:
        """Return how well it reads real digits that are new to it."""
        said = self(self.new_x)
        answered = said != ABSTAINED
        right = np.mean(said[answered] == self.new_y[answered])
        return Finding(
            f"Of {len(self.new_x)} new digits the reader answers {np.mean(answered):.0%}, and "
            f"{right:.1%} of these answers are right."
        )


def reader(digits: Dataset, seed: int = 0) -> Reader:
    """Part digits into a pool, what the reader has seen, and what is new to it."""
    order = np.random.default_rng([seed, 5]).permutation(len(digits))[: POOL + READ + NEW]
    cuts = [POOL, POOL + READ]
    x, y = np.split(as_float(digits.images[order]), cuts), np.split(digits.labels[order], cuts)
    return Reader(x[0], y[0], x[1], y[1], x[2], y[2], len(digits.classes), seed)


def toy_boundary(of: toys.Toy, seed: int = 0) -> Finding:
    """Show ten points that query synthesis asks about on a toy."""
    seen = toys.view(of, 10)
    axis, points = toys.map_points(of, 60)
    predict = seen.classifier.predict_proba
    made = synthesis.synthesise(predict, of.x[of.labelled], 10, np.random.default_rng(seed))
    model = predict(points).reshape(len(axis), len(axis), -1)
    surer = np.median(-uncertainty.margin(seen.probabilities))
    return Finding(
        f"At ten synthesised points the two likeliest classes are at most {made.gap.max():.1g} "
        f"apart; for half of the real points they are more than {surer:.2f} apart.",
        figure=plots.synthesised(of, axis, model, made),
        name="toy_synthesis",
        alt="Ten synthesised points as stars on the model's boundary, each on a dotted line "
        "between two labelled points of different classes.",
    )


def blends(person: Reader, n: int = 100) -> Finding:
    """Show synthesised digits between their parents, and count those that the reader can read."""
    rng = np.random.default_rng([person.seed, 7])
    x, y, known = person.pool_x, person.pool_y, 100
    model = Estimator(person.n_classes).fit(x[:known], y[:known])
    made = synthesis.synthesise(model.predict_proba, x[:known], n, rng)
    real = synthesis.nearest_unlabelled(made.points, x, np.arange(len(x)) >= known)
    unread = synthesis.unreadable(made.points, made.between, person)
    unsaid = np.mean(person(x[real]) == ABSTAINED)
    shown = np.linspace(0, n - 1, SHOWN).astype(int)
    texts = [
        (str(y[a]), _said(said), str(y[b]), f"a {y[item]}")
        for (a, b), said, item in zip(
            made.parents[shown], person(made.points[shown]), real[shown], strict=True
        )
    ]
    side = round(x.shape[1] ** 0.5)
    square = (-1, side, side)
    figure = plots.between_parents(
        x[made.parents[shown]].reshape(-1, 2, side, side), made.points[shown].reshape(square),
        x[real[shown]].reshape(square), texts, "What query synthesis asks",
    )  # fmt: skip
    return Finding(
        f"The reader will not say what {unread.unsure:.0%} of {unread.n} synthesised digits are, "
        f"and takes {unread.neither:.0%} for a third class. Of the real digits nearest to them it "
        f"will not name {unsaid:.0%}, of new digits {1 - ANSWERED:.0%}.",
        figure=figure, name="synthesised",
        alt="Eight columns of digits: a labelled image, the synthesised blend on the boundary, "
        "the other parent, and the nearest real image; over the blends what the reader says.",
    )  # fmt: skip


def _said(answer: int) -> str:
    return "no answer" if answer == ABSTAINED else f"read as {answer}"


@one_thread
def question_curve(person: Reader, arm: str, number: int) -> pd.DataFrame:
    """Ask the same number of questions in one of three ways; a row a round.

    ``arm``: ``random`` images, the ``nearest_real`` images to synthesised points, or these points
    ``as_it_is``. What is asked about is the reader's pool, in an order that ``number`` draws.
    """
    rng = np.random.default_rng([number, 6])
    order = rng.permutation(len(person.pool_x))
    x, y = person.pool_x[order], person.pool_y[order]
    model = Estimator(person.n_classes)

    def row(done: int, n_asked: int) -> dict[str, float]:
        return comparison.measured(model, person.other_x, person.other_y, done, n_asked)

    if arm == "as_it_is":
        model.fit(x[:START], y[:START])
        rows = [row(0, START)]
        rounds = synthesis.synthesis_based(
            x[:START], y[:START], model, person, n_classes=person.n_classes, batch=BATCH,
            budget=MORE, rng=rng,
        )  # fmt: skip
        rows += [row(done.number + 1, START + done.n_asked) for done in rounds]
        return pd.DataFrame(rows)
    query = synthesis.nearest_real(rng) if arm == "nearest_real" else None
    asked = pool_based(
        x, Perfect(y), model, query, PoolState.start(len(x)), first=START, batch=BATCH,
        budget=START + MORE,
    )  # fmt: skip
    return pd.DataFrame([row(done.number, done.n_human) for done in asked])


def bought(person: Reader, seeds: int, keep: Keep = compute) -> pd.DataFrame:
    """Run all three ways to ask on so many draws of the reader's pool; rows of `question_curve`."""
    check_count("seeds", seeds, 2)
    arms = {arm: (person, arm) for arm in ("random", "nearest_real", "as_it_is")}
    numbers = range(person.seed, person.seed + seeds)
    return every_number("questions", numbers, arms, question_curve, keep)


def what_questions_buy(curves: pd.DataFrame) -> Advised:
    """Show accuracy against questions, asked in three ways; the table of `bought`."""
    gap = {arm: areas_apart(curves, arm, "random", 0) for arm in ("as_it_is", "nearest_real")}
    named = {"as_it_is": "the synthesised image", "nearest_real": "the nearest real image"}
    situations = {
        "as_it_is": "a made-up question, shown as it is",
        "nearest_real": "a made-up question, shown as the nearest real image",
    }
    advice = tuple(
        Advice.compared(situations[arm], named[arm], "a random image", result)
        for arm, result in gap.items()
    )
    told = "; ".join(f"{named[arm]} {in_points(result)}" for arm, result in gap.items())
    return Advised(
        f"Mean accuracy over the curve, against random images: {told} (the same test images "
        "throughout).",
        figure=plots.curve_panels(
            {"questions about digits": means(curves, 0)},
            f"What questions buy ({curves['seed'].nunique()} draws, 95% interval of the mean)",
            xlabel=f"questions (the first {START} about real images)",
        ),
        name="questions", rows=long_rows(curves, "synthesis"),
        alt="Test accuracy against questions: random real images, the real images nearest to "
        "synthesised points, and the synthesised points themselves.",
        advice=advice,
    )  # fmt: skip
