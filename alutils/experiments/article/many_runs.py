"""What the article's numbers are worth: where they stand among replicates, round by round."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from alutils.experiments.article import procedure
from alutils.experiments.article.one_run import OneRun, share_of, stars
from alutils.experiments.article.replication import Replicates
from alutils.experiments.base import Finding
from alutils.plots import curves
from alutils.plots.style import arm_name
from alutils.stats import intervals

PARTS = 10
"""The automatic labels are looked at in so many parts, the most confident first."""


def worth(run: OneRun, noise: Replicates, draws: Replicates) -> Finding:
    """Show where six counts stand among replicates.

    Parameters
    ----------
    run : the run whose counts, or the published ones, are looked at
    noise, draws : replicates of these kinds
    """
    counts, called = run.held_against()
    n, kinds = run.digits.n_test, {kind.name: kind for kind in (noise, draws)}
    records = []
    for name, kind in kinds.items():
        for arm in procedure.ARMS:
            values = kind.last.loc[kind.last["arm"] == arm, "n_right"].to_numpy(float)
            reached = intervals.Reached.by(counts[arm], values)
            records.append(
                {
                    "replicates": f"{name}, {kind.n}", "arm": arm,
                    "mean": values.mean(), "sd": values.std(ddof=1),
                    "lowest": values.min(), "highest": values.max(), called: counts[arm],
                    "percentile": intervals.percentile_of(counts[arm], values),
                    "reached": reached.n, "reached_low": reached.low, "reached_high": reached.high,
                }
            )  # fmt: skip
    table = pd.DataFrame(records)
    active = table[table["arm"] == "active"].iloc[0]
    shares = {name: 100 * active[name] / n for name in ("lowest", "highest", "mean", called)}
    return Finding(
        f"Noise of {noise.noise:g} alone moves active learning from {shares['lowest']:.1f}% to "
        f"{shares['highest']:.1f}% of {n} test digits right (mean {shares['mean']:.1f}%). The "
        f"{shares[called]:.2f}% ({called}) stands at percentile {active['percentile']:.1f}: "
        f"{active['reached']} of {noise.n} replicates reach it (95% interval of their share "
        f"{100 * active['reached_low']:.1f}% to {100 * active['reached_high']:.1f}%).",
        figure=curves.distributions(
            {name: kind.last for name, kind in kinds.items()}, counts, n, called
        ),
        name="distributions",
        alt="For each arm the shares of all replicates as dots, their mean as a bar and the value "
        "that they are held against as a star, under numerical noise and under other draws.",
        rows=[
            row
            for kind in kinds.values()
            for row in kind.rows(stop_split="test", test_split="test_all")
        ],
        tables={"mnist_percentiles": table},
    )


def percentiles(run: OneRun, noise: Replicates, draws: Replicates) -> Finding:
    """Give the numbers of `worth`'s figure as a table."""
    (table,) = worth(run, noise, draws).tables.values()
    shown = table.assign(arm=table["arm"].map(arm_name)).round(1).set_index(["replicates", "arm"])
    return Finding(
        f"Counts of {run.digits.n_test} test digits. Percentile: the share of the replicates below "
        "the count, those equal to it counted half. Reached: how many of them come to the count or "
        "more, and the exact 95% interval of the share of all such replicates that do.",
        table=shown,
    )


def every_round(run: OneRun, noise: Replicates, draws: Replicates) -> Finding:
    """Show the band of the replicates at every round, and what it cannot tell apart."""
    counts, called = run.held_against()
    digits, by = run.digits, ["kind", "arm", "round", "n_human", "n_auto"]
    rounds = pd.concat([kind.table.assign(kind=kind.name) for kind in (noise, draws)])
    rounds = rounds[rounds["arm"].isin(["active", "auto_confident_first"])]
    band = intervals.bands(rounds, by, "n_right")
    wrong = intervals.bands(rounds, by, "n_auto_wrong")
    table = band.merge(wrong, on=by, suffixes=("_right", "_auto_wrong")).round(4)
    noisy = band[band["kind"] == noise.name].assign(n=lambda t: t["n_human"] + t["n_auto"])
    gaps = [abs(counts[a] - counts[b]) for a, b in itertools.combinations(procedure.ARMS, 2)]
    width = (noisy["high"] - noisy["low"]).iloc[-1]
    smaller = sum(gap < width for gap in gaps)
    return Finding(
        f"At the end the band is {100 * width / digits.n_test:.1f} points wide: wider than "
        f"{smaller} of the {len(gaps)} differences between the six values ({called}).",
        figure=curves.learning_curves(
            {arm: noisy[noisy["arm"] == arm] for arm in ("active", "auto_confident_first")},
            scale=digits.n_test / 100,
            published=stars(run),
            starred=called,
            xlabel="labels, human and then automatic",
            ylabel=share_of(digits),
            title=f"{noise.n} replicates under numerical noise: median, 5 to 95% band",
        ),
        name="replicate_curves",
        alt="Median share of the test digits right over replicates at every round, with a band "
        "from the 5th to the 95th percentile; stars are the values that they are held against.",
        tables={"mnist_curves": table},
    )


def wrong_labels(noise: Replicates, draws: Replicates) -> Finding:
    """Show in which part of the automatic labels, by confidence, the wrong ones are."""
    n_auto = int(noise.last["n_auto"].max())
    if not n_auto:
        return Finding("The budget labelled everything: there are no automatic labels.")
    parts = {kind.name: wrong_by_part(kind.table) for kind in (noise, draws)}
    shares = parts[noise.name].pivot(index="replicate", columns="part", values="share")
    n_wrong = shares.mean(axis=1).mean() / 100 * n_auto
    n_early = wrong_in_first_half(noise.table).mean()
    sorts = "sorts" if n_early < n_wrong / 2 else "does not sort"
    first, last = shares.mean().iloc[[0, -1]]
    if shares.shape[1] > 1:
        text = (
            f"Confidence {sorts} the automatic labels: {n_wrong:.0f} of {n_auto:,} are wrong, and "
            f"{n_early:.0f} of these are in the more confident half. In the first part "
            f"{first:.1f}% are wrong, in the last {last:.0f}% (means, {noise.name})."
        )
    else:
        text = (
            f"{n_wrong:.0f} of {n_auto:,} automatic labels are wrong (mean, {noise.name}). All "
            "were given in one round: whether confidence sorts them cannot be seen."
        )
    return Finding(
        text,
        figure=curves.wrong_by_part(
            {name: intervals.bands(part, ["part"], "share") for name, part in parts.items()},
            100 * n_wrong / n_auto,
            title="Confident-first automatic labels: how many are wrong, part by part",
        ),
        name="auto_wrong",
        alt="Share of wrong labels in each part of the automatic labels, the most confident "
        f"first: {first:.1f}% in the first, {last:.0f}% in the last, as bars with intervals; a "
        "dashed line at the share of all automatic labels.",
    )


def wrong_in_first_half(table: pd.DataFrame) -> pd.Series:
    """Return how many of the more confident half of the automatic labels are wrong, by replicate.

    A round that lies on both sides of the middle gives each of them its share.
    """
    rounds = table[table["arm"] == "auto_confident_first"]
    found = {}
    for replicate, one in rounds.groupby("replicate"):
        given, wrong = _given_and_wrong(one)
        found[replicate] = np.interp(given[-1] / 2, given, wrong)
    return pd.Series(found)


def _given_and_wrong(one: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return one replicate's automatic labels after each round, and the wrong ones; 0 first."""
    return np.concatenate([[0], one["n_auto"]]), np.concatenate([[0], one["n_auto_wrong"]])


def wrong_by_part(table: pd.DataFrame, parts: int = PARTS) -> pd.DataFrame:
    """Return what share of the automatic labels is wrong, part by part, most confident first.

    Parameters
    ----------
    table : of `replication.Replicates`
    parts : equal parts of the automatic labels; at most one for each round

    Returns
    -------
    DataFrame: replicate; part, from 1; share of its labels that is wrong, in per cent. A round that
    lies in two parts gives each of them its share.
    """
    records = []
    rounds = table[table["arm"] == "auto_confident_first"]
    for replicate, one in rounds.groupby("replicate"):
        given, wrong = _given_and_wrong(one)
        n = min(parts, len(one))
        edges = np.linspace(0, given[-1], n + 1)
        share = 100 * np.diff(np.interp(edges, given, wrong)) / np.diff(edges)
        records += [
            {"replicate": replicate, "part": part, "share": value}
            for part, value in enumerate(share, 1)
        ]
    return pd.DataFrame(records)
