"""What notebook 01 comes to, from results/."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from alutils.base import files
from alutils.experiments.article.one_run import published_counts
from alutils.experiments.base import Answer
from alutils.stats import tables
from alutils.stats.intervals import Reached

FIGURE = "mnist_distributions"
NONE_YET = "There are no reference results: `python -m alutils reference mnist` makes them."


def answer() -> Answer:
    """Return three lines on what the reference run found, each computed from its tables."""
    results = files.repository_root() / "results"
    needed = ("mnist", "mnist_percentiles", "mnist_replicates", "mnist_sound_differences")
    if not all((results / f"{name}.csv").is_file() for name in needed):
        return Answer((NONE_YET,), FIGURE)
    table = tables.read(results / "mnist.csv")
    return Answer((_exact(table), _one_draw(results), _sound(results, table)), FIGURE)


def _exact(table: pd.DataFrame) -> str:
    counted = table[(table["protocol"] == "published") & (table["metric"] == "n_right")]
    ours = {arm: int(n) for arm, n in counted.set_index("arm")["value"].items()}
    theirs, n_test = published_counts(), int(counted["n_eval"].iloc[0])
    same = [arm for arm, n in theirs.items() if ours.get(arm) == n]
    if len(same) == len(theirs):
        counts = ", ".join(str(n) for n in theirs.values())
        return f"**Exact.** All {len(same)} published counts come out: {counts} of {n_test}."
    return f"**Not exact.** {len(same)} of the {len(theirs)} published counts come out."


def _one_draw(results: Path) -> str:
    rows = pd.read_csv(results / "mnist_percentiles.csv").query("arm == 'active'")
    row, n_test = rows.iloc[0], _n_test(results)
    low, high, mean, known = (
        100 * row[name] / n_test for name in ("lowest", "highest", "mean", "published")
    )
    kind, n = row["replicates"].rsplit(", ", 1)
    replicates = pd.read_csv(results / "mnist_replicates.csv")
    found = reached(replicates, row["arm"], kind, row["published"])
    return (
        f"**One draw.** In {n} replicates under {kind} active learning gets {low:.1f}% to "
        f"{high:.1f}% of {n_test} test digits right (mean {mean:.1f}%): the published "
        f"{known:.2f}% stands at percentile {row['percentile']:.1f}, and {found.n} of them "
        f"reach it ({found.share} of such runs)."
    )


def reached(replicates: pd.DataFrame, arm: str, kind: str, value: float) -> Reached:
    """Return how many replicates of the article's experiment get at least so many digits right.

    replicates : results/mnist_replicates.csv
    kind : as results/mnist_percentiles.csv calls them: by numerical noise, or other draws
    """
    protocol = "noise" if kind.startswith("numerical noise") else "draws"
    of = replicates[(replicates["protocol"] == protocol) & (replicates["arm"] == arm)]
    of = of[(of["split"] == "test") & (of["metric"] == "n_right")]
    return Reached.by(value, of["value"].to_numpy())


def _sound(results: Path, table: pd.DataFrame) -> str:
    row = pd.read_csv(results / "mnist_sound_differences.csv").iloc[0]
    mean, low, high = (100 * row[name] for name in ("mean", "low", "high"))
    known = published_counts()
    gap = 100 * (known["active"] - known["random"]) / _n_test(results)
    line = (
        f"**Sound.** Active minus random labels: {mean:+.1f} points (95% interval {low:+.1f} to "
        f"{high:+.1f}, {row['n']:.0f} draws, {row['n_test']:,.0f} test digits), where the article "
        f"shows {gap:+.1f}."
    )
    ours = table[(table["protocol"] == "better") & (table["metric"] == "accuracy")]
    if ours.empty:
        return line
    best, draws = ours.groupby("arm")["value"].mean().max(), ours["seed"].nunique()
    mean = f" (mean of {draws} draws)" if draws > 1 else ""
    return f"{line} Today's best method gets {best:.1%} right with as many labels{mean}."


def _n_test(results: Path) -> int:
    table = tables.read(results / "mnist.csv")
    return int(table.loc[table["protocol"] == "published", "n_eval"].min())
