"""The article's experiment: six arms on one draw of digits, to the digit or many times over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from alutils.active.labels import Source
from alutils.active.loops import autolabel
from alutils.active.loops.pool import PoolState, Round, by_score, check_loop, pool_based
from alutils.active.strategies import uncertainty
from alutils.models.softmax_exact import Rows, SoftmaxRegression, Weights
from alutils.models.softmax_fast import SparseSoftmax

ARMS = ("all", "random", "first", "active", "auto_at_once", "auto_confident_first")
Softmax = SoftmaxRegression | SparseSoftmax
"""What can be put back to an earlier state."""


@dataclass(frozen=True)
class Step:
    """One round of one arm, and the classifier's weights after it."""

    arm: str  # one of `ARMS`; ``first`` is round 0 of ``active``
    round: Round
    n_auto_wrong: int  # automatic labels so far that are not the true ones
    weights: Weights
    n_stop: int  # images in the stop set

    @property
    def n_right(self) -> int:
        """How many of the stop set the classifier gets right: what its ``fit`` says first."""
        return self.round.trained[0]


@dataclass(frozen=True)
class Outcome:
    """All rounds of the six arms, in the order in which the article runs them."""

    steps: list[Step] = field(default_factory=list)

    def last(self, arm: str) -> Step:
        return self.of("active")[0] if arm == "first" else self.of(arm)[-1]

    def of(self, arm: str) -> list[Step]:
        return [step for step in self.steps if step.arm == arm]

    def n_right(self) -> dict[str, int]:
        """Return by arm how many of the stop set its last round gets right."""
        return {arm: self.last(arm).n_right for arm in ARMS}


def run(
    make_classifier: Callable[[], Softmax],
    features: Any,
    labels: np.ndarray,
    *,
    batch: int = 10,
    budget: int = 400,
    random_rounds: bool = False,
) -> Outcome:
    """Run the article's procedure: all labels, random, active, and both kinds of auto-labels.

    Parameters
    ----------
    make_classifier : gives a classifier as the article's ``reset()`` leaves it
    features : ``Rows`` or ``SparseImages``, as the classifier takes them
    labels : (n_items,) int, the true labels; the oracle
    batch, budget : labels a round, human labels in all; ValueError if they do not fit
    random_rounds : train on random labels at every label count of the active rounds, each time from
        the start; without it at the budget alone, as the article does

    Source: the article; ``benchmarks/article_tf1.py`` is its procedure line by line.
    """
    check_loop(len(labels), batch, budget)
    outcome = Outcome()

    def note(arm: str, done: Round, classifier: Softmax, state: PoolState) -> None:
        auto = state.book.source == Source.AUTO
        wrong = int(np.count_nonzero(state.book.label[auto] != labels[auto]))
        outcome.steps.append(Step(arm, done, wrong, classifier.weights, classifier.n_stop))

    def human(
        arm: str, batch: int, budget: int, query: Any, number: int = 0
    ) -> tuple[Softmax, PoolState]:
        classifier, state = make_classifier(), PoolState.start(len(labels))
        for done in pool_based(
            features, labels.__getitem__, classifier, query, state,
            batch=batch, budget=budget, number=number,
        ):  # fmt: skip
            note(arm, done, classifier, state)
        return classifier, state

    human("all", len(labels), len(labels), None)
    counts = [*range(batch, budget, batch), budget] if random_rounds else [budget]
    for i, n in enumerate(counts):
        human("random", n, n, None, number=i)
    classifier, state = human("active", batch, budget, by_score(uncertainty.least_confident))

    # Both kinds of auto-labelling start from here: weights, Adam's slots, labels, order.
    number = len(outcome.of("active"))
    trained, after_active = classifier.state(), state.copy()
    if len(state.pool):
        done = autolabel.at_once(features, classifier, state, number=number)
        note("auto_at_once", done, classifier, state)
        classifier.restore(trained)
        rounds = autolabel.confident_first(
            features, classifier, after_active, batch=batch, number=number
        )
        for done in rounds:
            note("auto_confident_first", done, classifier, after_active)
    else:  # the budget labelled everything: there is nothing left to label automatically
        for arm in ("auto_at_once", "auto_confident_first"):
            outcome.steps.append(replace(outcome.last("active"), arm=arm))
    return outcome


def exact(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, **options: Any
) -> Outcome:
    """Run the article to the digit: its own arithmetic, its own use of the test set.

    Parameters
    ----------
    x, y : (n, n_features) float32 from `alutils.data.dataset.as_float`, (n,) int labels
    x_test, y_test : the same; they stop the training, as published
    options : those of `run`
    """
    classifier = SoftmaxRegression(x_test, y_test, n_classes=10)
    return run(classifier.reset, Rows.of(x), y, **options)


def table(
    outcome: Outcome, x_test: np.ndarray | None = None, y_test: np.ndarray | None = None
) -> pd.DataFrame:
    """Return one row for each arm and round of what `run` gave.

    Parameters
    ----------
    x_test, y_test : (n_test, n_features) float32 and (n_test,) int; the weights of every active and
        random round and of each arm's last round are counted on them where they are given

    Returns
    -------
    DataFrame: arm, round, n_human, n_auto, n_right (of the stop set's n_stop), n_auto_wrong,
    n_right_test (of n_test; NaN of 0 where nothing was counted)
    """
    records: list[dict[str, Any]] = []
    counted: dict[int, Weights] = {}
    for arm in ARMS:
        steps = [outcome.last(arm)] if arm == "first" else outcome.of(arm)
        for step in steps:
            if x_test is not None and (arm in ("active", "random") or step is steps[-1]):
                counted[len(records)] = step.weights
            records.append(
                {
                    "arm": arm,
                    "round": step.round.number,
                    "n_human": step.round.n_human,
                    "n_auto": step.round.n_auto,
                    "n_right": step.n_right,
                    "n_stop": step.n_stop,
                    "n_auto_wrong": step.n_auto_wrong,
                    "n_right_test": np.nan,
                    "n_test": 0,
                }
            )
    if x_test is not None:
        # All classifiers side by side in one matrix: one product instead of many thin ones.
        together = Weights(
            np.concatenate([weights.w for weights in counted.values()], axis=1),
            np.concatenate([weights.b for weights in counted.values()]),
        )
        logits = together.logits(x_test).reshape(len(x_test), len(counted), -1)
        n_right = (logits.argmax(axis=2) == np.asarray(y_test)[:, None]).sum(axis=0)
        for record, count in zip(counted, n_right, strict=True):
            records[record] |= {"n_right_test": int(count), "n_test": len(x_test)}
    return pd.DataFrame(records)


def metrics(
    table: pd.DataFrame, *, protocol: str, seed: int, stop_split: str, test_split: str = "test"
) -> list[dict[str, Any]]:
    """Return the last round of each arm of a `table` as rows of the long results table.

    Parameters
    ----------
    stop_split : what the stop set is: ``test`` as published, ``validation`` where the protocol is
        sound
    test_split : what ``n_right_test`` counts; how many images, and whether any, the table says
    """
    long = []
    for arm, of_arm in table.groupby("arm", sort=False):
        last = of_arm.iloc[-1]
        common = {"protocol": protocol, "arm": arm, "seed": seed}
        common |= {name: int(last[name]) for name in ("round", "n_human", "n_auto")}
        counts = [(stop_split, last["n_right"], int(last["n_stop"]))]
        if last["n_test"]:
            counts.append((test_split, last["n_right_test"], int(last["n_test"])))
        for split, n_right, n in counts:
            here = {**common, "split": split, "n_eval": n}
            long.append({**here, "metric": "n_right", "value": int(n_right)})
            long.append({**here, "metric": "accuracy", "value": int(n_right) / n})
        if common["n_auto"]:
            here = {**common, "split": "pool", "n_eval": common["n_auto"]}
            precision = 1 - int(last["n_auto_wrong"]) / common["n_auto"]
            long.append({**here, "metric": "auto_precision", "value": precision})
    return long
