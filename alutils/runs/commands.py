"""The commands ``run``, ``reproduce``, ``reference`` and ``sweep`` of ``python -m alutils``.

What a command needs is imported when it runs, so that ``--help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from alutils.base import lifeline
from alutils.base.errors import ParameterError
from alutils.base.files import display_path, path_argument
from alutils.runs import comparing
from alutils.runs.notebook.names import NOTEBOOKS, experiment_of


def joined(arguments: Sequence[str]) -> list[str]:
    """Turn ``-p NAME VALUE`` into ``-p NAME=VALUE``, so that argparse takes either."""
    given, out = list(arguments), []
    while given:
        out.append(given.pop(0))
        if out[-1] in ("-p", "--parameter") and len(given) > 1 and "=" not in given[0]:
            out.append(f"{given.pop(0)}={given.pop(0)}")
    return out


def _add_parameters(parser: argparse.ArgumentParser, of_what: str) -> None:
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
        help=f"set a parameter, also as -p NAME VALUE; it replaces the value {of_what}",
    )  # fmt: skip


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    """Return the parameters that were set, by name."""
    values = {}
    for text in options.parameter:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ParameterError("-p", text, "expected NAME=VALUE", "such as -p seed=3")
        values[name] = value
    return values


def add_run(commands: Any) -> None:
    text = "run a notebook without Jupyter, in a folder of its own"
    parser = commands.add_parser("run", help=text, description=text, add_help=False)
    names = ", ".join(f"{NOTEBOOKS[name][:2]} {name}" for name in NOTEBOOKS)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help=f"a notebook by name, number or path: {names}"
    )
    parser.add_argument(
        "-h", "--help", action="store_true", help="show this, and with NAME its parameters"
    )
    parser.add_argument(
        "--profile", default="quick", help="parameters to start from: quick (the default) or full"
    )
    _add_parameters(parser, "of the profile and of FILE")
    parser.add_argument(
        "-f",
        "--file",
        type=path_argument,
        help="YAML file of parameters; replaces those of the profile",
    )
    parser.add_argument(
        "--keep-outputs", action="store_true", help="also put the outputs into the notebook itself"
    )
    hint = "; the same command goes on where this one ended"
    parser.set_defaults(call=run, hint=hint, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Run a notebook; the last line of stdout is the run's folder."""
    if options.help:
        return _help_of_run(options)
    if options.name is None:
        raise ParameterError("NAME", "", "expected a notebook", "python -m alutils run --help")
    from alutils.runs.notebook import headless

    lifeline.watch()
    name = experiment_of(options.name)
    overrides = headless.read_parameters_file(options.file) if options.file else {}
    folder = headless.execute(name, options.profile, overrides | _parameters(options))
    if options.keep_outputs:
        headless.keep_outputs(name, folder)
    print(display_path(folder))
    return 0


def _help_of_run(options: argparse.Namespace) -> int:
    """Print the help of the command and, where a notebook is named, its parameters."""
    print(options.parser.format_help(), end="")
    if options.name is not None:
        from alutils.runs.notebook import headless, parameters

        name = experiment_of(options.name)
        used = headless.parameters_of(name, options.profile)
        print(f"\nparameters of {NOTEBOOKS[name]}, as the profile {options.profile} sets them:")
        print(
            parameters.described(headless.parameters_in(name), used, comparing.terminal_width()),
            end="",
        )
    return 0


def add_reproduce(commands: Any) -> None:
    text = "run every notebook, then print what was published beside what came out"
    parser = commands.add_parser("reproduce", help=text, description=text)
    parser.add_argument("--profile", default="quick", help="quick (the default) or full")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="notebooks side by side; at most one a core if none"
    )
    hint = "; finished notebooks are kept, the same command goes on where this one ended"
    parser.set_defaults(call=reproduce, hint=hint)


def reproduce(options: argparse.Namespace) -> int:
    """Run all notebooks and print published against ours."""
    from alutils.runs.notebook import reproduce as all_notebooks

    if options.jobs is not None and options.jobs < 1:
        raise ParameterError("--jobs", options.jobs, "expected 1 or more")
    folders = all_notebooks.run(options.profile, options.jobs)
    print()
    recorded = [folder for folder in folders.values() if (folder / "metrics.csv").is_file()]
    return comparing.print_published(recorded)


def add_reference(commands: Any) -> None:
    parser = commands.add_parser("reference", help="full runs into results/ and the README")
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments to run in full")
    parser.add_argument("--run", type=path_argument, action="append", default=[], metavar="FOLDER",
                        help="publish this finished run instead")  # fmt: skip
    parser.add_argument("--sweep", type=path_argument, action="append", default=[],
                        metavar="FOLDER",
                        help="publish this finished sweep; again for later ones, whose arms "
                        "stand in the place of its own")  # fmt: skip
    parser.add_argument(
        "--as", dest="stem", help="what the files are called, if not the experiment or the sweep"
    )
    parser.add_argument("--onto", action="store_true",
                        help="the sweeps mend what is published under the name (--as); "
                        "without any, its tables and figures are made again")  # fmt: skip
    parser.set_defaults(call=reference)


def reference(options: argparse.Namespace) -> int:
    """Publish reference results; with no names and no runs, only renew the README's tables."""
    from alutils.runs.publish import reference as references

    for path in references.run(
        map(experiment_of, options.names),
        options.run,
        options.stem,
        options.sweep,
        onto=options.onto,
    ):
        print(display_path(path))
    return 0


def add_sweep(commands: Any) -> None:
    parser = commands.add_parser("sweep", help="run every combination of a grid, with many seeds")
    parser.add_argument(
        "grid", type=path_argument, metavar="GRID.yaml", help="see alutils/runs/sweeps/grids.py"
    )
    _add_parameters(parser, "of 'fixed' in the file")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--jobs", type=int, metavar="N", help="processes; one a physical core if none")
    way.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="a Dask cluster's")
    way.add_argument(
        "--workers", type=int, metavar="N", help="start a Dask cluster on this machine"
    )
    parser.add_argument(
        "--out", type=path_argument, metavar="FOLDER", help="by default in results/sweeps/"
    )
    parser.add_argument("--retry-failed", action="store_true", help="run failed cells again")
    parser.set_defaults(
        call=sweep, hint="; finished cells are kept, the same command goes on where this one ended"
    )


def sweep(options: argparse.Namespace) -> int:
    """Run a sweep; the last line of stdout is its folder. 1 where cells failed."""
    from alutils.runs.sweeps import grids
    from alutils.runs.sweeps import sweep as sweeps

    done = sweeps.run(
        grids.read(options.grid, _parameters(options)),
        jobs=options.jobs,
        scheduler=options.scheduler,
        n_workers=options.workers,
        folder=options.out,
        retry_failed=options.retry_failed,
    )
    for failure in done.failures:
        print(f"failed: {failure}", file=sys.stderr)
    if done.failures:
        again = "their manifests tell more; --retry-failed runs them again"
        print(f"{len(done.failures)} of {done.n_cells} cells failed: {again}", file=sys.stderr)
    print(f"{done.n_cells} cells, {done.n_run} of them run now")
    print(display_path(done.folder))
    return 1 if done.failures else 0
