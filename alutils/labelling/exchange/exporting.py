"""Labels that go out: a file, a folder or an archive, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alutils.base import locks
from alutils.base.files import display_path, write_atomically
from alutils.base.project_folder import CERTIFICATES
from alutils.labelling.exchange import arrays, pictures, tables
from alutils.labelling.exchange.pictures import Entry
from alutils.labelling.finish import certificates, records
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

Size = tuple[int, int]
FILES = ("csv", "jsonl", "npz")
FOLDERS: dict[str, Callable[[Store], Iterator[Entry]]] = {
    "folders": pictures.class_folders,
    "hf": pictures.hugging_face,
    "coco": pictures.coco,
}
KINDS = (*FILES, *FOLDERS)
MARK = ".alutils.json"
"""In every folder that is written here. Only such a folder is ever written over: it is no person's.
"""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    lines: tuple[str, ...]  # what to say of it


def export(
    store: Store, kind: str, out: Path, *, size: Size | None = None, overwrite: bool = False
) -> Exported:
    """Write the labels, and the certificates that there are.

    Parameters
    ----------
    kind : one of `KINDS`
    out : a file for the `FILES`, a folder for the others; certificates lie beside or in it
    size : of the pictures in an npz file, as for `alutils.labelling.exchange.arrays.write_dataset`
    overwrite : what is there may go; of a folder, only if it is an export itself

    Raises
    ------
    LabellingError
        If there is something at ``out`` that may not go, or nothing to write.
    """
    if kind not in KINDS:
        raise LabellingError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")
    if size is not None and kind != "npz":
        raise LabellingError(f"size={size}: is for npz files; {kind} has each picture in its size")
    if kind in FOLDERS:
        entries = list(files_of(store, kind))
        check_place(store, out, overwrite, is_folder=True)
        about = {"made_by": "alutils export", "kind": kind, "project": store.project_id}
        write_folder(out, entries, about)
        return Exported(out, (f"{display_path(out)}: {len(entries):,} files.",))
    folder = out.with_name(f"{out.stem}.{CERTIFICATES}")
    beside = {folder / name: content for name, content in certificate_files(store)}
    for path in (out, *beside):
        check_place(store, path, overwrite, is_folder=False)
    note = ""
    if kind == "npz":
        note = arrays.write_dataset(store, out, size=size)
    else:
        write = {"csv": tables.write_csv, "jsonl": tables.write_json_lines}[kind]
        write(store, out)
    for path, content in beside.items():
        write_atomically(path, content)
    told = [f"{display_path(path)} is written." for path in (out, *([folder] if beside else []))]
    return Exported(out, (*told, *([note] if note else [])))


def files_of(store: Store, kind: str) -> Iterator[Entry]:
    """Yield the files of a format of folders; LabellingError where nothing is labelled."""
    progress = store.reader.progress()
    if not progress.human + progress.auto:
        raise LabellingError("no picture has a label yet: label some, then export")
    yield from FOLDERS[kind](store)
    # Beside class folders it is hidden: it would be a class.
    folder = f".{CERTIFICATES}" if kind == "folders" else CERTIFICATES
    for name, content in certificate_files(store):
        yield f"{folder}/{name}", content


def certificate_files(store: Store) -> list[tuple[str, bytes]]:
    """Return the project's certificates as files, for programs and for people: names, contents."""
    found = []
    for plan in store.plans.certified():
        whole = records.whole(store, plan)
        found.append((f"{plan.number}.json", certificates.as_json(whole).encode()))
        found.append((f"{plan.number}.html", certificates.as_page(whole).encode()))
    return found


def check_place(store: Store, out: Path, overwrite: bool, *, is_folder: bool) -> None:
    """Raise LabellingError if this is no place to write to."""
    if out.resolve().is_relative_to(store.files.root.resolve()):
        raise LabellingError(
            f"{out}: lies in the tool's own folder {store.files.root.name!r}; choose a place "
            "outside it"
        )
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise LabellingError(
            f"{out}: is there already; choose another name, or write over it with --overwrite"
        )
    if is_folder and not (out / MARK).is_file():
        raise LabellingError(
            f"{out}: was not written by this command, so it is not written over; choose another "
            "name, or move it away"
        )
    if not is_folder and out.is_dir():
        raise LabellingError(f"{out}: is a folder; expected the name of a file")


def write_folder(out: Path, entries: Iterable[Entry], about: Mapping[str, str]) -> None:
    """Write files into a folder that appears whole, in the place of one that may be there.

    Until then they lie in a hidden folder beside it; what an interrupted call left there goes.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial, old = (out.with_name(f".{out.name}.{word}") for word in ("partial", "old"))
    with _alone(out.with_name(f".{out.name}.lock")):
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir()
        try:
            for name, content in entries:
                path = partial.joinpath(*name.split("/"))
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    shutil.copyfile(content, path)
            (partial / MARK).write_text(json.dumps(dict(about)) + "\n", encoding="utf-8")
            if hasattr(os, "sync"):  # all at once: file by file it would take minutes
                os.sync()
            if out.exists():
                out.rename(old)
            partial.rename(out)
        except BaseException:
            if old.exists() and not out.exists():
                old.rename(out)
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)


def project_of(folder: Path) -> str:
    """Return the id of the project that a folder was exported from, '' where it says none."""
    return str(_about(folder).get("project", ""))


def kind_of(folder: Path) -> str:
    """Return the format of `FOLDERS` that a folder was exported in, '' where it says none."""
    return str(_about(folder).get("kind", ""))


def _about(folder: Path) -> dict[str, object]:
    """Return what the mark in a folder says; nothing where there is none, or a damaged one."""
    try:
        about = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def write_archive(out: Path, entries: Iterable[Entry]) -> None:
    """Write files into a ZIP archive; pictures are packed as they are."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            if isinstance(content, bytes):
                archive.writestr(name, content)
            else:
                archive.write(content, name)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let nobody else write to the same place meanwhile."""
    try:
        lock = locks.hold(path)
    except locks.HeldError:
        raise LabellingError(
            f"{path.parent}: another export is writing there; wait until it is done"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
