"""The grid file of a sweep: which experiment, with which parameters, how many times.

.. code-block:: yaml

    name: strategies            # names the sweep's folder
    experiment: curve           # one of the registry, or a notebook: mnist, ...
    fixed: {batch: 50, budget: 750}
    grid: {strategy: [random, margin], n_pool: [1000, 4000]}    # every combination
    seeds: 20                   # 0 to 19, or a list; the parameter `seed`

``fixed`` may be left out. A notebook's sweep may name a ``profile`` (quick by default); its values
stand in for the notebook's. `read` checks all of it before any work. A cell is one combination with
one seed.
"""

import ast
import functools
import importlib.util
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from alutils.base import files, manifest
from alutils.base.errors import ParameterError, nearest
from alutils.experiments.base import Experiment
from alutils.runs.notebook import headless, runs
from alutils.runs.notebook.parameters import Parameter, check, read_parameters
from alutils.runs.notebook.parameters import code_of as source_of
from alutils.stats import tables

REQUIRED = ("name", "experiment", "grid", "seeds")
KEYS = (*REQUIRED, "fixed", "profile")


class GridError(ValueError):
    """A grid file that cannot be used."""


@dataclass(frozen=True)
class Swept:
    """What every cell of a sweep does.

    Attributes
    ----------
    name : of `alutils.experiments.registry.EXPERIMENTS` or `alutils.runs.notebook.runs.NOTEBOOKS`
    experiment : without what only publishing needs; None for a notebook
    parameters : with their types and defaults
    profile : whose values stand in for a notebook's defaults
    code : hash of what the results depend on
    """

    name: str
    experiment: Experiment | None
    parameters: tuple[Parameter, ...]
    profile: str
    code: str


@dataclass(frozen=True)
class Cell:
    """One run of the experiment: every parameter as used, and a name made from them."""

    id: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """A sweep: its cells, in the order of the file.

    Attributes
    ----------
    name : of the file
    swept : what a cell does
    varied : names of the parameters of ``grid``
    cells : all different
    """

    name: str
    swept: Swept
    varied: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def id(self) -> str:
        """Name of the sweep's folder: the same for the same cells, in whatever order."""
        return f"{self.name}-{manifest.digest(*sorted(cell.id for cell in self.cells))[:10]}"


def read(path: Path, fixed: Mapping[str, Any] | None = None) -> Grid:
    """Read and check a grid file.

    Parameters
    ----------
    path : a YAML file, as above
    fixed : values that go before the file's own under ``fixed``

    Raises
    ------
    GridError, ParameterError, RunError
        For a file that cannot be read as YAML, keys that are unknown, missing or written twice,
        an unknown experiment or parameter, values that are of a wrong type, given twice or not
        allowed, and nothing to do.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except FileNotFoundError:
        raise GridError(f"{path}: no such file; expected a grid file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise GridError(f"{path.name}: cannot be read as YAML: {reason}") from error
    return parse(content, fixed)


def parse(content: Any, fixed: Mapping[str, Any] | None = None) -> Grid:
    """Check what a grid file holds; see `read`."""
    if not isinstance(content, Mapping):
        raise GridError(f"grid file: expected lines 'key: value' ({', '.join(KEYS)})")
    for key, value in content.items():
        if key not in KEYS:
            raise ParameterError(str(key), value, "a grid file has no such key", nearest(key, KEYS))
    for key in REQUIRED:
        if key not in content:
            raise GridError(f"{key}: missing from the grid file; it needs {', '.join(REQUIRED)}")
    name = content["name"]
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise ParameterError("name", name, "expected letters, digits, _ and -; it names a folder")
    if not isinstance(content["experiment"], str):
        raise ParameterError("experiment", content["experiment"], "expected a name")
    fixed, grid = _mapping(content, "fixed") | dict(fixed or {}), _mapping(content, "grid")
    swept = find(content["experiment"], str(content.get("profile", "quick")))
    if swept.experiment is not None and "profile" in content:
        raise ParameterError("profile", content["profile"], "only notebooks have profiles")
    seeds = _seeds(content["seeds"])
    known = {parameter.name: parameter for parameter in swept.parameters}
    for key, value in itertools.chain(fixed.items(), grid.items()):
        if key == "seed":
            raise ParameterError("seed", value, "seeds are given by the key 'seeds' alone")
        if key not in known:
            about = f"{swept.name} has no such parameter"
            raise ParameterError(key, value, about, nearest(key, known))
        if key in fixed and key in grid:
            raise ParameterError(key, value, "in both 'fixed' and 'grid'", "keep one of the two")
    if "seed" not in known:
        raise GridError(f"{swept.name}: it has no parameter 'seed', so it cannot be swept")
    if not grid:
        raise GridError("grid: it is empty; give at least one parameter with its values")
    lists = [_values(known[key], values) for key, values in grid.items()]
    base = _profile(swept) | fixed
    combinations = itertools.product(*lists, seeds)
    names = (*grid, "seed")
    cells = [_cell(swept, base | dict(zip(names, c, strict=True))) for c in combinations]
    return Grid(name, swept, tuple(grid), tuple(cells))


def find(name: str, profile: str = "quick") -> Swept:
    """Return what a sweep of an experiment does, by the experiment's name.

    Raises
    ------
    GridError
        There is none of that name; the nearest one is named.
    """
    # All experiments take seconds to import, and workers need only their own.
    from alutils.experiments.registry import EXPERIMENTS

    if name in EXPERIMENTS:
        experiment = replace(EXPERIMENTS[name], summarise=None, figures=None)
        return Swept(name, experiment, parameters_of(experiment), "", code_of(experiment))
    if name not in runs.NOTEBOOKS:
        known = [*EXPERIMENTS, *runs.NOTEBOOKS]
        raise GridError(f"experiment={name}: no such experiment; {nearest(name, known)}")
    notebook = runs.notebook_path(name, files.repository_root())
    return Swept(name, None, tuple(read_parameters(notebook)), profile, notebook_code(name))


def parameters_of(experiment: Experiment) -> tuple[Parameter, ...]:
    """Return the parameters of an experiment, from the fields of its settings."""
    for field in fields(experiment.settings):
        if field.default is MISSING:
            raise GridError(
                f"{experiment.name}: {field.name}: expected a setting 'name: type = default'"
            )
    return tuple(
        Parameter(field.name, _type_name(field.type), field.default)
        for field in fields(experiment.settings)
    )


def _type_name(annotation: Any) -> str:
    """Return a type as it is written; it is text already where annotations are not evaluated."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def code_of(experiment: Experiment) -> str:
    """Hash what the rows of an experiment depend on: see `code`."""
    return code(experiment.run.__module__)


@functools.cache
def code(module: str) -> str:
    """Hash the source of a module and of all of this package that it imports, at any depth.

    Imports inside functions count, names that are put together at run time do not. A room's
    ``__init__`` counts only where a name is taken from it that is not a module: else it would stand
    for the whole room. Less than `alutils.base.manifest.code_hash`, so that a change to the
    labelling tool, or to a figure, does not make a sweep due again.
    """
    package = __name__.partition(".")[0]
    sources: dict[str, bytes] = {}
    todo = [module, tables.__name__]
    while todo:
        name = todo.pop()
        if name in sources or not (path := _source(name)):
            continue
        sources[name] = path.read_bytes()
        for node in ast.walk(ast.parse(sources[name])):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                todo += [name for name in names if name.partition(".")[0] == package]
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if module.partition(".")[0] == package:
                    whole = [f"{module}.{alias.name}" for alias in node.names]
                    todo += [name if _source(name) else module for name in whole]
    return manifest.digest(*(part for name in sorted(sources) for part in (name, sources[name])))


def notebook_code(experiment: str) -> str:
    """Hash a notebook's code and the whole package, as its runs do."""
    notebook = runs.notebook_path(experiment, files.repository_root())
    return manifest.code_hash(source_of(notebook))


def _source(name: str) -> Path | None:
    """Return the file of a module; None where the name is not one (a function in a module)."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _profile(swept: Swept) -> dict[str, Any]:
    if swept.experiment is not None:
        return {}
    root = files.repository_root()
    return headless.profile_values(swept.name, swept.profile, list(swept.parameters), root)


def _mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(key, value, "expected names and values, as in {batch: 30}")
    return {str(name): item for name, item in value.items()}


def _seeds(given: Any) -> list[int]:
    """Return the seeds: the first so many, or those listed."""
    expected = "expected how many (1 or more), or a list of different whole numbers from 0 on"
    seeds = list(range(given)) if type(given) is int else given
    if not isinstance(seeds, list) or not seeds or any(type(s) is not int or s < 0 for s in seeds):
        raise ParameterError("seeds", given, expected)
    if len(set(seeds)) != len(seeds):
        raise ParameterError("seeds", given, "a seed is given twice")
    return seeds


def _values(parameter: Parameter, given: Any) -> list[Any]:
    """Return the values of one parameter of the grid, converted."""
    name = parameter.name
    if not isinstance(given, list):
        raise ParameterError(name, given, "expected a list of values in 'grid'", "or put it there "
                             "in square brackets, or under 'fixed'")  # fmt: skip
    if not given:
        raise GridError(f"{name}: its list in 'grid' is empty; give at least one value")
    plain = Parameter(name, parameter.type, parameter.default)  # limits may need the other values
    values = [check([plain], {name: value})[name] for value in given]
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ParameterError(name, given[i], "the value is twice in the grid", "remove one")
    return values


def _cell(swept: Swept, given: Mapping[str, Any]) -> Cell:
    values = check(swept.parameters, given)
    if swept.experiment is not None:
        swept.experiment.settings(**values)  # raises for what cannot be run
    plain = json.loads(json.dumps(values))
    identity = manifest.digest(swept.name, json.dumps(plain, sort_keys=True))
    return Cell(identity[:12], plain)


class _Strict(yaml.SafeLoader):
    """YAML in which no key is written twice: the standard reader keeps the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                line = node.value[i][0].start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {key} is written twice")
        return super().construct_mapping(node, deep)
