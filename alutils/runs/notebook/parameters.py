"""The parameters of a notebook: read from its tagged cell, checked, converted.

A notebook has one cell tagged ``parameters`` with lines ``name: type = default  # help``. The help
may end in a limit in square brackets, which is checked:

==============================  ======================================================
``[1..]``, ``[..1]``, ``[0..1]``  a range, both ends allowed
``[>= 1]``, ``[> 0, <= 1]``       comparisons, all of which must hold
``[1..n_train]``                a bound may be another parameter of the same cell
``[one of: mnist, az]``         a choice
==============================  ======================================================

Prefer ``1..`` to ``>= 1``: papermill's own reader drops a line with two equal signs and then warns,
wrongly, that the parameter is unknown. It warns likewise of ``str | None``. Both are harmless.

What is checked where: `check` (behind ``python -m alutils run``) refuses unknown names, wrong types
and broken limits before any work. `from_namespace` (behind ``runs.start`` inside a notebook) checks
types and limits of what the cell's names hold now, and refuses unknown names that papermill
injected, which it finds in IPython's history of executed cells. A name misspelt by hand in a
Jupyter cell is an ordinary Python variable and is not caught.
"""

import ast
import difflib
import io
import json
import logging
import math
import numbers
import operator
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alutils.base.errors import ParameterError, nearest

_log = logging.getLogger("alutils")

SCALARS = {"int": int, "float": float, "str": str, "bool": bool}
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NONES = {"none", "null", "~"}
SIGNS = {
    ">=": (operator.ge, "at least"), ">": (operator.gt, "more than"),
    "<=": (operator.le, "at most"), "<": (operator.lt, "less than"),
}  # fmt: skip
RENAMED = {("data", "embedded"): "mnist_article"}
"""Values that have another name now: by parameter and old name, the one that `load` takes."""
INJECTED = "# Parameters"  # the first line of the cell that papermill injects

_TYPE = re.compile(r"(?:(?P<container>tuple|list)\[)?(?P<scalar>\w+)(?:, \.\.\.)?\]?( \| None)?")
_LIMIT = re.compile(r"\[([^\[\]]*)\]\s*$")
_BOUND = r"[-+]?[\w.]*\w"
_RANGE = re.compile(rf"(?P<low>{_BOUND})?\s*\.\.\s*(?P<high>{_BOUND})?")
_COMPARISON = re.compile(rf"(>=|<=|>|<)\s*({_BOUND})")


class NotebookError(ValueError):
    """A notebook whose parameters cell cannot be read: a fault of the notebook, not of a value."""


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    type: str  # one of SCALARS, or tuple[int, ...], list[float] and so on; any of them | None
    default: Any
    help: str = ""
    limit: str = ""  # what stood in square brackets at the end of the help

    def __post_init__(self) -> None:
        self._match()
        _read_limit(self)

    def _match(self) -> re.Match[str]:
        match = _TYPE.fullmatch(self.type)
        if match is None or match["scalar"] not in SCALARS:
            raise NotebookError(
                f"{self.name}: {self.type}: a parameter's type is one of {', '.join(SCALARS)}, "
                "a tuple[..., ...] or list[...] of these, and may end in ' | None'"
            )
        return match

    @property
    def scalar(self) -> str:
        return self._match()["scalar"]

    @property
    def container(self) -> Callable[[Iterable[Any]], Any] | None:
        return {"tuple": tuple, "list": list}.get(self._match()["container"])

    @property
    def optional(self) -> bool:
        return self.type.endswith("| None")

    @property
    def expected(self) -> str:
        return f"expected {self.type}" + (f" [{self.limit}]" if self.limit else "")


def read_parameters(notebook: Path | str) -> list[Parameter]:
    """Read the parameters cell of an .ipynb file: a `Parameter` for each line, in their order.

    Raises
    ------
    NotebookError
        The file is no notebook, has no or several cells tagged ``parameters``, or a line of the
        cell is not ``name: type = default  # help``, or a limit cannot be read.
    ParameterError
        A default breaks its own type or limit.
    """
    # Plain JSON: importing nbformat takes a second, and nothing else of it is needed.
    cells = [source for source, tags in _code_cells(notebook) if "parameters" in tags]
    if len(cells) != 1:
        raise NotebookError(
            f"{Path(notebook).name}: {len(cells)} cells are tagged 'parameters', expected one"
        )
    return parse_cell(cells[0])


def code_of(notebook: Path | str) -> str:
    """Return the source of all code cells, joined: what a run of the notebook does."""
    return "\n\n".join(source for source, _ in _code_cells(notebook))


def parse_cell(source: str) -> list[Parameter]:
    """Parse the source of a parameters cell; see `read_parameters`."""
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    parameters = []
    for line in ast.parse(source).body:
        match line:
            case ast.AnnAssign(ast.Name(name), kind, ast.expr() as default):
                text = comments.get(line.end_lineno or line.lineno, "")
                limit = _LIMIT.search(text)
                about = (text[: limit.start()], limit[1]) if limit else (text, "")
                values = ast.unparse(kind), ast.literal_eval(default), *map(str.strip, about)
                parameters.append(Parameter(name, *values))
            case _:
                raise NotebookError(
                    f"parameters cell, line {line.lineno}: {ast.unparse(line)}: "
                    "expected 'name: type = default  # help'"
                )
    check(parameters, {})  # a default that breaks its own limit is a fault of the notebook
    return parameters


def check(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check and convert what was given; fill in the defaults.

    Parameters
    ----------
    given : values by name, as Python values or as the text of a command line or YAML file

    Returns
    -------
    the value of every parameter as it will be used, in the order of `parameters`

    Raises
    ------
    ParameterError
        An unknown name (with the nearest one), a wrong type, a value outside its limit.
    """
    names = [parameter.name for parameter in parameters]
    for name, value in given.items():
        if name not in names:
            raise ParameterError(name, value, "there is no such parameter", nearest(name, names))
    values = {p.name: _renamed(p, _convert(p, given.get(p.name, p.default))) for p in parameters}
    defaults = {parameter.name: parameter.default for parameter in parameters}
    for parameter in parameters:
        _check_limit(parameter, values, defaults)
    return values


def described(parameters: Sequence[Parameter], used: Mapping[str, Any], width: int) -> str:
    """Return a text that lists parameters with type, value, default, limit and help.

    Parameters
    ----------
    used : the value of each, which a profile may have set; others than the defaults are marked
    width : of a line, in characters
    """
    lines = []
    for parameter in parameters:
        value = used[parameter.name]
        line = f"  {parameter.name}: {parameter.type} = {value!r}"
        if value != parameter.default:
            line += f" (default {parameter.default!r})"
        about = parameter.help + (f" [{parameter.limit}]" if parameter.limit else "")
        indent = " " * 6
        lines += [
            line,
            *textwrap.wrap(about, width, initial_indent=indent, subsequent_indent=indent),
        ]
    return "\n".join(lines) + "\n"


def from_namespace(parameters: Sequence[Parameter], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a notebook's own names hold, after papermill or a person has set them.

    As `check`; a parameter may also be missing from ``globals()`` because its cell has not run.
    """
    missing = [p.name for p in parameters if p.name not in namespace]
    if missing:
        raise ParameterError(
            missing[0], None, "the notebook holds no such name", "run the parameters cell first"
        )
    given = injected(namespace.get("In", ())) | {p.name: namespace[p.name] for p in parameters}
    return check(parameters, given)


def injected(history: Iterable[str]) -> dict[str, Any]:
    """Find what papermill injected, in IPython's list of executed cells.

    Only the last such cell counts: in a Jupyter session an earlier one may have been put right.
    """
    cells = [source for source in history if source.startswith(INJECTED + "\n")]
    if not cells:
        return {}
    return {
        ast.unparse(line.targets[0]): ast.unparse(line.value)
        for line in ast.parse(cells[-1]).body
        if isinstance(line, ast.Assign)
    }


def _code_cells(notebook: Path | str) -> list[tuple[str, list[str]]]:
    """Source and tags of every code cell."""
    path = Path(notebook)
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            ("".join(cell["source"]), cell["metadata"].get("tags", []))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise NotebookError(
            f"{path.name}: not a Jupyter notebook of format 4 ({error!r})"
        ) from error


def _convert(parameter: Parameter, value: Any) -> Any:
    """Turn a value into the parameter's type or raise; limits are checked later."""
    if parameter.optional and (value is None or str(value).strip().lower() in NONES):
        return None
    try:
        if parameter.container is None:
            return _scalar(parameter.scalar, value)
        if isinstance(value, str):
            inner = value.strip().removeprefix("[").removeprefix("(")
            inner = inner.removesuffix("]").removesuffix(")")
            value = [part.strip().strip("'\"") for part in inner.split(",") if part.strip()]
        elif not isinstance(value, (list, tuple)):
            raise ValueError("not a list")
        return parameter.container(_scalar(parameter.scalar, item) for item in value)
    except (ValueError, TypeError, OverflowError):
        kind = "the text" if isinstance(value, str) else type(value).__name__
        got = f"{parameter.expected}, got {kind} {value!r}"
        raise ParameterError(parameter.name, value, got) from None


def _renamed(parameter: Parameter, value: Any) -> Any:
    """Return the name of today of a value that had another one, and say so in a line."""
    name = RENAMED.get((parameter.name, value)) if isinstance(value, str) else None
    if name is None or name not in _read_limit(parameter)[0]:
        return value
    _log.warning("%s=%s is called %s now; it is taken as that", parameter.name, value, name)
    return name


def _scalar(kind: str, value: Any) -> Any:
    """Convert without loss, or raise ValueError."""
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if kind == "str":
        if isinstance(value, (str, Path)):
            return str(value)
    elif kind == "bool":
        if isinstance(value, str):
            value = BOOLEANS.get(value.strip().lower(), value)
        if isinstance(value, bool):
            return value
    elif isinstance(value, (str, numbers.Real)) and not isinstance(value, bool):
        if kind == "int" and isinstance(value, str) and re.fullmatch(r"[-+]?\d+", value.strip()):
            return int(value)  # not through float, which rounds from 2**53 on
        if kind == "int" and isinstance(value, numbers.Integral):
            return int(value)
        number = float(value)
        if math.isfinite(number):
            if kind == "float":
                return number
            if number.is_integer() and abs(number) < 2**53:
                return int(number)
    raise ValueError(value)


def _read_limit(parameter: Parameter) -> tuple[list[str], list[tuple[str, str]]]:
    """Read a limit as its choices and its comparisons, such as ('>=', '1')."""
    text = parameter.limit
    if not text:
        return [], []
    if text.startswith("one of:"):
        return [choice.strip() for choice in text.removeprefix("one of:").split(",")], []
    if (match := _RANGE.fullmatch(text)) and (match["low"] or match["high"]):
        ends = (">=", match["low"]), ("<=", match["high"])
        comparisons = [(sign, bound) for sign, bound in ends if bound]
    else:
        matches = [_COMPARISON.fullmatch(part.strip()) for part in text.split(",")]
        comparisons = [(match[1], match[2]) for match in matches if match]
        if len(comparisons) != len(matches):
            raise NotebookError(
                f"{parameter.name}: [{text}]: square brackets at the end of a parameter's help "
                "hold a limit such as [1..], [0..1], [> 0, <= 1] or [one of: a, b]"
            )
    if parameter.scalar not in ("int", "float"):
        raise NotebookError(f"{parameter.name}: [{text}]: only numbers have a range")
    return [], comparisons


def _check_limit(
    parameter: Parameter, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Raise ParameterError where a value breaks its limit.

    Where the limit is another parameter that was changed, and the value is still the default, the
    other one is named: it is the one that the reader gave.
    """
    value = values[parameter.name]
    if value is None:
        return
    choices, comparisons = _read_limit(parameter)
    for item in value if parameter.container else [value]:
        if choices and item not in [_scalar(parameter.scalar, choice) for choice in choices]:
            close = difflib.get_close_matches(str(item), choices, n=1)
            hint = f"did you mean {close[0]}" if close else f"ask for one of {', '.join(choices)}"
            raise ParameterError(parameter.name, value, parameter.expected, hint)
        for sign, bound in comparisons:
            limit = _bound(parameter, bound, values)
            holds, ask = SIGNS[sign]
            if holds(item, limit):
                continue
            given = bound in values and values[bound] != defaults[bound]
            if given and value == parameter.default:
                other = {"<=": "at least", "<": "more than", ">=": "at most", ">": "less than"}
                raise ParameterError(
                    bound, limit, f"expected {other[sign]} {parameter.name}={value}",
                    f"ask for {other[sign]} {value}, or change {parameter.name}, too",
                )  # fmt: skip
            where = f" where {bound} is {limit}" if bound in values else ""
            raise ParameterError(
                parameter.name, value, parameter.expected + where, f"ask for {ask} {limit}"
            )


def _bound(parameter: Parameter, bound: str, values: Mapping[str, Any]) -> float:
    """Return a number, or the value of the parameter of that name."""
    if bound in values and isinstance(values[bound], (int, float)):
        return values[bound]
    try:
        return int(bound) if re.fullmatch(r"[-+]?\d+", bound) else float(bound)
    except ValueError:
        raise NotebookError(
            f"{parameter.name}: [{parameter.limit}]: {bound} is neither a number nor a parameter "
            "that holds one"
        ) from None
