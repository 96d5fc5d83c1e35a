"""Reference results: a full run's tables and figures, kept in results/, and the README's tables.

``python -m alutils reference NAME...`` runs each experiment in its full profile and publishes the
run; ``--run FOLDER`` publishes a run that is there already. The README holds tables between marks,
``<!-- table: NAME -->`` and ``<!-- end -->``; they are written from results/, never by hand.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from alutils import compare, manifest, runs, tables
from alutils.paths import repository_root, write_atomically

REPLICATES = ("noise", "draws")
"""Protocols with hundreds of rows an arm: they go into a table of their own."""


def publish(folder: Path, name: str | None = None) -> list[Path]:
    """Copy a finished run's tables, figures and manifest into results/.

    ``metrics.csv`` becomes ``<name>.csv``, its replicates ``<name>_replicates.csv``; tables of the
    run's own go to ``<name>_<table>.csv``, figures to ``figures/<name>_<figure>.png``. What an
    earlier run left under the name and this one does not bring is removed, so that no two runs
    are mixed.

    Parameters
    ----------
    folder : of the run
    name : what its files begin with; the experiment's name by default

    Returns
    -------
    the files written

    Raises
    ------
    RunError
        For a run that is not complete, or not of the full profile; for rendered letters under the
        name ``az``, which is for real ones; for a name that another experiment's results bear.
    """
    about = manifest.read_json(folder / "manifest.json")
    if about.get("status") != "complete":
        raise runs.RunError(f"{folder.name}: not a finished run; only those are published")
    if about.get("profile") != "full":
        raise runs.RunError(
            f"{folder.name}: profile={about.get('profile')}: reference results are made by the "
            f"full one: python -m alutils run {about['experiment']} --profile full"
        )
    experiment, results = about["experiment"], repository_root() / "results"
    name = name or experiment
    _check_name(name, experiment, compare.is_rendered(about))
    table = tables.read(folder / "metrics.csv")
    replicate = table["protocol"].isin(REPLICATES)
    written = []
    for stem, rows in ((name, ~replicate), (f"{name}_replicates", replicate)):
        if rows.any():
            write_atomically(results / f"{stem}.csv", tables.as_csv(table[rows]))
            manifest.write_json(results / f"{stem}.manifest.json", about)
            written += [results / f"{stem}.csv", results / f"{stem}.manifest.json"]
    figures = results / "figures"
    figures.mkdir(exist_ok=True)
    for source in sorted(folder.glob("tables/*.csv")):
        # A run's own tables bear its experiment's name already, or none.
        own = re.sub(rf"^({experiment}|{experiment.split('_')[0]})_", "", source.name)
        written.append(results / f"{name}_{own}")
        write_atomically(written[-1], source.read_bytes())
    for source in sorted(folder.glob("figures/*.png")):
        written.append(figures / f"{name}_{source.name}")
        write_atomically(written[-1], source.read_bytes())
    for stale in _of_name(results, name) - set(written):
        stale.unlink()
    texts = manifest.read_json(figures / "figures.json")
    mine = manifest.read_json(folder / "figures" / "figures.json")
    kept = {file: text for file, text in texts.items() if (figures / f"{file}.png").is_file()}
    texts = kept | {f"{name}_{figure}": text for figure, text in mine.items()}
    manifest.write_json(figures / "figures.json", dict(sorted(texts.items())))
    return written


def _check_name(name: str, experiment: str, rendered: bool) -> None:
    """Raise RunError where results of another kind bear this name, or are to bear it."""
    if name == "az" and rendered:
        raise runs.RunError(
            "az: these letters are rendered, and results/az* are of real ones; publish them under "
            "another name (--as az_rendered), or run az with -p data LETTERS.npz"
        )
    there = manifest.read_json(repository_root() / "results" / f"{name}.manifest.json")
    if there.get("experiment", experiment) != experiment:
        raise runs.RunError(
            f"{name}: results/{name}* are of the experiment {there['experiment']}, not of "
            f"{experiment}; choose another name (--as)"
        )


def _of_name(results: Path, name: str) -> set[Path]:
    """Return the files in results/ that were published under a name.

    ``az_explore_clusters.csv`` is not one of ``az``'s where ``az_explore`` was published, too: a
    name is what has a manifest.
    """
    manifests = (
        path.name.removesuffix(".manifest.json") for path in results.glob("*.manifest.json")
    )
    longer = [
        f"{other}{end}"
        for other in manifests
        if other.startswith(f"{name}_") and other != f"{name}_replicates"
        for end in ("_", ".")
    ]
    found = [
        *(results / f"{name}{end}" for end in (".csv", ".manifest.json")),
        *results.glob(f"{name}_*.csv"),
        *results.glob(f"{name}_*.manifest.json"),
        *(results / "figures").glob(f"{name}_*.png"),
    ]
    return {path for path in found if path.is_file() and not path.name.startswith(tuple(longer))}


def publish_sweep(folder: Path, name: str | None = None, mended: Sequence[Path] = ()) -> list[Path]:
    """Copy a finished sweep of learning curves into results/, with what it says.

    The sweep's ``table.csv`` becomes ``<name>.csv`` (the accuracy after every round), and
    ``<name>_summary.csv``, ``<name>_curves.csv`` and ``<name>_best.csv`` are made from it; see
    `alutils.strategy_tables`. ``figures/<name>_gains.png`` shows the areas.

    Parameters
    ----------
    folder : of the sweep
    name : what its files begin with; the sweep's name by default
    mended : folders of later sweeps of some of its strategies and settings, made after these were
        mended, whose curves stand in the place of theirs; the manifest holds theirs, too

    Returns
    -------
    the files written

    Raises
    ------
    RunError
        For a sweep with cells that failed or were not run, and for one of something else.
    """
    from alutils import strategy_plots, strategy_tables

    kept: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    abouts = []
    for one in (folder, *mended):
        about = manifest.read_json(one / "manifest.json")
        if about.get("status") != "complete":
            raise runs.RunError(f"{one.name}: not a finished sweep; only those are published")
        if about["experiment"] != "curve":
            raise runs.RunError(f"{one.name}: {about['experiment']} swept; expected curve")
        abouts.append(about)
        table, timings = pd.read_csv(one / "table.csv"), pd.read_csv(one / "timings.csv")
        again = set(zip(table["protocol"], table["arm"], strict=True))
        for i, (curves, took) in enumerate(kept):
            mine = [
                pair not in again for pair in zip(curves["protocol"], curves["arm"], strict=True)
            ]
            own = [
                pair not in again for pair in zip(took["setting"], took["strategy"], strict=True)
            ]
            kept[i] = curves[mine], took[own]
        kept.append((table, timings))
    about = abouts[0] | ({"mended_by": abouts[1:]} if mended else {})
    results, name = repository_root() / "results", name or about["sweep"].rpartition("-")[0]
    table, timings = (pd.concat(part, ignore_index=True) for part in zip(*kept, strict=True))
    seconds = timings.groupby(["setting", "strategy"])["wall_s"].mean().to_dict()
    write_atomically(results / f"{name}.csv", tables.as_csv(table[list(tables.COLUMNS)]))
    frames = {
        f"{name}_summary": strategy_tables.summary(table, seconds),
        f"{name}_curves": strategy_tables.mean_curves(table),
        f"{name}_best": strategy_tables.tied_for_best(table),
    }
    written = [results / f"{name}.csv"]
    for stem, frame in frames.items():
        path = results / f"{stem}.csv"
        text = frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        write_atomically(path, text)
        written.append(path)
    manifest.write_json(results / f"{name}.manifest.json", about)
    summary = frames[f"{name}_summary"]
    figures = results / "figures"
    figures.mkdir(exist_ok=True)
    figure = strategy_plots.gains(
        summary,
        _SETTINGS,
        f"What a strategy adds to the area under the curve ({summary['seeds'].min()} draws, "
        "95% interval)",
    )
    figure.savefig(figures / f"{name}_gains.png", bbox_inches="tight")
    gain = summary.groupby("arm")["gain"].mean()
    texts = manifest.read_json(figures / "figures.json") | {
        f"{name}_gains": {
            "alt": "For each strategy and setting the mean gain over random in area under the "
            "learning curve, as a dot with its interval.",
            "finding": f"Over all settings {gain.idxmax()} adds most, {100 * gain.max():.1f} "
            f"points; {gain.idxmin()} least, {100 * gain.min():+.1f}.",
        }
    }
    manifest.write_json(figures / "figures.json", dict(sorted(texts.items())))
    return [*written, results / f"{name}.manifest.json", figures / f"{name}_gains.png"]


def published_against_ours(experiment: str) -> str:
    """Return the Markdown table of an experiment's published values beside ours."""
    results = repository_root() / "results"
    frame = compare.compare([results / f"{experiment}.csv"], results / "published.csv")
    frame = frame[frame["published"].notna() & (frame["metric"] != "n_right")]
    lines = ["| what | labels | published | ours | verdict |", "|---|---|---|---|---|"]
    counts = compare.compare([results / f"{experiment}.csv"], results / "published.csv")
    exact = counts[counts["metric"] == "n_right"].set_index(["protocol", "arm", "split"])
    for row in frame.to_dict("records"):
        count = exact["published"].get((row["protocol"], row["arm"], row["split"]))
        verdict = row["verdict"]
        ours = f"{row['mean']:.4f}"
        if row["n"] > 1:
            ours += f" [{row['low']:.4f}, {row['high']:.4f}], n = {row['n']}"
        shown = f"{row['published']:.4f}"
        if count is not None and pd.notna(count):
            verdict = exact["verdict"][(row["protocol"], row["arm"], row["split"])]
            shown += f" ({count:.0f} of {row['n_eval']:.0f})"
            mean = exact["mean"][(row["protocol"], row["arm"], row["split"])]
            ours += f" ({mean:.0f} of {row['n_eval']:.0f})"
        what = f"{row['arm']}, {row['split']}" + (
            "" if row["metric"] == "accuracy" else f", {row['metric']}"
        )
        lines.append(f"| {what} | {row['n_human']:g} | {shown} | {ours} | {verdict} |")
    return "\n".join(lines)


def percentiles() -> str:
    """Return the Markdown table of where the article's counts stand among replicates."""
    table = pd.read_csv(repository_root() / "results" / "mnist_percentiles.csv")
    lines = [
        "| replicates | arm | mean ± sd (of 400) | range | published | percentile |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['replicates']} | {row['arm']} | {row['mean']:.1f} ± {row['sd']:.1f} | "
        f"{row['lowest']:.0f}-{row['highest']:.0f} | {row['published']:.0f} | "
        f"{row['percentile']:.1f} |"
        for row in table.to_dict("records")
    ]
    return "\n".join(lines)


def claims(name: str) -> str:
    """Return the paired differences of a results table as a Markdown list of sentences."""
    from alutils.evaluation import Paired

    table = pd.read_csv(repository_root() / "results" / f"{name}.csv")
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
    table = pd.read_csv(results / "az_classifiers.csv")
    rendered = compare.is_rendered(manifest.read_json(results / "az.manifest.json"))
    kind = "rendered" if rendered else "real"
    wide = table.pivot(index="classifier", columns="inputs", values="accuracy")
    lines = [
        f"| {table['n_human'].iloc[0]:,} {kind} letters labelled | {' | '.join(wide.columns)} |",
        "|---" * (1 + len(wide.columns)) + "|",
    ]
    best = wide.loc[wide.max(axis=1).sort_values(ascending=False).index]
    lines += [
        f"| {name} | {' | '.join(f'{value:.1%}' for value in row)} |"
        for name, row in best.iterrows()
    ]
    return "\n".join(lines)


def claim() -> str:
    """Return what the article's active learning is worth, in two sentences."""
    results = repository_root() / "results"
    stands = pd.read_csv(results / "mnist_percentiles.csv").query("arm == 'active'").iloc[0]
    sound = pd.read_csv(results / "mnist_sound_differences.csv").iloc[0]
    rows = compare.read_published(results / "published.csv")
    accuracy = {
        row["arm"]: float(row["value"])
        for row in rows
        if (row["experiment"], row["metric"]) == ("mnist", "accuracy")
    }
    gap = 100 * (accuracy["active"] - accuracy["random"])
    return (
        f"The article's {stands['published']:.0f} of 400 for active learning comes out exactly, "
        f"and is a lucky draw: numerical noise of one millionth alone gives "
        f"{stands['mean']:.0f} ± {stands['sd']:.0f}, and {stands['published']:.0f} stands at "
        f"percentile {stands['percentile']:.1f} of that. In its table active learning beats random "
        f"by {gap:.1f} points; soundly measured, by {100 * sound['mean']:.1f} "
        f"({100 * sound['low']:.1f} to {100 * sound['high']:.1f})."
    )


def speed() -> str:
    """Return the benchmarks as a Markdown table."""
    table = pd.read_csv(repository_root() / "results" / "benchmarks.csv")
    lines = ["| what | baseline | ours | ratio | asked |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['what']} | {row['baseline_s']:.3g} s | {row['ours_s']:.3g} s | "
        f"{row['ratio']:.1f} | {format(row['bar'], 'g') if row['bar'] else ''} |"
        for row in table.to_dict("records")
    ]
    return "\n".join(lines)


def strategies() -> str:
    """Return the query strategies' benchmark as a Markdown table: areas, labels needed, wins."""
    from alutils import strategy_tables

    table = pd.read_csv(repository_root() / "results" / "strategies_summary.csv")
    protocols = list(table["protocol"].unique())
    order = table.groupby("arm")["gain"].mean().sort_values(ascending=False).index
    by = table.set_index(["protocol", "arm"])
    lines = [
        "| strategy | " + " | ".join(_SETTINGS[p] for p in protocols) + " | seconds |",
        "|---" * (2 + len(protocols)) + "|",
    ]
    for arm in order:
        cells = []
        for protocol in protocols:
            row = by.loc[(protocol, arm)]
            if arm == strategy_tables.BASELINE:
                cells.append(f"{100 * row['area']:.1f}%")
            else:
                wins = f"{row['win']:.0f}/{row['tie']:.0f}/{row['loss']:.0f}"
                cells.append(f"{100 * row['gain']:+.1f} ({wins})")
        took = table[table["arm"] == arm]["seconds"].mean()
        lines.append(f"| {arm} | {' | '.join(cells)} | {took:.1f} |")
    return "\n".join(lines)


def no_better() -> str:
    """Return which strategies do no better than random, in a sentence for each setting."""
    from alutils import strategy_tables

    table = pd.read_csv(repository_root() / "results" / "strategies_summary.csv")
    best = pd.read_csv(repository_root() / "results" / "strategies_best.csv")
    lines = []
    for protocol, names in strategy_tables.no_better_than_random(table).items():
        alike = best[best["protocol"] == protocol]
        others = ", ".join(alike["arm"].iloc[1:]) or "none"
        lines.append(
            f"- {_SETTINGS[protocol]}: best is {alike['best'].iloc[0]} (not to be told from it: "
            f"{others}); no better than random: {', '.join(names) or 'none'}."
        )
    return "\n".join(lines)


_SETTINGS = {
    "mnist_pixels": "digits, pixels",
    "mnist_vgg16": "digits, VGG16 features",
    "letters_vgg16": "letters, VGG16 features",
}


BLOCKS = {
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


def run(
    names: Iterable[str],
    folders: Iterable[Path],
    name: str | None = None,
    sweeps: Sequence[Path] = (),
) -> list[Path]:
    """Run and publish experiments, publish finished runs and sweeps, renew the README's tables."""
    from alutils import headless

    names = list(names)
    for experiment in names:  # before hours of work
        values = headless.parameters_of(experiment, "full")
        _check_name(name or experiment, experiment, values.get("data") == "rendered")
    written = publish_sweep(sweeps[0], name, sweeps[1:]) if sweeps else []
    for folder in [*folders, *(headless.execute(experiment, "full") for experiment in names)]:
        written += publish(folder, name)
    readme = repository_root() / "README.md"
    write_atomically(readme, refreshed(readme.read_text(encoding="utf-8")))
    return [*written, readme]
