"""Tables and manifests of the reference runs in results/, which may not be there yet."""

from __future__ import annotations

from typing import Any

import pandas as pd

from alutils.base import files, manifest


def table(name: str) -> pd.DataFrame | None:
    """Return the table ``results/<name>.csv``, or None where there is none."""
    path = files.repository_root() / "results" / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() else None


def about(name: str) -> dict[str, Any]:
    """Return the manifest of results of this name; empty where there is none."""
    return manifest.read_json(files.repository_root() / "results" / f"{name}.manifest.json")
