"""Query strategies beside scikit-activeml's and modAL's arithmetic, on the same arrays."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.timing import Row, alternately, machine_rates, seconds

N_CLASSES = 26
N_LABELLED = 20
_TRIES = 5


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes
    ----------
    n_scored : rows of `N_CLASSES` probabilities
    n_pool, n_features : of the pool that a batch is chosen from
    batch : items chosen
    badge_classes : of BADGE; scikit-activeml writes gradients out, classes times features in
        float64: with 26 classes 5 GB
    """

    n_scored: int = 1_000_000
    n_pool: int = 50_000
    n_features: int = 512
    batch: int = 100
    badge_classes: int = 2


TINY = Sizes(n_scored=2_000, n_pool=300, n_features=16, batch=10)


def _probabilities(n: int, n_classes: int) -> np.ndarray:
    """Return (n, n_classes) float32, from sure to unsure."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((n, n_classes), np.float32)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def _features(sizes: Sizes) -> np.ndarray:
    """Return (n, features) float32 noise, in which no distance says much about another."""
    shape = sizes.n_pool, sizes.n_features
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def _quickest(work: Callable[[], Any]) -> float:
    return min(seconds(work) for _ in range(_TRIES))


def _modal(p: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Return the arithmetic of modAL 0.4.2's uncertainty measures (it cannot be installed here)."""
    from scipy.stats import entropy

    def margin() -> np.ndarray:
        part = np.partition(-p, 1, axis=1)
        return part[:, 1] - part[:, 0]

    return {
        "least_confident": lambda: 1 - np.max(p, axis=1),
        "margin": margin,
        "entropy": lambda: np.transpose(entropy(np.transpose(p))),
    }


def _scores(sizes: Sizes) -> dict[str, float]:
    """Return seconds of every score, ours and theirs, and of the passes that the bars speak of."""
    from skactiveml.pool import uncertainty_scores

    from alutils.active.strategies import uncertainty

    p = _probabilities(sizes.n_scored, N_CLASSES)
    modal = _modal(p)
    took = {
        "max": _quickest(lambda: p.max(axis=1)),
        "p log p": _quickest(lambda: p * np.log(p)),
    }
    for name, theirs_name in (
        ("least_confident", "least_confident"),
        ("margin", "margin_sampling"),
        ("entropy", "entropy"),
    ):
        ours = getattr(uncertainty, name)
        theirs = uncertainty_scores(p[:1000], method=theirs_name) - (name == "margin")
        if not np.allclose(ours(p[:1000]), theirs, atol=1e-5):
            raise AssertionError(f"{name}: not what scikit-activeml gives; its time says nothing")
        took[name] = _quickest(lambda ours=ours: ours(p))
        took[f"{name} skactiveml"] = _quickest(
            lambda method=theirs_name: uncertainty_scores(p, method=method)
        )
        took[f"{name} modal"] = _quickest(modal[name])
    return took


def _labels(n: int, n_classes: int) -> np.ndarray:
    """Return what scikit-activeml takes: labels, NaN where there is none."""
    y = np.full(n, np.nan)
    y[:N_LABELLED] = np.arange(N_LABELLED) % n_classes
    return y


def _timed(work: Callable[[], Any], x: np.ndarray, batch: int) -> dict[str, Any]:
    """Return the seconds of a choice, and how far from it and the labels the farthest item lies."""
    start = time.perf_counter()
    chosen = work()
    took = time.perf_counter() - start
    if len(set(chosen)) != batch or min(chosen) < N_LABELLED:
        raise AssertionError(f"not {batch} different unlabelled items: {chosen}")
    centers = x[np.concatenate([np.arange(N_LABELLED), chosen])]
    nearest = np.full(len(x), np.inf)
    norms = np.einsum("nd,nd->n", x, x)
    for center in centers:
        nearest = np.minimum(nearest, norms - 2 * (x @ center) + center @ center)
    return {"s": took, "radius": float(np.sqrt(nearest.max()))}


def _ours(name: str, n_classes: int, sizes: Sizes) -> dict[str, Any]:
    from alutils.active.strategies import registry

    x, labelled = _features(sizes), np.arange(sizes.n_pool) < N_LABELLED
    few = registry.Context(labelled[:200], _probabilities(200, n_classes), x[:200])
    strategy = registry.get(name)
    strategy.select(few, 10, np.random.default_rng(0))  # compiles, or reads it; imports
    context = registry.Context(labelled, _probabilities(sizes.n_pool, n_classes), x)
    rng = np.random.default_rng(0)
    return _timed(lambda: strategy.select(context, sizes.batch, rng), x, sizes.batch)


def _theirs(name: str, n_classes: int, sizes: Sizes) -> dict[str, Any]:
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge, CoreSet, TypiClust

    class Ready(SkactivemlClassifier):
        """A classifier whose answers are there already, as ours are."""

        def fit(self, x, y):
            return self

        def predict_proba(self, x):
            return _probabilities(sizes.n_pool, n_classes)[-len(x) :]

    makers = {
        "k_center_greedy": CoreSet,
        "badge": Badge,
        "typiclust": functools.partial(TypiClust, k=20),
    }
    x, y = _features(sizes), _labels(sizes.n_pool, n_classes)
    strategy = makers[name](random_state=0)
    more = [Ready(classes=range(n_classes)), False] if name == "badge" else []
    return _timed(lambda: strategy.query(x, y, *more, batch_size=sizes.batch), x, sizes.batch)


def measure(repeats: int = 3, smoke: bool = False) -> list[Row]:
    """Run all in turns, each in a fresh process, and compare medians."""
    sizes = TINY if smoke else Sizes()
    few = sizes.badge_classes
    works = [functools.partial(_scores, sizes)] + [
        functools.partial(whose, name, n_classes, sizes)
        for whose, name, n_classes in (
            (_ours, "k_center_greedy", N_CLASSES), (_theirs, "k_center_greedy", N_CLASSES),
            (_ours, "badge", few), (_theirs, "badge", few), (_ours, "badge", N_CLASSES),
            (_ours, "typiclust", N_CLASSES), (_theirs, "typiclust", N_CLASSES),
        )
    ]  # fmt: skip
    runs = alternately(repeats, *works, smoke=smoke)
    scores = {name: statistics.median(run[name] for run in runs[0]) for name in runs[0][0]}
    ours_k, theirs_k, ours_b, theirs_b, letters_b, ours_t, theirs_t = (
        statistics.median(run["s"] for run in results) for results in runs[1:]
    )
    radii = {results[0]["radius"] for results in runs[1:3]}
    if max(radii) > 1.001 * min(radii):
        raise AssertionError(f"k-center and CoreSet cover the pool to {radii}: not the same choice")
    flops, traffic = machine_rates(smoke)
    rows = []
    for name, floor, times in (
        ("least_confident", "max", 3),
        ("margin", "max", 3),
        ("entropy", "p log p", 2),
    ):
        theirs = min(scores[f"{name} skactiveml"], scores[f"{name} modal"])
        rows.append(
            Row(
                f"queries_{name}",
                f"{name} of {sizes.n_scored:,} x {N_CLASSES} float32, checks included",
                theirs,
                scores[name],
                1,
                0,
                scores[floor],
                f"beside the quicker of scikit-activeml ({scores[f'{name} skactiveml']:.2g} s) and "
                f"modAL's arithmetic ({scores[f'{name} modal']:.2g} s); the floor is NumPy's "
                f"{floor}, of which it may take {times} times: "
                f"{scores[name] / scores[floor]:.2f}; wrong rows are looked for, too",
            )
        )
    pool = f"{sizes.batch} of {sizes.n_pool:,} x {sizes.n_features}, {N_LABELLED} labelled"
    once = sizes.n_pool * sizes.n_features * 4 / traffic
    rows += [
        Row(
            "queries_k_center", f"k-center greedy, {pool}", theirs_k, ours_k, 5, 0, once,
            "beside scikit-activeml's CoreSet, with the same covering radius; the floor reads the "
            "features once; old distances are upper bounds, so few are computed again",
        ),
        Row(
            "queries_badge", f"BADGE, {pool}, {few} classes", theirs_b, ours_b, 5, 0,
            sizes.batch * once,
            "beside scikit-activeml's Badge, with as few classes as it has memory for; gradients "
            f"are not written out, so that {N_CLASSES} classes take {letters_b:.2g} s; the floor "
            "reads the features once an item chosen",
        ),
        Row(
            "queries_typiclust", f"TypiClust, {pool}", theirs_t, ours_t, 0, 0,
            2 * sizes.n_pool * (sizes.batch + N_LABELLED) * sizes.n_features / flops,
            "beside scikit-activeml's TypiClust (k-means by Lloyd; ours by mini-batches above 50 "
            "clusters, as published); the floor is one assignment of all items to their clusters",
        ),
    ]  # fmt: skip
    return rows
