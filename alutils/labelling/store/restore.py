"""A backup takes the place of the database; nothing that was there is deleted."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alutils.base.files import atomic_file
from alutils.base.project_folder import CERTIFICATES, DATABASE, REPLACED
from alutils.labelling.store import troubles
from alutils.labelling.store.backups import (
    RESTORED,
    Backup,
    all_backups,
    last_event,
    restore_command,
)
from alutils.labelling.store.files import make_folder
from alutils.labelling.store.opened_file import INDEX, LOG
from alutils.labelling.store.places import Place
from alutils.labelling.store.read_back import History
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store, lock_project


def listed(place: Place) -> list[str]:
    """Return the backups of a project, numbered from the newest on, and how to take one."""
    lines = [f"{n:>3}  {each}" for n, each in enumerate(all_backups(place.root), 1)]
    if not lines:
        return ["There is no backup yet."]
    return [*lines, f"Take the newest, say: {restore_command(place.root, '1')}."]


def chosen(place: Place, which: str) -> Backup:
    """Return the backup with this number in the list, or of this file's name."""
    backups = all_backups(place.root)
    by_name = {str(n): each for n, each in enumerate(backups, 1)}
    by_name |= {each.path.name: each for each in backups}
    name = Path(which).name
    if name not in by_name:
        if not backups:
            raise LabellingError(f"--restore {which}: there is no backup yet in {place.root}")
        raise LabellingError(
            f"--restore {which}: no such backup; expected a number from 1 to {len(backups)}"
        )
    return by_name[name]


def restore(place: Place, backup: Backup) -> list[str]:
    """Put a backup into the place of a project's database; returns what was done, in lines.

    What was there is moved to ``replaced/TIME``. Class folders follow: links that the
    database before explains go; those that no database explains are read back as labels.

    Raises
    ------
    LabellingError
        If the project is open, or the backup is damaged.
    """
    root, path = place.root, place.root / DATABASE
    with lock_project(root):
        troubles.check_sound(backup.path)
        kept = root / REPLACED / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}"
        with atomic_file(root / f"{DATABASE}.restored") as file, backup.path.open("rb") as source:
            shutil.copyfileobj(source, file)
        moved = []
        # Certificates are written anew from the database, those that it knows.
        log = (path.with_name(path.name + end) for end in (LOG, INDEX))
        for each in (path, *log, root / CERTIFICATES):
            if each.exists():
                make_folder(kept)
                each.rename(kept / each.name)
                moved.append(kept / each.name)
        (root / f"{DATABASE}.restored").rename(path)
    lines = [f"Taken: the backup of {backup}."]
    if moved:
        lines.append(f"What was there before is in {kept}.")
    with _history(kept / DATABASE) as before, Store.open(place.folder, project=root) as store:
        lines += store.folders.reconcile(also=before).lines()
        store.database.back_up(RESTORED)  # the newest: nothing is offered as newer than it
    return [*lines, f"The backups have other numbers now: {restore_command(root)} lists them."]


@contextmanager
def _history(path: Path) -> Iterator[list[History]]:
    """Give what a database explains; nothing if it is not there, damaged, or of old tables."""
    with ExitStack() as opened:
        try:
            troubles.check_sound(path)  # one that is not there cannot be opened
            found = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            histories = [History(opened.enter_context(closing(found)))]
        except (LabellingError, sqlite3.Error, ValueError, KeyError):
            histories = []
        yield histories


def behind(store: Store) -> str:
    """Say that the newest backup knows more than the database; '' where it does not.

    Then an older copy was put into its place, or its log was lost.
    """
    backups = all_backups(store.files.root)
    if not backups:
        return ""
    newest = backups[0]
    is_same = store.project_id.startswith(newest.project)
    if not newest.labels or (is_same and last_event(newest) <= store.reader.position()[0]):
        return ""
    what = "is older than" if is_same else "is of another project than"
    return (
        f"{store.database.path.name} {what} the newest backup here, of {newest}: "
        f"{restore_command(store.files.root)} lists the backups and takes one."
    )


def mend_at_start(store: Store) -> list[str]:
    """Mend what a crash or a stranger left; return what a person should know of, in lines."""
    before = behind(store)
    return [line for line in (before, *store.reconcile().lines()) if line]
