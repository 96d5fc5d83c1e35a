"""Strategies compared draw by draw on digits and letters, and what a choice costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState, View
from alutils.active.strategies import registry
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.strategies import comparison, results
from alutils.experiments.strategies.draws import Pools, every_draw, long_rows, one_thread
from alutils.models.estimator import Estimator
from alutils.plots import arm_name

ARMS = {
    "digits": (
        "random", "margin", "least_confident", "entropy", "bald", "expected_gradient_length",
        "badge", "k_center_greedy",
    ),
    "letters": ("random", "margin", "entropy", "badge"),
}  # fmt: skip
"""Strategies that the notebook compares itself; the sweep of `curves` has them all."""
KNOWN = 100
"""Labels that are known when a choice is timed."""


@dataclass(frozen=True)
class Comparison:
    """Learning curves of strategies, draw by draw.

    ``curves``: by data set, a row a round, draw and strategy; ``pools``: what they were run on.
    """

    curves: Mapping[str, pd.DataFrame]
    pools: Mapping[str, Pools]

    def together(self) -> pd.DataFrame:
        """Return all curves in one table, ``protocol`` the data set."""
        return pd.concat([t.assign(protocol=name) for name, t in self.curves.items()])

    def summary(self) -> pd.DataFrame:
        """Return the areas and their differences to random; see `results.summary`."""
        ratios = {name: own.test_to_train for name, own in self.pools.items()}
        return results.summary(self.together(), test_to_train=ratios)

    def titles(self, text: str = "{name}") -> dict[str, str]:
        """Return what panels are called; letters that are rendered say so on a second line."""
        return {
            name: own.images.title(text.format(name=name, room=own.room)).replace(" (", "\n(")
            for name, own in self.pools.items()
        }


def compare(
    pools: Mapping[str, Pools], arms: Mapping[str, Sequence[str]] = ARMS, keep: Keep = compute
) -> Comparison:
    """Run strategies on every draw of every data set, each curve kept as a part of its own."""
    curves = {name: every_draw(name, own, arms[name], keep=keep) for name, own in pools.items()}
    return Comparison(curves, pools)


def learning_curves(compared: Comparison) -> Finding:
    """Show accuracy against labels, a panel for each data set."""
    means = {
        name: results.mean_curves(
            table.assign(protocol=name), {name: compared.pools[name].test_to_train}
        )
        for name, table in compared.curves.items()
    }
    titles = compared.titles("{name}, {room:,} in the pool")
    first, pools = next(iter(compared.pools.items()))
    ends = means[first].groupby("arm")["mean"].last()
    figure = plots.curve_panels(
        {titles[name]: table for name, table in means.items()},
        f"Mean of {pools.seeds} draws, 95% interval of the mean",
    )
    text = (
        f"With {pools.budget} labels of {first}: random {ends['random']:.1%}, best "
        f"{arm_name(ends.idxmax())} {ends.max():.1%}, worst {arm_name(ends.idxmin())} "
        f"{ends.min():.1%}."
    )
    alt = "Test accuracy against human labels for several strategies, with bands."
    rows = pd.concat([long_rows(table, name) for name, table in compared.curves.items()])
    return Finding(text, figure=figure, name="curves", alt=alt, rows=rows)


def gains(compared: Comparison) -> Finding:
    """Show what each strategy adds to the area under the curve, compared draw by draw."""
    summary = compared.summary()
    better = summary[summary["verdict"] == "better"].groupby("protocol")["arm"].agg(list)
    told = "; ".join(
        f"on {name} {', '.join(map(arm_name, better.get(name, []))) or 'none'}"
        for name in compared.pools
    )
    draws = summary["seeds"].min()
    figure = plots.gains(
        summary,
        compared.titles(),
        f"Area under the curve, less that of random ({draws} draws, 95% interval)",
    )
    text = f"Better than random, after Holm's correction, with {draws} draws: {told}."
    alt = (
        "For each strategy the mean gain over random in area under the learning curve, with its "
        "interval, a panel for each data set."
    )
    tables = {"strategies_gains": summary.round(6)}
    return Finding(text, figure=figure, name="gains", alt=alt, tables=tables)


def standings(compared: Comparison) -> Finding:
    """Return the mean accuracy, the gain and the draws won, tied and lost, as a table."""
    summary, columns = compared.summary(), {}
    for name, title in compared.titles().items():
        own = summary[summary["protocol"] == name].set_index("arm")
        wins = own[["win", "tie", "loss"]].astype(int).astype(str).agg("/".join, axis=1)
        title = title.replace("\n", " ")
        columns[title, "mean accuracy"] = own["area"].map("{:.1%}".format)
        columns[title, "gain, points"] = (100 * own["gain"]).map("{:+.1f}".format)
        columns[title, "draws won/tied/lost"] = wins
    everywhere, elsewhere = plots.by_gain(summary)
    table = pd.DataFrame(columns).reindex(everywhere + elsewhere).fillna("")
    table.index = pd.Index(map(arm_name, table.index), name="strategy")
    ranked = ", ".join(arm_name(arm) for arm in everywhere if arm != "random")
    over = "both" if len(compared.pools) == 2 else f"{len(compared.pools)}"
    return Finding(f"By mean gain over {over} data sets: {ranked}.", name="standings", table=table)


@one_thread
def batch_seconds(pools: Pools) -> pd.DataFrame:
    """Return how long each strategy takes to choose one batch: strategy, seconds, grows_with."""
    one, known = pools.draw(pools.seed), min(KNOWN, pools.room // 2)
    state = PoolState.start(len(one.y))
    state.book.add(state.pool[:known], one.y[:known], Source.HUMAN, 0)
    state.pool = state.pool[known:]
    model = Estimator(one.n_classes).fit(one.x[:known], one.y[:known])
    rows = []
    for name, strategy in registry.STRATEGIES.items():
        query = comparison.query(one, name, pools.seed)
        began = time.perf_counter()
        query(View(model, one.x, state, pools.batch))
        rows.append((name, time.perf_counter() - began, strategy.cost))
    return pd.DataFrame(rows, columns=["strategy", "seconds", "grows_with"])


def costs(pools: Pools, keep: Keep = compute) -> Finding:
    """Show how long each strategy takes to choose one batch."""
    table = keep(batch_seconds, pools).sort_values("seconds", ignore_index=True)
    by = table.set_index("strategy")
    figure = plots.arm_dots(
        by[["seconds"]],
        {"seconds": "seconds for one batch"},
        f"Seconds to choose {pools.batch} of {pools.room - min(KNOWN, pools.room // 2):,} digits, "
        "on one thread",
        log=True,
    )
    slow = by.index[-1]
    times = by.loc[slow, "seconds"] / by.loc["margin", "seconds"]
    order = np.floor(np.log10(times))  # times differ from run to run: an order of magnitude
    than = f"more than {10**order:,.0f} times" if order else "less than 10 times"
    text = f"The slowest, {arm_name(slow)}, takes {by['seconds'].max():.2g} s"
    text += "." if slow == "margin" else f", {than} as long as margin."
    shown = pd.DataFrame(
        {
            "strategy": table["strategy"].map(arm_name),
            "seconds": table["seconds"].map("{:.3f}".format),
            "grows with": table["grows_with"],
        }
    )
    alt = "For every strategy a dot on a logarithmic axis: the seconds for choosing one batch."
    styled = shown.style.hide(axis="index").set_caption(
        "n items, c classes, d features, m members, b labels in a batch"
    )
    return Finding(text, figure=figure, name="costs", alt=alt, table=styled)
