"""Run a notebook headlessly, through papermill, into a folder of its own."""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from alutils.base import manifest
from alutils.base.errors import ParameterError, nearest
from alutils.base.files import display_path, repository_root, write_atomically
from alutils.runs.notebook import folders, runs
from alutils.runs.notebook.parameters import Parameter, check, code_of, read_parameters


def execute(
    experiment: str,
    profile: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    output_root: Path | None = None,
) -> Path:
    """Run an experiment's notebook; see `runs.notebook.runs` for what is in its folder afterwards.

    Parameters
    ----------
    experiment : one of `alutils.runs.notebook.names.NOTEBOOKS`
    profile : file in notebooks/profiles, with values of parameters for each experiment
    overrides : values that go before those of the profile
    output_root : where the run's folder is made; results/runs by default

    Raises
    ------
    RunError, ParameterError
        Before any work and before any folder is made: no such experiment, profile or parameter, a
        wrong type or value.
    RunError
        A cell failed, the kernel died, or the notebook did not finish its run. The folder then
        holds executed.ipynb and a manifest with the status ``failed``.
    """
    root = repository_root()
    notebook = runs.notebook_path(experiment, root)
    values = parameters_of(experiment, profile, overrides)
    if experiment == "start":  # imported here: figures take a second to import
        from alutils.experiments.start.person import check_somebody_there

        check_somebody_there(values["classes"], values["out"])
    state = runs.describe(experiment, profile, values, notebook, root)
    folder, lock = folders.claim(output_root or runs.runs_folder(root), state["run_id"])
    try:
        _execute(notebook, folder, state, root)
    finally:
        lock.release()
    return folder


def parameters_of(
    experiment: str, profile: str = "quick", overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return every parameter of a run as `execute` would use it, or raise as it would."""
    parameters = parameters_in(experiment)
    from_profile = profile_values(experiment, profile, parameters, repository_root())
    return check(parameters, from_profile | dict(overrides or {}))


def parameters_in(experiment: str) -> list[Parameter]:
    """Return the parameters of an experiment's notebook."""
    return read_parameters(runs.notebook_path(experiment, repository_root()))


def keep_outputs(experiment: str, folder: Path) -> Path:
    """Put the outputs of a finished run into the notebook itself, to be committed.

    What belongs to the run alone is left out: papermill's cell and notes, progress bars and
    warnings. Cells are numbered as in one clean run.
    """
    notebook = runs.notebook_path(experiment, repository_root())
    content = manifest.read_json(notebook)
    executed = manifest.read_json(folder / "executed.ipynb")
    outputs = {cell["id"]: cell.get("outputs", []) for cell in executed["cells"]}
    number = 0
    for cell in content["cells"]:
        if cell["cell_type"] != "code":
            continue
        number += 1
        cell["execution_count"] = number
        cell["outputs"] = [o for o in outputs[cell["id"]] if o.get("name") != "stderr"]
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = number
    _write_notebook(notebook, content)
    return notebook


def _write_notebook(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
    write_atomically(path, text + "\n")


def profile_values(
    experiment: str, profile: str, parameters: Sequence[Parameter], root: Path
) -> dict[str, Any]:
    """Return what a profile sets for an experiment, checked; {} where it sets nothing."""
    path = root / "notebooks" / "profiles" / f"{profile}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise runs.RunError(f"{profile}: no such profile; {nearest(profile, known)}")
    values = read_parameters_file(path).get(experiment) or {}
    if not isinstance(values, dict):
        raise runs.RunError(f"{path.name}: {experiment}: expected names and values, got {values!r}")
    try:
        check(parameters, values)
    except ParameterError as error:
        raise runs.RunError(f"{path.name}: {experiment}: {error}") from error
    return values


def read_parameters_file(path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values, or raise RunError."""
    values = read_yaml(path, runs.RunError) or {}
    if not isinstance(values, dict):
        raise runs.RunError(f"{path.name}: expected lines 'name: value', got {values!r}")
    return {str(name): value for name, value in values.items()}


def read_yaml(path: Path, refused: type[Exception]) -> Any:
    """Read a YAML file in which no key is written twice, or raise ``refused``."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except FileNotFoundError:
        raise refused(f"{path}: cannot be read: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise refused(f"{path.name}: cannot be read as YAML: {reason}") from error


class _Strict(yaml.SafeLoader):
    """YAML in which no key is written twice: the standard reader keeps the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                line = node.value[i][0].start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {key} is written twice")
        return super().construct_mapping(node, deep)


def _execute(notebook: Path, folder: Path, state: dict[str, Any], root: Path) -> None:
    """Run the notebook in a folder that is ours, and write the manifest whatever happens."""
    folders.clear(folder)
    manifest.write_json(folder / folders.ORDER, state)
    began = time.perf_counter()
    status = "complete"
    error: dict[str, Any] | None = None
    cause: BaseException | None = None
    try:
        _papermill(notebook, folder, state["parameters"], root)
        if _starts_a_run(notebook) and not manifest.read_json(folder / folders.NOTES).get(
            "finished"
        ):
            raise runs.RunError("the notebook ended without run.finish()")
    except KeyboardInterrupt as raised:
        status, cause = "interrupted", raised
    except Exception as raised:
        # Whatever went wrong, papermill's errors and a dead kernel included, is told in the
        # manifest and raised again below.
        status, cause = "failed", raised
        error = {
            "name": getattr(raised, "ename", type(raised).__name__),
            "message": str(getattr(raised, "evalue", raised)).strip(),
            "cell": _last_cell(folder / "executed.ipynb"),
        }
    _tidy_notebook(notebook, folder, state, root)
    runs.write_manifest(folder, state, status, time.perf_counter() - began, error)
    if isinstance(cause, KeyboardInterrupt):
        raise cause
    if error is not None:
        message = (error["message"].splitlines() or [""])[0]
        place = f"code cell {error['cell']} of {display_path(folder)}/executed.ipynb"
        raise runs.RunError(f"{error['name']}: {message} ({place})") from cause


def _starts_a_run(notebook: Path) -> bool:
    """Whether the notebook records results; one that does not is over with its last cell."""
    return "runs.start(" in code_of(notebook)


def _papermill(notebook: Path, folder: Path, values: dict[str, Any], root: Path) -> None:
    """Let papermill run the notebook with this very Python, its output passed on."""
    import papermill

    # Names were checked; papermill warns of good ones too, where it cannot parse their line.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    # It takes paths for templates, so braces are doubled.
    paths = [str(p).replace("{", "{{").replace("}", "}}") for p in (notebook, folder)]
    with tempfile.TemporaryDirectory(prefix="alutils-") as sockets:
        papermill.execute_notebook(
            paths[0],
            f"{paths[1]}/executed.ipynb",
            parameters=values,
            kernel_name="python3",
            language="python",
            progress_bar={"disable": None, "desc": notebook.stem},  # no bar where nobody looks
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            kernel_manager_class=_manager(folder, root, f"{sockets}/kernel"),
        )


def _manager(folder: Path, root: Path, sockets: str) -> type:
    """Return a class that starts kernels of this very Python for the run in this folder."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec
    from traitlets import default

    # An installed kernel called python3 may belong to another environment.
    spec = KernelSpec(
        argv=[
            *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "--IPKernelApp.log_level=50",  # an interrupted kernel logs tracebacks of its own
        ],
        display_name="Python 3",
        language="python",
        metadata=get_kernel_dict().get("metadata", {}),  # says that it can encrypt its messages
        env={
            runs.RUN_FOLDER: str(folder.resolve()),
            "ALUTILS_ROOT": str(root.resolve()),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a warning of the debugger, which nobody uses
        },
    )

    class Manager(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

        @default("transport_encryption")
        def _auto(self) -> str:
            return "auto"

        # Ports of the network are chosen here and taken by the kernel later: of two notebooks that
        # start side by side one may find its port taken, and die. Files in a folder of the run's
        # own belong to nobody else. Windows has none, and the system's limit holds for their paths.

        @default("transport")
        def _transport(self) -> str:
            return "tcp" if os.name == "nt" or len(os.fsencode(sockets)) > 90 else "ipc"

        @default("ip")
        def _ip(self) -> str:
            return sockets if self.transport == "ipc" else "127.0.0.1"

    return Manager


def _last_cell(executed: Path) -> int | None:
    """Return the number, among the code cells, of the last one that was begun; None for none."""
    code = [c for c in manifest.read_json(executed).get("cells", []) if c["cell_type"] == "code"]
    begun = [
        i for i, c in enumerate(code, 1) if c["metadata"].get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else None


def _tidy_notebook(notebook: Path, folder: Path, state: dict[str, Any], root: Path) -> None:
    """Take the machine's paths out of the executed notebook."""
    executed = folder / "executed.ipynb"
    content = manifest.read_json(executed)
    if not content:  # it failed before papermill wrote anything
        return
    papermill = content["metadata"].get("papermill", {})
    papermill["input_path"] = f"notebooks/{notebook.name}"
    papermill["output_path"] = "executed.ipynb"
    content = manifest.without_paths(content, root, state["parameters"].values())
    _write_notebook(executed, content)
