"""Labels that come in from files: checked first, then written in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alutils.data.class_names import read_names
from alutils.labelling.exchange.class_folders import read_folders
from alutils.labelling.exchange.matching import Change, Outcome, Present, many, match
from alutils.labelling.exchange.pictures import TABLE
from alutils.labelling.exchange.reading import Contents, read
from alutils.labelling.store import batches
from alutils.labelling.store.files import sha256_of
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.records import ConflictError, LabellingError
from alutils.labelling.store.store import Store

MOST_BYTES = 2**28  # of a file of labels
_NO_REASON = "rejected elsewhere"
_ATTEMPT = "an attempt to finish goes on, and its pictures are labelled in its order; "


@dataclass(frozen=True)
class Choices:
    """What is to be done with what does not simply fit.

    Attributes
    ----------
    add_classes : add the classes that the project does not have
    on_conflict : what becomes of two answers for one picture, as in
        `alutils.labelling.exchange.matching.match`
    leave_out : take the rest where lines cannot be taken; else nothing is written then
    """

    add_classes: bool = False
    on_conflict: str = "stop"
    leave_out: bool = False


class Import:
    """A file of labels, held against a project.

    Parameters
    ----------
    store : the project
    contents : what the file says
    name : of the file; people who are not named in it are called ``import: NAME``
    choices : what is to be done with what does not simply fit
    """

    def __init__(self, store: Store, contents: Contents, name: str, choices: Choices) -> None:
        self.store, self.contents, self.choices = store, contents, choices
        self.name, self.person = name, checked_person(f"import: {name}"[:100])

    def check(self) -> Outcome:
        """Find out what would be written; writes nothing."""
        return match(
            self.contents,
            present(self.store),
            [c.name for c in self.store.classes.all()],
            add_classes=self.choices.add_classes,
            on_conflict=self.choices.on_conflict,
            folder=str(self.store.folder.resolve()),
            originals=self.store.sources.originals(),
            refused=unread(self.store),
        )

    def write(self) -> Outcome:
        """Write all of it in one transaction.

        Raises
        ------
        LabellingError
            Where something cannot be taken and may not be left out; nothing is written then.
        ConflictError
            While an attempt to finish goes on: its pictures are labelled in its order.
        """
        database = self.store.database
        with database.transaction() as connection:
            if connection.execute("SELECT 1 FROM plans WHERE state = 'open'").fetchone():
                raise ConflictError(f"{_ATTEMPT}import before it or after it")
            outcome = self.check()
            if outcome.problems and not self.choices.leave_out:
                raise LabellingError(
                    f"{many(len(outcome.problems), 'line')} cannot be taken, so nothing was "
                    "written: "
                    + "; ".join(f"{kind} ({len(p):,})" for kind, p in outcome.kinds().items())
                    + ". Mend the file, add classes that are missing (--add-classes), or leave "
                    "these lines out (--leave-out)"
                )
            if outcome.changes and self.store.reader.position()[0]:
                database.back_up("before-import")
            self.store.classes.add_within(outcome.new_classes)
            doubts = self._new_doubts(outcome.doubts)
            if outcome.changes or doubts:
                self._write(outcome.changes, doubts)
        numbers = {c.name: c.number for c in self.store.classes.ever()}
        before = [numbers.get(c.present.label or "") for c in outcome.changes]
        self.store.folders.show([c.present.item for c in outcome.changes], before)
        return outcome

    def _write(self, changes: list[Change], doubts: list[tuple[int, int, str]]) -> None:
        """Write events and items, within a transaction."""
        numbers = {c.name: c.number for c in self.store.classes.all()}
        answers = [
            (
                change.present.item,
                _kind(change),
                None if change.said.label is None else numbers[change.said.label],
                change.said.person or self.person,
                (change.said.why or _NO_REASON) if change.said.label is None else None,
            )
            for change in changes
        ]
        database = self.store.database
        last = batches.write_import(database, database.connection, self.name, answers)
        for item, number, who in doubts:
            self.store.seconds.contradict(database.connection, item, number, who, last + 1)

    def _new_doubts(self, doubts: list[Change]) -> list[tuple[int, int, str]]:
        """Return picture, class and person of what was not said by an earlier import."""
        connection = self.store.database.connection
        numbers = {c.name: c.number for c in self.store.classes.all()}
        said = [
            (d.present.item, numbers[d.said.label or ""], d.said.person or self.person)
            for d in doubts
        ]
        said = list(dict.fromkeys(said))  # of several copies in one folder
        return [each for each in said if not self.store.seconds.has_said(connection, *each)]


def undo(store: Store, person: str) -> str:
    """Take the last import back: pictures get the answers that they had before.

    What somebody has changed since stays; so do classes that were added.

    Returns
    -------
    what was taken back, in words; '' if there is nothing

    Raises
    ------
    ConflictError
        While an attempt to finish goes on.
    """
    person, database = checked_person(person), store.database
    with database.transaction() as connection:
        if connection.execute("SELECT 1 FROM plans WHERE state = 'open'").fetchone():
            raise ConflictError(f"{_ATTEMPT}take it back before it or after it")
        imports = json.loads(database.setting(batches.IMPORTS, "[]"))
        if not imports:
            return ""
        batch, name = imports.pop()
        database.set_setting(batches.IMPORTS, json.dumps(imports))
        back = batches.take_back(database, connection, person, batch)
        store.seconds.take_back_batch(connection, batch)
    store.folders.show([item for item, _ in back], [before for _, before in back])
    return f"{name}: {many(len(back), 'answer')} taken back."


def _kind(change: Change) -> str:
    """Return the kind of event: a model's label stays one, whoever brings it."""
    if change.said.label is None:
        return "reject"
    return "auto" if change.said.automatic else "import"


def present(store: Store) -> list[Present]:
    """Return every picture of a project as it stands."""
    database = store.database
    with database.reading() as connection:
        paths: dict[int, list[str]] = {}
        for path, item in store.sources.paths().items():
            paths.setdefault(item, []).append(path)
        rows = connection.execute(
            """SELECT items.id, sha256, items.name, classes.name, label_source IS 'auto',
                rejected IS NOT NULL FROM items LEFT JOIN classes ON number = label
            ORDER BY items.id"""
        ).fetchall()
    return [
        Present(item, sha256, name, label, tuple(paths.get(item, ())), bool(auto), bool(rejected))
        for item, sha256, name, label, auto, rejected in rows
    ]


def unread(store: Store) -> dict[str, str]:
    """Return why the files that could not be read are no pictures of a project, by their paths.

    A path means the file that lies there: a picture of the same name in another folder is not it.
    """
    return {
        path: f"this file of the folder could not be read ({problem})"
        for path, problem in store.sources.refused().items()
        if (store.folder / path).is_file()
    }


def from_path(
    store: Store, path: Path, choices: Choices, decoded_hash: Callable[[Path], str]
) -> Import:
    """Read a file of labels, or class folders.

    Parameters
    ----------
    store : the project
    path : of the file or folder
    choices : as for `Import`
    decoded_hash : decodes a picture's file; returns the hash that the project would keep it under,
        '' if it is no picture

    Raises
    ------
    LabellingError
        If there is no such file, or one that cannot be read.
    """
    if path.is_dir():
        by_hash = {picture.sha256 for picture in present(store)}

        def kept_hash(file: Path) -> str:
            sha256 = sha256_of(file)  # what the project wrote itself needs no decoding
            return sha256 if sha256 in by_hash else decoded_hash(file)

        return Import(store, read_folders(path, kept_hash, _names(store, path)), path.name, choices)
    if not path.is_file():
        raise LabellingError(f"{path}: no such file; expected labels as CSV or JSON, or a folder")
    if path.stat().st_size > MOST_BYTES:
        raise LabellingError(
            f"{path}: {path.stat().st_size / 2**20:,.0f} MiB; expected at most "
            f"{MOST_BYTES // 2**20}: is it a file of labels?"
        )
    return from_bytes(store, path.read_bytes(), path.name, choices)


def _names(store: Store, path: Path) -> dict[str, str]:
    """Return the true names of classes by folders: as they are kept there, else the project's."""
    told = read_names(path)
    if told or (path / TABLE).is_file():  # an export keeps all that are not the folders' own
        return told
    names = {c.folder: c.name for c in store.classes.all()}
    return {folder: name for folder, name in names.items() if folder not in names.values()}


def from_bytes(store: Store, data: bytes, name: str, choices: Choices) -> Import:
    """Read a file of labels that was sent; raises as `from_path`."""
    return Import(store, read(data, name), name, choices)
