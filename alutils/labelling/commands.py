"""The command ``python -m alutils label``."""

import argparse
from pathlib import Path
from typing import Any


def add_label(commands: Any) -> None:
    parser = commands.add_parser("label", help="label pictures in the browser, helped by a model")
    parser.add_argument(
        "folder", nargs="?", type=Path,
        help="of pictures, which stay as they are; all else is kept in FOLDER/labelling. Without "
        "one: a few hundred rendered letters, to try it",
    )  # fmt: skip
    parser.add_argument("--model", type=Path, metavar="RUN", help="folder of a saved model, or run")
    parser.add_argument("--no-model", action="store_true", help="learn nothing; random order")
    parser.add_argument(
        "--classes", help="names, A,B,C or a file of one a line; those of the model"
    )
    parser.add_argument(
        "--threshold", type=float, default=0.6,
        help="confidence from which a single picture goes to its folder unasked (0.6)",
    )  # fmt: skip
    parser.add_argument(
        "--audit",
        type=float,
        metavar="SHARE",
        help="share of new pictures that check the model, their prediction hidden (0.1 at first)",
    )
    parser.add_argument("--port", type=int, default=8000, help="8000; 0 takes any that is free")
    parser.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen on; a wider one than 127.0.0.1 asks browsers for a token",
    )  # fmt: skip
    parser.add_argument(
        "--name", action="append", default=[], help="one more host name to answer to"
    )
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser.set_defaults(call=label, hint="; every label is on the disk")


def label(options: argparse.Namespace) -> int:
    """Serve the labelling tool until it is interrupted."""
    from alutils.labelling.web import serve

    serve.run(
        serve.Options(
            folder=options.folder,
            model=options.model,
            classes=options.classes,
            host=options.host,
            port=options.port,
            names=tuple(options.name),
            threshold=options.threshold,
            audit=options.audit,
            learn=not options.no_model,
            open=options.open,
        )
    )
    return 0
