"""Runs and tables against each other and against what was published.

`compare` gives the figures as a frame, `render` writes it to be read, `differences` says first in
what runs differ, `main` keeps the main results, and `overview` goes over all tables of a folder.
Rows are grouped by experiment, protocol, arm, split and metric, of the last round unless learning
curves are asked for. The interval is Student's t over seeds where there are two or more, Wilson's
for a single proportion or count of right answers; another single number has none. `VERDICTS`
explains each verdict in a line.
"""

from alutils.stats.compare.frame import COMPARED, compare, missed, select
from alutils.stats.compare.headlines import check_common, count, main
from alutils.stats.compare.overview import Block, overview, published_tables
from alutils.stats.compare.sources import (
    GROUP,
    PUBLISHED_COLUMNS,
    Source,
    differences,
    is_rendered,
    load,
    provenances,
    read_published,
)
from alutils.stats.compare.text import render, render_differences
from alutils.stats.compare.verdicts import VERDICTS

__all__ = [
    "COMPARED",
    "GROUP",
    "PUBLISHED_COLUMNS",
    "VERDICTS",
    "Block",
    "Source",
    "check_common",
    "compare",
    "count",
    "differences",
    "is_rendered",
    "load",
    "main",
    "missed",
    "overview",
    "provenances",
    "published_tables",
    "read_published",
    "render",
    "render_differences",
    "select",
]
