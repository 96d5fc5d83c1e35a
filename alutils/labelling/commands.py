"""The command ``python -m alutils label``."""

import argparse
from pathlib import Path
from typing import Any

from alutils.labelling.opening import add_place


def add_label(commands: Any) -> None:
    parser = commands.add_parser("label", help="label pictures in the browser, helped by a model")
    add_place(
        parser,
        required=False,
        text="of pictures, which stay as they are; all else is kept in FOLDER/labelling. Without "
        "one: a thousand digits and a model to begin with, to try it",
    )
    parser.add_argument("--model", type=Path, metavar="RUN", help="folder of a saved model, or run")
    parser.add_argument(
        "--features", metavar="NAME",
        help="what the model sees in a picture: vgg16-block3+4, lite0, lite0@128, pixels ...; "
        "chosen by the pictures, and again by the first 50, 100 and 200 labels",
    )  # fmt: skip
    parser.add_argument("--no-model", action="store_true", help="learn nothing; random order")
    parser.add_argument(
        "--classes", help="names, A,B,C or a file of one a line; those of the model"
    )
    parser.add_argument(
        "--threshold", type=float, default=0.6,
        help="confidence from which a single picture goes to its folder unasked (0.6)",
    )  # fmt: skip
    parser.add_argument(
        "--twice", type=float, metavar="SHARE",
        help="share of the pictures that is asked of two people, where two label (0.05 at first)",
    )  # fmt: skip
    parser.add_argument(
        "--guidelines", type=Path, metavar="FILE",
        help="Markdown that says what belongs to which class, shown beside the pictures "
        "(FOLDER/labelling/guidelines.md)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=8000, help="8000; 0 takes any that is free")
    parser.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen on; a wider one than 127.0.0.1 asks browsers for a token",
    )  # fmt: skip
    parser.add_argument(
        "--name", action="append", default=[], help="one more host name to answer to"
    )
    parser.add_argument(
        "--prefix", default="", metavar="PATH",
        help="path that a proxy puts before the tool's own, as /user/ann/proxy/8000; pages need "
        "none, but then cookies are sent to this tool alone",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser.add_argument(
        "--restore", nargs="?", const="", metavar="NUMBER",
        help="list the backups of FOLDER's labels; with the number of one, put it into the place "
        "of the labels, which are moved aside",
    )  # fmt: skip
    parser.set_defaults(call=label)


def label(options: argparse.Namespace) -> int:
    """Serve the labelling tool until it is interrupted."""
    if options.restore is not None:
        return _restore(options)
    from alutils.labelling.web import serve

    serve.run(
        serve.Options(
            folder=options.folder,
            project=options.project,
            model=options.model,
            classes=options.classes,
            host=options.host,
            port=options.port,
            names=tuple(options.name),
            threshold=options.threshold,
            learn=not options.no_model,
            features=options.features,
            twice=options.twice,
            guidelines=options.guidelines,
            prefix=options.prefix,
            open=options.open,
        )
    )
    return 0


def _restore(options: argparse.Namespace) -> int:
    """List the backups of a folder's labels, or take one of them."""
    from alutils.base.errors import ParameterError
    from alutils.labelling.store import places, restore

    folder, which = options.folder, options.restore
    if folder is None or not folder.is_dir():
        hint = f"write `label {which or 'FOLDER'} --restore`, and a number after it to take one"
        raise ParameterError("FOLDER", folder, "expected the folder of pictures", hint)
    place = places.find(folder, options.project)
    if which:
        print("\n".join(restore.restore(place, restore.chosen(place, which))))
    else:
        print("\n".join(restore.listed(place)))
    return 0
