"""The report's worries, shown: noisy images, wrong labels, the choice of the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.report import robustness
from alutils.experiments.report.classifiers import (
    FEATURES,
    HEAD,
    PIXELS,
    STANDARDISED,
    classifiers_draw,
    network_draw,
)
from alutils.experiments.report.letters import Letters
from alutils.experiments.report.loop_findings import first_rounds
from alutils.experiments.report.loops import new_head
from alutils.experiments.report.splits import split
from alutils.experiments.report.study import First, Study, each, mean_of, together
from alutils.models import embeddings
from alutils.plots import letters as plots
from alutils.stats import tables
from alutils.stats.intervals import t_interval

SURER = 0.9  # a second threshold beside the study's
MOST_TESTED = 5_000  # letters of the pool on which a head with wrong labels is tested


def _levels(study: Study) -> tuple[float, ...]:
    return (study.threshold, SURER) if study.threshold < SURER else (study.threshold,)


def spoilt(study: Study, first: First) -> Finding:
    """Show one letter of the pool, spoilt in each way, ever more."""
    item = first.parts.pool[:1]
    example = study.letters.images[item]
    rows = {}
    for kind, corruption in robustness.CORRUPTIONS.items():
        images = {"clean": example[0]}
        for level in corruption.levels:
            rng = np.random.default_rng(study.seed)
            images[f"{corruption.factor * level:g}"] = corruption.spoil(example, level, rng)[0]
        rows[f"{kind}\n{corruption.unit}"] = images
    name = study.letters.classes[study.letters.labels[item[0]]]
    n = len(next(iter(rows.values()))) - 1
    return Finding(
        f"A letter {name}: clean, and at {n} rising levels of noise, of blur and of occlusion.",
        figure=plots.spoilt(rows, study.title(f"A letter {name}, spoilt")),
        name="spoilt",
        alt=f"A letter {name} in three rows: noise, blur, occlusion; the first column is clean.",
    )


def _look(images: np.ndarray, preprocessing: str) -> np.ndarray:
    return np.asarray(
        embeddings.features(
            images, preprocessing=preprocessing, precision="float32", progress=False
        )
    )


def under_corruption(
    letters: Letters, setting: str, seed: int, *, epochs: int, n: int, levels: Sequence[float]
) -> pd.DataFrame:
    """Train a head on clean letters and let it label ``n`` spoilt ones of the pool."""
    parts = split(letters.labels, setting, seed)
    head = new_head(len(letters.classes), seed, epochs)
    head.fit(letters.features[parts.start], letters.labels[parts.start])
    kept = parts.pool[:n]
    return robustness.under_corruption(
        head, letters.images[kept], letters.labels[kept],
        partial(_look, preprocessing=letters.plan.preprocessing), seed=seed, thresholds=levels,
    )  # fmt: skip


def corruption(study: Study, first: First, n_spoilt: int, keep: Keep = compute) -> Finding:
    """Show what spoilt letters do to accuracy and to automatic labels."""
    levels, n_human = _levels(study), len(first.parts.start)
    under = keep(
        under_corruption, study.letters, first.setting, study.seed, epochs=study.epochs,
        n=n_spoilt, levels=levels,
    )  # fmt: skip
    arms = [f"{kind}_{level:g}" for kind, level in zip(under["kind"], under["level"], strict=True)]
    clean, worst = under.iloc[0], robustness.at_worst(under)
    right, given = (worst[f"auto_{what}@{study.threshold:g}"] for what in ("precision", "coverage"))
    hardest = right.idxmin() if right.notna().any() else given.idxmin()
    shown = {}
    for kind, part in under.groupby("kind", sort=False):
        how = robustness.CORRUPTIONS[str(kind)]
        shown[str(kind)] = part.assign(level=how.factor * part["level"]), how.unit
    n = int(clean["n_eval"])
    title = f"{n:,} spoilt letters; the model has learned from {n_human:,} clean ones"
    return Finding(
        f"Clean letters: {robustness.describe(clean, study.threshold)}. Under the worst {hardest}: "
        f"{robustness.describe(worst.loc[hardest], study.threshold)}.",
        figure=plots.auto_labelling(shown, levels[:1], study.title(title)),
        name="corruption",
        alt=(
            "Accuracy, share labelled automatically and share of these labels that is right, "
            "against rising noise, blur and occlusion."
        ),
        rows=tables.long_rows(
            under, arms, protocol=first.setting, split="pool", n_human=n_human, seed=study.seed
        ),
    )


def with_wrong_labels(
    letters: Letters, setting: str, seed: int, *, epochs: int, levels: Sequence[float]
) -> pd.DataFrame:
    """Train heads on labels of which ever more are wrong; test them on the pool."""
    parts = split(letters.labels, setting, seed)
    tested = parts.pool[:MOST_TESTED]
    return robustness.under_wrong_labels(
        letters.features[parts.start], letters.labels[parts.start],
        letters.features[tested], letters.labels[tested],
        lambda number: new_head(len(letters.classes), number, epochs),
        n_classes=len(letters.classes), seeds=[seed], thresholds=levels,
    )  # fmt: skip


def wrong_labels(study: Study, keep: Keep = compute) -> Finding:
    """Show what wrong labels do to accuracy and to automatic labels."""
    levels, setting = _levels(study), study.settings[0]
    table = each(
        keep, with_wrong_labels, study, study.few_draws, setting, epochs=study.epochs, levels=levels
    )
    n_human = len(split(study.letters.labels, setting, study.seed).start)
    arms = [f"wrong_labels_{share:g}" for share in table["share"]]
    by_share = table.groupby("share").mean()
    none, most = by_share.iloc[0], by_share.iloc[-1]
    level = table.assign(level=100 * table["share"])
    drawn = mean_of(study.few, " and range")
    title = f"{n_human:,} labels, some of them wrong; {drawn}"
    return Finding(
        f"With {by_share.index[-1]:.0%} of the labels wrong, accuracy goes from "
        f"{none['accuracy']:.1%} to {most['accuracy']:.1%}. With none wrong, "
        f"{robustness.describe(none, study.threshold)}; with most, "
        f"{robustness.describe(most, study.threshold)}.",
        figure=plots.auto_labelling(
            {"wrong labels": (level, "labels that are wrong, per cent")}, levels, study.title(title)
        ),
        name="wrong_labels",
        alt=(
            "Accuracy, share labelled automatically and share of these labels that is right, "
            "against the share of training labels that is wrong."
        ),
        rows=tables.long_rows(table, arms, protocol=setting, split="pool", n_human=n_human),
    )


def compare_classifiers(
    study: Study, draws: int, network_draws: int, network_steps: int, keep: Keep = compute
) -> pd.DataFrame:
    """Train the usual classifiers, the head and the small network with the same labels.

    Parameters
    ----------
    draws, network_draws : of the study's draws, how many; the network takes the longest
    network_steps : of the small network's optimiser
    """
    setting, seeds = study.settings[0], study.draws
    usual = each(keep, classifiers_draw, study, seeds[:draws], setting, epochs=study.epochs)
    network = each(keep, network_draw, study, seeds[:network_draws], setting, steps=network_steps)
    return together([usual, network])


def best_classifier(study: Study, table: pd.DataFrame, loops: pd.DataFrame) -> Finding:
    """Show how the classifiers do on the features and on the pixels.

    ``loops``: of `alutils.experiments.report.loop_findings.run_loops`, for the head in all draws.
    """
    by = table.groupby(["inputs", "classifier"], sort=False)
    mean = by["accuracy"].mean()
    n_human, n_eval = int(table["n_human"].iloc[0]), int(table["n_eval"].median())
    usual = mean.drop(index=[key for key in mean.index if key[1] == _network(table)])
    best = {source: usual[source].idxmax() for source in (FEATURES, PIXELS)}
    text = ", ".join(f"{best[s]} on {s} {usual[s].max():.1%}" for s in (FEATURES, PIXELS))
    text = f"Best: {text}. The transfer {_pays(study, table, best)}. "
    text += _head_and_network(study, table, loops)
    names = [f"{row.classifier} on {row.inputs}" for row in table.itertuples()]
    arms = [name.replace(" ", "_").replace("'", "").replace(",", "").lower() for name in names]
    setting = study.settings[0]
    saved = by.mean(numeric_only=True).drop(columns="seed").reset_index()
    saved = saved.astype({"n_human": int, "n_eval": int})
    saved["draws"] = by.size().to_numpy()
    title = f"{n_human:,} labels, tested on {n_eval:,} letters of the pool;\n{_draws(table)}"
    return Finding(
        text,
        figure=plots.classifiers(table, study.title(title)),
        name="classifiers",
        alt="Accuracy of each classifier: a marker on VGG16 features and one on raw pixels.",
        rows=tables.long_rows(table, arms, protocol=setting, split="pool"),
        tables={"az_classifiers": saved.round(6)},
    )


def _head_and_network(study: Study, table: pd.DataFrame, loops: pd.DataFrame) -> str:
    """Say what the head and the small network read in the draws that both have."""
    accuracy = table.set_index(["inputs", "classifier", "seed"])["accuracy"].sort_index()
    pair = pd.concat(
        {"network": accuracy[PIXELS, _network(table)], "head": accuracy[FEATURES, HEAD]}, axis=1
    ).dropna()
    of = "one draw" if len(pair) == 1 else f"{len(pair)} draws"
    text = (
        f"In the same {of} the small network reads {pair['network'].mean():.1%} and the report's "
        f"head {pair['head'].mean():.1%}"
    )
    if len(pair) < study.seeds:
        everywhere = first_rounds(study, loops)["pool_accuracy"].mean()
        text += f" ({everywhere:.1%} in all {study.seeds} draws)"
    return f"{text}."


def _draws(table: pd.DataFrame) -> str:
    """Say what is shown of how many draws, and how many the network has if it has fewer."""
    n = table.groupby("classifier")["seed"].nunique()
    few, most = n[_network(table)], n.max()
    said = f"mean and range of {most} draws" if most > 1 else "one draw"
    return said if few == most else f"{said} (small network: {few})"


def _network(table: pd.DataFrame) -> str:
    return table["classifier"].iloc[-1]


def _pays(study: Study, table: pd.DataFrame, best: dict[str, str]) -> str:
    """Say in words whether the best classifier on features beats the best on pixels."""
    accuracy = table.set_index(["inputs", "classifier", "seed"])["accuracy"].sort_index()
    gain = (accuracy[FEATURES, best[FEATURES]] - accuracy[PIXELS, best[PIXELS]]).to_numpy()
    n_eval = table["n_eval"].median()
    mean = gain.mean()
    if len(gain) < 2:
        shares = [accuracy[source, name].iloc[0] for source, name in best.items()]
        half = 1.96 * np.sqrt(sum(share * (1 - share) for share in shares) / n_eval)
        low, high = mean - half, mean + half
    else:
        low, high = t_interval(gain, n_eval / (len(study.letters) - n_eval))
    verdict = "pays" if low > 0 else "does not pay" if high < 0 else "makes no sure difference"
    return f"{verdict}: {100 * mean:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def two_tables(table: pd.DataFrame) -> Finding:
    """Say why logistic regression on the same features has two accuracies in this repository."""
    mean = table.groupby(["inputs", "classifier"])["accuracy"].mean()[FEATURES]
    whole, one_by_one = mean["logistic regression"], mean[STANDARDISED]
    return Finding(
        f"Logistic regression on the same features reaches {whole:.1%} when the features are "
        "scaled as a whole, as in the table of VGG16's blocks in results/README.md. It reaches "
        f"{one_by_one:.1%} when each feature is divided by its own deviation: then features that "
        "hardly ever differ from zero count as much as the others.",
        name="scaling",
    )
