"""Cells that spreadsheets neither run nor mangle, and that tables can be joined by."""

import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.base.csv_cells import class_cell, harmless, path_cell


@pytest.mark.parametrize("text", ["=1+2", "+x.png", "-x.png", "@SUM(A1)", "\tx", "\rx", "=", "-"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text):
    assert harmless(text) == path_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "a=b", "x-1.png", " =1", 7, -7, -0.5, None])
def test_other_values_stay_as_they_are(value):
    assert harmless(value) is value


@pytest.mark.parametrize("name", ["+", "-", "=", "@", "-1", "+1", "-other", "@home", "A", "ä", ""])
def test_names_of_classes_stay_as_they_are_so_that_tables_join(name):
    assert class_cell(name) == name


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "@SUM(1+1)", "-2+3+cmd|' /C calc'!A0"]
)
def test_a_class_that_would_run_something_is_made_harmless(name):
    assert class_cell(name) == f"'{name}"


def test_a_name_that_is_not_utf8_is_written_as_its_bytes():
    assert path_cell(os.fsdecode(b"caf\xe9.png")) == r"caf\xe9.png"
    assert path_cell("café.png") == "café.png"


@given(st.binary(max_size=20).map(os.fsdecode))
def test_any_file_name_is_one_cell_of_utf8(name):
    text = io.StringIO(newline="")
    csv.writer(text).writerow([path_cell(name), "next"])
    data = text.getvalue().encode()
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == [[path_cell(name), "next"]]
    assert not path_cell(name).startswith(("=", "+", "-", "@"))
