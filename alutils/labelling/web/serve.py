"""``python -m alutils label``: the labelling tool on this machine, until it is interrupted."""

from __future__ import annotations

import signal
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from alutils.base.errors import ParameterError
from alutils.base.files import atomic_file
from alutils.labelling.model.learner import classes_of
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.files import FOLDER
from alutils.labelling.store.store import Store
from alutils.labelling.web.app import DECODERS, MOST_BODY, create_app
from alutils.labelling.web.security import access, is_loopback, project_secret
from alutils.labelling.web.watch import Watcher

THREADS = 8  # of the web server: each open browser keeps one or two busy for milliseconds
DEMO_PICTURES = 400


@dataclass(frozen=True)
class Options:
    """What the command line says; see ``python -m alutils label --help``."""

    folder: Path | None = None
    model: Path | None = None
    classes: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    threshold: float = 0.6
    audit: float | None = None
    learn: bool = True
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
        For options that cannot be, and a project that cannot be opened.
    """
    from waitress import create_server

    if not 0 <= options.threshold <= 1:
        raise ParameterError("--threshold", options.threshold, "expected 0 to 1")
    if not 0 <= options.port <= 65535:
        raise ParameterError("--port", options.port, "expected 0 (any that is free) to 65535")
    is_loopback(options.host)  # is there such a host? before anything is written
    folder, classes = options.folder, read_classes(options.classes)
    if folder is not None and not folder.is_dir():
        raise ParameterError(
            "FOLDER", folder, "no such folder", "make it, and put pictures into it"
        )
    if options.model is not None:  # is there one? before anything is written
        of_model = list(classes_of(options.model))
        classes = classes or of_model
    if folder is None:
        folder, classes = make_demo(), classes or [chr(65 + i) for i in range(26)]
    with Store.open(folder, classes, audit_share=options.audit) as store:
        now = store.reader.progress()
        counts = f"{now.total:,} pictures, {now.human + now.auto:,} labelled"
        print(f"{store.folder.resolve()}: {counts}", flush=True)
        store.reconcile()
        who = access(options.host, project_secret(store.folder / FOLDER), options.names)
        decoders = threading.Semaphore(DECODERS)
        watcher = Watcher(store, decoders=decoders)
        loop = LabellingLoop(store, model_folder=options.model) if options.learn else None
        more = {"folder": watcher.status}
        app = create_app(
            store, loop, access=who, threshold=options.threshold, more=more, decoders=decoders
        )
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
            started.callback(server.task_dispatcher.shutdown)
            started.callback(server.close)
            for worker in (loop, watcher):
                if worker is not None:
                    worker.start()
                    started.callback(worker.stop)
            yield _url(server, options.host, who.token), server


def _url(server: Any, host: str, token: str | None) -> str:
    shown = host
    if host in ("0.0.0.0", "::", ""):
        shown = socket.gethostname()
    shown = f"[{shown}]" if ":" in shown else shown
    # several addresses, several servers: they share the port that was asked for
    port = getattr(server, "effective_port", None) or server.effective_listen[0][1]
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


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


def make_demo(folder: Path | None = None, n: int = DEMO_PICTURES) -> Path:
    """Write n rendered letters to label, where they are not there yet; by default in the cache."""
    from alutils.base.artefacts import cache_folder
    from alutils.data.rendering import rendered_dataset

    folder = folder or cache_folder() / "label_demo"
    if len(list(folder.glob("letter-*.png"))) >= n:
        return folder
    letters = rendered_dataset(n, 0, at_least=5)
    order = np.random.default_rng(0).permutation(n)  # names must not tell classes
    for number, i in enumerate(order):
        with atomic_file(folder / f"letter-{number:04d}.png") as file:
            Image.fromarray(letters.images[i]).save(file, "PNG")
    return folder
