"""The folder of a run: whose it is, what may be left in it, whether the run in it is over."""

import fcntl
import os
import shutil
from pathlib import Path

from alutils.base import manifest

ORDER = "order.json"  # what `headless.execute` asks of the notebook
NOTES = "notes.json"  # what the notebook tells `headless.execute` for the manifest
# A run starts with none of these; the parts of a killed one stay.
STALE = ("executed.ipynb", "metrics.csv", "manifest.json", ORDER, NOTES)


def claim(parent: Path, run_id: str, *, own: bool = False) -> tuple[Path, int | None]:
    """Find or make the folder of a run that no other process has.

    The first of ``<id>``, ``<id>-2``, ... that is neither complete nor held: an unfinished one is
    gone on with. The lock is the kernel's (flock): it ends with the process, however that ends, so
    there are no stale ones. A kernel that outlives its killed parent for a second is harmless: the
    files that it still writes are whole and the same.

    Parameters
    ----------
    own : share a folder that this very process holds: a Jupyter cell run again

    Returns
    -------
    the folder, and the descriptor of its lock, None where this process held it before
    """
    number = 0
    while True:
        number += 1
        folder = parent / (run_id if number == 1 else f"{run_id}-{number}")
        if is_complete(folder):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode()
            os.close(lock)
            if own and holder == str(os.getpid()):
                return folder, None
            continue
        if is_complete(folder):  # by a process that ended between the two looks
            os.close(lock)
            continue
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        return folder, lock


def clear(folder: Path) -> None:
    """Remove what an earlier attempt left in a run's folder, but not its parts."""
    for name in STALE:
        (folder / name).unlink(missing_ok=True)
    for name in ("figures", "tables"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for leftover in folder.rglob(".*.tmp"):  # of a write that was killed
        leftover.unlink(missing_ok=True)


def is_complete(folder: Path) -> bool:
    """Whether a run ended well in this folder."""
    return manifest.read_json(folder / "manifest.json").get("status") == "complete"
