"""The report's "Approach and Key metric", followed to its end: every letter gets a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from alutils.active.labels import LabelBook, Source
from alutils.active.loops.pool import PoolState, Ranking, View, pool_based
from alutils.experiments.report.letters import Letters
from alutils.experiments.report.loops import TrainedFirst, first_head
from alutils.experiments.report.splits import Split, split
from alutils.models.dense_head import DenseHead

THRESHOLDS = (0.6, 0.8, 0.9, 0.95, 0.99)
STEPS = (
    "hand label a small portion",
    "train a classifier",
    "predict all unlabelled letters",
    "take what is above the threshold for true",
    "hand label some of the least confident",
    "go on until little remains unlabelled",
    "hand label what remains",
)
"""The report's seven steps, in its order; step 6 sends back to step 2."""


class Labelled(NamedTuple):
    """What the seven steps came to.

    Attributes
    ----------
    book : labels of all items of the data set; those of neither start nor pool have none
    outcome : threshold, rounds, n_human, n_auto, share_human, auto_coverage (of the pool),
        auto_wrong (wrong automatic labels, as a share of all labels), auto_precision (NaN without
        automatic labels), accuracy (of all labels, those given by hand being right)
    rounds : a row a round: n_human (labels trained on), n_predicted, n_taken (for true), n_asked
        (least confident, by hand), n_last (by hand at the end)
    """

    book: LabelBook
    outcome: dict[str, float]
    rounds: pd.DataFrame


def label_everything(
    features: np.ndarray,
    labels: np.ndarray,
    parts: Split,
    head: DenseHead,
    *,
    threshold: float,
    portion: float = 0.05,
    rest: float = 0.05,
) -> Labelled:
    """Follow the report's seven steps ("Approach and Key metric") until every item has a label.

    Hand label the first ones; train; predict the others; take every prediction at or above the
    threshold as its label; hand label a portion of those with the lowest confidence and add it to
    the training set; again from "train" until little remains; hand label that. `STEPS` names them.

    Parameters
    ----------
    features, labels, head : as in `alutils.experiments.report.loops.run_loop`
    parts : whose start is labelled by hand first, whose pool is to be labelled
    threshold : confidence from which on a prediction is taken for true
    portion : hand labels a round, as a share of start and pool
    rest : what counts as little, as a share of start and pool

    Returns
    -------
    Labelled

    Raises
    ------
    ValueError
        For a threshold, a portion or a rest that is no share.
    """
    for name, value in {"threshold": threshold, "portion": portion, "rest": rest}.items():
        if not 0 <= value <= 1 or (name == "portion" and value == 0):
            raise ValueError(
                f"{name}={value}: expected a share, above 0 for the portion, at most 1"
            )
    total = len(parts.start) + len(parts.pool)
    batch = max(1, round(portion * total))
    rounds: list[dict[str, int]] = []

    def sure(view: View) -> np.ndarray:
        taken = view.probabilities.max(axis=1) >= threshold
        n_human, left = view.state.book.n_human, len(taken) - int(taken.sum())
        seen = {"n_human": n_human, "n_predicted": len(taken), "n_taken": int(taken.sum())}
        rounds.append(seen | {"n_asked": 0, "n_last": left if left <= rest * total else 0})
        return taken

    def least_confident(view: View) -> Ranking:
        order = np.argsort(view.probabilities.max(axis=1), kind="stable")
        last = rounds[-1]["n_last"]
        if not last:
            rounds[-1]["n_asked"] = min(batch, len(order))
        return Ranking(order, ask=last or batch)

    state = PoolState.start(len(labels), np.concatenate([parts.start, parts.pool]))
    # Only what people labelled is trained on: the procedure adds nothing else to the set.
    loop = pool_based(
        features, labels.__getitem__, head, least_confident, state, batch=batch, budget=total,
        first=len(parts.start), automatic=sure, train_on_automatic=False,
    )  # fmt: skip
    for _ in loop:
        pass
    book = state.book
    auto = book.source == Source.AUTO
    wrong = int(np.count_nonzero(book.label[auto] != labels[auto]))
    outcome = {
        "threshold": threshold,
        "rounds": len(rounds),
        "n_human": book.n_human,
        "n_auto": book.n_auto,
        "share_human": book.n_human / total,
        "auto_coverage": book.n_auto / len(parts.pool),
        "auto_wrong": wrong / total,
        "auto_precision": (book.n_auto - wrong) / book.n_auto if book.n_auto else np.nan,
        "accuracy": (total - wrong) / total,
    }
    return Labelled(book, outcome, pd.DataFrame(rounds))


def steps_draw(
    letters: Letters,
    setting: str,
    seed: int,
    *,
    epochs: int,
    portion: float,
    rest: float,
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Follow the steps at every threshold, from the same first training.

    Returns
    -------
    the outcomes, a row a threshold, with ``seed``; the rounds of all thresholds below each other,
    with ``seed``, ``threshold`` and ``round`` (from 1)
    """
    features, labels = letters.features, letters.labels
    parts, outcomes, rounds = split(labels, setting, seed), [], []
    first = first_head(features, labels, parts, len(letters.classes), seed, epochs)
    for at in thresholds:
        done = label_everything(
            features, labels, parts, TrainedFirst(first), threshold=at, portion=portion, rest=rest
        )
        outcomes.append({"seed": seed} | done.outcome)
        numbered = done.rounds.assign(seed=seed, threshold=at, round=range(1, len(done.rounds) + 1))
        rounds.append(numbered)
    return pd.DataFrame(outcomes), pd.concat(rounds, ignore_index=True)
