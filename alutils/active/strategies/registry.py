"""Every query strategy by its name: what it needs, what it costs, where it comes from.

A strategy is given what is known of a pool (a `Context`) and says which items to ask for. It knows
nothing of loops, classifiers or people: `pool.by_strategy` and users give it what it `needs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alutils.active.strategies import committees, diversity, model_change, typicality, uncertainty
from alutils.base.errors import nearest

PART = 500
"""What the costly strategies look at: this many items, drawn from those that may be asked for."""
TURNS = 5
"""They choose a batch in this many parts, each with those before it as labelled."""
RETRAINED_PART = 20
"""The same for the strategy that trains a model for every item and class; for large batches, twice
the batch: among as many as are asked for there is no choice."""
LEAST = 0.05
"""It leaves out labels that are less likely than this."""
PARAMETERS = 1000
"""Features go in as few directions as keep the softmax layer's parameters to this many."""
_P, _PX, _COMMITTEE = ("probabilities",), ("probabilities", "features"), ("committee",)


Retrained = Callable[[int, int], np.ndarray]
"""Takes an item and a label, gives the (n_evaluated, n_classes) probabilities of a model trained
with this label, too."""


@dataclass(frozen=True)
class Context:
    """What is known of a pool. Everything has a row for every item, in the items' order.

    Attributes
    ----------
    labelled : (n_items,) bool, which items have a label: ``book.label >= 0``
    probabilities : (n_items, n_classes) float, rows summing to one; of classes seen and not yet
    features : (n_items, n_features) float, what goes into the classifier's softmax layer
    committee : (n_members, n_items, n_classes) float, as `committees` makes it
    retrained : see `Retrained`
    candidates : (n,) int, the only items that may be asked for; None for all without a label
    """

    labelled: np.ndarray
    probabilities: np.ndarray | None = None
    features: np.ndarray | None = None
    committee: np.ndarray | None = None
    retrained: Retrained | None = None
    candidates: np.ndarray | None = None

    @property
    def askable(self) -> np.ndarray:
        """(n,) int64: items that may be asked for, ascending; never a labelled one."""
        free = ~self.labelled
        if self.candidates is not None:
            free = free & np.isin(np.arange(len(free)), self.candidates)
        return np.flatnonzero(free)

    @property
    def known(self) -> np.ndarray:
        """(n,) int64: the labelled items, ascending."""
        return np.flatnonzero(self.labelled)

    def arrays(self, *names: str) -> list[np.ndarray]:
        """Return fields that a strategy needs and `Strategy.check` has found."""
        return [getattr(self, name) for name in names]


Choose = Callable[[Context, int, np.random.Generator], np.ndarray]
Score = Callable[[Context], np.ndarray]

_SHAPES = {
    "probabilities": "(n_items, n_classes), what the classifier gives for the whole pool",
    "features": "(n_items, n_features), what goes into the classifier's softmax layer",
    "committee": "(n_members, n_items, n_classes), as the module committees makes it",
    "retrained": "a function of an item and a label, which trains a model with it",
}


@dataclass(frozen=True)
class Strategy:
    """A way to choose what to ask for.

    Attributes
    ----------
    name : how users and result tables call it
    needs : which fields of a `Context` it cannot do without
    choose : takes a checked context, a batch size and a generator, gives items; use `select`
    cost : for n items, c classes, d features, m members, batches of b
    source : who thought of it
    score : (n_items,) informativeness from a context, for a stream or for a pool in parts; None
        where a batch is chosen as a whole
    """

    name: str
    needs: frozenset[str]
    choose: Choose
    cost: str
    source: str
    score: Score | None = None

    def select(self, context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Return the (batch,) int64 items to ask for, the most wanted first; none has a label.

        The same state of the generator gives the same choice. ValueError for what is missing in the
        context, shapes that do not fit the pool, an empty pool, a batch that is too large, and
        values that a score refuses.
        """
        self.check(context)
        uncertainty.check_batch(batch, len(context.askable))
        return self.choose(context, int(batch), rng)

    def check(self, context: Context) -> None:
        """Raise ValueError unless the context has what this strategy needs, in fitting shapes."""
        labelled = context.labelled
        if not isinstance(labelled, np.ndarray) or labelled.dtype != bool or labelled.ndim != 1:
            raise ValueError("labelled: expected a (n_items,) bool array, such as book.label >= 0.")
        candidates = np.asarray([] if context.candidates is None else context.candidates)
        outside = candidates[(candidates < 0) | (candidates >= len(labelled))]
        if len(outside):
            raise ValueError(
                f"candidates: item {outside[0]}; expected items 0 to {len(labelled) - 1}."
            )
        for name in sorted(self.needs):
            value = getattr(context, name)
            if value is None:
                raise ValueError(
                    f"strategy {self.name} needs {name}, and there are none: give "
                    f"Context({name}=...), {_SHAPES[name]}."
                )
            axis = 1 if name == "committee" else 0
            if name != "retrained" and np.shape(value)[axis : axis + 1] != labelled.shape:
                raise ValueError(
                    f"{name}: an array of shape {np.shape(value)} for {len(labelled)} items; "
                    f"expected {_SHAPES[name]}."
                )


def get(name: str) -> Strategy:
    """Return the strategy of this name; ValueError with the nearest name for an unknown one."""
    if name not in STRATEGIES:
        raise ValueError(f"strategy {name}: unknown; {nearest(str(name), STRATEGIES)}")
    return STRATEGIES[name]


def mixed(name: str, *parts: str | Strategy, source: str) -> Strategy:
    """Return a strategy that shares each batch out equally among others.

    The first parts get what does not divide. A part sees what those before it chose as labelled, so
    nothing is chosen twice, and a part that covers the pool covers what they left.
    """
    strategies = [get(part) if isinstance(part, str) else part for part in parts]

    def choose(context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
        chosen = np.empty(0, np.int64)
        for i, strategy in enumerate(strategies):
            share = batch // len(strategies) + (i < batch % len(strategies))
            if share:
                labelled = context.labelled.copy()
                labelled[chosen] = True
                more = strategy.choose(replace(context, labelled=labelled), share, rng)
                chosen = np.concatenate([chosen, more])
        return chosen

    needs = frozenset().union(*(strategy.needs for strategy in strategies))
    costs = dict.fromkeys(strategy.cost for strategy in strategies)
    return Strategy(name, needs, choose, " + ".join(costs), source)


def _by_score(
    function: Callable[..., np.ndarray], needs: Sequence[str], cost: str, source: str,
    name: str = "",
) -> Strategy:  # fmt: skip
    """Return a strategy that asks for the highest scores, a function of what it needs."""

    def score(context: Context) -> np.ndarray:
        return function(*context.arrays(*needs))

    def choose(context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
        items = context.askable
        return items[uncertainty.top(score(context)[items], batch, rng)]

    return Strategy(name or function.__name__, frozenset(needs), choose, cost, source, score)


def _random(context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(context.askable)[:batch]


def _badge(context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
    p, x = context.arrays(*_PX)
    return diversity.badge(p, x, context.askable, batch, rng)


def _covering(choose: Callable[..., np.ndarray]) -> Choose:
    """Return a choice by features, the labelled items and those that may be asked for."""
    return lambda context, batch, rng: choose(
        *context.arrays("features"), context.known, context.askable, batch, rng
    )


def _of_a_part(score: Callable[..., np.ndarray]) -> Choose:
    """Return a choice by a costly score of the softmax layer, among a random part of the pool.

    These scores know what labels do to the layer, and a choice counts as a label for the next (its
    answer is not known, but the information does not depend on it): without that, a batch is one
    item many times over.
    """

    def choose(context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
        # The whole pool is checked, so that a fault is found in the first round and by its item.
        p, x = context.arrays(*_PX)
        p, x = uncertainty.checked(p), uncertainty.checked_features(x)
        part = rng.permutation(context.askable)[: max(PART, batch)]
        rows = np.concatenate([part, context.known])
        p, x = p[rows], x[rows]
        x = model_change.principal(model_change.scaled(x), max(1, PARAMETERS // p.shape[1] - 1))
        here, known = np.arange(len(part)), np.arange(len(part), len(rows))
        chosen = np.empty(0, np.int64)
        for share in np.diff(np.linspace(0, batch, min(TURNS, batch) + 1).round().astype(int)):
            free = np.setdiff1d(here, chosen)
            labelled = np.concatenate([known, chosen])
            scores = score(p, x, labelled, candidates=free, evaluated=here)
            chosen = np.concatenate([chosen, free[uncertainty.top(scores, share, rng)]])
        return part[chosen]

    return choose


def _expected_error(context: Context, batch: int, rng: np.random.Generator) -> np.ndarray:
    (p,) = context.arrays("probabilities")
    p = uncertainty.checked(p)
    retrained = context.retrained
    assert retrained is not None  # `Strategy.check` has found it
    part = rng.permutation(context.askable)[: max(RETRAINED_PART, 2 * batch)]
    scores = model_change.expected_error_reduction(
        p[part], lambda i, label: retrained(int(part[i]), label), LEAST
    )
    return part[uncertainty.top(scores, batch, rng)]


_PARTLY = f"on {PART} random items, {TURNS} times a batch"
_TRAINED = "m n c, and m trainings"

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("random", frozenset(), _random, "n", "the baseline of every comparison"),
        _by_score(uncertainty.least_confident, _P, "n c", "Lewis and Gale (1994)"),
        _by_score(uncertainty.margin, _P, "n c", "Scheffer, Decomain and Wrobel (2001)"),
        _by_score(uncertainty.entropy, _P, "n c", "Shannon (1948); Settles (2009)"),
        _by_score(committees.vote_entropy, _COMMITTEE, _TRAINED, "Dagan and Engelson (1995)"),
        _by_score(committees.consensus_kl, _COMMITTEE, _TRAINED, "McCallum and Nigam (1998)"),
        _by_score(
            committees.bald, _COMMITTEE, _TRAINED,
            "Houlsby, Huszár, Ghahramani and Lengyel (2011)",
        ),
        _by_score(
            model_change.expected_gradient_length, _PX, "n (c + d)",
            "Settles, Craven and Ray (2008)",
        ),
        Strategy(
            "variance_reduction", frozenset(_PX), _of_a_part(model_change.variance_reduction),
            f"p^3 + {PART} p^2 for p = min(c (d + 1), {PARAMETERS}), {_PARTLY}",
            "Schein and Ungar (2007)",
        ),
        Strategy(
            "expected_error_reduction", frozenset({"probabilities", "retrained"}), _expected_error,
            f"k c trainings, on k = max({RETRAINED_PART}, 2 b) random items",
            "Roy and McCallum (2001)",
        ),
        Strategy(
            "one_step_error_reduction", frozenset(_PX),
            _of_a_part(model_change.one_step_error_reduction), f"{PART}^2 (c + d), {_PARTLY}",
            "Roy and McCallum (2001), by a step of Böhning (1992)",
        ),
        _by_score(
            lambda p, x: diversity.density_weighted(uncertainty.entropy(p), x), _PX, "n (c + d)",
            "Settles and Craven (2008)", "density_weighted",
        ),
        Strategy(
            "k_center_greedy", frozenset({"features"}), _covering(diversity.k_center_greedy),
            "at worst n d (b + labels)", "Sener and Savarese (2018)",
        ),
        Strategy(
            "badge", frozenset(_PX), _badge, "b n (c + d)",
            "Ash, Zhang, Krishnamurthy, Langford and Agarwal (2020)",
        ),
        Strategy(
            "typiclust", frozenset({"features"}), _covering(typicality.typiclust),
            "n d (b + labels) a pass of k-means, b d (n / (b + labels))^2",
            "Hacohen, Dekel and Weinshall (2022)",
        ),
    )
}  # fmt: skip
for _strategy in (
    mixed("margin_and_random", "margin", "random", source="a share of chance in every batch"),
    mixed("margin_and_k_center", "margin", "k_center_greedy", source="unsure and unlike"),
):
    STRATEGIES[_strategy.name] = _strategy
