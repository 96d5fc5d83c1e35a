"""Tables and sentences for pages: the article, the report, query strategies, guarantees, speed."""

import pandas as pd

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.experiments.article.answers import reached
from alutils.experiments.strategies import results as strategy_tables
from alutils.plots.style import arm_name
from alutils.runs.notebook import runs
from alutils.runs.publish.markdown import SETTINGS, markdown_table, plain, results
from alutils.stats import compare, intervals
from alutils.stats.intervals import Paired

METRICS = {
    "accuracy": "accuracy",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "f1_macro": "macro F1",
    "share_unsure": "share under 0.6 confidence",
}


_SETS = {"mnist": "4,000 digits", "letters": "5,284 real letters", "rendered": "rendered letters"}
_LEARNERS = {
    "tool": "the tool as it is",
    "pixels": "softmax regression on pixels alone",
    "block3": "softmax regression on VGG16's block3 alone",
    "network": "the small network alone",
}


def published_against_ours(experiment: str) -> str:
    """Return the Markdown table of an experiment's published values beside ours.

    A row is named by what tells it apart from the others: arm, metric and split.
    """
    folder = repository_root() / "results"
    frame = compare.compare([folder / f"{experiment}.csv"], folder / "published.csv")
    frame = frame[frame["published"].notna()]
    counts = frame[frame["metric"] == "n_right"].set_index(["protocol", "arm", "split"])
    shares = frame[frame["metric"] != "n_right"]
    names = pd.DataFrame(
        {
            "arm": shares["arm"].map(arm_name),
            "metric": shares["metric"].map(lambda name: METRICS.get(name, name)),
            "split": shares["split"].map("in the {}".format),
        }
    )
    told = [column for column in names if len(set(names[column])) > 1]
    rows = []
    for row, name in zip(shares.to_dict("records"), names.to_dict("records"), strict=True):
        ours, shown, verdict = f"{row['mean']:.4f}", f"{row['published']:.4f}", row["verdict"]
        if row["n"] > 1:
            ours += f" ({row['low']:.4f} to {row['high']:.4f})"
        key = row["protocol"], row["arm"], row["split"]
        if key in counts.index:
            count = counts.loc[key]
            verdict = count["verdict"]
            shown += f" ({count['published']:.0f} of {row['n_eval']:.0f})"
            ours += f" ({count['mean']:.0f} of {row['n_eval']:.0f})"
        what = ", ".join(name[part] for part in told)
        rows.append((what, f"{row['n_human']:,g}", shown, ours, verdict))
    return markdown_table(["what", "human labels", "published", "ours", "verdict"], rows)


def compared() -> str:
    """Return the first table that ``compare mnist --only-published`` prints, as it is printed."""
    folder = repository_root() / "results"
    frame = compare.compare([folder / "mnist.csv"], folder / "published.csv")
    frame = frame[frame["published"].notna() & (frame["metric"] == "n_right")]
    first = compare.render(frame).split("\n\n")[0]
    return f"```\n$ python -m alutils compare mnist --only-published\n{first}\n```"


def percentiles() -> str:
    """Return the Markdown table of where the article's counts stand among replicates."""
    table = results("mnist_percentiles")
    kinds = list(table["replicates"].unique())
    by = table.set_index(["arm", "replicates"])
    rows = []
    for arm in table["arm"].unique():
        cells = [arm_name(arm), f"{by.loc[(arm, kinds[0]), 'published']:.0f}"]
        for kind in kinds:
            row = by.loc[(arm, kind)]
            spread = f"{row['lowest']:.0f} to {row['highest']:.0f}"
            cells += [
                f"{row['mean']:.1f} ± {row['sd']:.1f} ({spread})",
                f"{row['percentile']:.1f}",
            ]
            found = reached(results("mnist_replicates"), arm, kind, row["published"])
            cells[-1] += f"; {found.n} reach it ({found.share})"
        rows.append(cells)
    headings = ["labels", "published"]
    for kind in kinds:
        headings += [f"{kind}: mean ± sd (range)", "percentile; how many reach it (95% interval)"]
    return markdown_table(headings, rows)


def differences(name: str) -> list[tuple[str, Paired, int]]:
    """Return the claims of a table of paired differences, each with its test images."""
    table = results(name)
    if "n_test" not in table:
        raise runs.RunError(
            f"results/{name}.csv does not say on how many images (n_test): an older run made it; "
            "publish one of today's notebook"
        )
    fields = [field for field in Paired.__dataclass_fields__ if field in table]
    return [
        (plain(row["claim"]), Paired(**row[fields]), int(row["n_test"]))
        for _, row in table.iterrows()
    ]


def claims(name: str) -> str:
    """Return the paired differences of a results table as a Markdown list of sentences."""
    return "\n".join(f"- {pair.sentence(claim, n)}" for claim, pair, n in differences(name))


def first_rounds() -> pd.DataFrame:
    """Return what the report's loop moved in its first round, a row a setting that has any."""
    first = results("az_rounds").query("arm == 'as_published' and round == 0")
    return first.dropna(subset="moved_unsure")


def moved() -> str:
    """Return what the report's loop moves in its first round, in a sentence for each setting."""
    return " ".join(
        f"In {SETTINGS[row.setting]}, {row.moved_unsure:.1%} of what its first round moves was "
        f"under the confidence threshold, and so was {row.share_unsure:.1%} of all."
        for row in first_rounds().itertuples()
    )


def classifiers() -> str:
    """Return other classifiers' accuracies beside the report's head, as a Markdown table."""
    table = results("az_classifiers")
    draws = table["draws"] if "draws" in table else pd.Series(1, table.index)
    most = draws.max()
    said = table["accuracy"].map("{:.1%}".format)
    said = said.where(draws == most, said + " (draws: " + draws.astype(str) + ")")
    about = manifest.read_json(repository_root() / "results" / "az.manifest.json")
    kind = "rendered" if compare.is_rendered(about) else "real"
    wide = table.pivot(index="classifier", columns="inputs", values="accuracy")
    best = wide.max(axis=1).sort_values(ascending=False).index
    shown = table.assign(said=said).pivot(index="classifier", columns="inputs", values="said")
    shown = shown.loc[best].fillna("")
    rows = ((name, *row) for name, row in shown.iterrows())
    means = f"mean of {most} draws" if most > 1 else "one draw"
    labels = f"{table['n_human'].iloc[0]:,} {kind} letters labelled, {means}"
    return markdown_table([labels, *shown], rows)


def blocks() -> str:
    """Return what VGG16's features are worth at each depth, as a Markdown table."""
    return _by_labels(results("vgg16_blocks_summary"), "arm", "features of", "random labels")


def backbones() -> str:
    """Return how well letters are learned on each backbone's features, as a Markdown table."""
    table = results("backbones_letters").assign(metric="accuracy")
    table["backbone"] = table["backbone"].map("`{}`".format)
    found = intervals.over_seeds(table, ["backbone", "n_human", "metric"])
    return _by_labels(found, "backbone", "backbone", "labels")


def _by_labels(table: pd.DataFrame, column: str, title: str, labels: str) -> str:
    """Return means with their intervals: a row for each name, a column for each `n_human`."""
    counts = sorted(table["n_human"].unique())
    rows = []
    for name, of_one in table.groupby(column, sort=False):
        by = of_one.set_index("n_human")
        cells = (
            "{mean:.1%} ({low:.1%} to {high:.1%})".format(**by.loc[n, ["mean", "low", "high"]])
            for n in counts
        )
        rows.append((name, *cells))
    return markdown_table([title, *(f"{n:,} {labels}" for n in counts)], rows)


def strategies() -> str:
    """Return the query strategies' benchmark as a Markdown table: areas, labels needed, wins."""
    table = results("strategies_summary")
    protocols = list(table["protocol"].unique())
    means = table.groupby("arm")[["gain", "seconds"]].mean().sort_values("gain", ascending=False)
    by = table.set_index(["protocol", "arm"])
    rows = []
    for arm, took in means["seconds"].items():
        cells = (_gain(by.loc[(protocol, arm)], arm) for protocol in protocols)
        rows.append((arm_name(arm), *cells, f"{took:.1f}"))
    titles = [strategy_tables.TITLES[protocol] for protocol in protocols]
    return markdown_table(["strategy", *titles, "seconds"], rows)


def _gain(row: pd.Series, arm: str) -> str:
    if arm == strategy_tables.BASELINE:
        return f"{100 * row['area']:.1f}%"
    gain = round(100 * row["gain"], 1) + 0.0  # no -0.0
    return f"{gain:+.1f} ({row['win']:.0f}/{row['tie']:.0f}/{row['loss']:.0f})"


def no_better() -> str:
    """Return the best strategies and those no better than random, a sentence for each setting."""
    table = results("strategies_summary")
    best = results("strategies_best")
    lines = []
    for protocol, names in strategy_tables.no_better_than_random(table).items():
        alike = best[best["protocol"] == protocol]
        tied = ", ".join(map(arm_name, alike["arm"].iloc[1:]))
        tied = f"statistically tied with it: {tied}" if tied else "none is statistically tied"
        worse = ", ".join(map(arm_name, names)) or "none"
        lines.append(
            f"- {strategy_tables.TITLES[protocol]}: best is {arm_name(alike['best'].iloc[0])} "
            f"({tied}). No better than random: {worse}."
        )
    return "\n".join(lines)


def tool_learning() -> str:
    """Return how well the labelling tool learns, as a Markdown table, in per cent."""
    table = results("tool_learning").query("pictures == 'all'")
    sizes = sorted(table["n_labels"].unique())
    rows = []
    for (name, arm), of in table.groupby(["set", "learner"], sort=False):
        means = of.groupby("n_labels")["accuracy"].mean()
        cells = (f"{100 * means[n]:.2f}" if n in means else "–" for n in sizes)
        rows.append(
            (_SETS.get(name, name), _LEARNERS.get(arm, arm), str(of["seed"].nunique()), *cells)
        )
    return markdown_table(["pictures", "learner", "seeds", *map(str, sizes)], rows)


def speed() -> str:
    """Return the benchmarks as a Markdown table."""
    rows = (
        (
            row.what.replace("least_confident", "least confident"), _time(row.baseline_s),
            _time(row.ours_s), f"{row.ratio:.{1 if row.ratio >= 1 else 2}f}",
            f"{row.bar:g}" if row.bar else "–",
        )
        for row in results("benchmarks").itertuples()
    )  # fmt: skip
    return markdown_table(["what", "baseline", "ours", "times as fast", "asked for"], rows)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"
