"""The command ``python -m alutils predict``: label pictures with a saved model."""

import argparse
import sys
from typing import Any

from alutils.base import surfaces
from alutils.base.files import display_path, path_argument
from alutils.base.names import printable
from alutils.models.prediction import CONVERSIONS

_WHAT = """Label pictures with a saved model, without a browser.

Each picture becomes a row of OUT: path, class, confidence, model (its SHA-256), problem. A command
that was stopped is gone on with by the same command; the table is the same, byte for byte, as if
it had not been stopped. OUT.json says what the table was made from."""

_AFTER = """conversions:
{conversions}
exit status: 0, every picture was read; 1, some could not be read (their rows say why), all others
are done; 2, an error, explained in one line; 130, interrupted.

examples:
  python -m alutils predict scans --model results/runs/ID --out labels.csv
  python -m alutils predict scans --model model --out labels.csv --min-confidence 0.9 \\
      --copy-to sorted"""


def add_predict(commands: Any) -> None:
    shown = "".join(f"  {name:20} {text}\n" for name, text in CONVERSIONS.items())
    parser = commands.add_parser(
        "predict", help="label pictures with a saved model, without a browser",
        description=_WHAT, epilog=_AFTER.format(conversions=shown),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "pictures", type=path_argument, metavar="PICTURES",
        help="a folder of pictures, with the folders inside it; a picture; an npz file with "
        "images; a CSV of letters",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=path_argument, required=True, metavar="RUN_OR_FILE",
        help="the folder of a saved model, of a run that saved one, or of a labelling project",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=path_argument, required=True, metavar="OUT", help="the table to write, a .csv"
    )
    parser.add_argument(
        "--min-confidence", type=float, default=0.0, metavar="T",
        help="a picture whose confidence is below T (0 to 1) gets no class: its cell stays empty",
    )  # fmt: skip
    parser.add_argument(
        "--copy-to",
        type=path_argument,
        metavar="FOLDER",
        help="also copy each picture that has a class to FOLDER/CLASS; FOLDER must be new or empty",
    )
    parser.add_argument(
        "--convert", action="append", default=[], choices=CONVERSIONS, metavar="HOW",
        help="what to do where the model has not seen such pictures (below); may be given twice. "
        "Without it, such pictures stop the command before any work",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="begin anew, whatever OUT was made from before"
    )
    hint = "; the same command goes on where this one ended"
    parser.set_defaults(call=predict, hint=hint, surface=surfaces.command(surfaces.PREDICTING))


def predict(options: argparse.Namespace) -> int:
    """Label pictures; the last line of stdout is the table's path."""
    from alutils.models.prediction.run import Options, label_pictures

    summary = label_pictures(
        options.pictures, options.model, options.out,
        Options(
            min_confidence=options.min_confidence,
            convert=tuple(options.convert),
            copy_to=options.copy_to,
            overwrite=options.overwrite,
        ),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    for name, n in summary.by_class.items():
        if n:
            print(f"{printable(name):>12} {n:>9,}")
    print(summary)
    print(display_path(summary.path))
    return 1 if summary.problems else 0
