"""The report's experiment: its loop with and without the fault, and its procedure to the end.

Everything here works on frozen features and true labels; what a person would be asked is looked up.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from alutils.active.loops.pool import PoolState, Ranking, View, pool_based
from alutils.experiments.report.splits import Split, split
from alutils.models.dense_head import DenseHead
from alutils.stats.metrics import CLASSIFICATION, classification_metrics

THRESHOLD = 0.6  # confidence under which a prediction counts as unsure
STOP_SHARE = 0.10  # of unsure ones, at which the loop ends
LOOPS = ("as_published", "as_intended", "random", "random_as_published")
LABELS_APART = 0.1  # of the larger number of labels: further apart, two loops are not compared


def moved_as_published(low: np.ndarray) -> np.ndarray:
    """Find what the report's loop moves into the training set.

    It goes through the predictions and, at place ``i`` of one that is unsure, appends and deletes
    item ``i`` of an array from which earlier ones are gone already: after ``k`` deletions, all of
    them in front of it, that is item ``i + k``. Past the end the ``except: pass`` hides the error,
    and nothing is counted.

    Parameters
    ----------
    low : (n,) bool, which predictions are unsure

    Returns
    -------
    (n_moved,) int64, positions in the pool; n_moved / n is the share that the report prints
    """
    places = np.flatnonzero(low)
    shifted = places + np.arange(len(places))
    return shifted[shifted < len(low)]


class TrainedFirst(DenseHead):
    """A copy of a head that is trained on the first labels already: its first `fit` is done.

    All loops of a draw begin with the same labels and the same weights, so that one training will
    do for the first round of all of them.
    """

    def __init__(self, head: DenseHead) -> None:
        self.__dict__.update(copy.deepcopy(head.__dict__))
        self._trained = len(head.weights.b1) > 0

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """Train as `DenseHead.fit`, but for the first time; then there is no history either."""
        if self._trained:
            self._trained = False
            return {}
        return super().fit(x, y)


class Loop(NamedTuple):
    """What a loop did, and the head as its last round left it."""

    rounds: pd.DataFrame  # see `run_loop`
    labelled: np.ndarray  # (n,) int64, what the last round was trained on, in its order
    pool: np.ndarray  # (n,) int64, the items still waiting
    head: DenseHead


def run_loop(
    loop: str,
    features: np.ndarray,
    labels: np.ndarray,
    parts: Split,
    head: DenseHead,
    *,
    threshold: float = THRESHOLD,
    stop_share: float = STOP_SHARE,
    min_rounds: int = 0,
    max_rounds: int = 20,
    counts: Sequence[int] = (),
    rng: np.random.Generator | int = 0,
    progress: Callable[[], None] = lambda: None,
) -> Loop:
    """Train, look at the pool, label what is unsure, train anew, until little is unsure.

    Parameters
    ----------
    loop
        ``as_published``: the report's code, see `moved_as_published`. ``as_intended``: every
        unsure item is labelled, no other (but for the surest one where all are unsure, so that a
        pool is left to measure on). ``random`` and ``random_as_published``: as many as
        `counts` says, drawn at random; they end with it.
    features : (n_items, n_features) float32; may be a memory-map
    labels : (n_items,) int
    parts : what is labelled first, waits, and tests
    head : trained anew in every round
    threshold : confidence under which a prediction counts as unsure
    stop_share : the loop ends when this share of the pool, or less, is unsure (as it counts them)
    min_rounds : go on for so many rounds after the first, whatever the share
    max_rounds : go on for no more than so many
    counts : labels in each round after the first, for the random loops
    rng : of the random loops
    progress : called after each round

    Returns
    -------
    Loop; its rounds have the columns arm, round, n_human, n_pool, n_moved (after this round),
    moved_unsure (share of these that were unsure), share_unsure (true), share_counted (as the
    report's code counts), stops (whether the loop's own rule ends here), then the metrics of
    `alutils.stats.metrics.classification_metrics` on the pool as ``pool_accuracy`` and so on,
    n_test and the same as ``test_accuracy`` and so on, on the test items that are neither in start
    nor in the pool (`untouched`): no loop can touch them, and they are the same in every round and
    loop, which a comparison needs (NaN where there are none); test_right, which of them are right,
    as `right_items` reads it

    Raises
    ------
    ValueError
        For a loop that does not exist, or a random one without counts.
    """
    if loop not in LOOPS:
        raise ValueError(f"loop={loop}: expected one of {', '.join(LOOPS)}")
    by_chance = loop.startswith("random")
    if by_chance and sum(counts) > len(parts.pool):
        raise ValueError(f"counts={list(counts)}: the pool holds {len(parts.pool)} items")
    rng = np.random.default_rng(rng)
    tested = untouched(parts)
    records: list[dict[str, Any]] = []

    def query(view: View) -> Ranking:
        """Say what to label next, and note what was seen."""
        number, probabilities, pool = len(records), view.probabilities, view.state.pool
        confidence = probabilities.max(axis=1)
        low = confidence < threshold
        wrongly = moved_as_published(low)
        share, counted = float(low.mean()), len(wrongly) / len(low)
        stops = (counted if loop.endswith("as_published") else share) <= stop_share
        if by_chance:
            n = 0 if number >= len(counts) else counts[number]
            chosen = rng.choice(len(pool), n, replace=False)
        elif (stops and number >= min_rounds) or number >= max_rounds:
            chosen = np.empty(0, np.int64)
        else:
            chosen = wrongly if loop == "as_published" else np.flatnonzero(low)
        if len(chosen) == len(pool):
            chosen = np.delete(chosen, confidence.argmax())
        test = head.predict_proba(features[tested]) if len(tested) else probabilities[:0]
        seen = {
            "arm": loop, "round": number, "n_human": view.state.book.n_human,
            "n_pool": len(pool), "n_moved": len(chosen),
            "moved_unsure": float(low[chosen].mean()) if len(chosen) else np.nan,
            "share_unsure": share, "share_counted": counted, "stops": bool(stops),
            "n_test": len(tested), "test_right": written(test.argmax(axis=1) == labels[tested]),
        }  # fmt: skip
        seen |= _measured("pool", labels[pool], probabilities)
        records.append(seen | _measured("test", labels[tested], test))
        rest = np.delete(np.arange(len(pool)), chosen)
        return Ranking(np.concatenate([chosen, rest]), ask=len(chosen))

    together = np.concatenate([parts.start, parts.pool])
    state = PoolState.start(len(labels), together)
    for _ in pool_based(
        features, labels.__getitem__, head, query, state,
        batch=len(together), budget=len(together), first=len(parts.start),
    ):  # fmt: skip
        progress()
    return Loop(pd.DataFrame(records), state.book.order, state.pool, head)


def untouched(parts: Split) -> np.ndarray:
    """Return the test items that are neither labelled first nor wait: (n,) int64, rising."""
    return np.setdiff1d(parts.test, np.concatenate([parts.start, parts.pool]))


def written(right: np.ndarray) -> str:
    """Return (n,) bool as a text that a table can hold: bits in hexadecimal digits."""
    return "0x" + np.packbits(right).tobytes().hex()


def right_items(text: str, parts: Split, n_items: int) -> np.ndarray:
    """Return (n_items,) float: 1 or 0 for a test item that was right or wrong, NaN for all others.

    text : ``test_right`` of a round of `run_loop`, on these ``parts``
    """
    tested, right = untouched(parts), np.full(n_items, np.nan)
    packed = np.frombuffer(bytes.fromhex(text.removeprefix("0x")), np.uint8)
    right[tested] = np.unpackbits(packed, count=len(tested))
    return right


def _measured(split_name: str, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    if not len(labels):
        return {f"{split_name}_{name}": np.nan for name in CLASSIFICATION}
    values = classification_metrics(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    return {f"{split_name}_{name}": value for name, value in values.items()}


def new_head(n_classes: int, seed: int, epochs: int) -> DenseHead:
    """Return the head of a draw, untrained: the same weights for a seed wherever it is used."""
    return DenseHead(n_classes, epochs=epochs, rng=np.random.default_rng([seed, 1]))


def first_head(
    features: np.ndarray, labels: np.ndarray, parts: Split, n_classes: int, seed: int, epochs: int
) -> DenseHead:
    """Return a head trained on the first labels of a draw."""
    head = new_head(n_classes, seed, epochs)
    head.fit(features[parts.start], labels[parts.start])
    return head


def run_loops(
    features: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    setting: str,
    seed: int,
    *,
    epochs: int = 10,
    rounds: int = 3,
    loops: Sequence[str] = LOOPS,
    **options: Any,
) -> pd.DataFrame:
    """Run the loops on one draw of the letters, from the same first labels and the same weights.

    Parameters
    ----------
    features, labels : of the whole data set, see `run_loop`
    n_classes, epochs : of the heads
    setting : one of `alutils.experiments.report.splits.SETTINGS`
    seed : of the draw and the heads
    rounds : every loop goes on for so many rounds after the first, or until nothing is unsure;
        ``stops`` says where its own rule would have ended it
    loops : which; a random one needs the one before it whose counts it takes
    options : threshold, stop_share, max_rounds, progress

    Returns
    -------
    DataFrame: seed, then the columns of `run_loop`, all loops below each other
    """
    parts = split(labels, setting, seed)
    first = first_head(features, labels, parts, n_classes, seed, epochs)
    tables: dict[str, pd.DataFrame] = {}
    like = {"random": "as_intended", "random_as_published": "as_published"}
    for number, loop in enumerate(loops):
        counts = []
        if loop in like:
            n_moved = tables[like[loop]]["n_moved"]
            counts = n_moved[n_moved > 0].tolist()
        done = run_loop(
            loop, features, labels, parts, TrainedFirst(first), counts=counts, min_rounds=rounds,
            rng=np.random.default_rng([seed, 2 + number]), **{"max_rounds": rounds} | options,
        )  # fmt: skip
        tables[loop] = done.rounds
        if loop in like:  # a loop by chance ends where the one whose counts it takes ends
            tables[loop]["stops"] = tables[like[loop]]["stops"].to_numpy()[: len(done.rounds)]
    together = pd.concat(tables.values(), ignore_index=True)
    together.insert(0, "seed", seed)
    return together


def until_stop(rounds: pd.DataFrame) -> pd.DataFrame:
    """Keep of each seed's loops the rounds up to the one at which their own rule ends them."""
    stopped = rounds.groupby(["seed", "arm"])["stops"].transform(
        lambda stops: stops.shift(fill_value=False).cummax()
    )
    return rounds[~stopped.astype(bool)]


def comparable(rounds: pd.DataFrame, ours: str, base: str) -> bool:
    """Whether two loops ended with about as many labels, so that their accuracies may be compared.

    About: their means over the draws of one setting are at most `LABELS_APART` of the larger apart.
    """
    last = rounds.groupby(["seed", "arm"])["n_human"].max().groupby("arm").mean()
    return abs(last[ours] - last[base]) <= LABELS_APART * max(last[ours], last[base])


def moved_unsure(rounds: pd.DataFrame) -> pd.Series:
    """Return by loop which share of what it moved was unsure, mean over rounds; NaN for nothing."""
    moved = rounds[rounds["n_moved"] > 0]
    return moved.groupby("arm")["moved_unsure"].mean().reindex(LOOPS)


def metrics(rounds: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Return the rounds of `run_loops` as rows of the long results table.

    ``share_unsure`` is what the loop itself counts: with the fault in ``as_published``. Where every
    test letter is labelled first or waits in the pool there are no rows of the split ``test``.
    """
    long = []
    for row in rounds.to_dict("records"):
        common = {k: row[k] for k in ("arm", "seed", "round", "n_human")} | {"protocol": setting}
        pool = {**common, "split": "pool", "n_eval": row["n_pool"]}
        test = {**common, "split": "test", "n_eval": row["n_test"]}
        counted = row["share_counted" if row["arm"] == "as_published" else "share_unsure"]
        long.append({**pool, "metric": "share_unsure", "value": counted})
        long.append({**pool, "metric": "n_moved", "value": row["n_moved"]})
        for name in CLASSIFICATION:
            long.append({**pool, "metric": name, "value": row[f"pool_{name}"]})
            if row["n_test"]:
                long.append({**test, "metric": name, "value": row[f"test_{name}"]})
    return pd.DataFrame(long)
