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
from alutils.base.errors import ParameterError
from alutils.data.dataset import Dataset, as_float
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
) -> Outcome:
    """Run the article's procedure: all labels, random, active, and both kinds of auto-labels.

    Parameters
    ----------
    make_classifier : gives a classifier as the article's ``reset()`` leaves it; called three times
    features : ``Rows`` or ``SparseImages``, as the classifier takes them
    labels : (n_items,) int, the true labels; the oracle
    batch, budget : labels a round, human labels in all; ValueError if they do not fit

    Source: the article; ``benchmarks/article_tf1.py`` is its procedure line by line.
    """
    check_loop(len(labels), batch, budget)
    outcome = Outcome()

    def note(arm: str, done: Round, classifier: Softmax, state: PoolState) -> None:
        auto = state.book.source == Source.AUTO
        wrong = int(np.count_nonzero(state.book.label[auto] != labels[auto]))
        outcome.steps.append(Step(arm, done, wrong, classifier.weights))

    def human(arm: str, batch: int, budget: int, query: Any) -> tuple[Softmax, PoolState]:
        classifier, state = make_classifier(), PoolState.start(len(labels))
        for done in pool_based(
            features, labels.__getitem__, classifier, query, state, batch=batch, budget=budget
        ):
            note(arm, done, classifier, state)
        return classifier, state

    human("all", len(labels), len(labels), None)
    human("random", budget, budget, None)
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
    x_test, y_test : (n_test, n_features) float32 and (n_test,) int; the weights of every active
        round and of each arm's last round are counted on them where they are given

    Returns
    -------
    DataFrame: arm, round, n_human, n_auto, n_right (of the stop set), n_auto_wrong, n_right_test
    (NaN where not counted)
    """
    records: list[dict[str, Any]] = []
    counted: dict[int, Weights] = {}
    for arm in ARMS:
        steps = [outcome.last(arm)] if arm == "first" else outcome.of(arm)
        for step in steps:
            if x_test is not None and (arm == "active" or step is steps[-1]):
                counted[len(records)] = step.weights
            records.append(
                {
                    "arm": arm,
                    "round": step.round.number,
                    "n_human": step.round.n_human,
                    "n_auto": step.round.n_auto,
                    "n_right": step.n_right,
                    "n_auto_wrong": step.n_auto_wrong,
                    "n_right_test": np.nan,
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
            records[record]["n_right_test"] = int(count)
    return pd.DataFrame(records)


def metrics(
    table: pd.DataFrame,
    *,
    protocol: str,
    seed: int,
    stop_split: str,
    n_stop: int,
    test_split: str = "test",
    n_test: int | None = None,
) -> list[dict[str, Any]]:
    """Return the last round of each arm of a `table` as rows of the long results table.

    Parameters
    ----------
    stop_split, n_stop : what the stop set is (``test`` as published, ``validation`` where the
        protocol is sound) and how many images it holds
    test_split, n_test : what ``n_right_test`` counts; None leaves it out
    """
    long = []
    for arm, of_arm in table.groupby("arm", sort=False):
        last = of_arm.iloc[-1]
        common = {"protocol": protocol, "arm": arm, "seed": seed}
        common |= {name: int(last[name]) for name in ("round", "n_human", "n_auto")}
        counts = [(stop_split, int(last["n_right"]), n_stop)]
        if n_test is not None:
            counts.append((test_split, int(last["n_right_test"]), n_test))
        for split, n_right, n in counts:
            here = {**common, "split": split, "n_eval": n}
            long.append({**here, "metric": "n_right", "value": n_right})
            long.append({**here, "metric": "accuracy", "value": n_right / n})
        if common["n_auto"]:
            here = {**common, "split": "pool", "n_eval": common["n_auto"]}
            precision = 1 - int(last["n_auto_wrong"]) / common["n_auto"]
            long.append({**here, "metric": "auto_precision", "value": precision})
    return long


@dataclass(frozen=True)
class Slices:
    """The digits of one experiment, and the data sets that replicates may draw from."""

    x: np.ndarray  # (n_train, n_features) float32
    y: np.ndarray  # (n_train,) int64
    x_test: np.ndarray
    y_test: np.ndarray
    train: Dataset
    test: Dataset
    test_start: int = 0  # where in ``test`` the experiment's own test digits begin

    def test_own_first(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all test digits, (n, n_features) float32 and (n,) int64, its own before the rest.

        `alutils.experiments.article.replication` counts on the first ones: on the same as the run
        it is held against.
        """
        own = np.arange(self.test_start, self.test_start + len(self.y_test))
        order = np.concatenate([own, np.setdiff1d(np.arange(len(self.test)), own)])
        return as_float(self.test.images[order]), self.test.labels[order]


def slices(
    train: Dataset,
    test: Dataset,
    *,
    train_start: int,
    test_start: int,
    n_train: int,
    n_test: int,
    batch: int,
    budget: int,
) -> Slices:
    """Cut an experiment's digits out of a data set.

    Raises
    ------
    ParameterError
        for a slice that the data set does not hold, a batch or a budget that does not fit it, or
        does not fit what the sound protocol trains on: as many digits less the validation digits,
        where the data set has no others for those
    """
    asked = ("train", train, train_start, n_train), ("test", test, test_start, n_test)
    for kind, data, start, n in asked:
        if start + n > len(data):
            raise ParameterError(
                f"n_{kind}",
                n,
                f"from {kind}_start={start} on, {data.name} holds {max(0, len(data) - start)} "
                f"{kind} images",
                "ask for fewer, or for all of MNIST with data=mnist",
            )
    kept = (
        f"of {train.name}'s {len(train)} training images the sound protocol keeps {n_test} "
        "(n_test) for validation"
    )
    for name, value, most, why, more in (
        ("budget", budget, n_train, f"the pool holds {n_train} images (n_train)", ""),
        ("budget", budget, len(train) - n_test, kept, ", or for all of MNIST with data=mnist"),
        ("batch", batch, budget, f"the budget is {budget} labels", " a round"),
    ):
        if value > most:
            raise ParameterError(name, value, why, f"ask for at most {most}{more}")
    cut, cut_test = (slice(start, start + n) for _, _, start, n in asked)
    return Slices(
        as_float(train.images[cut]),
        train.labels[cut],
        as_float(test.images[cut_test]),
        test.labels[cut_test],
        train,
        test,
        test_start,
    )
