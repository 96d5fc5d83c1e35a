"""The command line: ``python -m alutils COMMAND``.

Exit status: 0, all is well; 1, a published number that is claimed as exact was missed, cells of a
sweep failed, some pictures could not be read, an attempt to finish was refused, or a certificate
does not hold; 2, an error, explained in one line; 130, interrupted.

Each room has its commands in a module ``commands`` (``models`` also in ``train_command``,
``labelling`` in ``exchange_commands`` and ``finish.commands``); what a command needs is imported
when it runs.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from alutils.base import surfaces
from alutils.base.any_order import AnyOrder
from alutils.data.commands import add_data
from alutils.labelling.commands import add_label
from alutils.labelling.exchange_commands import add_backup, add_export, add_import
from alutils.labelling.finish.commands import add_finish, add_verify
from alutils.models.commands import add_predict
from alutils.models.train_command import add_train
from alutils.runs.commands import add_reference, add_reproduce, add_run, add_sweep, joined
from alutils.runs.comparing import add_compare

COMMANDS = (
    add_run,
    add_sweep,
    add_compare,
    add_data,
    add_reproduce,
    add_reference,
    add_label,
    add_import,
    add_export,
    add_backup,
    add_finish,
    add_verify,
    add_train,
    add_predict,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, return the exit status."""
    parser = AnyOrder(prog="python -m alutils", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(joined(sys.argv[1:] if arguments is None else arguments))
    with surfaces.speaking(getattr(options, "surface", surfaces.command())):
        return _call(options)


def _call(options: argparse.Namespace) -> int:
    """Run a command; errors that a person can mend are told in one line."""
    try:
        status = options.call(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"interrupted{getattr(options, 'hint', '')}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `compare ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # Errors of the domain are defined in this package; anything else is a fault of the program.
        if not (isinstance(error, OSError) or type(error).__module__.startswith("alutils.")):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
