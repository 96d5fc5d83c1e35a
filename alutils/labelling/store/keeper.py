"""What keeps a project's labels safe while it is open: looks after its place, log and backups."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from alutils.labelling.store.backups import all_backups, last_event
from alutils.labelling.store.records import LabellingError, UnavailableError
from alutils.labelling.store.store import Store

_log = logging.getLogger("alutils")

EVERY_S = 1.0  # between two looks
IDLE_S = 1.5  # without an answer, after which the log is moved into the file
ANSWERS, MINUTES = 100, 10  # after so many a backup is made, if there is anything new


class Keeper:
    """A thread beside a project that is open.

    It says in the terminal when the database is not at its place any more, and when it is again;
    moves the log into the file when nobody answers, so that the file alone holds everything; makes
    a backup now and then, and one at the end.

    Parameters
    ----------
    store : the project, opened alone
    every_s : between two looks
    """

    def __init__(self, store: Store, every_s: float = EVERY_S) -> None:
        self.store, self._every_s = store, every_s
        self._told = ""  # the trouble that was said last
        self._failed = ""  # why the last backup could not be made
        self._seen = store.reader.position()
        self._saved = self._seen if self._is_backed_up() else (0, 0, 0)
        self._changed_at = self._saved_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def _is_backed_up(self) -> bool:
        """Whether all that was there at the beginning is in a backup, or there was nothing yet."""
        project = self.store.project_id
        own = [b for b in all_backups(self.store.files.root) if project.startswith(b.project)]
        return (last_event(own[0]) if own else 0) >= self._seen[0]

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; `end` does what is left to do."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.look()
            except Exception:
                # The thread must not die: there is nobody else who looks.
                _log.exception("the keeper of %s", self.store.database.path)

    def look(self) -> None:
        """Do once what is due."""
        database = self.store.database
        try:
            database.check()
            position = self.store.reader.position()
        except UnavailableError as error:
            self._tell(str(error))
            return
        self._tell("")
        now = time.monotonic()
        if position != self._seen:
            self._seen, self._changed_at = position, now
        try:
            if database.has_log and now - self._changed_at >= IDLE_S:
                database.checkpoint()
            if self._is_due(position, now):
                self._back_up(position, now)
            self._failed = ""
        except LabellingError as error:
            if str(error) != self._failed:
                _log.warning("%s; trying again", error)
            self._failed = str(error)

    def _tell(self, trouble: str) -> None:
        if trouble != self._told:
            if trouble:
                saved = self.store.database.settle()
                _log.warning("%s", f"{trouble}. {saved}".rstrip(". "))
            else:
                _log.warning("%s: is there again, and labelling goes on", self.store.database.path)
        self._told = trouble

    def _is_due(self, position: tuple[int, int, int], now: float) -> bool:
        """Whether a backup is: after many answers, or some minutes after few."""
        if position == self._saved:
            return False
        many = position[0] - self._saved[0] >= ANSWERS
        return many or now - self._saved_at >= 60 * MINUTES

    def _back_up(self, position: tuple[int, int, int], now: float) -> None:
        self._saved_at = now  # one that fails is not tried again every second
        self.store.database.back_up()
        self._saved = position

    def end(self) -> None:
        """Make the last backup, and see that every label is where it belongs.

        Call it when everything else has stopped, before the project is closed.

        Raises
        ------
        UnavailableError
            If that is not so: says what is wrong, and where the labels are as they were last.
        """
        database = self.store.database
        self.stop()
        try:
            database.check()
            self._finish()
            database.check()
        except UnavailableError as error:
            saved = database.settle() or database.rescue(self._beside())
            raise UnavailableError(
                f"not every answer is in its place. {error}. {saved}".strip(". ")
            ) from error

    def _finish(self) -> None:
        try:
            self.store.database.checkpoint()
            if self.store.reader.position() != self._saved:
                self.store.database.back_up("at-the-end")
        except UnavailableError as error:
            self.store.database.check()  # what was answered is in the file or in its log
            _log.warning("every label is on the disk, but %s", error)

    def _beside(self) -> Path:
        """Where the labels go when the folder is gone: they may be nowhere else any more."""
        folder = self.store.folder
        now = datetime.now(UTC)
        return folder.parent / f"{folder.name}-labels-{now:%Y-%m-%dT%H-%M-%S}.sqlite"
