"""The README's claim in three sentences, and its table: published, reproduced, sound, better."""

import pandas as pd

from alutils.base.files import repository_root
from alutils.experiments.article.answers import reached
from alutils.experiments.label_costs import fair
from alutils.experiments.label_costs import results as costs
from alutils.runs.publish.markdown import markdown_table, points, results
from alutils.runs.publish.page_costs import labels_in_all
from alutils.runs.publish.page_tables import differences, first_rounds
from alutils.stats import compare
from alutils.stats.intervals import Paired

LOOP = "the report's loop beats"
"""How the claim begins that the report's loop is better than a random choice."""
LETTERS = "letters"
"""What a harder pool goes by, which stands beside the one that the README leads with."""
WAYS = {
    "random": "for a model that learns from random ones",
    "random_unlabelled": "from random ones and unlabelled images",
    "active": "from those that it asks for",
    "active_unlabelled": "from those and unlabelled images",
}
"""How the README calls ways of asking and learning, one after the other."""
LUCK = 5.0
"""Percentile under which a draw is called unlucky; lucky above 100 less it."""


def claim() -> str:
    """Return what the two documents' active learning is worth, in three sentences."""
    stands = _active_among_replicates()
    sound, loop = _sound("random"), _loop()
    return (
        f"- The article's result for active learning, {stands['published']:.0f} of 400 test digits "
        f"right, {_comes_out()} {_luck(stands['percentile'])}: with starting weights of one "
        f"millionth instead of zero, the same procedure gives {stands['mean']:.0f} on average "
        f"(standard deviation {stands['sd']:.0f}).\n"
        f"- Measured soundly, active learning is {_tied(sound)}: "
        f"{100 * sound.mean:+.1f} points of test accuracy (95% interval {100 * sound.low:+.1f} to "
        f"{100 * sound.high:+.1f}), where the article's table has {100 * _published_gap():+.1f}. "
        f"The report's loop is {_tied(loop)}: {_points(loop)}.\n"
        f"- {_labels_today()} {_harder()}".rstrip()
    )


def _comes_out() -> str:
    """Say whether the article's count for active learning comes out, and begin what follows."""
    frame = _compared("mnist")
    counts = frame[frame["published"].notna() & (frame["metric"] == "n_right")]
    exact = (counts.loc[counts["arm"] == "active", "verdict"] == "exact").all()
    return "comes out exactly. It is" if exact else "does not come out exactly. It is"


def _luck(percentile: float) -> str:
    """Say what draw a published value is, which stands so among replicates."""
    if percentile > 100 - LUCK:
        return "a lucky draw"
    return "an unlucky draw" if percentile < LUCK else "an ordinary draw"


def _labels_today() -> str:
    """Return how many human labels each way takes to have a pool labelled with a certificate."""
    table = results(fair.NAME)
    pictures, target = fair.FIRST
    found = fair.costs(table, *fair.FIRST)
    ways = [f"{found[way].mean:,.0f} {told}" for way, told in WAYS.items() if way in found]
    return (
        f"To have {fair.title(table, pictures)} labelled, with a certificate that at least "
        f"{target:.0%} of the labels are right, takes this many human labels on average: "
        f"{'; '.join(ways)}."
    )


def _harder() -> str:
    """Return what the same costs for letters; "" where no arm's audits accept them."""
    needed = labels_in_all(LETTERS).values()
    fewest = min((found.mean for found in needed if found.accept >= costs.SURE), default=None)
    if fewest is None:
        return ""
    rows = results("label_costs_summary").query(f"protocol == '{LETTERS}' and metric == 'n_pool'")
    n_pool = rows["mean"].iloc[0]
    return (
        f"For {costs.title(LETTERS, n_pool)}, {costs.TARGETS[LETTERS]:.0%} of the labels right, it "
        f"takes {fewest:,.0f}: {fewest / n_pool:.0%} of them."
    )


def overview() -> str:
    """Return the documents' claims as a Markdown table: each under the three questions."""
    rows = [*_article_rows(), *_report_rows()]
    return markdown_table(["claim", "published", "reproduced?", "sound", "better"], rows)


def _article_rows() -> list[tuple[str, ...]]:
    published = _published("mnist", "n_right")
    exact = _exact()
    stands = _active_among_replicates()
    table = results(fair.NAME)
    pictures, target = fair.FIRST
    fewest = min(cost.mean for cost in fair.costs(table, *fair.FIRST).values())
    return [
        (
            "Article: labels that the model asks for beat random ones",
            f"{published['active']:.0f} against {published['random']:.0f} of 400",
            f"{exact}; reached by {_replicates(stands)}",
            _verdict(_sound("random")),
            f"as many labels, networks trained for longer: {_better_article():.1%} of test digits "
            "right",
        ),
        (
            "Article: labelling the rest at once adds nothing",
            f"{published['auto_at_once']:.0f} after {published['active']:.0f}",
            exact,
            _adds_nothing(_sound("at once")),
            "–",
        ),
        (
            "Article: labelling the most confident first adds accuracy",
            f"{published['auto_confident_first']:.0f} after {published['active']:.0f}",
            exact,
            _verdict(_sound("confident")),
            f"{fair.title(table, pictures)}, {target:.0%} certified: {fewest:,.0f} labels on "
            "average",
        ),
    ]


def _report_rows() -> list[tuple[str, ...]]:
    accuracy = _published("az", "accuracy")["as_published"]
    ours = _ours("az", "accuracy", "pool")
    margin = results("strategies_summary").query("protocol == 'letters_vgg16' and arm == 'margin'")
    gain = margin[["gain", "low", "high"]].iloc[0]
    first = first_rounds().iloc[-1]
    trusted = results("az_procedure").query("threshold == 0.6")["auto_precision"].mean()
    certified = results("guarantee").query("rule == 'certified'").groupby("noise")["broken"]
    return [
        (
            "Report: VGG16 features and two dense layers read letters",
            f"{accuracy:.1%} in the first round",
            f"{ours['mean']:.1%} ({ours['low']:.1%} to {ours['high']:.1%}): "
            f"{ours['verdict']}{_fewer(ours)}",
            "–",
            _best_block(),
        ),
        (
            "Report: its loop picks useful labels",
            "not measured",
            f"{first['moved_unsure']:.1%} of the letters it moves are unsure; of all letters, "
            f"{first['share_unsure']:.1%}",
            _verdict(_loop()),
            f"margin sampling is {_tied(gain)}: {points(*gain)} of accuracy, mean over the "
            "learning curve",
        ),
        (
            "Report: a label of 0.6 confidence or more needs no check",
            "assumed",
            "–",
            f"{trusted:.1%} of such labels are right",
            "a certified threshold: its promise breaks in at most "
            f"{certified.max()['none']:.1%} of simulated audits (in up to "
            f"{certified.max()['shared']:.1%} where people share the model's errors)",
        ),
    ]


def _active_among_replicates() -> pd.Series:
    return results("mnist_percentiles").query("arm == 'active'").iloc[0]


def _replicates(stands: pd.Series) -> str:
    kind = stands["replicates"].rpartition(", ")[0]
    found = reached(results("mnist_replicates"), stands["arm"], kind, stands["published"])
    return f"{found.n} of {found.of} runs with {kind} ({found.share} of such runs)"


def _published(experiment: str, metric: str) -> pd.Series:
    table = results("published")
    of = table[(table["experiment"] == experiment) & (table["metric"] == metric)]
    return of.drop_duplicates("arm").set_index("arm")["value"]


def _published_gap() -> float:
    accuracy = _published("mnist", "accuracy")
    return accuracy["active"] - accuracy["random"]


def _compared(experiment: str) -> pd.DataFrame:
    folder = repository_root() / "results"
    return compare.compare([folder / f"{experiment}.csv"], folder / "published.csv")


def _exact() -> str:
    frame = _compared("mnist")
    counts = frame[frame["published"].notna() & (frame["metric"] == "n_right")]
    right = int((counts["verdict"] == "exact").sum())
    return "exact" if right == len(counts) else f"{right} of {len(counts)} counts exact"


def _ours(experiment: str, metric: str, split: str) -> pd.Series:
    frame = _compared(experiment)
    frame = frame[frame["published"].notna()]
    return frame[(frame["metric"] == metric) & (frame["split"] == split)].iloc[0]


def _sound(about: str) -> Paired:
    """Return the article's sound difference whose claim holds some words."""
    (found,) = [pair for claim, pair, _ in differences("mnist_sound_differences") if about in claim]
    return found


def _loop() -> Paired:
    """Return the report's loop minus a random choice of as many labels."""
    found = [pair for claim, pair, _ in differences("az_differences") if LOOP in claim]
    return found[-1]


def _points(pair: Paired) -> str:
    return points(pair.mean, pair.low, pair.high)


def _verdict(pair: Paired) -> str:
    return f"{_points(pair)}: {pair.verdict}"


def _adds_nothing(pair: Paired) -> str:
    """Return the verdict on the claim that something adds nothing, from what it adds."""
    said = "contradicted" if pair.low > 0 or pair.high < 0 else "inconclusive"
    return f"{_points(pair)}: {said}"


def _fewer(ours: pd.Series) -> str:
    """Say where ours is of fewer letters than the published value."""
    published = results("published").query("experiment == 'az' and metric == 'accuracy'")
    theirs = published.loc[published["split"] == ours["split"], "n_eval"].max()
    return " (fewer letters)" if ours["n_eval"] < theirs else ""


def _tied(pair: Paired | pd.Series) -> str:
    """Say how what an interval (low, high) is of compares with a random choice."""
    if pair.low <= 0 <= pair.high:
        return "statistically tied with a random choice"
    return "better than a random choice" if pair.low > 0 else "worse than a random choice"


def _better_article() -> float:
    rows = results("label_costs_summary").query("protocol == 'article' and metric == 'accuracy'")
    return rows["mean"].max()


def _best_block() -> str:
    rows = results("vgg16_blocks_summary").query("n_human == 3640")
    best = rows.loc[rows["mean"].idxmax()]
    return f"same labels, features of VGG16's {best['arm']}: {best['mean']:.1%}"
