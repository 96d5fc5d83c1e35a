"""The command ``python -m alutils compare``: it answers at once, and imports no TensorFlow."""

import argparse
import difflib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alutils.base.errors import ParameterError
from alutils.base.files import path_argument, repository_root
from alutils.runs.notebook.names import NOTEBOOKS, RunError, experiment_of

FILTERS = ("metric", "arm", "protocol", "split")
WIDTH = 80  # characters of a line, where no terminal says how many it has


def add_compare(commands: Any) -> None:
    text = "hold runs and tables against the published values, and against each other"
    parser = commands.add_parser(
        "compare", help=text, description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m alutils compare results              every table, a short block each\n"
        "  python -m alutils compare mnist                the reference table of a notebook\n"
        "  python -m alutils compare 01 results/runs/RUN  a run beside that table\n"
        "  python -m alutils compare az --metric accuracy --protocol as_logged\n"
        "  python -m alutils compare az --all             not only the main results\n\n"
        "The exit status is 1 only where a number that is claimed as exact was missed.",
    )  # fmt: skip
    parser.add_argument(
        "paths", nargs="+", metavar="WHAT",
        help="folder of a run or a sweep, results table, folder of tables, or a notebook's name or "
        "number, which stands for its reference table",
    )  # fmt: skip
    for name in FILTERS:
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="NAME",
            help=f"show only this {name}; may be given again, or as A,B",
        )  # fmt: skip
    parser.add_argument("--only-published", action="store_true", help="only what was published")
    parser.add_argument("--all", action="store_true", help="all results, not only the main ones")
    parser.add_argument("--curves", action="store_true", help="every round, not only the last")
    parser.add_argument("--format", choices=("text", "markdown", "csv"), default="text")
    parser.add_argument("--published", type=path_argument, help="by default results/published.csv")
    parser.set_defaults(call=compare)


def compare(options: argparse.Namespace) -> int:
    """Print the comparison; 1 where a number that is claimed as exact was missed."""
    from alutils.stats import compare as comparison

    published = options.published or repository_root() / "results" / "published.csv"
    paths = [place_of(text) for text in options.paths]
    if len(paths) == 1 and _holds_tables(paths[0]):
        _refuse_choices(options)
        return _overview(paths[0], published)
    sources = comparison.load(paths)
    frame = comparison.compare(paths, published, curves=options.curves)
    comparison.check_common(frame, sources)
    status = _status(frame, sources)
    wanted = {name: [n for text in getattr(options, name) for n in text.split(",")]
              for name in FILTERS}  # fmt: skip
    frame = comparison.select(frame, **wanted)
    if options.only_published:
        frame = frame[frame["published"].notna()]
    form, width = options.format, terminal_width()
    if len(sources) > 1 and form != "csv":
        print(comparison.render_differences(comparison.differences(sources), form, width), end="")
    whole, chosen = comparison.count(frame), options.only_published or any(wanted.values())
    if form == "text" and not (options.all or chosen):
        frame = comparison.main(frame)
    labels = [source.label for source in sources]
    left_out = whole - comparison.count(frame)
    print(comparison.render(frame, form, width, left_out, labels), end="")
    return status


def place_of(text: str) -> Path:
    """Return the path that is meant: a notebook's reference table by its name, or a path.

    ``./mnist`` is a path, ``mnist`` is not. A path that is not here may be in the repository.
    """
    results = repository_root() / "results"
    try:
        name = experiment_of(text)
    except RunError:
        name = ""
    if name:
        table = results / f"{name}.csv"
        if not table.is_file():
            there = [n for n in NOTEBOOKS if (results / f"{n}.csv").is_file()]
            raise RunError(
                f"{text}: notebook {NOTEBOOKS[name]} has no reference table; those that have one: "
                f"{', '.join(there) or 'none'}. `python -m alutils compare results` lists all"
            )
        return table
    for place in (Path(text), repository_root() / text):
        if place.exists():
            return place
    stems = {path.stem: path for path in results.glob("*.csv")}
    if text in stems:
        return stems[text]
    close = difflib.get_close_matches(text, [*NOTEBOOKS, *stems], n=1)
    raise RunError(
        f"{text}: no such file or folder, and no notebook or table of results/ has that name; "
        + (f"did you mean {close[0]}?" if close else "name a run's folder or a results table")
    )


def _holds_tables(path: Path) -> bool:
    """Whether a path is a folder of tables, and not of a run or a sweep."""
    return path.is_dir() and not (path / "manifest.json").is_file() and any(path.glob("*.csv"))


def _overview(folder: Path, published: Path) -> int:
    """Print a short block for each table of a folder."""
    import pandas as pd

    from alutils.stats import compare as comparison

    blocks = comparison.overview(folder, published)
    print("\n\n".join(block.text(terminal_width()) for block in blocks))
    frame = pd.concat([block.rows for block in blocks if len(block.rows)] or [pd.DataFrame()])
    sources = comparison.load(block.path for block in blocks if len(block.rows))
    return _status(frame, sources) if len(frame) else 0


def print_published(folders: Sequence[Path]) -> int:
    """Print a short table of published against ours for each run; return compare's exit status."""
    from alutils.stats import compare as comparison

    published = repository_root() / "results" / "published.csv"
    print(comparison.published_tables(folders, published, terminal_width()), end="")
    return _status(comparison.compare(folders, published), comparison.load(folders))


def _refuse_choices(options: argparse.Namespace) -> None:
    """Raise ParameterError for choices within one table, where a folder of tables is named."""
    given = {f"--{name}": getattr(options, name) for name in FILTERS}
    given |= {"--only-published": options.only_published, "--curves": options.curves}
    given |= {"--format": options.format != "text" and options.format}
    for flag, value in given.items():
        if value:
            shown = ",".join(value) if isinstance(value, list) else value
            raise ParameterError(
                flag, shown, "a folder of tables is gone over whole",
                "name one of its tables, as `compare mnist`",
            )  # fmt: skip


def _status(frame: Any, sources: Sequence[Any]) -> int:
    """Return the exit status; what it means where a number was missed is told on stderr."""
    from alutils.stats import compare as comparison

    if not comparison.missed(frame):
        return 0
    cpus = {source.cpu for source in sources if source.cpu} or {"a processor that is not noted"}
    print(
        f"missed: a number that is claimed as exact came out otherwise, on {', '.join(cpus)}. "
        "The claim is for x86 processors: the procedure is chaotic, and another family of "
        "processors may round otherwise.",
        file=sys.stderr,
    )
    return 1


def terminal_width() -> int:
    """Return how many characters a line may have: those of the terminal, 80 at least."""
    return max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
