"""The folder of a run: whose it is, what may be left in it, whether the run in it is over."""

import shutil
from pathlib import Path

from filelock import FileLock

from alutils.base import locks, manifest

ORDER = "order.json"  # what `headless.execute` asks of the notebook
NOTES = "notes.json"  # what the notebook tells `headless.execute` for the manifest
# A run starts with none of these; the parts of a killed one stay.
STALE = ("executed.ipynb", "metrics.csv", "manifest.json", "findings.json", ORDER, NOTES)


def claim(parent: Path, run_id: str, *, own: bool = False) -> tuple[Path, FileLock]:
    """Find or make the folder of a run that no other process has.

    The first of ``<id>``, ``<id>-2``, ... that is neither complete nor held: an unfinished one is
    gone on with. Its lock ends with the process, however that ends, so there are no stale ones. A
    kernel that outlives its killed parent for a second is harmless: the files that it still writes
    are whole and the same.

    Parameters
    ----------
    own : share a folder that this very process holds: a Jupyter cell run again

    Returns
    -------
    the folder, and its lock, which is held as long as something refers to it
    """
    number = 0
    while True:
        number += 1
        folder = parent / (run_id if number == 1 else f"{run_id}-{number}")
        if is_complete(folder):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = locks.hold(folder / ".lock")
        except locks.HeldError as error:
            if own and error.own is not None:
                return folder, error.own
            continue
        if is_complete(folder):  # by a process that ended between the two looks
            lock.release()
            continue
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
