"""Our values held against published ones: a verdict in plain words, and its reason."""

import math
from collections.abc import Mapping
from typing import Any

from alutils.stats.compare.sources import GROUP, Source
from alutils.stats.compare.summaries import Summary

VERDICTS = {
    "exact": "claimed as exact, and every seed's value is the published one",
    "missed": "claimed as exact, and a value is another one, or is not there",
    "agrees": "the published value lies in the 95% interval of our mean",
    "differs": "the published value lies outside the 95% interval of our mean, about which single "
    "seeds scatter more widely",
    "no interval": "one number without an interval: the difference is all that can be said",
    "not comparable": "measured under other conditions than the published value",
    "not published": "no value was published for this",
}
RENDERED = " (rendered)"
"""Behind a verdict: the published letters are real, these are rendered from fonts."""
RENDERED_MEANS = (
    "(rendered): the published letters are real, these are rendered from fonts, and need not agree"
)
LABELS_APART = 0.1  # of the larger number of labels: further apart, two values do not compare


def match(summary: Mapping[str, Any], known: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the published value of a group, if there is one."""
    found = [row for row in known if all(row[name] == summary[name] for name in GROUP)]
    return found[0] if found else None


def judge(summary: Summary, row: dict[str, Any] | None, source: Source) -> dict[str, Any]:
    """Return the published value, the difference, the verdict and its reason."""
    if row is None or not summary["last"]:
        return {"published": math.nan, "difference": math.nan, "verdict": "not published"}
    value = float(row["value"]) / (float(row["n_eval"]) if summary["as_share"] else 1)
    low, high = summary["low"], summary["high"]
    reason = why_not(summary, row, source)
    if reason:
        verdict = "not comparable"
    elif row["claim"] == "exact":
        ours = summary["values"].values()
        verdict = "exact" if ours and all(each == value for each in ours) else "missed"
    elif math.isnan(low):
        verdict = "no interval"
    else:
        # Equal seeds make an interval of no width: allow for the rounding of its ends.
        verdict = "agrees" if low - 1e-12 <= value <= high + 1e-12 else "differs"
    if source.rendered and verdict in ("agrees", "differs", "no interval"):
        verdict += RENDERED
    return {
        "published": value, "difference": summary["mean"] - value,
        "verdict": verdict, "reason": reason,
    }  # fmt: skip


def why_not(summary: Summary, row: Mapping[str, Any], source: Source) -> str:
    """Return why a value and the published one do not compare; "" where they do."""
    if reason := other_conditions(row["when"], source.parameters):
        return reason
    ours, theirs = float(summary["n_human"]), float(row["n_human"])
    if row["claim"] != "exact" and abs(ours - theirs) > LABELS_APART * max(ours, theirs):
        return f"{ours:,.0f} labels, published for {theirs:,.0f}"
    return ""


def other_conditions(when: str, parameters: Mapping[str, Any] | None) -> str:
    """Return how parameters break the conditions ``name=value;...``; "" where they meet them."""
    if not when:
        return ""
    if parameters is None:
        return "no manifest beside the table says under which parameters it was made"
    wanted = dict(condition.split("=", 1) for condition in when.split(";"))
    broken = [
        f"{name}={parameters.get(name, 'not given')}, published for {value}"
        for name, value in wanted.items()
        if str(parameters.get(name)) != value
    ]
    return "; ".join(broken)


def absent(
    summaries: list[Summary], known: list[dict[str, Any]], source: Source
) -> list[dict[str, Any]]:
    """Return rows for what is claimed as exact of a run, or of part of a table, and is not there.

    A run's own table holds all that the run measured. Another table (replicates, say) answers
    only for the protocols and splits of which it has any rows.
    """
    there = {tuple(summary[name] for name in GROUP) for summary in summaries}
    part = ("experiment",) if source.is_run else ("experiment", "protocol", "split", "metric")
    parts = {tuple(summary[name] for name in part) for summary in summaries}
    return [
        {"n": 0, "published": float(row["value"]), "verdict": "missed", "as_share": False}
        | {"reason": "it is not in the table"}
        | {name: row[name] for name in (*GROUP, "n_human", "n_eval")}
        for row in known
        if row["claim"] == "exact"
        and tuple(row[name] for name in part) in parts
        and tuple(row[name] for name in GROUP) not in there
        and not other_conditions(row["when"], source.parameters)
    ]
