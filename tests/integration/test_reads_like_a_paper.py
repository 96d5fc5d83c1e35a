"""Notebooks and README read like a paper: short cells, short lines, more prose than is usual."""

import json
from pathlib import Path

import pytest

from alutils.runs.publish import readable

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_short_cells_short_lines_and_prose(notebook):
    assert readable.counts(notebook).faults() == []


def test_the_readme_is_short():
    assert readable.readme_faults((ROOT / "README.md").read_text(encoding="utf-8")) == []


def written(tmp_path, *cells):
    path = tmp_path / "made.ipynb"
    cells = [{"cell_type": kind, "source": source} for kind, source in cells]
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_counts_are_those_of_the_cells(tmp_path):
    cells = (
        ("markdown", "# Four words, *not* [five](https://x.org/a_b)\n"),
        ("code", ["a = 1\n", "\n", "# why\n", "b = 2"]),
        ("code", "c"),
    )
    counted = readable.counts(written(tmp_path, *cells))
    assert (counted.cells, counted.median_lines, counted.most_lines) == (2, 2.5, 4)
    assert (counted.prose, counted.code, counted.widest_line) == (4, 9, 5)
    assert counted.share == 4 / 13


LINES_7, LINES_6 = ("code", "a\n" * 7), ("code", "a\n" * 6)
PROSE = ("markdown", "word " * 100)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ((PROSE, LINES_7, LINES_7, LINES_6), "median code cell of 7 lines"),
        ((PROSE, LINES_6, LINES_6, ("code", "a\n" * 21)), "code cell of 21 lines"),
        ((PROSE, ("code", "a" * 101)), "line of 101 characters"),
        (
            (("markdown", "word " * 39), ("code", "a " * 40 + "\n" + "a " * 21)),
            "39% of the words are prose",
        ),
    ],
)
def test_each_limit_is_noticed_when_it_alone_is_passed(tmp_path, cells, says):
    faults = readable.counts(written(tmp_path, *cells)).faults()
    assert len(faults) == 1
    assert says in faults[0]


def test_what_stands_at_every_limit_passes(tmp_path):
    cells = LINES_6, LINES_6, ("code", "\n" * 19 + "a" * 100), ("markdown", "word " * 9)
    counted = readable.counts(written(tmp_path, *cells))
    assert (counted.most_lines, counted.widest_line, counted.code) == (20, 100, 13)
    assert counted.share == 9 / 22
    assert counted.faults() == []


def test_code_and_table_cells_of_the_readme_count_as_words_and_marks_do_not():
    text = "<!-- table: x -->\n| a | b c |\n|---|---|\n<!-- end -->\n```\nmake test\n```\n"
    assert readable.words(text) == 5
    assert readable.readme_faults("word " * 1800) == []
    assert readable.readme_faults("word " * 1801) == ["README.md: 1,801 words; at most 1,800"]
    assert readable.readme_faults("\n" * 171) == ["README.md: 171 lines; at most 170"]
