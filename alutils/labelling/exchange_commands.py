"""The commands ``python -m alutils import``, ``export`` and ``backup``."""

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from alutils.labelling.opening import add_place, check_begun, take_in


def add_import(commands: Any) -> None:
    parser = commands.add_parser("import", help="take labels from a file into a project")
    add_place(parser)
    parser.add_argument(
        "labels", type=Path, nargs="?",
        help="CSV or JSON lines (path, name or sha256, and label), Label Studio's JSON of single "
        "choices, or a folder of class folders",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what it would do; no label")
    parser.add_argument("--add-classes", action="store_true", help="add classes that are new")
    parser.add_argument(
        "--on-conflict", choices=("stop", "keep", "replace"), default="stop",
        help="where a picture has another answer: write nothing (stop), leave it as it is (keep), "
        "or take the file's (replace)",
    )  # fmt: skip
    parser.add_argument(
        "--leave-out", action="store_true", help="pass over lines that cannot be taken"
    )
    parser.add_argument(
        "--undo", action="store_true", help="take the last import back; without LABELS"
    )
    parser.set_defaults(call=import_labels, hint="; nothing is half-written")


def import_labels(options: argparse.Namespace) -> int:
    """Check a file of labels, and write it unless this is a dry run."""
    from alutils.base.errors import ParameterError
    from alutils.labelling.exchange.importing import Choices, from_path, undo
    from alutils.labelling.store.store import Store
    from alutils.labelling.web.decoders import Decoders

    if not options.folder.is_dir():
        raise ParameterError("FOLDER", options.folder, "no such folder of pictures")
    if options.undo == (options.labels is not None):
        raise ParameterError("LABELS", options.labels, "expected a file, or --undo without one")
    if options.undo:
        check_begun(options)
        with Store.open(options.folder, project=options.project, alone=False) as store:
            print(undo(store, "command line") or "Nothing left to take back.")
        return 0
    choices = Choices(options.add_classes, options.on_conflict, options.leave_out)
    with (
        Store.open(options.folder, project=options.project, alone=False) as store,
        closing(Decoders(1)) as decoders,
    ):
        take_in(store)
        coming = from_path(store, options.labels, choices, decoders.decoded_hash)
        outcome = coming.check()
        print("\n".join(outcome.lines()), flush=True)
        if options.dry_run:
            if outcome.problems and not choices.leave_out:
                print(
                    "As it is, nothing would be written. Mend the file; or see --add-classes, "
                    "--on-conflict and --leave-out."
                )
            print("This was a dry run: no label was written.")
            return 0
        coming.write()
        print("Written.")
    return 0


def add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="write a project's labels for other programs")
    add_place(parser)
    parser.add_argument(
        "--to", required=True, choices=("csv", "jsonl", "npz", "folders", "hf", "coco"),
        help="tables; arrays; class folders; Hugging Face's image folder; COCO",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, help="file (csv, jsonl, npz) or folder to write"
    )
    parser.add_argument("--size", metavar="HxW", help="of the pictures in an npz file: 28x28")
    parser.add_argument("--overwrite", action="store_true", help="an older export there may go")
    parser.set_defaults(call=export_labels, hint="; nothing is half-written")


def export_labels(options: argparse.Namespace) -> int:
    """Write the labels."""
    from alutils.labelling.exchange.exporting import export
    from alutils.labelling.store.store import Store

    size = None if options.size is None else _size(options.size)
    check_begun(options)
    with Store.open(options.folder, project=options.project, alone=False) as store:
        if store.folder.is_dir():  # else the pictures' paths are those that were seen last
            take_in(store)
        done = export(store, options.to, options.out, size=size, overwrite=options.overwrite)
    print("\n".join(done.lines))
    return 0


def add_backup(commands: Any) -> None:
    parser = commands.add_parser("backup", help="copy a project; the copy is a project itself")
    add_place(parser)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="an older backup there may go")
    parser.set_defaults(call=back_up, hint="; nothing is half-written")


def back_up(options: argparse.Namespace) -> int:
    """Copy the project as it is now."""
    from alutils.labelling.exchange.backup import backup
    from alutils.labelling.store.store import Store

    check_begun(options)
    with Store.open(options.folder, project=options.project, alone=False) as store:
        done = backup(store, options.out, overwrite=options.overwrite)
    print("\n".join(done.lines))
    return 0


def _size(text: str) -> tuple[int, int]:
    from alutils.base.errors import ParameterError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ParameterError("--size", text, "expected height x width in pixels", "28x28, say")
    return int(parts[0]), int(parts[1])
