"""What wrong human labels do to a model and to its guarantee, and what asking again wins back.

`run` is a cell of the sweep behind ``results/noisy_humans.csv``: digits are asked for in rounds, a
network is trained on the answers, and many audits of it are simulated. People are wrong at a rate,
in training and in the audit alike, and an arm says what is done about it:

* ``right``: people are never wrong.
* ``wrong``: every answer is believed.
* ``asked_again``: confident learning (`alutils.guarantee.label_errors`) names suspects among the
training
  labels. A second person is asked about each of them and, where the two differ, a third, whose
  answer stands. In the audit, whoever disagrees with the model is asked once more, and the second
  answer stands.
* ``asked_everyone_twice``: a second person is asked about everything, in training and in the audit,
  and a third where the two differ.

Every answer counts as a human label. Wrong answers are independent of each other and of what the
model thinks; wrong as the model is, they would hide its errors (``benchmarks/guarantee.py``).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from alutils.active.loops.pool import PoolState, by_score, check_loop, pool_based
from alutils.active.oracles import Costly, Noisy, Oracle, Perfect
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_fraction
from alutils.base.errors import ParameterError, nearest
from alutils.data import mnist
from alutils.data.dataset import Dataset
from alutils.guarantee.audits import check_confidences, counts_above, draw_audit
from alutils.guarantee.label_errors import find_label_errors, out_of_fold
from alutils.guarantee.thresholds import THRESHOLDS
from alutils.models.convnet import ConvNet
from alutils.stats import intervals
from alutils.stats.intervals import lower_bound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARMS = {
    "right": "nobody is ever wrong",
    "wrong": "wrong answers are believed",
    "asked_again": "the doubtful are asked again",
    "asked_everyone_twice": "everyone is asked twice",
}
TARGETS, LEVEL = (0.99, 0.98), 0.95
"""Shares of right automatic labels that the audits are to certify, and how surely."""
N_TRAIN = 60_000  # digits that there are
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


def check(
    *, arm: str, seed: int, wrong: float, n_pool: int, batch: int, budget: int, steps: int,
    folds: int, fold_steps: int, final_steps: int, n_audit: int, audits: int,
) -> None:  # fmt: skip
    """Raise ParameterError or ValueError for what `run` could not do; takes no time."""
    if arm not in ARMS:
        raise ParameterError("arm", arm, nearest(str(arm), ARMS))
    if seed < 0:
        raise ParameterError("seed", seed, "expected 0 or more")
    check_fraction("wrong", wrong)
    if not 1 <= n_pool <= N_TRAIN:
        raise ParameterError("n_pool", n_pool, f"expected 1 to {N_TRAIN}")
    check_loop(n_pool, batch, budget)
    counts = {"steps": steps, "fold_steps": fold_steps, "final_steps": final_steps}
    for name, value in (counts | {"audits": audits}).items():
        check_count(name, value, 1)
    if not 2 <= folds <= budget:
        raise ParameterError("folds", folds, f"expected from 2 to the budget of {budget} labels")
    left = n_pool - budget
    if not 1 <= n_audit <= left:
        raise ParameterError("n_audit", n_audit, f"expected 1 to the {left} that training leaves")


def prepare() -> dict[str, str]:
    """Download the digits before many runs share them; return their provenance."""
    return {"images": digits()[0].provenance}


@functools.cache  # a process reads them once, not in every cell
def digits() -> tuple[Dataset, Dataset]:
    """Return the training digits, of which pools are the first, and the test digits."""
    return mnist.mnist()


def run(
    *, arm: str = "asked_again", seed: int = 0, wrong: float = 0.05, n_pool: int = 20_000,
    batch: int = 100, budget: int = 600, steps: int = 600, folds: int = 5, fold_steps: int = 600,
    final_steps: int = 1500, n_audit: int = 1000, audits: int = 1000,
) -> pd.DataFrame:  # fmt: skip
    """Ask for labels, train, simulate audits; measure labels, model and guarantee.

    Parameters
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

    Returns
    -------
    rows of the long results table: ``MEASURED``, what is about suspects for ``asked_again`` alone.
    ``n_human``: answers that the training labels took. A certified promise is broken where less
    than the target of what is left of the pool is truly right at or above the threshold.

    Raises ParameterError or ValueError as `check` does.
    """
    check(
        arm=arm, seed=seed, wrong=wrong, n_pool=n_pool, batch=batch, budget=budget, steps=steps,
        folds=folds, fold_steps=fold_steps, final_steps=final_steps, n_audit=n_audit, audits=audits,
    )  # fmt: skip
    train, test = digits()
    images, truth = train.images[:n_pool], train.labels[:n_pool]
    n_classes = len(train.classes)
    rngs = [np.random.default_rng([seed, stream]) for stream in range(5)]
    rng_order, rng_answers, rng_folds, rng_audits, rng_audit_answers = rngs
    rate = 0.0 if arm == "right" else wrong

    oracle, audited = (
        Costly(Noisy.at_rate(Perfect(truth), rate, n_classes, rng), 1.0)
        for rng in (rng_answers, rng_audit_answers)
    )
    first = np.full(len(truth), -1)

    def ask(items: np.ndarray) -> np.ndarray:
        first[items] = said = oracle(items)
        return settled(said, items, oracle) if arm == "asked_everyone_twice" else said

    state = PoolState.start(len(truth), rng_order.permutation(len(truth)))
    network, query = ConvNet(n_classes, seed=seed, steps=steps), by_score(uncertainty.margin)
    for _ in pool_based(images, ask, network, query, state, batch=batch, budget=budget):
        pass  # the labels are in the state's book
    items, labels = state.book.order, state.book.labels
    values: dict[str, float] = {}
    if arm == "asked_again":
        p = out_of_fold(
            images[items], labels, lambda: ConvNet(n_classes, seed=seed, steps=fold_steps),
            rng_folds, folds=folds, n_classes=n_classes,
        )  # fmt: skip
        suspects = find_label_errors(labels, p).suspects
        values |= search_quality(suspects, labels != truth[items])
        labels = labels.copy()
        labels[suspects] = settled(labels[suspects], items[suspects], oracle)
    values["wrong_labels_first"] = np.count_nonzero(first[items] != truth[items])
    values["wrong_labels"] = np.count_nonzero(labels != truth[items])
    n_human = oracle.n_asked

    final = ConvNet(n_classes, images, seed=seed, steps=final_steps).fit(images[items], labels)
    rest = np.delete(np.arange(len(truth)), items)
    p = final.predict_proba(images[rest])
    model = Model(check_confidences("confidence", p.max(axis=1)), p.argmax(axis=1), truth[rest])
    drawn = simulate(model, lambda i: audited(rest[i]), arm, rng_audits, n_audit, audits)
    guarantee = guarantees(model, drawn)  # asks as it draws: answers are counted after it
    values["human_answers"] = n_human + audited.n_asked / audits
    accuracy = {"accuracy": np.mean(final.predict(test.images) == test.labels)}
    rows = [
        (split, n, metric, float(value))
        for split, n, measured in (
            ("pool", len(items), values), ("test", len(test), accuracy),
            ("audit", audits, guarantee),
        )
        for metric, value in measured.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["split", "n_eval", "metric", "value"]).assign(
        protocol="better", arm=arm, seed=seed, round=0, n_human=n_human, n_auto=0
    )


def settled(first: np.ndarray, items: np.ndarray, oracle: Oracle) -> np.ndarray:
    """Ask a second person about every item, and a third where the two differ.

    Parameters
    ----------
    first, items : (n,) int, the answers so far, and to what
    oracle : who is asked

    Returns
    -------
    (n,) int: the answer of the two where they agree, else the third person's, whatever it is
    """
    answers = np.array(first)
    differ = oracle(items) != answers
    answers[differ] = oracle(items[differ])
    return answers


def search_quality(suspects: np.ndarray, is_wrong: np.ndarray) -> dict[str, float]:
    """Say how well a search for wrong labels did; NaN where it named none, or there were none.

    Parameters
    ----------
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
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw audits one by one, and ask about their items as an arm does.

    Parameters
    ----------
    oracle : who is asked, by the model's items
    arm : one of ``ARMS``
    rng, n_audit, audits : chance of the draw, items an audit, how many audits

    Yields
    ------
    confidence, looks_right : (n_audit,) float and bool, beside the answers that stand
    """
    for _ in range(audits):
        items = draw_audit(len(model.truth), n_audit, rng)
        predicted = model.predicted[items]
        answers = np.array(oracle(items))
        if arm == "asked_everyone_twice":
            answers = settled(answers, items, oracle)
        elif arm == "asked_again":
            doubtful = answers != predicted
            answers[doubtful] = oracle(items[doubtful])
        yield model.confidence[items], answers == predicted


def guarantees(
    model: Model,
    drawn: Iterable[tuple[np.ndarray, np.ndarray]],
    targets: Sequence[float] = TARGETS,
) -> dict[str, float]:
    """Certify every audit as `certificates.certify` does, and hold it against the truth.

    ``drawn`` are audits as `simulate` yields them, ``targets`` promised at ``LEVEL``.

    Returns
    -------
    for each target, as in ``MEASURED``: the share of audits with a certificate (``certified_99``),
    the mean share of the model's items that it covers, 0 where there is none
    (``auto_coverage_99``), the share of audits whose certificate is untrue (``broken_99``), and the
    share of ``THRESHOLDS`` that would be (``untrue_99``): where it is 0, no promise can be broken
    """
    steps = np.array(THRESHOLDS)
    counted = [counts_above(confidence, right, steps) for confidence, right in drawn]
    n, errors = np.moveaxis(np.array(counted), 1, 0)
    bound = lower_bound(n, errors, LEVEL)
    above, wrong = counts_above(model.confidence, model.predicted == model.truth, steps)
    coverage = above / len(model.truth)
    values = {}
    for target in targets:
        # In a fixed sequence all tests before the first failure count, and none after it.
        passed = np.cumprod(bound >= target, axis=1).sum(axis=1)
        last = passed[passed > 0] - 1
        untrue = above - wrong < target * above
        name = f"{100 * target:g}"
        values[f"certified_{name}"] = len(last) / len(passed)
        values[f"auto_coverage_{name}"] = coverage[last].sum() / len(passed)
        values[f"broken_{name}"] = untrue[last].sum() / len(passed)
        values[f"untrue_{name}"] = untrue.mean()
    return values


def publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return `summary` of a sweep's rows and its timings; see `runs.publish.from_sweeps`."""
    arms = table[["run_id", "arm", "seed"]].drop_duplicates()
    took = timings[["run_id", "wall_s"]].merge(arms, on="run_id", validate="one_to_one")
    seconds = took.rename(columns={"wall_s": "value"}).assign(metric="wall_s")
    return {"summary": summary(pd.concat([table, seconds]))}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of everything measured, arm by arm.

    Parameters
    ----------
    table : columns arm, seed, metric, value; one row for each arm, seed and metric

    Returns
    -------
    DataFrame: arm, about (what people do), measured, metric, seeds (that have a value), mean, and
    its 95% interval low, high (Student's t over seeds; NaN for less than two)
    """
    names = MEASURED | {"wall_s": "seconds a cell"}
    records = []
    for arm, metric in itertools.product(ARMS, names):
        rows = table[(table["arm"] == arm) & (table["metric"] == metric)].sort_values("seed")
        if rows.empty:
            continue
        values = rows["value"].dropna().to_numpy(float)
        mean, low, high = rows["value"].mean(), np.nan, np.nan
        if len(values) > 1:
            from_zero = intervals.paired(values, np.zeros(len(values)))
            low, high = from_zero.low, from_zero.high
        records.append((arm, ARMS[arm], names[metric], metric, len(values), mean, low, high))
    columns = ["arm", "about", "measured", "metric", "seeds", "mean", "low", "high"]
    return pd.DataFrame(records, columns=columns)


def figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str, str]]:
    """Return a sweep's figure, text alternative and finding; ValueError if it lacks an arm."""
    told = summary(table).set_index(["metric", "arm"])
    missing = [arm for arm in ARMS if ("auto_coverage_99", arm) not in told.index]
    if missing:
        raise ValueError(f"{', '.join(missing)}: no rows of this arm; sweep all of {list(ARMS)}")
    alt = (
        "For each way to deal with wrong human labels, as dots with intervals for two targets: the "
        "share of digits labelled automatically under a certificate, and the share of audits whose "
        "certificate is untrue, with a line at the share allowed."
    )
    return {"guarantee": (_figure(told), alt, _finding(told, table))}


def _finding(told: pd.DataFrame, table: pd.DataFrame) -> str:
    mean = told["mean"]
    cover, answers = mean["auto_coverage_99"], mean["human_answers"]
    n_labels = table.loc[table["metric"] == "wrong_labels_first", "n_eval"].iloc[0]
    share = mean["wrong_labels_first", "wrong"] / n_labels
    broken = table.loc[table["metric"].str.startswith("broken_"), "value"].max()
    could = table.loc[table["metric"].str.startswith("untrue_"), "value"] > 0
    return (
        f"Certified at 99%, a model of right labels labels {cover['right']:.1%} of the "
        f"digits by itself (mean over audits); with {share:.1%} wrong labels {cover['wrong']:.1%}; "
        f"with the doubtful asked again {cover['asked_again']:.1%}, for "
        f"{answers['asked_again']:,.0f} human answers instead of {answers['wrong']:,.0f}; with "
        f"everyone asked twice {cover['asked_everyone_twice']:.1%}, for "
        f"{answers['asked_everyone_twice']:,.0f}. Of one model's audits at most {broken:.1%} break "
        f"a promise ({1 - LEVEL:.0%} allowed; {could.sum()} of {len(could)} promises could break)."
    )


def _figure(told: pd.DataFrame) -> Any:
    from alutils.plots.style import axes, name_rows, series

    figure, panels = axes(1, 2, size=(8.5, 3.2), sharey=True)
    places = np.arange(len(ARMS))
    for panel, metric in zip(panels, ("auto_coverage", "broken"), strict=True):
        for number, target in enumerate(TARGETS):
            rows = told.loc[f"{metric}_{100 * target:g}"].reindex(list(ARMS))
            around = rows[["low", "high"]].sub(rows["mean"], axis=0).abs().fillna(0).T
            panel.errorbar(
                100 * rows["mean"], places + 0.24 * (number - 0.5), xerr=100 * around.to_numpy(),
                **series(number), capsize=4, linestyle="none", label=f"promised {target:.0%}",
            )  # fmt: skip
    panels[0].set(xlabel="digits labelled automatically, certified (%)", xlim=(-3, 103))
    name_rows(panels[0], list(ARMS.values()))
    panels[1].axvline(100 * (1 - LEVEL), color="black", linestyle="--", label="allowed")
    panels[1].set(xlabel="audits with a broken promise (%)")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
