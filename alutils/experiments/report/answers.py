"""What the report's notebooks come to, in three lines each, computed from results/."""

from __future__ import annotations

import pandas as pd

from alutils.base import files, manifest
from alutils.experiments.base import Answer
from alutils.experiments.report.publication import published
from alutils.experiments.report.published import true_share

UNKNOWN = "The reference results of this notebook are not in results/ yet."


def _table(name: str) -> pd.DataFrame | None:
    path = files.repository_root() / "results" / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() else None


def _letters(name: str) -> str:
    """Return which letters the reference results are of."""
    about = manifest.read_json(files.repository_root() / "results" / f"{name}.manifest.json")
    provenance = about.get("inputs", {}).get("letters", {}).get("provenance", "")
    return "rendered letters" if provenance == "rendered" else "real letters"


def answer() -> Answer:
    """Say what the report's experiment comes to: its numbers, its loop, its procedure."""
    ours, pairs, steps = (
        _table(f"az_{name}") for name in ("published", "differences", "procedure")
    )
    if ours is None or pairs is None or steps is None:
        return Answer((UNKNOWN,), "az_loops")
    theirs, kind = published(), _letters("az")
    unsure = theirs["pool", "share_unsure"]
    accuracy = ours.set_index("number").loc["accuracy"]
    first = pairs[pairs["claim"].str.contains("the report's loop beats")].iloc[-1]
    low, mean, high = (f"{100 * first[name]:+.1f}" for name in ("low", "mean", "high"))
    tie = "statistically tied with" if first["low"] <= 0 <= first["high"] else "different from"
    at = steps.groupby("threshold").mean().loc[0.6]
    return Answer(
        (
            f"**The numbers come out**: {accuracy['ours']:.1%} right in the pool on {kind}, "
            f"{theirs['pool', 'accuracy']:.1%} published. But the published loop counts its unsure "
            f"predictions wrongly: its {unsure:.2%} stands for {true_share(unsure):.2%}, and with "
            "that it should have gone on.",
            f"**The loop does not choose**: what it moves is {tie} a random choice of as many "
            f"letters ({mean} points of test accuracy, 95% interval {low} to {high}).",
            f"**The whole procedure** at the report's threshold has people label "
            f"{at['share_human']:.0%} of the letters; {at['auto_precision']:.1%} of the automatic "
            f"labels are right.",
        ),
        "az_loops",
    )


def answer_explore() -> Answer:
    """Say what looking at the letters comes to: uneven, clustered, and what accuracy hides."""
    clusters, uneven = _table("az_explore_clusters"), _table("az_explore_imbalance")
    if clusters is None or uneven is None:
        return Answer((UNKNOWN,), "az_explore_imbalance")
    about = manifest.read_json(files.repository_root() / "results" / "az_explore.manifest.json")
    on_map = clusters[clusters["neighbours"] == "on the map"].set_index("input")["same label"]
    mean = uneven.set_index(["test", "arm"])
    found, few, under = (
        mean.loc[("as found", arm)] for arm in ("as_found", "as_found_few", "undersampled")
    )
    balanced = mean.loc["balanced"]["accuracy"]
    n, kind = about["parameters"]["n_tsne"], _letters("az_explore")
    return Answer(
        (
            f"**The letters form clusters**: on a t-SNE map of {n:,} {kind}, {on_map.max():.0%} of "
            f"a letter's neighbours carry its label ({on_map.idxmax()}).",
            f"**Accuracy flatters**: trained as found it is {found['accuracy']:.1%}, the balanced "
            f"accuracy {found['balanced_accuracy']:.1%}.",
            f"**Undersampling is paid in labels**: it keeps {under['n_human']:,.0f} of "
            f"{found['n_human']:,.0f}. On a balanced test it changes accuracy by "
            f"{100 * (balanced['undersampled'] - balanced['as_found']):+.1f} points against all "
            f"labels and by {100 * (balanced['undersampled'] - balanced['as_found_few']):+.1f} "
            f"against {few['n_human']:,.0f} labels as found.",
        ),
        "az_explore_imbalance",
    )
