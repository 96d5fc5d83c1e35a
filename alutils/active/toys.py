"""Pools in two dimensions, on which one can see what a query strategy asks for.

Everything goes through the loop's own parts (`pool.by_strategy`, `estimator`), so that what a
picture shows is what a pool of images meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from alutils.active.labels import LabelBook, Source
from alutils.active.loops import members
from alutils.active.loops.pool import PoolState, View, by_strategy
from alutils.active.strategies import registry, uncertainty
from alutils.base.errors import ParameterError
from alutils.models import estimator

N_CLASSES = 3
MEANS = np.array([[-1.5, -0.6], [1.3, -0.9], [0.2, 1.5]])
SPREADS = np.array([[0.9, 0.5], [0.5, 0.9], [0.9, 0.6]])
"""Means and standard deviations (along the axes) of the three classes: near enough to overlap."""
STRENGTH = 10.0
"""What `estimator.softmax_regression` takes: how much the data weigh against the penalty."""
N_MEMBERS = 5
"""A committee has so many members; each is trained on a bootstrap of the labels."""


@dataclass(frozen=True)
class Toy:
    """A pool of points, some of them labelled."""

    x: np.ndarray  # (n_points, 2) float64
    y: np.ndarray  # (n_points,) int64, the true classes, 0 to N_CLASSES - 1
    labelled: np.ndarray  # (n_labelled,) int64, the points whose label is known


@dataclass(frozen=True)
class Panel:
    """What a strategy does with a toy.

    Attributes
    ----------
    asked : (batch,) int64, the points that it asks for, the most wanted first
    axis : (side,) float64, the coordinates of the map's points, the same both ways
    model : (side, side, N_CLASSES) float32, the model's probabilities; row i has the height axis[i]
    utility : (side, side) float64, what the strategy would give for a point there; None for a
        strategy that scores no single points
    members : (N_MEMBERS, side, side, N_CLASSES) float, a committee's; None without one
    """

    name: str
    toy: Toy
    asked: np.ndarray
    axis: np.ndarray
    model: np.ndarray
    utility: np.ndarray | None
    members: np.ndarray | None


def draw(n_points: int, per_class: int, rng: np.random.Generator) -> Toy:
    """Draw a toy: three normal clouds that overlap, as many of the ``n_points`` in each.

    ``per_class`` points of each class are labelled; ParameterError where no others are left.
    """
    if per_class < 1:
        raise ParameterError("per_class", per_class, "expected 1 or more")
    least = N_CLASSES * (per_class + 1)
    if n_points < least:
        raise ParameterError("n_points", n_points, f"expected {least} or more")
    y = rng.permutation(np.arange(n_points) % N_CLASSES)
    x = MEANS[y] + SPREADS[y] * rng.normal(size=(n_points, 2))
    labelled = [rng.permutation(np.flatnonzero(y == c))[:per_class] for c in range(N_CLASSES)]
    return Toy(x, y, np.concatenate(labelled))


def view(toy: Toy, batch: int, others: np.ndarray | None = None) -> View:
    """Train softmax regression on a toy's labels; return what a query strategy sees.

    ``others``: (n_others, 2) points that come after the toy's in ``features``, never asked for.
    """
    x = toy.x if others is None else np.concatenate([toy.x, others])
    book = LabelBook.empty(len(x))
    book.add(toy.labelled, toy.y[toy.labelled], Source.HUMAN, 0)
    pool = np.setdiff1d(np.arange(len(toy.x)), toy.labelled)
    classifier = estimator.Estimator(
        N_CLASSES, lambda seed: estimator.softmax_regression(seed, STRENGTH)
    )
    classifier.fit(x[book.order], book.labels)
    return View(classifier, x, PoolState(book, pool), batch)


def ask(toy: Toy, name: str, batch: int, seed: int) -> np.ndarray:
    """Return the (batch,) int64 points that a strategy asks for, the most wanted first.

    ``seed``: of the strategy's chance and of its committee; the same as for `utility`.
    """
    seen = view(toy, batch)
    query = by_strategy(
        name, np.random.default_rng(seed),
        committee=members.committee(N_MEMBERS), retrained=members.retrained(),
    )  # fmt: skip
    return seen.state.pool[query(seen).order[:batch]]


def utility(toy: Toy, name: str, points: np.ndarray, seed: int) -> np.ndarray | None:
    """Return what a strategy would give for (n, 2) points, each as one more of the toy's pool.

    (n,) float64, or None for a strategy that chooses a batch as a whole.
    """
    strategy = registry.get(name)
    if strategy.score is None:
        return None
    seen, n = view(toy, 1, points), len(toy.x)
    p = seen.classifier.predict_proba(seen.features)
    votes = opinions(toy, points, seed) if "committee" in strategy.needs else None
    out = np.empty(len(points))
    for i in range(len(points)):
        # One at a time: where a score looks at the whole pool, a map's points are no part of it.
        rows = np.append(np.arange(n), n + i)
        context = registry.Context(
            seen.state.book.label[rows] >= 0, p[rows], seen.features[rows],
            None if votes is None else votes[:, rows],
        )  # fmt: skip
        out[i] = strategy.score(context)[-1]
    return out


def opinions(toy: Toy, points: np.ndarray, seed: int) -> np.ndarray:
    """Return a committee's (N_MEMBERS, n_points + n, N_CLASSES) probabilities of toy and points."""
    return members.committee(N_MEMBERS)(view(toy, 1, points), np.random.default_rng(seed))


def panel(toy: Toy, name: str, batch: int, seed: int, side: int = 45) -> Panel:
    """Return what a picture of a strategy on a toy shows; its map has ``side`` points each way."""
    axis, points = map_points(toy, side)
    scores, members = utility(toy, name, points, seed), None
    if "committee" in registry.get(name).needs:
        members = opinions(toy, points, seed)[:, len(toy.x) :].reshape(-1, side, side, N_CLASSES)
    return Panel(
        name, toy, ask(toy, name, batch, seed), axis,
        view(toy, batch).classifier.predict_proba(points).reshape(side, side, N_CLASSES),
        None if scores is None else scores.reshape(side, side),
        members,
    )  # fmt: skip


def map_points(toy: Toy, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a map that covers a toy: its (side,) coordinates, and its (side * side, 2) points."""
    reach = 1.05 * np.abs(toy.x).max()
    axis = np.linspace(-reach, reach, side)
    return axis, np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def choices(
    names: Sequence[str], draws: int, batch: int, seed: int, n_points: int = 300, per_class: int = 4
) -> pd.DataFrame:
    """Let strategies choose on the same toys, draw by draw.

    Returns a row for each of the ``draws`` toys (the first has the seed ``seed``), strategy and
    point of its batch: draw, strategy, item; unsure, the share of the toy's unlabelled points about
    which the model is surer (by margin); apart, the distance to the nearest other point asked for,
    in units of the toy's mean one between nearest neighbours.
    """
    if batch < 2:
        raise ParameterError("batch", batch, "expected 2 or more: a batch is compared within")
    rows = []
    for number in range(seed, seed + draws):
        toy = draw(n_points, per_class, np.random.default_rng(number))
        seen = view(toy, batch)
        margins = uncertainty.margin(seen.probabilities)
        unit = _nearest(toy.x).mean()
        for name in names:
            asked = ask(toy, name, batch, number)
            own = margins[np.searchsorted(seen.state.pool, asked)]  # the pool ascends
            rows.append(
                pd.DataFrame(
                    {
                        "draw": number, "strategy": name, "item": asked,
                        "unsure": (margins < own[:, None]).mean(axis=1),
                        "apart": _nearest(toy.x[asked]) / unit,
                    }
                )
            )  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def shared(table: pd.DataFrame) -> pd.DataFrame:
    """Return which share of a batch two strategies have in common, on average over the draws.

    ``table`` of `choices`. Returns an (n_strategies, n_strategies) float frame, in its order.
    """
    names = table["strategy"].unique()
    common = []
    for _, rows in table.groupby("draw"):
        chosen = pd.crosstab(rows["strategy"], rows["item"]).loc[names].to_numpy()
        common.append(chosen @ chosen.T / chosen[0].sum())
    return pd.DataFrame(np.stack(common, axis=-1).mean(axis=-1), names, names)


def alike(matrix: pd.DataFrame) -> list[str]:
    """Return the names of a `shared` matrix so that strategies that ask alike stand together."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    distance = squareform(1 - (matrix + matrix.T).to_numpy() / 2, checks=False)
    tree = optimal_leaf_ordering(linkage(distance, "average"), distance)
    return [matrix.index[place] for place in leaves_list(tree)]


def _nearest(x: np.ndarray) -> np.ndarray:
    """Return the (n,) distances of points to the nearest of the others."""
    distances = squareform(pdist(x))
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)
