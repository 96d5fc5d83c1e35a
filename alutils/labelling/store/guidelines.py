"""The guidelines of a project: a Markdown file that says what belongs to which class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alutils.labelling.store.records import LabellingError

NAME = "guidelines.md"
MOST_BYTES = 2**18


@dataclass(frozen=True)
class Guidelines:
    """A Markdown file, which may come, change and go while the tool runs."""

    path: Path

    def version(self) -> str:
        """Return a text that differs whenever the file has changed; '' where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return ""
        return f"{found.st_mtime_ns}-{found.st_size}"

    def html(self) -> str:
        """Return the file as HTML, '' where there is none.

        HTML in the file is shown as the text that it is, links go only to where pages can be, and
        pictures are not fetched: nothing of the file can run, or ask anything of another machine.

        Raises
        ------
        LabellingError
            If the file cannot be read, or is longer than `MOST_BYTES`.
        """
        if not self.version():
            return ""
        from markdown_it import MarkdownIt  # here: few projects have guidelines

        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise LabellingError(
                f"{self.path.name}: the guidelines cannot be read ({error.strerror}); see that it "
                "is a text file that you may open"
            ) from error
        if len(data) > MOST_BYTES:
            raise LabellingError(
                f"{self.path.name}: the guidelines have {len(data):,} bytes; expected at most "
                f"{MOST_BYTES:,}, so that they can be read beside the pictures"
            )
        markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
        tokens = markdown.parse(data.decode("utf-8-sig", errors="replace"))
        for token in tokens:
            for inner in token.children or ():
                if inner.type == "link_open":
                    inner.attrSet("target", "_blank")
                    inner.attrSet("rel", "noopener noreferrer")
        return str(markdown.renderer.render(tokens, markdown.options, {}))
