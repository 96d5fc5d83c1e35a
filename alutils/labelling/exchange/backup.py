"""A copy of a whole project, which is a project itself: open it, or put it back in its place."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alutils.base.files import display_path
from alutils.base.project_folder import DATABASE, MARK, NAME
from alutils.labelling.exchange.exporting import (
    Exported,
    check_place,
    write_folder,
)
from alutils.labelling.exchange.pictures import Entry
from alutils.labelling.store.backups import copy_database
from alutils.labelling.store.files import sha256_of
from alutils.labelling.store.guidelines import NAME as GUIDELINES
from alutils.labelling.store.store import Store


@contextmanager
def files_of(store: Store, damaged: list[str]) -> Iterator[Iterator[Entry]]:
    """Give the files of a backup: the database as it is now, guidelines, and every picture.

    Models are left out: they are trained again from the labels. The names of pictures whose file is
    missing or damaged are put into ``damaged`` as they come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / DATABASE
        copy_database(store.database.connection, copy)
        with closing(sqlite3.connect(copy)) as connection:
            rows = connection.execute("SELECT sha256, name FROM items ORDER BY id").fetchall()
        yield _entries(store, copy, rows, damaged)


def _entries(
    store: Store, database: Path, rows: list[tuple[str, str]], damaged: list[str]
) -> Iterator[Entry]:
    yield f"{NAME}/{MARK}", b'{"made_by": "alutils backup"}\n'  # wherever its pictures may be
    yield f"{NAME}/{DATABASE}", database
    if store.guidelines.path.is_file():
        yield f"{NAME}/{GUIDELINES}", store.guidelines.path
    for sha256, name in rows:
        path = store.files.picture(sha256)
        if path.is_file() and sha256_of(path) == sha256:
            yield f"{NAME}/{path.relative_to(store.files.root).as_posix()}", path
        else:
            damaged.append(name)


def backup(store: Store, out: Path, *, overwrite: bool = False) -> Exported:
    """Copy the project into a folder, while people go on labelling.

    Parameters
    ----------
    out : a folder that becomes a project; to put it back, its ``labelling`` goes into the place of
        the old one
    overwrite : an older backup there may go

    Raises
    ------
    LabellingError
        If there is something at ``out`` that may not go.
    """
    check_place(store, out, overwrite, is_folder=True)
    damaged: list[str] = []
    with files_of(store, damaged) as entries:
        write_folder(out, entries, {"made_by": "alutils backup", "project": store.project_id})
    lines = [f"{display_path(out)}: the project as it is now; open it with `label {out.name}`."]
    if damaged:
        shown = ", ".join(damaged[:5]) + (", ..." if len(damaged) > 5 else "")
        lines.append(
            f"{len(damaged):,} pictures are missing or damaged and not in it: {shown}. Bring them "
            "again; their labels are kept."
        )
    return Exported(out, tuple(lines))
