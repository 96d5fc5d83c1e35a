"""The command line: ``python -m alutils COMMAND``.

Exit status: 0, all is well; 1, a published number that is claimed as exact was missed, or cells of
a sweep failed; 2, an error, told in one line; 130, interrupted. What a command needs is imported
when it runs: ``--help`` and ``compare`` answer at once.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from alutils.base.errors import ParameterError
from alutils.base.files import display_path, repository_root


def _add_parameters(parser: argparse.ArgumentParser, before: str) -> None:
    parser.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help=f"set a parameter; goes before {before}",
    )  # fmt: skip


def add_run(commands: Any) -> None:
    parser = commands.add_parser("run", help="run an experiment's notebook headlessly")
    parser.add_argument("name", help="mnist, az_explore, az, strategies or autolabel")
    parser.add_argument("--profile", default="quick", help="quick (the default) or full")
    _add_parameters(parser, "a file's and the profile's")
    parser.add_argument("-f", "--file", type=Path, help="YAML file of parameters")
    parser.add_argument(
        "--keep-outputs", action="store_true", help="put the outputs into the notebook itself, too"
    )
    parser.set_defaults(call=run, hint="; the same command goes on where this one ended")


def run(options: argparse.Namespace) -> int:
    """Run a notebook; the last line of stdout is the run's folder."""
    from alutils.runs.notebook import headless

    overrides = headless.read_parameters_file(options.file) if options.file else {}
    folder = headless.execute(options.name, options.profile, overrides | dict(options.parameter))
    if options.keep_outputs:
        headless.keep_outputs(options.name, folder)
    print(display_path(folder))
    return 0


def add_compare(commands: Any) -> None:
    parser = commands.add_parser("compare", help="runs and tables against the published values")
    parser.add_argument("paths", nargs="+", metavar="RUN|TABLE", help="run folder or CSV table")
    parser.add_argument("--format", choices=("text", "markdown", "csv"), default="text")
    parser.add_argument("--published", type=Path, help="by default results/published.csv")
    parser.add_argument("--only-published", action="store_true", help="leave out all other rows")
    parser.add_argument("--curves", action="store_true", help="every round, not only the last")
    parser.set_defaults(call=compare)


def compare(options: argparse.Namespace) -> int:
    """Print the comparison; 1 where a number that is claimed as exact was missed."""
    from alutils.stats import compare as comparison

    published = options.published or repository_root() / "results" / "published.csv"
    frame = comparison.compare(options.paths, published, curves=options.curves)
    if options.only_published:
        frame = frame[frame["published"].notna()]
    print(comparison.render(frame, options.format), end="")
    if not comparison.missed(frame):
        return 0
    cpus = {source.cpu for source in comparison.load(options.paths) if source.cpu} or {"?"}
    print(
        f"MISSED: a number that is claimed as exact came out otherwise, on {', '.join(cpus)}. "
        "The claim is for x86 processors; the rounds are chaotic, and another family may round "
        "otherwise.",
        file=sys.stderr,
    )
    return 1


def add_data(commands: Any) -> None:
    parser = commands.add_parser(
        "data",
        help="fetch, make or convert a data set",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="names:\n" + "".join(f"  {n:14} {f.__doc__}\n" for n, f in DATA.items()),
    )
    parser.add_argument("name", choices=DATA, metavar="NAME", help=", ".join(DATA))
    parser.add_argument("out", nargs="?", type=Path, help="file or folder to write, where one is")
    parser.add_argument("--from", type=Path, dest="table", metavar="CSV", help="for az_png")
    parser.add_argument(
        "--on-bad", choices=("error", "skip"), default="error",
        help="what to do with rows that cannot be used: stop (the default), or leave them out and "
        "report how many",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of rendered letters (0)")
    parser.set_defaults(call=data, hint="; the same command goes on where this one ended")


def data(options: argparse.Namespace) -> int:
    """Fetch, make or convert a data set; the last line of stdout is where it is."""
    if options.table is not None and options.name != "az_png":
        raise ParameterError("--from", options.table, f"{options.name} is not made from a table")
    print(display_path(DATA[options.name](options)))
    return 0


def _az(options: argparse.Namespace) -> Path:
    """Kaggle's handwritten letters, downloaded and kept in the cache."""
    from alutils.base import artefacts
    from alutils.data import loading

    _refuse_out(options)
    _print_counts(loading.load("az", on_bad=options.on_bad).class_counts())
    return loading.az_path() if loading.az_path().is_file() else artefacts.az_kaggle()


def _az_png(options: argparse.Namespace) -> Path:
    """OUT/A ... OUT/Z: a PNG file a letter, from Kaggle's table or another (--from)."""
    from alutils.base import artefacts
    from alutils.data.png import csv_to_png

    if options.out is None:
        expected = "expected a folder to be made"
        raise ParameterError("out", "", expected, "python -m alutils data az_png FOLDER")
    table = options.table or artefacts.az_kaggle()
    provenance = None if options.table else "kaggle"
    _print_counts(csv_to_png(table, options.out, options.on_bad, provenance=provenance))
    return options.out


def _mnist(options: argparse.Namespace) -> Path:
    """All 70,000 digits, downloaded and kept in the cache."""
    from alutils.base import artefacts

    _refuse_out(options)
    artefacts.mnist()
    return artefacts.cache_folder()


def _mnist_article(options: argparse.Namespace) -> Path:
    """Make the article's 4,000 + 400 digits again: the repository's file, or OUT.npz."""
    from alutils.data import mnist

    return mnist.make_mnist_article(options.out)


def _rendered(options: argparse.Namespace) -> Path:
    """Letters rendered from handwriting fonts, kept in the cache or in OUT.npz."""
    from alutils.base import artefacts
    from alutils.data import loading, npz

    if options.seed < 0:
        raise ParameterError("--seed", options.seed, "expected 0 or more")
    letters = loading.load("rendered", seed=options.seed)
    _print_counts(letters.class_counts())
    return npz.write_npz(letters, options.out) if options.out else artefacts.cache_folder()


def _refuse_out(options: argparse.Namespace) -> None:
    if options.out is not None:
        expected = f"{options.name} is kept in the cache and takes no file"
        raise ParameterError(
            "out", options.out, expected, "ALUTILS_CACHE names another folder for it"
        )


def _print_counts(counts: dict[str, int]) -> None:
    for name, n in [*counts.items(), ("all", sum(counts.values()))]:
        print(f"{name:>4} {n:>8,}")


DATA: dict[str, Callable[[argparse.Namespace], Path]] = {
    "az": _az,
    "az_png": _az_png,
    "mnist": _mnist,
    "mnist_article": _mnist_article,
    "rendered": _rendered,
}


def add_reproduce(commands: Any) -> None:
    parser = commands.add_parser("reproduce", help="run every notebook, then compare")
    parser.add_argument("--profile", default="quick", help="quick (the default) or full")
    parser.set_defaults(call=reproduce)


def reproduce(options: argparse.Namespace) -> int:
    """Run the notebooks that are there, in their order, and print published against ours."""
    from alutils.runs.notebook import headless, runs

    root = repository_root()
    there = [n for n, file in runs.NOTEBOOKS.items() if (root / "notebooks" / file).is_file()]
    if not there:
        raise runs.RunError("there are no notebooks to run; work in a clone of the repository")
    order = sorted(there, key=runs.NOTEBOOKS.__getitem__)
    folders = []
    for number, name in enumerate(order, 1):
        print(f"[{number}/{len(order)}] {name}", flush=True)
        folders.append(headless.execute(name, options.profile))
        print(display_path(folders[-1]), flush=True)
    print()
    return main(["compare", "--only-published", *map(str, folders)])


def add_reference(commands: Any) -> None:
    parser = commands.add_parser("reference", help="full runs into results/ and the README")
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments to run in full")
    parser.add_argument("--run", type=Path, action="append", default=[], metavar="FOLDER",
                        help="publish this finished run instead")  # fmt: skip
    parser.add_argument("--sweep", type=Path, action="append", default=[], metavar="FOLDER",
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

    sweeps = options.sweep
    made = references.run(options.names, options.run, options.stem, sweeps, onto=options.onto)
    for path in made:
        print(display_path(path))
    return 0


def add_sweep(commands: Any) -> None:
    parser = commands.add_parser("sweep", help="run every combination of a grid, with many seeds")
    parser.add_argument(
        "grid", type=Path, metavar="GRID.yaml", help="see alutils/runs/sweeps/grids.py"
    )
    _add_parameters(parser, "the file's 'fixed'")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--jobs", type=int, metavar="N", help="processes; one a physical core if none")
    way.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="a Dask cluster's")
    way.add_argument(
        "--workers", type=int, metavar="N", help="start a Dask cluster on this machine"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="by default in results/sweeps/")
    parser.add_argument("--retry-failed", action="store_true", help="run failed cells again")
    parser.set_defaults(
        call=sweep, hint="; finished cells are kept, the same command goes on where this one ended"
    )


def sweep(options: argparse.Namespace) -> int:
    """Run a sweep; the last line of stdout is its folder. 1 where cells failed."""
    from alutils.runs.sweeps import grids
    from alutils.runs.sweeps import sweep as sweeps

    done = sweeps.run(
        grids.read(options.grid, dict(options.parameter)),
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


COMMANDS = (add_run, add_sweep, add_compare, add_data, add_reproduce, add_reference, add_label)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m alutils", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
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
