"""The report's loops beside random choices, and their first round beside what was published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.report import loops
from alutils.experiments.report.letters import Letters
from alutils.experiments.report.publication import published
from alutils.experiments.report.published import true_share
from alutils.experiments.report.splits import NAMES, split
from alutils.experiments.report.study import Study, each, together
from alutils.plots import curves
from alutils.plots import report as plots
from alutils.stats import intervals
from alutils.stats.resplits import paired_items

LOOP_NAMES = {
    "as_published": "as published",
    "random_as_published": "random, as many as published",
    "as_intended": "as intended",
    "random": "random, as many as intended",
}
CLAIMS = {
    "the report's loop beats a random choice of as many": ("as_published", "random_as_published"),
    "the loop as intended beats a random choice of as many": ("as_intended", "random"),
    "the loop as intended beats the one published": ("as_intended", "as_published"),
}
CHOICE = {
    "supported": "better than",
    "contradicted": "worse than",
    "inconclusive": "statistically tied with",
}
"""Verdicts on a loop's choice, in words that a random choice can follow."""
UNTESTED = "Every test letter is labelled first or waits in the pool: no loop can be tested."
SHORT = ("published - random", "intended - random", "intended - published")


def loops_draw(letters: Letters, setting: str, seed: int, **options: Any) -> pd.DataFrame:
    """Run all loops on one draw; see `alutils.experiments.report.loops.run_loops`."""
    table = loops.run_loops(
        letters.features, letters.labels, len(letters.classes), setting, seed, **options
    )
    return table.assign(setting=setting)


def run_loops(study: Study, rounds: int, keep: Keep = compute) -> pd.DataFrame:
    """Run the four loops on every draw, for so many rounds after the first.

    Of the setting that is held against the published numbers, if it is another one, only the first
    round is run: that is all that was published.

    Returns
    -------
    DataFrame: the columns of `alutils.experiments.report.loops.run_loops`, and ``setting``
    """
    options = {
        "threshold": study.threshold, "stop_share": study.stop_share, "epochs": study.epochs,
    }  # fmt: skip
    first, last = study.settings[0], study.settings[-1]
    tables = [each(keep, loops_draw, study, study.draws, last, rounds=rounds, **options)]
    if first != last:
        only = {"rounds": 0, "loops": ("as_published",)}
        tables.insert(0, each(keep, loops_draw, study, study.draws, first, **only, **options))
    return together(tables)


def every_round(study: Study, table: pd.DataFrame) -> Finding:
    """Show what every loop did in every round: the mean over draws."""
    shown = {
        "n_human": "labels", "n_moved": "then moved", "moved_unsure": "of these unsure, %",
        "share_unsure": "unsure in the pool, %", "pool_accuracy": "right in the pool, %",
        "test_accuracy": "right on test letters, %",
    }  # fmt: skip
    saved = [*shown, "share_counted", "stops", "pool_precision_macro", "pool_recall_macro"]
    means = table.groupby(["setting", "arm", "round"], sort=False)[[*saved, "pool_f1_macro"]].mean()
    setting = study.settings[-1]
    wide = means.loc[setting, list(shown)].loc[list(LOOP_NAMES)].reset_index()
    shares = [name for name in shown if not name.startswith("n_")]
    wide[shares] *= 100
    wide["arm"] = wide["arm"].map(LOOP_NAMES)
    wide = wide.rename(columns={"arm": "loop"} | shown)
    styled = wide.style.format(precision=1, na_rep="").format(
        "{:,.0f}", subset=["labels", "then moved"]
    )
    caption = f"Every round in {NAMES[setting]}, mean of {study.seeds} draws"
    ended = ended_by(table[table["setting"] == setting])
    return Finding(
        f"By its own count the report's loop ends in its first round in {ended.iloc[0]:.0%} of the "
        f"draws, and within {len(ended) - 1} more in {ended.iloc[-1]:.0%}.",
        name="rounds",
        table=styled.hide(axis="index").set_caption(study.title(caption)),
        rows=_rows(study, table),
        tables={"az_rounds": means.round(6).reset_index()},
    )


def ended_by(table: pd.DataFrame) -> pd.Series:
    """Return by round in which share of the draws the report's loop has ended, by its own count.

    Here it goes on after its end, to be compared; what it counts later does not undo the end.
    ``table``: of `run_loops`, of one setting.
    """
    ours = table[table["arm"] == "as_published"].sort_values(["seed", "round"])
    ended = ours["stops"].astype(bool).groupby(ours["seed"]).cummax()
    return ended.groupby(ours["round"]).mean()


def _rows(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the results table: each loop up to its own end.

    Of the published loop only the first round, which is all that was published.
    """
    rows = []
    for setting in study.settings:
        later = (table["arm"] == "as_published") & (table["round"] > 0)
        ours = table[(table["setting"] == setting) & ~later]
        rows.append(loops.metrics(loops.until_stop(ours), setting))
    return together(rows)


def tested(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rounds of the compared loops that have test letters that no loop could touch."""
    return table[(table["setting"] == study.settings[-1]) & (table["n_test"] > 0)]


def _ratio(study: Study, n_test: float) -> float:
    """Return test letters over the others, as intervals for re-splits take them."""
    return n_test / (len(study.letters) - n_test)


def loop_curves(study: Study, table: pd.DataFrame) -> Finding:
    """Show the test accuracy of each loop beside its random twin, with intervals."""
    of = tested(study, table)
    if of.empty:
        return Finding(UNTESTED)
    n_test = int(of["n_test"].median())
    drawn = {}
    for arm, rows in of.groupby("arm", sort=False):
        by_round = rows.groupby("round")["test_accuracy"]
        interval = [
            _band(study, each.set_index("seed")["test_right"]) for _, each in rows.groupby("round")
        ]
        drawn[arm] = pd.DataFrame(
            {
                "n": rows.groupby("round")["n_human"].mean(),
                "middle": by_round.mean(),
                "low": [low for low, _ in interval],
                "high": [high for _, high in interval],
            }
        )
    final = {arm: curve["middle"].iloc[-1] for arm, curve in drawn.items()}
    title = (
        f"{_begin(NAMES[study.settings[-1]])}: mean of {study.seeds} draws, {n_test:,} test letters"
    )
    return Finding(
        f"After the last round: as published {final['as_published']:.1%}, at random "
        f"{final['random_as_published']:.1%}; as intended {final['as_intended']:.1%}, at random "
        f"{final['random']:.1%}. The bands (95%) are for other letters of the kind.",
        figure=plots.loop_curves(drawn, LOOP_NAMES, study.title(title)),
        name="loops",
        alt=(
            "Test accuracy against the number of labels, with 95% bands. One panel has the loop as "
            "published, the other the loop as intended, each beside a random choice of as many."
        ),
    )


def _begin(text: str) -> str:
    return text[0].upper() + text[1:]


def differences(study: Study, table: pd.DataFrame) -> Finding:
    """Compare the loops draw by draw, with intervals for other letters of the kind."""
    of, results, rows, notes = tested(study, table), {}, [], []
    if of.empty:
        return Finding(UNTESTED)
    n_test, name = int(of["n_test"].median()), _begin(NAMES[study.settings[-1]])
    last = of.groupby(["seed", "arm"])["test_right"].last().unstack("arm")
    for short, (claim, (ours, base)) in zip(SHORT, CLAIMS.items(), strict=True):
        if not loops.comparable(of, ours, base):
            notes.append(f" Not compared: {short}, which end with different numbers of labels.")
            continue
        found = results[short] = paired_items(_right(study, last[ours]) - _right(study, last[base]))
        said = {"claim": f"{name}: {claim}"} | vars(found)
        rows.append(said | {"verdict": found.verdict, "n_test": n_test})
    if SHORT[0] not in results:
        return Finding("The loops cannot be compared." + "".join(notes))
    sure = intervals.holm(np.array([found.p for found in results.values()]))
    saved = pd.DataFrame(rows).assign(holm=sure)
    first = rows[0]
    figure = curves.differences(results)
    title = f"{name}: after the last round, {study.seeds} draws"
    figure.axes[0].set_title(study.title(title))
    tie = CHOICE[first["verdict"]]
    return Finding(
        f"The report's selection is {tie} a random one of as many letters: "
        f"{_points(first['mean'])} points ({_points(first['low'])} to {_points(first['high'])}). "
        f"{_some(int(sure.sum()))} of these {len(results)} differences "
        f"{'is' if sure.sum() < 2 else 'are'} significant after Holm's correction."
        + "".join(notes),
        figure=figure,
        name="differences",
        alt=(
            "Differences in test accuracy, in points, with 95% intervals: published less random, "
            "intended less random, intended less published."
        ),
        tables={"az_differences": saved},
    )


def _band(study: Study, written: pd.Series) -> tuple[float, float]:
    """Return the interval of an accuracy for other letters of the kind; NaN for one draw."""
    if len(written) < 2:
        return np.nan, np.nan
    found = paired_items(_right(study, written))
    return found.low, found.high


def _right(study: Study, written: pd.Series) -> np.ndarray:
    """Return (n_seeds, n_letters) float, which test letters a loop had right in each draw."""
    setting, n = study.settings[-1], len(study.letters)
    drawn = (split(study.letters.labels, setting, int(seed)) for seed in written.index)
    pairs = zip(written, drawn, strict=True)
    return np.stack([loops.right_items(text, parts, n) for text, parts in pairs])


def _some(number: int) -> str:
    return ("None", "One")[number] if number < 2 else f"{number:,}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def moved(table: pd.DataFrame) -> Finding:
    """Say which share of what the report's loop moved was unsure, beside a random choice."""
    shares = loops.moved_unsure(table)
    if not shares.notna()[["as_published", "random_as_published"]].all():
        return Finding("Nothing was unsure, so nothing was moved.")
    ours, chance = shares["as_published"], shares["random_as_published"]
    of = table[(table["arm"] == "as_published") & (table["n_moved"] > 0)]
    first = (1 / of["n_moved"]).mean()
    return Finding(
        f"Of the letters that the report's loop moved, {ours:.1%} were letters that it was unsure "
        f"of; of as many letters drawn at random, {chance:.1%}. Only the first letter of a round "
        f"is sure to be the one that was meant, which is worth {100 * first * (1 - chance):.1f} "
        f"points. For all others the loop chooses as chance does: the difference is "
        f"{_points(ours - chance)} points.",
        name="moved",
    )


ROWS = (
    ("accuracy", "pool", "accuracy", "pool_accuracy"),
    ("macro precision", "pool", "precision_macro", "pool_precision_macro"),
    ("macro recall", "pool", "recall_macro", "pool_recall_macro"),
    ("macro F1", "pool", "f1_macro", "pool_f1_macro"),
    ("unsure, as counted", "pool", "share_unsure", "share_counted"),
    ("unsure, truly", "pool", None, "share_unsure"),
    ("test accuracy", "test", "accuracy", "test_accuracy"),
)
"""Names, splits and metrics that were published, and the columns that hold ours."""


def first_rounds(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return the first round of every draw in the setting that is held against the report."""
    first = table[(table["setting"] == study.settings[0]) & (table["round"] == 0)]
    return first[first["arm"] == "as_published"]


def against_published(study: Study, table: pd.DataFrame) -> Finding:
    """Set the first round of every draw beside the report's numbers."""
    theirs, first = published(), first_rounds(study, table)
    lines, dots = [], []
    for name, split_name, metric, column in ROWS:
        ours = first[column].dropna()
        value = theirs[split_name, metric] if metric else true_share(theirs["pool", "share_unsure"])
        n_eval = first[f"n_{split_name}"].mean()
        if not n_eval:
            continue
        apart = intervals.paired(ours, np.full(len(ours), value), _ratio(study, n_eval))
        low, high = value + apart.low, value + apart.high
        lines.append((name, value, ours.mean(), low, high, apart.mean))
        dots += [{"name": name, "value": one, "published": value} for one in ours]
    columns = ["", "published", "ours", "95% from", "to", "difference"]
    both = pd.DataFrame(lines, columns=columns).set_index("")
    setting, pool = NAMES[study.settings[0]], both.loc["accuracy"]
    text = f"Accuracy {pool['ours']:.1%} in the pool (published {pool['published']:.1%})"
    if "test accuracy" in both.index:
        on_test = both.loc["test accuracy"]
        text += (
            f", {on_test['ours']:.1%} on test letters (published {on_test['published']:.1%}): "
            f"{_points(on_test['ours'] - pool['ours'])} points between the two"
        )
    else:
        text += "; every test letter is labelled or waits, so there is no test accuracy"
    caption = f"{_begin(setting)}, first round, mean of {study.seeds} draws"
    spans = {row[0]: (row[3], row[4]) for row in lines}
    return Finding(
        f"{text}.",
        figure=plots.against_published(pd.DataFrame(dots), spans, study.title(caption)),
        name="against_published",
        alt=(
            "For each published number how far the values of all draws are from it, as dots, with "
            "their mean and its 95% interval."
        ),
        table=both.style.format("{:.4f}").set_caption(study.title(caption)),
        tables={"az_published": both.reset_index(names="number")},
    )


def on_test_letters(study: Study, table: pd.DataFrame) -> Finding:
    """Set balanced metrics beside accuracy, on test letters as imbalanced as letters are."""
    first = first_rounds(study, table)
    on_test = first[first["n_test"] > 0]
    if on_test.empty:
        return Finding(
            f"In {NAMES[study.settings[0]]} every test letter is labelled first or waits in the "
            "pool: there are no test letters of their own.",
            name="test_letters",
        )
    names = {
        "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1_macro": "macro F1",
        "mcc": "Matthews correlation",
    }  # fmt: skip
    means = {text: on_test[f"test_{name}"].mean() for name, text in names.items()}
    said = ", ".join(f"{text} {value:.3f}" for text, value in means.items())
    return Finding(
        f"On {on_test['n_test'].median():,.0f} test letters as found: {said} (mean of "
        f"{len(on_test)} draws).",
        name="test_letters",
    )
