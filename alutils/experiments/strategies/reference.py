"""What the reference benchmark in results/ says: the answer, and what to use when."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alutils import plots
from alutils.base.files import repository_root
from alutils.experiments import advice, kept_results
from alutils.experiments.advice import Advised, as_wide_text
from alutils.experiments.base import Answer, Finding
from alutils.experiments.strategies import results
from alutils.experiments.strategies.ranking import ranking
from alutils.plots import arm_name

COMMAND = "python -m alutils sweep notebooks/sweeps/strategies.yaml"
MORE = "strategies_lower"
"""The benchmark on small letters, which are a file of one's own, has tables of its own."""
DRAWN = (3, 2)
"""Of the strategies, so many of the best and of the worst are drawn as curves."""


def answer() -> Answer:
    """Return what the reference benchmark comes to."""
    figure = "strategies_gains"
    if not _there():
        missing = f"The reference benchmark is not in results/ yet. `{COMMAND}` makes it."
        return Answer((missing,), figure)
    summary, best = _published("summary"), _published("best")
    lines = (_which_one(summary, best), _who_helps(summary), _what_it_costs(summary))
    return Answer(lines, figure)


def _mean_gains(summary: pd.DataFrame) -> pd.Series:
    """Return each strategy's gain over random, the mean of all settings."""
    return summary[summary["arm"] != results.BASELINE].groupby("arm")["gain"].mean()


def _which_one(summary: pd.DataFrame, best: pd.DataFrame) -> str:
    """Return which strategy to use, if any: the one that gains most, where it is sure to gain."""
    gain, n_settings = _mean_gains(summary), summary["protocol"].nunique()
    top, over = gain.idxmax(), f"Over {n_settings} settings and {summary['seeds'].min()} draws of"
    if gain[top] <= 0:
        return (
            f"**Draw at random.** {over} each no strategy adds to the mean accuracy: "
            f"{arm_name(top)}, which comes nearest, changes it by {100 * gain[top]:+.1f} points."
        )
    if top in _never(summary):
        return (
            f"**No strategy is clearly the one to use.** {over} each {arm_name(top)} adds most to "
            f"the mean accuracy, {100 * gain[top]:.1f} points, and is better than random sampling "
            "in no setting."
        )
    tied = best.groupby("arm")["protocol"].nunique().get(top, 0)
    return (
        f"**Ask by {arm_name(top)}.** {over} each it "
        f"adds {100 * gain[top]:.1f} points to the mean accuracy, more than any other strategy. It "
        f"is the best, or statistically tied with the best, in {tied} of {n_settings} settings."
    )


def _who_helps(summary: pd.DataFrame) -> str:
    """Return which strategies are better than random in no setting, and which only in some."""
    never, at_times = _never(summary), _at_times(summary)
    n_others = len(_mean_gains(summary))
    if len(never) == n_others:
        return f"**No strategy helps.** None of {n_others} is better than random sampling anywhere."
    if not never and not at_times:
        return (
            f"**Every strategy helps.** All {n_others} are better than random sampling in every "
            "setting."
        )
    return (
        f"**Not every strategy helps.** Better than random sampling in no setting: "
        f"{_listed(never)}. Only in some settings: {_listed(at_times)}."
    )


def _what_it_costs(summary: pd.DataFrame) -> str:
    """Return whether the strategy that takes longest gains most."""
    gain, seconds = _mean_gains(summary), summary.groupby("arm")["seconds"].mean()
    timed = seconds.reindex(gain.index).dropna()
    if timed.empty:
        return "**What a choice costs was not measured.** The reference benchmark has no times."
    top, slow = gain[timed.index].idxmax(), timed.idxmax()
    if top == slow:
        alone = seconds.get(results.BASELINE)
        beside = f" and {alone:.1f} s with random sampling" if pd.notna(alone) else ""
        return (
            f"**The slowest strategy is also the best.** A learning curve takes "
            f"{seconds[top]:.1f} s with {arm_name(top)} ({100 * gain[top]:+.1f} points){beside}."
        )
    return (
        f"**The slowest strategy is not the best.** A learning curve takes {seconds[top]:.1f} s "
        f"with {arm_name(top)} ({100 * gain[top]:+.1f} points) and {seconds[slow]:.0f} s with "
        f"{arm_name(slow)} ({100 * gain[slow]:+.1f} points)."
    )


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
        always.append(set(arms))
        gain = 100 * own.loc[top, ["gain", "low", "high"]]
        rows.append(
            {
                "setting": results.TITLES.get(str(setting), str(setting)),
                "best": f"{arm_name(top)}, {gain['gain']:+.1f} points "
                f"({gain['low']:+.1f} to {gain['high']:+.1f})",
                "statistically tied with it": _listed(arms[1:]),
                "not better than random": _listed(no_better[str(setting)]),
                "seconds for a curve": f"{own.loc[top, 'seconds']:.1f}"
                + (
                    f"; cheapest of the tied: {arm_name(cheapest)}, "
                    f"{own.loc[cheapest, 'seconds']:.1f}"
                    if cheapest != top
                    else ""
                ),
            }
        )
    everywhere = sorted(set.intersection(*always))
    text = (
        f"Best or statistically tied with the best in every setting: {_listed(everywhere)} "
        f"({summary['seeds'].min()} draws of each setting, from the reference benchmark)."
    )
    unsure = {arm for arms in no_better.values() for arm in arms} | {results.BASELINE}
    if idle := [arm for arm in everywhere if arm in unsure]:
        text += f" Not better than random in every setting: {_listed(idle)}."
    return Finding(text, name="what_to_use", table=as_wide_text(pd.DataFrame(rows)))


def ranks() -> Finding:
    """Rank the strategies over all settings that were published, and say whether ranks tell."""
    if not _there():
        return Finding(f"The reference benchmark is not in results/ yet. `{COMMAND}` makes it.")
    ranked = ranking(_all_settings())
    mean, tied, n = ranked.mean, ranked.tied, ranked.ranks.shape[1]
    first = {
        results.TITLES.get(str(setting), str(setting)): arm_name(own.idxmin())
        for setting, own in ranked.ranks.items()
    }
    worse = [arm for arm in mean.index if arm not in tied]
    text = (
        f"Over {n} settings {arm_name(mean.index[0])} has the best mean rank, {mean.iloc[0]:.1f} "
        f"of {len(mean)}. Mean ranks differ significantly from {ranked.critical:.1f} on. So "
        f"{len(tied) - 1} of the others are statistically tied with it; significantly worse: "
        f"{_listed(worse)}. First are "
        + "; ".join(f"{arm} on {setting}" for setting, arm in first.items())
        + "."
    )
    alt = (
        "The mean rank of each strategy as a dot, its ranks in the settings as small marks; a grey "
        "band reaches from the best as far as ranks are statistically tied with it."
    )
    figure = plots.ranks(
        ranked.ranks, ranked.critical, f"Ranks of the strategies in {n} settings (1 is the best)"
    )
    return Finding(text, figure=figure, name="ranks", alt=alt)


def _all_settings() -> pd.DataFrame:
    """Return the summaries of all benchmarks of strategies that were published."""
    more = kept_results.table(f"{MORE}_summary")
    summaries = [_published("summary"), *([] if more is None else [more])]
    return pd.concat(summaries, ignore_index=True)


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
        {
            title: drawn[drawn["protocol"] == name]
            for name, title in results.TITLES.items()
            if (drawn["protocol"] == name).any()
        },
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
