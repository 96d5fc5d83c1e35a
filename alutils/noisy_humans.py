"""What wrong human labels do to a model and to its guarantee, and what asking again wins back.

`run` is a cell of the sweep behind ``results/noisy_humans.csv``: digits are asked for in rounds, a
network is trained on the answers, and many audits of it are simulated. People are wrong at a rate,
in training and in the audit alike, and an arm says what is done about it:

* ``right``: people are never wrong.
* ``wrong``: every answer is believed.
* ``asked_again``: confident learning (`alutils.label_errors`) names suspects among the training
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from alutils import datasets, evaluation, queries
from alutils.audits import check_confidences, counts_above, draw_audit
from alutils.certificates import THRESHOLDS, lower_bound
from alutils.convnet import ConvNet
from alutils.datasets import Dataset
from alutils.label_errors import find_label_errors, out_of_fold
from alutils.oracles import Costly, Noisy, Oracle, Perfect, check_count, check_share
from alutils.parameters import ParameterError, nearest
from alutils.scenarios import PoolState, by_score, check_loop, pool_based

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
N_TRAIN = 60_000
"""Training digits that there are."""
MEASURED = {
    "wrong_labels_first": "wrong training labels, as first answered",
    "wrong_labels": "wrong training labels, as trained on",
    "n_suspects": "suspects asked about again",
    "n_suspects_wrong": "suspects that were wrong",
    "suspects_precision": "share of the suspects that were wrong",
    "suspects_recall": "share of the wrong labels that were suspects",
    "accuracy": "test accuracy",
    "human_answers": "human answers, training and audit",
    **{
        f"{metric}_{100 * target:g}": f"{text} {target:.0%}"
        for target in TARGETS
        for metric, text in {
            "certified": "share of audits that certify",
            "auto_coverage": "share labelled automatically at certified",
            "broken": "share of audits with a broken promise of",
        }.items()
    },
}
"""The metrics, and what tables call them."""


def check(
    *,
    arm: str = "asked_again",
    seed: int = 0,
    wrong: float = 0.05,
    n_pool: int = 20_000,
    batch: int = 100,
    budget: int = 600,
    steps: int = 600,
    folds: int = 5,
    fold_steps: int = 600,
    final_steps: int = 1500,
    n_audit: int = 1000,
    audits: int = 1000,
) -> None:
    """Raise ParameterError or ValueError for what `run` could not do; takes no time."""
    if arm not in ARMS:
        raise ParameterError("arm", arm, nearest(str(arm), ARMS))
    if seed < 0:
        raise ParameterError("seed", seed, "expected 0 or more")
    check_share("wrong", wrong)
    if not 1 <= n_pool <= N_TRAIN:
        raise ParameterError("n_pool", n_pool, f"expected 1 to {N_TRAIN}")
    check_loop(n_pool, batch, budget)
    for name, value in (
        ("steps", steps), ("fold_steps", fold_steps), ("final_steps", final_steps),
        ("audits", audits),
    ):  # fmt: skip
        check_count(name, value)
    if not 2 <= folds <= budget:
        raise ParameterError("folds", folds, f"expected from 2 to the budget of {budget} labels")
    if not 1 <= n_audit <= n_pool - budget:
        raise ParameterError(
            "n_audit", n_audit, f"expected from 1 to the {n_pool - budget} that training leaves"
        )


def prepare() -> dict[str, str]:
    """Download the digits, once, before many runs share them.

    Returns
    -------
    provenance of the images, for the manifest
    """
    return {"images": digits()[0].provenance}


@functools.cache  # a process reads them once, not in every cell
def digits() -> tuple[Dataset, Dataset]:
    """Return the training digits, of which pools are the first, and the test digits."""
    return datasets.mnist()


def run(
    *,
    arm: str = "asked_again",
    seed: int = 0,
    wrong: float = 0.05,
    n_pool: int = 20_000,
    batch: int = 100,
    budget: int = 600,
    steps: int = 600,
    folds: int = 5,
    fold_steps: int = 600,
    final_steps: int = 1500,
    n_audit: int = 1000,
    audits: int = 1000,
) -> pd.DataFrame:
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
    n_audit : digits an audit, drawn from the pool without the training labels
    audits : how many are simulated

    Returns
    -------
    rows of the long results table: the metrics of ``MEASURED``, those of suspects for the arm
    ``asked_again`` alone. ``n_human``: answers that the training labels took. A certified promise
    is broken where less than the target of what is left of the pool is truly right at or above the
    threshold; shares of audits are of all audits.

    Raises
    ------
    ParameterError, ValueError
        as `check`
    """
    check(
        arm=arm, seed=seed, wrong=wrong, n_pool=n_pool, batch=batch, budget=budget, steps=steps,
        folds=folds, fold_steps=fold_steps, final_steps=final_steps, n_audit=n_audit, audits=audits,
    )  # fmt: skip
    train, test = digits()
    images, truth = train.images[:n_pool], train.labels[:n_pool]
    n_classes = len(train.classes)
    rng_order, rng_answers, rng_folds, rng_audits, rng_audit_answers = (
        np.random.default_rng([seed, stream]) for stream in range(5)
    )
    rate = 0.0 if arm == "right" else wrong

    def people(rng: np.random.Generator) -> Costly:
        return Costly(Noisy.at_rate(Perfect(truth), rate, n_classes, rng), 1.0)

    oracle = people(rng_answers)
    first = np.full(len(truth), -1)

    def ask(items: np.ndarray) -> np.ndarray:
        first[items] = oracle(items)
        if arm == "asked_everyone_twice":
            return settled(first[items], items, oracle)
        return first[items]

    state = PoolState.start(len(truth), rng_order.permutation(len(truth)))
    network = ConvNet(n_classes, seed=seed, steps=steps)
    for _ in pool_based(
        images, ask, network, by_score(queries.margin), state, batch=batch, budget=budget
    ):
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
    answers = people(rng_audit_answers)
    of_rest = lambda chosen: answers(rest[chosen])  # noqa: E731 - an oracle by the model's items
    drawn = simulate(model, of_rest, arm, rng_audits, n_audit=n_audit, audits=audits)
    guarantee = guarantees(model, drawn)
    values["human_answers"] = n_human + answers.n_asked / audits
    accuracy = np.mean(final.predict(test.images) == test.labels)
    parts = (
        ("pool", len(items), values), ("test", len(test), {"accuracy": accuracy}),
        ("audit", audits, guarantee),
    )  # fmt: skip
    rows = [
        {"split": split, "n_eval": n, "metric": metric, "value": float(value)}
        for split, n, part in parts
        for metric, value in part.items()
    ]
    return pd.DataFrame(rows).assign(
        protocol="better", arm=arm, seed=seed, round=0, n_human=n_human, n_auto=0
    )


def settled(first: np.ndarray, items: np.ndarray, oracle: Oracle) -> np.ndarray:
    """Ask a second person about every item, and a third where the two differ.

    Parameters
    ----------
    first : (n,) int, the answers so far
    items : (n,) int64
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
    """Say how good a search for wrong labels was.

    Parameters
    ----------
    suspects : (n_suspects,) int, places of the labels that it named, no two alike
    is_wrong : (n_labels,) bool, which labels are wrong

    Returns
    -------
    n_suspects, n_suspects_wrong, suspects_precision and suspects_recall; NaN where there was no
    suspect, or nothing to find
    """
    n, found, there = len(suspects), int(is_wrong[suspects].sum()), int(is_wrong.sum())
    return {
        "n_suspects": n,
        "n_suspects_wrong": found,
        "suspects_precision": found / n if n else np.nan,
        "suspects_recall": found / there if there else np.nan,
    }


@dataclass(frozen=True)
class Model:
    """What a model says of the items that it may be given, and what is true of them.

    Attributes
    ----------
    confidence : (n,) float64
    predicted, truth : (n,) int, classes
    """

    confidence: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray


def simulate(
    model: Model,
    oracle: Oracle,
    arm: str,
    rng: np.random.Generator,
    *,
    n_audit: int,
    audits: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw audits one by one, and ask about their items as an arm does.

    Parameters
    ----------
    model : to be audited
    oracle : who is asked, by the model's items
    arm : one of ``ARMS``
    rng : of the items drawn
    n_audit, audits : items an audit, and how many audits

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
    drawn: Iterator[tuple[np.ndarray, np.ndarray]],
    *,
    targets: Sequence[float] = TARGETS,
    level: float = LEVEL,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, float]:
    """Certify every audit as `certificates.certify` does, and hold it against the truth.

    Parameters
    ----------
    model : audited
    drawn : audits, as `simulate` yields them
    targets, level, thresholds : see `certificates.certify`

    Returns
    -------
    for each target, as in ``MEASURED``: the share of audits with a certificate (``certified_99``),
    the mean share of the model's items that it covers, 0 where there is none
    (``auto_coverage_99``), and the share of audits whose certificate says what is not true
    (``broken_99``)
    """
    steps = np.array(thresholds)
    counted = [counts_above(confidence, right, steps) for confidence, right in drawn]
    n, errors = np.moveaxis(np.array(counted), 1, 0)
    bound = lower_bound(n, errors, level)
    above, wrong = counts_above(model.confidence, model.predicted == model.truth, steps)
    coverage = above / len(model.truth)
    values = {}
    for target in targets:
        # In a fixed sequence all tests before the first failure count, and none after it.
        passed = np.cumprod(bound >= target, axis=1).sum(axis=1)
        last = passed[passed > 0] - 1
        # No item at all above a certified threshold: nothing is promised of any.
        untrue = above - wrong < target * above
        name = f"{100 * target:g}"
        values[f"certified_{name}"] = len(last) / len(passed)
        values[f"auto_coverage_{name}"] = coverage[last].sum() / len(passed)
        values[f"broken_{name}"] = untrue[last].sum() / len(passed)
    return values


def publish(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the table made of a sweep: ``summary``.

    Parameters
    ----------
    table : the sweep's rows
    timings : a row for each cell: ``run_id``, ``wall_s`` (seconds)
    """
    arms = table[["run_id", "arm", "seed"]].drop_duplicates()
    took = timings[["run_id", "wall_s"]].merge(arms, on="run_id", validate="one_to_one")
    seconds = took.rename(columns={"wall_s": "value"}).assign(metric="wall_s")
    return {"summary": summary(pd.concat([table, seconds], ignore_index=True))}


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
    for arm, about in ARMS.items():
        for metric, text in names.items():
            rows = table[(table["arm"] == arm) & (table["metric"] == metric)]
            if rows.empty:
                continue
            values = rows.sort_values("seed")["value"].dropna().to_numpy(float)
            mean = values.mean() if len(values) else np.nan
            low = high = np.nan
            if len(values) > 1:
                over = evaluation.paired(values, np.zeros(len(values)))
                low, high = over.low, over.high
            records.append((arm, about, text, metric, len(values), mean, low, high))
    columns = ["arm", "about", "measured", "metric", "seeds", "mean", "low", "high"]
    return pd.DataFrame(records, columns=columns)


def figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str, str]]:
    """Return the figure of a sweep, ``guarantee``, with its text alternative and its finding.

    Parameters
    ----------
    table : as for `summary`, with ``n_eval``

    Raises
    ------
    ValueError
        Where an arm is missing.
    """
    told = summary(table).set_index(["metric", "arm"])
    missing = [arm for arm in ARMS if ("auto_coverage_99", arm) not in told.index]
    if missing:
        raise ValueError(f"{', '.join(missing)}: no rows of this arm; sweep all of {list(ARMS)}")
    figure = _figure(told)
    alt = (
        "Two panels, a row for each way to deal with wrong human labels: the share of the digits "
        "that are labelled automatically under a certificate, and the share of audits whose "
        "certificate is not true, for each target a dot with its interval, and a line at the share "
        "that is allowed."
    )
    return {"guarantee": (figure, alt, _finding(told, table))}


def _finding(told: pd.DataFrame, table: pd.DataFrame) -> str:
    mean = told["mean"]
    target = TARGETS[0]
    cover = mean[f"auto_coverage_{100 * target:g}"]
    labels = table.loc[table["metric"] == "wrong_labels_first", "n_eval"].iloc[0]
    share = mean["wrong_labels_first", "wrong"] / labels
    broken = max(mean[f"broken_{100 * each:g}"].max() for each in TARGETS)
    answers = mean["human_answers"]
    return (
        f"Certified at {target:.0%}, a model of right labels labels {cover['right']:.1%} of the "
        f"digits by itself (mean over audits); with {share:.1%} wrong labels {cover['wrong']:.1%}; "
        f"with the doubtful asked again {cover['asked_again']:.1%}, for "
        f"{answers['asked_again']:,.0f} human answers instead of {answers['wrong']:,.0f}; with "
        f"everyone asked twice {cover['asked_everyone_twice']:.1%}, for "
        f"{answers['asked_everyone_twice']:,.0f}. In no arm are more than {broken:.1%} of the "
        f"audits' promises broken ({1 - LEVEL:.0%} allowed)."
    )


def _figure(told: pd.DataFrame) -> Any:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from alutils.plots import STYLE

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 3.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(ARMS))
    for panel, metric in zip(panels, ("auto_coverage", "broken"), strict=True):
        for number, target in enumerate(TARGETS):
            rows = told.loc[f"{metric}_{100 * target:g}"].reindex(list(ARMS))
            around = rows[["low", "high"]].sub(rows["mean"], axis=0).abs().fillna(0).T
            panel.errorbar(
                100 * rows["mean"], places + 0.24 * (number - 0.5), xerr=100 * around.to_numpy(),
                fmt="os^D"[number], color=f"C{number}", capsize=4, linestyle="none",
                label=f"promised {target:.0%}",
            )  # fmt: skip
    panels[0].set(
        xlabel="digits labelled automatically, certified (%)", xlim=(-3, 103),
        yticks=places, ylim=(len(ARMS) - 0.5, -0.5),
    )  # fmt: skip
    panels[0].set_yticklabels(list(ARMS.values()))
    panels[0].legend(loc="lower left")
    allowed = 100 * (1 - LEVEL)
    panels[1].axvline(allowed, color="black", linestyle="--", linewidth=1)
    panels[1].annotate(
        "allowed", (allowed, -0.45), (-4, 0), textcoords="offset points", ha="right", va="top",
        fontsize=9,
    )  # fmt: skip
    panels[1].set(xlabel="audits with a broken promise (%)")
    panels[1].set_xlim(left=-0.2)
    return figure
