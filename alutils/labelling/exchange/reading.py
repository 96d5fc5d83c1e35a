"""What files of labels say: CSV, JSON lines, Label Studio's JSON. Nothing is written.

Each line of a file becomes a `Said`, or a `Problem` where it makes no sense; a file that cannot be
read as a whole is a `LabellingError`.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from alutils.base.csv_cells import as_written
from alutils.labelling.store.names import checked_name, checked_person, checked_text
from alutils.labelling.store.records import LabellingError

# Names of columns, in any mixture of capitals; the first of a row that is there counts.
# `file` last: the tool's own tables have it beside the name.
PICTURE = (
    "path", "file_path", "filepath", "file_name", "filename", "image", "name", "picture", "file",
)  # fmt: skip
HASH = ("file_sha256", "picture_sha256", "sha256", "hash")  # all of a row are tried
LABEL = ("label", "class", "category", "choice")
PERSON = ("person", "annotator")
OURS = "picture_sha256"
"""The column that only the tool's own tables have."""
_NO_ANSWER = (
    "A class called NA or null? pandas keeps it with read_csv(..., dtype=str, "
    "keep_default_na=False)"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_MOST_PERSON = 100
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # how archives begin, and empty ones
_SERVED = ("/data/upload/", "/data/local-files/")  # how Label Studio's own links begin


@dataclass(frozen=True)
class Said:
    """What a file says of one picture."""

    line: int  # of the file, from 1; the number of the task or file where it has no lines
    name: str = ""  # of the picture: a path or the last part of one, as it stands there
    hashes: tuple[str, ...] = ()  # of the file or of the picture, 64 hexadecimal digits
    label: str | None = None  # the class; None: the picture is rejected
    why: str = ""  # it is rejected
    person: str = ""  # who said it; '' where it is not told
    automatic: bool = False  # a model said it
    # Where spreadsheets were kept from running a text, it has an apostrophe in front; or it is
    # called so. Who knows the project's names can tell.
    may_be_marked: bool = False
    may_be_copy: bool = False  # of what a model said: it confirms no automatic label

    @property
    def called(self) -> str:
        """The picture as the file calls it, to show."""
        return repr(self.name) if self.name else f"sha256 {self.hashes[0][:12]}..."


@dataclass(frozen=True)
class Problem:
    """Something in a file that cannot be taken."""

    kind: str  # the same for all that is mended in the same way
    line: int
    text: str


class _NoAnswerError(LabellingError):
    """A line of the tool's own table says neither a class nor why there is none."""


@dataclass
class Contents:
    """What a file says as a whole."""

    said: list[Said] = field(default_factory=list)
    unlabelled: int = 0  # lines that name a picture and give it no label
    problems: list[Problem] = field(default_factory=list)
    # Two answers for one picture are to be settled in the tool: nobody wrote them side by side.
    to_settle: bool = False
    moved: int = 0  # pictures that lie in another class folder than the export's table says


BAD_LINE = "lines that cannot be read"
NO_ANSWER = "lines of the tool's own table without an answer"


def read(data: bytes, name: str) -> Contents:
    """Read a file of labels, whatever its kind.

    Parameters
    ----------
    data : the whole file
    name : of the file, to tell by

    Raises
    ------
    LabellingError
        If it is no text, no table with the columns that are needed, or no JSON of a known kind.
    """
    text = decoded(data, name)
    start = text.lstrip()[:1]
    if start == "[":
        return _label_studio(_json(text, name), name)
    if start == "{":
        return _json_lines(text, name)
    return _table(text, name)


def decoded(data: bytes, name: str) -> str:
    """Return the text of a file: UTF-8, or UTF-16 that says so by its first bytes.

    LabellingError where it is none, or empty; ``name`` is what the file is called then.
    """
    if data.startswith(_ZIP):
        raise LabellingError(
            f"{name}: is a ZIP archive, as npz files and Excel's workbooks are, too; expected CSV, "
            "JSON lines or Label Studio's JSON; take the table that is in it, or save it as CSV"
        )
    is_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LabellingError(
            f"{name}: line {line} is not UTF-8 (byte {error.start:,}); save the file as UTF-8 and "
            "try again"
        ) from None
    if "\0" in text.partition("\n")[0]:  # further down it may be part of a name
        raise LabellingError(
            f"{name}: the first line holds a zero byte, so this is no text; expected CSV, JSON "
            "lines or Label Studio's JSON; save it as UTF-8"
        )
    if not text.strip():
        raise LabellingError(f"{name}: is empty; expected a line for each label")
    return text


# --- tables ---------------------------------------------------------------------------------------


def delimiter(text: str) -> str:
    """Return what separates a table's cells: of , ; and tab the one that its head has most of."""
    first = next(line for line in text.splitlines() if line.strip())
    return max(",;\t", key=first.count)


def _table(text: str, name: str) -> Contents:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text), strict=True)
    contents = Contents()
    columns: list[str] = []
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise LabellingError(
                f"{name}: cannot be read from line {line} on ({error}); is a quotation mark "
                "missing there? Mend it, and try again"
            ) from None
        if row is None:
            break
        if not any(cell.strip() for cell in row):
            continue
        if not columns:
            columns = [cell.strip().lower() for cell in row]
            _check_columns(columns, name)
        elif len(row) != len(columns):
            text = f"{len(row)} cells, expected {len(columns)} as in the first line"
            contents.problems.append(Problem(BAD_LINE, line, text))
        else:
            _add(contents, line, dict(zip(columns, row, strict=True)), is_table=True)
    return contents


def _check_columns(columns: list[str], name: str) -> None:
    for what, names in (("a picture", (*PICTURE, *HASH)), ("a class", LABEL)):
        if not set(columns) & set(names):
            shown = ", ".join(map(repr, columns[:8]))
            raise LabellingError(
                f"{name}: no column tells {what}; the first line names {shown}; expected "
                f"one of {', '.join(names)}"
            )
    told = [each for each in columns if each in (*PICTURE, *HASH, *LABEL, *PERSON)]
    if twice := next((each for each in told if told.count(each) > 1), None):
        raise LabellingError(
            f"{name}: the first line names two columns {twice!r}; expected one; leave one of them, "
            "or give the other another name"
        )


def _json_lines(text: str, name: str) -> Contents:
    """Read an object a line, as the tool writes them."""
    contents = Contents()
    for line, part in enumerate(text.split("\n"), 1):
        if not part.strip():
            continue
        try:
            row = json.loads(part)
        except (ValueError, RecursionError) as error:
            contents.problems.append(Problem(BAD_LINE, line, f"no JSON ({error})"))
            continue
        if not isinstance(row, dict):
            contents.problems.append(Problem(BAD_LINE, line, "no JSON object"))
            continue
        _add(contents, line, {str(key).lower(): value for key, value in row.items()})
    if contents.problems and not contents.said and not contents.unlabelled:
        first = contents.problems[0]
        raise LabellingError(
            f"{name}: line {first.line}: {first.text}; expected JSON lines, an object with "
            f"one of {', '.join((*PICTURE, *HASH))} and one of {', '.join(LABEL)} on each line"
        )
    return contents


def _add(contents: Contents, line: int, row: Mapping[str, Any], is_table: bool = False) -> None:
    """Take in one row, by the names of its columns; ``is_table`` for one of a CSV file."""
    try:
        said = _said(line, row, is_table)
    except LabellingError as error:
        kind = NO_ANSWER if isinstance(error, _NoAnswerError) else BAD_LINE
        contents.problems.append(Problem(kind, line, str(error)))
        return
    if said is None:
        contents.unlabelled += 1
    else:
        contents.said.append(said)


def _said(line: int, row: Mapping[str, Any], is_table: bool) -> Said | None:
    picture = _path(_text(row, PICTURE))
    hashes = tuple(
        dict.fromkeys(each for name in HASH if (each := _text(row, (name,)).strip().lower()))
    )
    for sha256 in hashes:
        if not _SHA256.fullmatch(sha256):
            raise LabellingError(f"sha256 {sha256[:70]!r}: expected 64 hexadecimal digits")
    if not picture.strip() and not hashes:
        raise LabellingError("it names no picture")
    label, why, person = (_text(row, names) for names in (LABEL, ("rejected",), PERSON))
    if is_table:
        why, person = as_written(why), as_written(person)
    person = person.strip()[:_MOST_PERSON]
    # Tables of today hold classes and paths as they are, and every row has an answer.
    is_ours = OURS in row
    marked = is_table and not is_ours
    # A label that stands beside a reason for rejecting is that of a table made by other programs.
    if why.strip() and not label.strip():
        why = checked_text(why, "reason")
        return Said(line, picture, hashes, None, why, _person(person), False, marked)
    if not label.strip():
        if is_ours:
            raise _NoAnswerError(f"{picture!r} has neither a label nor a reason. {_NO_ANSWER}")
        return None
    label = checked_name(label)
    return Said(line, picture, hashes, label, "", _person(person), is_automatic(row), marked)


def is_automatic(row: Mapping[str, Any]) -> bool:
    """Tell whether the label of a row of a table, by its columns' names, is one of a model.

    A table that says how sure its answers are, and not whose they are, was written by a model.
    """
    source, person = (_text(row, names).strip() for names in (("label_source",), PERSON))
    return source == "auto" or (not (source or person) and bool(_text(row, ("confidence",))))


def _person(name: str) -> str:
    return checked_person(name) if name else ""


def _text(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first cell of these columns that holds something, as text."""
    for name in names:
        value = row.get(name)
        if isinstance(value, bool | list | dict):
            raise LabellingError(f"{name} {value!r}: expected a text")
        if value is not None and str(value).strip():
            return str(value)
    return ""


# --- Label Studio ---------------------------------------------------------------------------------


def _json(text: str, name: str) -> list[Any]:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabellingError(
            f"{name}: is no whole JSON ({error}); export it again from Label Studio as JSON or "
            "JSON-MIN"
        ) from None


def _label_studio(tasks: list[Any], name: str) -> Contents:
    """Read tasks of one picture and one choice each, exported as JSON or as JSON-MIN."""
    contents = Contents()
    for number, task in enumerate(tasks, 1):
        try:
            if not isinstance(task, dict):
                raise LabellingError(f"task {str(task)[:40]!r}: expected an object")
            picture = _picture_of(task)
            answers = list(_answers(task))
        except LabellingError as error:
            contents.problems.append(Problem(BAD_LINE, number, str(error)))
            continue
        contents.unlabelled += not answers
        contents.said += [Said(number, picture, (), *answer) for answer in answers]
    if contents.problems and len(contents.problems) == len(tasks):
        raise LabellingError(
            f"{name}: no task is one that can be taken; the first: {contents.problems[0].text}. "
            "Expected Label Studio's JSON of tasks with one picture and one choice"
        )
    return contents


def _picture_of(task: Mapping[str, Any]) -> str:
    """Return the file's name of the picture that a task shows."""
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise LabellingError(f"data {str(data)[:40]!r}: expected an object")
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    pictures = [value for value in texts.values() if _path(value).lower().endswith(_IMAGES)]
    shown = texts.get("image", pictures[0] if len(pictures) == 1 else "")
    if not shown:
        raise LabellingError(
            f"{len(pictures)} of its values are pictures ({', '.join(map(str, list(data)[:6]))}); "
            "expected one, or one named image"
        )
    return _path(shown)


def _path(link: str) -> str:
    """Return the path in what Label Studio writes for a picture: a link, or a file it serves."""
    if "://" not in link[:12] and not link.startswith(_SERVED):
        return link
    try:
        parts = urlsplit(link)
    except ValueError:  # it only looks like a link
        return link
    served = parse_qs(parts.query).get("d")
    return served[0] if served else unquote(parts.path)


def _answers(task: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield class, '' and person of each answer of a task that was not cancelled."""
    if "annotations" not in task and "completions" not in task:  # JSON-MIN
        choice = task.get("choice", task.get("choices"))
        if choice is not None:
            yield checked_name(_one_choice(choice)), "", _who(task.get("annotator"))
        return
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list):
        raise LabellingError(f"annotations {str(annotations)[:40]!r}: expected a list")
    for annotation in annotations:
        if not isinstance(annotation, dict):
            raise LabellingError(f"annotation {str(annotation)[:40]!r}: expected an object")
        if annotation.get("was_cancelled"):
            continue
        results = annotation.get("result")
        if not isinstance(results, list):
            raise LabellingError("an annotation without result; expected a list")
        chosen = [r for r in results if isinstance(r, dict) and r.get("type") == "choices"]
        if len(chosen) != len(results) or len(chosen) > 1:
            kinds = sorted({str(r.get("type")) for r in results if isinstance(r, dict)})
            raise LabellingError(
                f"{len(results)} answers ({', '.join(kinds)}); expected one of type choices"
            )
        for one in chosen:
            value = one.get("value")
            choices = value.get("choices") if isinstance(value, dict) else None
            yield checked_name(_one_choice(choices)), "", _who(annotation.get("completed_by"))


def _one_choice(choice: Any) -> Any:
    if isinstance(choice, dict):
        choice = choice.get("choices")
    if isinstance(choice, list):
        if len(choice) != 1:
            raise LabellingError(f"{len(choice)} choices ({choice!r}); expected one")
        return choice[0]
    return choice


def _who(person: Any) -> str:
    if isinstance(person, dict):
        person = person.get("email") or person.get("id")
    if person is None or isinstance(person, bool | list) or not str(person).strip():
        return ""
    name = f"Label Studio {person}" if isinstance(person, int) else str(person)
    return checked_person(name.strip()[:_MOST_PERSON])
