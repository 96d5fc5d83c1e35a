"""What some strategies need of a loop's classifier: a committee, models with one more label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from alutils.active.loops.pool import View
from alutils.active.strategies import committees
from alutils.active.strategies.registry import Retrained
from alutils.base.rows import dense


def committee(n_members: int = 5) -> Callable[[View, np.random.Generator], np.ndarray]:
    """Return what makes a committee for `pool.by_strategy` out of an `Estimator`'s kind.

    ``n_members``: two or more, each trained as `committees.by_bootstrap` says.
    """

    def opinions(view: View, rng: np.random.Generator) -> np.ndarray:
        own: Any = view.classifier  # an `Estimator`, as below
        items = view.trained_on
        x, y = view.features[items], view.state.book.label[items]
        return committees.by_bootstrap(own.make, x, y, view.features, n_members, own.n_classes, rng)

    return opinions


def retrained(
    n_evaluated: int = 200, steps: int = 3
) -> Callable[[View, np.random.Generator], Retrained]:
    """Return what trains an `Estimator` with one more label, for expected error reduction.

    The models are looked at on ``n_evaluated`` unlabelled items, drawn in every round. Each has
    ``steps`` of the optimiser from the round's model: more for every item and class takes too long.
    """

    def maker(view: View, rng: np.random.Generator) -> Retrained:
        items, pool = view.trained_on, view.state.pool
        features = dense(view.features, "models that are retrained with one more label")
        x, y = features[items], view.state.book.label[items]
        seen = features[rng.permutation(pool)[:n_evaluated]]

        def with_label(item: int, label: int) -> np.ndarray:
            more = np.concatenate([x, features[[item]]])
            own: Any = view.classifier
            return own.with_label(more, np.append(y, label), steps).predict_proba(seen)

        return with_label

    return maker
