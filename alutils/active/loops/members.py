"""What some strategies need of a loop's classifier: a committee, models with one more label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alutils.active.loops.pool import View
from alutils.active.strategies import committees


def committee(n_members: int = 5) -> Callable[[View, np.random.Generator], np.ndarray]:
    """Return what makes a committee for `pool.by_strategy` out of an `Estimator`'s kind.

    ``n_members``: two or more, each trained as `committees.by_bootstrap` says.
    """

    def opinions(view: View, rng: np.random.Generator) -> np.ndarray:
        own, items = view.classifier, view.trained_on
        x, y = view.features[items], view.state.book.label[items]
        return committees.by_bootstrap(own.make, x, y, view.features, n_members, own.n_classes, rng)

    return opinions


def retrained(
    n_evaluated: int = 200, steps: int = 3
) -> Callable[[View, np.random.Generator], Callable[[int, int], np.ndarray]]:
    """Return what trains an `Estimator` with one more label, for expected error reduction.

    Parameters
    ----------
    n_evaluated : unlabelled items, drawn in every round, on which the trained models are looked at
    steps : of the optimiser for each of them, from the round's model: a whole training for every
        item and class is out of reach
    """

    def maker(view: View, rng: np.random.Generator) -> Callable[[int, int], np.ndarray]:
        items, pool = view.trained_on, view.state.pool
        x, y = view.features[items], view.state.book.label[items]
        seen = view.features[rng.permutation(pool)[:n_evaluated]]

        def with_label(item: int, label: int) -> np.ndarray:
            more = np.concatenate([x, view.features[[item]]])
            model = view.classifier.with_label(more, np.append(y, label), steps)
            return model.predict_proba(seen)

        return with_label

    return maker
