"""When to stop: rules that watch the same loops, and where each would have ended them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active import stopping
from alutils.active.strategies import registry
from alutils.base.errors import ParameterError
from alutils.experiments.advice import TIED, Advice, Advised
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.strategies import comparison
from alutils.experiments.strategies.draws import Pools, every_draw, long_rows
from alutils.stats import intervals

N_VALIDATION = 200
"""Labels that the rules need which look at accuracy; a person has to give these as well."""
LEFT = 0.02
"""A rule misses little that leaves at most so much accuracy to gain."""
NAMES = {
    "target": "85% of validation images right",
    "bound": "lower bound of accuracy over 85%",
    "plateau": "plateau: no rise in 4 rounds",
    "stable": "stable predictions: kappa 0.98 over 3",
    "report": "report: 10% under 0.6",
    "none_unsure": "none unsure: 0% under 0.6",
}
"""What the rules are called in figures and tables."""


VALIDATED = ("target", "bound", "plateau")
"""Rules that look at accuracy: a person gives `N_VALIDATION` labels more for each."""
NEEDS = dict.fromkeys(VALIDATED, f"{N_VALIDATION} validation labels") | {
    "stable": f"{N_VALIDATION} images without labels"
}
"""What a rule needs besides the pool."""


def catalogue() -> Finding:
    """Return the rules that are compared, with what each needs and where it is in code."""
    kinds = {"target": "TargetAccuracy", "bound": "TargetAccuracy", "plateau": "Plateau",
             "stable": "StablePredictions"}  # fmt: skip
    lines = [
        f"{name:38} {kinds.get(rule, 'FewUnsure'):18} needs {NEEDS.get(rule, 'nothing more')}"
        for rule, name in NAMES.items()
    ]
    return Finding("\n".join(lines), exact=True)


def rules(one: comparison.Draw) -> dict[str, stopping.Rule]:
    """Return new rules for one loop, by the keys of `NAMES`; they look at test images first."""
    x, y = one.x_test[:N_VALIDATION], one.y_test[:N_VALIDATION]
    return {
        "target": stopping.TargetAccuracy(x, y, 0.85),
        "bound": stopping.TargetAccuracy(x, y, 0.85, level=0.95),
        "plateau": stopping.Plateau(x, y, 4, gain=0.002),
        "stable": stopping.StablePredictions(x, 0.98),
        "report": stopping.FewUnsure(0.6, 0.1),
        "none_unsure": stopping.none_unsure(0.6),
    }


def watched_curve(pools: Pools, strategy: str, number: int) -> pd.DataFrame:
    """Run one loop which every rule watches and none ends.

    A row a round, with a column for each rule: the labels at which it would have stopped, or 0.
    """
    registry.get(strategy)
    one, fired = pools.draw(number), {}
    watching = rules(one)
    tested = replace(one, x_test=one.x_test[N_VALIDATION:], y_test=one.y_test[N_VALIDATION:])

    def watch(look: stopping.Look) -> None:
        for rule, stop in watching.items():
            if rule not in fired and stop(look):
                fired[rule] = look.n_human

    table = comparison.learning_curve(
        tested, strategy, [number, 1], stop=watch, batch=pools.batch, budget=pools.budget
    )
    return table.assign(**{rule: fired.get(rule, 0) for rule in watching})


@dataclass(frozen=True)
class Watched:
    """Loops that rules watched: all curves, and the rounds at which rules would have ended them.

    ``ended``: columns seed, n_human, value, rule (a key of `NAMES`), and ``labels``, all that a
    person gives: those of the loop, ``n_human``, and the rule's validation labels.
    """

    pools: Pools
    curves: pd.DataFrame
    ended: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """A row a rule: draws, labels, fewest, most, validation, accuracy, left to gain.

        ``labels``, ``fewest``, ``most``: all that a person gives, ``validation`` of them to the
        rule; ``left``: accuracy to gain until the end of the loop.
        """
        top = self.curves[self.curves["n_human"] == self.pools.budget].set_index("seed")["value"]
        rows = []
        for rule in NAMES:
            own = self.ended[self.ended["rule"] == rule].set_index("seed")
            labels = own["labels"]
            rows.append(
                {
                    "rule": rule, "draws": len(own), "labels": labels.mean(),
                    "fewest": labels.min(), "most": labels.max(),
                    "validation": N_VALIDATION if rule in VALIDATED else 0,
                    "accuracy": own["value"].mean(),
                    "left": (top - own["value"]).mean(),  # of the draws that it ended
                }
            )  # fmt: skip
        return pd.DataFrame(rows).set_index("rule")


def watch(pools: Pools, keep: Keep = compute) -> Watched:
    """Run margin three times as long as the budget, or to the end of the pool, under all rules."""
    if pools.n_test < 2 * N_VALIDATION:
        raise ParameterError(
            "data",
            pools.images.name,
            f"{pools.n_test} test images; the rules take {N_VALIDATION} of them",
            f"expected {2 * N_VALIDATION} or more",
        )
    longer = replace(pools, budget=min(3 * pools.budget, pools.room))
    curves = every_draw("stopping", longer, ("margin",), watched_curve, keep)
    long = curves.melt(["seed", "n_human", "value"], list(NAMES), var_name="rule", value_name="at")
    ended = long[long["n_human"] == long["at"]].drop(columns="at")
    given = ended["n_human"] + N_VALIDATION * ended["rule"].isin(VALIDATED)
    return Watched(longer, curves, ended.assign(labels=given))


def endings(found: Watched) -> Finding:
    """Show where every rule would have ended each loop."""
    ended, longest = found.ended, found.pools.budget
    labels = ended.groupby("rule")["labels"].mean()
    silent = [NAMES[rule] for rule in NAMES if rule not in labels.index]
    first = f"{NAMES[str(labels.idxmin())]}, {labels.min():.0f} labels" if len(labels) else "none"
    figure = plots.endings(
        found.curves,
        ended.assign(rule=ended["rule"].map(NAMES)),
        list(NAMES.values()),
        f"Learning curves of {found.pools.seeds} loops, and where each rule ends them",
    )
    text = (
        f"The fewest labels on average, validation labels included: {first}. Never within a loop "
        f"of {longest} labels: {', '.join(silent) or 'none'}."
    )
    alt = (
        "Learning curves in grey. Below, a row for each stopping rule: a marker at all the labels "
        "that a person has given when it ends a loop, a black bar at their mean, and a grey one "
        "for the validation labels in it."
    )
    rows = long_rows(found.curves, "stopping")
    return Finding(text, figure=figure, name="stopping", alt=alt, rows=rows)


def stopping_points(found: Watched) -> Advised:
    """Return what each rule costs and misses, and which of the good ones are tied."""
    table, pools = found.table, found.pools
    near = table[(table["left"] <= LEFT) & (table["draws"] == pools.seeds)].sort_values("labels")
    later = _later(found, list(near.index))
    shown = table.assign(left=100 * table["left"]).rename(index=NAMES).rename(
        columns={
            "draws": "loops ended", "labels": "labels, mean", "fewest": "labels, fewest",
            "most": "labels, most", "validation": "of these validation",
            "left": "left to gain, points",
        }
    )  # fmt: skip
    styled = shown.style.format("{:.0f}", na_rep="")
    styled = styled.format("{:.1%}", subset=["accuracy"], na_rep="")
    styled = styled.format("{:.1f}", subset=["left to gain, points"], na_rep="")
    use, because = _advised(found, near, later)
    text = (
        f"Rules that ended all {pools.seeds} loops with at most {100 * LEFT:g} points left to "
        f"gain: {', '.join(NAMES[str(rule)] for rule in near.index) or 'none'}. To use: {use}."
    )
    advice = (Advice("when to stop", use, because),)
    return Advised(text, name="stopping_points", table=styled, advice=advice)


def _later(found: Watched, near: list[str]) -> Mapping[str, tuple[intervals.Paired, bool]]:
    """Return how many labels more each rule takes than the first, and whether that is sure."""
    if len(near) < 2:
        return {}
    at = found.ended.pivot(index="seed", columns="rule", values="labels")[near]
    ratio = found.pools.test_to_train
    apart = {rule: intervals.paired(at[rule], at[near[0]], ratio) for rule in near[1:]}
    sure = intervals.holm(np.array([result.p for result in apart.values()]))
    return {rule: (r, bool(s)) for (rule, r), s in zip(apart.items(), sure, strict=True)}


def _advised(
    found: Watched, near: pd.DataFrame, later: Mapping[str, tuple[intervals.Paired, bool]]
) -> tuple[str, str]:
    """Return which rules to use, and why."""
    if not len(near):
        return "no rule ended all loops in time", f"{found.pools.budget} labels, {len(NAMES)} rules"
    first = str(near.index[0])
    tied = [rule for rule, (_, sure) in later.items() if not sure]
    use = " or ".join(NAMES[rule] for rule in (first, *tied))
    use += f" ({TIED})" if tied else ""
    differences = "".join(
        f"; {NAMES[rule]} {r.mean:+.0f} labels ({r.low:+.0f} to {r.high:+.0f})"
        for rule, (r, _) in later.items()
    )
    because = (
        f"the fewest labels (validation labels included) of the rules that leave at most "
        f"{100 * LEFT:g} points: {NAMES[first]}, {near.loc[first, 'labels']:.0f} labels"
        f"{differences}; {found.pools.seeds} loops"
    )
    return use, because
