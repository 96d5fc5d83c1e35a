"""How few human labels will do: one way of asking and learning on one data set from one seed.

`run` is a cell of the sweeps behind ``results/label_costs*.csv``. After every round it says how
good the model is, what it may label by itself above a certified threshold, and what it would cost
to stop here and have the whole pool labelled with a certificate (`alutils.guarantee.pool`). The
truth, which the experiment knows and the procedures do not see, says whether a promise was broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from alutils.active.attempts import Attempts
from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState, Ranking, View, by_score, check_loop, pool_based
from alutils.active.oracles import Perfect
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction, check_known, check_open_fraction
from alutils.base.errors import ParameterError
from alutils.data import rendering
from alutils.experiments.label_costs.images import SETTINGS, SIZES, Images, source
from alutils.guarantee.audit_slice import draw_audit
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.pool import finish
from alutils.guarantee.simulation import simulate_pool
from alutils.guarantee.terms import Terms
from alutils.guarantee.thresholds import certify_pool
from alutils.guarantee.weighted import WeightedPlan
from alutils.models.convnet import WIDTH, ConvNet
from alutils.stats.tables import Vocabulary


@dataclass(frozen=True)
class Arm:
    """A way of asking and learning.

    It asks for the items with the smallest ``margin``, or for any; the network learns from the
    ``unlabelled`` images, too, or not, and sees ``rendered`` characters with their classes first.
    """

    margin: bool
    unlabelled: bool
    rendered: bool = False


ARMS = {
    "random": Arm(margin=False, unlabelled=False),
    "random_unlabelled": Arm(margin=False, unlabelled=True),
    "active": Arm(margin=True, unlabelled=False),
    "active_unlabelled": Arm(margin=True, unlabelled=True),
    "active_rendered": Arm(margin=True, unlabelled=True, rendered=True),
}
N_RENDERED = 10_400
"""Rendered letters to learn from first, as many of each class."""
REPEATS = 200
"""A weighted audit is drawn so often, to say what it takes on average."""
WEIGHTED, AGAIN = 1000, 1001
"""Streams of chance of a round's weighted audit and of its repeats. The networks' own go by their
numbers, and no experiment averages so many."""
RENDERED_SEED = 1_000_000
"""Not a seed of the rendered data sets that are used in place of real letters."""
OF_AN_AUDIT = (
    "labels_to_certify", "labels_audit", "wrong_left", "labels_expected", "accept_chance",
)  # fmt: skip
VOCABULARY = Vocabulary(
    SETTINGS, ("n_wrong", *OF_AN_AUDIT, *(f"{name}_uniform" for name in OF_AN_AUDIT))
)


@dataclass(frozen=True)
class Settings:
    """Parameters of a cell; ParameterError or ValueError for what `run` could not do.

    Attributes
    ----------
    setting, arm : one of `SETTINGS`, one of `ARMS`
    seed : of the first labels, the network and the audits; of the letters' test part
    first, batch, budget : labels in the first round, in the others, in all, to train on
    growth : a round asks for this share of the labels so far, where that is more than ``batch``
    members, steps : of the networks in the rounds
    last_members, last_steps, last_views, last_width : of one more training on the whole budget,
        the copies of each image that it looks at then, the maps of these networks' first
        convolution; no members or steps: none
    by_hand, target, level, expected_wrong, most : of `pool.finish`, tried after every round
        on a copy, each time as if it were the only attempt
    audit : labels of the audit that certifies a threshold, another after every round
    weighted : whether the audit of the whole pool looks oftener where the model is less sure; a
        uniform one of the same model is then tried, too
    n_pool : items in the pool, the first of the setting's; 0 for all
    letters : data set of the letters setting
    """

    setting: str = "mnist"
    arm: str = "active_unlabelled"
    seed: int = 0
    first: int = 100
    batch: int = 100
    growth: float = 0.0
    budget: int = 600
    members: int = 2
    steps: int = 2000
    last_members: int = 0
    last_steps: int = 0
    last_views: int = 0
    last_width: int = WIDTH
    by_hand: int = 100
    target: float = 0.99
    level: float = 0.95
    audit: int = 400
    expected_wrong: float = 0.002
    most: int = 1500
    weighted: bool = False
    n_pool: int = 0
    letters: str = "rendered"

    def __post_init__(self) -> None:
        check_known("setting", self.setting, SETTINGS)
        check_known("arm", self.arm, ARMS)
        if ARMS[self.arm].rendered and self.setting != "letters":
            raise ParameterError("arm", self.arm, f"only letters are rendered, not {self.setting}")
        if ARMS[self.arm].rendered and self.letters == "rendered":
            raise ParameterError(
                "arm", self.arm, "the letters are rendered themselves", "give real ones"
            )
        for name in ("seed", "audit", "n_pool", "last_members", "last_steps", "last_views"):
            check_count(name, getattr(self, name))
        check_fraction("growth", self.growth)
        check_open_fraction("expected_wrong", self.expected_wrong)
        allowed = round(1 - self.target, 12)  # without what floats lose
        if self.expected_wrong >= allowed:
            raise ParameterError(
                "expected_wrong", self.expected_wrong,
                f"with so many wrong a promise of target={self.target} is false",
                f"expected less than {allowed:g}",
            )  # fmt: skip
        for name in ("members", "steps", "most", "last_width"):
            check_count(name, getattr(self, name), 1)
        self.terms(self.by_hand, weighted=self.weighted)  # checks the rest
        size = SIZES.get(self.setting, 0)
        if size and self.n_pool > size:
            raise ParameterError("n_pool", self.n_pool, f"{self.setting} has {size}")
        if self.n_pool or size:
            self.check_pool(self.n_pool or size)
        else:  # how many letters there are is not known yet
            check_loop(self.budget, self.batch, self.budget, self.first)

    def check_pool(self, n: int) -> None:
        """Raise where a pool of n items is too small, or its audit could not be planned."""
        check_loop(n, self.batch, self.budget, self.first)
        if self.budget >= n:
            raise ParameterError("budget", self.budget, f"expected less than the pool's {n} items")
        left = n - self.budget - self.by_hand
        if left > 0:
            self.terms(self.by_hand).plan(n, left)

    def terms(self, by_hand: int, *, weighted: bool = False) -> Terms:
        """Return what is tried after every round, by default with a uniform audit."""
        rate, most = self.expected_wrong, self.most
        return Terms(self.target, self.level, by_hand, rate, most, weighted)


def prepare(setting: str, letters: str) -> dict[str, str]:
    """Download what a setting needs, once, before many runs share it; return its provenance."""
    return {"images": source(setting, letters=letters).provenance}


def network(
    settings: Settings, data: Images, members: int, steps: int, views: int = 0, width: int = WIDTH
) -> ConvNet:
    """Return the untrained network of an arm."""
    how, prior = ARMS[settings.arm], None
    if how.rendered:
        drawn = rendering.rendered_dataset(N_RENDERED, RENDERED_SEED, balanced=True)
        prior = drawn.images, drawn.labels
    return ConvNet(
        data.n_classes, data.images if how.unlabelled else None, prior,
        seed=settings.seed, members=members, steps=steps, views=views, width=width,
    )  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """What is there after one training.

    Attributes
    ----------
    number : of the round
    model : trained on the labels of ``state``; the next round trains it on
    state : of the loop, its pool in the new order
    data : pool and test images
    waiting : (n_waiting,) int64, the items of the pool in the order before
    probabilities : (n_waiting, n_classes) float, what the model says of ``waiting``
    order : (n_waiting,) int64, places of ``waiting`` that make the new order
    """

    number: int
    model: ConvNet
    state: PoolState
    data: Images
    waiting: np.ndarray
    probabilities: np.ndarray
    order: np.ndarray


def trainings(settings: Settings) -> Iterator[Trained]:
    """Ask for labels until the budget is spent; yield what is there after every training.

    The last one, after the rounds, is that of the larger network, if there is one.
    """
    seed, how = settings.seed, ARMS[settings.arm]
    data = source(settings.setting, seed, settings.n_pool, settings.letters)
    n = len(data.labels)
    settings.check_pool(n)
    model = network(settings, data, settings.members, settings.steps)
    state = PoolState.start(n, np.random.default_rng([seed, 0]).permutation(n))
    seen: list[np.ndarray] = []

    def query(view: View) -> Ranking:
        p, waiting = view.probabilities, view.state.pool
        ranking = by_score(uncertainty.margin)(view) if how.margin else Ranking(np.arange(len(p)))
        seen[:] = waiting, p, ranking.order
        ask = max(settings.batch, int(settings.growth * view.state.book.n_human))
        return replace(ranking, ask=ask)

    for done in pool_based(
        data.images, Perfect(data.labels), model, query, state, batch=settings.batch,
        budget=settings.budget, first=settings.first,
    ):  # fmt: skip
        yield Trained(done.number, model, state, data, *seen)
    if settings.last_members and settings.last_steps:
        best = network(
            settings, data, settings.last_members, settings.last_steps, settings.last_views,
            settings.last_width,
        )  # fmt: skip
        best.fit(data.images[state.book.order], state.book.labels)
        p = best.predict_proba(data.images[state.pool])
        yield Trained(done.number + 1, best, state, data, state.pool, p, np.arange(len(p)))


def run(settings: Settings) -> pd.DataFrame:
    """Return what is `measured` after every training, as rows of the long results table."""
    rows = [measured(settings, trained) for trained in trainings(settings)]
    return pd.concat(rows, ignore_index=True)


def measured(settings: Settings, trained: Trained) -> pd.DataFrame:
    """Measure a training; nothing of it is changed.

    ``n_human`` counts the labels trained on, ``n_auto`` what the model labels above the certified
    threshold. Metrics:

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
    seed, number, data = settings.seed, trained.number, trained.data
    p = trained.probabilities[trained.order]  # beside the pool in its new order
    rng = _audit_chance(seed, number)
    values, n_auto = _above_threshold(settings, trained, p, rng)
    again = np.random.default_rng([seed, AGAIN, number])
    tries = [("", rng, False)]
    if settings.weighted:
        own = np.random.default_rng([seed, WEIGHTED, number])
        tries = [("", own, True), ("_uniform", rng, False)]
    for kind, chance, weighted in tries:
        found = _whole_pool(settings, trained, p, chance, again, weighted=weighted)
        values |= {name + kind: value for name, value in found.items()}
    right = trained.model.predict(data.test_images) == data.test_labels
    rows = [
        ("pool", metric, float(value), n_auto, len(data.labels)) for metric, value in values.items()
    ]
    rows.append(("test", "accuracy", right.mean(), 0, len(right)))
    return pd.DataFrame(rows, columns=["split", "metric", "value", "n_auto", "n_eval"]).assign(
        round=number, n_human=trained.state.book.n_human, protocol=settings.setting,
        arm=settings.arm, seed=seed,
    )  # fmt: skip


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


def _above_threshold(
    settings: Settings, trained: Trained, probabilities: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, float], int]:
    """Return what is right of the labels above a certified threshold, and how many these are."""
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = predicted == trained.data.labels[trained.state.pool]
    values = {"n_wrong": float((~right).sum())}
    if not settings.audit or len(right) <= settings.audit:
        return values, 0
    drawn = draw_audit(len(right), settings.audit, rng)
    certificate = certify_pool(
        confidence, drawn, right[drawn], target=settings.target, level=settings.level,
        promise="auto",
    )  # fmt: skip
    chosen = certificate.covers(confidence)
    chosen[drawn] = False
    n_auto = int(chosen.sum())
    values["auto_coverage"] = n_auto / len(trained.data.labels)
    values["auto_precision"] = right[chosen].mean() if n_auto else np.nan
    return values, n_auto


def _whole_pool(
    settings: Settings,
    trained: Trained,
    probabilities: np.ndarray,
    rng: np.random.Generator,
    again: np.random.Generator,
    *,
    weighted: bool,
) -> dict[str, float]:
    """Return what it takes to label the whole pool with a certificate: `OF_AN_AUDIT`."""
    # Each round is measured as if its attempt were the pool's first.
    truth, tried = trained.data.labels, replace(trained.state.copy(), attempts=Attempts())
    right = probabilities.argmax(axis=1) == truth[tried.pool]
    terms = settings.terms(min(settings.by_hand, len(right)), weighted=weighted)
    done = finish(tried, probabilities, Perfect(truth), rng, terms)
    book = tried.book
    wrong = (book.label != truth)[book.source == Source.AUTO].sum()
    asked = book.n_human - len(done.audited)
    audited = ~np.isin(trained.state.pool, done.by_hand)
    labels, accepted = _expected(done.plan, ~right[audited], again)
    cost, wrong = (book.n_human, wrong) if done.certified else (np.nan, np.nan)
    values = (cost, len(done.audited), wrong, asked + labels, accepted)
    return dict(zip(OF_AN_AUDIT, values, strict=True))
