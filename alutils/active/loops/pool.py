"""The pool-based loop: ask for labels, train, look at the rest, ask again.

The one loop of the project. What differs between experiments is given to it: an oracle (who
answers), a classifier, a query (whom to ask next), stopping rules, and what is labelled without
being asked for. `by_score` and `by_strategy` make queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from alutils.active.attempts import Attempts
from alutils.active.labels import LabelBook, Source
from alutils.active.oracles import ABSTAINED, Oracle
from alutils.active.oracles import checked as checked_answers
from alutils.active.stopping import Look, Rule
from alutils.active.strategies import registry
from alutils.base.checks import check_count
from alutils.base.errors import ParameterError
from alutils.base.rows import as_rows, dense, number_of
from alutils.models.classifier import Classifier


@dataclass
class PoolState:
    """What has been labelled, and the order in which the rest of the pool waits.

    Attributes
    ----------
    book : the labels given so far
    pool : (n_unlabelled,) int64, the items that may be asked for, the next one first
    declined : (n_declined,) int64, asked for and not answered; they are not asked for again
    attempts : at a promise about this pool, counted by whatever attempts one
    """

    book: LabelBook
    pool: np.ndarray
    declined: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    attempts: Attempts = field(default_factory=Attempts)

    @classmethod
    def start(
        cls, n_items: int, pool: np.ndarray | None = None, attempts: Attempts | None = None
    ) -> PoolState:
        """Return the state in which nothing is labelled.

        Parameters
        ----------
        n_items : items that there are
        pool : which of them may be asked for, in the order in which they wait; all of them in
            their own order if None
        attempts : what counts the attempts at a promise about these items; None for a pool that is
            new. `alutils.active.attempts.KeptAttempts` finds earlier ones in a file
        """
        check_count("n_items", n_items)
        pool = np.arange(n_items) if pool is None else np.array(pool, np.int64)
        return cls(LabelBook.empty(n_items), pool, attempts=attempts or Attempts())

    def copy(self) -> PoolState:
        """Return a state that can be changed without changing this one.

        The attempts alone are shared: they are about the same items.
        """
        return PoolState(self.book.copy(), self.pool.copy(), self.declined.copy(), self.attempts)


@dataclass(frozen=True)
class View:
    """What a query sees, after a round's training.

    Attributes
    ----------
    classifier, features, state : the loop's own, not to be changed
    batch : how many labels the next round asks for, at most
    used : (n,) int64, the items whose labels the classifier was trained on, in their order; None
        for all that have one
    """

    classifier: Classifier
    features: Any
    state: PoolState
    batch: int
    used: np.ndarray | None = None

    @property
    def trained_on(self) -> np.ndarray:
        """(n,) int64: the items whose labels the classifier was trained on."""
        return self.state.book.order if self.used is None else self.used

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(n_unlabelled, n_classes): what the classifier says of the pool, in its order."""
        return self.classifier.predict_proba(self.features[self.state.pool])


@dataclass(frozen=True)
class Ranking:
    """What a query answers.

    Attributes
    ----------
    order : (n_unlabelled,) int64, places in the pool: a new order, the next to be asked first
    utility : (n_unlabelled,) float in the new order; empty where a query has none
    ask : how many to ask for in the next round, 0 to end the loop; None for the loop's batch
    """

    order: np.ndarray
    utility: np.ndarray = field(default_factory=lambda: np.empty(0))
    ask: int | None = None

    @classmethod
    def items_first(cls, items: np.ndarray, state: PoolState) -> Ranking:
        """Return the ranking that asks for (n,) items first and leaves the rest as it lies."""
        place = np.empty(len(state.book), np.int64)
        place[state.pool] = np.arange(len(state.pool))
        first = place[items]
        return cls(np.concatenate([first, np.delete(np.arange(len(state.pool)), first)]))


Query = Callable[[View], Ranking]
Automatic = Callable[[View], np.ndarray]
"""Says which of the pool, (n_unlabelled,) bool, get their likeliest class without being asked."""


@dataclass(frozen=True)
class Round:
    """What one round did.

    Attributes
    ----------
    number : rounds before this one
    n_human, n_auto : labels from each source, this round's included
    items : (n,) int64, the items whose labels the oracle gave in this round
    trained : what the classifier's ``fit`` gave; None while there is no label at all
    utility : (n_unlabelled,) float, the waiting pool's utilities under the new classifier, in the
        pool's new order; empty when the loop does not look at them
    n_declined : items asked for so far and not answered
    stopped : why the loop ends after this round; empty where it goes on, or the budget is spent
    """

    number: int
    n_human: int
    n_auto: int
    items: np.ndarray
    trained: Any
    utility: np.ndarray
    n_declined: int = 0
    stopped: str = ""


def check_loop(n_pool: int, batch: int, budget: int, first: int | None = None) -> None:
    """Raise ValueError unless the sizes of a loop fit a pool of ``n_pool`` items."""
    if n_pool < 1:
        raise ValueError("the pool is empty: there is nothing to ask for.")
    check_count("batch", batch, 1)
    check_count("budget", budget, 1)
    if budget > n_pool:
        raise ValueError(
            f"budget={budget}: the pool holds {n_pool} images (n_train); ask for at most {n_pool}."
        )
    check_within(budget, batch=batch, first=first)


def check_within(budget: int, **sizes: int | None) -> None:
    """Raise ParameterError for the first of the sizes of a round that is not 1 to ``budget``.

    Either of the two may be the one that was meant otherwise: a larger size than the budget is told
    with both.
    """
    for name, value in sizes.items():
        if value is not None and value < 1:
            raise ParameterError(name, value, f"expected 1 to budget={budget}", "ask for 1 or more")
        if value is not None and value > budget:
            raise ParameterError(
                "budget", budget, f"it does not fill one round of {name}={value} labels",
                f"give a budget of {value} or more, or a {name} of {budget} or fewer",
            )  # fmt: skip


def _check_rows(features: Any, n_items: int) -> None:
    """Raise ParameterError for too few rows; whatever has no length is asked row by row."""
    if not (hasattr(features, "shape") or hasattr(features, "__len__")):
        return
    if (n := number_of(features)) < n_items:
        expected = f"expected one for each of the {n_items:,} items of the state"
        raise ParameterError("features", f"{n:,} rows", expected)


def pool_based(
    features: Any,
    oracle: Oracle,
    classifier: Classifier,
    query: Query | None,
    state: PoolState,
    *,
    batch: int,
    budget: int,
    first: int | None = None,
    stop: Rule | None = None,
    automatic: Automatic | None = None,
    train_on_automatic: bool = True,
    n_classes: int | None = None,
    source: Source = Source.HUMAN,
    number: int = 0,
) -> Iterator[Round]:
    """Ask for labels in rounds: label the first of the pool, train, put the pool in a new order.

    The first round labels the pool's first items as they lie: who wants a better cold start than
    that gives the state another order. The order carries over from round to round.

    Parameters
    ----------
    features : one row an item: an array, a list, a sparse matrix, a pandas table, or anything else
        that takes an array of items as index
    oracle : gives the labels of items; those that it will not give are not asked for again, and
        cost nothing of the budget
    classifier : trained on all labels in every round, from where it stands
    query : puts the waiting pool in an order; None leaves it as it lies
    state : changed in place, so that a caller can go on from where the loop ended
    batch : labels a round; fewer where the budget or the query says so
    budget : labels of the ``source`` in all, those that the state begins with included
    first : labels in the first round, if not ``batch``
    stop : ends the loop before the budget is spent; a rule with a memory is for one loop
    automatic : labels a part of the pool by the classifier, before the query sees the rest
    train_on_automatic : whether the classifier is trained on those labels too
    n_classes : an answer outside them is an error; the classifier's ``n_classes`` if None, and
        without either any class number is taken
    source : who the oracle is; AUTO where the classifier answers for itself, see `autolabel`
    number : of the first round

    Yields
    ------
    Round, after training and after the pool has its new order

    Raises
    ------
    ValueError
        for a batch or a budget that the pool cannot fill, before anything is labelled; for an
        answer that is no class, before this round's labels are written

    Source: Lewis and Gale (1994); Settles (2009), section 2.3.
    """
    book, features = state.book, as_rows(features)
    _check_rows(features, len(book))
    check_loop(book.count(source) + len(state.pool), batch, budget, first)
    if n_classes is None:
        n_classes = int(getattr(classifier, "n_classes", np.iinfo(np.int64).max))
    ask, stopped = first or batch, ""
    while (left := budget - book.count(source)) > 0 and len(state.pool) and not stopped:
        items = state.pool[: min(ask, left)]
        answers = checked_answers(oracle(items), items, n_classes)
        told = answers != ABSTAINED
        book.add(items[told], answers[told], source, number)
        state.pool = state.pool[len(items) :]
        state.declined = np.concatenate([state.declined, items[~told]])
        trained, utility = None, np.empty(0)
        if len(book.order):
            used = book.order
            if not train_on_automatic:
                used = used[book.source[used] == Source.HUMAN]
            trained = classifier.fit(features[used], book.label[used])
            view = View(classifier, features, state, batch, used)
            if automatic is not None and len(state.pool):
                view = _label(automatic(view), view, number)
            if stop is not None:
                stopped = stop(_look(view, number)) or ""
            if query is not None and len(state.pool):
                ranking = query(view)
                state.pool, utility = state.pool[ranking.order], ranking.utility
                ask = batch if ranking.ask is None else ranking.ask
                stopped = stopped or ("" if ask else "the query asks for nothing more")
            else:
                ask = batch
        n_declined = len(state.declined)
        yield Round(
            number, book.n_human, book.n_auto, items[told], trained, utility, n_declined, stopped
        )
        number += 1


def _label(chosen: np.ndarray, view: View, number: int) -> View:
    """Write the automatic labels down; return the view of what is left."""
    state = view.state
    p = view.probabilities
    state.book.add(state.pool[chosen], p[chosen].argmax(axis=1), Source.AUTO, number)
    state.pool = state.pool[~chosen]
    left = replace(view)
    left.__dict__["probabilities"] = p[~chosen]  # known already: the cache of the property
    return left


def _look(view: View, number: int) -> Look:
    book = view.state.book
    return Look(
        number, book.n_human, book.n_auto, len(view.state.pool), lambda: view.probabilities,
        predict=lambda x: view.classifier.predict_proba(x).argmax(axis=1),
    )  # fmt: skip


def by_score(score: Callable[[np.ndarray], np.ndarray]) -> Query:
    """Return the query that asks for the highest scores of (n, n_classes) probabilities.

    Among equal ones, who waited in front stays in front (a stable sort): the article's rule, on
    which its published counts depend.
    """

    def query(view: View) -> Ranking:
        utility = score(view.probabilities)
        order = np.argsort(-utility, kind="stable")
        return Ranking(order, utility[order])

    return query


def by_strategy(
    strategy: str | registry.Strategy,
    rng: np.random.Generator,
    *,
    embed: Callable[[Classifier, Any], np.ndarray] | None = None,
    committee: Callable[[View, np.random.Generator], np.ndarray] | None = None,
    retrained: Callable[[View, np.random.Generator], registry.Retrained] | None = None,
) -> Query:
    """Return the query that asks for what a strategy chooses, a batch as a whole.

    Parameters
    ----------
    strategy : of `alutils.active.strategies.registry`, or its name
    rng : of the strategy, the committee and the retrained models
    embed : takes the classifier and the loop's features, gives (n_items, n_features), what goes
        into the classifier's softmax layer; the loop's features themselves if None
    committee : gives (n_members, n_items, n_classes); see `alutils.active.loops.members`
    retrained : gives what `registry.Context.retrained` is

    Raises
    ------
    ValueError
        for an unknown strategy, and for one that needs a committee or retrained models that are
        not given; both at once, before any label is asked for
    """
    strategy = registry.get(strategy) if isinstance(strategy, str) else strategy
    known: dict[str, Callable[[View, np.random.Generator], Any] | None] = {
        "probabilities": lambda view, _: _of_all(view),
        "features": lambda view, _: (
            dense(view.features, f"the strategy {strategy.name}")
            if embed is None
            else embed(view.classifier, view.features)
        ),
        "committee": committee,
        "retrained": retrained,
    }
    makers = {}
    for name, make in known.items():
        if name in strategy.needs:
            if make is None:
                raise ValueError(
                    f"strategy {strategy.name} needs {name}: give by_strategy({name}=...), as "
                    "alutils.active.loops.members makes it."
                )
            makers[name] = make

    def query(view: View) -> Ranking:
        pool, book = view.state.pool, view.state.book
        made = {name: make(view, rng) for name, make in makers.items()}
        context = registry.Context(book.label >= 0, candidates=pool, **made)
        items = strategy.select(context, min(view.batch, len(pool)), rng)
        return Ranking.items_first(items, view.state)

    return query


def _of_all(view: View) -> np.ndarray:
    """Return (n_items, n_classes) probabilities of every item; the pool's are not made twice."""
    pool, n_items = view.state.pool, len(view.state.book)
    p = np.empty((n_items, view.probabilities.shape[1]), view.probabilities.dtype)
    rest = np.delete(np.arange(n_items), pool)
    p[pool] = view.probabilities
    if len(rest):
        p[rest] = view.classifier.predict_proba(view.features[rest])
    return p
