"""What is told of the model in sentences: one line that is always seen, and more in a fold."""

from __future__ import annotations

from typing import Any

from alutils.labelling.model.contest import BROUGHT, NETWORK, QUICK, SPREAD, parts_of
from alutils.labelling.model.facts import FEWEST_AT_RANDOM
from alutils.labelling.model.settings import RETRAIN_AFTER
from alutils.labelling.model.status import Status
from alutils.labelling.store.records import Progress

_NAMES = {
    QUICK: "the quick learner (softmax regression on features)",
    SPREAD: "label spreading on features",
    NETWORK: "a small network trained on these pictures",
    BROUGHT: "the model that was brought along",
}
_DOING = {
    "loading": "The model is being loaded.",
    "training": "The model learns from the new labels.",
    "scoring": "The pictures are put into their new order.",
}
Line = dict[str, Any]


def in_words(name: str) -> str:
    """Return who is at work in words."""
    parts = [_NAMES[part] for part in parts_of(name)]
    return parts[0] if len(parts) == 1 else f"the average of {' and '.join(parts)}"


def model_text(
    status: Status | None, now: Progress, *, to_read: int = 0, first: int = RETRAIN_AFTER
) -> list[Line]:
    """Say what the model is and does.

    Parameters
    ----------
    status : None where the tool was started without a model
    now : how far the labelling is
    to_read : files in the project's folder that wait to be taken in
    first : labels after which the first model is trained

    Returns
    -------
    sentences: ``text``; ``kind``, ``bad`` or ``note``; and ``more``, whether it is for those alone
    who want to know more
    """
    lines = []
    if status is not None and status.problem:
        lines.append(_line(status.problem, kind="bad"))
    reading = _reading(status, now, to_read)
    if reading:
        lines.append(_line(reading))
    if status is None:
        return [*lines, _line("There is no model; pictures come in random order.")]
    if not status.model:
        return [*lines, _line(_until_the_first(now, first)), *_details(status)]
    return [*lines, _line(_in_short(status)), *_details(status), *_was_right(now)]


def _reading(status: Status | None, now: Progress, to_read: int) -> str:
    """Say how many pictures are read; '' where nothing is being read."""
    reads = status is not None and status.state == "features"
    if not to_read and not reads:
        return ""
    total = now.total + to_read
    done = now.total if status is None else min(status.features_done, now.total)
    pictures = "picture is" if total == 1 else "pictures are"
    if not done:
        return f"{total:,} {pictures} being read."
    return f"{done:,} of {total:,} {pictures} read."


def _until_the_first(now: Progress, first: int) -> str:
    """Say when there will be a model: a count down."""
    missing = first - now.human
    classes = sum(n > 0 for n in now.per_class.values())
    two = " of two classes or more" if classes < 2 else ""
    if missing > 0:
        word = "label" if missing == 1 else "labels"
        return f"The first model comes after {missing:,} more {word}{two}."
    if two:
        return "The first model comes as soon as a second class has a label."
    return "The first model is on its way."


def _in_short(status: Status) -> str:
    """Say in one line how good the model is."""
    right, labelled = status.right, status.labelled
    if right is not None:
        return (
            f"The model is right on about {right.middle:.0%} of all pictures "
            f"(likely {right.low:.0%} to {right.high:.0%})."
        )
    if labelled.judged:
        return (
            f"The model is right on {labelled.value:.0%} of the {labelled.judged:,} labelled "
            "pictures, mostly the hard ones."
        )
    return "How good the model is cannot be told before there are labels of yours."


def _details(status: Status) -> list[Line]:
    """Say what the model is made of, how good it is on which pictures, and what goes on."""
    lines = [_DOING.get(status.state, "")]
    if status.model:
        since = f"; {status.n_new:,} are new since" if status.n_new else ""
        learnt = "" if status.brought else f", from {status.n_trained:,} labels"
        lines.append(f"At work: {in_words(status.name or QUICK)}{learnt}{since}.")
        lines.append(_accuracy(status))
    lines += [status.beside, status.backbone]
    if status.model:
        lines.append(status.advice)
    return [_line(text, more=True) for text in lines if text]


def _accuracy(status: Status) -> str:
    """Say how good the model is, and on which pictures."""
    pool, labelled = status.pool, status.labelled
    if not labelled.judged:
        return ""
    hard = (
        f"{labelled.value:.1%} on the {labelled.judged:,} that are labelled, which are mostly the "
        "hard ones"
    )
    if pool.judged < FEWEST_AT_RANDOM:
        return (
            f"Its accuracy on pictures that it has not seen: {hard}. For all pictures too few "
            f"random ones are labelled ({pool.judged} of {FEWEST_AT_RANDOM} needed); they come by "
            "themselves."
        )
    low, high = pool.interval
    return (
        f"Its accuracy on all pictures is about {pool.value:.1%} (95% interval {low:.1%} to "
        f"{high:.1%}, from {pool.judged:,} picked at random, each judged by a model that has not "
        f"seen it); it has {hard}."
    )


def _was_right(now: Progress) -> list[Line]:
    """Say how often people agreed with what was shown to them."""
    if not now.judged:
        return []
    text = (
        f"Of the {now.judged:,} pictures that had a prediction when they were labelled, it was "
        f"right for {now.right / now.judged:.0%}; the unsure ones come first."
    )
    return [_line(text, more=True)]


def _line(text: str, *, kind: str = "note", more: bool = False) -> Line:
    return {"kind": kind, "text": text, "more": more}
