"""What the report's seven steps cost and give, at several thresholds."""

from __future__ import annotations

import pandas as pd
from tqdm import tqdm

from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.report.seven_steps import STEPS, steps_draw
from alutils.experiments.report.splits import NAMES
from alutils.experiments.report.study import Study, mean_of, together
from alutils.plots import report as plots

SHOWN_AT = 0.6  # the report's threshold
GOAL = 0.95  # share of all labels that are to be right
METRICS = ("share_human", "auto_coverage", "auto_precision", "accuracy")


def follow_steps(
    study: Study, portion: float, rest: float, keep: Keep = compute
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Follow the seven steps on a few draws.

    Parameters
    ----------
    portion, rest : of the letters: what is labelled by hand in a round; what is little enough to be
        labelled by hand at the end
    """
    options = {"epochs": study.epochs, "portion": portion, "rest": rest}
    bar = tqdm(study.few_draws, desc="seven steps", unit="draw", leave=False)
    setting = study.settings[-1]
    draws = [keep(steps_draw, study.letters, setting, seed, frames=2, **options) for seed in bar]
    outcomes, rounds = zip(*draws, strict=True)
    return together(outcomes), together(rounds)


def step_by_step(study: Study, done: tuple[pd.DataFrame, pd.DataFrame]) -> Finding:
    """Show how many letters each of the seven steps took, in one draw at the report's 0.6."""
    rounds = done[1]
    of = rounds[(rounds["seed"] == study.seed) & (rounds["threshold"] == SHOWN_AT)]
    table = pd.DataFrame({"step": [f"{n}. {step}" for n, step in enumerate(STEPS, 1)]})
    for row in of.itertuples():
        table[f"round {row.round}"] = [
            f"{row.n_human:,}" if row.round == 1 else "",
            f"on {row.n_human:,}",
            f"{row.n_predicted:,}",
            f"{row.n_taken:,}",
            f"{row.n_asked:,}" if row.n_asked else "",
            f"{row.n_predicted - row.n_taken - row.n_asked:,} left",
            f"{row.n_last:,}" if row.n_last else "",
        ]
    by_hand = of["n_asked"].sum() + of["n_last"].sum()
    name = NAMES[study.settings[-1]]
    caption = f"The seven steps at {SHOWN_AT}: letters in one draw, {name}"
    plural = "" if len(of) == 1 else "s"
    return Finding(
        f"Here the steps end after {len(of)} training{plural}: {of['n_taken'].sum():,} letters are "
        f"taken for true, and {by_hand:,} are labelled by hand after the first "
        f"{of['n_human'].iloc[0]:,}.",
        name="steps",
        table=table.style.hide(axis="index").set_caption(study.title(caption)),
    )


def whole_procedure(study: Study, done: tuple[pd.DataFrame, pd.DataFrame]) -> Finding:
    """Show what the whole procedure costs by hand, and how many labels are wrong at its end."""
    outcomes, setting = done[0], study.settings[-1]
    mean = outcomes.groupby("threshold").mean()
    at = mean.loc[SHOWN_AT]
    good = mean[mean["accuracy"] >= GOAL]
    end = f"No threshold gets {GOAL:.0%} of all labels right."
    if len(good):
        threshold = good["share_human"].idxmin()
        end = (
            f"{GOAL:.0%} right takes a threshold of {threshold:g} and "
            f"{good['share_human'].min():.0%} by hand."
        )
    text = (
        f"At the report's {SHOWN_AT} people label {at['share_human']:.0%} of the letters, "
        f"{at['auto_precision']:.1%} of the automatic labels are right, and {at['accuracy']:.1%} "
        f"of all labels. {end}"
    )
    caption = f"The seven steps, {NAMES[setting]}, {mean_of(study.few)}"
    return Finding(
        text,
        figure=plots.by_threshold(outcomes, study.title(caption)),
        name="procedure",
        alt=(
            "A bar for each threshold, in per cent of all letters: labelled by hand, automatically "
            "and rightly, automatically and wrongly."
        ),
        rows=_rows(outcomes, setting),
        tables={"az_procedure": outcomes},
    )


def _rows(outcomes: pd.DataFrame, setting: str) -> list[dict]:
    rows = []
    for row in outcomes.to_dict("records"):
        key = {
            "protocol": setting, "arm": f"seven_steps_{row['threshold']:g}", "split": "pool",
            "seed": int(row["seed"]), "round": int(row["rounds"]), "n_human": row["n_human"],
            "n_auto": row["n_auto"], "n_eval": row["n_human"] + row["n_auto"],
        }  # fmt: skip
        rows += [key | {"metric": metric, "value": row[metric]} for metric in METRICS]
    return rows
