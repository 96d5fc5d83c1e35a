"""What the report published: numbers read to the last digit, and its training log beside ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from alutils.base import files
from alutils.experiments.base import Finding
from alutils.experiments.report.loops import STOP_SHARE, moved_as_published
from alutils.experiments.report.published import (
    chance_of_count,
    fractions_behind,
    training_sizes,
    true_share,
)
from alutils.experiments.report.study import First, Study
from alutils.plots import report as plots

N_CLASSES, SMALLEST, N_LETTERS = 26, 1_120, 372_450  # of Kaggle's letters
TEST_SHARE = 0.3
STEPS, BATCH = 114, 32  # of an epoch in the report's log; Keras' batch where none is named


def published() -> dict[tuple[str, str], float]:
    """Return the report's numbers by split and metric, to the last bit."""
    path = files.repository_root() / "results" / "published.csv"
    table = pd.read_csv(path, converters={"value": float})  # Python's float() is exact
    table = table[table["experiment"] == "az"]
    return {(row.split, row.metric): float(row.value) for row in table.itertuples()}


def pool_behind() -> tuple[int, int, int]:
    """Return what the published ratios are of: right and unsure letters, and the pool's size."""
    values = published()
    most = {"multiple_of": N_CLASSES, "at_most": N_CLASSES * SMALLEST}
    (right, n_pool), *more = fractions_behind(values["pool", "accuracy"], **most)
    (counted, n_same), *others = fractions_behind(values["pool", "share_unsure"], **most)
    if more or others or n_same != n_pool:
        raise ValueError("the published ratios are not of one balanced pool")
    return right, counted, n_pool


def published_counts() -> Finding:
    """Read the counts behind the published ratios."""
    values, (right, counted, n_pool) = published(), pool_behind()
    (n_start,) = training_sizes(STEPS, BATCH, multiple_of=N_CLASSES)
    tested, n_test = values["test", "accuracy"], round(TEST_SHARE * N_LETTERS)
    (test_right,) = (
        count for count, n in fractions_behind(tested, at_most=N_LETTERS) if n == n_test
    )
    each, total = n_start // N_CLASSES, n_start + n_pool
    lines = [
        f"{values['pool', 'accuracy']} = {right:,} / {n_pool:,}: no other balanced pool fits",
        f"{values['pool', 'share_unsure']} = {counted:,} / {n_pool:,}",
        f"{STEPS} steps of {BATCH} letters, {N_CLASSES} equal classes: {n_start:,} = {N_CLASSES} x "
        f"{each} to start with",
        f"together {total:,} = {N_CLASSES} x {total // N_CLASSES:,}: the smallest class's size",
        f"{tested} = {test_right:,} / {n_test:,}: {TEST_SHARE:.0%} of {N_LETTERS:,}, as found",
    ]
    return Finding("\n".join(lines), exact=True)


def counted_share() -> Finding:
    """Say which share of unsure letters stands behind the one that the faulty loop counted."""
    unsure, (_, counted, n_pool) = published()["pool", "share_unsure"], pool_behind()
    true, limit = true_share(unsure), round(STOP_SHARE * n_pool)
    chance = chance_of_count(counted, n_pool, limit)
    ends = "stopped" if true <= STOP_SHARE else "gone on: it stopped because of the fault"
    lines = [
        f"counted: {unsure:.4f}; behind it: {true:.4f}, about {true * n_pool:,.0f} letters",
        f"with {limit:,} unsure letters (10%) or fewer, so high a count has a chance of "
        f"{chance:.1%}",
        f"The loop should have {ends}.",
    ]
    return Finding("\n".join(lines), exact=True)


def same_moves(
    as_published: Callable[[Sequence[float], Sequence[int]], list[int]],
    as_intended: Callable[[Sequence[float], Sequence[int]], list[int]],
    trials: int = 1000,
) -> Finding:
    """Say whether two readable loops move what the experiments' own loops move.

    ``as_published`` and ``as_intended``: confidences and items to the items that are moved.
    """
    rng, same = np.random.default_rng(0), 0
    for _ in range(trials):
        confidence = rng.random(rng.integers(1, 60))
        items, low = list(range(len(confidence))), confidence < 0.6
        moved = as_published(list(confidence), items), as_intended(list(confidence), items)
        ours = moved_as_published(low).tolist(), np.flatnonzero(low).tolist()
        same += moved == ours
    return Finding(
        f"In {same:,} of {trials:,} random pools these two functions move exactly what the "
        "experiments below move.",
        exact=True,
    )


def epoch_log(study: Study, first: First) -> Finding:
    """Set the report's training log beside ours, epoch by epoch."""
    theirs = pd.read_csv(files.repository_root() / "results" / "published_log.csv")
    ours = pd.DataFrame(first.history)
    ours.insert(0, "epoch", range(1, len(ours) + 1))
    both = theirs.merge(ours, on="epoch", how="outer", suffixes=("_published", "_ours"))
    last, end = both.dropna().iloc[-1], theirs["loss"].iloc[0]
    n = len(first.parts.start)
    text = (
        f"After epoch {last['epoch']:.0f} the report logs {last['accuracy_published']:.1%} right "
        f"in training, we get {last['accuracy_ours']:.1%}; the loss is "
        f"{last['loss_published']:.2f} there and {last['loss_ours']:.2f} here (first epoch: "
        f"{end:.2f} and {ours['loss'].iloc[0]:.2f})."
    )
    return Finding(
        text,
        figure=plots.epochs(
            theirs, ours, study.title(f"Ten epochs in the report's log, and ours on {n:,} letters")
        ),
        name="epochs",
        alt="Against the epoch, loss and accuracy in training: the report's log and ours.",
        tables={"az_epochs": both.drop(columns="source").round(6)},
    )
