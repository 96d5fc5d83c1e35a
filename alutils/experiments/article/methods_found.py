"""What today's methods make of the same labels: figure, table and sentences."""

from __future__ import annotations

import pandas as pd

from alutils.experiments import kept_results
from alutils.experiments.article import todays_methods as methods
from alutils.experiments.article.one_run import OneRun
from alutils.experiments.article.replication import Replicates
from alutils.experiments.article.sound_runs import accuracies
from alutils.experiments.base import Finding
from alutils.plots import curves
from alutils.stats import intervals

_ARTICLE = "article"
"""The article's own procedure among the classifiers; it has no row in `todays_methods`."""


def compared_methods(run: OneRun, sound: Replicates, better: methods.Better) -> Finding:
    """Show every classifier on every choice of labels, beside the published shares.

    Parameters
    ----------
    run : its counts, or the published ones, are drawn as lines
    sound : the article's own procedure under the sound protocol: the first row
    """
    counts, called = run.held_against()
    digits, n_test = better.digits, int(better.table["n_test"].max())
    means, n_common = _means(sound, better)
    best = means.loc[means[means["classifier"] != _ARTICLE]["mean"].idxmax()]
    article = means[(means["classifier"] == _ARTICLE) & (means["asked"] == "least_confident")]
    lines = {
        f"{digits.budget} active labels, {called}": 100 * counts["active"] / digits.n_test,
        f"all {digits.n_train:,} labels, {called}": 100 * counts["all"] / digits.n_test,
    }
    name = methods.CLASSIFIERS[best["classifier"]]
    return Finding(
        f"With the same {digits.budget} labels the {name}, on labels chosen "
        f"{methods.CHOSEN[best['asked']]}, is the best: {best['mean']:.1f}% of {n_test:,} test "
        f"digits. On the same draws ({n_common}) the article's active learning, soundly measured, "
        f"gets {article['mean'].iloc[0]:.1f}%.",
        figure=curves.methods(
            means,
            {_ARTICLE: "the article's procedure, sound", **methods.CLASSIFIERS},
            lines,
            xlabel=f"share of {n_test:,} test digits right (%)",
            title=f"{digits.budget} labels: mean over {n_common} draws with its 95% interval"
            if n_common > 1
            else f"{digits.budget} labels, one draw",
        ),
        name="better",
        alt="Share of all test digits right for the article's procedure, softmax regression, a "
        "support vector machine and a small network without and with unlabelled images, each with "
        "random and with chosen labels; vertical lines at the published values.",
        rows=list(methods.metrics(better.table)),
        tables={"mnist_better": means.round(4)},
    )


def _means(sound: Replicates, better: methods.Better) -> tuple[pd.DataFrame, int]:
    """Return asked, classifier and, of the per cent right, the columns of `over_seeds`.

    All of the draws that both have, and how many these are: means of other draws do not compare.
    """
    theirs = accuracies(sound)
    common = sorted(set(theirs.index) & set(better.table["seed"]))
    if not common:
        raise ValueError("today's methods and the sound protocol have no draw in common")
    theirs = theirs.loc[common]
    names = {"random": "random", "active": "least_confident"}
    rows = [
        {"asked": asked, "classifier": _ARTICLE, "seed": int(seed), "value": 100 * value}
        for arm, asked in names.items()
        for seed, value in theirs[arm].items()
    ]
    ours = better.table.assign(value=lambda t: 100 * t["n_right"] / t["n_test"])
    columns = ["asked", "classifier", "seed", "value"]
    ours = ours.loc[ours["seed"].isin(common), columns]
    table = pd.concat([pd.DataFrame(rows), ours], ignore_index=True)
    return intervals.over_seeds(table, ["asked", "classifier"]), len(common)


def certified() -> Finding:
    """Say what the project's own procedure gets on the article's digits, from results/."""
    from alutils.experiments.label_costs.fewest_labels import SIZES, Settings
    from alutils.experiments.label_costs.results import needed_by_arm

    table = kept_results.table("label_costs_summary")
    if table is None:
        table = pd.DataFrame(columns=["protocol", "arm"])
    ours = table[(table["protocol"] == "article") & (table["arm"] == "active_unlabelled")]
    if ours.empty:
        return Finding("results/label_costs_summary.csv has no row for the article's digits.")
    mean, seeds = ours.set_index("metric")["mean"], int(ours["seeds"].max())
    needed = needed_by_arm(table, "article").get("active_unlabelled")
    if needed is None:
        return Finding("No audit of the article's digits was passed (results/label_costs*.csv).")
    return Finding(
        f"**Reference result**: trained on {mean['n_human']:.0f} labels that it asked for itself, "
        f"the network with unlabelled images gets {mean['accuracy']:.1%} of MNIST's test digits "
        f"right. With {needed.mean:.0f} human labels in all, the audit's included "
        f"({needed.basis}), all "
        f"{SIZES['article']:,} digits of the pool have a label, and a certificate says that at "
        f"least {Settings.target:.0%} of these labels are right (confidence {Settings.level:.0%}; "
        f"means of {seeds} seeds, results/label_costs_summary.csv)."
    )
