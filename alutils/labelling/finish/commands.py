"""The commands ``python -m alutils finish`` and ``python -m alutils verify``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alutils.base import surfaces
from alutils.base.errors import BadInput, ParameterError
from alutils.base.surfaces import Remedy
from alutils.labelling.opening import add_place, check_begun, take_in
from alutils.models.prediction import CONVERSIONS

if TYPE_CHECKING:
    from alutils.guarantee.cost_forecasts import Forecast
    from alutils.labelling.exchange.reading import Contents
    from alutils.labelling.finish.project import Finish
    from alutils.labelling.model.loop import LabellingLoop
    from alutils.labelling.store.store import Store

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
        "(? where nobody can tell), or another file that import takes: is taken as far as it goes; "
        "what is needed next is written to to_label.csv beside it",
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
    parser.add_argument(
        "--add-classes", action="store_true",
        help="add classes that the answers name and the project does not have",
    )  # fmt: skip
    parser.add_argument(
        "--stop", action="store_true",
        help="give up the attempt that goes on; its answers stay as labels",
    )  # fmt: skip
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
    from alutils.labelling.finish import answers, telling
    from alutils.labelling.finish.project import Finish
    from alutils.labelling.model.backbone import checked
    from alutils.labelling.model.loop import LabellingLoop
    from alutils.labelling.model.settings import Learning
    from alutils.labelling.store.store import Store

    _check_options(options)
    check_begun(
        options,
        f", or take labels from a file (python -m alutils import {options.folder} LABELS "
        "--add-classes)",
    )
    contents = None if options.answers is None else answers.read_answers(options.answers)
    features = None if options.features is None else checked(options.features)
    with Store.open(options.folder, project=options.project) as store:
        store.reconcile()
        # Pictures that an attempt lacks may be back. It goes on without the folder, too.
        if store.plans.open() is None or store.folder.is_dir():
            take_in(store)
        # Somebody waits for it here: it gives way to nothing.
        learning = Learning(features=features, beside=not options.quick, polite=False)
        loop = LabellingLoop(store, learning)
        try:
            attempt = Finish(store, loop)
            telling.begin(store)
            if attempt.settle() or telling.is_due(store):
                _say_untaken(options, "the attempt had all its answers")
                return telling.tell(attempt, options)
            if options.stop:
                return _stop(attempt, options)
            if store.plans.open() is not None:
                _check_plan(store, options)
            elif not _begin(attempt, loop, options):
                return 0
            telling.begin(store)
            if options.dry_run:
                _say_untaken(options, "this is a dry run")
            elif contents is not None:
                _take(attempt, contents, options)
            return telling.tell(attempt, options)
        finally:
            loop.stop()


def _check_options(options: argparse.Namespace) -> None:
    """Refuse values before any work: models train for minutes before they are needed."""
    from alutils.base.checks import check_count
    from alutils.labelling.store.names import checked_person
    from alutils.labelling.store.records import LabellingError

    if not 0 < options.target < 1:
        raise ParameterError(
            "--target", options.target, "expected a share between 0 and 1, neither included",
            "0.98 means 98%",
        )  # fmt: skip
    if options.by_hand is not None:
        check_count("--by-hand", options.by_hand)
    try:
        options.person = checked_person(options.person)
    except LabellingError as error:
        raise ParameterError("--person", options.person, str(error)) from error


def _stop(attempt: Finish, options: argparse.Namespace) -> int:
    """Give up the attempt that goes on; ParameterError where there is none."""
    if attempt.store.plans.open() is None:
        raise ParameterError("--stop", "given", "no attempt to finish goes on")
    _say_untaken(options, "the attempt was stopped")
    print("\n".join(attempt.stop(options.person).text))
    return 0


def _check_plan(store: Store, options: argparse.Namespace) -> None:
    """Refuse another target than that of the attempt that goes on; say what changes nothing."""
    plan = store.plans.open()
    assert plan is not None
    if plan.target != options.target:
        raise ParameterError(
            "--target", options.target, f"an attempt at {plan.target:g} goes on",
            f"give --target {plan.target:g}, or stop it with --stop",
        )  # fmt: skip
    by_hand = plan.terms["terms"]["by_hand"]
    if options.by_hand not in (None, by_hand):
        print(
            f"--by-hand {options.by_hand} changes nothing: the plan of attempt {plan.attempt} "
            f"stands, with {by_hand:,} pictures by hand."
        )
    decided = {each.get("choice") for each in store.readings.decided().values()}
    if late := [how for how in options.convert if how not in decided]:
        print(
            f"--convert {late[0]} changes nothing: the model of attempt {plan.attempt} is frozen, "
            "and sees the pictures as it did."
        )


def _begin(attempt: Finish, loop: LabellingLoop, options: argparse.Namespace) -> bool:
    """Tell what it costs, and begin if that is wanted; returns whether it was begun."""
    from alutils.labelling.finish import telling

    if not attempt.store.reader.progress().remaining:
        print("Nothing is left to label: every picture has a label, or was rejected.")
        telling.print_certificate(attempt.store)
        _say_untaken(options, "no attempt goes on")
        return False
    print("The model learns from all labels.", flush=True)
    loop.work(train=True)
    _await_stronger(loop)
    _decide(loop, options)
    _print_forecast(attempt.forecast((options.target,)).targets[0])
    if options.dry_run or not _may_begin(options):
        return False
    state = attempt.plan(options.target, by_hand=options.by_hand, person=options.person)
    print(state.text[0])
    return True


def _may_begin(options: argparse.Namespace) -> bool:
    """Ask whether to begin, if that was not told; ParameterError where nobody answers."""
    if options.yes:
        return True
    nobody = ParameterError(
        "--yes", "not given", "nobody is there to ask whether to begin, so nothing was begun",
        "give it",
    )  # fmt: skip
    if sys.stdin is None or not sys.stdin.isatty():  # None: it was closed before the start
        raise nobody
    try:
        return input("Begin? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()  # below the question
        raise nobody from None


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


def _say_untaken(options: argparse.Namespace, why: str) -> None:
    if options.answers is not None:
        print(f"Nothing was taken from {options.answers}: {why}.")


def _take(attempt: Finish, contents: Contents, options: argparse.Namespace) -> None:
    """Give the attempt what the file knows, and say what of it was not taken."""
    from alutils.labelling.finish import answers
    from alutils.labelling.opening import place_of

    plan = attempt.store.plans.open()
    assert plan is not None
    if options.add_classes and (new := answers.add_classes(attempt.store, contents)):
        print(f"Classes added: {', '.join(new)}.")
    found = answers.matched(attempt.store, plan, contents, options.answers)
    done, twice = answers.take(attempt, found, options.person)
    again = f", {twice:,} of them asked twice" if twice else ""
    print(f"{done:,} answers taken from {options.answers}{again}.")
    for line in answers.lines(found, place_of(options)):
        print(line)
    if attempt.store.plans.open() is None and (left := answers.unlabelled(attempt.store, found)):
        print(
            f"{left:,} more answers of the file were not asked for. To take them as labels: "
            f"python -m alutils import {place_of(options)} {options.answers}"
        )


def verify(options: argparse.Namespace) -> int:
    """Check a certificate and say line by line what holds."""
    from alutils.labelling.finish import records
    from alutils.labelling.finish import verify as checking
    from alutils.labelling.store.store import Store

    found = checking.read(options.certificate)
    check_begun(options)
    with Store.open_to_read(options.folder, project=options.project) as store:
        verdict = checking.verify(found, store)
    marks = {True: "holds", False: "FAILS", None: "note "}
    for line in verdict.lines:
        print(f"{marks[line.holds]}  {line.text}")
    if verdict.holds:
        print(records.sentences(found)[0])
    else:
        print("The certificate does not hold.")
    return 0 if verdict.holds else 1
