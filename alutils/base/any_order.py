"""Command lines whose options and other words may stand in any order."""

from __future__ import annotations

import argparse
from typing import Any


class AnyOrder(argparse.ArgumentParser):
    """A parser that takes ``import FOLDER --project DIR FILE`` as ``import FOLDER FILE --project``.

    argparse fills the words that are not options at the first of them that it meets: one that may
    be missing is then taken for missing, and what comes after the options is called unrecognized.
    The commands of such a parser are of its kind, too.
    """

    _has_commands = _is_at_work = False

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Add commands, which come before all else: each of them takes any order itself."""
        self._has_commands = True
        return super().add_subparsers(**kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse options first and then the other words; argparse comes back here for each."""
        # Who writes -- has said himself what is no option, and argparse would forget it.
        if self._has_commands or self._is_at_work or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._is_at_work = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_at_work = False
