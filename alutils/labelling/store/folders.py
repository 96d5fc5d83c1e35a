"""Class folders that follow the labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.files import Files
from alutils.labelling.store.names import file_name

log = logging.getLogger(__name__)


class ClassFolders:
    """Links to pictures in the folders of their classes, made and removed label by label.

    What a crash leaves in between is mended by `alutils.labelling.store.reconcile`.
    """

    def __init__(self, database: Database, files: Files, classes: Classes) -> None:
        self.database, self.files, self.classes = database, files, classes
        # Labels whose link could not be made or removed yet.
        self._unshown: list[tuple[int, int | None]] = []

    def show(self, items: Iterable[int], before: Iterable[int | None] = ()) -> None:
        """Make class folders follow the database.

        Parameters
        ----------
        items : numbers of pictures whose label has changed
        before : class numbers that they had, None where none; by default they had none
        """
        items, before = list(items), list(before)
        before += [None] * (len(items) - len(before))
        # What is true is read under the lock that writers take: who comes last sees the last state.
        with self.database.writing:
            folders = self.classes.folders()
            todo, self._unshown = self._unshown + list(zip(items, before, strict=True)), []
            for item, old in todo:
                try:
                    self._show(item, old, folders)
                except OSError as error:  # the label is on the disk and must not look as if not
                    log.warning("picture %d is not in its class folder yet: %s", item, error)
                    self._unshown.append((item, old))

    def _show(self, item: int, old: int | None, folders: dict[int, str]) -> None:
        row = self.database.connection.execute(
            "SELECT sha256, name, label FROM items WHERE id = ?", (item,)
        ).fetchone()
        name = file_name(row["name"], item)
        if old is not None and old != row["label"]:
            self.files.unlink(row["sha256"], folders[old], name)
        if row["label"] is not None and self.files.picture(row["sha256"]).is_file():
            self.files.link(row["sha256"], folders[row["label"]], name)
