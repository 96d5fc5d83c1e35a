"""Doubtful labels, the most contradictory first, and how far people agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alutils.labelling.model.doubts import Doubts, Suspect
from alutils.labelling.store.disputes import Dispute, Given
from alutils.labelling.store.sources import Source
from alutils.labelling.store.store import Store
from alutils.stats.agreement import Agreement, Confusion, agreement, confusions


@dataclass(frozen=True)
class Reason:
    """Something that speaks against a label.

    Attributes
    ----------
    kind : ``people``, ``model``, ``twin`` or ``folder``
    text : in words
    other : number of the picture that shows the same; None without one
    """

    kind: str
    text: str
    other: int | None = None


@dataclass
class Doubt:
    """A label that something speaks against, or a picture whose files lie in several classes.

    Attributes
    ----------
    item : number of the picture
    score : how much speaks against it, above 0. A person who contradicts counts 1, one who agrees
        takes 1 away; each folder of another class that it lies in counts 1; the same picture in
        another class counts 1/2, several of them up to 1, a model by how much surer it is of
        another class, from 0 to 1
    suggested : name of the class that most speaks for; '' where nobody could name one
    folders : names of the classes in whose folders the picture lies, if there are several
    """

    item: int
    score: float = 0.0
    suggested: str = ""
    reasons: list[Reason] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def doubtful(store: Store, doubts: Doubts | None) -> list[Doubt]:
    """List the labels that something speaks against, the most contradictory first.

    Parameters
    ----------
    doubts : what models and pictures say; None where the project has no model
    """
    with store.database.reading():
        disputes = store.disputes.all()
        suspects = {} if doubts is None else doubts.suspects
        twins = {} if doubts is None else doubts.twins.pairs
        torn = store.sources.in_class_folders(_folders(store))
        given = store.disputes.given(disputes.keys() | suspects.keys() | twins.keys() | torn.keys())
        unanswered = store.disputes.unanswered(torn.keys())
        names = {c.number: c.name for c in store.classes.ever()}
    found = []
    for item in unanswered:
        doubt = Doubt(item)
        _by_folders(doubt, None, torn[item], names)
        found.append(doubt)
    for item, label in given.items():
        doubt = Doubt(item)
        if item in torn:
            _by_folders(doubt, label, torn[item], names)
        if item in disputes:
            _by_people(doubt, disputes[item], names)
        _by_twins(doubt, label, [(i, given[i]) for i in twins.get(item, ()) if i in given], names)
        if item in suspects:
            _by_model(doubt, label, suspects[item], names)
        if doubt.score > 0:
            found.append(doubt)
    return sorted(found, key=lambda doubt: (-doubt.score, doubt.item))


def _folders(store: Store) -> dict[str, int]:
    """Return the numbers of the classes by what their folders may be called."""
    classes = store.classes.all()
    return {c.folder: c.number for c in classes} | {c.name: c.number for c in classes}


def _by_folders(
    doubt: Doubt, label: Given | None, files: Sequence[tuple[int, Source]], names: Mapping[int, str]
) -> None:
    if label is not None and label.is_settled and label.at >= max(f.found for _, f in files):
        return  # somebody has looked at it since it lay there
    numbers = list(dict.fromkeys(number for number, _ in files))
    against = [number for number in numbers if label is None or number != label.label]
    doubt.score += len(against) - (label is None)
    doubt.folders = [names[number] for number in numbers]
    if label is not None:
        doubt.suggested = doubt.suggested or names[against[0]]
    for number in numbers:
        first, *others = [file.path for of, file in files if of == number]
        more = f" and {len(others)} more" if others else ""
        doubt.reasons.append(Reason("folder", f"{first}{more}: in the folder of {names[number]}"))


def _by_people(doubt: Doubt, dispute: Dispute, names: Mapping[int, str]) -> None:
    weight = len(dispute.against) - dispute.agree
    if weight <= 0:
        return  # most people say what the label says
    doubt.score += weight
    said = Counter(names[label] for _, label in dispute.against if label is not None)
    if said:
        doubt.suggested = said.most_common(1)[0][0]
    for person, label in dispute.against:
        says = "cannot name it" if label is None else f"says {names[label]}"
        doubt.reasons.append(Reason("people", f"{person} {says}"))


def _by_twins(
    doubt: Doubt, label: Given, others: Sequence[tuple[int, Given]], names: Mapping[int, str]
) -> None:
    against = [
        (item, other)
        for item, other in others
        # Whoever has settled this label has seen the other one, where that was there before.
        if other.label != label.label and not (label.is_settled and label.event > other.since)
    ]
    if not against:
        return
    # Where one picture of several is in another class, it is more doubtful than each of the others.
    doubt.score += len(against) / (len(against) + 1)
    counted = Counter(other.label for _, other in against)
    doubt.suggested = doubt.suggested or names[counted.most_common(1)[0][0]]
    for number, n in counted.most_common():
        one = next(item for item, other in against if other.label == number)
        text = f"almost the same picture is {names[number]}"
        if n > 1:
            text = f"{n} almost the same pictures are {names[number]}"
        doubt.reasons.append(Reason("twin", text, one))


def _by_model(doubt: Doubt, label: Given, suspect: Suspect, names: Mapping[int, str]) -> None:
    is_old = label.label != suspect.label  # it was changed after the model was asked
    if is_old or (label.is_settled and label.predicted == suspect.suggested):
        return
    name = names[suspect.suggested]
    # Where it passes for another class by little, it still speaks against the label.
    doubt.score += max(suspect.margin, 1e-3)
    doubt.suggested = doubt.suggested or name
    text = f"a model that has not seen its label says {name} ({100 * suspect.confidence:.0f}%)"
    doubt.reasons.append(Reason("model", text))


# --- how far people agree -------------------------------------------------------------------------


@dataclass(frozen=True)
class People:
    """How far people agree on what two of them were asked.

    Attributes
    ----------
    agreement : of the pictures that both could name
    unnamed : pictures that one of them could not name
    confusions : pairs of classes, by their numbers, the most frequent first
    waiting : pictures that wait for another person
    """

    agreement: Agreement
    unnamed: int
    confusions: list[Confusion]
    waiting: int


def people(store: Store) -> People:
    """Measure how far people agree."""
    with store.database.reading():
        pairs, waiting = store.disputes.pairs(), store.disputes.waiting()
        n_classes = len(store.classes.ever())
    first, second = pairs["first"], pairs["second"]
    both = (first >= 0) & (second >= 0)
    first, second = first[both], second[both]
    return People(
        agreement(first, second, n_classes),
        int((~both).sum()),
        confusions(first, second, n_classes),
        waiting,
    )


def agreement_text(found: People) -> str:
    """Say in a sentence or two how far people agree."""
    a = found.agreement
    if not a.n:
        return (
            "No picture has been answered by two people yet. A share of the pictures is asked of "
            "two, once a second person labels."
        )
    share = f"{100 * a.share:.0f}% of {a.n:,} pictures"
    text = (
        f"Two people agree on {share} (95% interval {100 * a.share_low:.0f} to "
        f"{100 * a.share_high:.0f}%)."
    )
    if a.kappa == a.kappa:  # not NaN
        text += f" Cohen's kappa is {a.kappa:.2f} ({a.kappa_low:.2f} to {a.kappa_high:.2f})."
    if found.unnamed:
        text += f" Of {found.unnamed:,} more, one of the two could not name the class."
    return text
