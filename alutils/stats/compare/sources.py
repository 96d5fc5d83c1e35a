"""What is compared: finished runs, sweeps and results tables, and the values that were published.

A table that cannot be compared is refused with the reason and with what can be compared instead.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base import manifest
from alutils.base.files import display_path
from alutils.stats import tables
from alutils.stats.tables import TableError

GROUP = ("experiment", "protocol", "arm", "split", "metric")
PUBLISHED_COLUMNS = (*GROUP, "value", "n_eval", "n_human", "claim", "when", "source")
PUBLISHED = "published.csv"


@dataclass(frozen=True)
class Source:
    """A results table and what its manifest says of it; {} where there is none."""

    label: str
    table: pd.DataFrame
    about: Mapping[str, Any]
    is_run: bool = False  # the whole of a run: what is not in it was not measured

    @property
    def parameters(self) -> Mapping[str, Any] | None:
        """Under which parameters all rows were made; None where they are not known."""
        return self.about.get("parameters")

    @property
    def cpu(self) -> str | None:
        return self.about.get("machine", {}).get("cpu")

    @property
    def rendered(self) -> bool:
        """Whether letters that were rendered from fonts are among the data."""
        return is_rendered(self.about)

    @property
    def data(self) -> dict[str, str]:
        """The data and weights by name: provenance and, where it is noted, the content's hash."""
        inputs = self.about.get("inputs") or {}
        if isinstance(inputs, Mapping):
            return {name: f"{of['provenance']} {of['sha256'][:8]}" for name, of in inputs.items()}
        found: dict[str, set[str]] = {}  # a sweep notes what its cells used, without hashes
        for cell in inputs:
            for name, provenance in cell.items():
                found.setdefault(name, set()).add(str(provenance))
        return {name: ", ".join(sorted(all_of)) for name, all_of in found.items()}


def is_rendered(about: Mapping[str, Any]) -> bool:
    """Whether a manifest of a run or a sweep says that letters were rendered from fonts."""
    return "rendered" in provenances(about)


def provenances(about: Mapping[str, Any]) -> set[str]:
    """Return where the images of a run or a sweep come from, by its manifest."""
    inputs = about.get("inputs") or {}
    if isinstance(inputs, Mapping):
        found = {str(of.get("provenance")) for name, of in inputs.items() if name != "vgg16"}
    else:
        found = {str(value) for cell in inputs for value in cell.values()}
    return found


def load(paths: Iterable[Path | str]) -> list[Source]:
    """Read run folders and tables; labels are their names, numbered where two are the same."""
    sources = [_load(Path(path)) for path in paths]
    seen: dict[str, int] = {}
    for i, source in enumerate(sources):
        seen[source.label] = seen.get(source.label, 0) + 1
        if seen[source.label] > 1:
            sources[i] = replace(source, label=f"{source.label}#{seen[source.label]}")
    return sources


def _load(path: Path) -> Source:
    """Read one run, sweep or table, or raise TableError."""
    if path.name in ("metrics.csv", "table.csv") and (path.parent / "manifest.json").is_file():
        path = path.parent
    if not path.is_dir():
        about = manifest.read_json(path.with_suffix(".manifest.json"))
        _check_status(path, about)
        try:
            table = tables.read(path)
        except TableError as error:
            more = instead(path)
            raise TableError(f"{error}{'. It is ' if more else ''}{more}") from None
        return Source(path.stem, _with_own_arms(path, table), about)
    about = manifest.read_json(path / "manifest.json")
    _check_status(path, about)
    files = [path / name for name in ("metrics.csv", "table.csv") if (path / name).is_file()]
    if not files:
        inside = sorted(path.glob("*/manifest.json"))
        hint = f"; name the runs in it, such as {inside[-1].parent}" if inside else ""
        raise TableError(
            f"{path}: no metrics.csv in it; expected the folder of a finished run or sweep{hint}"
        )
    table = _with_own_arms(files[0], tables.read(files[0]))
    return Source(path.resolve().name, table, about, files[0].name == "metrics.csv")


def _check_status(path: Path, about: Mapping[str, Any]) -> None:
    status = about.get("status", "complete")
    if status != "complete":
        raise TableError(f"{path}: the run's status is {status}; run it again to finish it")


def _with_own_arms(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Tell rows of one key apart by the further columns in which a sweep's cells differ."""
    key = list(tables.KEY)
    if not table.duplicated(key).any():
        return table
    whole = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in whole.columns.drop(list(tables.COLUMNS)):
        if whole.groupby(key, sort=False)[column].nunique().max() > 1:
            table = table.assign(arm=table["arm"] + f" {column}=" + whole[column])
    if table.duplicated(key).any():
        twice = dict(table[table.duplicated(key)].iloc[0][key])
        raise TableError(f"{path}: {twice}: twice in the table, so the rows cannot be told apart")
    return table


def instead(path: Path) -> str:
    """Say what a file is that is no results table, and what can be compared in its place."""
    if path.stem.startswith(Path(PUBLISHED).stem):  # published_log.csv, too
        return "the published values themselves: compare a run or a results table with them"
    if command := manifest.read_json(path.with_suffix(".manifest.json")).get("command"):
        return _made_by(command)
    for other in sorted(path.parent.glob("*.manifest.json"), key=lambda p: -len(p.name)):
        stem = other.name.removesuffix(".manifest.json")
        table = other.with_name(f"{stem}.csv")
        if path.is_file() and path.stem.startswith(f"{stem}_") and table.is_file():
            if command := manifest.read_json(other).get("command"):
                return _made_by(command)
            place = display_path(table)
            return f"a summary in a shape of its own; compare {place}, of the same results"
    return ""


def _made_by(command: str) -> str:
    return f"a table in a shape of its own, to be read as it is; made by `{command}`"


def read_published(path: Path | str) -> list[dict[str, Any]]:
    """Read published values as one dict a row; TableError says what is wrong with the file."""
    try:
        # Python's float() is exact; pandas' own is not in every version.
        table = pd.read_csv(path, converters={"value": float}, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise TableError(f"{path}: no table of published values ({error})") from error
    lacking = [column for column in PUBLISHED_COLUMNS if column not in table.columns]
    if lacking:
        raise TableError(f"{path}: lacks {', '.join(lacking)}; a row is {PUBLISHED_COLUMNS}")
    for claim in table["claim"].unique():
        if claim not in ("exact", "context"):
            raise TableError(f"{path}: claim={claim}: expected exact or context")
    return table.to_dict("records")


def differences(sources: list[Source]) -> pd.DataFrame:
    """Return in what runs and tables differ, before their results are compared.

    Returns
    -------
    frame: what (``parameter``, ``data``, ``version``, ``machine``), name, and a column of texts
    for each source, under its label; only rows in which they differ. ``-``: not noted
    """
    of: dict[tuple[str, str], dict[str, str]] = {}

    def note(what: str, source: Source, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            of.setdefault((what, str(name)), {})[source.label] = text

    for source in sources:
        about = source.about
        note("parameter", source, source.parameters or {})
        if "varied" in about:
            note("parameter", source, {"(a sweep over)": ", ".join(about["varied"])})
        note("data", source, source.data)
        git = about.get("git") or {}
        if git.get("commit"):
            commit = git["commit"][:8] + (" with changes" if git.get("dirty") else "")
            note("version", source, {"commit": commit})
        note("version", source, about.get("packages", {}))
        if source.cpu:
            cores = about["machine"].get("cores")
            note("machine", source, {"processor": f"{source.cpu}, {cores} cores"})
    labels = [source.label for source in sources]
    rows = []
    for (what, name), values in of.items():
        optional = what == "version" and name != "commit" and len(values) < len(labels)
        if not optional and len({values.get(label) for label in labels}) > 1:
            rows.append([what, name, *(values.get(label, "-") for label in labels)])
    return pd.DataFrame(rows, columns=["what", "name", *labels])
