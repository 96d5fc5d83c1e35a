"""Strategies in two dimensions: what each family asks for, and what families have in common."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import pandas as pd

from alutils import plots
from alutils.active import toys
from alutils.active.strategies import diversity, registry
from alutils.base.checks import check_known
from alutils.experiments.base import Finding
from alutils.plots import arm_name

ASKING = 5
"""Points that each strategy asks for on a toy that is drawn."""
PER_TOY = 10
"""Points that it asks for on toys on which choices are compared."""
FAMILIES = {
    "uncertainty": ("Uncertainty", ("random", "least_confident", "margin", "entropy")),
    "committee": ("Query by committee", ("vote_entropy", "consensus_kl", "bald")),
    "change": (
        "Model change, variance and expected error",
        (
            "expected_gradient_length", "variance_reduction", "expected_error_reduction",
            "one_step_error_reduction",
        ),
    ),
    "coverage": (
        "Diversity and typicality",
        (
            "density_weighted", "k_center_greedy", "badge", "typiclust", "margin_and_random",
            "margin_and_k_center",
        ),
    ),
}  # fmt: skip
"""By family its title and its strategies."""
COMPARED = tuple(name for name in registry.STRATEGIES if name != "expected_error_reduction")
"""Strategies whose choices are compared. Expected error reduction looks at a few random points
only, so that what it has in common with others says nothing of how it chooses."""


def toy(seed: int = 0) -> toys.Toy:
    """Return the toy on which families are shown: 300 points, four labels of each class."""
    return toys.draw(300, 4, np.random.default_rng(seed))


def catalogue() -> Finding:
    """Return what each strategy is called in code, what it needs of a model, and its source."""
    lines = [f"{'strategy':25} {'needs':24} source"]
    for name, strategy in registry.STRATEGIES.items():
        line = f"{name:25} {', '.join(sorted(strategy.needs)) or 'nothing':24} {strategy.source}"
        lines += wrap(line, 88, subsequent_indent=51 * " ", drop_whitespace=True)
    return Finding("\n".join(lines), exact=True)


def family(name: str, of: toys.Toy, seed: int = 0) -> Finding:
    """Show what the strategies of a family ask for on a toy.

    ``name``: one of `FAMILIES`; ``seed``: of the strategies' chance.
    """
    check_known("name", name, FAMILIES)
    title, members = FAMILIES[name]
    columns = 4 if len(members) == 4 else 3
    panels = [toys.panel(of, member, ASKING, seed) for member in members]
    alt = (
        f"Small multiples of one pool of points in three classes, for "
        f"{_listed(members)}: the model's boundary, the utility as a map where there is one, and "
        f"the {ASKING} points that are asked for, numbered."
    )
    figure = plots.two_dimensions(panels, title, columns)
    return Finding(_FOUND[name](of, seed), figure=figure, name=f"toy_{name}", alt=alt)


def _common(of: toys.Toy, one: str, other: str, seed: int) -> int:
    """Return how many points two strategies ask for in common."""
    first, second = (toys.ask(of, name, ASKING, seed).tolist() for name in (one, other))
    return len({*first} & {*second})


def _of_uncertainty(of: toys.Toy, seed: int) -> str:
    alike, apart = (_common(of, n, "margin", seed) for n in ("least_confident", "entropy"))
    return (
        f"Of the {ASKING} points that margin asks for, least confident has {alike}, "
        f"entropy {apart}."
    )


def _of_committee(of: toys.Toy, seed: int) -> str:
    return (
        f"Consensus KL and BALD have {_common(of, 'consensus_kl', 'bald', seed)} of {ASKING} "
        f"points in common, BALD and margin {_common(of, 'bald', 'margin', seed)}."
    )


def _of_change(of: toys.Toy, seed: int) -> str:
    names = ("expected_gradient_length", "variance_reduction", "one_step_error_reduction")
    counts = ", ".join(f"{arm_name(n)} {_common(of, n, 'margin', seed)}" for n in names)
    looked_at = max(registry.RETRAINED_PART, 2 * ASKING)
    left = len(of.x) - len(of.labelled)
    return (
        f"Points in common with margin's {ASKING}: {counts}. Expected error reduction looks at "
        f"{looked_at} random points of {left}, so its choice is not compared."
    )


def _of_coverage(of: toys.Toy, seed: int) -> str:
    typical, gradients = (_common(of, n, "margin", seed) for n in ("typiclust", "badge"))
    without = np.mean(diversity.density(of.x) <= 0)
    return (
        f"Of the {ASKING} points that margin asks for, TypiClust has {typical}, BADGE {gradients}. "
        f"The density is not above 0 for {without:.0%} of the points."
    )


_FOUND = {
    "uncertainty": _of_uncertainty,
    "committee": _of_committee,
    "change": _of_change,
    "coverage": _of_coverage,
}


def in_common(chosen: pd.DataFrame) -> Finding:
    """Show which share of their points strategies have in common; ``chosen`` of `toys.choices`."""
    shared = toys.shared(chosen)
    order, names = toys.alike(shared), list(shared)
    pairs = {(a, b): shared.loc[a, b] for i, a in enumerate(names) for b in names[:i]}
    pairs = {pair: value for pair, value in pairs.items() if value < 1}  # two names of one number
    nearest = max(pairs, key=pairs.__getitem__)
    alone = shared.where(~np.eye(len(names), dtype=bool)).max().nsmallest(3)
    loners = ", ".join(f"{arm_name(name)} ({value:.0%})" for name, value in alone.items())
    n_toys = chosen["draw"].nunique()
    figure = plots.shared_batches(
        shared.loc[order, order],
        f"What strategies have in common: {n_toys} toys, {PER_TOY} points on each",
    )
    text = (
        f"Most alike without being the same: {arm_name(nearest[0])} and {arm_name(nearest[1])}, "
        f"{pairs[nearest]:.0%} in common. Least like any other, with what they share at most: "
        f"{loners}."
    )
    alt = (
        "Lower triangle of a table of strategies: which share of the points asked for two of them "
        "have in common, in per cent."
    )
    return Finding(text, figure=figure, name="shared", alt=alt)


def distances(chosen: pd.DataFrame) -> Finding:
    """Show how unsure the model is of what is asked for, and how far apart these points lie."""
    order = toys.alike(toys.shared(chosen))
    means = chosen.groupby("strategy")[["unsure", "apart"]].mean().loc[order]
    labels = {
        "unsure": "share of the pool that is surer",
        "apart": "distance to the nearest other\nasked for (1: mean in the pool)",
    }
    figure = plots.arm_dots(means, labels, "How unsure the points asked for are, and how far apart")
    near, far = means["apart"].idxmin(), means["apart"].idxmax()
    text = (
        f"{_capital(means['unsure'].idxmax())} asks for the most unsure points. "
        f"{_capital(near)} asks for the closest together ({means.loc[near, 'apart']:.1f}), "
        f"{arm_name(far)} for the farthest apart ({means.loc[far, 'apart']:.1f}; random "
        f"{means.loc['random', 'apart']:.1f})."
    )
    alt = (
        "For every strategy two dots: how unsure the model is of what it asks for, and how far "
        "apart the points of a batch lie. The dotted line is random."
    )
    return Finding(text, figure=figure, name="unsure_apart", alt=alt)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(arm_name, names))


def _capital(arm: str) -> str:
    """Return an arm's name at the beginning of a sentence."""
    name = arm_name(arm)
    return name[0].upper() + name[1:]
