"""Where a choice is harder: large batches, no label yet, classes that are rare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active.loops.pool import PoolState, pool_based
from alutils.active.oracles import Perfect
from alutils.active.strategies import registry
from alutils.experiments.advice import Advice, Advised, in_points
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.strategies import comparison, results
from alutils.experiments.strategies.benchmark import Comparison
from alutils.experiments.strategies.draws import (
    Pools,
    every_draw,
    long_rows,
    one_thread,
    pool_curve,
)
from alutils.models.estimator import Estimator
from alutils.plots import arm_name

BATCHED = ("random", "margin", "badge")
SPREAD = (*BATCHED, "margin_and_k_center", "k_center_greedy")
STARTS = ("random", "k_center_greedy", "typiclust")


@dataclass(frozen=True)
class Sizes:
    """Batches that are compared: a small one, one between, a large one."""

    small: int
    middle: int
    large: int

    @classmethod
    def within(cls, pools: Pools) -> Sizes:
        """Return sizes of which the budget holds two large batches after the first labels."""
        large = max(1, (pools.budget - pools.batch) // 2)
        return cls(min(10, large), min(50, large), large)

    @property
    def each(self) -> list[int]:
        return sorted({self.small, self.middle, self.large})


def batches(pools: Pools, keep: Keep = compute) -> Advised:
    """Show the same labels asked for in small and in large batches, and how far these spread."""
    sizes, first = Sizes.within(pools), pools.batch
    budget = first + 2 * sizes.large
    frames = [
        every_draw(
            f"batches of {size}", pools, BATCHED, keep=keep, batch=size, first=first, budget=budget
        ).assign(size=size)
        for size in sizes.each
    ]  # fmt: skip
    table = pd.concat(frames, ignore_index=True)
    ratio = {"sound": pools.test_to_train}
    figure = plots.curve_panels(
        {f"batches of {size}": results.mean_curves(own, ratio) for size, own in _by_size(table)},
        f"The same labels in small and large batches ({pools.seeds} draws)",
    )
    last = table.groupby(["arm", "size", "seed"])["value"].last().unstack("seed")
    lost = {
        arm: pools.paired(last.loc[arm, sizes.small], last.loc[arm, sizes.large])
        for arm in ("margin", "badge")
    }
    text = (
        f"With {budget} labels, batches of {sizes.small} against {sizes.large}: margin "
        f"{in_points(lost['margin'])}, BADGE {in_points(lost['badge'])}."
    )
    alt = "Test accuracy against labels for random, margin and BADGE, a panel for each batch size."
    numbered = table.assign(arm=table["arm"] + "_" + table["size"].astype(str))
    return Advised(
        text, figure=figure, name="batches", alt=alt, rows=long_rows(numbered, "batch"),
        table=_spread(keep(batch_spread, pools, first, sizes.large), pools, sizes.large),
        advice=(_against(last, pools, sizes.large),),
    )  # fmt: skip


def _by_size(table: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    return [(int(size), own) for size, own in table.groupby("size")]


def _against(last: pd.DataFrame, pools: Pools, large: int) -> Advice:
    """Return whether BADGE is better than margin in large batches."""
    result = pools.paired(last.loc["badge", large], last.loc["margin", large])
    return Advice.compared(f"batches of {large}", "BADGE", "margin", result, "accuracy at the end")


@one_thread
def batch_spread(pools: Pools, first: int, batch: int) -> pd.DataFrame:
    """Return how a first large batch spreads: seed, strategy, distance, classes.

    ``distance``: of an image to the nearest other one of the batch, on average; ``classes``: how
    many the batch holds.
    """
    rows = []
    for number in pools.numbers:
        one = pools.draw(number)
        for name in SPREAD:
            query, state = comparison.query(one, name, [number, 1]), PoolState.start(len(one.y))
            rounds = pool_based(
                one.x, Perfect(one.y), Estimator(one.n_classes), query, state,
                first=first, batch=batch, budget=first + batch,
            )  # fmt: skip
            items = list(rounds)[1].items
            between = np.linalg.norm(one.x[items][:, None] - one.x[items][None], axis=2)
            np.fill_diagonal(between, np.inf)
            rows.append((number, name, between.min(axis=1).mean(), len(np.unique(one.y[items]))))
    return pd.DataFrame(rows, columns=["seed", "strategy", "distance", "classes"])


def _spread(table: pd.DataFrame, pools: Pools, large: int) -> pd.io.formats.style.Styler:
    means = table.groupby("strategy", sort=False)[["distance", "classes"]].mean()
    means["of random"] = means["distance"] / means.loc["random", "distance"]
    means.index = pd.Index(map(arm_name, means.index), name="strategy")
    return means.style.format("{:.2f}").set_caption(
        f"The first batch of {large}: distance to the nearest other image of it, and its classes "
        f"(means of {pools.seeds} draws)"
    )


@one_thread
def start_curve(pools: Pools, first: str, number: int, n_first: int) -> pd.DataFrame:
    """Choose the first labels by one strategy, all later ones by margin; a row a round."""
    one = pools.draw(number)
    nothing = registry.Context(np.zeros(len(one.y), bool), features=one.x)
    items = registry.get(first).select(nothing, n_first, np.random.default_rng([number, 2]))
    order = np.concatenate([items, np.setdiff1d(np.arange(len(one.y)), items)])
    options = {"first": n_first, "batch": n_first, "budget": min(6 * n_first, pools.room)}
    state = PoolState.start(len(one.y), order)
    return pool_curve(pools, "margin", number, state=state, **options)


def cold_starts(pools: Pools, keep: Keep = compute) -> Advised:
    """Show what the first labels are worth, chosen by chance, by k-center or by TypiClust."""
    n_first = min(20, pools.batch)
    table = every_draw("cold starts", pools, STARTS, start_curve, keep, n_first=n_first)
    begin = table[table["round"] == 0]
    accuracy = begin.pivot(index="seed", columns="arm", values="value")
    seen = begin.groupby("arm")["classes"].mean()
    areas = results.areas(table).pivot(index="seed", columns="arm", values="area")
    at_first, later = (pools.paired(t["typiclust"], t["random"]) for t in (accuracy, areas))
    classes = len(pools.images.classes)
    figure = plots.curve_panels(
        {
            f"{n_first} first labels, then margin": results.mean_curves(
                table, {"sound": pools.test_to_train}
            )
        },
        f"How the first labels are chosen ({pools.seeds} draws, 95% interval of the mean)",
    )
    text = (
        f"With {n_first} labels TypiClust is {in_points(at_first)} from random and has seen "
        f"{seen['typiclust']:.1f} of {classes} classes (random {seen['random']:.1f}); over the "
        f"whole curve it is {in_points(later)} from random."
    )
    alt = "Test accuracy against labels after three kinds of first labels, all continued by margin."
    advice = Advice.compared(
        "no label yet", "TypiClust for the first labels", "random first labels", at_first,
        f"accuracy after {n_first}",
    )  # fmt: skip
    return Advised(
        text, figure=figure, name="cold_start", alt=alt, rows=long_rows(table, "cold"),
        advice=(advice,),
    )  # fmt: skip


def classes_seen(compared: Comparison, name: str = "letters") -> Finding:
    """Show how many classes of a data set have a label as labels are spent."""
    pools, table = compared.pools[name], compared.curves[name]
    n_classes = len(pools.images.classes)
    means = results.mean_curves(
        table.assign(value=table["classes"]), {"sound": pools.test_to_train}
    )
    early = np.unique(table["n_human"])[:4][-1]  # the fourth round, or the last of fewer
    after = table[table["n_human"] == early].groupby("arm")["classes"].mean()
    after = after.sort_values(ascending=False)
    figure = plots.curve_panels(
        {pools.images.title(f"{n_classes} classes").replace(" (", "\n("): means},
        f"Classes of {name} with a label ({pools.seeds} draws)",
        ylabel="classes with a label",
        limits=(0, n_classes),
    )
    told = ", ".join(f"{arm_name(arm)} {value:.1f}" for arm, value in after.items())
    text = f"After {early} labels: {told} of {n_classes} classes."
    alt = "Number of classes that have at least one label against the number of labels."
    return Finding(text, figure=figure, name="classes_seen", alt=alt)
