"""The long table that every experiment writes, and the parts that let a killed run go on."""

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alutils.base.errors import nearest
from alutils.base.files import write_atomically
from alutils.stats.metrics import CLASSIFICATION

COLUMNS = (
    "run_id", "experiment", "protocol", "arm", "seed", "round",
    "n_human", "n_auto", "split", "metric", "value", "n_eval",
)  # fmt: skip
INTEGERS = ("seed", "round", "n_human", "n_auto", "n_eval")
# One value each; a later record of the same key replaces the earlier one.
KEY = ("experiment", "protocol", "arm", "seed", "round", "split", "metric")

PROTOCOLS = ("published", "sound", "better")
"""The three layers of truth, which every experiment may have."""
SPLITS = ("test", "test_all", "validation", "pool", "audit")
METRICS = (
    "n_right", *CLASSIFICATION, "share_unsure", "share_human", "auto_coverage", "auto_precision",
    "auto_wrong", "n_moved", "labels_to_reach", "wall_s",
)  # fmt: skip
"""What every experiment may measure."""


COUNTED = ("n_right", "auto_wrong")
"""Counts out of the row's ``n_eval``: over different numbers they compare as shares only."""
_COUNTS = ("n_", "labels_", "wrong_", "human_answers")  # how other counts' names begin
_FROM_0_TO_1 = (
    "accuracy", "balanced_accuracy", "precision_", "recall_", "f1_", "share_", "auto_coverage",
    "auto_precision", "suspects_", "certified", "broken", "untrue", "accept_chance",
)  # fmt: skip


def is_count(metric: str) -> bool:
    """Whether a metric counts something, so that its values of one seed are whole numbers."""
    return metric in COUNTED or metric.startswith(_COUNTS)


def bounds(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a metric can have."""
    if metric == "mcc":
        return -1.0, 1.0
    if metric.startswith(_FROM_0_TO_1):
        return 0.0, 1.0
    return (0.0 if is_count(metric) or metric == "wall_s" else -math.inf), math.inf


@dataclass(frozen=True)
class Vocabulary:
    """Names in the rows of one experiment, besides `PROTOCOLS` and `METRICS`."""

    protocols: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


NO_NAMES = Vocabulary()


class TableError(ValueError):
    """A table that is not in the long format, or a file that is no table."""


def tidy(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    vocabulary: Vocabulary = NO_NAMES,
    **defaults: Any,
) -> pd.DataFrame:
    """Check rows in the long format and put them in its columns and types.

    Parameters
    ----------
    vocabulary : the experiment's own names
    defaults : values of columns that the rows lack

    Returns
    -------
    (n_rows, 12) frame: strings, int64 and, for ``value``, float64, NaN where undefined

    Raises
    ------
    TableError
        A column missing or unknown, a name that is not in the lists above nor in the vocabulary, a
        count that is no integer, an infinite value, a key twice.
    """
    table = pd.DataFrame(rows).reset_index(drop=True)
    for column in table.columns:
        if column not in COLUMNS:
            raise TableError(f"{column}: no such column; {nearest(str(column), COLUMNS)}")
    table = table.assign(**{name: v for name, v in defaults.items() if name not in table.columns})
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise TableError(f"{', '.join(missing)}: column missing from the rows of a results table")
    names = {"protocol": PROTOCOLS + vocabulary.protocols, "split": SPLITS}
    names["metric"] = METRICS + vocabulary.metrics
    for column, known in names.items():
        for name in table[column].unique():
            if name not in known:
                raise TableError(f"{column}={name}: no such {column}; {nearest(str(name), known)}")
    for column in INTEGERS:
        table[column] = _numbers(table, column)
        if not (table[column] % 1 == 0).all():
            raise TableError(f"{column}: expected whole numbers in every row")
        if (table[column] < 0).any():
            raise TableError(f"{column}={table[column].min()}: expected 0 or more")
        table[column] = table[column].astype("int64")
    table["value"] = _numbers(table, "value").astype("float64")
    if table["value"].abs().eq(float("inf")).any():
        raise TableError("value=inf: expected a finite number, or nan where it is undefined")
    table = table[list(COLUMNS)].astype({c: str for c in COLUMNS if c not in (*INTEGERS, "value")})
    twice = table[table.duplicated(list(KEY))]
    if len(twice):
        raise TableError(f"{dict(twice.iloc[0][list(KEY)])}: twice in the same rows")
    return table


def long_rows(table: pd.DataFrame, arms: Iterable[str], **columns: Any) -> pd.DataFrame:
    """Turn a table with a column for each metric into rows in the long format.

    Parameters
    ----------
    table : columns named as `METRICS`, or ``metric@t`` where it depends on a threshold t; of the
        others, counts and seeds (`INTEGERS`) are kept
    arms : (n_rows,) names of the rows; what depends on a threshold t has ``@t`` behind its name
    columns : values of columns that are the same in every row (protocol, split, n_human, seed)
    """
    columns |= {name: table[name].to_numpy() for name in INTEGERS if name in table}
    frames = []
    for column in table.columns:
        metric, at, threshold = column.partition("@")
        if metric in METRICS:
            names = [f"{arm}{at}{threshold}" for arm in arms]
            row = {"arm": names, "metric": metric, "value": table[column].to_numpy()}
            frames.append(pd.DataFrame(row | columns))
    return pd.concat(frames, ignore_index=True)


def seconds(table: pd.DataFrame, timings: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a sweep's ``timings``, a row a cell, as rows of the metric ``wall_s``, with names."""
    cells = table[["run_id", *names]].drop_duplicates()
    took = timings[["run_id", "wall_s"]].merge(cells, on="run_id", validate="one_to_one")
    return took.rename(columns={"wall_s": "value"}).assign(metric="wall_s")


def as_csv(table: pd.DataFrame) -> str:
    """Return a results table as CSV: sorted by its key, floats to the last bit."""
    return table.sort_values(list(KEY), kind="stable").to_csv(
        index=False, lineterminator="\n", na_rep="nan"
    )


def read(path: Path) -> pd.DataFrame:
    """Read a results table; TableError says why a file is none."""
    if path.suffix == ".ipynb":
        raise TableError(
            f"{path}: a notebook, not a table; give its run's folder, which its last cell names"
        )
    try:
        table = pd.read_csv(path, dtype={"run_id": str, "arm": str, "value": str})
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; name a run's folder or a results table") from None
    except ValueError as error:  # pandas' own errors and wrong encodings are ValueErrors
        raise TableError(f"{path}: not a table ({error}); expected CSV") from error
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise TableError(
            f"{path}: not a results table, it lacks {', '.join(missing)}; "
            f"expected the columns {', '.join(COLUMNS)}"
        )
    for column in (*INTEGERS, "value"):
        try:
            table[column] = _numbers(table, column)
        except TableError as error:
            raise TableError(f"{path}: {error}") from None
    return table[list(COLUMNS)]


def write_part(path: Path, key: Any, frame: pd.DataFrame) -> None:
    """Write a frame so that `read_part` can tell whether it is whole, and give it back exactly.

    Raises
    ------
    TableError
        The frame does not come back as it went: an index, mixed or nested values, missing strings.
    """
    body = frame.to_csv(index=False, lineterminator="\n", na_rep="nan").encode()
    types = {str(column): str(dtype) for column, dtype in frame.dtypes.items()}
    head = {"key": key, "types": types, "sha256": hashlib.sha256(body).hexdigest()}
    line = f"# {json.dumps(head)}\n".encode()
    try:
        pd.testing.assert_frame_equal(_parse(head, body), frame, check_exact=True)
    except (AssertionError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise TableError(f"{path.name}: the part does not survive as CSV: {reason}") from error
    write_atomically(path, line + body)


def read_part(path: Path, key: Any) -> pd.DataFrame | None:
    """Read back a part; None where there is none, it is damaged, or it is of another key."""
    try:
        line, _, body = path.read_bytes().partition(b"\n")
        head = json.loads(line.removeprefix(b"# "))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(head, dict) and head.get("sha256") == hashlib.sha256(body).hexdigest()
    same = whole and head.get("key") == json.loads(json.dumps(key))  # a tuple comes back as a list
    return _parse(head, body) if same else None


def _parse(head: dict[str, Any], body: bytes) -> pd.DataFrame:
    floats = {name: dtype for name, dtype in head["types"].items() if dtype.startswith("float")}
    return pd.read_csv(
        io.BytesIO(body),
        dtype={name: dtype for name, dtype in head["types"].items() if name not in floats},
        converters=dict.fromkeys(floats, float),  # exact, as pandas' own is not in every version
        keep_default_na=False,
        skip_blank_lines=False,
    ).astype(floats)


def _numbers(table: pd.DataFrame, column: str) -> pd.Series:
    try:
        if column == "value":  # Python's float() is exact, pandas' own not in every version
            return table[column].map(float)
        return pd.to_numeric(table[column])
    except (ValueError, TypeError) as error:
        raise TableError(f"{column}: expected a number in every row ({error})") from None
