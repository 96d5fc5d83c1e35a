"""How few human labels will do: one way of asking and learning on one data set from one seed.

`run` is a cell of the sweeps behind ``results/label_costs*.csv``. After every round it says how
good the model is, what it may label by itself above a certified threshold, and what it would cost
to stop here and have the whole pool labelled with a certificate (`alutils.guarantee.pool`). The
truth, which the experiment knows and the procedures do not see, says whether a promise was broken.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState, Ranking, View, by_score, check_loop, pool_based
from alutils.active.oracles import Oracle, Perfect
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction, check_open_fraction
from alutils.base.errors import ParameterError, nearest
from alutils.data import dataset, loading, mnist, rendering
from alutils.guarantee import pool as whole_pool
from alutils.guarantee.audits import draw_audit
from alutils.guarantee.plans import AuditPlan, plan_audit
from alutils.guarantee.simulation import simulate_pool
from alutils.guarantee.thresholds import certify_pool
from alutils.guarantee.weighted import WeightedPlan
from alutils.models.convnet import WIDTH, ConvNet

PUBLISHED_BY = "alutils.experiments.label_costs.results"

SETTINGS = ("article", "mnist", "letters")
"""The article's 4,000 digits, all 60,000, capital letters; tested on MNIST's 10,000 test digits and
on a fifth of the letters."""


@dataclass(frozen=True)
class Arm:
    """A way of asking and learning.

    Attributes
    ----------
    margin : whether the items with the smallest margin are asked for, or any
    unlabelled : whether the network learns from the unlabelled images, too
    rendered : whether it sees rendered characters with their classes first
    """

    margin: bool
    unlabelled: bool
    rendered: bool = False


ARMS = {
    "random": Arm(margin=False, unlabelled=False),
    "active": Arm(margin=True, unlabelled=False),
    "active_unlabelled": Arm(margin=True, unlabelled=True),
    "active_rendered": Arm(margin=True, unlabelled=True, rendered=True),
}
SIZES = {"article": 4000, "mnist": 60_000}
"""Items of the pools that are always the same."""
TEST_SHARE = 0.2
"""Of letters, which have no test images of their own."""
N_RENDERED = 10_400
"""Rendered letters to learn from first, as many of each class."""
REPEATS = 200
"""Of a weighted audit, which tell what it takes on average."""
WEIGHTED, AGAIN = 1000, 1001
"""Of the generators of a round's weighted audit, and of its repeats; the networks' own go by their
numbers, and no experiment averages so many."""
RENDERED_SEED = 1_000_000
"""Not a seed of the rendered data sets that are used in place of real letters."""


@dataclass(frozen=True)
class Setting:
    """What a cell works on.

    Attributes
    ----------
    images, labels : (n_pool, height, width) uint8 and (n_pool,) int64, the pool
    test_images, test_labels : as many as there are
    n_classes : of the data set
    provenance : where the images are from
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    n_classes: int
    provenance: str


def source(setting: str, seed: int = 0, n_pool: int = 0, letters: str = "rendered") -> Setting:
    """Return pool and test images of a setting.

    Parameters
    ----------
    setting : one of `SETTINGS`
    seed : of the letters' test part
    n_pool : items in the pool, the first of it; 0 for all
    letters : data set of the letters, as `loading.load` takes it
    """
    if setting == "letters":
        data = loading.load(letters)
        order = np.random.default_rng([seed, 9]).permutation(len(data))
        n_test = round(TEST_SHARE * len(data))
        pool, test = data.take(order[n_test:]), data.take(order[:n_test])
    else:
        pool, test = _digits()
        if setting == "article":
            pool = mnist.mnist_article()[0]
    n_pool = n_pool or len(pool)
    return Setting(
        np.ascontiguousarray(pool.images[:n_pool]), pool.labels[:n_pool],
        np.ascontiguousarray(test.images), test.labels, len(pool.classes), pool.provenance,
    )  # fmt: skip


@functools.cache  # always the same bytes
def _digits() -> tuple[dataset.Dataset, dataset.Dataset]:
    return mnist.mnist()


def check(
    *,
    setting: str = "mnist",
    arm: str = "active_unlabelled",
    seed: int = 0,
    first: int = 100,
    batch: int = 100,
    growth: float = 0.0,
    budget: int = 600,
    members: int = 2,
    steps: int = 2000,
    last_members: int = 0,
    last_steps: int = 0,
    last_views: int = 0,
    last_width: int = WIDTH,
    by_hand: int = 100,
    target: float = 0.99,
    level: float = 0.95,
    audit: int = 400,
    expected_wrong: float = 0.002,
    most: int = 1500,
    weighted: bool = False,
    n_pool: int = 0,
    letters: str = "rendered",
) -> None:
    """Raise ParameterError or ValueError for what `run` could not do; takes no time."""
    if setting not in SETTINGS:
        raise ParameterError("setting", setting, nearest(str(setting), SETTINGS))
    if arm not in ARMS:
        raise ParameterError("arm", arm, nearest(str(arm), tuple(ARMS)))
    if ARMS[arm].rendered and setting != "letters":
        raise ParameterError("arm", arm, f"only letters are rendered, not {setting}")
    if ARMS[arm].rendered and letters == "rendered":
        raise ParameterError("arm", arm, "the letters are rendered themselves", "give real ones")
    if not isinstance(weighted, bool):
        raise ParameterError("weighted", weighted, "expected true or false")
    for name, value in (
        ("seed", seed), ("by_hand", by_hand), ("audit", audit), ("n_pool", n_pool),
        ("last_members", last_members), ("last_steps", last_steps), ("last_views", last_views),
    ):  # fmt: skip
        check_count(name, value)
    check_fraction("growth", growth)
    for name, share in (("target", target), ("level", level), ("expected_wrong", expected_wrong)):
        check_open_fraction(name, share)
    for name, value in (
        ("members", members), ("steps", steps), ("most", most), ("last_width", last_width),
    ):  # fmt: skip
        if value < 1:
            raise ParameterError(name, value, "expected 1 or more")
    n_pool = n_pool or SIZES.get(setting, 0)
    if n_pool and setting in SIZES and n_pool > SIZES[setting]:
        raise ParameterError("n_pool", n_pool, f"{setting} has {SIZES[setting]}")
    check_loop(n_pool or budget, batch, budget, first)
    if n_pool:
        _check_rest(n_pool, budget, by_hand, target, level, expected_wrong, most)


def _check_rest(
    n_pool: int,
    budget: int,
    by_hand: int,
    target: float,
    level: float,
    expected_wrong: float,
    most: int,
) -> None:
    """Raise ParameterError where nothing would be left, or its audit could not be planned."""
    if budget >= n_pool:
        raise ParameterError("budget", budget, f"expected less than the pool's {n_pool} items")
    left, allowed = n_pool - budget - by_hand, whole_pool.allowed_errors(n_pool, target)
    if left > 0:
        held_to = whole_pool.attempt_level(level, 1)
        plan_audit(left, allowed, level=held_to, rate=expected_wrong, most=min(most, left))


def prepare(*, setting: str = "mnist", letters: str = "rendered", **others: Any) -> dict[str, str]:
    """Download what a setting needs, once, before many runs share it; return its provenance."""
    return {"images": source(setting, letters=letters).provenance}


def network(
    arm: Arm,
    data: Setting,
    *,
    seed: int,
    members: int,
    steps: int,
    views: int = 0,
    width: int = WIDTH,
) -> ConvNet:
    """Return the untrained network of an arm."""
    prior = None
    if arm.rendered:
        drawn = rendering.rendered_dataset(N_RENDERED, RENDERED_SEED, balanced=True)
        prior = drawn.images, drawn.labels
    return ConvNet(
        data.n_classes, data.images if arm.unlabelled else None, prior,
        seed=seed, members=members, steps=steps, views=views, width=width,
    )  # fmt: skip


def run(
    *,
    setting: str = "mnist",
    arm: str = "active_unlabelled",
    seed: int = 0,
    first: int = 100,
    batch: int = 100,
    growth: float = 0.0,
    budget: int = 600,
    members: int = 2,
    steps: int = 2000,
    last_members: int = 0,
    last_steps: int = 0,
    last_views: int = 0,
    last_width: int = WIDTH,
    by_hand: int = 100,
    target: float = 0.99,
    level: float = 0.95,
    audit: int = 400,
    expected_wrong: float = 0.002,
    most: int = 1500,
    weighted: bool = False,
    n_pool: int = 0,
    letters: str = "rendered",
) -> pd.DataFrame:
    """Ask for labels until the budget is spent; look after every round what could be certified.

    Parameters
    ----------
    setting, arm : one of `SETTINGS`, one of `ARMS`
    seed : of the first labels, the network and the audits; of the letters' test part
    first, batch, budget : labels in the first round, in the others, in all, to train on
    growth : a round asks for this share of the labels so far, where that is more than ``batch``
    members, steps : of the networks in the rounds
    last_members, last_steps, last_views, last_width : of one more training on the whole budget,
        the copies of each image that it looks at then, the maps of these networks' first
        convolution; no members or steps: none
    by_hand, target, level, expected_wrong, most : of `whole_pool.finish`, tried after every round
        on a copy, each time as if it were the only attempt
    weighted : whether that audit looks oftener where the model is less sure; a uniform one of the
        same model is then tried, too
    audit : labels of the audit that certifies a threshold, another after every round
    n_pool : items in the pool, the first of the setting's; 0 for all
    letters : data set of the letters setting

    Returns
    -------
    rows of the long results table; ``n_human`` counts the labels trained on, ``n_auto`` what the
    model labels above the certified threshold. Metrics, after each round:

    accuracy (test)
    n_wrong (pool) : of the model's labels for all that is not labelled
    auto_coverage (pool) : the share of the pool above the certified threshold; 0 without one
    auto_precision (pool) : the share of those labels that is right; undefined where there are none
    labels_to_certify (pool) : human labels in all with which the whole pool is labelled and
        certified, those trained on included; undefined where the audit refuses
    labels_audit (pool) : those of them, or of the refused attempt, that were audited
    wrong_left (pool) : wrong labels in the pool labelled so; undefined where refused
    labels_expected (pool) : human labels in all, on average over all the draws that such an audit
        of this model might make, refused ones included; of `REPEATS` of them, where ``weighted``
    accept_chance (pool) : the share of those audits that certify
    labels_to_certify_uniform, ... (pool) : the same five by a uniform audit, where ``weighted``
    """
    check(**locals())  # nothing else is bound yet
    how, data = ARMS[arm], source(setting, seed, n_pool, letters)
    n = len(data.labels)
    check_loop(n, batch, budget, first)
    _check_rest(n, budget, by_hand, target, level, expected_wrong, most)
    oracle = Perfect(data.labels)
    classifier = network(how, data, seed=seed, members=members, steps=steps)
    state = PoolState.start(n, np.random.default_rng([seed, 0]).permutation(n))
    seen: dict[str, np.ndarray] = {}

    def query(view: View) -> Ranking:
        p = view.probabilities
        ranking = by_score(uncertainty.margin)(view) if how.margin else Ranking(np.arange(len(p)))
        seen["p"] = p[ranking.order]  # beside the pool in its new order
        return replace(ranking, ask=max(batch, int(growth * view.state.book.n_human)))

    def look(number: int, model: ConvNet) -> list[dict[str, Any]]:
        rows = _after(
            state, seen["p"], data, oracle, _audit_chance(seed, number),
            np.random.default_rng([seed, WEIGHTED, number]) if weighted else None,
            np.random.default_rng([seed, AGAIN, number]),
            by_hand=by_hand, target=target, level=level, audit=audit,
            expected_wrong=expected_wrong, most=most,
        )  # fmt: skip
        right = model.predict(data.test_images) == data.test_labels
        rows.append(
            {
                "split": "test", "metric": "accuracy", "value": right.mean(), "n_auto": 0,
                "n_eval": len(right),
            }
        )  # fmt: skip
        return [row | {"round": number, "n_human": state.book.n_human} for row in rows]

    rows = []
    for done in pool_based(
        data.images, oracle, classifier, query, state, batch=batch, budget=budget, first=first
    ):
        rows += look(done.number, classifier)
    if last_members and last_steps:
        best = network(
            how, data, seed=seed, members=last_members, steps=last_steps, views=last_views,
            width=last_width,
        )  # fmt: skip
        best.fit(data.images[state.book.order], state.book.labels)
        seen["p"] = best.predict_proba(data.images[state.pool])
        rows += look(done.number + 1, best)
    return pd.DataFrame(rows).assign(protocol=setting, arm=arm, seed=seed)


def _audit_chance(seed: int, number: int) -> np.random.Generator:
    """Return the generator of a round's audits, which no network has drawn from."""
    # NumPy fills keys up with zeros: [seed, 1, 0] and [seed, 1, 1] are the second network's own.
    return np.random.default_rng([seed, 1, number] if number > 1 else [seed, 2, 2 + number])


def _expected(
    plan: AuditPlan | WeightedPlan, wrong: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the labels that an audit of these items takes on average, and how often it accepts.

    One audit is a matter of luck: its labels vary by half from draw to draw.
    """
    if isinstance(plan, AuditPlan):
        return plan.expected_labels(int(wrong.sum())), plan.chance(int(wrong.sum()))
    told = simulate_pool(plan, wrong, REPEATS, rng)
    return float(told.labels.mean()), float((~told.refused).mean())


def _after(
    state: PoolState,
    probabilities: np.ndarray,
    data: Setting,
    oracle: Oracle,
    rng: np.random.Generator,
    weighted: np.random.Generator | None,
    again: np.random.Generator,
    *,
    by_hand: int,
    target: float,
    level: float,
    audit: int,
    expected_wrong: float,
    most: int,
) -> list[dict[str, Any]]:
    """Return the rows about the pool after a round; ``state`` stays as it is."""
    truth, n = data.labels, len(data.labels)
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = predicted == truth[state.pool]
    values: dict[str, float] = {"n_wrong": float((~right).sum())}
    n_auto = 0
    if audit and len(state.pool) > audit:
        drawn = draw_audit(len(state.pool), audit, rng)
        certificate = certify_pool(confidence, drawn, right[drawn], target=target, level=level)
        chosen = certificate.covers(confidence)
        chosen[drawn] = False
        n_auto = int(chosen.sum())
        values["auto_coverage"] = n_auto / n
        values["auto_precision"] = right[chosen].mean() if n_auto else np.nan
    tries = {"": rng} if weighted is None else {"": weighted, "_uniform": rng}
    for name, chance in tries.items():
        tried = state.copy()
        terms = whole_pool.Terms(
            target, level, min(by_hand, len(state.pool)), expected_wrong, most, chance is weighted
        )
        done = whole_pool.finish(tried, probabilities, oracle, chance, terms)
        book = tried.book
        wrong = (book.label != truth)[book.source == Source.AUTO].sum()
        values["labels_audit" + name] = len(done.audited)
        values["labels_to_certify" + name] = book.n_human if done.certified else np.nan
        values["wrong_left" + name] = wrong if done.certified else np.nan
        asked = book.n_human - len(done.audited)
        audited = ~np.isin(state.pool, done.by_hand)
        labels, accepted = _expected(done.plan, ~right[audited], again)
        values["labels_expected" + name] = asked + labels
        values["accept_chance" + name] = accepted
    return [
        {"split": "pool", "metric": metric, "value": float(value), "n_auto": n_auto, "n_eval": n}
        for metric, value in values.items()
    ]
