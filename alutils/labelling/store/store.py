"""A labelling project: pictures, labels, and what happened to them, in one folder.

Everything that is acknowledged is on the disk: label and event in one transaction, pictures under
their hash before their row. Class folders follow after the transaction, and `Store.reconcile`
mends what a crash left in between.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from alutils.base import locks
from alutils.base.project_folder import DATABASE
from alutils.labelling.store import places
from alutils.labelling.store.class_changes import ClassChanges
from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.disputes import Disputes
from alutils.labelling.store.files import Files
from alutils.labelling.store.folders import ClassFolders, Mended
from alutils.labelling.store.grid import Grid
from alutils.labelling.store.guidelines import NAME as GUIDELINES
from alutils.labelling.store.guidelines import Guidelines
from alutils.labelling.store.handing import LEASE_S
from alutils.labelling.store.models import Models
from alutils.labelling.store.notes import Notes
from alutils.labelling.store.pictures import Pictures
from alutils.labelling.store.places import LOCK
from alutils.labelling.store.plans import Plans
from alutils.labelling.store.queue import Queue
from alutils.labelling.store.reader import Reader
from alutils.labelling.store.readings import Readings
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.sample import RandomSample
from alutils.labelling.store.seconds import Seconds
from alutils.labelling.store.sources import Sources
from alutils.labelling.store.standing import Standing

log = logging.getLogger("alutils")


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
        self.standing = Standing(self.reader)  # the same for those who ask again and again
        self.sources = Sources(database)  # the people's own files
        self.pictures = Pictures(database, files, self.reader, self.sources, rng)  # what comes in
        self.folders = ClassFolders(database, files, self.classes, self.pictures)
        self.sample = RandomSample(database)  # what tells of all pictures
        self.plans = Plans(database)  # attempts to finish
        self.seconds = Seconds(database)  # what is asked of a second person
        self.queue = Queue(  # what people do
            database, self.reader, self.sample, self.plans, self.seconds, rng, lease_s, self.folders
        )
        self.grid = Grid(database, self.reader, self.folders)  # what people do to many at once
        self.disputes = Disputes(database)  # what people say against each other
        self.notes = Notes(database, self.reader)
        self.guidelines = Guidelines(files.root / GUIDELINES)
        self.models = Models(database, self.reader, self.folders)  # what models do
        self.readings = Readings(database, self.plans, self.models)  # how models see the pictures
        self.class_changes = ClassChanges(database, self.classes, self.folders, self.models)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        classes: Sequence[str] | None = None,
        *,
        project: Path | str | None = None,
        random_rate: float | None = None,
        twice: float | None = None,
        guidelines: Path | str | None = None,
        lease_s: float = LEASE_S,
        seed: int | None = None,
        alone: bool = True,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = lambda name: None,
    ) -> Store:
        """Open a labelling project, or begin one.

        Parameters
        ----------
        folder : of the user's pictures, which are not touched, or of a project. All is kept in
            ``FOLDER/labelling``; where a folder of the user's own is called so, in
            ``FOLDER/labelling-2``, which is said
        classes : names; those that the project does not have yet are added
        project : folder that all is kept in instead, where the pictures' one cannot be written
        random_rate : share of what is handed out that is picked at random, once there is a model,
            to tell how good it is on all pictures; kept with the project, 0.1 at first
        twice : share of the pictures that is asked of two people; kept, 0.05 at first
        guidelines : a Markdown file that says what belongs to which class, shown beside the
            pictures; the project's ``guidelines.md`` by default, where there is one
        lease_s : how many seconds a person may hold a picture
        seed : of the random draws; None draws one
        alone : refuse if another process has the project open; several that share one never get the
            same picture, but class folders may lag behind until the next `reconcile`
        clock, step : see `alutils.labelling.store.database.Database`

        Raises
        ------
        LabellingError
            If the folder cannot be used, or is in use by another process.
        """
        for name, share in (("random_rate", random_rate), ("twice", twice)):
            if share is not None and not 0 <= share <= 1:
                raise LabellingError(f"{name}={share}: expected 0 to 1")
        place = places.find(folder, project)
        places.begin(place)
        files = Files(place.root, step)
        with ExitStack() as opened:
            if alone:
                opened.enter_context(lock_project(files.root))
            database = Database(files.root / DATABASE, alone=alone, clock=clock, step=step)
            opened.callback(database.close)
            store = cls(place.folder, database, files, np.random.default_rng(seed), lease_s)
            if guidelines is not None:
                store.guidelines = Guidelines(Path(guidelines).absolute())
            with database.transaction() as connection:
                store.sample.set_up(random_rate)
                store.seconds.set_up(twice)
                store.queue.shorten(connection)
                if not database.setting("project"):
                    database.set_setting("project", uuid.uuid4().hex)
            store.classes.add(classes or ())
            store._opened = opened.pop_all()
        if place.note:
            log.warning("%s", place.note)
        return store

    @classmethod
    def open_to_read(cls, folder: Path | str, *, project: Path | str | None = None) -> Store:
        """Open a project only to read it: nothing of it is written, also where nothing can be.

        Another process may work in it. The parameters are those of `open`, and so are its errors;
        `UnavailableError` for what is tried to write.
        """
        place = places.find(folder, project)
        database = Database(place.root / DATABASE, alone=False, reads_only=True)
        files = Files(place.root, reads_only=True)
        store = cls(place.folder, database, files, np.random.default_rng(), LEASE_S)
        store._opened.callback(database.close)
        return store

    def close(self) -> None:
        """Close the project; no thread may be at work in it."""
        self._opened.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property  # pages show it, also while the database is not there
    def project_id(self) -> str:
        """32 hexadecimal digits, drawn when the project was begun: no two projects share it."""
        return self.database.setting("project")

    def reconcile(self, *, check_content: bool = False) -> Mended:
        """Mend what a crash or a stranger left; call it after `open`. Twice does no more than once.

        With ``check_content`` every picture is read and its hash compared, which takes a while.
        """
        return self.folders.reconcile(check_content)


@contextmanager
def lock_project(root: Path) -> Iterator[None]:
    """Hold a project so that no other process opens it alone; LabellingError if one has it."""
    places.check_writable(root)
    try:
        lock = locks.hold(root / LOCK)
    except locks.HeldError:
        raise LabellingError(
            f"{root}: is open in another process; end that one, or use its page"
        ) from None
    try:
        yield
    finally:
        lock.release()
