"""Where the time of ``make reproduce`` goes, measured: results/reproduce.csv, and its table.

``python -m alutils.runs.publish.times RUN...`` takes the folders of finished runs, by default the
newest finished quick run of each notebook in results/runs. ``--also "installation" 75`` adds a row
of one's own measuring, in seconds.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base import manifest
from alutils.base.files import display_path, path_argument, repository_root, write_atomically
from alutils.runs.notebook import runs
from alutils.runs.publish.markdown import markdown_table

PARTS = 3
"""The longest parts of a run that the table names."""
SLACK = 10
"""Seconds that may lie between runs of one ``make reproduce``."""


def measured(about: dict[str, Any]) -> dict[str, Any]:
    """Return the row of one run: its notebook, its seconds, and its longest parts."""
    timings = sorted(about.get("timings_s", {}).items(), key=lambda item: -item[1])
    parts = "; ".join(f"{name.replace('_', ' ')} {took:.1f} s" for name, took in timings[:PARTS])
    name = about["experiment"]
    what = f"{runs.NOTEBOOKS[name][:2]} {name}"
    return {"what": what, "seconds": round(about["wall_s"], 1), "parts": parts}


def newest(folder: Path) -> list[dict[str, Any]]:
    """Return the manifests of the newest finished quick run of each notebook, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for path in folder.glob("*/manifest.json"):
        about = manifest.read_json(path)
        if (about.get("status"), about.get("profile")) != ("complete", "quick"):
            continue
        name = about["experiment"]
        if name not in found or about["started"] > found[name]["started"]:
            found[name] = about
    return [found[name] for name in runs.NOTEBOOKS if name in found]


def side_by_side(abouts: Sequence[dict[str, Any]]) -> float | None:
    """Return the seconds from the first start to the last end; None where runs are far apart."""
    starts = [datetime.fromisoformat(about["started"]).timestamp() for about in abouts]
    ends = [start + about["wall_s"] for start, about in zip(starts, abouts, strict=True)]
    span = max(ends) - min(starts)
    return span if span <= sum(about["wall_s"] for about in abouts) + SLACK else None


def save(abouts: Sequence[dict[str, Any]], also: Sequence[tuple[str, float]] = ()) -> Path:
    """Write results/reproduce.csv and its manifest; return the table's path."""
    if not abouts:
        raise runs.RunError("no finished quick runs in results/runs; make reproduce makes them")
    rows = [measured(about) for about in abouts]
    if (span := side_by_side(abouts)) is not None:
        alone = sum(about["wall_s"] for about in abouts)
        how = "side by side" if span < alone else "one after another"
        rows.append({"what": f"all of them, {how}", "seconds": round(span, 1), "parts": ""})
    rows += [{"what": what, "seconds": seconds, "parts": ""} for what, seconds in also]
    results = repository_root() / "results"
    table = results / "reproduce.csv"
    text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_atomically(table, text)
    about = {
        "status": "complete",
        "command": "python -m alutils.runs.publish.times",
        "parameters": {"runs": [about["run_id"] for about in abouts]},
        "git": abouts[-1]["git"],
        "packages": abouts[-1]["packages"],
        "machine": abouts[-1]["machine"],
        "wall_s": round(sum(about["wall_s"] for about in abouts), 2),
    }
    manifest.write_json(results / "reproduce.manifest.json", about)
    return table


def as_markdown() -> str:
    """Return results/reproduce.csv as a Markdown table, or how to make it where it is not there."""
    path = repository_root() / "results" / "reproduce.csv"
    if not path.is_file():
        return (
            "Not measured yet for this version: run `make reproduce`, then "
            "`python -m alutils.runs.publish.times`."
        )
    rows = (
        (row.what, f"{row.seconds:.0f}", row.parts or "–")
        for row in pd.read_csv(path, keep_default_na=False).itertuples()
    )
    return markdown_table(["what", "seconds", "its longest parts"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table from finished runs, and print where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m alutils.runs.publish.times", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "runs", nargs="*", type=path_argument, metavar="RUN", help="folders of quick runs"
    )
    parser.add_argument(
        "--also", nargs=2, action="append", default=[], metavar=("WHAT", "SECONDS"),
        help="one more row of the table, measured by yourself",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    abouts = [manifest.read_json(folder / "manifest.json") for folder in options.runs]
    also = [(what, float(seconds)) for what, seconds in options.also]
    print(display_path(save(abouts or newest(runs.runs_folder(repository_root())), also)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
