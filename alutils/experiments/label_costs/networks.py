"""The networks of notebook 05: the article's 400 labels, asked for and learned from in many ways.

Each is trained once (`train`); every later section of the notebook looks at what it said of the
digits that were not labelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from tqdm import tqdm

from alutils import plots
from alutils.base.errors import ParameterError
from alutils.base.files import repository_root
from alutils.data import mnist
from alutils.data.dataset import Dataset
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.label_costs import trust
from alutils.experiments.label_costs.fewest_labels import Settings
from alutils.plots.style import arm_name
from alutils.stats import compare, intervals

LABELLED = ("random", "active")
ARMS = ("random", "random_unlabelled", "active", "active_unlabelled")
"""Ways of asking and learning; those but for `LABELLED` learn from the unlabelled images, too, and
need some thousand steps to gain by it."""
MOST, ERRORS = 1500, 60
"""Labels of an audit of the whole pool, at most, and the errors that the target allows in as many:
with many more errors no plan is made."""
ARTICLE_ARMS = ("random", "active", "auto_confident_first")
"""The article's, which ours stand beside."""


def settings(*, known: int, **options: Any) -> Settings:
    """Return what the notebook's networks are trained with; ParameterError for what cannot be run.

    Parameters
    ----------
    known : rounds that a forecast is to be made from
    options : of `Settings`. The whole pool is audited with weights, and its plan expects half of
        the wrong labels that the target allows, if nothing else is said
    """
    options = {"target": Settings.target, "weighted": True} | options
    allowed = 1 - options["target"]
    plan = {"expected_wrong": round(allowed / 2, 12), "most": min(MOST, round(ERRORS / allowed))}
    chosen = Settings(setting="article", **plan | options)
    n_rounds = 1 + -(-(chosen.budget - chosen.first) // chosen.batch)
    if known > n_rounds:
        raise ParameterError(
            "known", known, f"there are {n_rounds} rounds", "lower known or batch, or raise budget"
        )
    return chosen


def digits() -> dict[str, Dataset]:
    """Return the article's pool and MNIST's test digits, for a run's ``uses``."""
    return {"digits": mnist.mnist_article()[0], "test": mnist.mnist()[1]}


@dataclass(frozen=True)
class Networks:
    """What the trained networks came to.

    Attributes
    ----------
    settings : of all of them
    seeds : their draws
    rows : of `fewest_labels.run`, after every round
    scores : by arm and seed, what `trust.scores` says of every waiting digit after every round
    """

    settings: Settings
    seeds: tuple[int, ...]
    rows: pd.DataFrame
    scores: Mapping[tuple[str, int], pd.DataFrame]

    @property
    def arms(self) -> tuple[str, ...]:
        """What was trained, in the order of tables."""
        return tuple(arm for arm in ARMS if (arm, self.seeds[0]) in self.scores)

    @property
    def n_pool(self) -> int:
        """Digits in the pool."""
        return int(self.rows.loc[self.rows["split"] == "pool", "n_eval"].iloc[0])

    @property
    def n_test(self) -> int:
        """Digits that test."""
        return int(self.rows.loc[self.rows["split"] == "test", "n_eval"].iloc[0])

    @property
    def drawn(self) -> str:
        """How many draws there are, in words."""
        return f"mean of {len(self.seeds)} draws" if len(self.seeds) > 1 else "one draw"

    def at_last(self, arm: str) -> pd.DataFrame:
        """Return an arm's scores after the last round, first seed; its rows are the waiting digits.

        Columns: confidence, margin, and right, bool.
        """
        seen = self.scores[arm, self.seeds[0]]
        last = seen[seen["n_human"] == seen["n_human"].max()].reset_index(drop=True)
        return last[["confidence", "margin"]].assign(right=last["right"] == 1)

    def measured(self, metric: str, *, last: bool = False) -> pd.DataFrame:
        """Return the rows of a metric, arm by arm; of the last round alone, or of all.

        Seeds without a value are left out.
        """
        rows = self.rows[self.rows["metric"] == metric].dropna(subset="value")
        if last:
            rows = rows[rows["n_human"] == self.settings.budget]
        return rows.assign(arm=pd.Categorical(rows["arm"], self.arms)).sort_values(
            ["arm", "n_human"]
        )

    def curve(self, metric: str) -> dict[str, pd.DataFrame]:
        """Return arm to a metric by labels, as `over_seeds`."""
        return self.over_seeds(self.measured(metric).astype({"arm": str}))

    def over_seeds(self, rows: pd.DataFrame, more: int = 0) -> dict[str, pd.DataFrame]:
        """Return arm to values by labels: n (``more`` than those trained on), middle, low, high.

        ``rows``: arm, seed, n_human, value. The middle is the mean over seeds, low and high its 95%
        interval; NaN for a single one.
        """
        means = intervals.over_seeds(rows, ["arm", "n_human"]).rename(columns={"mean": "middle"})
        means["n"] = means["n_human"] + more
        return {arm: means[means["arm"] == arm].sort_values("n") for arm in self.arms}


def train(
    settings: Settings, *, seeds: int, unlabelled: bool = False, keep: Keep = compute
) -> Networks:
    """Train the networks of all arms, ``seeds`` draws of each from ``settings.seed`` on.

    ``unlabelled``: also those that learn from the unlabelled images.
    """
    arms = ARMS if unlabelled else LABELLED
    numbers = tuple(range(settings.seed, settings.seed + seeds))
    frames, scores = [], {}
    with tqdm(total=seeds * len(arms), desc="labels", unit="run") as bar:
        for seed in numbers:
            for arm in arms:
                one = replace(settings, arm=arm, seed=seed)
                rows, scores[arm, seed] = keep(trust.rows_and_scores, one, frames=2)
                frames.append(rows)
                bar.update()
    return Networks(settings, numbers, pd.concat(frames, ignore_index=True), scores)


def accuracy(networks: Networks) -> Finding:
    """Return test accuracy against labels, beside what was published and what is soundly measured.

    Rows: all of the networks'. Table: the three layers of truth side by side.
    """
    settings, n_test = networks.settings, networks.n_test
    curves = networks.curve("accuracy")
    last = {arm: float(curve["middle"].iloc[-1]) for arm, curve in curves.items()}
    published, sound = _published(), _sound(n_test)
    layers = pd.DataFrame(
        [
            *(("published", arm, 400, published[arm]) for arm in ARTICLE_ARMS),
            *(("sound", arm, n_test, sound[arm]) for arm in ARTICLE_ARMS),
            *(("better", arm, n_test, last[arm]) for arm in networks.arms),
        ],
        columns=["layer", "arm", "n_test", "accuracy"],
    )
    many = f"{settings.members} network{'s' * (settings.members > 1)}"
    levels = {"article, published": published["active"], "article, sound": sound["active"]}
    figure = plots.accuracy_curves(
        curves, levels, ylabel=f"accuracy on {n_test:,} test digits (%)",
        title=f"The article's {networks.n_pool:,} digits: {many} of {settings.steps:,} steps, "
        f"{networks.drawn}",
    )  # fmt: skip
    reached = ", ".join(f"{share:.1%} ({arm_name(arm)})" for arm, share in last.items())
    text = (
        f"With {settings.budget} labels the networks get {reached} of the test digits right; the "
        f"article's active learning gets {sound['active']:.1%} with 400, where "
        f"{published['active']:.1%} was published."
    )
    alt = (
        "Test accuracy against the number of human labels, a line for each way of asking and "
        "learning; the article's accuracy, published and sound, as horizontal lines."
    )
    return Finding(
        text, figure=figure, name="labels_accuracy", alt=alt, table=_beside(layers),
        rows=networks.rows, tables={"autolabel_layers": layers},
    )  # fmt: skip


def _beside(layers: pd.DataFrame) -> pd.io.formats.style.Styler:
    """Return the three layers as a table: a row a way of asking, a column a layer."""
    wide = layers.assign(arm=layers["arm"].map(arm_name)).pivot(
        index="arm", columns="layer", values="accuracy"
    )
    wide = wide.loc[layers["arm"].map(arm_name).unique(), layers["layer"].unique()]
    wide.index.name = wide.columns.name = None
    return wide.style.format("{:.2%}", na_rep="").set_caption("accuracy on the test digits")


def _published() -> dict[str, float]:
    rows = compare.read_published(repository_root() / "results" / "published.csv")
    return {
        row["arm"]: float(row["value"])
        for row in rows
        if row["experiment"] == "mnist" and row["metric"] == "accuracy"
    }


def _sound(n_test: int) -> pd.Series:
    table = pd.read_csv(repository_root() / "results" / "mnist.csv")
    table = table[(table["protocol"] == "sound") & (table["metric"] == "accuracy")]
    return table[table["n_eval"] == n_test].groupby("arm")["value"].mean()
