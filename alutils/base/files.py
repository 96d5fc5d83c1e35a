"""Where the repository is, and files that are written whole or not at all."""

import argparse
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from alutils.base.errors import BadInput


def repository_root() -> Path:
    """Folder that holds ``pyproject.toml``, ``notebooks/`` and ``data/``, or ``ALUTILS_ROOT``.

    The same from any working directory: papermill, nbval and Jupyter differ in it.
    FileNotFoundError where neither the package nor the working directory lies in the repository.
    """
    if named := os.environ.get("ALUTILS_ROOT"):
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent, Path.cwd(), *Path.cwd().parents):
        if (folder / "pyproject.toml").is_file() and (folder / package.name).is_dir():
            return folder
    raise FileNotFoundError(
        f"no repository around {package} or {Path.cwd()} (looked for pyproject.toml beside "
        f"{package.name}/): install with `pip install -e .`, work inside a clone, or name one in "
        "ALUTILS_ROOT"
    )


@contextmanager
def atomic_file(path: Path, permissions: int = 0o666) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name complete and on disk, or not at all.

    It never has more ``permissions`` than these, before the user's mask is taken off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        # Path.open could not give it its permissions from its first moment on.
        with open(partial, "xb", opener=lambda at, how: os.open(at, how, permissions)) as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def path_argument(text: str) -> Path:
    """Read a path of the command line; the empty text of a variable that is not set is none.

    ``Path("")`` would be the working directory: its files would be read, or written over.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: expected the path of a file or folder")
    return Path(text)


def expanded(path: str | Path) -> Path:
    """Return a path with the user's folder in the place of ``~``, as far as there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; no name is too long to ask."""
    try:
        return path.exists()
    except OSError:
        return False


def check_file(path: Path) -> None:
    """Raise BadInput for a pipe or a device: it would be waited for, or has no end.

    What is not there, or may not be read, shows when it is opened.
    """
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: is a folder, a pipe or a device, expected a file")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing."""
    with atomic_file(path) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


def display_path(path: Path) -> str:
    """Return a path as it is best typed from here: relative where it lies below."""
    resolved, here = path.resolve(), Path.cwd()
    return str(resolved.relative_to(here)) if resolved.is_relative_to(here) else str(resolved)
