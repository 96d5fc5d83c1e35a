"""The house: which room may import which, how large its parts are, what its map says."""

import ast
import importlib
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

import alutils

PACKAGE = Path(alutils.__file__).parent
ROOMS = (
    "base", "data", "stats", "models", "active", "guarantee", "plots", "experiments",
)  # fmt: skip
ROOFS = ("runs", "labelling")
"""Above all rooms, and they do not know each other."""
MOST_LINES, MOST_CODE_LINES = 400, 60


@cache
def modules() -> dict[str, ast.Module]:
    """Return the parsed source of every module by its dotted name below the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(name: str) -> set[str]:
    """Return the modules of the package that a module imports, inside functions too."""
    known, found = modules(), set()
    for node in ast.walk(known[name]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import, line {node.lineno}"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        short = [n.removeprefix("alutils.") for n in names if n.startswith("alutils.")]
        found |= {n for n in short if n in known} | {
            f"{n}.__init__" for n in short if f"{n}.__init__" in known
        }
    return found - {name}


def room(name: str) -> str:
    return name.partition(".")[0]


def test_imports_point_down_the_house():
    order = {name: i for i, name in enumerate((*ROOMS, *ROOFS))}
    up = [
        f"{name} imports {other}"
        for name in modules()
        if room(name) in order
        for other in sorted(imports(name))
        if room(other) != room(name)
        and (
            order.get(room(other), len(order)) > order[room(name)]
            or {room(name), room(other)} == set(ROOFS)
        )
    ]
    assert up == []


def test_no_two_modules_import_each_other():
    graph = {name: imports(name) for name in modules()}
    while leaves := [name for name, others in graph.items() if not others & set(graph)]:
        for name in leaves:
            del graph[name]
    # What is left lies on a circle or above one: those above are taken away, too.
    while tops := [n for n in graph if not any(n in others for others in graph.values())]:
        for name in tops:
            del graph[name]
    assert sorted(graph) == []


def test_few_modules_lie_outside_the_rooms_and_the_map_names_every_room():
    assert len([name for name in modules() if "." not in name]) <= 4
    rooms = {room(name) for name in modules() if "." in name}
    assert rooms == {*ROOMS, *ROOFS}
    for name in rooms:
        assert re.search(rf"^\s*{name}\b", alutils.__doc__, re.MULTILINE), name


def test_every_room_says_what_it_is_for_and_what_is_public():
    for name, tree in modules().items():
        if not name.endswith("__init__"):
            continue
        assert ast.get_docstring(tree), name
        if name.count(".") == 1:
            public = [
                node
                for node in tree.body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            ]
            assert public, f"{name} has no __all__"


@pytest.mark.parametrize("name", [*ROOMS, *ROOFS])
def test_every_public_name_of_a_room_is_there(name):
    found: dict[str, object] = {}
    exec(f"from alutils.{name} import *", found)
    public = importlib.import_module(f"alutils.{name}").__all__
    assert public and set(public) <= set(found)


def test_no_module_is_too_long():
    lengths = {p: len(p.read_text().splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {str(p.relative_to(PACKAGE)): n for p, n in lengths.items() if n > MOST_LINES} == {}


def code_lines(source: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines of a function hold code: no docstring, no comment, not blank."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    first = body[0].lineno if body else function.end_lineno + 1
    counted = {*range(function.lineno, function.body[0].lineno)} if body else set()
    skip = (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    )  # fmt: skip
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skip and first <= token.start[0] <= function.end_lineno:
            counted |= {*range(token.start[0], min(token.end[0], function.end_lineno) + 1)}
    return len(counted)


def test_no_function_is_too_long():
    too_long = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.end_lineno - node.lineno < MOST_CODE_LINES:
                    continue
                n = code_lines(source, node)
                if n > MOST_CODE_LINES:
                    too_long[f"{path.relative_to(PACKAGE)}:{node.name}"] = n
    assert too_long == {}
