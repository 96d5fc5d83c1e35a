"""``python -m alutils label``: the labelling tool on this machine, until it is interrupted."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alutils.base.errors import ParameterError
from alutils.base.project_folder import NAME, is_project
from alutils.labelling.model.backbone import checked
from alutils.labelling.model.loop import LabellingLoop, classes_of
from alutils.labelling.model.settings import Learning
from alutils.labelling.store import places, restore
from alutils.labelling.store.keeper import Keeper
from alutils.labelling.store.store import Store
from alutils.labelling.web.addresses import checked_host, checked_prefix
from alutils.labelling.web.app import create_app
from alutils.labelling.web.decoders import MOST_WAITING, Decoders
from alutils.labelling.web.demo import make_demo
from alutils.labelling.web.refusals import MOST_BODY
from alutils.labelling.web.security import access, is_loopback, project_secret
from alutils.labelling.web.watch import Watcher

THREADS = MOST_WAITING + 8
"""Of the web server: each open browser keeps one or two busy for milliseconds, who brings pictures
for longer."""
_SWITCH_S = 0.0005
"""How long a thread of Python computes while others wait, at most. With Python's usual ten times as
long, an answer waits for the training of the quick learner again and again."""


@dataclass(frozen=True)
class Options:
    """What the command line says; see ``python -m alutils label --help``."""

    folder: Path | None = None
    project: Path | None = None
    model: Path | None = None
    classes: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    threshold: float = 0.6
    learn: bool = True
    features: str | None = None
    twice: float | None = None
    guidelines: Path | None = None
    prefix: str = ""
    open: bool = False


def run(options: Options) -> None:
    """Serve until interrupted, then end in order."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serving(options) as (url, server):
        print(f"Labelling at {url}", flush=True)
        print("Ctrl+C ends it.", flush=True)
        if options.open:
            threading.Timer(0.5, webbrowser.open, [url]).start()
        server.run()  # returns when it is interrupted
    print("Ended; every label is on the disk.", flush=True)


@contextmanager
def serving(options: Options) -> Iterator[tuple[str, Any]]:
    """Open the project, start the model and the watched folder, and listen; ends all of them.

    Yields
    ------
    the address, the server

    Raises
    ------
    ParameterError, LabellingError
        For options that cannot be, a project that cannot be opened, and at the end where not every
        label is on the disk.
    """
    from alutils.labelling.web.server import create_server  # here: waitress takes a while

    _check(options)
    features = None if options.features is None else checked(options.features)
    is_loopback(options.host)  # is there such a host? before anything is written
    folder, model = options.folder, options.model
    classes = read_classes(options.classes)
    _check_folder(options)
    if model is not None:  # is there one? before anything is written
        of_model = list(classes_of(model))
        classes = classes or of_model
    if folder is None:
        print("The demonstration is being made ready ...", flush=True)
        demo = make_demo()
        if demo.model is None:
            print("It begins without a model: VGG16's weights cannot be had here.", flush=True)
        folder, classes = demo.folder, classes or list(demo.classes)
        model = model or demo.model
    opened = Store.open(
        folder, classes, project=options.project, twice=options.twice,
        guidelines=options.guidelines,
    )  # fmt: skip
    with opened as store:
        _mend_and_tell(store)
        keeper = Keeper(store)
        who = access(options.host, project_secret(store.files.root), options.names)
        decoders = Decoders()
        watcher = Watcher(store, decoders=decoders)
        learning = Learning(features=features)
        loop = LabellingLoop(store, learning, model) if options.learn else None
        more = {"folder": watcher.status}
        app = create_app(
            store, loop, access=who, threshold=options.threshold, more=more, decoders=decoders,
            first_steps=True, prefix=checked_prefix(options.prefix),
        )  # fmt: skip
        try:
            server = create_server(
                app, host=options.host, port=options.port, threads=THREADS, ident=None,
                max_request_body_size=MOST_BODY,
            )  # fmt: skip
        except OSError as error:
            raise ParameterError(
                "--port", options.port, f"cannot be listened on ({error.strerror})",
                "choose another, or 0 for any that is free",
            ) from error  # fmt: skip
        with ExitStack() as started:
            started.callback(keeper.end)
            started.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(_SWITCH_S)
            started.callback(decoders.close)
            started.callback(server.task_dispatcher.shutdown)
            started.callback(server.close)
            for worker in (keeper, loop, watcher):
                if worker is not None:
                    worker.start()
                    started.callback(worker.stop)
            yield _url(server, options, who.token), server


def _mend_and_tell(store: Store) -> None:
    """Say what the project holds, mend it, and say what had to be mended."""
    print("\n".join([_told(store), *restore.mend_at_start(store)]), flush=True)


def _told(store: Store) -> str:
    """Say what was opened: the pictures, how many there are, and where the project is."""
    now = store.reader.progress()
    counts = f"{now.total:,} pictures, {now.human + now.auto:,} labelled"
    if not now.total:
        counts = "a new project; the folder's pictures are taken in while you label"
    folder, root = store.folder.resolve(), store.files.root.resolve()
    where = "" if root == folder / NAME else f"; the project is in {root}"
    return f"{folder}: {counts}{where}"


def _check_folder(options: Options) -> None:
    """Refuse a folder of pictures that is not there, before anything is written."""
    given = options.folder
    if given is None:
        if options.project is None:
            return
        raise ParameterError(
            "--project", options.project, "is given without a folder of pictures",
            f"give both, or label {options.project} if it is a project",
        )  # fmt: skip
    folder = places.find(given, options.project).folder
    if not folder.is_dir():
        way = "make it, and put pictures into it"
        if is_project(given):
            way = f"if the pictures are elsewhere now: label PICTURES --project {given}"
        raise ParameterError("FOLDER", folder, "no such folder", way)


def _check(options: Options) -> None:
    """Refuse options that cannot be, before anything is written."""
    checked_prefix(options.prefix)
    for name in options.names:
        checked_host(name)
    if not 0 <= options.threshold <= 1:
        raise ParameterError("--threshold", options.threshold, "expected 0 to 1")
    if options.twice is not None and not 0 <= options.twice <= 1:
        raise ParameterError("--twice", options.twice, "expected a share from 0 to 1")
    if not 0 <= options.port <= 65535:
        raise ParameterError("--port", options.port, "expected 0 (any that is free) to 65535")
    if options.guidelines is not None and not options.guidelines.is_file():
        raise ParameterError(
            "--guidelines", options.guidelines, "no such file", "write it in Markdown"
        )


def _url(server: Any, options: Options, token: str | None) -> str:
    host = shown = options.host
    if host in ("0.0.0.0", "::", ""):
        shown = socket.gethostname()
    shown = f"[{shown}]" if ":" in shown else shown
    # several addresses, several servers: they share the port that was asked for
    port = getattr(server, "effective_port", None) or server.effective_listen[0][1]
    return f"http://{shown}:{port}{checked_prefix(options.prefix)}/" + (
        f"?token={token}" if token else ""
    )


def read_classes(given: str | None) -> list[str]:
    """Read names of classes: a file with one a line, or names with commas between."""
    if given is None:
        return []
    path, names = Path(given), given.split(",")
    if path.is_file():
        try:
            names = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ParameterError("--classes", given, "expected a text file in UTF-8") from error
    elif path.suffix == ".txt" or len(path.parts) > 1:
        raise ParameterError("--classes", given, "no such file", "names go with commas between")
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise ParameterError("--classes", given, "expected names: A,B,C or a file of one a line")
    return names
