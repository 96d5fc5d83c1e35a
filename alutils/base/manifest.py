"""What a run's manifest says of the code, the machine and the environment.

Nothing here names the host, the user or a folder of the machine.
"""

import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alutils.base.files import write_atomically

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; {} where there is none or it is cut off."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def digest(*parts: bytes | str) -> str:
    """SHA-256, in hex, of some texts one after the other; the boundaries count."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()


def code_hash(notebook_code: str) -> str:
    """Hash the notebook's code and every module of the package.

    Parts that a killed run left behind are only good for the code that made them.
    """
    modules = sorted(Path(__file__).parents[1].rglob("*.py"))
    return digest(notebook_code, *(module.read_bytes() for module in modules))


def git_state(root: Path) -> dict[str, Any]:
    """Commit and dirty flag of the clone; both None without git or outside a clone."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def packages() -> dict[str, str]:
    """Versions of Python and of what pyproject.toml names, extras included, where installed."""
    versions = {"python": platform.python_version()}
    try:
        required = importlib.metadata.requires("alutils") or []
    except importlib.metadata.PackageNotFoundError:  # used from a clone, without installing
        text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
        project = tomllib.loads(text)["project"]
        extras = project["optional-dependencies"].values()
        required = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    for name in sorted(
        {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in required}
    ):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that this environment does not have
    return versions


def machine() -> dict[str, Any]:
    """CPU model, cores that may be used, memory in GiB, system and threads asked for."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        text = ""
    said = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    model = said[1] if said else platform.processor() or platform.machine()
    return {
        "cpu": model,
        "cores": cores(),
        "memory_gib": round(_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
    }


def _memory() -> int:
    """Return the machine's memory in bytes."""
    if hasattr(os, "sysconf"):  # psutil needs `resource` on Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import psutil

    return psutil.virtual_memory().total


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_mib() -> float | None:
    """Largest resident size that this process has had, in MiB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes there, KiB here


def without_paths(value: Any, root: Path, given: Iterable[Any] = ()) -> Any:
    """Take the machine's folders out of every text in a nested value.

    Parameters
    ----------
    value : nested dicts and lists of JSON's types
    root : the clone; paths in it become relative to it
    given : values of parameters; an absolute path among them keeps its name only

    Python's own folders, the user's and temporary ones become ``<python>``, ``~`` and ``<tmp>``.
    """
    temporary = Path(tempfile.gettempdir())
    places = {temporary: "<tmp>", temporary.resolve(): "<tmp>", Path.home(): "~"}
    places |= {Path(sys.base_prefix): "<python>", Path(sys.prefix): "<python>"}
    places |= {Path(text): Path(text).name for text in given if str(text).startswith("/")}
    places |= {root: ".", root.resolve(): "."}
    # The longest first, because the clone may lie in the home folder; never the root of the disk.
    ordered = sorted(places, key=lambda place: len(str(place)), reverse=True)
    return _replace(value, {str(p): places[p] for p in ordered if len(p.parts) > 1})


def _replace(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, dict):
        # Pictures are base64, in which anything may seem to be a path.
        return {
            key: item if key.startswith("image/") else _replace(item, places)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_replace(item, places) for item in value]
    if not isinstance(value, str):
        return value
    before = r"((?:\x1b\[[\d;]*m)|(?<![\w.~-]))"  # a colour code of a traceback ends in a letter
    for place, new in places.items():
        if place in value:
            inside = "" if new == "." else f"{new}/"
            value = re.sub(rf"{before}{re.escape(place)}/", rf"\1{inside}", value)
            value = re.sub(rf"{before}{re.escape(place)}(?![\w.-])", rf"\1{new}", value)
    return value
