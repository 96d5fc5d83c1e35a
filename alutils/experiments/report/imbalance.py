"""What imbalance does to the metrics, in training and in testing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from alutils.base.errors import ParameterError
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.report.classifiers import ScaledSoftmax
from alutils.experiments.report.exploration import ARMS, imbalance_metrics, imbalance_split
from alutils.experiments.report.letters import Letters
from alutils.experiments.report.looking import real_shares
from alutils.experiments.report.study import together
from alutils.plots import letters as plots
from alutils.stats import tables
from alutils.stats.metrics import CLASSIFICATION

MOST_DRAWS = 1000
"""Draws of a run, at most, so that each has a number of its own among the runs of all seeds."""
TESTS = {"as found": "tested as found", "balanced": "tested balanced"}


class Softmax(ScaledSoftmax):
    """Softmax regression that gives probabilities, as the experiment on imbalance asks for."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) probabilities of the classes that it was trained on."""
        return self._model.predict_proba(self._scale(x))


def imbalance_draw(
    letters: Letters, seed: int, draw: int, *, n_train: int, n_test: int
) -> pd.DataFrame:
    """Train and test on one draw; see `exploration.imbalance_metrics`.

    Rendered letters are thinned to the class shares of the real ones.
    """
    shares: Any = np.bincount(letters.labels, minlength=len(letters.classes))
    if letters.data.provenance == "rendered":
        shares = real_shares()[list(letters.classes)].to_numpy()
    split = imbalance_split(
        letters.labels, shares, n_train=n_train, n_test=n_test,
        rng=np.random.default_rng([seed, draw]),
    )  # fmt: skip
    return imbalance_metrics(
        letters.features, letters.labels, split, Softmax, n_classes=len(letters.classes), seed=draw
    )


def train_uneven(
    letters: Letters, n_train: int, n_test: int, draws: int, seed: int, keep: Keep = compute
) -> pd.DataFrame:
    """Train as found, undersampled, and with as few labels as found; test uneven and balanced.

    Which letters there are depends on ``seed``, too. So a draw's ``seed`` in the table holds both,
    the run's and its number: two runs share one only where they share the draw.
    """
    if not 1 <= draws <= MOST_DRAWS:
        raise ParameterError("draws", draws, f"expected 1 to {MOST_DRAWS}")
    sizes = {"n_train": n_train, "n_test": n_test}
    return together(
        [
            keep(imbalance_draw, letters, seed, draw, **sizes).assign(seed=MOST_DRAWS * seed + draw)
            for draw in range(draws)
        ]
    )


def metrics(letters: Letters, table: pd.DataFrame) -> Finding:
    """Show six metrics of each way to train, on both tests, as means over draws."""
    mean = table.groupby(["test", "arm"], sort=False)[[*CLASSIFICATION, "n_human", "n_eval"]].mean()
    draws = table["seed"].nunique()
    order = [(test, arm) for test in TESTS for arm in ARMS]
    wide = 100 * mean.loc[order, list(plots.METRIC_NAMES)].rename(columns=plots.METRIC_NAMES)
    wide.insert(0, "labels", mean.loc[order, "n_human"])
    wide.index = pd.MultiIndex.from_tuples([(TESTS[test], ARMS[arm]) for test, arm in order])
    rows = []
    for test, part in table.groupby("test"):
        named = part["arm"] if test == "as found" else part["arm"] + "_balanced_test"
        rows.append(tables.long_rows(part, named, protocol="sound", split="test"))
    found = mean.loc[("as found", "as_found")]
    gap = found["accuracy"] - found["balanced_accuracy"]
    return Finding(
        f"Trained on {found['n_human']:,.0f} letters as found, accuracy is {found['accuracy']:.1%} "
        f"and balanced accuracy {found['balanced_accuracy']:.1%}: {flattery(gap)}.",
        name="imbalance_metrics",
        table=wide.style.format(precision=1)
        .format("{:,.0f}", subset=["labels"])
        .set_caption(letters.title(f"Per cent (correlation: hundredths), mean of {draws} draws")),
        rows=together(rows),
        tables={"az_imbalance": mean.reset_index()},
    )


def flattery(gap: float) -> str:
    """Say what accuracy less balanced accuracy tells, in words that fit its sign."""
    points = round(100 * gap, 1)
    if points == 0:
        return "accuracy does not flatter here"
    how = "flatters by" if points > 0 else "is lower by"
    return f"accuracy {how} {abs(points):.1f} points"


def dots(letters: Letters, table: pd.DataFrame) -> Finding:
    """Show the same metrics as dots, with their range over draws."""
    mean = table.groupby(["test", "arm"])[[*CLASSIFICATION, "n_eval"]].mean()
    guess, draws = mean.loc[("as found", "majority")], table["seed"].nunique()
    named = {
        f"{text} ({mean.loc[test, 'n_eval'].iloc[0]:,.0f} letters)": table[table["test"] == test]
        for test, text in TESTS.items()
    }
    return Finding(
        f"Always guessing the largest class has {guess['accuracy']:.0%} accuracy, "
        f"{guess['balanced_accuracy']:.0%} balanced accuracy and a Matthews correlation of "
        f"{guess['mcc']:.0f}"
        + (
            ": of these, only accuracy gives it credit."
            if guess["accuracy"] > guess["balanced_accuracy"]
            else "."
        ),
        figure=plots.metric_dots(
            named,
            ARMS,
            letters.title(f"Trained and tested with imbalance and without, {draws} draws"),
        ),
        name="imbalance",
        alt=(
            "Six metrics of four ways to train, as markers with the range over draws: tested on "
            "letters as uneven as found, and on a balanced test set."
        ),
    )


def price(table: pd.DataFrame) -> Finding:
    """Say what undersampling costs and brings, against all labels and against as few."""
    mean = table.groupby(["test", "arm"])[["accuracy", "n_human"]].mean()
    lines = []
    for test, text in TESTS.items():
        under, found, few = (
            mean.loc[(test, arm), "accuracy"]
            for arm in ("undersampled", "as_found", "as_found_few")
        )
        n = mean.loc[(test, "undersampled"), "n_human"]
        lines.append(
            f"{text.capitalize()}: undersampling to {n:,.0f} labels changes accuracy by "
            f"{100 * (under - found):+.1f} points against all labels, and by "
            f"{100 * (under - few):+.1f} points against as few labels as found."
        )
    return Finding(" ".join(lines), name="undersampling_price")
