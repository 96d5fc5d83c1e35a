"""Labels that class folders show and no database knows: read back as imported ones, never removed.

The database may be a new one, of another project or an older copy, while the class folders are of
yesterday. Then they are the last trace of what people said.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from alutils.base.names import safe
from alutils.labelling.store.batches import Answer, write_import
from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database
from alutils.labelling.store.names import checked_name
from alutils.labelling.store.records import LabellingError

PERSON = "import: class folders"


class History:
    """Which links a database explains: to pictures that had, at some time, the class of the folder.

    Parameters
    ----------
    connection : to the database, perhaps of another project or of older tables
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._folders: dict[int, set[str]] = {}
        for number, folder in connection.execute("SELECT number, folder FROM classes"):
            self._folders.setdefault(number, set()).add(folder)
        rows = connection.execute("SELECT class, detail FROM class_events WHERE kind = 'rename'")
        for number, text in rows:
            detail = json.loads(text)
            before = detail.get("folder") or safe(detail["before"], "class")
            self._folders.setdefault(number, set()).add(before)

    def explains(self, sha256: str, folder: str) -> bool:
        """Tell whether this picture has ever had a class whose folder had this name."""
        rows = self._connection.execute(
            """SELECT DISTINCT events.label FROM items JOIN events ON events.item = items.id
            WHERE items.sha256 = ? AND events.label IS NOT NULL""",
            (sha256,),
        )
        return any(folder in self._folders.get(number, ()) for (number,) in rows)


def class_folder(path: Path, classes: Path) -> str:
    """Return the folder that says which class a file is of; '' for one beside the folders."""
    parts = path.relative_to(classes).parts
    return parts[0] if len(parts) > 1 else ""


def read_back(
    database: Database, classes: Classes, shown: Mapping[str, set[str]], names: Mapping[str, str]
) -> dict[str, str] | None:
    """Give pictures without an answer the class whose folder they are in, as one import.

    Parameters
    ----------
    shown : names of the class folders that pictures are in, by their hashes
    names : of classes by their folders, as they are kept beside these

    Returns
    -------
    what was given: names of folders by hashes; None while an attempt to finish goes on, whose
    pictures are labelled in its order
    """
    given: dict[str, str] = {}
    with database.transaction() as connection:
        if connection.execute("SELECT 1 FROM plans WHERE state = 'open'").fetchone():
            return None
        answers: list[Answer] = []
        numbers: dict[str, int | None] = {}
        for sha256, folders in shown.items():
            row = connection.execute(
                "SELECT id FROM items WHERE sha256 = ? AND label IS NULL AND rejected IS NULL",
                (sha256,),
            ).fetchone()
            if row is None or len(folders) != 1:
                continue
            (folder,) = folders
            if folder not in numbers:
                numbers[folder] = _class_of(classes, folder, names)
            if (number := numbers[folder]) is not None:
                answers.append((row["id"], "import", number, PERSON, None))
                given[sha256] = folder
        if answers:
            write_import(database, connection, "class folders", answers)
    return given


def _class_of(classes: Classes, folder: str, names: Mapping[str, str]) -> int | None:
    """Return the number of the class that a folder is of; one that is not there is added.

    None where the folder's name can be no class's.
    """
    known = {each.folder: each.name for each in classes.ever()}
    try:
        name = checked_name(known.get(folder) or names.get(folder) or folder)
        (added,) = classes.add_within([name])
    except LabellingError:
        return None
    return added.number
