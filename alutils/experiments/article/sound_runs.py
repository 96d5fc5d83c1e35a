"""What is true: validation digits stop the training, every test digit counts, arms are paired."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from alutils.experiments.article import procedure
from alutils.experiments.article.replication import Replicates
from alutils.experiments.base import Finding
from alutils.plots import curves
from alutils.plots.style import arm_name
from alutils.stats import intervals

CLAIMS = {
    "active beats random": ("active", "random"),
    "auto-labelling at once adds to active": ("auto_at_once", "active"),
    "confident-first auto-labelling adds to active": ("auto_confident_first", "active"),
}
"""What the article's table says, each as two arms of which the first is to be the better one."""


def accuracies(draws: Replicates) -> pd.DataFrame:
    """Return the accuracy on all test digits in the end, a row a draw, a column an arm."""
    last = draws.last.assign(accuracy=lambda t: t["n_right_test"] / t["n_test"])
    return last.pivot(index="replicate", columns="arm", values="accuracy")[list(procedure.ARMS)]


def compared(draws: Replicates) -> dict[str, intervals.Paired]:
    """Return the paired differences of `CLAIMS`."""
    of = accuracies(draws)
    return {
        claim: intervals.paired(of[ours].to_numpy(), of[base].to_numpy())
        for claim, (ours, base) in CLAIMS.items()
    }


def sound(draws: Replicates) -> Finding:
    """Show what active learning and both kinds of automatic labels are worth, pairwise."""
    results, n_test = compared(draws), int(draws.table["n_test"].max())
    told = [
        f"{what}: {100 * result.mean:+.1f} points ({100 * result.low:+.1f} to "
        f"{100 * result.high:+.1f})"
        for what, result in zip(
            ("Active minus random", "automatic labels at once add", "confident first they add"),
            results.values(), strict=True,
        )
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            {"claim": claim, **vars(result), "verdict": result.verdict, "n_test": n_test}
            for claim, result in results.items()
        ]
    )
    return Finding(
        f"{'; '.join(told)}; 95% intervals, {draws.n} draws.",
        figure=curves.differences(
            {
                "active - random": results["active beats random"],
                "automatic at once - active": results["auto-labelling at once adds to active"],
                "confident first - active": results[
                    "confident-first auto-labelling adds to active"
                ],
            }
        ),
        name="sound_differences",
        alt="Three paired differences in test accuracy with 95% intervals: active minus random, "
        "auto-labelled at once minus active, confident first minus active; zero is marked.",
        rows=draws.rows(stop_split="validation", test_split="test"),
        tables={"mnist_sound_differences": table},
    )


def sentences(draws: Replicates) -> Finding:
    """Say of each claim whether it is so, above the accuracy of every arm."""
    n_test = int(draws.table["n_test"].max())
    lines = [result.sentence(claim, n_test) for claim, result in compared(draws).items()]
    table = (100 * accuracies(draws)).agg(["mean", "std", "min", "max"]).T
    table.columns = pd.Index(["mean", "sd", "lowest", "highest"])
    table.index = pd.Index([arm_name(arm) for arm in table.index], name="accuracy, %")
    return Finding(
        "\n\n".join(line[0].upper() + line[1:] for line in lines),
        name="sound_claims",
        table=table.map("{:.2f}".format),
    )


def sound_curve(draws: Replicates) -> Finding:
    """Show random and active labels at the same label counts."""
    table, n_test = draws.table, int(draws.table["n_test"].max())
    rows = table[table["arm"].isin(["random", "active"])].assign(
        seed=table["replicate"], value=100 * table["n_right_test"] / table["n_test"]
    )
    means = intervals.over_seeds(rows, ["arm", "n_human"]).rename(
        columns={"n_human": "n", "mean": "middle"}
    )
    means[["low", "high"]] = means[["low", "high"]].clip(0, 100)
    arms = {arm: means[means["arm"] == arm] for arm in ("random", "active")}
    at = {arm: part.set_index("n")["middle"] for arm, part in arms.items()}
    return Finding(
        _about_curve(at, compared(draws)["active beats random"], draws.digits.budget),
        figure=curves.learning_curves(
            arms,
            xlabel="human labels",
            ylabel=f"share of {n_test:,} test digits right (%)",
            title=f"Sound protocol, {draws.n} draws: mean and its 95% interval",
        ),
        name="sound_curve",
        alt="Mean share of all test digits right against human labels, random and active, each "
        "with the 95% interval of the mean over draws.",
        tables={"mnist_sound_curves": means.rename(columns={"middle": "mean"}).round(4)},
    )


def _about_curve(at: Mapping[str, pd.Series], difference: intervals.Paired, budget: int) -> str:
    """Say from where on the mean of active labels is the higher one, and what is sure at the end.

    ``at``: by arm, the mean in per cent by label count. ``difference``: active minus random in the
    end.
    """
    behind = [n for n, value in at["active"].items() if value < at["random"][n]]
    ends = " and ".join(f"{values[budget]:.1f}% {arm}" for arm, values in at.items())
    if not behind:
        told = "The mean of active labels is never below that of random ones"
    elif max(behind) == budget:
        told = "The mean of active labels is below that of random ones at the end"
    else:
        told = (
            "The mean of active labels is above that of random ones for good only after "
            f"{max(behind)} labels"
        )
    mean, low, high = (100 * value for value in (difference.mean, difference.low, difference.high))
    return (
        f"{told}. At {budget} the means are {ends}: {mean:+.1f} points ({low:+.1f} to "
        f"{high:+.1f}). The claim that active labels are better is {difference.verdict}."
    )
