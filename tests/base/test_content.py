"""Digests of contents: equal for what is equal, other for what is not, in every process."""

import functools
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.base.content import ContentError, content_digest
from alutils.data.dataset import Dataset

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@dataclass(frozen=True)
class Settings:
    noise: float = 1e-6
    seeds: tuple[int, ...] = (0, 1)


@given(PLAIN, PLAIN)
def test_two_plain_values_have_one_digest_only_if_they_are_written_alike(a, b):
    assert (content_digest(a) == content_digest(b)) == (repr(a) == repr(b) or _sorted(a, b))


def _sorted(a, b):
    """Whether two values are the same but for the order of keys."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_sorted(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_sorted, a, b))
    return repr(a) == repr(b)


IMAGES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
LETTERS = Dataset(IMAGES, np.array([0, 1]), ("A", "B"), "two", "real-sample")
DIFFERENT = [
    0, 0.0, False, None, "0", b"0", (), (0,), (0, 0), {0}, {0: 0}, range(1), Path("0"),
    np.zeros(1), np.zeros(1, np.float32), np.zeros((1, 1)), np.zeros(2), np.array(["0"], object),
    Settings(), Settings(noise=1e-5), Settings(seeds=(0,)), functools.partial(max, 0), max,
    Settings,
    pd.DataFrame({"a": [0]}), pd.DataFrame({"a": [0.0]}), pd.DataFrame({"b": [0]}),
    pd.DataFrame({"a": [0]}, index=[1]), pd.Series([0]), pd.Series([0], name="a"),
    LETTERS, replace(LETTERS, labels=np.array([1, 1])), LETTERS.take(np.array([0])),
]  # fmt: skip


def test_what_differs_in_kind_or_value_has_another_digest():
    digests = [content_digest(value) for value in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)
    assert len({content_digest(0, 1), content_digest((0, 1)), content_digest(0, 1, ())}) == 3


def test_a_view_and_its_copy_have_one_digest():
    grid = np.arange(12).reshape(3, 4)
    assert content_digest(grid.T) == content_digest(grid.T.copy())
    assert content_digest(np.float64(0.1)) == content_digest(0.1)


def test_a_digest_is_the_same_in_another_process():
    code = (
        "from alutils.base.content import content_digest; import functools; "
        "print(content_digest({'b': {1, 2}, 'a': functools.partial(max, 3)}, 'x'))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = content_digest({"a": functools.partial(max, 3), "b": {2, 1}}, "x")
    assert other.stdout.strip() == here


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.random.default_rng(0), "give its seed instead"),
        (lambda: 0, "expected a function of a module"),
        (object(), "cannot be part of what a kept result depends on"),
        ([{"deep": (object(),)}], "cannot be part"),
    ],
)
def test_what_has_no_content_that_can_be_told_is_refused(value, says):
    with pytest.raises(ContentError, match=says):
        content_digest(value)


def defined(source):
    """Return what a notebook's cell defines as ``f``."""
    namespace = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace["f"]


def test_a_function_defined_anew_in_a_notebook_is_another_one():
    first = defined("def f(x):\n    return 2 * x")
    again = defined("\n\ndef f(x):\n    return 2 * x")
    assert content_digest(first) == content_digest(again)
    for other in (
        "def f(x):\n    return 3 * x",
        "def f(x):\n    return len(x)",
        "def f(x):\n    return [3 for _ in x]",
    ):
        assert content_digest(defined(other)) != content_digest(first)
    nested = [defined(f"def f(x):\n    g = lambda y: y + {n}\n    return g(x)") for n in (1, 2)]
    assert len({content_digest(function) for function in nested}) == 2


class Scaler:
    def fit(self, x):
        return x


@pytest.mark.parametrize("value", [Scaler().fit, [1].append])
def test_a_method_of_an_object_is_refused_since_its_name_says_nothing_of_the_object(value):
    with pytest.raises(ContentError, match="expected a function of a module"):
        content_digest(value)


def notebook_with(**around):
    """Return the digest of a notebook's function ``f`` that uses what the cells around it hold."""
    namespace = {"__name__": "__main__", **around}
    source = "def g(x):\n    return x + OFFSET\ndef f(x, y=DEFAULT):\n    return g(x) * y"
    exec(compile(source, "<cell>", "exec"), namespace)
    return content_digest(namespace["f"])


def test_what_a_function_of_a_notebook_takes_from_the_cells_around_it_counts():
    digest = notebook_with(OFFSET=1, DEFAULT=2)
    assert notebook_with(OFFSET=1, DEFAULT=2) == digest
    assert (
        len({digest, notebook_with(OFFSET=2, DEFAULT=2), notebook_with(OFFSET=1, DEFAULT=3)}) == 3
    )
    with pytest.raises(ContentError, match="give its seed instead"):
        notebook_with(OFFSET=np.random.default_rng(0), DEFAULT=1)


def test_a_class_of_a_notebook_is_refused():
    namespace = {"__name__": "__main__"}
    exec("class Model:\n    pass", namespace)
    with pytest.raises(ContentError, match="define classes in a module"):
        content_digest(namespace["Model"])


def test_a_set_in_the_code_of_a_notebook_has_one_digest_in_all_processes():
    code = (
        "from alutils.base.content import content_digest\n"
        "def f(x):\n    return x in {'a', 'b', 'c', 'd'}\n"
        "print(content_digest(f))"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(outs) == 1
