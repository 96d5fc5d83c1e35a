"""What an experiment is: settings, what they give, what is said of it."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from alutils.base import files, manifest
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


Keep = Callable[..., Any]
"""``keep(function, *arguments, **named)`` gives what the function returns, computed or kept from
before. A run's ``keep`` is one; see `alutils.runs.notebook.runs.Run.keep`."""


def compute(function: Callable[..., Any], *arguments: Any, frames: int = 1, **named: Any) -> Any:
    """Compute and keep nothing: the `Keep` of those who have no run."""
    return function(*arguments, **named)


@dataclass(frozen=True)
class Finding:
    """What one step of an experiment found, and what it rests on; ``run.show`` saves and shows it.

    Attributes
    ----------
    text : one sentence, or a few; under a figure it is one line
    figure : what shows it; None: the text (and the table) stand alone
    name : of the figure's file, and of the text in findings.json; "" only without a figure
    alt : what the figure shows, for those who cannot see it
    table : frame, or styled frame, set below the figure
    exact : the text is printed as it stands, so that nbval can compare it to the character
    rows : of the results table, in the long format of `alutils.stats.tables.COLUMNS`
    tables : of their own shape, by the name under which they are saved
    reference : name of the published finding to stand beside, if not ``<experiment>_<name>``
    """

    text: str
    figure: Figure | None = None
    name: str = ""
    alt: str = ""
    table: Any = None
    exact: bool = False
    rows: pd.DataFrame | Sequence[Mapping[str, Any]] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    reference: str = ""

    def __post_init__(self) -> None:
        one_line = "\n" not in self.text.strip()
        if self.figure is not None and not (
            self.name and self.alt.strip() and self.text.strip() and one_line
        ):
            raise ValueError(
                f"{self.name or 'a figure'}: a figure needs a name, a text alternative and a "
                "one-line finding"
            )

    def _ipython_display_(self) -> None:
        self.display(None if self.figure is None else png_of(self.figure))

    def display(self, png: bytes | None, reference: str | None = None) -> None:
        """Show picture, table and text in a notebook, and a line of what the reference found."""
        from IPython.display import Markdown, display

        if png is not None:
            display_image(png, self.alt)
        if self.table is not None:
            display_html(self.table)
        if self.exact:
            print(self.text)
        elif self.text:
            display(Markdown(f"*{self.text}*" if png else self.text))
        if reference:
            display(Markdown(reference))


@dataclass(frozen=True)
class Answer:
    """What a notebook comes to, at its top: a few lines and one figure of results/."""

    lines: tuple[str, ...]
    figure: str  # its name in results/figures

    def _ipython_display_(self) -> None:
        from IPython.display import Markdown, display

        display(Markdown("\n".join(f"- {line}" for line in self.lines)))
        results = files.repository_root() / "results"
        picture = results / "figures" / f"{self.figure}.png"
        if picture.is_file():
            texts = manifest.read_json(results / "findings.json").get(self.figure, {})
            display_image(picture.read_bytes(), texts.get("alt", ""))
            display(Markdown(f"*{texts.get('finding', '')}*"))


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG, and close it, so that Jupyter does not show it a second time."""
    from matplotlib import pyplot

    from alutils.plots import fonts

    png = fonts.png_of(figure)
    pyplot.close(figure)
    return png


def display_image(png: bytes, alt: str) -> None:
    """Show a picture in a notebook so that its text alternative is in every form of it.

    nbconvert takes none from the metadata of a picture; it keeps what HTML says.
    """
    from IPython.display import display

    data, text = base64.b64encode(png).decode(), html.escape(alt)
    picture = f'<img alt="{text}" src="data:image/png;base64,{data}">'
    display({"text/html": picture, "text/plain": alt}, raw=True)


def display_html(table: Any) -> None:
    """Show a table in a notebook, in a box that scrolls where the page is too narrow for it."""
    from IPython.display import display

    text = table.to_html() if hasattr(table, "to_html") else str(table)
    box = f'<div style="overflow-x: auto; max-width: 100%">{text}</div>'
    display({"text/html": box, "text/plain": "(a table)"}, raw=True)
