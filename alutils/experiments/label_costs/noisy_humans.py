"""What wrong human labels do to a model and to its guarantee, and what asking again wins back.

`run` is a cell of the sweep behind ``results/noisy_humans.csv``: digits are asked for in rounds, a
network is trained on the answers, and many audits of it are simulated. People are wrong at a rate,
in training and in the audit alike, and an arm says what is done about it:

* ``right``: people are never wrong.
* ``wrong``: every answer is believed.
* ``asked_again``: confident learning (`alutils.guarantee.label_errors`) names suspects among the
  training labels. A second person is asked about each of them and, where the two differ, a third,
  whose answer stands. In the audit, whoever disagrees with the model is asked once more, and the
  second answer stands.
* ``asked_everyone_twice``: a second person is asked about everything, in training and in the audit,
  and a third where the two differ.

Every answer counts as a human label. Wrong answers are independent of each other and of what the
model thinks; wrong as the model is, they would hide its errors (``benchmarks/guarantee.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils.active.loops.pool import PoolState, by_score, check_loop, pool_based
from alutils.active.oracles import Costly, Noisy, Oracle, Perfect
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction, check_known
from alutils.base.errors import ParameterError
from alutils.experiments.label_costs.images import SIZES, source
from alutils.guarantee import simulation
from alutils.guarantee.audit_slice import check_confidences, draw_audit
from alutils.guarantee.label_errors import find_label_errors
from alutils.guarantee.simulation import Audits, Truth
from alutils.guarantee.thresholds import THRESHOLDS
from alutils.models.convnet import ConvNet
from alutils.models.out_of_fold import dealt, out_of_fold
from alutils.stats.tables import Vocabulary

ARMS = {
    "right": "nobody is ever wrong",
    "wrong": "wrong answers are believed",
    "asked_again": "the doubtful are asked again",
    "asked_everyone_twice": "everyone is asked twice",
}
TARGETS, LEVEL = (0.99, 0.98), 0.95
"""Shares of right automatic labels that the audits are to certify, and how surely."""
MEASURED = {
    "wrong_labels_first": "wrong training labels, as first answered",
    "wrong_labels": "wrong training labels, as trained on",
    "n_suspects": "suspects asked about again",
    "n_suspects_wrong": "suspects that were wrong",
    "suspects_precision": "share of the suspects that were wrong",
    "suspects_recall": "share of the wrong labels that were suspects",
    "accuracy": "test accuracy",
    "human_answers": "human answers, training and audit",
    "certified_99": "share of audits that certify 99%",
    "auto_coverage_99": "share labelled automatically, certified 99%",
    "broken_99": "share of audits with a broken promise of 99%",
    "untrue_99": "share of the listed thresholds at which 99% is untrue",
    "certified_98": "share of audits that certify 98%",
    "auto_coverage_98": "share labelled automatically, certified 98%",
    "broken_98": "share of audits with a broken promise of 98%",
    "untrue_98": "share of the listed thresholds at which 98% is untrue",
}
"""The metrics, and what tables call them."""
VOCABULARY = Vocabulary(metrics=tuple(MEASURED))


@dataclass(frozen=True)
class Settings:
    """Parameters of a cell; ParameterError or ValueError for what `run` could not do.

    Attributes
    ----------
    arm : one of ``ARMS``
    seed : of the first labels, the answers, the networks and the audits
    wrong : share of human answers that are wrong, any other class as likely as another; 0 for the
        arm ``right``, whatever this says
    n_pool : training digits in the pool, the first ones
    batch, budget : labels a round and in all, asked for by margin from the second round on
    steps : of the rounds' networks, which learn from labelled images only
    folds, fold_steps : of the networks that look for suspects
    final_steps : of the last network, which learns from the unlabelled pool, too
    n_audit, audits : digits an audit, drawn from what training left of the pool, and how many
    """

    arm: str = "asked_again"
    seed: int = 0
    wrong: float = 0.05
    n_pool: int = 20_000
    batch: int = 100
    budget: int = 600
    steps: int = 600
    folds: int = 5
    fold_steps: int = 600
    final_steps: int = 1500
    n_audit: int = 1000
    audits: int = 1000

    def __post_init__(self) -> None:
        check_known("arm", self.arm, ARMS)
        check_count("seed", self.seed)
        check_fraction("wrong", self.wrong)
        if not 1 <= self.n_pool <= SIZES["mnist"]:
            raise ParameterError("n_pool", self.n_pool, f"expected 1 to {SIZES['mnist']}")
        check_loop(self.n_pool, self.batch, self.budget)
        for name in ("steps", "fold_steps", "final_steps", "audits"):
            check_count(name, getattr(self, name), 1)
        if not 2 <= self.folds <= self.budget:
            raise ParameterError(
                "folds", self.folds, f"expected from 2 to the budget of {self.budget} labels"
            )
        left = self.n_pool - self.budget
        if not 1 <= self.n_audit <= left:
            raise ParameterError(
                "n_audit", self.n_audit, f"expected 1 to the {left} that training leaves"
            )


def prepare() -> dict[str, str]:
    """Download the digits before many runs share them; return their provenance."""
    return {"images": source("mnist").provenance}


def run(settings: Settings) -> pd.DataFrame:
    """Ask for labels, train, simulate audits; measure labels, model and guarantee.

    Rows are of the long results table: ``MEASURED``, what is about suspects for ``asked_again``
    alone. ``n_human``: answers that the training labels took. A certified promise is broken where
    less than the target of what is left of the pool is truly right at or above the threshold.
    """
    arm, seed, audits = settings.arm, settings.seed, settings.audits
    data = source("mnist", n_pool=settings.n_pool)
    images, truth, n_classes = data.images, data.labels, data.n_classes
    rngs = [np.random.default_rng([seed, stream]) for stream in range(5)]
    rng_order, rng_answers, rng_folds, rng_audits, rng_audit_answers = rngs
    rate = 0.0 if arm == "right" else settings.wrong

    oracle, audited = (
        Costly(Noisy.at_rate(Perfect(truth), rate, n_classes, rng), 1.0)
        for rng in (rng_answers, rng_audit_answers)
    )
    first = np.full(len(truth), -1)

    def ask(items: np.ndarray) -> np.ndarray:
        first[items] = said = oracle(items)
        return settled(said, items, oracle) if arm == "asked_everyone_twice" else said

    state = PoolState.start(len(truth), rng_order.permutation(len(truth)))
    network = ConvNet(n_classes, seed=seed, steps=settings.steps)
    for _ in pool_based(
        images, ask, network, by_score(uncertainty.margin), state, batch=settings.batch,
        budget=settings.budget,
    ):  # fmt: skip
        pass  # the labels are in the state's book
    items, labels = state.book.order, state.book.labels
    values = {"wrong_labels_first": float((first[items] != truth[items]).sum())}
    if arm == "asked_again":
        p = out_of_fold(
            lambda: ConvNet(n_classes, seed=seed, steps=settings.fold_steps), images[items], labels,
            dealt(labels, settings.folds, rng_folds), n_classes=n_classes,
        )  # fmt: skip
        suspects = find_label_errors(labels, p).suspects
        values |= search_quality(suspects, labels != truth[items])
        labels = labels.copy()
        labels[suspects] = settled(labels[suspects], items[suspects], oracle)
    values["wrong_labels"] = float((labels != truth[items]).sum())
    n_human = oracle.n_asked

    final = ConvNet(n_classes, images, seed=seed, steps=settings.final_steps)
    final.fit(images[items], labels)
    rest = np.delete(np.arange(len(truth)), items)
    p = final.predict_proba(images[rest])
    model = Model(check_confidences("confidence", p.max(axis=1)), p.argmax(axis=1), truth[rest])
    drawn = simulate(model, lambda i: audited(rest[i]), arm, rng_audits, settings.n_audit, audits)
    guarantee = guarantees(model, drawn)
    values["human_answers"] = n_human + audited.n_asked / audits
    right = final.predict(data.test_images) == data.test_labels
    rows = [
        (split, n, metric, float(value))
        for split, n, measured in (
            ("pool", len(items), values), ("test", len(right), {"accuracy": right.mean()}),
            ("audit", audits, guarantee),
        )
        for metric, value in measured.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["split", "n_eval", "metric", "value"]).assign(
        protocol="better", arm=arm, seed=seed, round=0, n_human=n_human, n_auto=0
    )


def settled(first: np.ndarray, items: np.ndarray, oracle: Oracle) -> np.ndarray:
    """Ask a second person about every item and, where two differ, a third, whose answer stands.

    first, items : (n,) int, the answers so far, and to what; those that stand come back
    """
    answers = np.array(first)
    differ = oracle(items) != answers
    answers[differ] = oracle(items[differ])
    return answers


def search_quality(suspects: np.ndarray, is_wrong: np.ndarray) -> dict[str, float]:
    """Say how well a search for wrong labels did; NaN where it named none, or there were none.

    suspects : (n_suspects,) int, places of the labels that it named, no two alike
    is_wrong : (n_labels,) bool, which labels are wrong
    """
    n, found, there = len(suspects), is_wrong[suspects].sum(), is_wrong.sum()
    return {
        "n_suspects": n, "suspects_precision": found / n if n else np.nan,
        "n_suspects_wrong": found, "suspects_recall": found / there if there else np.nan,
    }  # fmt: skip


@dataclass(frozen=True)
class Model:
    """What a model says of the items that it may be given, and what is true: all (n_items,)."""

    confidence: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray


def simulate(
    model: Model, oracle: Oracle, arm: str, rng: np.random.Generator, n_audit: int, audits: int
) -> Audits:
    """Draw audits one by one, and ask about their items as an arm does.

    The oracle is asked by the model's items; ``right`` is where its class is the answer that
    stands.
    """
    drawn = []
    for _ in range(audits):
        items = draw_audit(len(model.truth), n_audit, rng)
        predicted = model.predicted[items]
        answers = np.array(oracle(items))
        if arm == "asked_everyone_twice":
            answers = settled(answers, items, oracle)
        elif arm == "asked_again":
            doubtful = answers != predicted
            answers[doubtful] = oracle(items[doubtful])
        drawn.append((model.confidence[items], answers == predicted))
    return Audits(*map(np.stack, zip(*drawn, strict=True)))


def guarantees(
    model: Model, audits: Audits, targets: Sequence[float] = TARGETS
) -> dict[str, float]:
    """Certify every audit as `thresholds.certify` does, at ``LEVEL``; hold it against the truth.

    The shares are those of ``MEASURED``: of audits with a certificate (``certified_99``), of the
    model's items that it covers, 0 where there is none (``auto_coverage_99``), of audits whose
    certificate is untrue (``broken_99``), and of ``THRESHOLDS`` that would be (``untrue_99``):
    where it is 0, no promise can be broken.
    """
    truth = Truth.of(model.confidence, model.predicted == model.truth)
    values = {}
    for target in targets:
        found = simulation.simulate(simulation.certified(target, LEVEL), audits, truth, target)
        _, right = truth.above(np.array(THRESHOLDS))
        name = f"{100 * target:g}"
        values[f"certified_{name}"] = (~found.refused).mean()
        values[f"auto_coverage_{name}"] = found.coverage[~found.refused].sum() / len(found.refused)
        values[f"broken_{name}"] = found.broken.mean()
        values[f"untrue_{name}"] = np.mean(right < target)
    return values
