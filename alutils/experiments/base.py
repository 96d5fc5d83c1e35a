"""What an experiment is: settings, what they give, what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from alutils.stats.tables import NO_NAMES, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Experiment:
    """A function of its settings, which sweeps run many times over.

    Attributes
    ----------
    name : in grid files and results tables
    settings : frozen dataclass, every field ``name: type = default``, ``seed`` among them; its
        ``__post_init__`` raises ParameterError or ValueError for what cannot be run, at once
    run : settings to rows of a results table. What the rows depend on is its module and all that
        this imports: cells are due again when any of it changes.
    vocabulary : of the rows
    prepare : takes some of the settings by name, gets ready what all cells that have these in
        common need, and returns what manifests are to say of it, of JSON's types
    summarise : ``(table, timings)`` of a sweep to tables by what follows the name in results/:
        ``{"summary": ...}`` becomes ``<name>_summary.csv``, with numbers to six digits; None: means
        over seeds. ``table`` holds `alutils.stats.tables.COLUMNS` and a column for each
        varied parameter; ``timings`` a row a cell: ``run_id`` as in the table, ``cell``, the varied
        parameters, ``seed``, ``wall_s`` (seconds), ``peak_memory_mib``
    figures : the table to figures by name, each with its text alternative and one-line finding
    """

    name: str
    settings: type
    run: Callable[[Any], pd.DataFrame | Sequence[Mapping[str, Any]]]
    vocabulary: Vocabulary = NO_NAMES
    prepare: Callable[..., dict[str, Any]] | None = None
    summarise: Callable[[pd.DataFrame, pd.DataFrame], dict[str, pd.DataFrame]] | None = None
    figures: Callable[[pd.DataFrame], dict[str, tuple[Figure, str, str]]] | None = None
