"""What the report's notebooks come to, in three lines each, computed from results/."""

from __future__ import annotations

from alutils.base import files
from alutils.experiments import kept_results
from alutils.experiments.base import Answer
from alutils.experiments.report.clusters import clustering
from alutils.experiments.report.imbalance import flattery
from alutils.experiments.report.loop_findings import CHOICE
from alutils.experiments.report.publication import published
from alutils.experiments.report.published import true_share
from alutils.stats import compare

UNKNOWN = "The reference results of this notebook are not in results/ yet."


def _letters(name: str) -> str:
    """Return which letters the reference results are of."""
    about = kept_results.about(name)
    provenance = about.get("inputs", {}).get("letters", {}).get("provenance", "")
    return "rendered letters" if provenance == "rendered" else "real letters"


def answer() -> Answer:
    """Say what the report's experiment comes to: its numbers, its loop, its procedure."""
    ours, pairs, steps = (
        kept_results.table(f"az_{name}") for name in ("published", "differences", "procedure")
    )
    if ours is None or pairs is None or steps is None:
        return Answer((UNKNOWN,), "az_loops")
    theirs = published()
    unsure = theirs["pool", "share_unsure"]
    first = pairs[pairs["claim"].str.contains("the report's loop beats")].iloc[-1]
    low, mean, high = (f"{100 * first[name]:+.1f}" for name in ("low", "mean", "high"))
    at = steps.groupby("threshold").mean().loc[0.6]
    return Answer(
        (
            f"{_reproduced()} The published loop counts its unsure predictions wrongly: its "
            f"{unsure:.2%} stands for {true_share(unsure):.2%}, and with that it should have gone "
            "on.",
            f"**The loop's choice is {CHOICE[first['verdict']]} a random one**: {mean} points of "
            f"test accuracy against as many random letters (95% interval {low} to {high}).",
            f"**The whole procedure** at the report's threshold has people label "
            f"{at['share_human']:.0%} of the letters; {at['auto_precision']:.1%} of the automatic "
            f"labels are right.",
        ),
        "az_loops",
    )


def _reproduced() -> str:
    """Say how our accuracy in the pool compares with the published one, by the verdict on it."""
    results = files.repository_root() / "results"
    frame = compare.compare([results / "az.csv"], results / "published.csv")
    known = frame[frame["published"].notna() & (frame["metric"] == "accuracy")]
    row = known[known["split"] == "pool"].iloc[0]
    ours = f"{row['mean']:.1%} right in the pool on {_letters('az')}"
    if row["n"] > 1:
        ours += f" (95% interval {row['low']:.1%} to {row['high']:.1%})"
    apart = f"{100 * (row['mean'] - row['published']):+.1f} points"
    heading = {
        "agrees": "The published accuracy comes out",
        "differs": f"Our accuracy differs from the published one by {apart}",
    }.get(row["verdict"].split(" (")[0], "Our accuracy and the published one do not compare")
    return f"**{heading}**: {ours}, {row['published']:.1%} published."


def answer_explore() -> Answer:
    """Say what looking at the letters comes to: uneven, clustered, and what accuracy hides."""
    clusters, uneven = (
        kept_results.table(f"az_explore_{name}") for name in ("clusters", "imbalance")
    )
    if clusters is None or uneven is None:
        return Answer((UNKNOWN,), "az_explore_imbalance")
    about = kept_results.about("az_explore")
    on_map = clusters[clusters["neighbours"] == "on the map"].set_index("input")["same label"]
    mean = uneven.set_index(["test", "arm"])
    found, few, under = (
        mean.loc[("as found", arm)] for arm in ("as_found", "as_found_few", "undersampled")
    )
    balanced = mean.loc["balanced"]["accuracy"]
    n, kind = about["parameters"]["n_tsne"], _letters("az_explore")
    chance = clusters.loc[clusters["neighbours"] == "on the map", "by chance"].max()
    gap = found["accuracy"] - found["balanced_accuracy"]
    said = flattery(gap)
    return Answer(
        (
            f"**{clustering(on_map.max(), chance)}**: on a t-SNE map of {n:,} {kind}, "
            f"{on_map.max():.0%} of a letter's neighbours carry its label ({on_map.idxmax()}).",
            f"**{said[0].upper()}{said[1:]}**: trained as found it is {found['accuracy']:.1%}, the "
            f"balanced accuracy {found['balanced_accuracy']:.1%}.",
            f"**Undersampling costs labels**: it keeps {under['n_human']:,.0f} of "
            f"{found['n_human']:,.0f}. On a balanced test it changes accuracy by "
            f"{100 * (balanced['undersampled'] - balanced['as_found']):+.1f} points against all "
            f"labels and by {100 * (balanced['undersampled'] - balanced['as_found_few']):+.1f} "
            f"against {few['n_human']:,.0f} labels as found.",
        ),
        "az_explore_imbalance",
    )
