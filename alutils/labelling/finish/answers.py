"""Answers from a file for an attempt to finish: which pictures they mean, and what is taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alutils.base.errors import ParameterError
from alutils.labelling.exchange.importing import MOST_BYTES, present, unread
from alutils.labelling.exchange.matching import (
    AMBIGUOUS,
    Finder,
    class_meant,
    conflict,
    contradiction,
    listed,
    sorted_names,
)
from alutils.labelling.exchange.reading import NO_ANSWER, Contents, Problem, Said, read
from alutils.labelling.store.plan_records import Plan
from alutils.labelling.store.reader import MOST
from alutils.labelling.store.records import Item

if TYPE_CHECKING:
    from alutils.labelling.finish.project import Finish
    from alutils.labelling.store.store import Store

NOBODY_CAN = "?"
"""Stands in a file of answers for a picture that nobody can name."""
BY_MODEL = "lines that a model answered (a confidence, and no person); an audit asks people"
_CHANGED = (
    "another picture lies at this path now than when the attempt began; tell the one that you mean "
    "by its sha256"
)
_SHOWN = 20  # classes that are told to one who has named another


@dataclass
class Answers:
    """What a file says of the pictures of a project.

    Attributes
    ----------
    said : the line that answers a picture, by its number; its label is None where nobody can name
        the picture
    problems : lines that cannot be taken
    conflicts : lines that contradict an answer which was given before
    """

    said: dict[int, Said] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    conflicts: list[Problem] = field(default_factory=list)


def read_answers(path: Path) -> Contents:
    """Read a file of answers, of any kind that `import` reads.

    ParameterError for a file that is not there or too large, LabellingError for one that is none.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ParameterError(
                "--answers", path, f"expected at most {MOST_BYTES // 2**20} MiB",
                "is it a file of answers?",
            )  # fmt: skip
        data = path.read_bytes()
    except OSError as error:
        raise ParameterError("--answers", path, f"cannot be read ({error.strerror})") from error
    contents = read(data, str(path))
    # The tool's own tables have an answer in every line; a list of questions has not.
    contents.problems = [each for each in contents.problems if each.kind != NO_ANSWER]
    return contents


def matched(store: Store, plan: Plan, contents: Contents, file: Path) -> Answers:
    """Find the pictures that a file of answers means, as `import` does, but by paths strictly.

    Raises
    ------
    ParameterError
        For a name that several pictures have, a class that the project does not have, and two
        answers for one picture, however each line calls it.
    """
    pictures = present(store)
    finder = Finder(
        pictures,
        [str(store.folder.absolute()), str(store.folder.resolve())],
        store.sources.originals(),
        unread(store) | dict.fromkeys(store.sources.changed(plan.at), _CHANGED),
        is_strict=True,
    )
    classes = [c.name for c in store.classes.all()]
    answers = Answers(problems=list(contents.problems))
    for each in contents.said:
        if each.automatic:
            text = f"{each.called}; leave the column out if a person did"
            answers.problems.append(Problem(BY_MODEL, each.line, text))
            continue
        said = _meant(each, classes, file)
        found = finder.picture(said)
        if isinstance(found, Problem) and found.kind == AMBIGUOUS:
            raise ParameterError(
                "--answers", file, f"line {said.line:,}: several pictures are called {said.name!r}",
                "tell pictures by sha256, or by their path below the folder",
            )  # fmt: skip
        if isinstance(found, Problem):
            answers.problems.append(found)
            continue
        before = answers.said.setdefault(found.item, said)
        if before.label != said.label:
            two = contradiction(before, said)
            raise ParameterError(
                "--answers", file, f"line {two.line:,}: {two.text}, and both are the same picture",
                "leave one of them",
            )  # fmt: skip
    there = {picture.item: picture for picture in pictures if picture.answer}
    answers.conflicts = [
        conflict(there[item], said)
        for item, said in answers.said.items()
        if item in there and not there[item].automatic and there[item].label != said.label
    ]
    return answers


def _meant(said: Said, classes: list[str], file: Path) -> Said:
    """Return a line with the class that it means; ParameterError where there is no such class."""
    label = class_meant(said, classes)
    if label == NOBODY_CAN and label not in classes:
        label = None
    if label is not None and label not in classes:
        more = f" and {len(classes) - _SHOWN:,} more" if len(classes) > _SHOWN else ""
        raise ParameterError(
            "--answers", file, f"line {said.line:,}: no such class: {label}; expected one of "
            f"{', '.join(sorted_names(classes)[:_SHOWN])}{more}, or {NOBODY_CAN}",
            "mend the file, or let it add its classes (--add-classes)",
        )  # fmt: skip
    return replace(said, label=label)


def add_classes(store: Store, contents: Contents) -> list[str]:
    """Add the classes that a file names and the project does not have; return their names."""
    classes = [c.name for c in store.classes.all()]
    meant = (class_meant(said, classes) for said in contents.said if not said.automatic)
    new = sorted_names({name for name in meant if name and name not in (NOBODY_CAN, *classes)})
    store.classes.add(new)
    return new


def unlabelled(store: Store, answers: Answers) -> int:
    """Return how many answers are for pictures that still have none."""
    return sum(
        not picture.answer and answers.said[picture.item].label is not None
        for picture in present(store)
        if picture.item in answers.said
    )


def take(attempt: Finish, answers: Answers, person: str) -> tuple[int, int]:
    """Give the attempt what a file knows, as far as it asks for it.

    Returns
    -------
    how many answers were taken, and for how many of them a picture was asked once more
    """
    is_new, done, pictures = True, 0, set[int]()
    with _asking(attempt, person) as ask:
        while is_new and attempt.store.plans.open() is not None:
            is_new = False
            for item in ask():
                said = answers.said.get(item.id)
                if said is None:
                    continue
                attempt.answer(person, item.id, said.label)
                is_new, done = True, done + 1
                pictures.add(item.id)
                if attempt.store.plans.open() is None:
                    break
    return done, done - len(pictures)


def asked(attempt: Finish, person: str) -> list[Item]:
    """Return the pictures that a person may answer now."""
    with _asking(attempt, person) as ask:
        return ask()


@contextmanager
def _asking(attempt: Finish, person: str) -> Iterator[Callable[[], list[Item]]]:
    """Hand pictures out to a person, and give back at the end what was handed out here.

    What the person's browser holds stays with it: given back, its answers would be refused.
    """
    queue = attempt.store.queue
    held = {item for item, (who, _) in queue.holders().items() if who == person}
    handed: set[int] = set()

    def ask() -> list[Item]:
        items = attempt.next(person, MOST)
        handed.update(item.id for item in items)
        return items

    try:
        yield ask
    finally:
        queue.release(person, sorted(handed - held))


def lines(answers: Answers, at: str) -> list[str]:
    """Say what of a file was not taken; ``at`` is how a command is told the project."""
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in sorted(answers.problems, key=lambda problem: problem.line):
        kinds[problem.kind].append(problem)
    told = [line for kind, problems in kinds.items() for line in listed(kind, problems)]
    if answers.conflicts:
        told += listed("pictures that were answered otherwise before", answers.conflicts)
        told.append(
            "  The answers given before stay. To correct one, change it on the page Review: "
            f"python -m alutils label {at}"
        )
    return told
