"""What labels the notebook's networks cost, how many more it takes, and people who err."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active.oracles import Noisy, Perfect
from alutils.base.checks import check_count
from alutils.data import mnist
from alutils.data.dataset import Dataset
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.label_costs import noisy_humans, trust
from alutils.experiments.label_costs.fewest_labels import Settings
from alutils.experiments.label_costs.networks import Networks
from alutils.guarantee import find_label_errors, forecast
from alutils.guarantee.simulation import Audits, Truth, simulate
from alutils.guarantee.terms import allowed_errors
from alutils.models.convnet import ConvNet
from alutils.models.out_of_fold import dealt, out_of_fold
from alutils.plots.style import arm_name

AUDITED, LEARNING, AUDITING, ASKED, ERRING, FOLDS = 103, 104, 105, 106, 107, 108
"""Streams of chance; the networks draw from streams with low numbers."""
SHARES = (0.5, 0.8)
"""Of the pool, to be certified, in `audit_forecasts`."""
KNOWN_AUDIT = 100
"""Audited labels from which it is forecast how many more it takes; and how many audits try it."""
LIKELY = 0.5
"""Share of the audits that accept, from which their mean labels are the cost of a certificate."""
MOST_SHOWN = 16
"""Suspicious digits in a figure."""


def cost(networks: Networks, *, draws: int, keep: Keep = compute) -> Finding:
    """Return the share of the pool labelled automatically against all human labels.

    And with how many labels everything is labelled with a certificate, tried after the last round.
    Both are means over draws of the audit, the first one over ``draws`` for each network.
    """
    settings, n_pool = networks.settings, networks.n_pool
    shares = keep(coverage, dict(networks.scores), settings, draws=draws)
    curves = networks.over_seeds(shares, settings.audit)
    chances = _mean_by_arm(networks, "accept_chance")
    expected = _mean_by_arm(networks, "labels_expected")
    uniform = _mean_by_arm(networks, "labels_expected_uniform") if settings.weighted else {}
    likely = {arm: labels for arm, labels in expected.items() if chances[arm] >= LIKELY}
    figure = plots.cost_curves(
        curves, {arm: np.array([labels]) for arm, labels in likely.items()},
        title=f"Certified: at least {100 * settings.target:g}% right; pool of {n_pool:,} digits, "
        f"{networks.drawn}",
    )  # fmt: skip
    covered = {arm: float(rows["middle"].iloc[-1]) for arm, rows in curves.items()}
    shares_of_arms = ", ".join(f"{share:.0%} ({arm_name(arm)})" for arm, share in covered.items())
    cheapest = min(likely, key=likely.__getitem__, default=None)
    whole_pool = (
        f"the whole pool with a certificate takes {likely[cheapest]:,.0f} of {n_pool:,} labels at "
        f"best ({arm_name(cheapest)}), mean over all draws of the audit, of which "
        f"{chances[cheapest]:.0%} accept"
        if cheapest
        else "no audit of the whole pool is likely to accept any of them"
    )
    text = (
        f"With {settings.budget + settings.audit:,} human labels, {settings.audit} of them the "
        f"audit's, a network labels on average {shares_of_arms} of the pool by itself; "
        f"{whole_pool}."
    )
    alt = (
        "Share of the pool labelled automatically with a certificate against all human labels, for "
        "each way of asking and learning; stars where the whole pool is certified."
    )
    table = pd.DataFrame(
        {
            "human labels, mean of all draws": expected,
            "audits that accept": chances,
            "human labels, uniform audit": uniform,
            "labelled automatically above a threshold": covered,
        }
    ).rename(index=arm_name)
    how = {name: "{:,.0f}" for name in table} | {
        "audits that accept": "{:.0%}", "labelled automatically above a threshold": "{:.0%}"
    }  # fmt: skip
    caption = f"the whole pool of {n_pool:,} digits, after {settings.budget} labels to train on"
    styled = table.dropna(axis="columns", how="all").style
    styled = styled.format({name: how[name] for name in styled.data}).set_caption(caption)
    return Finding(text, figure=figure, name="cost", alt=alt, table=styled)


def coverage(
    scores: Mapping[tuple[str, int], pd.DataFrame], settings: Settings, *, draws: int
) -> pd.DataFrame:
    """Return the certified share of the pool of every network, mean over ``draws`` audits.

    A row a network: arm, seed, n_human, value. The audited items, which people label, count as not
    covered.
    """
    rows = []
    for (arm, seed), seen in scores.items():
        for n, each in seen.groupby("n_human"):
            confidence, right = each["confidence"].to_numpy(), each["right"].to_numpy() == 1
            rng = np.random.default_rng([seed, AUDITED, int(n)])
            audits = Audits.drawn(confidence, right, settings.audit, draws, rng)
            terms = settings.terms(0)
            rule = trust.threshold_rules(confidence, terms, settings.audit)["certified"]
            found = simulate(rule, audits, Truth.of(confidence, right), settings.target)
            left = len(each) - settings.audit
            rows.append((arm, seed, int(n), found.coverage.mean() * left / (len(each) + n)))
    return pd.DataFrame(rows, columns=["arm", "seed", "n_human", "value"])


def _mean_by_arm(networks: Networks, metric: str) -> dict[str, float]:
    rows = networks.measured(metric, last=True)
    return rows.groupby("arm", observed=True)["value"].mean().to_dict()


def tries(networks: Networks) -> Finding:
    """Return how many certificates were given in all rounds, and how many of them are untrue."""
    target, n_pool = networks.settings.target, networks.n_pool
    above = networks.measured("auto_precision")["value"]
    left = networks.measured("wrong_left")["value"]
    n_tries = (networks.rows["metric"] == "labels_to_certify").sum()
    untrue = (above < target).sum(), (left > allowed_errors(n_pool, target)).sum()
    return Finding(
        f"Each of {n_tries} networks was audited as if it were the only one. Thresholds: "
        f"{len(above)} certificates, {untrue[0]} of them untrue. The whole pool: {len(left)} "
        f"certificates, {untrue[1]} of them untrue."
    )


def learning_forecasts(networks: Networks, *, known: int) -> Finding:
    """Return forecasts of the labels still needed from the first rounds, beside what it took."""
    settings, n_pool, frames = networks.settings, networks.n_pool, []
    for arm in networks.arms:
        rows = networks.measured("n_wrong")
        rows = rows[(rows["arm"] == arm) & (rows["seed"] == networks.seeds[0])]
        found = forecast.learning_forecast(
            rows["n_human"], rows["value"], n_pool,
            np.random.default_rng([settings.seed, LEARNING]), known=known, checked=settings.audit,
            targets=(settings.target, 1 - (1 - settings.target) / 2),
        )  # fmt: skip
        frames.append(found.assign(arm=arm))
    table = pd.concat(frames, ignore_index=True)
    names = [f"{arm_name(row.arm)}: {100 * row.target:g}% right" for row in table.itertuples()]
    figure = plots.forecasts(
        table.assign(name=names),
        xlabel=f"more labels to train on, after {table['labels'].iloc[0]}",
        title=f"Forecast from the first {known} rounds, and what it took",
    )
    alt = (
        "For each way of asking and learning, and for two shares of right labels: the forecast of "
        "the labels still needed, with its interval, and what it then took."
    )
    return Finding(
        _about_forecasts(table), figure=figure, name="forecasts", alt=alt,
        tables={"autolabel_forecasts": table},
    )  # fmt: skip


def _about_forecasts(table: pd.DataFrame) -> str:
    tested = table.dropna(subset="took")
    inside = ((tested["took"] >= tested["low"]) & (tested["took"] <= tested["high"])).sum()
    later = table["took"].isna()
    more = (table["high"][later] > table["seen"][later]).sum()
    first = (
        f"{inside} of {len(tested)} intervals hold what it then took"
        if len(tested)
        else "No network had so many right in these rounds"
    )
    if not later.any():
        return f"{first}."
    return f"{first}; {more} of the {later.sum()} others rightly allow for more than was labelled."


def audit_forecasts(networks: Networks, arm: str, *, keep: Keep = compute) -> Finding:
    """Return forecasts of the audit labels still needed, from the first of many audits."""
    settings, scores = networks.settings, networks.at_last(arm)
    table = keep(
        forecasts_of_audits, scores, target=settings.target, level=settings.level,
        seed=settings.seed,
    )  # fmt: skip

    def say(value: float) -> str:
        return "none would do" if np.isinf(value) else f"{value:,.0f}"

    lines = []
    for share, rows in table.groupby("share"):
        more, took = rows[["more", "took"]].median()
        lines.append(
            f"- **{share:.0%} of the pool**, {100 * settings.target:g}% right: forecast {say(more)}"
            f" more labels, took {say(took)} (medians); the 90% interval held what it took in "
            f"{rows['inside'].mean():.0%} of the audits."
        )
    start = f"After {KNOWN_AUDIT} audited labels, {KNOWN_AUDIT} audits:"
    return Finding("\n".join([start, "", *lines]), name="audit_forecasts")


def forecasts_of_audits(
    scores: pd.DataFrame, *, target: float, level: float, seed: int
) -> pd.DataFrame:
    """Return `forecast.audit_forecasts` for every one of `SHARES`, with a column share."""
    frames = [
        forecast.audit_forecasts(
            scores["confidence"].to_numpy(), scores["right"].to_numpy(),
            np.random.default_rng([seed, AUDITING]), share=share, known=KNOWN_AUDIT,
            audits=KNOWN_AUDIT, target=target, level=level,
        ).assign(share=share)
        for share in SHARES
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def wrong_answers(
    networks: Networks, *, wrong: float, folds: int, steps: int, keep: Keep = compute
) -> Finding:
    """Return what a search for wrong labels finds among random ones, and what asking again leaves.

    Parameters
    ----------
    wrong : share of the answers that are wrong
    folds, steps : of the networks that look for them
    """
    digits, (budget, seed) = (
        mnist.mnist_article()[0],
        (networks.settings.budget, networks.settings.seed),
    )
    check_count("folds", folds, 2)
    items = np.random.default_rng([seed, ASKED]).permutation(len(digits))[:budget]
    people = Noisy.at_rate(
        Perfect(digits.labels), wrong, len(digits.classes), np.random.default_rng([seed, ERRING])
    )
    answers = people(items)
    truth = digits.labels[items]
    p = keep(unseen, digits.take(items), answers, folds=folds, steps=steps, seed=seed).to_numpy()
    found = find_label_errors(answers, p)
    suspects, mended = found.suspects, answers.copy()
    mended[suspects] = noisy_humans.settled(answers[suspects], items[suspects], people)
    return _suspects(digits.take(items), answers, mended, suspects, found.suggested, truth)


def unseen(
    digits: Dataset, answers: np.ndarray, *, folds: int, steps: int, seed: int
) -> pd.DataFrame:
    """Return what networks say of digits that they were not trained on, (n_items, n_classes)."""
    n_classes = len(digits.classes)
    p = out_of_fold(
        network_of(n_classes, seed, steps), digits.images, answers,
        dealt(answers, folds, np.random.default_rng([seed, FOLDS])), n_classes=n_classes,
    )  # fmt: skip
    return pd.DataFrame(p, columns=[f"p{name}" for name in digits.classes])


def network_of(n_classes: int, seed: int, steps: int) -> Callable[[], ConvNet]:
    """Return what makes an untrained network."""
    return lambda: ConvNet(n_classes, seed=seed, steps=steps)


def _suspects(
    digits: Dataset,
    answers: np.ndarray,
    mended: np.ndarray,
    suspects: np.ndarray,
    suggested: np.ndarray,
    truth: np.ndarray,
) -> Finding:
    is_wrong, names = answers != truth, digits.classes
    right = int(is_wrong[suspects].sum())
    if not len(suspects):
        return Finding(
            f"Of {len(answers)} labels {is_wrong.sum()} are wrong, and none was suspected.",
            name="suspects",
        )
    shown = suspects[:MOST_SHOWN]
    figure = plots.suspects(
        digits.images[shown], [names[c] for c in answers[shown]],
        [names[c] for c in suggested[:MOST_SHOWN]], [names[c] for c in truth[shown]],
        f"The {len(shown)} most suspicious of {len(answers)} labels: what was said, what it may be",
    )  # fmt: skip
    text = (
        f"Of {len(answers)} labels {is_wrong.sum()} are wrong; {right} of {len(suspects)} suspects "
        f"are really wrong, {right} of the {is_wrong.sum()} wrong labels are found, and asking "
        f"again leaves {(mended != truth).sum()} wrong."
    )
    alt = (
        "Digits with the label that a person gave, the one suggested instead, and whether the one "
        "given is really wrong."
    )
    return Finding(text, figure=figure, name="suspects", alt=alt)
