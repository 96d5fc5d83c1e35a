"""The README's claim in three sentences, and its table: published, reproduced, sound, better."""

import pandas as pd

from alutils.base.files import repository_root
from alutils.runs.publish.markdown import markdown_table, points, results
from alutils.runs.publish.page_costs import labels_in_all
from alutils.runs.publish.page_tables import differences, first_rounds
from alutils.stats import compare
from alutils.stats.intervals import Paired

LOOP = "the report's loop beats"
"""How the claim begins that the report's loop is better than a random choice."""
COST = "60,000 digits", "mnist"
"""The pool whose label costs the README leads with, and the protocol it goes by in results/."""


def claim() -> str:
    """Return what the two documents' active learning is worth, in three sentences."""
    stands = _active_among_replicates()
    sound, loop = _sound("random"), _loop()
    needed = labels_in_all(COST[1])
    random = f"with random labels it takes {needed['random']:,.0f}"
    if "random_unlabelled" in needed:
        random += f", and {needed['random_unlabelled']:,.0f} where the network learns in this way"
    return (
        f"- The article's result for active learning, {stands['published']:.0f} of 400 test digits "
        f"right, comes out exactly, but it is a lucky draw: with starting weights of one millionth "
        f"instead of zero, the same procedure gives {stands['mean']:.0f} ± {stands['sd']:.0f}.\n"
        f"- Measured soundly, active learning gains {_points(sound)} over random labels, not the "
        f"{100 * _published_gap():.1f} points of the article's table, and the report's loop is "
        f"{_tied(loop)}: {_points(loop)}.\n"
        f"- What saves labels today is a network that learns from unlabelled images, too, and an "
        f"audit that certifies its labels: {COST[0]} are labelled, at least 99% of them right, for "
        f"{needed.min():,.0f} human labels; {random}."
    )


def overview() -> str:
    """Return the documents' claims as a Markdown table: each under the three questions."""
    rows = [*_article_rows(), *_report_rows()]
    return markdown_table(["claim", "published", "reproduced?", "sound", "better"], rows)


def _article_rows() -> list[tuple[str, ...]]:
    published = _published("mnist", "n_right")
    exact = _exact()
    stands = _active_among_replicates()
    needed = labels_in_all(COST[1])
    return [
        (
            "Article: labels that the model asks for beat random ones",
            f"{published['active']:.0f} against {published['random']:.0f} of 400",
            f"{exact}; at percentile {stands['percentile']:.1f} of {_replicates(stands)}",
            _verdict(_sound("random")),
            f"same 400 labels, a better network: {_better_article():.1%}",
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
            f"{COST[0]}, 99% certified: {needed.min():,.0f} labels",
        ),
    ]


def _report_rows() -> list[tuple[str, ...]]:
    accuracy = _published("az", "accuracy")["as_published"]
    ours = _ours("az", "accuracy", "pool")
    margin = results("strategies_summary").query("protocol == 'letters_vgg16' and arm == 'margin'")
    gain = points(*margin[["gain", "low", "high"]].iloc[0])
    first = first_rounds().iloc[-1]
    trusted = results("az_procedure").query("threshold == 0.6")["auto_precision"].mean()
    rules = results("guarantee").query("noise == 'none'").groupby("rule")["broken"].max()
    return [
        (
            "Report: VGG16 features and two dense layers read letters",
            f"{accuracy:.1%} in the first round",
            f"{ours['mean']:.1%} ({ours['low']:.1%} to {ours['high']:.1%}): "
            f"{ours['verdict']} (fewer letters)",
            "–",
            _best_block(),
        ),
        (
            "Report: its loop picks useful labels",
            "not measured",
            f"{first['moved_unsure']:.1%} of the letters it moves are unsure; of all letters, "
            f"{first['share_unsure']:.1%}",
            _verdict(_loop()),
            f"margin sampling beats random: {gain}, area under the learning curve",
        ),
        (
            "Report: a label of 0.6 confidence or more needs no check",
            "assumed",
            "–",
            f"{trusted:.1%} of such labels are right",
            f"a certified threshold: its promise breaks in at most {rules['certified']:.1%} of "
            "simulated audits",
        ),
    ]


def _active_among_replicates() -> pd.Series:
    return results("mnist_percentiles").query("arm == 'active'").iloc[0]


def _replicates(stands: pd.Series) -> str:
    kind, _, number = stands["replicates"].rpartition(", ")
    return f"{number} runs with {kind}"


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


def _tied(pair: Paired) -> str:
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
