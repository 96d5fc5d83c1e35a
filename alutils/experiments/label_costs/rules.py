"""What rules for automatic labels keep of their promise, on the scores of the notebook's networks.

`needed` says what a test of a promise costs, `whole_pool` begins one for all labels, `promises` and
`report_rule` say how often each rule broke its promise, `made_up` the same of made-up models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from alutils import plots
from alutils.base.errors import ParameterError
from alutils.data import loading
from alutils.data.dataset import Dataset
from alutils.experiments import kept_results
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.label_costs import trust
from alutils.experiments.label_costs.fewest_labels import Settings
from alutils.experiments.label_costs.networks import Networks
from alutils.experiments.report import splits
from alutils.guarantee.audit import CERTIFIED
from alutils.guarantee.audit_slice import reachable
from alutils.guarantee.certificates import Certificate
from alutils.guarantee.finishing import Finishing, Said
from alutils.guarantee.plans import plan_audit
from alutils.guarantee.terms import Terms, allowed_errors, attempt_level
from alutils.guarantee.thresholds import THRESHOLDS, labels_needed
from alutils.models import embeddings
from alutils.models.dense_head import DenseHead
from alutils.stats.intervals import wilson

FOR_THRESHOLDS = ("fixed 0.6", "fixed 0.9", "best on validation", "certified")
TESTED = ("certified", *trust.WHOLE)
"""The rules that test their promise; they may break it in ``1 - level`` of all audits."""
ALSO_PROMISED = (0.95, 0.9)
"""Shares that are promised of the report's letters beside the notebook's own."""
PROMISES, REPORTS, WHOLE = 102, 109, 110
"""Streams of chance of the audits; the networks draw from streams with low numbers."""
COLUMNS = {
    "broken": "promise broken", "coverage": "labelled automatically", "right": "of these right",
    "refused": "audits refused", "labels": "human labels",
}  # fmt: skip
"""Of `trust.simulate`, and what tables call them."""


def thresholds(settings: Settings, confidence: Sequence[float]) -> tuple[float, ...]:
    """Return what `certify` tests, from the highest down, where it is given the pool's confidence.

    The list begins where so large an audit can be expected to decide.
    """
    enough = labels_needed(settings.target, settings.level)
    return reachable(THRESHOLDS, np.asarray(confidence), settings.audit, enough)


def certified(certificate: Certificate, waiting: pd.DataFrame) -> Finding:
    """Return what a certificate says, and what is true of the items above its threshold.

    ``waiting``: confidence and right (bool) of all items that wait.
    """
    above = certificate.covers(waiting["confidence"].to_numpy())
    if not above.any():
        return Finding(certificate.sentence())
    right = waiting["right"].to_numpy()[above].mean()
    return Finding(
        f"{certificate.sentence()} In truth {right:.2%} of the {above.sum():,} labels there are "
        "right."
    )


def needed(settings: Settings, n_pool: int) -> Finding:
    """Return how many audited labels a promise takes, by the errors in them; exact."""
    target, level, errors = settings.target, settings.level, range(5)
    above = [labels_needed(target, level, number) for number in errors]
    left = n_pool - settings.budget - settings.by_hand
    plan = plan_audit(
        left, allowed_errors(n_pool, target), level=attempt_level(level, 1),
        rate=settings.expected_wrong, most=min(settings.most, left),
    )  # fmt: skip
    whole = [f"{look:,}" for look in plan.looks[: len(errors)]]
    return Finding(
        f"With 0, 1, 2, 3 and 4 errors, to certify {target:.4g} right at level {level:g}:\n"
        f"- of the labels above a threshold: {', '.join(f'{n:,}' for n in above)} audited labels;\n"
        f"- of all {plan.population:,} labels of the network, with {plan.allowed} wrong at most:\n"
        f"  {', '.join(whole)}, and so on to {plan.looks[-1]:,} with {len(plan.looks) - 1}.",
        exact=True,
    )  # fmt: skip


def whole_pool(networks: Networks, arm: str) -> tuple[Finishing, np.ndarray]:
    """Begin to label the whole pool of an arm's last network; return the attempt and the answers.

    The answers are (n_waiting,) int, 0 where the network is right, as if that were its class.
    """
    settings, waiting = networks.settings, networks.at_last(arm)
    said = Said(
        np.zeros(len(waiting), np.int64), waiting["confidence"].to_numpy(float),
        waiting["margin"].to_numpy(float),
    )  # fmt: skip
    terms = settings.terms(min(settings.by_hand, len(waiting)), weighted=settings.weighted)
    rng = np.random.default_rng([settings.seed, WHOLE])
    attempt = Finishing(terms, said, networks.n_pool - len(waiting), rng)
    return attempt, 1 - waiting["right"].to_numpy(np.int64)


def finished(attempt: Finishing, answers: np.ndarray) -> Finding:
    """Return what an attempt to label a whole pool came to, and what is true then."""
    terms, audited = attempt.terms, len(attempt.audited)
    spent = (
        f"{len(attempt.by_hand):,} labels by hand and {audited:,} audited ones, of which the "
        f"network had {attempt.errors} wrong"
    )
    if attempt.decision != CERTIFIED:
        return Finding(
            f"Refused after {spent}: nothing is labelled automatically. Label more by hand, or "
            "train on more labels."
        )
    right = 1 - answers[attempt.rest].sum() / attempt.n_items
    return Finding(
        f"Certified with {spent}: at least {_percent(terms.target)} of all {attempt.n_items:,} "
        f"labels are right. In truth {right:.2%} are."
    )


def promises(networks: Networks, arm: str, *, draws: int, keep: Keep = compute) -> Finding:
    """Return how often each rule broke its promise in ``draws`` audits of an arm's networks.

    The networks are those of the first seed after the first round, half of the rounds, and all.
    """
    seen = networks.scores[arm, networks.seeds[0]]
    counts = seen["n_human"].unique()
    counts = list(dict.fromkeys(counts[[0, len(counts) // 2, -1]].tolist()))
    settings, frames = networks.settings, []
    for n in counts:
        scores = seen[seen["n_human"] == n].reset_index(drop=True)
        kept = keep(broken_promises, scores, settings, draws=draws)
        name = f"{n} labels, {scores['right'].mean():.1%} of the rest right"
        frames.append(kept.assign(model=name, n_human=n))
    table = pd.concat(frames, ignore_index=True)
    figure = plots.promises(
        table, risk=1 - settings.level,
        title=f"“At least {_percent(settings.target)} of these labels are right”: {draws:,} audits "
        "of each network",
    )  # fmt: skip
    alt = (
        "Six rules below each other. Left, the share of audits after which the promise was broken, "
        "with intervals and a line at what is allowed; right, the share of the waiting digits "
        "labelled automatically; a marker for each network, from few labels to all."
    )
    shown = table.set_index(["model", "rule"])[list(COLUMNS)]
    return Finding(
        _about_promises(table, settings, draws), figure=figure, name="promises", alt=alt,
        table=_styled(shown, f"{draws:,} audits; promised: {_percent(settings.target)} right"),
        tables={"autolabel_promises": table.round(6)},
    )  # fmt: skip


def broken_promises(scores: pd.DataFrame, settings: Settings, *, draws: int) -> pd.DataFrame:
    """Return `trust.simulate` of all rules on a network's `trust.scores` after one round."""
    n = int(scores["n_human"].iloc[0])
    terms = replace(settings.terms(settings.by_hand, weighted=settings.weighted), attempt=None)
    return trust.simulate(
        scores["confidence"].to_numpy(), scores["right"].to_numpy(), terms,
        margin=scores["margin"].to_numpy(), n_audit=settings.audit, draws=draws,
        rng=np.random.default_rng([settings.seed, PROMISES, n]), n_human=n,
    )  # fmt: skip


def _about_promises(table: pd.DataFrame, settings: Settings, draws: int) -> str:
    broken = table.groupby("rule", sort=False)["broken"]
    worst = max(broken.max()[rule] for rule in TESTED)
    low, high = wilson(worst, draws)
    guess = "best on validation"
    n_models = table["model"].nunique()
    always = [
        f"{at} with {(broken.get_group(name) == 1).sum()}" for name, at in trust.FIXED.items()
    ]
    return (
        f"The {len(TESTED)} rules that test their promise break it in at most {worst:.1%} of "
        f"the audits (95% interval {low:.1%} to {high:.1%}; {1 - settings.level:.0%} allowed). "
        f"“Best on validation” breaks it in {broken.min()[guess]:.0%} to "
        f"{broken.max()[guess]:.0%}. A fixed threshold breaks it "
        f"always or never: {' and '.join(always)} of the {n_models} networks."
    )


def _styled(table: pd.DataFrame, caption: str) -> pd.io.formats.style.Styler:
    shares = [name for name in table if name != "labels"]
    how = {COLUMNS[name]: "{:.1%}" for name in shares} | {COLUMNS["labels"]: "{:,.0f}"}
    return table.rename(columns=COLUMNS).style.format(how, na_rep="–").set_caption(caption)


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


def made_up() -> Finding:
    """Return the same of three made-up models, from results/guarantee.csv."""
    table = kept_results.table("guarantee")
    if table is None:
        return Finding("Made-up models: `python -m benchmarks.guarantee` makes their table.")
    shared = table[(table["noise"] == "shared") & (table["rule"] == "certified")]["broken"]
    table = table[table["noise"] == "none"]
    broken = table.groupby("rule")["broken"].max()
    others = broken.index.intersection(["fixed 0.6", "fixed 0.9"])
    return Finding(
        f"On {table['model'].nunique()} made-up models, "
        f"{table['audits'].iloc[0]:,} audits each, "
        f"the certificate of this notebook breaks its promise in at most "
        f"{broken['certified']:.1%}; the lowest threshold that looks right in up to "
        f"{broken['lowest that looks right']:.1%}; "
        + "; ".join(f"{name} in up to {broken[name]:.0%}" for name in others)
        + ". Where people read 5% of the items wrong, and as the model does, the certificate "
        f"breaks it in {shared.min():.1%} to {shared.max():.1%}."
    )


@dataclass(frozen=True)
class Letters:
    """Letters in the report's setting: what is labelled first, what waits in the pool."""

    data: Dataset
    part: splits.Split


def letters(spec: str, n_letters: int, *, seed: int, audit: int, on_bad: str = "error") -> Letters:
    """Load letters and split them as the report does; ParameterError where they are too few.

    Parameters
    ----------
    spec, on_bad : of `alutils.data.loading.load`
    n_letters : how many are used, each class in proportion; 0 for all
    seed : of the draws
    audit : labels of an audit of the pool, which must hold more
    """
    data = loading.load(spec, on_bad=on_bad)
    counts = data.class_counts()
    few = [name for name, count in counts.items() if count < 2]
    if few:
        raise ParameterError(
            "letters", spec, f"class {few[0]} has {counts[few[0]]} letters, 2 or more are needed",
            "add letters of this class, or take its folder or rows away",
        )  # fmt: skip
    if 0 < n_letters < len(data):
        drawn = splits.stratified(data.labels, n_letters, np.random.default_rng(seed))
        data = data.take(np.sort(drawn))
    try:
        part = splits.split(data.labels, "as_logged", seed)
    except ValueError as error:
        raise ParameterError(
            "n_letters", n_letters, f"too few for the report's setting: {error}", "take more"
        ) from error
    if len(part.pool) <= audit:
        raise ParameterError(
            "audit", audit, f"the pool holds {len(part.pool)} letters", "audit fewer, or take more "
            "letters (n_letters)",
        )  # fmt: skip
    return Letters(data, part)


def extractor() -> embeddings.FeaturePlan:
    """Return how VGG16 makes features of letters, for a run's ``uses``."""
    return embeddings.plan()


def report_scores(letters: Letters, seed: int, *, keep: Keep = compute) -> pd.DataFrame:
    """Return what the report's head says of every letter in the pool: confidence and right.

    VGG16's features come from the cache, if they are there.
    """
    features = embeddings.features(letters.data.images)
    part, labels = letters.part, letters.data.labels
    return keep(
        head_scores, features[part.start], labels[part.start], features[part.pool],
        labels[part.pool], n_classes=len(letters.data.classes), seed=seed,
    )  # fmt: skip


def head_scores(
    x: np.ndarray, y: np.ndarray, pool: np.ndarray, truth: np.ndarray, *, n_classes: int, seed: int
) -> pd.DataFrame:
    """Train the report's head on features and labels; return confidence and right of a pool."""
    head = DenseHead(n_classes, rng=np.random.default_rng([seed, 101]))
    head.fit(x, y)
    p = head.predict_proba(pool)
    return pd.DataFrame(
        {"confidence": p.max(axis=1).astype(float), "right": p.argmax(axis=1) == truth}
    )


def report_rule(
    letters: Letters,
    scores: pd.DataFrame,
    settings: Settings,
    *,
    draws: int,
    keep: Keep = compute,
) -> Finding:
    """Return what the report's 0.6 and other rules keep of several promises on its own letters."""
    targets = sorted({settings.target, *ALSO_PROMISED}, reverse=True)
    frames = [
        keep(
            report_promises,
            scores,
            each,
            settings.level,
            n_audit=settings.audit,
            draws=draws,
            seed=settings.seed,
        ).assign(model=f"promised {_percent(each)}", target=each)
        for each in targets
    ]
    table = pd.concat(frames, ignore_index=True)
    n_start, right = len(letters.part.start), scores["right"].mean()
    figure = plots.promises(
        table, risk=1 - settings.level,
        title=letters.data.title(
            f"The report's head, {n_start:,} labels, {right:.1%} of the rest right"
        ),
    )  # fmt: skip
    alt = (
        "Four rules below each other: the share of audits after which the promise was broken, and "
        "the share of the letters labelled automatically; a marker for each promise."
    )
    shown = table.set_index(["model", "rule"])[list(COLUMNS)]
    title = letters.data.title(f"{draws:,} audits of {settings.audit} letters each")
    return Finding(
        _about_report(table, targets, settings), figure=figure, name="report_promises", alt=alt,
        table=_styled(shown, title), tables={"autolabel_report": table.round(6)},
    )  # fmt: skip


def report_promises(
    scores: pd.DataFrame, target: float, level: float, *, n_audit: int, draws: int, seed: int
) -> pd.DataFrame:
    """Return `trust.simulate` of the rules for thresholds on a head's scores."""
    return trust.simulate(
        scores["confidence"].to_numpy(), scores["right"].to_numpy(), Terms(target, level),
        n_audit=n_audit, draws=draws, rng=np.random.default_rng([seed, REPORTS]),
        rules=FOR_THRESHOLDS,
    )  # fmt: skip


def _about_report(table: pd.DataFrame, targets: Sequence[float], settings: Settings) -> str:
    of = table.set_index(["rule", "target"])
    taken = of.loc[("fixed 0.6", settings.target)]

    def certified(target: float) -> str:
        row = of.loc[("certified", target)]
        if row["refused"] == 1:
            return f"{_percent(target)} right: every audit refuses"
        return (
            f"{_percent(target)} right: "
            f"{'almost none' if row['coverage'] < 0.005 else format(row['coverage'], '.0%')} "
            f"labelled, {1 - row['right']:.1%} of them wrong, broken in {row['broken']:.1%} of the "
            "audits"
        )

    return (
        f"At the report's 0.6 {taken['coverage']:.0%} of the letters get an automatic label, and "
        f"{1 - taken['right']:.1%} of these are wrong. With a certificate, "
        f"{'; '.join(map(certified, targets))} ({1 - settings.level:.0%} allowed)."
    )
