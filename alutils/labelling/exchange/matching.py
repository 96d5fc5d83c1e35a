"""Which pictures of a project a file of labels means, and what it would change. Nothing is written.

Pure: the project's pictures and classes come in as they stand, and an `Outcome` goes out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alutils.base.csv_cells import as_written
from alutils.labelling.exchange.reading import Contents, Problem, Said
from alutils.labelling.store.names import display_name
from alutils.labelling.store.records import LabellingError

_SENT = re.compile(r"[0-9a-f]{8}-(.+)")  # how Label Studio calls a file that was sent to it
ON_CONFLICT = ("stop", "keep", "replace")
SHOWN = 5  # problems of a kind that are told one by one
SHOWN_NAMES = 12
UNKNOWN_PICTURE = "pictures that the project does not have"
OTHER_FILE = "paths at which another file lies than the picture"
AMBIGUOUS = "names that several pictures have"
UNKNOWN_CLASS = "classes that the project does not have"
CONTRADICTION = "pictures that the file itself gives two answers for"
CONFLICT = "pictures that have another answer in the project"


@dataclass(frozen=True)
class Present:
    """A picture of the project as it stands."""

    item: int  # its number
    sha256: str
    name: str
    label: str | None
    paths: tuple[str, ...] = ()  # below the project's folder, with / between the parts
    automatic: bool = False  # a model gave the label
    rejected: bool = False

    @property
    def answer(self) -> str:
        """What is said of it now, to show; '' for nothing."""
        return "rejected" if self.rejected else repr(self.label) if self.label is not None else ""


@dataclass(frozen=True)
class Change:
    """What is to be written for one picture."""

    present: Present
    said: Said


@dataclass
class Outcome:
    """What an import would do, or has done.

    Attributes
    ----------
    changes : what is to be written
    same : pictures that have this answer already
    automatic : of these, a model's labels that stay so, as class folders confirm none
    moved : pictures that lie in another class folder than the export's table says
    unlabelled : lines without a label
    kept : pictures whose answer stays though the file has another
    new_classes : that would be added
    problems : what cannot be taken
    unknown : names of classes that the project does not have and does not get
    doubts : answers that contradict the one that is written, and are to be settled in the tool
    """

    changes: list[Change] = field(default_factory=list)
    same: int = 0
    automatic: int = 0
    moved: int = 0
    unlabelled: int = 0
    kept: int = 0
    new_classes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    doubts: list[Change] = field(default_factory=list)

    def kinds(self) -> dict[str, list[Problem]]:
        """Return the problems by kind, the most frequent kind first."""
        found: dict[str, list[Problem]] = defaultdict(list)
        for problem in self.problems:
            found[problem.kind].append(problem)
        return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))

    def lines(self) -> list[str]:
        """Say it in words: what would be written, and each kind of problem with its first ones."""
        labels = [c.said.label for c in self.changes]
        n_rejected = labels.count(None)
        said = [f"{many(len(labels) - n_rejected, 'label')} to write"]
        said += [f"{many(n_rejected, 'picture')} to reject"] if n_rejected else []
        replaced = sum(c.present.answer != "" for c in self.changes)
        said += [f"{replaced:,} of them in place of another answer"] if replaced else []
        automatic = sum(c.said.automatic for c in self.changes)
        said += [f"{automatic:,} of them by a model, which train none"] if automatic else []
        said += [f"{self.same:,} there already"] if self.same else []
        said += [f"{self.kept:,} left as they are"] if self.kept else []
        said += [f"{many(self.unlabelled, 'line')} without a label"] if self.unlabelled else []
        told = [", ".join(said) + "."]
        if self.automatic:
            told.append(
                f"{self.automatic:,} left automatic, as the model gave them: class folders may be "
                "a copy of what it said. To confirm labels, look at them in Review."
            )
        if self.moved:
            told.append(
                f"{many(self.moved, 'picture')} in another class folder than the export's table "
                "says: these labels count as a person's."
            )
        counts = Counter(label for label in labels if label is not None)
        if counts:
            most = [f"{name} {n:,}" for name, n in counts.most_common(12)]
            told.append("By class: " + ", ".join(most) + (", ..." if len(counts) > 12 else "."))
        if self.new_classes:
            told.append("New classes: " + ", ".join(self.new_classes) + ".")
        if self.doubts:
            n = len({change.present.item for change in self.doubts})
            have = "picture is" if n == 1 else "pictures are"
            shown = "; ".join(c.said.called for c in self.doubts[:SHOWN])
            more = "; ..." if len(self.doubts) > SHOWN else ""
            told.append(
                f"{n:,} {have} in more than one class folder ({shown}{more}). The first counts "
                "until somebody decides: see Review, Doubtful labels."
            )
        for kind, problems in self.kinds().items():
            which = f": {_some(sorted_names(self.unknown))}" if kind == UNKNOWN_CLASS else ""
            told += listed(f"{kind}{which}", problems)
        return told


def listed(kind: str, problems: Sequence[Problem]) -> list[str]:
    """Say of one kind of problem how many lines have it, and which are the first of them."""
    told = [f"{kind[0].upper()}{kind[1:]} ({many(len(problems), 'line')}):"]
    told += [f"  line {p.line:,}: {p.text}" for p in problems[:SHOWN]]
    return told + (["  ..."] if len(problems) > SHOWN else [])


def sorted_names(names: Collection[str]) -> list[str]:
    """Sort names of classes as people do: numbers in them by their value."""
    return sorted(names, key=lambda name: [_part(part) for part in re.split(r"(\d+)", name)])


def _part(part: str) -> tuple[int, str]:
    return (int(part), part) if part.isdecimal() else (-1, part)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")


def many(n: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def match(
    contents: Contents,
    pictures: Sequence[Present],
    classes: Collection[str],
    *,
    add_classes: bool = False,
    on_conflict: str = "stop",
    folder: str = "",
    originals: Mapping[str, int] | None = None,
    refused: Mapping[str, str] | None = None,
) -> Outcome:
    """Find the picture of each line, and compare what is said of it with what is there.

    Parameters
    ----------
    contents : of the file
    pictures : all of the project
    classes : names of the project's classes
    add_classes : take classes that the project does not have
    on_conflict : what becomes of two answers for one picture, in the file or in file and project:
        ``stop`` makes it a problem, ``keep`` takes the first, ``replace`` the last
    folder : of the project, so that whole paths are understood
    originals : pictures' numbers by the hashes of the person's own files
    refused : as for `Finder`

    Returns
    -------
    each picture at most once in ``changes``, in the order of their numbers
    """
    if on_conflict not in ON_CONFLICT:
        raise LabellingError(
            f"on_conflict={on_conflict!r}: expected one of {', '.join(ON_CONFLICT)}"
        )
    found = Finder(pictures, (folder,), originals or {}, refused or {})
    outcome = Outcome(
        unlabelled=contents.unlabelled, problems=list(contents.problems), moved=contents.moved
    )
    known, new = set(classes), dict[str, None]()
    answers: dict[int, Change] = {}
    for said in contents.said:
        present = found.picture(said)
        if isinstance(present, Problem):
            outcome.problems.append(present)
            continue
        if (meant := class_meant(said, known)) != said.label:
            said = replace(said, label=meant)
        if said.label is not None and said.label not in known:
            if not add_classes:
                text = f"{said.label!r} for {said.called}"
                outcome.problems.append(Problem(UNKNOWN_CLASS, said.line, text))
                outcome.unknown[said.label] = None
                continue
            new[said.label] = None
        before = answers.get(present.item)
        if before is None or before.said.label == said.label:
            answers.setdefault(present.item, Change(present, said))
        elif on_conflict == "stop" and contents.to_settle and said.label is not None:
            # Copied to another class by somebody: a person's word counts before a model's.
            if before.said.automatic and not said.automatic:
                answers[present.item] = Change(present, said)
            elif before.said.automatic == said.automatic:
                outcome.doubts.append(Change(present, said))
        elif on_conflict == "stop":
            outcome.problems.append(contradiction(before.said, said))
        elif on_conflict == "replace":
            answers[present.item] = Change(present, said)
        else:
            outcome.kept += 1
    _compare(outcome, answers, on_conflict)
    used = {change.said.label for change in (*outcome.changes, *outcome.doubts)}
    outcome.new_classes = sorted_names([name for name in new if name in used])
    return outcome


def class_meant(said: Said, known: Collection[str]) -> str | None:
    """Return the class that a label means: as it stands there, where there is such a class."""
    label = said.label
    if label is None or label in known:
        return label
    if said.may_be_marked:
        label = as_written(label)
    # Tables of numbers and empty cells come out of pandas as 1.0 for 1.
    number = label.removesuffix(".0")
    return number if number != label and number.isdecimal() and number in known else label


def _compare(outcome: Outcome, answers: dict[int, Change], on_conflict: str) -> None:
    """Sort what the file says by what the project has."""
    for item in sorted(answers):
        change = answers[item]
        present, said = change.present, change.said
        is_same = present.answer and present.label == said.label
        # A person confirms what a model said, and a copy of it does not; a model's word does not
        # unsay a person's.
        if is_same and (said.automatic or said.may_be_copy or not present.automatic):
            outcome.same += 1
            outcome.automatic += present.automatic and not said.automatic
        elif is_same or not present.answer or on_conflict == "replace":
            outcome.changes.append(change)
        elif on_conflict == "keep":
            outcome.kept += 1
        else:
            outcome.problems.append(conflict(present, said))


def contradiction(before: Said, said: Said) -> Problem:
    """Say that two lines of a file give one picture two answers."""
    other = "" if before.called == said.called else f", where it is called {before.called}"
    text = f"{said.called} is {_told(said)}, and {_told(before)} in line {before.line:,}{other}"
    return Problem(CONTRADICTION, said.line, text)


def conflict(present: Present, said: Said) -> Problem:
    """Say that a picture has another answer in the project than in the file."""
    text = f"{said.called} is {_told(said)} here, and {present.answer} in the project"
    return Problem(CONFLICT, said.line, text)


def _told(said: Said) -> str:
    return "rejected" if said.label is None else repr(said.label)


class Finder:
    """Finds pictures by hash, by path, by name.

    Parameters
    ----------
    pictures : all of the project
    folders : how the folder of the person's pictures is written in whole paths
    originals : pictures' numbers by the hashes of the person's own files
    refused : why what lies at a path below the folder is not meant by it: it is no picture of the
        project, say. No other picture of that name is then, either
    is_strict : what names a folder is a path, and means no picture of that name elsewhere
    """

    def __init__(
        self,
        pictures: Sequence[Present],
        folders: Sequence[str],
        originals: Mapping[str, int],
        refused: Mapping[str, str],
        *,
        is_strict: bool = False,
    ) -> None:
        self._refused = {_plain(path): why for path, why in refused.items()}
        self._is_strict = is_strict
        self._by_hash: dict[str, Present] = {}
        self._by_path: dict[str, Present] = {}
        self._by_plain: dict[str, Present] = {}  # accents composed or not, as systems differ
        self._by_name: dict[str, list[Present]] = defaultdict(list)
        self._folders = folders
        for picture in pictures:
            self._by_hash[picture.sha256] = picture
            self._by_path |= dict.fromkeys(picture.paths, picture)
            self._by_plain |= {_plain(path): picture for path in picture.paths}
            self._by_name[picture.name].append(picture)
        by_item = {picture.item: picture for picture in pictures}
        for sha256, item in originals.items():
            self._by_hash.setdefault(sha256, by_item[item])

    def picture(self, said: Said) -> Present | Problem:
        """Return the picture that a line means, or why there is none."""
        if said.hashes:
            # Who tells a content means it: another picture of that name will not do.
            found = next((self._by_hash[h] for h in said.hashes if h in self._by_hash), None)
            return found or Problem(UNKNOWN_PICTURE, said.line, f"{said.called} (by its sha256)")
        names = [said.name, *([as_written(said.name)] if said.may_be_marked else [])]
        for name in names:
            if why := self._why_not(name):
                return Problem(OTHER_FILE, said.line, f"{said.called}: {why}")
            found = self._at(name)
            if found is not None:
                return found
        named = next((each for name in names if (each := self._named(name))), [])
        if len(named) == 1:
            return named[0]
        if not named:
            return Problem(UNKNOWN_PICTURE, said.line, said.called)
        text = f"{said.called}: {len(named)} pictures; give the path below the project's folder, "
        return Problem(AMBIGUOUS, said.line, text + "or sha256")

    def _at(self, path: str) -> Present | None:
        """Return the picture in the file at a path, as it stands there or as systems write it."""
        for tried in self._written(path):
            if found := self._by_path.get(tried) or self._by_plain.get(_plain(tried)):
                return found
        return None

    def _written(self, path: str) -> list[str]:
        """Return a path as it stands there, and as it is below the folder of pictures."""
        return [path, *(below(path, folder) for folder in self._folders)]

    def _why_not(self, path: str) -> str:
        """Say why the file at a path is not meant by it; '' where it may be."""
        for tried in self._written(path):
            if why := self._refused.get(_plain(tried)):
                return why
        return ""

    def _named(self, name: str) -> list[Present]:
        """Return the pictures of this name, as it is or as the tool would have kept it."""
        if self._is_strict and any(
            "/" in at or not at for at in (below(name, folder) for folder in self._folders)
        ):
            return []
        kept = display_name(name)
        sent = _SENT.fullmatch(kept)
        tried = [name, kept, *([sent[1]] if sent else [])]
        return next((self._by_name[each] for each in tried if each in self._by_name), [])


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def below(path: str, folder: str) -> str:
    """Return a path as it is below a folder, with / between its parts; '' where it leaves it."""
    path, folder = path.replace("\\", "/"), folder.replace("\\", "/").rstrip("/") + "/"
    path = path.removeprefix(folder) if folder != "/" else path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "" if ".." in parts or path.startswith("/") else "/".join(parts)
