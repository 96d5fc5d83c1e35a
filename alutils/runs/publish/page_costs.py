"""What the sweeps of label costs came to, as tables and sentences for pages."""

import itertools
from collections.abc import Iterator

import pandas as pd

from alutils.experiments.label_costs import results as costs
from alutils.runs.publish.markdown import markdown_table, results


def label_costs() -> str:
    """Return what the sweeps of label costs came to, as a Markdown table."""
    by = _by_metric(results("label_costs_summary"))
    headings = [
        "pool, share promised", "how labels are chosen", "labels trained on", "test accuracy",
        "labelled by the model, certified", "human labels in all: mean over audits",
        "in the audits that happened", "certified; broken",
    ]  # fmt: skip
    rows = []
    for protocol, arm in itertools.product(costs.TITLES, costs.ARMS):
        if (protocol, arm, "accuracy") not in by.index:
            continue
        row = by.loc[(protocol, arm)]
        of = row.loc["certified", "of"]
        certified, broken = (of * row.loc[name, "mean"] for name in ("certified", "broken"))
        rows.append(
            (
                f"{costs.TITLES[protocol]}, {costs.TARGETS[protocol]:.0%}",
                costs.ARMS[arm].replace("\n", " "),
                f"{row.loc['n_human', 'mean']:,.0f}",
                _cell(row, "accuracy", ".2%"),
                _cell(row, "auto_coverage", ".1%"),
                _cell(row, "labels_expected", ",.0f"),
                _cell(row, "labels_to_certify", ",.0f"),
                f"{certified:.0f} of {of:.0f}; {broken:.0f}",
            )
        )
    return markdown_table(headings, rows)


def _cell(metrics: pd.DataFrame, metric: str, form: str) -> str:
    """Return mean and interval of a metric, and how many seeds have one if not all do."""
    if metric not in metrics.index:
        return "–"
    row = metrics.loc[metric]
    if not row["seeds"]:
        return "none"
    text = f"{row['mean']:{form}}"
    if row["seeds"] > 1:
        text += f" ({row['low']:{form}} to {row['high']:{form}})"
    return text if row["seeds"] == row["of"] else f"{text}, {row['seeds']:.0f} of {row['of']:.0f}"


def labels_in_all(protocol: str) -> pd.Series:
    """Return the human labels, the audit's included, that each arm needs for a certified pool.

    The mean over many draws of the audit where it was computed, else over the audits that happened;
    the fewest first.
    """
    by = _by_metric(results("label_costs_summary")).loc[protocol]
    needed = {}
    for arm in by.index.unique("arm"):
        metrics = by.loc[arm]
        wanted = ("labels_expected", "labels_to_certify")
        there = [name for name in wanted if name in metrics.index and metrics.loc[name, "seeds"]]
        if there:
            needed[arm] = metrics.loc[there[0], "mean"]
    return pd.Series(needed).sort_values()


def reached() -> str:
    """Return what was reached with how many labels, as a Markdown list."""
    table = results("label_costs_summary")
    rounds = results("label_costs_rounds")
    parts = _labels_to_reach(table, rounds), _audits(table), _expected_audits(table)
    lines = itertools.chain(*parts, _largest_coverage(rounds))
    return "\n".join(line.replace("\n", " ") for line in lines)


def _by_metric(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["protocol", "arm", "metric"]).sort_index()


def _what(protocol: str, arm: str) -> str:
    return f"{costs.TITLES[protocol]}, {costs.ARMS[arm]}"


def _labels_to_reach(table: pd.DataFrame, rounds: pd.DataFrame) -> Iterator[str]:
    first = rounds.groupby(["protocol", "arm"])["n_human"].min()
    for row in table[table["metric"] == "labels_to_reach"].to_dict("records"):
        protocol, arm = row["protocol"], row["arm"]
        if not row["seeds"]:
            how = f"not reached in any of {row['of']} seeds"
        elif row["most"] <= first[(protocol, arm)]:
            how = f"passed with the first {row['most']:,.0f} labels, in all {row['of']} seeds"
        else:
            how = (
                f"reached with {row['mean']:,.0f} labels ({row['least']:,.0f} to "
                f"{row['most']:,.0f}; {row['seeds']} of {row['of']} seeds)"
            )
        goal = costs.published(protocol)
        yield f"- {_what(protocol, arm)}: the published {goal:.2%} is {how}."


def _audits(table: pd.DataFrame) -> Iterator[str]:
    """Yield how weighted audits did beside uniform ones of the same models."""
    by = _by_metric(table)
    for row in table[table["metric"] == "labels_to_certify_uniform"].to_dict("records"):
        ours, saved = (
            by.loc[(row["protocol"], row["arm"], name)]
            for name in ("labels_to_certify", "saved_by_weighting")
        )
        mean, least, most = (
            f"{abs(saved[name]):,.0f} {'more' if saved[name] >= 0 else 'fewer'}"
            for name in ("mean", "least", "most")
        )
        more = f" Where both accept, the uniform one takes {mean} labels ({least} to {most})."
        yield (
            f"- {_what(row['protocol'], row['arm'])}: the weighted audit accepts "
            f"{ours['seeds']:.0f} of {ours['of']:.0f} seeds, a uniform audit of the same models "
            f"{row['seeds']:.0f}.{more if saved['seeds'] else ''}"
        )


def _expected_audits(table: pd.DataFrame) -> Iterator[str]:
    """Yield what an audit takes on average over many draws."""
    by = _by_metric(table)
    for row in table[table["metric"] == "labels_expected"].to_dict("records"):
        mine = by.loc[(row["protocol"], row["arm"])]
        uniform = ""
        if "labels_expected_uniform" in mine.index:
            uniform = (
                f" A uniform audit takes {mine.loc['labels_expected_uniform', 'mean']:,.0f} in "
                f"all, and {mine.loc['accept_chance_uniform', 'mean']:.1%} of its draws accept."
            )
        yield (
            f"- {_what(row['protocol'], row['arm'])}: over many draws of the audit of each seed's "
            f"model, {row['mean']:,.0f} labels in all ({row['least']:,.0f} to {row['most']:,.0f} "
            f"from seed to seed), refused audits included; "
            f"{mine.loc['accept_chance', 'mean']:.1%} of the draws accept.{uniform}"
        )


def _largest_coverage(rounds: pd.DataFrame) -> Iterator[str]:
    coverage = rounds[(rounds["metric"] == "auto_coverage") & (rounds["mean"] > 0)]
    for (protocol, arm), rows in coverage.groupby(["protocol", "arm"], sort=False):
        best = rows.loc[rows["mean"].idxmax()]
        yield (
            f"- {_what(protocol, arm)}: the largest share labelled by the model above a threshold "
            f"that certifies {costs.TARGETS[protocol]:.0%} is {best['mean']:.1%} of the pool "
            f"({best['least']:.1%} to {best['most']:.1%}), after {best['n_human']:,.0f} labels to "
            "train on and the audit's."
        )
