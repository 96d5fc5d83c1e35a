"""All notebooks, several side by side, each in a process of its own.

One notebook keeps two cores busy only now and then. Side by side, with their share of the cores
each, they take a good part less time, and exact numbers stay exact: they do not depend on threads.
What was finished is noted in results/runs/reproduce.json until all is done, so that the same
command goes on after Ctrl-C or a kill.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from alutils.base import files, lifeline, locks, manifest
from alutils.runs.notebook import runs

NOTE = "reproduce.json"
LONGEST_FIRST = ("autolabel", "az", "strategies", "mnist", "scenarios", "start", "az_explore")
"""The order in which notebooks are begun, so that no long one is left alone at the end."""
PATIENCE = 20
"""Seconds that an interrupted notebook gets to end by itself."""


@dataclass
class _Job:
    """A notebook that is running."""

    name: str
    process: subprocess.Popen[bytes]
    out: Path  # what it prints; the last line names its folder
    log: Path  # what it says of its progress and its errors
    began: float


def there(root: Path) -> list[str]:
    """Return the names of the notebooks that are in the clone, in their order."""
    found = [name for name, file in runs.NOTEBOOKS.items() if (root / "notebooks" / file).is_file()]
    if not found:
        raise runs.RunError("there are no notebooks to run; work in a clone of the repository")
    return sorted(found, key=runs.NOTEBOOKS.__getitem__)


def run(profile: str = "quick", jobs: int | None = None) -> dict[str, Path]:
    """Run every notebook, ``jobs`` at a time; return their folders by name, in their order.

    Parameters
    ----------
    profile : see `alutils.runs.notebook.headless.execute`
    jobs : notebooks side by side; by default one for every core, and no more than four

    Raises
    ------
    RunError
        Where a notebook failed: its last lines are in the message. Those that ended well before
        are kept, and not run again by the next call.
    """
    root = files.repository_root()
    names = there(root)
    note = runs.runs_folder(root) / NOTE
    note.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = locks.hold(note.with_suffix(".lock"))
    except locks.HeldError:
        raise runs.RunError(
            "these notebooks are being run already, by another process; wait until it has ended"
        ) from None
    try:
        done = _run(names, profile, jobs or max(1, min(4, manifest.cores())), note, root)
    finally:
        lock.release()
    note.unlink(missing_ok=True)
    return {name: done[name] for name in names}


def _run(names: Sequence[str], profile: str, jobs: int, note: Path, root: Path) -> dict[str, Path]:
    """Run what is not done yet; what ends well is noted at once."""
    code = manifest.code_hash("".join(_source(root, name) for name in names))
    done = _done(note, code, profile, root)
    waiting = [name for name in LONGEST_FIRST if name in names and name not in done]
    running: list[_Job] = []
    failed: list[str] = []
    if done:
        print(f"kept from the last time: {', '.join(name for name in names if name in done)}")
    print(f"running {len(waiting)} notebooks, {min(jobs, len(waiting))} at a time", flush=True)
    try:
        with tqdm(total=len(names), initial=len(done), unit="notebook", disable=None) as bar:
            while (waiting and not failed) or running:
                while waiting and not failed and len(running) < jobs:
                    running.append(_start(waiting.pop(0), profile, jobs, note.parent))
                bar.set_description(", ".join(job.name for job in running))
                for job in [job for job in running if job.process.poll() is not None]:
                    running.remove(job)
                    if reason := _failure(job):
                        failed.append(reason)  # the others may end, and are kept
                        continue
                    done[job.name] = _folder(job)
                    _write_note(note, code, profile, done)
                    took = time.perf_counter() - job.began
                    bar.write(f"{job.name}: {took:.0f} s, {files.display_path(done[job.name])}")
                    bar.update()
                time.sleep(0.05)
    finally:
        _stop(running)
    if failed:
        raise runs.RunError("; ".join(failed))
    return done


def _source(root: Path, name: str) -> str:
    return (root / "notebooks" / runs.NOTEBOOKS[name]).read_text(encoding="utf-8")


def _done(note: Path, code: str, profile: str, root: Path) -> dict[str, Path]:
    """Return what an interrupted call of the same kind finished, by the same code."""
    noted = manifest.read_json(note)
    if (noted.get("code"), noted.get("profile")) != (code, profile):
        return {}
    folders = {name: root / folder for name, folder in noted["done"].items()}
    return {name: folder for name, folder in folders.items() if _is_complete(folder)}


def _is_complete(folder: Path) -> bool:
    return manifest.read_json(folder / "manifest.json").get("status") == "complete"


def _write_note(note: Path, code: str, profile: str, done: dict[str, Path]) -> None:
    root = files.repository_root()
    folders = {name: folder.relative_to(root).as_posix() for name, folder in done.items()}
    manifest.write_json(note, {"code": code, "profile": profile, "done": folders})


def _start(name: str, profile: str, jobs: int, folder: Path) -> _Job:
    """Start a notebook with its share of the cores; what it prints goes to files."""
    threads = str(max(1, manifest.cores() // jobs))
    limits = {variable: threads for variable in manifest.THREAD_VARIABLES} if jobs > 1 else {}
    out, log = folder / f"reproduce-{name}.out", folder / f"reproduce-{name}.log"
    command = [sys.executable, "-m", "alutils", "run", name, "--profile", profile]
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr,
            env={**os.environ, **limits, lifeline.VARIABLE: "1"}, **_own_group(),
        )  # fmt: skip
    return _Job(name, process, out, log, time.perf_counter())


def _own_group() -> dict[str, Any]:
    """Keep Ctrl-C of the terminal from the notebooks: `_stop` ends them and waits."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}


def _failure(job: _Job) -> str:
    """Return why a notebook that has ended did not end well; "" if it did."""
    if job.process.returncode == 0 and _is_complete(_folder(job, keep=True)):
        return ""
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = "\n".join(line.rsplit("\r", 1)[-1] for line in lines[-5:])
    return (
        f"{job.name}: ended with status {job.process.returncode}; {files.display_path(job.log)} "
        f"holds what it said, the last of it: {told}"
    )


def _folder(job: _Job, keep: bool = False) -> Path:
    """Return the run's folder, which is the last line that it printed; the files of its output go.

    ``keep``: leave them, because it is not known yet whether the run ended well
    """
    lines = job.out.read_text(encoding="utf-8", errors="replace").splitlines()
    if not keep:
        job.out.unlink()
        job.log.unlink()
    return Path.cwd() / (lines[-1] if lines else "")


def _stop(running: Sequence[_Job]) -> None:
    """Interrupt what still runs, as Ctrl-C would, and wait until it has ended."""
    for job in running:
        if job.process.stdin is not None:
            job.process.stdin.close()  # its lifeline
    for job in running:
        try:
            job.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait()
