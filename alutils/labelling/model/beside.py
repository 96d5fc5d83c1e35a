"""Starts the process that trains the strong learners, and takes in what it found.

It has the lowest priority and its own files; the labelling tool neither waits for it nor depends on
it. When it crashes, that is said and labelling goes on. When the tool ends, however that happens,
it ends, too; what it had not finished is thrown away at the next start.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from alutils.base import lifeline
from alutils.labelling.model import strong
from alutils.labelling.model.strong import Job

_FOLDER, _JOB, _FOUND = "beside", "job", "found"
_LOG = "log.txt"
_SHOWN = 300  # characters of what a crashed process said last


class Beside:
    """The process beside a project.

    Parameters
    ----------
    root : the project's own folder, ``FOLDER/labelling``
    command : what is started, with the job's folder behind it; for tests
    """

    def __init__(self, root: Path, command: list[str] | None = None) -> None:
        self.folder = root / _FOLDER
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        shutil.rmtree(self.folder / _JOB, ignore_errors=True)

    @property
    def found(self) -> Path:
        """Where what was found last lies."""
        return self.folder / _FOUND

    @property
    def is_running(self) -> bool:
        """Whether it is at work, or has ended and has not been asked by `poll` yet."""
        return self._process is not None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended and has not been asked by `poll` yet."""
        return self._process is not None and self._process.poll() is not None

    def start(self, job: Job) -> None:
        """Begin a job; nothing where one is running."""
        if self.is_running:
            return
        folder = self.folder / _JOB
        shutil.rmtree(folder, ignore_errors=True)
        job.write(folder)
        if job.settings.score_only:
            shutil.copytree(self.found / "network", folder / "network")
        with (folder / _LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [*(self._command or _command()), str(folder)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=lifeline.environment(),
                **lifeline.own_group(),
            )  # fmt: skip

    def poll(self) -> Path | None:
        """Return the job's folder once it is done, None while it runs and where there is none.

        StrongError, once, if the process ended without having finished.
        """
        if self._process is None or self._process.poll() is None:
            return None
        code, folder = self._process.returncode, self.folder / _JOB
        self._close()
        if strong.is_done(folder):
            return folder
        try:
            said = (folder / _LOG).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            said = ""
        last = said.splitlines()[-1][-_SHOWN:] if said else "it said nothing"
        raise strong.StrongError(f"the strong learner ended with status {code}: {last}")

    def keep(self) -> Path:
        """Move what a job found to where it stays, in place of what was there; return where."""
        shutil.rmtree(self.found, ignore_errors=True)
        (self.folder / _JOB).replace(self.found)
        return self.found

    def stop(self, timeout: float = 10.0) -> None:
        """End the process, whatever it is doing."""
        if self._process is None:
            return
        process = self._process
        self._close()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder / _JOB, ignore_errors=True)

    def _close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # its lifeline
        self._process = None


def _command() -> list[str]:
    from alutils.labelling.model import beside_work

    return [sys.executable, "-m", beside_work.__name__]
