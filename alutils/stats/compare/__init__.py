"""Runs and tables against each other and against what was published.

`compare` gives the figures as a frame, `render` writes it to be read, `differences` says first in
what runs differ, and `overview` goes over all tables of a folder. Rows are grouped by experiment,
protocol, arm, split and metric, of the last round unless learning curves are asked for. The
interval is Student's t over seeds where there are two or more, Wilson's for a single proportion or
count of right answers; another single number has none. `VERDICTS` explains each verdict in a line.
"""

from alutils.stats.compare.frame import COMPARED, compare, missed, select
from alutils.stats.compare.overview import Block, overview, published_tables
from alutils.stats.compare.sources import (
    GROUP,
    PUBLISHED_COLUMNS,
    Source,
    differences,
    is_rendered,
    load,
    read_published,
)
from alutils.stats.compare.summaries import wilson
from alutils.stats.compare.text import MOST_ROWS, render, render_differences
from alutils.stats.compare.verdicts import VERDICTS

__all__ = [
    "COMPARED",
    "GROUP",
    "MOST_ROWS",
    "PUBLISHED_COLUMNS",
    "VERDICTS",
    "Block",
    "Source",
    "compare",
    "differences",
    "is_rendered",
    "load",
    "missed",
    "overview",
    "published_tables",
    "read_published",
    "render",
    "render_differences",
    "select",
    "wilson",
]
