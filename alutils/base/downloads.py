"""Sources of downloads on web servers, and the check of what any source gives.

A source gets one file, or one folder of files, into a folder (``fetch``), or says in one line why
it could not; its ``read`` makes arrays of it. The ``file_sha256`` of a file, if it is known, is
checked before. A source that cannot be reached is given up after `PATIENCE` seconds; one that can
be reached may be slow. Sources that are packages are in `alutils.base.packages`.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATIENCE = 5.0  # seconds that a source gets to answer at all
STALL = 30.0  # seconds without a byte that end a download which had begun

Arrays = dict[str, np.ndarray]


class SourceError(RuntimeError):
    """One source did not give what was expected; the message is the reason, in one line."""


def one_line(message: object) -> str:
    """Text of an error or of anything else, without line breaks."""
    return " ".join(str(message).split())


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_of_arrays(*arrays: np.ndarray) -> str:
    """Hexadecimal SHA-256 of the arrays' bytes in C order, one after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Content:
    """What a set of arrays must be, to the byte.

    Parameters
    ----------
    shapes : of every array by name
    dtype : of all of them
    sha256 : names of the arrays whose bytes it covers, in order -> hexadecimal SHA-256
    """

    shapes: Mapping[str, tuple[int, ...]]
    dtype: np.dtype
    sha256: dict[tuple[str, ...], str]

    def check(self, arrays: Arrays) -> None:
        """Raise `SourceError` unless the arrays are exactly these."""
        for name, shape in self.shapes.items():
            if name not in arrays:
                raise SourceError(f"not what was expected: holds no array {name!r}")
            found = arrays[name]
            if found.shape != shape or found.dtype != self.dtype:
                raise SourceError(
                    f"not what was expected: {name} is {found.dtype} {found.shape}, "
                    f"expected {self.dtype} {shape}"
                )
        for names, expected in self.sha256.items():
            got = sha256_of_arrays(*(arrays[name] for name in names))
            what = names[0] if len(names) == 1 else f"the whole of its {len(names)} arrays"
            check_hash(what, expected, got)

    def read(self, path: Path, reader: Callable[[Path], Arrays]) -> Arrays:
        """Read a file and check what it holds; whatever is wrong with it is a `SourceError`."""
        try:
            arrays = reader(path)
        except Exception as error:  # a parser on foreign bytes may raise anything
            raise SourceError(
                f"damaged or not what was expected: {type(error).__name__}: {one_line(error)}"
            ) from error
        self.check(arrays)
        return {name: arrays[name] for name in self.shapes}


def check_hash(what: str, expected: str, got: str) -> None:
    """Raise `SourceError`, naming both hashes, unless they are the same."""
    if got != expected:
        raise SourceError(
            f"damaged or not what was expected: {what} has SHA-256 {got}, expected {expected}"
        )


@dataclass(frozen=True)
class Url:
    """A file on a web server."""

    url: str
    read: Callable[[Path], Arrays]
    file_sha256: str | None = None

    def __str__(self) -> str:
        return self.url

    @property
    def filename(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def wanted(self) -> str:
        return self.filename

    def fetch(self, folder: Path) -> Path:
        from pooch import HTTPDownloader

        path = folder / self.filename
        wait_for_answer(self.url)
        download = HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=(PATIENCE, STALL))
        try:
            download(self.url, path, None)
        except OSError as error:  # every error of requests is one
            raise SourceError(_http_reason(error)) from error
        return path


def wait_for_answer(url: str) -> None:
    """Raise `SourceError` unless the server says something, anything, within `PATIENCE` seconds.

    A socket's own timeout does not bound this: it starts anew for every address of a name, and does
    not cover the look-up of the name. So the question is asked in a thread that is not waited for
    longer than that.
    """
    from pooch import HTTPDownloader

    failures: list[OSError] = []

    def ask() -> None:
        try:
            HTTPDownloader(timeout=PATIENCE)(url, None, None, check_only=True)
        except OSError as error:
            failures.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if asking.is_alive():
        raise SourceError(f"no answer within {PATIENCE:g} s")
    for failure in failures:
        raise SourceError(_http_reason(failure)) from failure


def _http_reason(error: OSError) -> str:
    from requests import Timeout

    if isinstance(error, Timeout):
        return f"no answer within {PATIENCE:g} s"
    # requests wraps what urllib3 found out, which is the part that tells
    cause = error.args[0] if error.args else error
    if isinstance(cause, Exception):
        cause = getattr(cause, "reason", None) or (cause.args or [cause])[0]
    return re.sub(r"^HTTPS?Connection(Pool)?\(.*?\): ", "", one_line(cause))


@dataclass(frozen=True)
class Urls:
    """Several files on a web server, that are of use together only.

    Parameters
    ----------
    folder : name of the folder that they are put into
    base, names : each is at base/name
    read : takes the folder
    """

    folder: str
    base: str
    names: tuple[str, ...]
    read: Callable[[Path], Arrays]
    file_sha256: None = None

    def __str__(self) -> str:
        return f"{self.base}/{self.names[0]} and {len(self.names) - 1} more"

    @property
    def filename(self) -> str:
        return self.folder

    @property
    def wanted(self) -> str:
        return f"a folder {self.folder} with {', '.join(self.names)}"

    def fetch(self, folder: Path) -> Path:
        path = folder / self.folder
        path.mkdir()
        for name in self.names:
            Url(f"{self.base}/{name}", self.read).fetch(path)
        return path
