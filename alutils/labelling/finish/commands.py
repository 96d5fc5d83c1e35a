"""The commands ``python -m alutils finish`` and ``python -m alutils verify``."""

from __future__ import annotations

import argparse
import codecs
import csv
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alutils.base import surfaces
from alutils.base.csv_cells import harmless
from alutils.base.errors import BadInput, ParameterError
from alutils.base.surfaces import Remedy
from alutils.labelling.opening import add_place, check_begun, take_in
from alutils.models.prediction import CONVERSIONS

if TYPE_CHECKING:
    from alutils.guarantee.cost_forecasts import Forecast
    from alutils.labelling.finish.project import Finish
    from alutils.labelling.model.loop import LabellingLoop
    from alutils.labelling.store.store import Store

NOBODY_CAN = "?"
"""Stands in a file of answers for a picture that nobody can name."""
_HASHES = ("file_sha256", "picture_sha256", "sha256")
_ASK_FOR = "to_label.csv"
_SAY_EVERY_S = 20.0  # how long to wait without a word


def add_finish(commands: Any) -> None:
    parser = commands.add_parser(
        "finish", help="have the model label what is left, with a certificate"
    )
    add_place(parser)
    parser.add_argument(
        "--target", type=float, default=0.98,
        help="share of all labels that is to be right (0.98)",
    )  # fmt: skip
    parser.add_argument(
        "--by-hand", type=int, metavar="N",
        help="pictures labelled by hand before the model is trusted; by default as many as cost "
        "the fewest labels in all",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only tell what it would take")
    parser.add_argument("--yes", action="store_true", help="begin without asking")
    parser.add_argument(
        "--answers", type=Path, metavar="FILE",
        help="CSV with the columns path, name, sha256, file_sha256 or picture_sha256, and label "
        f"({NOBODY_CAN} where nobody can tell): is taken as far as it goes; what is needed next "
        f"is written to {_ASK_FOR} beside it",
    )  # fmt: skip
    parser.add_argument(
        "--features", metavar="NAME", help="as for label; chosen by the pictures by default"
    )
    parser.add_argument(
        "--convert", action="append", default=[], choices=CONVERSIONS, metavar="HOW",
        help="how the model sees pictures that differ from those that it has seen: "
        f"{', '.join(CONVERSIONS)}; is asked for where it matters, and kept with the project",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="without waiting for the stronger learners"
    )
    parser.add_argument("--person", default="command line", help="whose answers these are")
    parser.set_defaults(
        call=finish, hint="; every answer is on the disk",
        surface=surfaces.command(surfaces.READING | surfaces.LABELLING),
    )  # fmt: skip


def add_verify(commands: Any) -> None:
    parser = commands.add_parser(
        "verify", help="check a certificate against the project that gave it"
    )
    parser.add_argument("certificate", type=Path, help="the JSON file")
    add_place(parser)
    parser.set_defaults(call=verify)


def finish(options: argparse.Namespace) -> int:
    """Tell what a certificate costs, begin an attempt, take answers, say where it stands."""
    from alutils.labelling.finish.project import Finish
    from alutils.labelling.model.backbone import checked
    from alutils.labelling.model.loop import LabellingLoop
    from alutils.labelling.model.settings import Learning
    from alutils.labelling.store.store import Store

    check_begun(
        options,
        f", or take labels from a file (python -m alutils import {options.folder} LABELS "
        "--add-classes)",
    )
    answers = None if options.answers is None else read_answers(options.answers)
    features = None if options.features is None else checked(options.features)
    with Store.open(options.folder, project=options.project) as store:
        store.reconcile()
        if store.plans.open() is None:
            take_in(store)
        loop = LabellingLoop(store, Learning(features=features, beside=not options.quick))
        try:
            attempt = Finish(store, loop)
            attempt.settle()
            if store.plans.open() is None and not _begin(attempt, loop, options):
                return 0
            _check_target(store, options.target)
            if answers is not None:
                _take(attempt, answers, options)
            return _tell(attempt, options)
        finally:
            loop.stop()


def _check_target(store: Store, target: float) -> None:
    plan = store.plans.open()
    if plan is not None and plan.target != target:
        raise ParameterError(
            "--target", target, f"an attempt at {plan.target:g} goes on",
            f"give --target {plan.target:g}, or stop it on the page Finish",
        )  # fmt: skip


def _begin(attempt: Finish, loop: LabellingLoop, options: argparse.Namespace) -> bool:
    """Tell what it costs, and begin if that is wanted; returns whether it was begun."""
    if not attempt.store.reader.progress().remaining:
        print("Nothing is left to label: every picture has a label, or was rejected.")
        return False
    print("The model learns from all labels.", flush=True)
    loop.work(train=True)
    _await_stronger(loop)
    _decide(loop, options)
    _print_forecast(attempt.forecast((options.target,)).targets[0])
    if options.dry_run:
        return False
    if not options.yes:
        if not sys.stdin.isatty():
            raise ParameterError(
                "--yes", "not given", "nobody is there to ask whether to begin", "give it"
            )
        if input("Begin? [y/N] ").strip().lower() not in ("y", "yes"):
            return False
    state = attempt.plan(options.target, by_hand=options.by_hand, person=options.person)
    print(state.text[0])
    return True


def _decide(loop: LabellingLoop, options: argparse.Namespace) -> None:
    """Decide how the model sees pictures that differ, as the options say.

    BadInput where it has to be decided first, and the options do not.
    """
    reading = loop.training.reading
    for question in reading.state.questions:
        ways = [way["choice"] for way in question.ways]
        choice = next((way for way in ways if way in options.convert), None)
        if choice is not None:
            reading.decide(options.person, question.kind, choice)
    if reading.is_due:
        loop.work(train=True)
        _await_stronger(loop)
    for each in reading.state.decided:
        print(f"{each['text']} ({each['person']})")
    if reading.state.holds:
        remedies = [
            Remedy(f"{way['text'][0].lower()}{way['text'][1:]}", "convert", way["choice"])
            for question in reading.state.questions
            for way in question.ways
        ]
        raise BadInput(f"{options.folder}: {reading.why}", *remedies)
    if reading.why:
        print(reading.why)


def _await_stronger(loop: LabellingLoop) -> None:
    """Wait until the strong learners are ready, and say so: it may take minutes."""
    begun = said = time.monotonic()
    if loop.training.stronger.beside.is_running:
        print("Stronger learners train, too: minutes, mostly (--quick: without).", flush=True)
    while loop.training.stronger.beside.is_running:
        time.sleep(0.5)
        loop.work()
        if (now := time.monotonic()) - said >= _SAY_EVERY_S:
            said = now
            print(f"... they still train, since {now - begun:.0f} s", flush=True)


def _print_forecast(forecast: Forecast) -> None:
    print(forecast.sentence)
    print(f"{'labels to train on first':>26} {'by hand':>8} {'audit':>7} {'in all':>7} {'90%':>15}")
    for row in forecast.rows:
        between = f"{row.low:,} to {row.high:,}"
        print(
            f"{row.train_more:>26,} {row.by_hand:>8,} {row.audit:>7,} {row.expected:>7,} "
            f"{between:>15}"
        )


def read_answers(path: Path) -> dict[str, dict[str, str]]:
    """Read a file of answers: ``sha256``, ``path`` and ``name``, each with labels by its cells.

    ParameterError for a file that is none, or that gives two labels to one picture.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ParameterError("--answers", path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ParameterError("--answers", path, "expected a CSV file in UTF-8") from error
    try:
        return _by_column(path, csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ParameterError("--answers", path, f"cannot be read as CSV ({error})") from error


def _by_column(path: Path, reader: csv.DictReader[str]) -> dict[str, dict[str, str]]:
    from alutils.labelling.store.names import composed

    wanted = (*_HASHES, "path", "name")
    columns = [name for name in wanted if name in (reader.fieldnames or ())]
    if not columns or "label" not in (reader.fieldnames or ()):
        raise ParameterError(
            "--answers",
            path,
            "expected a first line with label and one of path, name, sha256, "
            "file_sha256, picture_sha256",
        )
    found: dict[str, dict[str, str]] = {"sha256": {}, "path": {}, "name": {}}
    for row in reader:
        label = composed((row["label"] or "").strip())
        column = next((name for name in columns if (row[name] or "").strip()), None)
        if not label or column is None:
            continue
        known = found["sha256" if column in _HASHES else column]
        which = (row[column] or "").strip()
        which = which.removeprefix("./") if column == "path" else which
        if known.setdefault(which, label) != label:
            raise ParameterError(
                "--answers", path,
                f"line {reader.line_num}: {which} is {label!r}, before it was {known[which]!r}",
                "leave one of them",
            )  # fmt: skip
    return found


def _take(attempt: Finish, answers: dict[str, dict[str, str]], options: argparse.Namespace) -> None:
    """Give the attempt what the file knows, as far as it is asked for."""
    from alutils.labelling.store.names import composed

    store, person = attempt.store, options.person
    names = {c.name for c in store.classes.all()}
    labels = {label for known in answers.values() for label in known.values()}
    if unknown := sorted(labels - names - {NOBODY_CAN}):
        raise ParameterError(
            "--answers", options.answers, f"no such class: {', '.join(unknown[:5])}",
            f"expected one of {', '.join(sorted(names)[:20])}, or {NOBODY_CAN}",
        )  # fmt: skip
    paths = {composed(path): item for path, item in store.sources.paths().items()}
    told = {composed(path): label for path, label in answers["path"].items()}
    by_item = _by_picture(store, answers | {"path": told}, paths, options.answers)
    # What is no path below the folder is taken for a name.
    by_name = {path: label for path, label in told.items() if path not in paths}
    by_name |= {composed(name): label for name, label in answers["name"].items()}
    _check_names(store, by_name, options.answers)
    is_new, done, pictures = True, 0, set[int]()
    while is_new and store.plans.open() is not None:
        is_new = False
        for item in attempt.next(person, 10_000):
            label = answers["sha256"].get(item.sha256) or by_item.get(item.id)
            label = label or by_name.get(item.name) or by_name.get(harmless(item.name))
            if label is None:
                continue
            is_named = label != NOBODY_CAN or label in names
            attempt.answer(person, item.id, label if is_named else None)
            is_new, done = True, done + 1
            pictures.add(item.id)
            if store.plans.open() is None:
                break
    again = f", {done - len(pictures):,} of them asked twice" if done > len(pictures) else ""
    print(f"{done:,} answers taken from {options.answers}{again}.")


def _by_picture(
    store: Store, answers: dict[str, dict[str, str]], paths: dict[str, int], file: Path
) -> dict[int, str]:
    """Return labels by the pictures' numbers, where the person's own files are told."""
    originals = store.sources.originals()
    told = [(sha, originals.get(sha), label) for sha, label in answers["sha256"].items()]
    told += [(path, paths.get(path), label) for path, label in answers["path"].items()]
    found: dict[int, tuple[str, str]] = {}
    for which, item, label in told:
        if item is None:
            continue
        other, before = found.setdefault(item, (which, label))
        if before != label:
            raise ParameterError(
                "--answers", file,
                f"{other} is {before!r} and {which} is {label!r}, and both are the same picture",
                "leave one of them",
            )  # fmt: skip
    return {item: label for item, (_, label) in found.items()}


def _check_names(store: Store, known: dict[str, str], file: Path) -> None:
    """Refuse names that several pictures have: the answer would be given to all of them."""
    query = "SELECT name FROM items GROUP BY name HAVING count(*) > 1"
    rows = store.database.connection.execute(query)
    if twice := sorted(row[0] for row in rows if row[0] in known):
        raise ParameterError(
            "--answers", file, f"several pictures are called {twice[0]!r}",
            "tell pictures by sha256, or by their path below the folder",
        )  # fmt: skip


def _tell(attempt: Finish, options: argparse.Namespace) -> int:
    """Say where the attempt stands, and what is needed next."""
    from alutils.base.files import display_path
    from alutils.labelling.finish import certificates

    state = attempt.state()
    assert state is not None
    if state.phase != "asking":
        print("\n".join(state.text))
        if state.phase == "certified":
            for kind in ("html", "json"):
                print(display_path(certificates.path(attempt.store, state.number, kind)))
        return 0 if state.phase == "certified" else 1
    print(
        f"{state.asked:,} pictures answered so far. It takes {state.may_still_take_low:,} to "
        f"{state.may_still_take_most:,} more to be accepted; it may be refused sooner."
    )
    if options.answers is None:
        where = "" if options.project is None else f" --project {options.project}"
        print(f"Answer them in the tool: python -m alutils label {options.folder}{where}")
        print(
            f"or from a file, also bit by bit: --answers FILE (a new one tells in {_ASK_FOR} which)"
        )
        return 0
    items = attempt.next(options.person, 10_000)
    attempt.store.queue.release(options.person)
    path = options.answers.with_name(_ASK_FOR)
    kept = _write_questions(path, [(item.sha256, item.name) for item in items])
    answered = f", below the {kept:,} answers that stand in it" if kept else ""
    print(f"{display_path(path)} lists {len(items):,} pictures to label next{answered}.")
    return 0


def _write_questions(path: Path, pictures: list[tuple[str, str]]) -> int:
    """Write what is asked next, below the answers that are in the file; returns how many are.

    ParameterError where the file holds something else: nobody knows what would be lost.
    """
    from alutils.base.files import write_atomically

    head = ["sha256", "name", "label"]
    answered: list[list[str]] = []
    if path.exists():
        try:
            rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
        except (OSError, UnicodeDecodeError, csv.Error):
            rows = [[]]
        if rows and "label" not in rows[0]:
            raise ParameterError(
                _ASK_FOR, path, "holds something else than answers, and is not written over",
                "move it away, and give the same command again",
            )  # fmt: skip
        if rows and any(rows[1:]):
            head = rows[0] if "sha256" in rows[0] else [*rows[0], "sha256"]
            at = head.index("label")
            answered = [row for row in rows[1:] if len(row) > at and row[at].strip()]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([head, *answered])
    for sha256, name in pictures:
        cells = {"sha256": sha256, "name": harmless(name)}
        writer.writerow([cells.get(column, "") for column in head])
    write_atomically(path, codecs.BOM_UTF8 + text.getvalue().encode(errors="replace"))
    return len(answered)


def verify(options: argparse.Namespace) -> int:
    """Check a certificate and say line by line what holds."""
    from alutils.labelling.finish import records
    from alutils.labelling.finish import verify as checking
    from alutils.labelling.store.store import Store

    found = checking.read(options.certificate)
    check_begun(options)
    with Store.open(options.folder, project=options.project, alone=False) as store:
        verdict = checking.verify(found, store)
    marks = {True: "holds", False: "FAILS", None: "note "}
    for line in verdict.lines:
        print(f"{marks[line.holds]}  {line.text}")
    if verdict.holds:
        print(records.sentences(found)[0])
    else:
        print("The certificate does not hold.")
    return 0 if verdict.holds else 1
