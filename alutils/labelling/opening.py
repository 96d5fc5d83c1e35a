"""How commands are told which project they are about."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from alutils.base import surfaces
from alutils.base.errors import ParameterError

if TYPE_CHECKING:
    from alutils.labelling.store.store import Store

OPTIONS = ("project",)
"""Options of all these commands that an error may advise."""

_MOST_WAIT_S = 30.0


def add_place(parser: argparse.ArgumentParser, *, required: bool = True, text: str = "") -> None:
    """Let a command take the folder of pictures, and the project's own where it lies elsewhere."""
    parser.add_argument(
        "folder", nargs=None if required else "?", type=Path, metavar="FOLDER",
        help=text or "of the pictures, as given to label; or the project's own",
    )  # fmt: skip
    parser.add_argument(
        "--project", type=Path, metavar="DIR",
        help="folder that the project is kept in, if not among the pictures",
    )  # fmt: skip
    parser.set_defaults(surface=surfaces.command(OPTIONS))


def place_of(options: argparse.Namespace) -> str:
    """Return how a command is told this project, to write it in a sentence."""
    folder = f"{options.folder}"
    return folder if options.project is None else f"{folder} --project {options.project}"


def check_begun(options: argparse.Namespace, also: str = "") -> None:
    """Raise ParameterError where nobody has labelled yet: opening it would begin a project."""
    from alutils.labelling.store import places

    if places.find(options.folder, options.project).is_new:
        way = f"begin with `python -m alutils label {place_of(options)}`{also}"
        raise ParameterError("FOLDER", options.folder, "holds no labels yet", way)


def take_in(store: Store) -> None:
    """Read what is new in the folder of pictures, and note what is gone; says what it does.

    A file that somebody is still writing is waited for, but not for ever.
    """
    from alutils.labelling.web.watch import SETTLED_S, Watcher

    watcher, last = Watcher(store), time.monotonic()
    while (n := watcher.look()) or watcher.settling:
        if n:
            last = time.monotonic()
            print(f"{n:,} files of the folder were read.", flush=True)
        elif time.monotonic() - last > _MOST_WAIT_S:
            print("Files that are still being written are left for the next time.", flush=True)
            return
        time.sleep(SETTLED_S)
