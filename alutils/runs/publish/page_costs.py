"""What labelled pools cost, as tables and sentences for pages."""

import pandas as pd

from alutils.experiments.label_costs import fair
from alutils.experiments.label_costs import results as costs
from alutils.runs.publish.markdown import markdown_table, results


def fair_costs() -> str:
    """Return what each way of asking and learning costs, compared fairly, as a Markdown table."""
    table = fair.as_table(results(fair.NAME))
    return markdown_table(list(table), table.itertuples(index=False))


def label_costs() -> str:
    """Return what the sweeps of label costs came to, as a Markdown table."""
    table = costs.as_table(results("label_costs_summary"))
    return markdown_table(list(table), table.itertuples(index=False))


def labels_in_all(protocol: str) -> dict[str, costs.Needed]:
    """Return the human labels, the audit's included, that each arm needs for a certified pool.

    The mean over many draws of the audit where it was computed, else over the audits that happened;
    the fewest first.
    """
    return costs.needed_by_arm(results("label_costs_summary"), protocol)


def reached() -> str:
    """Return with how many labels a published accuracy was reached, as a Markdown table."""
    table = results("label_costs_summary")
    rounds = results("label_costs_rounds")
    first = rounds.groupby(["protocol", "arm"])["n_human"].min()
    rows = []
    for row in table[table["metric"] == "labels_to_reach"].to_dict("records"):
        protocol, arm = row["protocol"], row["arm"]
        if not row["seeds"]:
            how = "not reached"
        elif row["most"] <= first[(protocol, arm)]:
            how = f"at most the first {row['most']:,.0f}"
        elif row["least"] <= first[(protocol, arm)]:
            # They may have stood there before.
            above = _above_at_first(protocol, arm)
            how = (
                f"at most {row['least']:,.0f}, where {above} seeds stand above it at their first "
                f"look; {row['most']:,.0f} at most"
            )
        else:
            how = f"{row['mean']:,.0f} ({row['least']:,.0f} to {row['most']:,.0f})"
        seeds = f"{row['seeds']:.0f} of {row['of']:.0f}"
        rows.append((*_what(protocol, arm), f"{costs.published(protocol):.2%}", how, seeds))
    headings = ["pool", "asking and learning", "published", "labels (from seed to seed)", "seeds"]
    return markdown_table(headings, rows)


def _above_at_first(protocol: str, arm: str) -> int:
    """Return how many seeds stand at or above the published accuracy when first looked at."""
    table = results("label_costs").query("metric == 'accuracy' and split == 'test'")
    mine = table[(table["protocol"] == protocol) & (table["arm"] == arm)]
    first = mine.sort_values("round").groupby("seed")["value"].first()
    return int((first >= costs.published(protocol)).sum())


def audits() -> str:
    """Return how weighted audits did beside uniform ones of the same models, as a table."""
    table = results("label_costs_summary")
    by = _by_metric(table)
    rows = []
    for protocol, arm in table[["protocol", "arm"]].drop_duplicates().itertuples(index=False):
        mine = by.loc[(protocol, arm)]
        if "labels_to_certify_uniform" not in mine.index:
            continue
        cells = list(_what(protocol, arm))
        for end in ("", "_uniform"):
            row = mine.loc[f"labels_to_certify{end}"]
            chance = (
                f"{mine.loc[f'accept_chance{end}', 'mean']:.1%}"
                if f"accept_chance{end}" in mine.index
                else f"{row['seeds']:.0f} of {row['of']:.0f} seeds"
            )
            expected = f"labels_expected{end}"
            mean = mine.loc[expected if expected in mine.index else row.name, "mean"]
            cells += [f"{mean:,.0f}", chance]
        rows.append(cells)
    headings = [
        "pool", "asking and learning", "weighted audit: labels in all", "accepts",
        "uniform audit: labels in all", "accepts",
    ]  # fmt: skip
    return markdown_table(headings, rows)


def coverage() -> str:
    """Return the largest shares labelled above a certified threshold, as a Markdown table."""
    rounds = results("label_costs_rounds")
    covered = rounds[(rounds["metric"] == "auto_coverage") & (rounds["mean"] > 0)]
    rows = []
    for (protocol, arm), of in covered.groupby(["protocol", "arm"], sort=False):
        best = of.loc[of["mean"].idxmax()]
        share = f"{best['mean']:.1%} ({best['least']:.1%} to {best['most']:.1%})"
        promised = f"{costs.TARGETS[protocol]:.0%}"
        rows.append((*_what(protocol, arm), promised, share, f"{best['n_human']:,.0f}"))
    headings = [
        "pool", "asking and learning", "promised", "largest share (from seed to seed)",
        "labels trained on",
    ]  # fmt: skip
    return markdown_table(headings, rows)


def _by_metric(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["protocol", "arm", "metric"]).sort_index()


def _what(protocol: str, arm: str) -> tuple[str, str]:
    pools = _by_metric(results("label_costs_summary")).xs("n_pool", level="metric")["mean"]
    return costs.title(protocol, pools[protocol, arm]), costs.ARMS[arm].replace("\n", " ")
