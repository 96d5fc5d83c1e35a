"""Looking at a data set before learning from it: balance, maps in two dimensions, imbalance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from alutils.experiments.report.splits import undersample
from alutils.models.classifier import Classifier
from alutils.stats.metrics import classification_metrics

_ITERATIONS = (250, 500)  # openTSNE's defaults: early exaggeration, then the rest
_COMPONENTS = 50
_MANY = 10_000  # items from which interpolation is faster than a tree, and threads pay
_EVERY = 50  # iterations between two steps of the progress bar


def embed(x: np.ndarray, *, seed: int, perplexity: float = 30.0) -> np.ndarray:
    """Lay items out in two dimensions by t-SNE, the fast kind: practical for tens of thousands.

    50 principal components first, which also give the starting layout; approximate neighbours;
    forces by a tree, or for 10,000 items and more by interpolation and FFT, so that time grows with
    n and not with its square.

    Parameters
    ----------
    x : (n, d) numbers, d of 2 or more
    seed : of the approximate neighbours
    perplexity : about how many neighbours an item is held to; the report's is 30

    Returns
    -------
    (n, 2) float64

    Raises ValueError if x is no such array, or there are fewer than ``3 * perplexity + 2`` items.

    Source: van der Maaten and Hinton (2008); Linderman et al. (2019) for the interpolation.
    """
    from openTSNE import TSNE
    from sklearn.decomposition import PCA
    from tqdm import tqdm

    x = np.asarray(x, np.float32)
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError(f"x has shape {x.shape}: expected (n, d), d of 2 or more; flatten images")
    least = int(3 * perplexity) + 2
    if len(x) < least:
        raise ValueError(
            f"n={len(x)}: perplexity={perplexity:g} takes {least} items or more; lower it or take "
            "more items"
        )
    reduced = PCA(min(_COMPONENTS, *x.shape), random_state=seed).fit_transform(x)
    steps = sum(_ITERATIONS) // _EVERY
    with tqdm(total=steps, desc="t-SNE", unit="step", leave=False) as bar:

        def step(*_: object) -> None:  # a callback that returns something true ends the layout
            bar.update()

        return np.asarray(
            TSNE(
                perplexity=perplexity,
                early_exaggeration_iter=_ITERATIONS[0],
                n_iter=_ITERATIONS[1],
                initialization="pca",
                negative_gradient_method="fft" if len(x) >= _MANY else "bh",
                n_jobs=-1 if len(x) >= _MANY else 1,
                random_state=seed,
                callbacks=step,
                callbacks_every_iters=_EVERY,
            ).fit(reduced)
        )


@dataclass(frozen=True)
class Agreement:
    """How far neighbours share a label.

    Attributes
    ----------
    share : float, of an item's nearest neighbours, the share with its own label; mean over items
    chance : float, what `share` would be if labels were dealt at random
    by_class : (n_classes,) float, `share` over each class's items, NaN where it has none
    """

    share: float
    chance: float
    by_class: np.ndarray


def label_agreement(
    points: np.ndarray, labels: np.ndarray, n_classes: int, k: int = 10
) -> Agreement:
    """Measure whether labels are clustered together, as a picture of points may make believe.

    Parameters
    ----------
    points : (n, d) numbers; a layout in two dimensions, or what it was made from
    labels : (n,) int, 0 to ``n_classes - 1``
    k : neighbours looked at (Euclidean distance, the item itself left out)

    Raises
    ------
    ValueError
        If there are not more than k items, or not as many labels.
    """
    from sklearn.neighbors import NearestNeighbors

    labels = np.asarray(labels)
    n = len(points)
    if labels.shape != (n,) or not 1 <= k < n:
        raise ValueError(
            f"{n} points, labels of shape {labels.shape}, k={k}: expected as many labels as "
            "points, and k from 1 to one less than that"
        )
    # kneighbors() without an argument leaves each item out of its own neighbours.
    near = NearestNeighbors(n_neighbors=k, n_jobs=-1).fit(points).kneighbors(return_distance=False)
    same = (labels[near] == labels[:, None]).mean(1)
    counts = np.bincount(labels, minlength=n_classes)
    sums = np.bincount(labels, weights=same, minlength=n_classes)
    by_class = np.divide(sums, counts, out=np.full(n_classes, np.nan), where=counts > 0)
    chance = (counts * (counts - 1)).sum() / (n * (n - 1))
    return Agreement(float(same.mean()), float(chance), by_class)


def classes_in_first(counts: np.ndarray, n: int, draws: int, rng: np.random.Generator) -> float:
    """How many classes the first n rows hold, on average, of items read class by class.

    Parameters
    ----------
    counts : (n_classes,) items of each class
    draws : random orders of the classes tried
    """
    orders = rng.permuted(np.tile(np.asarray(counts), (draws, 1)), axis=1)
    before = np.cumsum(orders, axis=1) - orders
    return float(((before < n) & (orders > 0)).sum(1).mean())


@dataclass(frozen=True)
class ImbalanceSplit:
    """Positions of items, (n,) int64 each; no item is in two of them."""

    train: np.ndarray  # uneven
    test: np.ndarray  # as uneven
    balanced_test: np.ndarray


def imbalance_split(
    labels: np.ndarray,
    shares: Sequence[float] | np.ndarray,
    *,
    n_train: int,
    n_test: int,
    rng: np.random.Generator,
) -> ImbalanceSplit:
    """Draw an uneven training set, a test set as uneven, and a balanced one.

    Every class has at least 2 training items and 1 test item. Where the data do not hold what is
    asked for, all three sets shrink in proportion.

    Parameters
    ----------
    labels : (n,) int; every class from 0 on is there, with 4 items or more
    shares : (n_classes,) positive; how uneven, in any unit
    n_train, n_test : items wanted; about `n_test` in each test set

    Raises
    ------
    ValueError
        If a class has fewer than 4 items, or shares do not fit.
    """
    labels = np.asarray(labels)
    shares = np.asarray(shares, float)
    counts = np.bincount(labels, minlength=len(shares))
    if shares.ndim != 1 or len(counts) != len(shares) or not (shares > 0).all():
        raise ValueError(f"shares of shape {shares.shape}: expected one, positive, for each class")
    if counts.min() < 4:
        raise ValueError(
            f"class {counts.argmin()} has {counts.min()} items: expected 4 or more of each class"
        )
    uneven = shares / shares.sum()
    wanted = (n_train + n_test) * uneven + n_test / len(shares)
    scale = min(1.0, float(((counts - 4) / wanted).min()))  # 4: what the least numbers may add
    each = max(1, int(scale * n_test / len(shares)))
    parts: tuple[list, list, list] = ([], [], [])
    for label, share in enumerate(uneven):
        items = rng.permutation(np.flatnonzero(labels == label))
        n_of_test = max(1, int(scale * n_test * share))
        n_of_train = max(2, int(scale * n_train * share))
        ends = np.cumsum([each, n_of_test, n_of_train])
        for part, piece in zip(parts, np.split(items, ends), strict=False):
            part.append(piece)
    balanced, test, train = (rng.permutation(np.concatenate(part)) for part in parts)
    return ImbalanceSplit(train, test, balanced)


ARMS = {
    "majority": "always the largest class",
    "as_found": "trained as found",
    "as_found_few": "as found, as few labels",
    "undersampled": "trained undersampled",
}


def imbalance_metrics(
    x: np.ndarray,
    labels: np.ndarray,
    split: ImbalanceSplit,
    classifier: Callable[[], Classifier],
    *,
    n_classes: int,
    seed: int,
) -> pd.DataFrame:
    """Measure what imbalance does, in training and in testing, under every metric.

    Parameters
    ----------
    x : (n, d) what the classifier sees
    labels : (n,) int
    split : of these items
    classifier : makes an untrained classifier
    seed : of the undersampling, and of drawing as few labels as found

    Returns
    -------
    DataFrame with arm (see `ARMS`), test ("as found" or "balanced"), seed, n_human (labels trained
    on), n_eval, and a column for each metric of `classification_metrics`
    """
    train = split.train
    few = undersample(labels[train], seed)
    arms = {
        "as_found": train,
        "as_found_few": np.random.default_rng(seed).choice(train, len(few), replace=False),
        "undersampled": train[few],
    }
    tests = {"as found": split.test, "balanced": split.balanced_test}
    largest = np.bincount(labels[train]).argmax()
    predicted = {("majority", name): np.full(len(items), largest) for name, items in tests.items()}
    for arm, items in arms.items():
        # As few labels as found may miss a class: the classifier is told those that it saw.
        seen, y = np.unique(labels[items], return_inverse=True)
        model = classifier()
        if len(seen) > 1:
            with threadpool_limits(1):  # threads cost more than they bring in products this small
                model.fit(x[items], y)
        for name, tested in tests.items():
            if len(seen) == 1:  # nothing to learn
                best = np.zeros(len(tested), int)
            else:
                best = np.argmax(model.predict_proba(x[tested]), axis=1)
            predicted[arm, name] = seen[best]
    rows = []
    for (arm, name), labelled in predicted.items():
        measured = classification_metrics(labels[tests[name]], labelled, n_classes)
        size = {"n_human": len(arms.get(arm, train)), "n_eval": len(tests[name])}
        rows.append({"arm": arm, "test": name, "seed": seed, **size, **measured})
    return pd.DataFrame(rows)
