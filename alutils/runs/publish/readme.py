"""The README's tables and sentences, written from results/.

The README holds them between marks, ``<!-- table: NAME -->`` and ``<!-- end -->``, with NAME one of
`BLOCKS`; ``python -m alutils reference`` writes them anew, nobody by hand.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from alutils.base import manifest
from alutils.base.files import repository_root
from alutils.experiments.label_costs import results as costs
from alutils.experiments.strategies import results as strategy_tables
from alutils.runs.notebook import runs
from alutils.stats import compare
from alutils.stats.intervals import Paired


def _results(name: str) -> pd.DataFrame:
    return pd.read_csv(repository_root() / "results" / f"{name}.csv")


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def published_against_ours(experiment: str) -> str:
    """Return the Markdown table of an experiment's published values beside ours."""
    results = repository_root() / "results"
    frame = compare.compare([results / f"{experiment}.csv"], results / "published.csv")
    frame = frame[frame["published"].notna()]
    counts = frame[frame["metric"] == "n_right"].set_index(["protocol", "arm", "split"])
    rows = []
    for row in frame[frame["metric"] != "n_right"].to_dict("records"):
        ours, shown, verdict = f"{row['mean']:.4f}", f"{row['published']:.4f}", row["verdict"]
        if row["n"] > 1:
            ours += f" [{row['low']:.4f}, {row['high']:.4f}], n = {row['n']}"
        key = row["protocol"], row["arm"], row["split"]
        if key in counts.index:
            count = counts.loc[key]
            verdict = count["verdict"]
            shown += f" ({count['published']:.0f} of {row['n_eval']:.0f})"
            ours += f" ({count['mean']:.0f} of {row['n_eval']:.0f})"
        what = f"{row['arm']}, {row['split']}"
        what += "" if row["metric"] == "accuracy" else f", {row['metric']}"
        rows.append((what, f"{row['n_human']:g}", shown, ours, verdict))
    return _markdown(["what", "labels", "published", "ours", "verdict"], rows)


def percentiles() -> str:
    """Return the Markdown table of where the article's counts stand among replicates."""
    table = _results("mnist_percentiles")
    headings = ["replicates", "arm", "mean ± sd (of 400)", "range", "published", "percentile"]
    rows = (
        (
            row.replicates, row.arm, f"{row.mean:.1f} ± {row.sd:.1f}",
            f"{row.lowest:.0f}-{row.highest:.0f}", f"{row.published:.0f}", f"{row.percentile:.1f}",
        )
        for row in table.itertuples()
    )  # fmt: skip
    return _markdown(headings, rows)


def claims(name: str) -> str:
    """Return the paired differences of a results table as a Markdown list of sentences."""
    table = _results(name)
    if "n_test" not in table:
        raise runs.RunError(
            f"results/{name}.csv does not say on how many images (n_test): an older run made it; "
            "publish one of today's notebook"
        )
    fields = [field for field in Paired.__dataclass_fields__ if field in table]
    return "\n".join(
        f"- {Paired(**row[fields]).sentence(row['claim'], row['n_test'])}"
        for _, row in table.iterrows()
    )


def worries() -> str:
    """Return other classifiers' accuracies beside the report's head, as a Markdown table."""
    results = repository_root() / "results"
    table = _results("az_classifiers")
    rendered = compare.is_rendered(manifest.read_json(results / "az.manifest.json"))
    kind = "rendered" if rendered else "real"
    wide = table.pivot(index="classifier", columns="inputs", values="accuracy")
    best = wide.loc[wide.max(axis=1).sort_values(ascending=False).index]
    rows = (
        (name, *("" if pd.isna(value) else f"{value:.1%}" for value in row))
        for name, row in best.iterrows()
    )
    return _markdown([f"{table['n_human'].iloc[0]:,} {kind} letters labelled", *best], rows)


def claim() -> str:
    """Return what the article's active learning is worth, in two sentences."""
    stands = _results("mnist_percentiles").query("arm == 'active'").iloc[0]
    sound = 100 * _results("mnist_sound_differences").iloc[0][["mean", "low", "high"]]
    published = _results("published").query("experiment == 'mnist' and metric == 'accuracy'")
    accuracy = published.set_index("arm")["value"]
    gap = 100 * (accuracy["active"] - accuracy["random"])
    return (
        f"The article's {stands['published']:.0f} of 400 for active learning comes out exactly, "
        f"and is a lucky draw: numerical noise of one millionth alone gives "
        f"{stands['mean']:.0f} ± {stands['sd']:.0f}, and {stands['published']:.0f} stands at "
        f"percentile {stands['percentile']:.1f} of that. In its table active learning beats random "
        f"by {gap:.1f} points; soundly measured, by {sound['mean']:.1f} "
        f"({sound['low']:.1f} to {sound['high']:.1f})."
    )


def speed() -> str:
    """Return the benchmarks as a Markdown table."""
    rows = (
        (
            row.what, f"{row.baseline_s:.3g} s", f"{row.ours_s:.3g} s",
            f"{row.ratio:.{1 if row.ratio >= 1 else 2}f}", f"{row.bar:g}" if row.bar else "",
        )
        for row in _results("benchmarks").itertuples()
    )  # fmt: skip
    return _markdown(["what", "baseline", "ours", "ratio", "asked"], rows)


def strategies() -> str:
    """Return the query strategies' benchmark as a Markdown table: areas, labels needed, wins."""
    table = _results("strategies_summary")
    protocols = list(table["protocol"].unique())
    means = table.groupby("arm")[["gain", "seconds"]].mean().sort_values("gain", ascending=False)
    by = table.set_index(["protocol", "arm"])
    rows = []
    for arm, took in means["seconds"].items():
        cells = []
        for protocol in protocols:
            row = by.loc[(protocol, arm)]
            if arm == strategy_tables.BASELINE:
                cells.append(f"{100 * row['area']:.1f}%")
            else:
                wins = f"{row['win']:.0f}/{row['tie']:.0f}/{row['loss']:.0f}"
                cells.append(f"{100 * row['gain']:+.1f} ({wins})")
        rows.append((arm, *cells, f"{took:.1f}"))
    titles = [strategy_tables.TITLES[protocol] for protocol in protocols]
    return _markdown(["strategy", *titles, "seconds"], rows)


def no_better() -> str:
    """Return which strategies do no better than random, in a sentence for each setting."""
    table = _results("strategies_summary")
    best = _results("strategies_best")
    lines = []
    for protocol, names in strategy_tables.no_better_than_random(table).items():
        alike = best[best["protocol"] == protocol]
        others = ", ".join(alike["arm"].iloc[1:]) or "none"
        lines.append(
            f"- {strategy_tables.TITLES[protocol]}: best is {alike['best'].iloc[0]} (not to be "
            f"told from it: {others}); no better than random: {', '.join(names) or 'none'}."
        )
    return "\n".join(lines)


def finding(figure: str) -> str:
    """Return the finding of a figure in results/figures."""
    texts = manifest.read_json(repository_root() / "results" / "findings.json")
    if figure not in texts:
        raise runs.RunError(f"results/findings.json holds no {figure}: publish it first")
    return texts[figure]["finding"]


def label_costs() -> str:
    """Return what the sweeps of label costs came to, as a Markdown table."""
    by = _by_metric(_results("label_costs_summary"))
    headings = [
        "pool", "asking and learning", "labels trained on", "accuracy on test images",
        "labelled automatically, certified", "human labels for the whole pool, certified",
        "certified, broken",
    ]  # fmt: skip
    rows = []

    def cell(row: pd.Series, text: str) -> str:
        if not row["seeds"]:
            return "none"
        interval = "" if row["seeds"] < 2 else " ({low" + text + "} to {high" + text + "})"
        return ("{mean" + text + "}" + interval).format(**row)

    for protocol in costs.TITLES:
        for arm in costs.ARMS:
            if (protocol, arm, "accuracy") not in by.index:
                continue
            row = by.loc[(protocol, arm)]
            certifies = "auto_coverage" in row.index
            of, missing = row.loc["certified", "of"], row.loc["labels_to_certify"]
            some = "" if missing["seeds"] == of else f", {missing['seeds']:.0f} of {of:.0f} seeds"
            certified, broken = (of * row.loc[name, "mean"] for name in ("certified", "broken"))
            rows.append(
                (
                    f"{costs.TITLES[protocol]}, {costs.TARGETS[protocol]:.0%}",
                    costs.ARMS[arm].replace("\n", " "),
                    f"{row.loc['n_human', 'mean']:,.0f}",
                    cell(row.loc["accuracy"], ":.2%"),
                    cell(row.loc["auto_coverage"], ":.1%") if certifies else "",
                    cell(missing, ":,.0f") + some,
                    f"{certified:.0f} of {of:.0f}, {broken:.0f}",
                )
            )
    return _markdown(headings, rows)


def guarantee() -> str:
    """Return how often rules for automatic labels break their promise, as a Markdown table."""
    table = _results("guarantee")
    table = table[table["noise"] == "none"]
    models = list(table["model"].unique())
    rows = []
    for rule in table["rule"].unique():
        of = table[table["rule"] == rule].set_index("model")
        cells = (f"{of.loc[m, 'broken']:.1%}, {of.loc[m, 'coverage']:.0%}" for m in models)
        rows.append((rule, *cells))
    return _markdown(["rule", *(f"{model}: broken, labelled" for model in models)], rows)


def reached() -> str:
    """Return what was reached with how many labels, as a Markdown list."""
    table = _results("label_costs_summary")
    rounds = _results("label_costs_rounds")
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
                f"{row['most']:,.0f}; {row['seeds']} of {row['of']} seeds, straight lines between "
                "rounds)"
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
        more = f"; where both accept, it takes {mean} labels ({least} to {most})"
        yield (
            f"- {_what(row['protocol'], row['arm'])}: the audit that looks where the model is "
            f"unsure accepts {ours['seeds']:.0f} of "
            f"{ours['of']:.0f} seeds, a uniform one of the same models "
            f"{row['seeds']:.0f}{more if saved['seeds'] else ''}."
        )


def _expected_audits(table: pd.DataFrame) -> Iterator[str]:
    """Yield what an audit takes on average over many draws."""
    by = _by_metric(table)
    for row in table[table["metric"] == "labels_expected"].to_dict("records"):
        mine = by.loc[(row["protocol"], row["arm"])]
        uniform = ""
        if "labels_expected_uniform" in mine.index:
            uniform = (
                f"; a uniform one takes {mine.loc['labels_expected_uniform', 'mean']:,.0f}, and "
                f"{mine.loc['accept_chance_uniform', 'mean']:.1%} accept"
            )
        yield (
            f"- {_what(row['protocol'], row['arm'])}: one audit is a matter of luck; over "
            f"many draws for each seed's model it takes "
            f"{row['mean']:,.0f} labels in all ({row['least']:,.0f} to {row['most']:,.0f} from "
            f"seed to seed), those of refused ones included, and "
            f"{mine.loc['accept_chance', 'mean']:.1%} of the audits accept{uniform}."
        )


def _largest_coverage(rounds: pd.DataFrame) -> Iterator[str]:
    coverage = rounds[(rounds["metric"] == "auto_coverage") & (rounds["mean"] > 0)]
    for (protocol, arm), rows in coverage.groupby(["protocol", "arm"], sort=False):
        best = rows.loc[rows["mean"].idxmax()]
        yield (
            f"- {_what(protocol, arm)}: the largest share "
            f"labelled automatically with a certificate for {costs.TARGETS[protocol]:.0%} is "
            f"{best['mean']:.1%} of the pool ({best['least']:.1%} to {best['most']:.1%}), after "
            f"{best['n_human']:,.0f} labels to train on and the audit's."
        )


def blocks() -> str:
    """Return what VGG16's features are worth at each depth, as a Markdown table."""
    table = _results("vgg16_blocks_summary")
    counts = sorted(table["n_human"].unique())
    rows = []
    for arm, of_arm in table.groupby("arm"):
        by = of_arm.set_index("n_human")
        cells = (
            "{mean:.1%} ({low:.1%} to {high:.1%})".format(**by.loc[n, ["mean", "low", "high"]])
            for n in counts
        )
        rows.append((arm, *cells))
    return _markdown(["features of", *(f"{n:,} random labels" for n in counts)], rows)


BLOCKS = {
    "blocks": blocks,
    "reached": reached,
    "noisy": lambda: finding("noisy_humans_guarantee"),
    "saved": lambda: finding("label_costs_cost"),
    "label_costs": label_costs,
    "guarantee": guarantee,
    "claim": claim,
    "mnist": lambda: published_against_ours("mnist"),
    "az": lambda: published_against_ours("az"),
    "percentiles": percentiles,
    "sound": lambda: claims("mnist_sound_differences"),
    "az_claims": lambda: claims("az_differences"),
    "az_classifiers": worries,
    "strategies": strategies,
    "no_better": no_better,
    "speed": speed,
}


def refreshed(readme: str) -> str:
    """Return the README's text with every table between marks written anew from results/."""

    def fill(match: re.Match) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise runs.RunError(f"README.md: table {name}: one of {', '.join(BLOCKS)}")
        return f"<!-- table: {name} -->\n{BLOCKS[name]()}\n<!-- end -->"

    pattern = r"<!-- table: (?P<name>\w+) -->\n.*?<!-- end -->"
    return re.sub(pattern, fill, readme, flags=re.DOTALL)
