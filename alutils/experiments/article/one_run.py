"""The article once, to the digit: what it looked at first, its table, its curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from alutils.base import files, manifest
from alutils.experiments.article import procedure
from alutils.experiments.article.inputs import Digits
from alutils.experiments.base import Finding, Keep, compute
from alutils.models.softmax_exact import Rows, SoftmaxRegression
from alutils.plots import curves
from alutils.plots.style import arm_name
from alutils.stats import compare, intervals


def shapes(digits: Digits) -> Finding:
    """Say what is trained and tested on."""
    x, x_test = digits.x, digits.x_test
    return Finding(
        f"training digits {x.shape}, test digits {x_test.shape}, values {x.min()} to {x.max()}",
        exact=True,
    )


def sample(digits: Digits) -> Finding:
    """Show the last training digit, as the article does."""
    number = digits.train_start + digits.n_train - 1
    image, label = digits.train.images[number], digits.y[-1]
    return Finding(
        f"Training digit {number} is a {label}.",
        figure=curves.digit(image, f"training digit {number}"),
        name="sample",
        alt=f"One handwritten digit, a {label}, {image.shape[0]} by {image.shape[1]} grey pixels.",
    )


def kmeans(digits: Digits, *, seed: int) -> Finding:
    """Cluster the pool into as many clusters as there are digits, and see what is in them."""
    from sklearn.cluster import KMeans

    # One thread: the same sums on every machine, and no waiting for the others where it is busy.
    with threadpool_limits(1):
        model = KMeans(digits.n_classes, n_init=4, random_state=seed).fit(digits.x)
    counts = pd.crosstab(model.labels_, digits.y)
    most = counts.idxmax(axis=1)
    shares = 100 * counts / counts.sum()
    right = float(np.mean(most.loc[model.labels_].to_numpy() == digits.y))
    missing = [digit for digit in counts if digit not in set(most)]
    where = [(digit, shares[digit].max(), most[shares[digit].idxmax()]) for digit in missing]
    went = "; ".join(
        f"{share:.0f}% of the {digit}s are in a cluster whose most frequent digit is {other}"
        for digit, share, other in where
    )
    lacking = (
        f"No cluster has {' or '.join(map(str, missing))} as its most frequent digit: {went}."
        if missing
        else "Each digit is the most frequent one of some cluster."
    )
    centres = model.cluster_centers_.reshape(-1, *digits.train.images.shape[1:])
    return Finding(
        f"{lacking} Naming each cluster after its most frequent digit gets {right:.0%} right.",
        figure=curves.centroids(centres, shares),
        name="centroids",
        alt="The centroids as blurred digits, above a table of the share of each digit's images "
        "that falls to each centroid.",
    )


def softmax(digits: Digits) -> tuple[SoftmaxRegression, Rows]:
    """Return the article's classifier, and the pool's images as it takes them.

    It is stopped by the test digits, as published, and its arithmetic is TensorFlow's.
    """
    stop = digits.x_test, digits.y_test
    return SoftmaxRegression(*stop, n_classes=digits.n_classes), Rows.of(digits.x)


@dataclass(frozen=True)
class OneRun:
    """The article's procedure, run once.

    Attributes
    ----------
    table : of `procedure.table`
    confidence : ``n_human`` and ``confidence``, the highest class probability of an unlabelled
        digit, after the first batch and after all active labels, least confident first
    """

    digits: Digits
    table: pd.DataFrame
    confidence: pd.DataFrame

    @property
    def n_right(self) -> dict[str, int]:
        """By arm how many of the experiment's own test digits are right after its last round."""
        last = self.table.groupby("arm", sort=False)["n_right"].last()
        return {arm: int(last[arm]) for arm in procedure.ARMS}

    def held_against(self) -> tuple[dict[str, int], str]:
        """Return the six counts that replicates are held against, and what they are called.

        The published ones; where nothing was published for such digits, this run's own.
        """
        if self.digits.is_the_articles:
            return published_counts(), "published"
        return self.n_right, "this run"


def published(digits: Digits, *, keep: Keep = compute) -> OneRun:
    """Run the article's procedure to the digit; see `procedure.exact`."""
    return OneRun(digits, *keep(run_exactly, digits, frames=2))


def run_exactly(digits: Digits) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table and the confidences of `OneRun`."""
    outcome = procedure.exact(
        digits.x, digits.y, digits.x_test, digits.y_test,
        batch=digits.batch, budget=digits.budget,
    )  # fmt: skip
    looks = [outcome.last(arm).round for arm in ("first", "active")]
    frames = [
        pd.DataFrame({"n_human": look.n_human, "confidence": 1.0 - look.utility})
        for look in {look.n_human: look for look in looks}.values()
    ]
    return procedure.table(outcome), pd.concat(frames, ignore_index=True)


def published_counts() -> dict[str, int]:
    """Return by arm how many of 400 test digits the article says are right."""
    rows = compare.read_published(files.repository_root() / "results" / "published.csv")
    counts = {
        row["arm"]: int(float(row["value"]))
        for row in rows
        if row["experiment"] == "mnist" and row["metric"] == "n_right"
    }
    return {arm: counts[arm] for arm in procedure.ARMS}


def against_published(run: OneRun) -> Finding:
    """Set the six counts beside the published ones."""
    digits, ours = run.digits, run.n_right
    shown = pd.DataFrame({"ours": ours})
    if digits.is_the_articles:
        shown["published"] = published_counts()
        verdict = "exact: all six counts are the published ones"
        if ours != published_counts():
            verdict = f"NOT exact on this processor ({manifest.machine()['cpu']})"
    else:
        verdict = "nothing was published for other digits than the article's"
    shown[f"share of {digits.n_test} test digits"] = [
        f"{n / digits.n_test:.2%}" for n in ours.values()
    ]
    shown.index = pd.Index([arm_name(arm) for arm in ours])
    return Finding(
        f"{shown.to_string()}\n{verdict}",
        exact=True,
        rows=procedure.metrics(run.table, protocol="published", seed=0, stop_split="test"),
    )


def confidence(run: OneRun) -> Finding:
    """Show how sure the classifier is of the unlabelled digits, early and late."""
    by_count = {
        int(n): values.to_numpy() for n, values in run.confidence.groupby("n_human")["confidence"]
    }
    n_first, n_last = run.digits.batch, run.digits.budget
    first, last = by_count.get(n_first, np.empty(0)), by_count.get(n_last, np.empty(0))
    parts = [f"After {n_last} labels nothing is left to label."]
    if len(last):
        parts = [
            f"After {n_last} active labels {np.mean(last > 0.9):.0%} of the rest are above 90%."
        ]
    if len(first):
        parts.insert(
            0,
            f"After {n_first} labels confidence runs from {first.min():.0%} to {first.max():.0%}.",
        )
    if not by_count:
        return Finding(parts[-1])
    return Finding(
        " ".join(parts),
        figure=curves.confidence({f"after {n} labels": v for n, v in by_count.items()}),
        name="confidence",
        alt="Rising curves of the highest class probability over the unlabelled digits: after the "
        "first batch and after all active labels.",
    )


def one_curve(run: OneRun) -> Finding:
    """Show the share right after every active and every confident-first round."""
    digits = run.digits
    rising = run.table.assign(
        n=run.table["n_human"] + run.table["n_auto"], middle=run.table["n_right"]
    )
    n_right, n_auto = run.n_right, digits.n_train - digits.budget
    gain = n_right["auto_confident_first"] - n_right["active"]
    first, last = (n_right[arm] / digits.n_test for arm in ("first", "active"))
    return Finding(
        f"{digits.budget} active labels take the share of {digits.n_test} test digits right from "
        f"{first:.1%} to {last:.2%}; {n_auto:,} automatic labels then change it by "
        f"{100 * gain / digits.n_test:+.2f} points.",
        figure=curves.learning_curves(
            {arm: rising[rising["arm"] == arm] for arm in ("active", "auto_confident_first")},
            scale=digits.n_test / 100,
            published=stars(run),
            starred=run.held_against()[1],
            xlabel="labels, human and then automatic",
            ylabel=share_of(digits),
            title="One run of the published procedure",
        ),
        name="published_curve",
        alt="Share of the test digits right at every round: a steep rise over the active labels, "
        "then a nearly flat line over the automatic ones.",
    )


def resolution(run: OneRun) -> Finding:
    """Say how finely so few test digits can tell two classifiers apart."""
    n, counts = run.digits.n_test, run.n_right
    low, high = intervals.wilson(counts["active"] / n, n)
    gain = counts["auto_confident_first"] - counts["active"]
    return Finding(
        f"{counts['active']} of {n} test digits: {counts['active'] / n:.2%}, "
        f"95% interval {low:.2%} to {high:.2%}\n"
        f"gain from automatic labels: {gain} of {n} test digits, {gain / n:.2%}",
        exact=True,
    )


def stars(run: OneRun) -> dict[int, float]:
    """Return label counts to the per cent of the test digits that stars are drawn at."""
    counts, digits = run.held_against()[0], run.digits
    ends = {digits.budget: "active", digits.n_train: "auto_confident_first"}
    return {n: 100 * counts[arm] / digits.n_test for n, arm in ends.items()}


def share_of(digits: Digits) -> str:
    """Return the name of the axis of all shares of the experiment's own test digits."""
    return f"share of {digits.n_test} test digits right (%)"
