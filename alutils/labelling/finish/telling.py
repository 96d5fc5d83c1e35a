"""What the command `finish` says of an attempt: where it stands, what it needs, how it ended."""

from __future__ import annotations

import argparse
import math

from alutils.base.files import display_path
from alutils.labelling.finish import answers, certificates, questions, records
from alutils.labelling.finish.project import Finish, PlanState
from alutils.labelling.opening import place_of
from alutils.labelling.store.plans import CERTIFIED, REFUSED
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

_MOST_NAMES = 5  # of missing pictures that are told
_TO_TELL = "finish_to_tell"
"""The setting that holds the number of the attempt whose end the command is to tell."""


def begin(store: Store) -> None:
    """Note that the command works on the attempt that goes on.

    If it ends before it has told what the attempt came to, the next call tells it: else one that
    begins without asking would begin the next, stricter one without a word.
    """
    if (plan := store.plans.open()) is not None:
        _note(store, str(plan.number))


def is_due(store: Store) -> bool:
    """Tell whether the last attempt was decided by a call that ended before it said so."""
    plan = store.plans.last()
    if plan is None or plan.state not in (CERTIFIED, REFUSED):
        return False
    return store.database.setting(_TO_TELL) == str(plan.number)


def _note(store: Store, number: str) -> None:
    with store.database.transaction():
        store.database.set_setting(_TO_TELL, number)


def tell(attempt: Finish, options: argparse.Namespace) -> int:
    """Say where the last attempt stands, and what is needed next; returns the exit status.

    LabellingError where files are missing without which it cannot go on.
    """
    state = attempt.state()
    assert state is not None
    if state.phase == "asking":
        _note(attempt.store, "")
        return _tell_open(attempt, state, options)
    print("\n".join(state.text))
    if state.phase == CERTIFIED:
        _print_paths(attempt.store, state.number)
    _note(attempt.store, "")
    return 0 if state.phase == CERTIFIED else 1


def print_certificate(store: Store) -> None:
    """Name the last certificate that was given, and where it lies; nothing without one."""
    certified = store.plans.certified()
    if certified and (found := certified[-1].certificate) is not None:
        print(f"Certificate {certified[-1].number}: {found['text'][0]}")
        _print_paths(store, certified[-1].number)


def _print_paths(store: Store, number: int) -> None:
    for kind in ("html", "json"):
        print(display_path(certificates.path(store, number, kind)))


def _tell_open(attempt: Finish, state: PlanState, options: argparse.Namespace) -> int:
    _tell_missing(attempt, state)
    print(
        f"{state.asked:,} pictures answered so far. It takes {state.may_still_take_low:,} to "
        f"{state.may_still_take_most:,} more to be accepted; it may be refused sooner."
    )
    if options.answers is None or options.dry_run:
        print(f"Answer them in the tool: python -m alutils label {place_of(options)}")
        print(
            "or from a file, also bit by bit: --answers FILE (a new one tells in "
            f"{questions.NAME} which)"
        )
    else:
        pictures = [(item.sha256, item.name) for item in answers.asked(attempt, options.person)]
        path = options.answers.with_name(questions.NAME)
        kept = questions.write(path, pictures)
        below = f", below the {kept:,} answers that stand in it" if kept else ""
        print(f"{display_path(path)} lists {len(pictures):,} pictures to label next{below}.")
    _tell_held(attempt, options.person)
    return 0


def _tell_missing(attempt: Finish, state: PlanState) -> None:
    """Say which pictures have lost their file; LabellingError where nothing goes on without."""
    store = attempt.store
    plan = store.plans.open()
    lost = set() if plan is None else store.plans.unreadable(plan.number)
    if plan is None or not lost:
        return
    names = sorted(records.named(store, records.hashes(store.database.connection, lost)).values())
    which = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    look = store.plans.look(plan)
    if look.missing and not set(look.wanted.tolist()) - lost:
        raise LabellingError(f"{' '.join(state.text)} Missing: {which}")
    if look.missing:
        print("\n".join(state.text))
    else:
        print(f"The files of {len(lost):,} pictures of the attempt are missing; bring them again.")
    print(f"Missing: {which}")


def _tell_held(attempt: Finish, person: str) -> None:
    """Say which of the pictures that the attempt takes wait for somebody's browser.

    They are not taken over: what that browser still sends would be refused.
    """
    plan = attempt.store.plans.open()
    if plan is None:
        return
    wanted = set(attempt.store.plans.look(plan).wanted.tolist())
    held: dict[str, list[float]] = {}
    for item, (who, seconds) in attempt.store.queue.holders().items():
        if item in wanted and who != person:
            held.setdefault(who, []).append(seconds)
    for who, waits in held.items():
        print(
            f"{len(waits):,} of the pictures that it takes were handed to {who!r} in the tool, who "
            f"has {math.ceil(max(waits) / 60)} minutes more for them at most. Let {who!r} answer "
            "them there, or give the same command again then."
        )
