"""A labelling project: pictures, labels, and what happened to them, in one folder.

Everything that is acknowledged is on the disk: label and event in one transaction, pictures under
their hash before their row. Class folders follow after the transaction, and `Store.reconcile`
mends what a crash left in between.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from filelock import FileLock

from alutils.base import locks
from alutils.labelling.store.audit import AuditSlice
from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.files import FOLDER, Files
from alutils.labelling.store.folders import ClassFolders, Mended
from alutils.labelling.store.models import Models
from alutils.labelling.store.pictures import Pictures
from alutils.labelling.store.queue import LEASE_S, Queue
from alutils.labelling.store.reader import Reader
from alutils.labelling.store.records import LabellingError

_DATABASE, _LOCK = "labels.sqlite", "lock"


class Store:
    """A labelling project; get one with `Store.open`. Safe to use from many threads."""

    def __init__(
        self,
        folder: Path,  # of the user's pictures
        database: Database,  # what is true
        files: Files,  # what lies on the disk
        rng: np.random.Generator,
        lease_s: float,
    ) -> None:
        self.folder, self.database, self.files = folder, database, files
        self._opened = ExitStack()  # what `close` closes
        self.classes = Classes(database)
        self.reader = Reader(database, self.classes)  # what can be asked
        self.pictures = Pictures(database, files, self.reader, rng)  # what comes in
        self.folders = ClassFolders(database, files, self.classes, self.pictures)
        self.queue = Queue(database, self.reader, self.folders, rng, lease_s)  # what people do
        self.models = Models(database, self.reader, self.folders)  # what models do
        self.audit = AuditSlice(database)  # what checks models

    @classmethod
    def open(
        cls,
        folder: Path | str,
        classes: Sequence[str] | None = None,
        *,
        audit_share: float | None = None,
        audit_rate: float | None = None,
        lease_s: float = LEASE_S,
        seed: int | None = None,
        alone: bool = True,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = lambda name: None,
    ) -> Store:
        """Open a labelling project, or begin one.

        Parameters
        ----------
        folder : of the user's pictures, which are not touched; all is kept in ``FOLDER/labelling``
        classes : names; those that the project does not have yet are added
        audit_share : share of the pictures that come in which is drawn into the audit slice, at
            random; kept with the project, 0.1 at first, and fixed once there are pictures: all must
            have had the same chance
        audit_rate : share of what is handed out that comes from the audit slice; kept, 0.2 at first
        lease_s : how many seconds a person may hold a picture
        seed : of the random draws; None draws one
        alone : refuse if another process has the project open; several that share one never get the
            same picture, but class folders may lag behind until the next `reconcile`
        clock, step : see `alutils.labelling.store.database.Database`

        Raises
        ------
        LabellingError
            If the folder cannot be used, or is in use by another process; for another
            ``audit_share`` than the one that the pictures there were drawn with.
        """
        folder = Path(folder).absolute()  # others' ideas of where a relative path begins differ
        if folder.exists() and not folder.is_dir():
            raise LabellingError(f"{folder}: is a file; expected a folder of pictures")
        for name, value in (("audit_share", audit_share), ("audit_rate", audit_rate)):
            if value is not None and not 0 <= value <= 1:
                raise LabellingError(f"{name}={value}: expected 0 to 1")
        try:
            files = Files(folder / FOLDER, step)
        except OSError as error:
            raise LabellingError(
                f"{folder / FOLDER}: cannot be written ({error.strerror}); choose another folder"
            ) from error
        with ExitStack() as opened:
            if alone:
                opened.callback(_lock_file(files.root / _LOCK).release)
            database = Database(files.root / _DATABASE, clock=clock, step=step)
            opened.callback(database.close)
            store = cls(folder, database, files, np.random.default_rng(seed), lease_s)
            with database.transaction():
                store.audit.set_up(audit_share, audit_rate)
                if not store.project_id:
                    database.set_setting("project", uuid.uuid4().hex)
            store.classes.add(classes or ())
            store._opened = opened.pop_all()
        return store

    def close(self) -> None:
        """Close the project; no thread may be at work in it."""
        self._opened.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def project_id(self) -> str:
        """32 hexadecimal digits, drawn when the project was begun: no two projects share it."""
        return self.database.setting("project")

    def reconcile(self, *, check_content: bool = False) -> Mended:
        """Mend what a crash or a stranger left; call it after `open`. Twice does no more than once.

        With ``check_content`` every picture is read and its hash compared, which takes a while.
        """
        return self.folders.reconcile(check_content)


def _lock_file(path: Path) -> FileLock:
    try:
        return locks.hold(path)
    except locks.HeldError:
        raise LabellingError(
            f"{path.parent}: is open in another process; end that one, or use its page"
        ) from None
