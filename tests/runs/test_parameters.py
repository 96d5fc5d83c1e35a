"""Parameters: read from the tagged cell, refused or converted before any work."""

import json
import math

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alutils.base.errors import ParameterError
from alutils.runs.notebook import headless
from alutils.runs.notebook.parameters import (
    NotebookError,
    check,
    from_namespace,
    parse_cell,
    read_parameters,
)

CELL = """# what the article varies
n_train: int = 4000  # images to start from [1..60000]
budget: int = 400  # labels to ask for [1..n_train]
batch: int = 10  # labels a round [>= 1]
rate: float = 1e-3  # step of Adam [> 0, <= 1]
flag: bool = True  # train from scratch
data: str = "mnist"  # where the images are from [one of: mnist, az, rendered]
path: str | None = None
levels: tuple[float, ...] = (0.99, 0.9)  # thresholds to test [0..1]
sizes: list[int] = [
    1,
    2,
]  # of the grid [0..]
"""
PARAMETERS = parse_cell(CELL)
DEFAULTS = check(PARAMETERS, {})


def test_a_cell_gives_names_types_defaults_help_and_limits():
    n_train, budget, *_, sizes = PARAMETERS
    assert (n_train.name, n_train.type, n_train.default) == ("n_train", "int", 4000)
    assert (n_train.help, n_train.limit) == ("images to start from", "1..60000")
    assert budget.limit == "1..n_train"
    assert (sizes.default, sizes.help, sizes.limit) == ([1, 2], "of the grid", "0..")
    assert list(DEFAULTS) == [parameter.name for parameter in PARAMETERS]


def test_the_cell_is_found_by_its_tag_in_a_notebook_file(tmp_path):
    file = notebook(tmp_path, [("import os", []), (CELL, ["parameters"]), ("x = 1", ["other"])])
    assert read_parameters(file) == PARAMETERS


@pytest.mark.parametrize("tagged", [0, 2])
def test_a_notebook_has_one_parameters_cell(tmp_path, tagged):
    file = notebook(tmp_path, [("a: int = 1", ["parameters"])] * tagged)
    with pytest.raises(
        NotebookError, match=f"{tagged} cells are tagged 'parameters', expected one"
    ):
        read_parameters(file)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 3}', b"\xff\xfe"])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    (tmp_path / "broken.ipynb").write_bytes(content)
    with pytest.raises(NotebookError, match=r"broken\.ipynb: not a Jupyter notebook"):
        read_parameters(tmp_path / "broken.ipynb")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("a = 3", "expected 'name: type = default  # help'"),
        ("a: int", "expected 'name: type = default  # help'"),
        ("a: dict = {}", "a parameter's type is one of int, float, str, bool"),
        ("a: int = 1  # a time [seconds]", "hold a limit such as"),
        ("a: str = 'x'  # [1..3]", "only numbers have a range"),
        ("a: int = 1  # [1..bb]", "bb is neither a number nor a parameter"),
        ("a: int = 0  # [1..]", "a=0: expected int"),
        ("a: int = 1.5", "a=1.5: expected int, got float 1.5"),
    ],
)
def test_a_faulty_line_of_the_cell_is_not_passed_over(line, complaint):
    with pytest.raises(ValueError, match="a") as error:
        parse_cell(line)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("rate", "1e-3", 0.001),
        ("rate", 1, 1.0),
        ("rate", np.float32(0.5), 0.5),
        ("n_train", "4000", 4000),
        ("n_train", "4000.0", 4000),
        ("n_train", 400.0, 400),
        ("n_train", np.int64(500), 500),
        ("flag", "false", False),
        ("flag", "False", False),
        ("flag", "TRUE", True),
        ("flag", "off", False),
        ("flag", np.bool_(False), False),
        ("path", "none", None),
        ("path", "a b.npz", "a b.npz"),
        ("levels", "0.5, 1", (0.5, 1.0)),
        ("levels", [1], (1.0,)),
        ("sizes", "[3,4]", [3, 4]),
        ("sizes", "", []),
    ],
)
def test_what_means_a_value_of_the_type_becomes_one(name, value, used):
    values = check(PARAMETERS, {"budget": 1, name: value})
    assert values[name] == used
    assert type(values[name]) is type(used)


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        (
            {"budget": 5000},
            "budget=5000: expected int [1..n_train] where n_train is 4000; ask for at most 4000.",
        ),
        ({"batch": 0}, "batch=0: expected int [>= 1]; ask for at least 1."),
        ({"batch": "-3"}, "batch=-3: expected int [>= 1]; ask for at least 1."),
        ({"batch": "abc"}, "batch=abc: expected int [>= 1], got the text 'abc'."),
        ({"batch": True}, "batch=True: expected int [>= 1], got bool True."),
        ({"batch": "true"}, "batch=true: expected int [>= 1], got the text 'true'."),
        ({"batch": 2.5}, "batch=2.5: expected int [>= 1], got float 2.5."),
        ({"batch": None}, "batch=None: expected int [>= 1], got NoneType None."),
        ({"rate": 0}, "rate=0.0: expected float [> 0, <= 1]; ask for more than 0."),
        ({"rate": "nan"}, "rate=nan: expected float [> 0, <= 1], got the text 'nan'."),
        ({"rate": math.nan}, "rate=nan: expected float [> 0, <= 1], got float nan."),
        ({"rate": "inf"}, "rate=inf: expected float [> 0, <= 1], got the text 'inf'."),
        ({"rate": False}, "rate=False: expected float [> 0, <= 1], got bool False."),
        ({"flag": 1}, "flag=1: expected bool, got int 1."),
        ({"flag": "maybe"}, "flag=maybe: expected bool, got the text 'maybe'."),
        ({"data": "mnst"}, "expected str [one of: mnist, az, rendered]; did you mean mnist."),
        ({"data": ""}, "data='': expected str"),
        ({"path": 3}, "path=3: expected str | None, got int 3."),
        ({"levels": [0.5, 2]}, "expected tuple[float, ...] [0..1]; ask for at most 1."),
        ({"sizes": 3}, "sizes=3: expected list[int] [0..], got int 3."),
    ],
)
def test_what_cannot_be_used_is_refused_with_name_value_and_what_to_do(given_values, message):
    with pytest.raises(ParameterError) as error:
        check(PARAMETERS, given_values)
    assert message in str(error.value)


def limited(*lines):
    return parse_cell("\n".join(lines))


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        (
            {"budget": 5},
            "budget=5: expected at least batch=10; ask for at least 10, or change batch, too.",
        ),
        ({"batch": 500}, "batch=500: expected int [1..budget] where budget is 400"),
        ({"budget": 5, "batch": 6}, "batch=6: expected int [1..budget] where budget is 5"),
        ({"first": 50}, "first=50: expected at most last=9"),
    ],
)
def test_of_two_values_that_do_not_fit_the_one_that_was_given_is_named(given_values, message):
    cell = limited(
        "budget: int = 400  # [1..]", "batch: int = 10  # [1..budget]",
        "first: int = 0  # [0..]", "last: int = 9  # [first..]",
    )  # fmt: skip
    with pytest.raises(ParameterError) as error:
        check(cell, given_values)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["mnist", "strategies", "scenarios"])
def test_the_name_that_the_articles_digits_had_is_taken_with_a_line(name, caplog):
    cell = headless.parameters_in(name)
    assert check(cell, {"data": "embedded"}) == check(cell, {"data": "mnist_article"})
    assert caplog.messages == ["data=embedded is called mnist_article now; it is taken as that"]


def test_the_old_name_is_a_path_like_any_other_where_paths_are_taken():
    cell = headless.parameters_in("az")
    assert check(cell, {"data": "embedded"})["data"] == "embedded"


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list():
    with pytest.raises(ParameterError, match="did you mean budget") as error:
        check(PARAMETERS, {"budgte": 3})
    assert "n_train, budget, batch" in str(error.value)


def test_the_message_of_a_cross_check_reads_as_the_design_says():
    error = ParameterError(
        "budget", 5000, "the pool holds 4000 images (n_train)", "ask for at most 4000"
    )
    text = "budget=5000: the pool holds 4000 images (n_train); ask for at most 4000."
    assert str(error) == text


def test_yaml_reads_1e_3_as_text_and_it_becomes_the_number():
    values = yaml.safe_load("rate: 1e-3\nflag: false\n")
    assert values["rate"] == "1e-3"  # the trap
    used = check(PARAMETERS, values)
    assert (used["rate"], used["flag"]) == (0.001, False)


def test_inside_a_notebook_its_own_names_are_checked():
    namespace = {**DEFAULTS, "flag": "false", "something": object()}
    assert from_namespace(PARAMETERS, namespace)["flag"] is False
    with pytest.raises(ParameterError, match="batch=0"):
        from_namespace(PARAMETERS, {**DEFAULTS, "batch": 0})
    with pytest.raises(ParameterError, match="run the parameters cell first"):
        from_namespace(PARAMETERS, {"n_train": 3})


def test_a_misspelt_name_that_papermill_injected_is_found_in_the_history():
    history = ["", CELL, "# Parameters\nbatch = 20\nbatchh = 3\n"]
    with pytest.raises(ParameterError, match=r"batchh=3: .* did you mean batch"):
        from_namespace(PARAMETERS, {**DEFAULTS, "In": history})
    put_right = [*history, "# Parameters\nbatch = 20\n"]
    assert from_namespace(PARAMETERS, {**DEFAULTS, "In": put_right}) == DEFAULTS


@st.composite
def usable(draw):
    n_train = draw(st.integers(1, 60000))
    rate = st.floats(0, 1, exclude_min=True)
    words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)
    return {
        "n_train": n_train,
        "budget": draw(st.integers(1, n_train)),
        "batch": draw(st.integers(1, 2**70)),
        "rate": draw(rate),
        "flag": draw(st.booleans()),
        "data": draw(st.sampled_from(["mnist", "az", "rendered"])),
        "path": draw(st.none() | words.filter(lambda s: s.strip().lower() not in "none null ~")),
        "levels": tuple(draw(st.lists(rate))),
        "sizes": draw(st.lists(st.integers(0, 2**60))),
    }


@given(usable())
def test_checked_values_pass_again_unchanged_also_through_json_and_the_command_line(values):
    assert check(PARAMETERS, values) == values
    assert check(PARAMETERS, json.loads(json.dumps(values))) == values
    assert check(PARAMETERS, {name: str(value) for name, value in values.items()}) == values


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), min_size=1))
def test_whatever_is_given_the_answer_is_a_full_dict_or_an_error_that_names_it(values):
    try:
        used = check(PARAMETERS, values)
    except ParameterError as error:
        assert error.name in values or error.name in DEFAULTS
        assert str(error).startswith(f"{error.name}=")
    else:
        assert list(used) == list(DEFAULTS)
        assert all(type(used[name]) is type(DEFAULTS[name]) for name in used if name != "path")


def notebook(folder, cells):
    """Write a notebook file of code cells, given as source and tags."""
    content = [
        {"cell_type": "code", "source": source.splitlines(True), "metadata": {"tags": tags}}
        for source, tags in cells
    ]
    file = folder / "tiny.ipynb"
    file.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, *content]}))
    return file
