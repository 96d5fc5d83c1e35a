"""Runs: one execution of a notebook, its folder, its table, its manifest.

Inside a notebook::

    from alutils import runs

    run = runs.start("mnist", globals())   # checked parameters, a folder
    run.show(finding)                      # figure, sentence, rows of the results table
    run.finish()                           # writes metrics.csv

From outside, `alutils.runs.notebook.headless.execute` (``python -m alutils run``) runs a notebook
by papermill. A run's folder is ``results/runs/<experiment>-<profile>-<hash of all parameters>``. It
holds ``metrics.csv``, ``figures/``, ``parts/``, ``executed.ipynb`` and, written last,
``manifest.json``: without it the run is not over, and the next run with the same parameters goes on
in its folder.
"""

import copy
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from alutils.base import files, manifest, surfaces
from alutils.base.content import content_digest
from alutils.base.tensorflow import settle_keras
from alutils.experiments.base import Finding
from alutils.runs.notebook import folders, shown
from alutils.runs.notebook.names import NOTEBOOKS as NOTEBOOKS
from alutils.runs.notebook.names import RunError, notebook_path
from alutils.runs.notebook.parameters import check, code_of, from_namespace, read_parameters
from alutils.stats import tables

RUN_FOLDER = "ALUTILS_RUN_DIR"  # set by `headless.execute` for the notebook's kernel


@dataclass
class Run:
    """One execution of one experiment's notebook; made by `start`."""

    experiment: str
    profile: str
    id: str  # the same for every run with the same parameters
    folder: Path  # its name is the id, with ``-2`` and so on when it was run again
    parameters: dict[str, Any]  # every one, as used
    code: str  # hash of the notebook's code and the package
    _state: dict[str, Any]  # what `describe` found: the manifest's beginning
    _ordered: bool  # whether `headless.execute` runs the notebook, and writes the manifest
    _lock: FileLock | None = None
    vocabulary: tables.Vocabulary = tables.NO_NAMES  # the experiment's own names
    _namespace: Mapping[str, Any] = field(default_factory=dict)  # the notebook's globals()
    _tables: list[pd.DataFrame] = field(default_factory=list)
    _notes: dict[str, Any] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)  # see `shown.reference`
    _began: float = field(default_factory=time.perf_counter)

    def __repr__(self) -> str:  # shown in notebooks, so no folder of the machine
        return f"Run({self.folder.name})"

    @property
    def parts(self) -> Path:
        """The folder for kept parts of these parameters and this very code; made if need be."""
        folder = self.folder / "parts" / manifest.digest(self.id, self.code)[:12]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def record(self, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """Add rows to the results table.

        Parameters
        ----------
        rows : in the long format of `alutils.stats.tables.COLUMNS`. ``run_id`` and ``experiment``
            are filled in; ``seed`` defaults to the parameter of that name (or 0), ``round`` and
            ``n_auto`` to 0. Recording a key again (a cell run twice) replaces its row.

        Returns
        -------
        the rows, complete

        Raises
        ------
        TableError
            See `alutils.stats.tables.tidy`; also for wall times, which `keep` notes: two runs
            with the same parameters write the same table, byte for byte.
        """
        self._check_parameters()
        frame = pd.DataFrame(rows).drop(columns=["run_id", "experiment"], errors="ignore")
        frame = tables.tidy(
            frame, self.vocabulary, run_id=self.id, experiment=self.experiment,
            seed=self.parameters.get("seed", 0), round=0, n_auto=0,
        )  # fmt: skip
        if (frame["metric"] == "wall_s").any():
            raise tables.TableError(
                "metric=wall_s: times differ from run to run; run.keep notes them in the manifest"
            )
        self._tables.append(frame)
        return frame

    @property
    def table(self) -> pd.DataFrame:
        """All rows recorded so far."""
        if not self._tables:
            return pd.DataFrame(columns=list(tables.COLUMNS))
        together = pd.concat(self._tables, ignore_index=True)
        return together.drop_duplicates(list(tables.KEY), keep="last")

    def show(self, finding: Finding) -> shown.Shown:
        """Record a finding's rows, save its figure and tables; shows itself as a cell's last line.

        Beside a finding of another profile than the full one stands what the reference run found,
        where results/ has it: see `alutils.runs.notebook.shown.reference`. Its settings are said
        beside the first one.
        """
        self._check_parameters()
        if len(finding.rows):
            self.record(finding.rows)
        for name, frame in finding.tables.items():
            self.save_table(frame, name)
        png = shown.save(self.folder, finding)
        about = None
        if self.profile != "full" and finding.name:
            about = shown.reference(self.experiment, finding, self.parameters, self._told)
        return shown.Shown(png, finding, about)

    def save_table(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """Write a table of its own shape to ``tables/<name>.csv`` and return it.

        What ``python -m alutils reference`` publishes from a full run as ``results/<name>.csv``.
        """
        shown.check_name(name)
        text = frame.to_csv(index=False, lineterminator="\n")
        files.write_atomically(self.folder / "tables" / f"{name}.csv", text)
        return frame

    def keep(
        self, function: Callable[..., Any], *arguments: Any, frames: int = 1, **named: Any
    ) -> Any:
        """Return ``function(*arguments, **named)``, or what it returned before this run was killed.

        Parameters
        ----------
        function : of a module; returns a frame with a plain index or, with ``frames`` of two and
            more, a tuple of so many
        arguments, named : all that the result depends on besides the code: the parts' key holds
            their contents (see `alutils.base.content`), so that other values are another part

        Returns
        -------
        the same, with the same values and types bit for bit, computed or read back
        """
        self._check_parameters()
        key = content_digest(function, arguments, named)
        short = getattr(function, "func", function).__name__.strip("_")  # of a partial, too
        paths = [self.parts / f"{short}-{key[:12]}-{number}.csv" for number in range(frames)]
        kept = [tables.read_part(path, key) for path in paths]
        if any(frame is None for frame in kept):
            began = time.perf_counter()
            result = function(*arguments, **named)
            timings = self._notes.get("timings_s", {})
            took = timings.get(short, 0.0) + time.perf_counter() - began
            self._note("timings_s", timings | {short: round(took, 4)})
            for path, frame in zip(paths, [result] if frames == 1 else result, strict=True):
                tables.write_part(path, key, frame)
            kept = [tables.read_part(path, key) for path in paths]
        else:
            self._note("parts_reused", self._notes.get("parts_reused", 0) + frames)
        return kept[0] if frames == 1 else tuple(kept)

    def uses(self, **inputs: Any) -> None:
        """Note in the manifest what a run works on: data sets, and plans of feature extractors."""
        noted = self._notes.get("inputs", {})
        for name, value in inputs.items():
            if hasattr(value, "content_hash"):
                sha256, about = value.content_hash(), value.provenance
            else:
                sha256, about = value.weights_sha256, str(value)
            noted = noted | {name: {"sha256": sha256, "provenance": about}}
        self._note("inputs", noted)

    def finish(self) -> Path:
        """Write metrics.csv and, run by hand, the manifest; return the folder."""
        self._check_parameters()
        if (table := self.table).empty:
            raise RunError(f"{self.experiment}: nothing was recorded; call run.record first")
        files.write_atomically(self.folder / "metrics.csv", tables.as_csv(table))
        self._notes["seeds"] = sorted(int(seed) for seed in table["seed"].unique())
        self._notes["peak_memory_mib"] = manifest.peak_memory_mib()
        self._note("finished", True)
        if not self._ordered:
            write_manifest(self.folder, self._state, "complete", time.perf_counter() - self._began)
            print(f"This run is in {files.display_path(self.folder)}")
            if self._lock is not None:
                self._lock.release()
                self._lock = None
        return self.folder

    def _check_parameters(self) -> None:
        """Raise RunError where the notebook's parameters are no longer those of this run."""
        for name, value in self.parameters.items():
            now = self._namespace.get(name, value)
            if type(now) is not type(value) or now != value:
                raise RunError(
                    f"{name} changed from {value!r} to {now!r} after this run began, and a run has "
                    "one set of parameters: run the notebook again from its first cell (in "
                    "Jupyter: Run, Run All Cells)"
                )

    def _note(self, name: str, value: Any) -> None:
        """Keep the notes on disk too: a run that fails later still has them in its manifest."""
        self._notes[name] = value
        manifest.write_json(self.folder / folders.NOTES, self._notes)


def start(
    experiment: str,
    namespace: dict[str, Any] | None = None,
    vocabulary: tables.Vocabulary = tables.NO_NAMES,
) -> Run:
    """Start the run of a notebook, from within it.

    Parameters
    ----------
    namespace : the notebook's ``globals()``. Its parameters are checked and converted *in place*,
        so that ``flag``, which papermill set to the text "false", is False from here on. None takes
        the defaults.
    vocabulary : names of protocols and metrics in its rows, besides those of all experiments

    Returns
    -------
    the `Run`; its folder is the one that ``python -m alutils run`` chose, else the one that the
    environment variable ALUTILS_RUN_DIR names, else a new one in results/runs

    Raises
    ------
    ParameterError
        See `alutils.runs.notebook.parameters.from_namespace` and
        `alutils.base.tensorflow.settle_keras`.
    """
    settle_keras()
    root = files.repository_root()
    notebook = notebook_path(experiment, root)
    parameters = read_parameters(notebook)
    values = check(parameters, {}) if namespace is None else from_namespace(parameters, namespace)
    if namespace is not None:
        namespace.update(values)
    given = os.environ.get(RUN_FOLDER)
    state = manifest.read_json(Path(given) / folders.ORDER) if given else {}
    ordered, lock = bool(state), None
    surfaces.speak((surfaces.run if ordered else surfaces.notebook)(values))
    folder = Path(given or runs_folder(root))
    if ordered:
        if state["experiment"] != experiment or state["parameters"] != _plain(values):
            raise RunError(
                f"{experiment}: the notebook changed its experiment or parameters before "
                "runs.start; only the parameters cell may set them"
            )
    else:
        state = describe(experiment, "interactive", values, notebook, root)
        if given:
            folder.mkdir(parents=True, exist_ok=True)
            # A run is over when its manifest is there: an earlier run's would speak for this one.
            for name in ("manifest.json", "metrics.csv"):
                (folder / name).unlink(missing_ok=True)
        else:
            folder, lock = folders.claim(folder, state["run_id"], own=True)
            folders.clear(folder)
    # Its own copy: a list that the notebook changes in place is noticed, too.
    identity = state["profile"], state["run_id"], folder, copy.deepcopy(values), state["code"]
    return Run(experiment, *identity, state, ordered, lock, vocabulary, namespace or {})


def describe(
    experiment: str, profile: str, values: dict[str, Any], notebook: Path, root: Path
) -> dict[str, Any]:
    """Return what is known of a run before it starts: its id, parameters, code and environment."""
    plain = _plain(values)
    identity = manifest.digest(experiment, json.dumps(plain, sort_keys=True))
    return {
        "run_id": f"{experiment}-{profile}-{identity[:10]}",
        "experiment": experiment,
        "profile": profile,
        "parameters": plain,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "code": manifest.code_hash(code_of(notebook)),
        "git": manifest.git_state(root),
        "packages": manifest.packages(),
        "machine": manifest.machine(),
    }


def runs_folder(root: Path) -> Path:
    """Return the folder in which runs are kept unless another is asked for."""
    return root / "results" / "runs"


def write_manifest(
    folder: Path,
    state: Mapping[str, Any],
    status: str,
    seconds: float,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Write manifest.json from what was known at the start and the notebook's notes.

    The last file of a run: its being there, whole, with the status ``complete`` is what says that
    the run ended well; the other statuses are ``failed`` and ``interrupted``.
    """
    notes = manifest.read_json(folder / folders.NOTES)
    notes.pop("finished", None)
    content = {**state, **notes, "status": status, "wall_s": round(seconds, 2)}
    if error:
        content["error"] = dict(error)
    given = state["parameters"].values()
    content = manifest.without_paths(content, files.repository_root(), given)
    manifest.write_json(folder / "manifest.json", content)
    for name in (folders.NOTES, folders.ORDER):
        (folder / name).unlink(missing_ok=True)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON gives them back: tuples as lists."""
    return json.loads(json.dumps(dict(values)))
