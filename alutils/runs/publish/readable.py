"""Whether the notebooks and the README read like a paper: lengths and the share of prose.

``python -m alutils.runs.publish.readable`` prints the counts; its exit status is 1 where a limit is
passed. Words are counted on what is read: marks in comments and the addresses of links are not.
"""

import re
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from alutils.base import manifest
from alutils.base.files import repository_root

MEDIAN_LINES = 6
MOST_LINES = 20
WIDEST_LINE = 100
LEAST_PROSE = 0.40
README_WORDS = 1800
README_LINES = 170


@dataclass(frozen=True)
class Counts:
    """What was counted in one notebook.

    Attributes
    ----------
    cells : code cells
    median_lines, most_lines : of a code cell, empty lines and comments included
    widest_line : characters of the longest line of code
    prose, code : words in Markdown cells, words in code cells
    """

    name: str
    cells: int
    median_lines: float
    most_lines: int
    widest_line: int
    prose: int
    code: int

    @property
    def share(self) -> float:
        """Share of all words that is prose; 0 where there are no words."""
        return self.prose / max(1, self.prose + self.code)

    def faults(self) -> list[str]:
        """Return each limit that is passed, in words."""
        limits = {
            f"median code cell of {self.median_lines:g} lines; at most {MEDIAN_LINES}": (
                self.median_lines > MEDIAN_LINES
            ),
            f"code cell of {self.most_lines} lines; at most {MOST_LINES}": (
                self.most_lines > MOST_LINES
            ),
            f"line of {self.widest_line} characters; at most {WIDEST_LINE}": (
                self.widest_line > WIDEST_LINE
            ),
            f"{self.share:.0%} of the words are prose; at least {LEAST_PROSE:.0%}": (
                self.share < LEAST_PROSE
            ),
        }
        return [f"{self.name}: {said}" for said, passed in limits.items() if passed]


def words(text: str) -> int:
    """Count the words that a reader of Markdown sees: what holds a letter or a digit."""
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)  # the address of a link or a picture
    return sum(any(c.isalnum() for c in token) for token in text.split())


def counts(notebook: Path) -> Counts:
    """Count the lines and words of a notebook's cells; outputs do not count."""
    cells = manifest.read_json(notebook)["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lengths = [len(source.splitlines()) for source in code]
    return Counts(
        name=notebook.stem,
        cells=len(code),
        median_lines=statistics.median(lengths or [0]),
        most_lines=max(lengths, default=0),
        widest_line=max((len(line) for source in code for line in source.splitlines()), default=0),
        prose=sum(map(words, prose)),
        code=sum(len(source.split()) for source in code),
    )


def readme_faults(text: str) -> list[str]:
    """Return each limit that the README passes, in words."""
    n_words, n_lines = words(text), len(text.splitlines())
    faults = []
    if n_words > README_WORDS:
        faults.append(f"README.md: {n_words:,} words; at most {README_WORDS:,}")
    if n_lines > README_LINES:
        faults.append(f"README.md: {n_lines} lines; at most {README_LINES}")
    return faults


def notebooks() -> list[Path]:
    """Return the notebooks of the repository, in their order."""
    return sorted((repository_root() / "notebooks").glob("*.ipynb"))


def table(counted: Iterable[Counts]) -> str:
    """Return the counts as lines of text, a row for each notebook."""
    lines = [f"{'notebook':40}{'cells':>6}{'median':>8}{'longest':>9}{'widest':>8}{'prose':>8}"]
    lines += [
        f"{one.name:40}{one.cells:>6}{one.median_lines:>8g}{one.most_lines:>9}"
        f"{one.widest_line:>8}{one.share:>8.0%}"
        for one in counted
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the counts and what is over a limit; 1 where something is."""
    counted = [counts(notebook) for notebook in notebooks()]
    readme = (repository_root() / "README.md").read_text(encoding="utf-8")
    print(table(counted))
    print(f"README.md: {words(readme):,} words, {len(readme.splitlines())} lines")
    faults = [fault for one in counted for fault in one.faults()] + readme_faults(readme)
    for fault in faults:
        print(f"over the limit: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
