"""What the reference benchmark in results/ says: the answer, and what to use when."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alutils import plots
from alutils.base.files import repository_root
from alutils.experiments import advice
from alutils.experiments.advice import Advised, as_wide_text
from alutils.experiments.base import Answer, Finding
from alutils.experiments.strategies import results
from alutils.plots import arm_name

COMMAND = "python -m alutils sweep notebooks/sweeps/strategies.yaml"
DRAWN = (3, 2)
"""Of the strategies, so many of the best and of the worst are drawn as curves."""


def answer() -> Answer:
    """Return what the reference benchmark comes to."""
    figure = "strategies_gains"
    if not _there():
        missing = f"The reference benchmark is not in results/ yet. `{COMMAND}` makes it."
        return Answer((missing,), figure)
    summary, best = _published("summary"), _published("best")
    settings = list(summary["protocol"].unique())
    gain = summary[summary["arm"] != results.BASELINE].groupby("arm")["gain"].mean()
    top, draws = gain.idxmax(), summary["seeds"].min()
    tied = best.groupby("arm")["protocol"].nunique().get(top, 0)
    seconds = summary.groupby("arm")["seconds"].mean()
    slow = gain.index[gain > 0].to_series().map(seconds).idxmax()
    lines = (
        f"**Ask by {arm_name(top)}.** Over {len(settings)} settings and {draws} draws of each it "
        f"adds {100 * gain[top]:.1f} points to the mean accuracy, more than any other strategy. It "
        f"is the best, or statistically tied with the best, in {tied} of {len(settings)} settings.",
        f"**Not every strategy helps.** Better than random sampling in no setting: "
        f"{_listed(_never(summary))}. Only in some settings: {_listed(_at_times(summary))}.",
        f"**Cost does not buy accuracy.** A learning curve takes {seconds[top]:.1f} s with "
        f"{arm_name(top)} and {seconds[slow]:.0f} s with {arm_name(slow)}, which adds "
        f"{100 * gain[slow]:.1f} points.",
    )
    return Answer(lines, figure)


def what_to_use() -> Finding:
    """Return the best strategy of each setting, those tied with it, and those of no use."""
    if not _there():
        return Finding(f"The reference benchmark is not in results/ yet. `{COMMAND}` makes it.")
    summary, best = _published("summary"), _published("best")
    no_better = results.no_better_than_random(summary)
    rows, always = [], []
    for setting, tied in best.groupby("protocol", sort=False):
        own = summary[summary["protocol"] == setting].set_index("arm")
        arms = list(tied["arm"])  # the best itself is the first
        top, useful = arms[0], [arm for arm in arms if own.loc[arm, "verdict"] == "better"]
        cheapest = own.loc[useful or arms, "seconds"].idxmin()
        always.append(set(useful))
        gain = 100 * own.loc[top, ["gain", "low", "high"]]
        rows.append(
            {
                "setting": results.TITLES.get(str(setting), str(setting)),
                "best": f"{arm_name(top)}, {gain['gain']:+.1f} points "
                f"({gain['low']:+.1f} to {gain['high']:+.1f})",
                "statistically tied with it": _listed(arms[1:]),
                "not better than random": _listed(no_better[str(setting)]),
                "seconds for a curve": f"{own.loc[top, 'seconds']:.1f}; cheapest of the tied: "
                f"{arm_name(cheapest)}, {own.loc[cheapest, 'seconds']:.1f}",
            }
        )
    everywhere = sorted(set.intersection(*always))
    text = (
        f"Best or statistically tied with the best in every setting: {_listed(everywhere)} "
        f"({summary['seeds'].min()} draws of each setting, from the reference benchmark)."
    )
    return Finding(text, name="what_to_use", table=as_wide_text(pd.DataFrame(rows)))


def what_to_do(findings: Sequence[Advised]) -> Finding:
    """Return all that the findings of a run advise, in one table."""
    return advice.what_to_do(findings, "strategies_advice")


def reference_curves() -> Finding:
    """Show the mean curves of random, and of the best and the worst of the reference benchmark."""
    if not _there():
        return Finding(f"The reference benchmark is not in results/ yet. `{COMMAND}` makes it.")
    summary, curves = _published("summary"), _published("curves")
    # Consensus KL is BALD under another name; it is ranked once.
    ranked, _ = plots.by_gain(summary[~summary["arm"].isin([results.BASELINE, "consensus_kl"])])
    n_best, n_worst = DRAWN
    best, worst = ranked[:n_best], ranked[-n_worst:]
    drawn = curves[curves["arm"].isin([results.BASELINE, *best, *worst])]
    figure = plots.curve_panels(
        {title: drawn[drawn["protocol"] == name] for name, title in results.TITLES.items()},
        f"Random, the best {n_best} and the worst {n_worst} by mean gain "
        f"({summary['seeds'].min()} draws, 95% interval of the mean)",
    )
    text = (
        f"By mean gain over the settings the best are {_listed(best)}; the worst are "
        f"{_listed(worst)}."
    )
    alt = (
        f"Test accuracy against labels for random and the {n_best} best and {n_worst} worst "
        "strategies, a panel for each setting."
    )
    return Finding(text, figure=figure, name="reference_curves", alt=alt)


def _there() -> bool:
    folder = repository_root() / "results"
    return all((folder / f"strategies_{n}.csv").is_file() for n in ("summary", "best", "curves"))


def _published(name: str) -> pd.DataFrame:
    return pd.read_csv(repository_root() / "results" / f"strategies_{name}.csv")


def _never(summary: pd.DataFrame) -> list[str]:
    """Return the strategies that are better than random in no setting."""
    return sorted(set.intersection(*map(set, results.no_better_than_random(summary).values())))


def _at_times(summary: pd.DataFrame) -> list[str]:
    """Return those that are better than random in some settings, and not in others."""
    some = set.union(*map(set, results.no_better_than_random(summary).values()))
    return sorted(some - set(_never(summary)))


def _listed(names: list[str]) -> str:
    return ", ".join(map(arm_name, names)) or "none"
