"""Streams: each image is asked for as it comes by, or never; under drift, too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from alutils import plots
from alutils.active import toys
from alutils.active.loops import stream
from alutils.active.oracles import Perfect
from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count
from alutils.base.errors import ParameterError
from alutils.data import drift
from alutils.data.dataset import Dataset
from alutils.experiments.advice import Advice, Advised, in_points
from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.strategies import comparison, results
from alutils.experiments.strategies.curves import TEST_SHARE
from alutils.experiments.strategies.draws import MOST_TEST
from alutils.models.estimator import Estimator, softmax_regression
from alutils.plots import arm_name
from alutils.stats import intervals

DECIDERS = ("random", "fixed", "variable", "randomised")
FIRST, TRAIN_EVERY, STEPS = 20, 20, 12
"""Labels before the first training and between trainings; steps in which a stream is told."""
LEAST = 60
"""Questions that a stream must allow: fewer say nothing about who asks them."""
VARIANTS = (("none", "all"), ("abrupt", "all"), ("abrupt", "window"), ("gradual", "window"))
"""Kinds of drift, and whether the model trains on all labels or on the latest only."""


@dataclass(frozen=True)
class Streams:
    """How streams are drawn from a data set, and what may be asked for.

    Attributes
    ----------
    images : what arrives, half as wide and high
    n_stream : arrivals
    share : of the arrivals that may be asked for
    seeds, seed : how many streams, and the first of their numbers
    """

    images: Dataset
    n_stream: int
    share: float
    seeds: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("seeds", self.seeds, 2)
        check_count("seed", self.seed)
        if not 1 <= self.n_stream <= len(self.images):
            raise ParameterError(
                "n_stream",
                self.n_stream,
                f"there are {len(self.images)} images of {self.images.name}",
                f"let at most {len(self.images)} arrive",
            )
        if not 0 < self.share <= 1 or self.budget < LEAST:
            raise ParameterError(
                "share",
                self.share,
                f"{self.budget} of {self.n_stream} arrivals may be asked for, expected {LEAST} or "
                "more",
                "raise share or n_stream",
            )

    @property
    def budget(self) -> int:
        """Questions in all."""
        return round(self.share * self.n_stream)

    @property
    def test_to_train(self) -> float:
        """As `Pools.test_to_train`: streams re-draw one set of images, and are told as pools are.

        So intervals are widened as those of pools from the same images.
        """
        n_test = min(MOST_TEST, round(TEST_SHARE * len(self.images)))
        return n_test / (len(self.images) - n_test)

    @property
    def step(self) -> int:
        """Arrivals of a step; rounded up, so that no last step is of a few arrivals."""
        return -(-self.n_stream // STEPS)

    @property
    def half(self) -> int:
        """Arrivals before the classes begin to change their meaning.

        The end of the step that is nearest to the middle, so that no step holds arrivals from
        before the change and from after it.
        """
        return self.step * round(self.n_stream / 2 / self.step)

    def after(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the steps of `flow` that hold only arrivals from after the change."""
        return table[table["n_seen"] - self.step >= self.half]

    @property
    def remembered(self) -> int:
        """Labels on which a model trains that forgets."""
        return max(50, self.budget // 3)

    @property
    def numbers(self) -> range:
        """The seeds of the streams."""
        return range(self.seed, self.seed + self.seeds)

    def arrivals(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels, (n_stream, n_features) float32, and the labels of a stream."""
        order = np.random.default_rng([number, 4]).permutation(len(self.images))[: self.n_stream]
        height, *others = self.images.images.shape[1:]
        size = height // 2 if height % 2 == 0 and others == [height] else height
        return comparison.pixels(self.images.images[order], size), self.images.labels[order]

    def width(self, kind: str) -> int:
        """Return over how many arrivals a kind of drift comes."""
        return self.n_stream // 4 if kind == "gradual" else 0


def decider(name: str, share: float, n_classes: int, rng: np.random.Generator) -> stream.Decide:
    """Return who decides whether to ask: one of `DECIDERS`."""
    match name:
        case "random":
            return stream.Random(share, rng=rng)
        case "fixed":
            return stream.FixedThreshold(share, stream.fixed_threshold(share, n_classes))
        case "variable":
            return stream.VariableThreshold(share)
        case _:
            return stream.RandomisedThreshold(share, rng=rng)


def stream_curve(streams: Streams, name: str, kind: str, memory: str, number: int) -> pd.DataFrame:
    """Let one stream arrive; a row for each of `STEPS` steps: n_seen, n_human, value, n_eval."""
    x, y = streams.arrivals(number)
    rng, n_classes = np.random.default_rng([number, 5]), len(streams.images.classes)
    if kind != "none":
        new = drift.new_concept(len(y), streams.half, streams.width(kind), rng)
        y = drift.relabelled(y, new, (np.arange(n_classes) + 1) % n_classes)
    steps = stream.stream_based(
        x, Perfect(y), Estimator(n_classes), decider(name, streams.share, n_classes, rng),
        n_classes=n_classes, budget=streams.budget, first=FIRST, train_every=TRAIN_EVERY, truth=y,
        window=streams.remembered if memory == "window" else None,
        report_every=streams.step,
    )  # fmt: skip
    rows = [(s.n_seen, s.n_asked, s.accuracy, s.n_tested) for s in steps]
    return pd.DataFrame(rows, columns=["n_seen", "n_human", "value", "n_eval"])


def flow(streams: Streams, keep: Keep = compute) -> pd.DataFrame:
    """Run every decider on every stream, without drift and with it.

    A row a step: those of `stream_curve`; decider, drift, memory, seed, round.
    """
    frames = []
    cases = [(*variant, name) for variant in VARIANTS for name in DECIDERS]
    bar = tqdm(total=len(cases) * streams.seeds, desc="streams", unit="stream", disable=None)
    with bar:
        for number in streams.numbers:
            for kind, memory, name in cases:
                frame = keep(stream_curve, streams, name, kind, memory, number)
                frames.append(
                    frame.assign(
                        decider=name, drift=kind, memory=memory, seed=number,
                        round=range(len(frame)),
                    )
                )  # fmt: skip
                bar.update()
    return pd.concat(frames, ignore_index=True)


def _wide(table: pd.DataFrame, kind: str, memory: str) -> pd.DataFrame:
    """Return the accuracy on all arrivals of one variant: a row a stream, a column a decider."""
    own = table[(table["drift"] == kind) & (table["memory"] == memory)]
    counted = own.assign(right=own["value"] * own["n_eval"])
    sums = counted.groupby(["seed", "decider"])[["right", "n_eval"]].sum()
    return (sums["right"] / sums["n_eval"]).unstack("decider")


def _spent(table: pd.DataFrame, kind: str, memory: str) -> pd.DataFrame:
    own = table[(table["drift"] == kind) & (table["memory"] == memory)]
    return own.groupby(["seed", "decider"])["n_human"].max().unstack("decider")


def _over_time(streams: Streams, table: pd.DataFrame, kind: str, memory: str) -> pd.DataFrame:
    own = table[(table["drift"] == kind) & (table["memory"] == memory)]
    named = own.assign(
        arm=own["decider"], n_human=own["n_seen"], protocol="sound", split="test",
        metric="accuracy",
    )  # fmt: skip
    return results.mean_curves(named, {"sound": streams.test_to_train}).rename(
        columns={"n_human": "n_seen"}
    )


def without_drift(streams: Streams, table: pd.DataFrame) -> Advised:
    """Show accuracy on arrivals where nothing changes; the table of `flow`."""
    wide, spent = _wide(table, "none", "all"), _spent(table, "none", "all").mean()
    ratio = streams.test_to_train
    against = {n: intervals.paired(wide[n], wide["random"], ratio) for n in DECIDERS[1:]}
    sure = intervals.holm(np.array([result.p for result in against.values()]))
    ahead = [n for n, s in zip(against, sure, strict=True) if s and against[n].mean > 0]
    told = "; ".join(f"{arm_name(name)} {in_points(r)}" for name, r in against.items())
    asked = ", ".join(f"{arm_name(name)} {spent[name]:.0f}" for name in DECIDERS)
    figure = plots.curve_panels(
        {"no drift": _over_time(streams, table, "none", "all")},
        f"Accuracy on arrivals before they are asked for ({streams.seeds} streams)",
        x="n_seen", xlabel="arrivals", ylabel="accuracy on arrivals",
    )  # fmt: skip
    use = " or ".join(map(arm_name, ahead)) or "random: no other is better after Holm's correction"
    because = f"against random: {told}, mean accuracy, {streams.seeds} streams; Holm's correction"
    rows = table.assign(
        split="pool", metric="accuracy", protocol="sound",
        arm="stream_" + table["decider"] + "_" + table["drift"] + "_" + table["memory"],
    )  # fmt: skip
    columns = ["seed", "round", "n_human", "value", "n_eval", "split", "metric", "protocol", "arm"]
    return Advised(
        f"Against random: {told}. Labels spent of {streams.budget}: {asked}.", figure=figure,
        name="streams", rows=rows[columns],
        alt="Accuracy on arrivals over a stream without drift: random, fixed, variable and "
        "randomised thresholds.",
        advice=(Advice("a stream", use, because),),
    )  # fmt: skip


def drifts(streams: Streams, table: pd.DataFrame) -> Finding:
    """Show accuracy on arrivals under abrupt and under gradual drift."""
    kept, half = streams.remembered, streams.half
    names = {kind: f"{kind}, latest {kept} labels" for kind in ("abrupt", "gradual")}
    after = {kind: _wide(streams.after(table), kind, "window").mean() for kind in names}
    best = "; ".join(
        f"{kind} {arm_name(value.idxmax())} {value.max():.1%}, {arm_name(value.idxmin())} "
        f"{value.min():.1%}"
        for kind, value in after.items()
    )
    figure = plots.curve_panels(
        {names[kind]: _over_time(streams, table, kind, "window") for kind in names},
        f"Accuracy on arrivals when classes change their meaning ({streams.seeds} streams)",
        x="n_seen", xlabel="arrivals", ylabel="accuracy on arrivals",
        vertical={
            names["abrupt"]: {"change": half},
            names["gradual"]: {"begins": half, "ends": half + streams.width("gradual")},
        },
    )  # fmt: skip
    return Finding(
        f"Mean accuracy after the change begins, best and worst: {best}.", figure=figure,
        name="drift",
        alt="Accuracy on arrivals for four deciders, under abrupt drift on the left and gradual "
        "drift on the right.",
    )  # fmt: skip


def forgetting(streams: Streams, table: pd.DataFrame) -> Advised:
    """Show what it is worth to train on the latest labels only, after an abrupt change."""
    kept, late = streams.remembered, streams.after(table)
    latest, everything = (_wide(late, "abrupt", memory) for memory in ("window", "all"))
    spent = _spent(table, "abrupt", "window")
    gained = {
        name: intervals.paired(latest[name], everything[name], streams.test_to_train)
        for name in DECIDERS
        if (spent[name] > kept).any()  # who never had more labels has forgotten none
    }
    told = [f"{arm_name(name)} {in_points(result)}" for name, result in gained.items()]
    told += [
        f"{arm_name(name)} asked for {spent[name].max():.0f} labels at most and has none to forget"
        for name in DECIDERS
        if name not in gained
    ]
    panels = {
        "train on all labels": _over_time(streams, table, "abrupt", "all"),
        f"train on the latest {kept}": _over_time(streams, table, "abrupt", "window"),
    }
    figure = plots.curve_panels(
        panels, f"An abrupt change ({streams.seeds} streams)", x="n_seen", xlabel="arrivals",
        ylabel="accuracy on arrivals",
        vertical={name: {"change": streams.half} for name in panels},
    )  # fmt: skip
    advice = (
        Advice.compared(
            "a stream that drifts", "training on the latest labels", "on all labels",
            gained["variable"], "accuracy after the change (variable threshold)",
        ),
    ) if "variable" in gained else ()  # fmt: skip
    return Advised(
        "Accuracy after the change, training on the latest labels against training on all: "
        f"{'; '.join(told)}.", figure=figure,
        name="forgetting",
        alt="Accuracy on arrivals under abrupt drift, training on all labels on the left and on "
        "the latest ones on the right.",
        advice=advice,
    )  # fmt: skip


def streams_table(streams: Streams, table: pd.DataFrame) -> Finding:
    """Return the accuracy and the labels spent of every decider and variant, as a table."""
    names = {"none": "no drift", "abrupt": "abrupt drift", "gradual": "gradual drift"}
    trained = {"all": "all labels", "window": f"the latest {streams.remembered}"}
    rows = []
    for kind, memory in VARIANTS:
        whole, spent = _wide(table, kind, memory).mean(), _spent(table, kind, memory).mean()
        late = _wide(streams.after(table), kind, memory).mean()
        rows += [
            {
                "drift": names[kind], "trained on": trained[memory], "who decides": arm_name(name),
                "accuracy": f"{whole[name]:.1%}",
                f"after arrival {streams.half:,}": f"{late[name]:.1%}",
                "labels spent": f"{spent[name]:.0f}",
            }
            for name in DECIDERS
        ]  # fmt: skip
    styled = (
        pd.DataFrame(rows)
        .style.hide(axis="index")
        .set_caption(
            f"Means of {streams.seeds} streams of {streams.n_stream:,} arrivals; at most "
            f"{streams.budget} may be asked for"
        )
    )
    return Finding("", table=styled)


def toy_streams(seed: int = 0) -> Finding:
    """Show what each decider asks for of 600 points in two dimensions, of which it may ask 60."""
    arrivals = toys.draw(600, 1, np.random.default_rng(seed))
    axis, points = toys.map_points(arrivals, 60)
    panels, unsure = [], {}
    for name in DECIDERS:
        model = Estimator(toys.N_CLASSES, lambda number: softmax_regression(number, toys.STRENGTH))
        asks = decider(name, 0.1, toys.N_CLASSES, np.random.default_rng(seed))
        steps = stream.stream_based(
            arrivals.x, Perfect(arrivals.y), model, asks, n_classes=toys.N_CLASSES, budget=60,
            first=6, train_every=6,
        )  # fmt: skip
        items = np.concatenate([step.items for step in steps])
        now = model.predict_proba(points).reshape(60, 60, -1)
        asked = toys.Toy(arrivals.x, arrivals.y, items)
        panels.append(toys.Panel(name, asked, np.empty(0, int), axis, now, None, None))
        unsure[name] = np.mean(uncertainty.least_confident(model.predict_proba(arrivals.x[items])))
    asked_for = ", ".join(f"{arm_name(p.name)} {len(p.toy.labelled)}" for p in panels)
    most = max(unsure, key=unsure.__getitem__)
    return Finding(
        f"Points asked for: {asked_for}. The last model is least sure of those that "
        f"{arm_name(most)} asked for.",
        figure=plots.two_dimensions(panels, "What is asked for as it comes by"),
        name="toy_streams",
        alt="Four small multiples of the same 600 points, with those that were asked for marked "
        "by class, and the model's boundary at the end.",
    )  # fmt: skip
